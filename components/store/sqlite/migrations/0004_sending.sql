-- What goes out: the automatic acknowledgement, written with what it answers, and how far a message of several calls has got.

CREATE INDEX IF NOT EXISTS outbox_by_case ON outbox (tenant, case_id, seq);
-- next
CREATE INDEX IF NOT EXISTS outbox_queues ON outbox (connector, due_at) WHERE state = 'queued';
-- next
CREATE TABLE IF NOT EXISTS outbox_progress (
  id TEXT NOT NULL PRIMARY KEY,
  done INTEGER NOT NULL
) WITHOUT ROWID;
-- next
-- Tenants whose profile wants acknowledgements: an intake must not read a whole profile to know it.
CREATE TABLE IF NOT EXISTS acknowledging (tenant TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
-- next
CREATE TRIGGER IF NOT EXISTS tenants_added AFTER INSERT ON tenants BEGIN
  DELETE FROM acknowledging WHERE tenant = NEW.code;
  INSERT INTO acknowledging (tenant) SELECT NEW.code WHERE NEW.profile ->> 'acknowledge';
END;
-- next
CREATE TRIGGER IF NOT EXISTS tenants_changed AFTER UPDATE ON tenants BEGIN
  DELETE FROM acknowledging WHERE tenant = NEW.code;
  INSERT INTO acknowledging (tenant) SELECT NEW.code WHERE NEW.profile ->> 'acknowledge';
END;
-- next
-- How many acknowledgements a thread, and a sender, has had since when. `what` is `thread:…` or `sender:…`.
CREATE TABLE IF NOT EXISTS acknowledgements (
  tenant TEXT NOT NULL,
  connector TEXT NOT NULL,
  what TEXT NOT NULL,
  since INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (tenant, connector, what)
) WITHOUT ROWID;
-- next
-- An intake and its acknowledgements. `intake` is the step inside it.
CREATE VIEW IF NOT EXISTS intake_answered (document, body) AS SELECT NULL, NULL WHERE FALSE;
-- next
CREATE VIEW IF NOT EXISTS intake_acknowledged (tenant, connector, received_at, e, outbox, thread, sender)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
-- The conditions on the document come first: for most intakes the events are not even looked at.
CREATE TRIGGER IF NOT EXISTS intake_answered_write INSTEAD OF INSERT ON intake_answered BEGIN
  INSERT INTO intake (document, body) VALUES (NEW.document, NEW.body);
  INSERT INTO intake_acknowledged
    SELECT x.tenant, x.connector, x.received_at, p.value, p.value ->> 'acknowledgement',
      'thread:' || coalesce('key:' || (p.value ->> 'thread_key'), 'case:' || v.case_id),
      'sender:' || (p.value ->> 'scheme') || ':' || (p.value ->> 'handle')
    FROM (SELECT NEW.document ->> '$.envelope.tenant' AS tenant, NEW.document ->> '$.envelope.connector' AS connector,
        NEW.document ->> '$.envelope.received_at' AS received_at
      WHERE NEW.document ->> '$.envelope.acknowledgeable'
        AND EXISTS (SELECT 1 FROM acknowledging a WHERE a.tenant = NEW.document ->> '$.envelope.tenant')) x
    CROSS JOIN json_each(NEW.document, '$.events') p
    CROSS JOIN events v INDEXED BY events_once
    WHERE v.tenant = x.tenant AND v.connector = x.connector AND v.idempotency_key = p.value ->> 'key'
      AND p.value ->> 'acknowledgement' IS NOT NULL AND v.id = p.value ->> 'id' AND v.case_id IS NOT NULL
    ORDER BY p.key;
END;
-- next
-- Once per thread and day, five times per sender and day: two machines that answer each other come to an end. And not into a
-- conversation that staff are having.
CREATE TRIGGER IF NOT EXISTS intake_acknowledged_write INSTEAD OF INSERT ON intake_acknowledged
WHEN NOT EXISTS (SELECT 1 FROM acknowledgements a
    WHERE a.tenant = NEW.tenant AND a.connector = NEW.connector AND a.what = NEW.thread AND a.since > NEW.received_at - 86400000)
  AND NOT EXISTS (SELECT 1 FROM acknowledgements a
    WHERE a.tenant = NEW.tenant AND a.connector = NEW.connector AND a.what = NEW.sender AND a.since > NEW.received_at - 86400000
      AND a.count >= 5)
BEGIN
  INSERT INTO outbox (tenant, id, connector, case_id, event, text, author, automatic, created_at, due_at)
    SELECT v.tenant, NEW.outbox, v.connector, v.case_id, v.seq, '', 'ventanilla', TRUE, NEW.received_at, NEW.received_at
    FROM events v INDEXED BY events_once
    WHERE v.tenant = NEW.tenant AND v.connector = NEW.connector AND v.idempotency_key = NEW.e ->> 'key'
      AND NOT EXISTS (SELECT 1 FROM outbox o INDEXED BY outbox_by_case
        WHERE o.tenant = v.tenant AND o.case_id = v.case_id AND NOT o.automatic AND o.created_at > NEW.received_at - 86400000);
  INSERT INTO acknowledgements (tenant, connector, what, since, count)
    SELECT NEW.tenant, NEW.connector, w.value, NEW.received_at, 1
    FROM json_each(json_array(NEW.thread, NEW.sender)) w WHERE EXISTS (SELECT 1 FROM outbox o WHERE o.id = NEW.outbox)
    ON CONFLICT DO UPDATE SET
      count = CASE WHEN since > excluded.since - 86400000 THEN count + 1 ELSE 1 END,
      since = CASE WHEN since > excluded.since - 86400000 THEN since ELSE excluded.since END;
END;
