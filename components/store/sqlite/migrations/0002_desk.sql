-- What staff do: changes with history, tasks, notes, replies, joined contacts.

CREATE TABLE IF NOT EXISTS contact_joins (
  seq INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  into_contact TEXT NOT NULL,
  other_contact TEXT NOT NULL,
  author TEXT NOT NULL,
  at INTEGER NOT NULL,
  undone_by TEXT,
  undone_at INTEGER
);
-- next
CREATE INDEX IF NOT EXISTS contact_joins_in_force ON contact_joins (tenant, into_contact, other_contact) WHERE undone_at IS NULL;
-- next
CREATE VIEW IF NOT EXISTS case_changes (tenant, reference, status, department, assignee, priority, author, at)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS case_changes_write INSTEAD OF INSERT ON case_changes BEGIN
  INSERT INTO history (tenant, case_id, at, author, field, before, after)
    SELECT c.tenant, c.id, NEW.at, NEW.author, f.field, f.before, f.after
    FROM cases c JOIN (
      SELECT id, 'status' AS field, status AS before, NEW.status AS after FROM cases
        WHERE tenant = NEW.tenant AND reference = NEW.reference
      UNION ALL SELECT id, 'department', department, NEW.department FROM cases
        WHERE tenant = NEW.tenant AND reference = NEW.reference
      UNION ALL SELECT id, 'assignee', assignee, NEW.assignee FROM cases
        WHERE tenant = NEW.tenant AND reference = NEW.reference
      UNION ALL SELECT id, 'priority', priority, NEW.priority FROM cases
        WHERE tenant = NEW.tenant AND reference = NEW.reference) f ON f.id = c.id
    WHERE f.after IS NOT NULL AND f.after IS NOT f.before;
  UPDATE cases SET
      updated_at = max(updated_at, NEW.at),
      status = coalesce(NEW.status, status),
      department = coalesce(NEW.department, department),
      assignee = coalesce(NEW.assignee, assignee),
      priority = coalesce(NEW.priority, priority)
    WHERE tenant = NEW.tenant AND reference = NEW.reference;
END;
-- next
CREATE VIEW IF NOT EXISTS case_notes (tenant, reference, id, author, text, at)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS case_notes_write INSTEAD OF INSERT ON case_notes BEGIN
  INSERT INTO notes (tenant, case_id, id, author, text, at)
    SELECT c.tenant, c.id, NEW.id, NEW.author, NEW.text, NEW.at FROM cases c
    WHERE c.tenant = NEW.tenant AND c.reference = NEW.reference;
  UPDATE cases SET updated_at = max(updated_at, NEW.at) WHERE tenant = NEW.tenant AND reference = NEW.reference;
END;
-- next
CREATE VIEW IF NOT EXISTS tasks_done (tenant, reference, task, author, at) AS SELECT NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS tasks_done_write INSTEAD OF INSERT ON tasks_done BEGIN
  INSERT INTO history (tenant, case_id, at, author, field, before, after)
    SELECT t.tenant, t.case_id, NEW.at, NEW.author, 'task', t.task, 'done' FROM cases c
    JOIN tasks t ON t.tenant = c.tenant AND t.case_id = c.id
    WHERE c.tenant = NEW.tenant AND c.reference = NEW.reference AND t.id = NEW.task AND t.done_at IS NULL;
  UPDATE cases SET updated_at = max(updated_at, NEW.at)
    WHERE tenant = NEW.tenant AND reference = NEW.reference AND EXISTS (SELECT 1 FROM tasks t
      WHERE t.tenant = cases.tenant AND t.case_id = cases.id AND t.id = NEW.task AND t.done_at IS NULL);
  UPDATE tasks SET done_at = NEW.at, done_by = NEW.author
    WHERE tenant = NEW.tenant AND id = NEW.task AND done_at IS NULL
      AND case_id = (SELECT c.id FROM cases c WHERE c.tenant = NEW.tenant AND c.reference = NEW.reference);
END;
-- next
-- A reply answers the newest event in the case that has a sender and is not about something we sent. One without text answers
-- the newest request to follow.
CREATE VIEW IF NOT EXISTS case_replies (tenant, reference, id, author, text, at)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS case_replies_write INSTEAD OF INSERT ON case_replies BEGIN
  INSERT INTO outbox (tenant, id, connector, case_id, event, text, author, automatic, created_at, due_at)
    SELECT c.tenant, NEW.id, v.connector, c.id, v.seq, NEW.text, NEW.author, FALSE, NEW.at, NEW.at
    FROM cases c JOIN events v ON v.seq = (
      SELECT max(k.seq) FROM events k WHERE k.tenant = c.tenant AND k.case_id = c.id AND k.handle IS NOT NULL
        AND k.kind NOT IN ('status', 'lifecycle', 'reaction', 'message.deleted')
        AND (k.kind = 'follow') = (NEW.text = ''))
    WHERE c.tenant = NEW.tenant AND c.reference = NEW.reference;
  UPDATE cases SET updated_at = max(updated_at, NEW.at), first_response_at = coalesce(first_response_at, NEW.at)
    WHERE tenant = NEW.tenant AND reference = NEW.reference AND EXISTS (SELECT 1 FROM outbox o WHERE o.id = NEW.id);
  INSERT INTO history (tenant, case_id, at, author, field, after)
    SELECT o.tenant, o.case_id, NEW.at, NEW.author, 'reply', NEW.id FROM outbox o WHERE o.id = NEW.id;
END;
-- next
-- Only contacts that stand for themselves are joined, so there are no circles, and a join can be undone as it was made.
CREATE VIEW IF NOT EXISTS contacts_joined (tenant, into_contact, other_contact, author, at)
  AS SELECT NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS contacts_joined_write INSTEAD OF INSERT ON contacts_joined BEGIN
  SELECT RAISE(ABORT, 'ventanilla:no-join') WHERE NEW.into_contact = NEW.other_contact OR 2 <> (
    SELECT count(*) FROM contacts k
    WHERE k.tenant = NEW.tenant AND k.id IN (NEW.into_contact, NEW.other_contact) AND k.joined_into IS NULL);
  INSERT INTO contact_joins (tenant, into_contact, other_contact, author, at)
    VALUES (NEW.tenant, NEW.into_contact, NEW.other_contact, NEW.author, NEW.at);
  UPDATE contacts SET joined_into = NEW.into_contact WHERE tenant = NEW.tenant AND id = NEW.other_contact;
  UPDATE contacts SET root = NEW.into_contact WHERE tenant = NEW.tenant AND root = NEW.other_contact;
END;
-- next
CREATE VIEW IF NOT EXISTS contacts_separated (tenant, into_contact, other_contact, author, at)
  AS SELECT NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS contacts_separated_write INSTEAD OF INSERT ON contacts_separated BEGIN
  SELECT RAISE(ABORT, 'ventanilla:no-separation') WHERE NOT EXISTS (SELECT 1 FROM contacts k
    WHERE k.tenant = NEW.tenant AND k.id = NEW.other_contact AND k.joined_into = NEW.into_contact);
  UPDATE contact_joins SET undone_by = NEW.author, undone_at = NEW.at
    WHERE tenant = NEW.tenant AND into_contact = NEW.into_contact AND other_contact = NEW.other_contact AND undone_at IS NULL;
  UPDATE contacts SET joined_into = NULL WHERE tenant = NEW.tenant AND id = NEW.other_contact;
  -- The other one takes along what had been joined into it.
  UPDATE contacts SET root = NEW.other_contact
    WHERE tenant = NEW.tenant AND id IN (
      WITH RECURSIVE mine (id) AS (
        SELECT NEW.other_contact
        UNION SELECT k.id FROM contacts k JOIN mine ON k.tenant = NEW.tenant AND k.joined_into = mine.id)
      SELECT id FROM mine);
END;
