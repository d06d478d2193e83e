-- What the administration's own systems are told: the events, and between them the changes of cases. An intake writes nothing for it.
--
-- The order is (event, change): an event is (its seq, 0), a change comes after the newest event there was when it was made. Both numbers
-- only grow, and one writer at a time commits, so that what is new is behind every position that has been given out.

CREATE TABLE IF NOT EXISTS feed_changes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  after_event INTEGER NOT NULL,
  history INTEGER NOT NULL
);
-- next
CREATE INDEX IF NOT EXISTS feed_changes_in_order ON feed_changes (tenant, after_event, seq);
-- next
-- Numbers of events that have been deleted count too: a position may be behind them. `sqlite_sequence` alone is late inside a trigger.
CREATE VIEW IF NOT EXISTS feed_end (event, change) AS
  SELECT max(coalesce((SELECT max(seq) FROM events), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)),
    max(coalesce((SELECT max(seq) FROM feed_changes), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'feed_changes'), 0));
-- next
CREATE TRIGGER IF NOT EXISTS history_fed AFTER INSERT ON history BEGIN
  INSERT INTO feed_changes (tenant, after_event, history) SELECT NEW.tenant, event, NEW.seq FROM feed_end;
END;
-- next
CREATE TABLE IF NOT EXISTS destinations (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  condition TEXT NOT NULL DEFAULT 'running' CHECK (condition IN ('running', 'paused', 'stopped')),
  after_event INTEGER NOT NULL,
  after_change INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  due_at INTEGER,
  lease TEXT,
  leased_until INTEGER,
  failing_since INTEGER,
  reason TEXT,
  delivered INTEGER NOT NULL DEFAULT 0,
  delivered_at INTEGER,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, name)
) WITHOUT ROWID;
