-- The one statement again, with columns: what is asked of the document is asked once, and steps of one row are given as VALUES.
-- (SQLite keeps what `INSERT … SELECT` gives a view in a table of its own first: opening one costs as much as writing three rows.
-- The first version spent more than half its time on those and on reading the same JSON again in each step.)
--
-- (A column of json_each is rendered anew for every mention of it, unless a LIMIT keeps the inner SELECT apart.)
-- What a step does only sometimes is a view with a WHEN: what never happens to most calls costs them nothing.
-- `events` is the JSON array of store_sdk::intake; `only_key` is the idempotency key of its one event, if it has one;
-- `ended` says whether one of them ends a call.

CREATE VIEW IF NOT EXISTS intake_2
  (id, known, tenant, connector, channel, method, target, headers, received_at, verified_by, nonce, binding, disposition, reason,
    only_key, ended, events, body)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE VIEW IF NOT EXISTS intake_kept_2
  (id, fresh, news, tenant, connector, method, target, headers, received_at, verified_by, nonce, binding, disposition, reason, body)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE VIEW IF NOT EXISTS intake_event_2
  (tenant, connector, channel, envelope, received_at, id, key, kind, name, scheme, handle, contact, thread, thread_key, token,
    message_ids, refs, message_id, call_id, subject, department, service_code, asks, public, settles, wakes, task, task_id,
    task_scheme, task_handle, acknowledgement, acceptance, search, json)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
-- `case_id` is the case it belongs to, as far as there is one; `contact` is the stored one from here on.
CREATE VIEW IF NOT EXISTS intake_case_2
  (tenant, connector, channel, envelope, received_at, id, key, kind, scheme, handle, contact, case_id, thread, thread_key,
    refs, message_id, call_id, subject, department, service_code, asks, public, settles, wakes, task, task_id,
    task_scheme, task_handle, acknowledgement, acceptance, search, json)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE VIEW IF NOT EXISTS intake_placed_2
  (tenant, connector, channel, envelope, received_at, id, key, kind, scheme, handle, contact, case_id, opened, thread_key,
    message_id, call_id, subject, department, service_code, asks, settles, wakes, task, task_id,
    task_scheme, task_handle, acknowledgement, acceptance, search, json)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE VIEW IF NOT EXISTS intake_joined_2
  (tenant, case_id, opened, received_at, contact, subject, department, service_code, settles, wakes)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE VIEW IF NOT EXISTS intake_task_2 (tenant, case_id, received_at, task, id, scheme, handle)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE VIEW IF NOT EXISTS intake_acknowledged_2 (tenant, connector, case_id, event, received_at, outbox, thread, sender)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE VIEW IF NOT EXISTS intake_ends_2 (ended, tenant, connector, channel, envelope, received_at, events)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS intake_2_write INSTEAD OF INSERT ON intake_2 BEGIN
  SELECT RAISE(ABORT, 'ventanilla:replayed') FROM nonces n
    WHERE n.tenant = NEW.tenant AND n.connector = NEW.connector AND n.nonce = NEW.nonce AND n.binding <> NEW.binding;
  SELECT RAISE(ABORT, 'ventanilla:no-envelope')
    WHERE NEW.known AND NOT EXISTS (SELECT 1 FROM envelopes v
      WHERE v.tenant = NEW.tenant AND v.id = NEW.id AND v.connector = NEW.connector);
  INSERT INTO intake_kept_2 VALUES (
    CASE WHEN NEW.known OR NEW.nonce IS NULL THEN NEW.id ELSE coalesce((SELECT n.envelope FROM nonces n
      WHERE n.tenant = NEW.tenant AND n.connector = NEW.connector AND n.nonce = NEW.nonce), NEW.id) END,
    NOT NEW.known AND NOT EXISTS (SELECT 1 FROM nonces n
      WHERE n.tenant = NEW.tenant AND n.connector = NEW.connector AND n.nonce = NEW.nonce),
    CASE WHEN NEW.only_key IS NOT NULL THEN NOT EXISTS (SELECT 1 FROM events k
        WHERE k.tenant = NEW.tenant AND k.connector = NEW.connector AND k.idempotency_key = NEW.only_key)
      ELSE (SELECT count(DISTINCT p.value ->> 'key') FROM json_each(NEW.events) p
        WHERE NOT EXISTS (SELECT 1 FROM events k WHERE k.tenant = NEW.tenant
          AND k.connector = NEW.connector AND k.idempotency_key = p.value ->> 'key')) END,
    NEW.tenant, NEW.connector, NEW.method, NEW.target, NEW.headers, NEW.received_at, NEW.verified_by, NEW.nonce, NEW.binding,
    NEW.disposition, NEW.reason, NEW.body);
  INSERT INTO intake_event_2
    SELECT NEW.tenant, NEW.connector, NEW.channel,
      CASE WHEN NEW.known OR NEW.nonce IS NULL THEN NEW.id ELSE (SELECT n.envelope FROM nonces n
        WHERE n.tenant = NEW.tenant AND n.connector = NEW.connector AND n.nonce = NEW.nonce) END,
      NEW.received_at, x.e ->> 'id', x.e ->> 'key', x.e ->> 'kind', x.e ->> 'name', x.e ->> 'scheme',
      x.e ->> 'handle', x.e ->> 'contact', x.e ->> 'thread', x.e ->> 'thread_key', x.e ->> 'token',
      x.e -> 'message_ids', x.e -> 'refs', x.e ->> 'message_id', x.e ->> 'call_id', x.e ->> 'subject',
      x.e ->> 'department', x.e ->> 'service_code', x.e ->> 'asks', x.e ->> 'public', x.e ->> 'settles',
      x.e ->> 'wakes', x.e ->> 'task', x.e ->> 'task_id', x.e ->> 'task_scheme', x.e ->> 'task_handle',
      x.e ->> 'acknowledgement', x.e ->> 'acceptance', x.e ->> 'search', x.e -> 'json'
    FROM (SELECT p.value AS e FROM json_each(NEW.events) p ORDER BY p.rowid LIMIT -1) x;
  INSERT INTO intake_ends_2 VALUES (NEW.ended, NEW.tenant, NEW.connector, NEW.channel,
    CASE WHEN NEW.known OR NEW.nonce IS NULL THEN NEW.id ELSE (SELECT n.envelope FROM nonces n
      WHERE n.tenant = NEW.tenant AND n.connector = NEW.connector AND n.nonce = NEW.nonce) END,
    NEW.received_at, NEW.events);
END;
-- next
CREATE TRIGGER IF NOT EXISTS intake_kept_2_new INSTEAD OF INSERT ON intake_kept_2 WHEN NEW.fresh BEGIN
  INSERT INTO envelopes (tenant, id, connector, method, target, received_at, verified_by, nonce, disposition, reason, events,
      body_bytes, headers, body)
    VALUES (NEW.tenant, NEW.id, NEW.connector, NEW.method, NEW.target, NEW.received_at, NEW.verified_by, NEW.nonce,
      NEW.disposition, NEW.reason, NEW.news, length(NEW.body), NEW.headers, NEW.body);
  INSERT INTO ledger (tenant, connector, disposition, envelopes, events)
    VALUES (NEW.tenant, NEW.connector, NEW.disposition, 1, NEW.news)
    ON CONFLICT DO UPDATE SET envelopes = envelopes + 1, events = events + excluded.events;
  INSERT INTO nonces (tenant, connector, nonce, binding, envelope, seen_at)
    SELECT NEW.tenant, NEW.connector, NEW.nonce, NEW.binding, NEW.id, NEW.received_at WHERE NEW.nonce IS NOT NULL
    ON CONFLICT DO NOTHING;
END;
-- next
-- What was understood once stays understood; `pending` says nothing new.
CREATE TRIGGER IF NOT EXISTS intake_kept_2_again INSTEAD OF INSERT ON intake_kept_2 WHEN NOT NEW.fresh BEGIN
  UPDATE ledger SET envelopes = ledger.envelopes - 1, events = ledger.events - v.events
    FROM (SELECT disposition, events FROM envelopes WHERE tenant = NEW.tenant AND id = NEW.id) v
    WHERE ledger.tenant = NEW.tenant AND ledger.connector = NEW.connector AND ledger.disposition = v.disposition;
  UPDATE envelopes SET
      reason = CASE WHEN NEW.disposition = 'pending' OR disposition = 'accepted' THEN reason ELSE NEW.reason END,
      disposition = CASE WHEN NEW.disposition = 'pending' OR disposition = 'accepted' THEN disposition ELSE NEW.disposition END,
      events = events + NEW.news
    WHERE tenant = NEW.tenant AND id = NEW.id;
  INSERT INTO ledger (tenant, connector, disposition, envelopes, events)
    SELECT tenant, connector, disposition, 1, events FROM envelopes WHERE tenant = NEW.tenant AND id = NEW.id
    ON CONFLICT DO UPDATE SET envelopes = envelopes + 1, events = events + excluded.events;
  INSERT INTO nonces (tenant, connector, nonce, binding, envelope, seen_at)
    SELECT NEW.tenant, NEW.connector, NEW.nonce, NEW.binding, NEW.id, NEW.received_at WHERE NEW.nonce IS NOT NULL
    ON CONFLICT DO NOTHING;
END;
-- next
-- A duplicate ends here. The case is found as in the first version: a resolved or closed one is not joined by a key, except by its
-- own call; what only reports about something (`existing`) joins it still, and so does correspondence, which opens it again.
CREATE TRIGGER IF NOT EXISTS intake_event_2_write INSTEAD OF INSERT ON intake_event_2
WHEN NOT EXISTS (SELECT 1 FROM events k WHERE k.tenant = NEW.tenant AND k.connector = NEW.connector
  AND k.idempotency_key = NEW.key)
BEGIN
  INSERT INTO handles (tenant, scheme, value, contact)
    SELECT NEW.tenant, NEW.scheme, NEW.handle, NEW.contact WHERE NEW.contact IS NOT NULL
    ON CONFLICT DO NOTHING;
  INSERT INTO contacts (tenant, id, name, root)
    SELECT h.tenant, h.contact, NEW.name, h.contact FROM handles h
    WHERE h.tenant = NEW.tenant AND h.scheme = NEW.scheme AND h.value = NEW.handle
    ON CONFLICT DO UPDATE SET name = excluded.name WHERE name IS NULL AND excluded.name IS NOT NULL;
  INSERT INTO intake_case_2 VALUES (
    NEW.tenant, NEW.connector, NEW.channel, NEW.envelope, NEW.received_at, NEW.id, NEW.key, NEW.kind, NEW.scheme, NEW.handle,
    (SELECT h.contact FROM handles h WHERE h.tenant = NEW.tenant AND h.scheme = NEW.scheme AND h.value = NEW.handle),
    CASE
      WHEN NEW.thread IN ('key', 'existing') THEN (
        SELECT t.case_id FROM threads t CROSS JOIN cases c ON c.id = t.case_id
        WHERE t.tenant = NEW.tenant AND t.connector = NEW.connector AND t.thread = NEW.thread_key
          AND (c.status NOT IN ('resolved', 'closed') OR NEW.thread = 'existing' OR NEW.kind GLOB 'call.*'))
      WHEN NEW.thread IN ('correspondence', 'existing_correspondence') THEN coalesce(
        (SELECT c.id FROM cases c WHERE c.tenant = NEW.tenant AND c.reference = NEW.token),
        (SELECT z.case_id FROM (
          SELECT m.key AS place, coalesce(
            (SELECT v.case_id FROM events v
              WHERE v.tenant = NEW.tenant AND v.message_id = m.value AND v.case_id IS NOT NULL
                AND (NEW.thread = 'existing_correspondence' OR EXISTS (SELECT 1 FROM participants q
                  WHERE q.tenant = NEW.tenant AND q.case_id = v.case_id AND q.root = me.root))
              ORDER BY v.seq DESC LIMIT 1),
            (SELECT o.case_id FROM outbox o
              WHERE o.tenant = NEW.tenant AND o.message_id = m.value
                AND (NEW.thread = 'existing_correspondence' OR EXISTS (SELECT 1 FROM participants q
                  WHERE q.tenant = NEW.tenant AND q.case_id = o.case_id AND q.root = me.root))
              ORDER BY o.seq DESC LIMIT 1)) AS case_id
          FROM json_each(NEW.message_ids) m
          LEFT JOIN handles h ON h.tenant = NEW.tenant AND h.scheme = NEW.scheme AND h.value = NEW.handle
          LEFT JOIN contacts me ON me.tenant = NEW.tenant AND me.id = h.contact) z
          WHERE z.case_id IS NOT NULL ORDER BY z.place LIMIT 1))
    END,
    NEW.thread, NEW.thread_key, NEW.refs, NEW.message_id, NEW.call_id, NEW.subject, NEW.department, NEW.service_code, NEW.asks,
    NEW.public, NEW.settles, NEW.wakes, NEW.task, NEW.task_id, NEW.task_scheme, NEW.task_handle, NEW.acknowledgement,
    NEW.acceptance, NEW.search, NEW.json);
END;
-- next
CREATE TRIGGER IF NOT EXISTS intake_case_2_new INSTEAD OF INSERT ON intake_case_2
WHEN NEW.case_id IS NULL AND NEW.thread IN ('key', 'correspondence')
BEGIN
  INSERT INTO cases (tenant, reference, channel, subject, contact, public, department, service_code, opened_at, updated_at)
    VALUES (NEW.tenant, coalesce((SELECT r.value FROM json_each(NEW.refs) r
        WHERE NOT EXISTS (SELECT 1 FROM cases c WHERE c.tenant = NEW.tenant AND c.reference = r.value) ORDER BY r.rowid LIMIT 1),
        RAISE(ABORT, 'ventanilla:no-reference')),
      NEW.channel, NEW.subject, NEW.contact, NEW.public, NEW.department, NEW.service_code, NEW.received_at, NEW.received_at);
  INSERT INTO intake_placed_2 VALUES (
    NEW.tenant, NEW.connector, NEW.channel, NEW.envelope, NEW.received_at, NEW.id, NEW.key, NEW.kind, NEW.scheme, NEW.handle,
    NEW.contact, last_insert_rowid(), TRUE, CASE WHEN NEW.thread = 'key' THEN NEW.thread_key END, NEW.message_id, NEW.call_id,
    NEW.subject, NEW.department, NEW.service_code, NEW.asks, NEW.settles, NEW.wakes, NEW.task, NEW.task_id, NEW.task_scheme,
    NEW.task_handle, NEW.acknowledgement, NEW.acceptance, NEW.search, NEW.json);
END;
-- next
CREATE TRIGGER IF NOT EXISTS intake_case_2_known INSTEAD OF INSERT ON intake_case_2
WHEN NOT (NEW.case_id IS NULL AND NEW.thread IN ('key', 'correspondence'))
BEGIN
  INSERT INTO intake_placed_2 VALUES (
    NEW.tenant, NEW.connector, NEW.channel, NEW.envelope, NEW.received_at, NEW.id, NEW.key, NEW.kind, NEW.scheme, NEW.handle,
    NEW.contact, NEW.case_id, FALSE, CASE WHEN NEW.thread IN ('key', 'existing') THEN NEW.thread_key END, NEW.message_id,
    NEW.call_id, NEW.subject, NEW.department, NEW.service_code, NEW.asks, NEW.settles, NEW.wakes, NEW.task, NEW.task_id,
    NEW.task_scheme, NEW.task_handle, NEW.acknowledgement, NEW.acceptance, NEW.search, NEW.json);
END;
-- next
CREATE TRIGGER IF NOT EXISTS intake_placed_2_write INSTEAD OF INSERT ON intake_placed_2 BEGIN
  INSERT INTO events (tenant, id, channel, connector, kind, idempotency_key, received_at, envelope, case_id, opened, contact,
      scheme, handle, message_id, call_id, asks, settles, search, json)
    VALUES (NEW.tenant, NEW.id, NEW.channel, NEW.connector, NEW.kind, NEW.key, NEW.received_at, NEW.envelope, NEW.case_id,
      NEW.opened, NEW.contact, NEW.scheme, NEW.handle, NEW.message_id, NEW.call_id, NEW.asks, NEW.settles, NEW.search, NEW.json);
  INSERT INTO threads (tenant, connector, thread, case_id)
    SELECT NEW.tenant, NEW.connector, NEW.thread_key, NEW.case_id WHERE NEW.opened AND NEW.thread_key IS NOT NULL
    ON CONFLICT DO UPDATE SET case_id = excluded.case_id;
  INSERT INTO intake_joined_2 VALUES (NEW.tenant, NEW.case_id, NEW.opened, NEW.received_at, NEW.contact, NEW.subject,
    NEW.department, NEW.service_code, NEW.settles, NEW.wakes);
  INSERT INTO intake_task_2 VALUES (NEW.tenant, NEW.case_id, NEW.received_at, NEW.task, NEW.task_id, NEW.task_scheme,
    NEW.task_handle);
  INSERT INTO intake_acknowledged_2 VALUES (NEW.tenant, NEW.connector, NEW.case_id, NEW.key, NEW.received_at,
    NEW.acknowledgement, 'thread:' || coalesce('key:' || NEW.thread_key, 'case:' || NEW.case_id),
    'sender:' || NEW.scheme || ':' || NEW.handle);
  -- A request to follow: the acceptance is due whatever the profile says.
  INSERT INTO outbox (tenant, id, connector, case_id, event, text, author, automatic, created_at, due_at)
    SELECT NEW.tenant, NEW.acceptance, NEW.connector, NEW.case_id, (SELECT v.seq FROM events v
        WHERE v.tenant = NEW.tenant AND v.connector = NEW.connector AND v.idempotency_key = NEW.key),
      '', 'ventanilla', TRUE, NEW.received_at, NEW.received_at
    WHERE NEW.acceptance IS NOT NULL AND NEW.case_id IS NOT NULL;
END;
-- next
-- What an event does to a case that was there: wakes it, adds what was not known, withdraws what is settled. The caller's last choice
-- of a department counts until staff have chosen one.
CREATE TRIGGER IF NOT EXISTS intake_joined_2_write INSTEAD OF INSERT ON intake_joined_2
WHEN NEW.case_id IS NOT NULL AND NOT NEW.opened
BEGIN
  INSERT INTO history (tenant, case_id, at, author, field, before, after)
    SELECT NEW.tenant, c.id, NEW.received_at, 'ventanilla', 'status', c.status, 'open' FROM cases c
    WHERE c.id = NEW.case_id AND NEW.wakes AND c.status IN ('pending', 'resolved', 'closed');
  UPDATE cases SET
      updated_at = max(updated_at, NEW.received_at),
      status = CASE WHEN NEW.wakes AND status IN ('pending', 'resolved', 'closed') THEN 'open' ELSE status END,
      contact = coalesce(contact, NEW.contact),
      subject = coalesce(subject, NEW.subject),
      service_code = coalesce(service_code, NEW.service_code),
      department = CASE WHEN NEW.department IS NULL OR EXISTS (SELECT 1 FROM history h
          WHERE h.tenant = NEW.tenant AND h.case_id = NEW.case_id AND h.field = 'department')
        THEN department ELSE NEW.department END
    WHERE id = NEW.case_id;
  INSERT INTO history (tenant, case_id, at, author, field, before, after)
    SELECT t.tenant, t.case_id, NEW.received_at, 'ventanilla', 'task', t.task, 'withdrawn' FROM tasks t
    WHERE NEW.settles AND t.tenant = NEW.tenant AND t.case_id = NEW.case_id AND t.derived AND t.done_at IS NULL;
  UPDATE tasks SET done_at = NEW.received_at, done_by = 'ventanilla'
    WHERE NEW.settles AND tenant = NEW.tenant AND case_id = NEW.case_id AND derived AND done_at IS NULL;
END;
-- next
CREATE TRIGGER IF NOT EXISTS intake_task_2_write INSTEAD OF INSERT ON intake_task_2
WHEN NEW.task IS NOT NULL AND NEW.case_id IS NOT NULL
BEGIN
  INSERT INTO tasks (tenant, case_id, id, task, scheme, handle, created_at, derived)
    SELECT NEW.tenant, NEW.case_id, NEW.id, CASE WHEN w.handle IS NULL THEN 'review' ELSE NEW.task END, w.scheme, w.handle,
      NEW.received_at, FALSE
    FROM (SELECT 1) LEFT JOIN (
      SELECT 0 AS place, NEW.scheme AS scheme, NEW.handle AS handle WHERE NEW.handle IS NOT NULL
      UNION ALL SELECT seq, scheme, handle FROM events
        WHERE tenant = NEW.tenant AND case_id = NEW.case_id AND handle IS NOT NULL
      ORDER BY place LIMIT 1) w
    WHERE TRUE
    ON CONFLICT DO NOTHING;
END;
-- next
-- Once per thread and day, five times per sender and day: two machines that answer each other come to an end. And not into a
-- conversation that staff are having. `event` is the event's idempotency key.
CREATE TRIGGER IF NOT EXISTS intake_acknowledged_2_write INSTEAD OF INSERT ON intake_acknowledged_2
WHEN NEW.outbox IS NOT NULL AND NEW.case_id IS NOT NULL
  AND EXISTS (SELECT 1 FROM acknowledging a WHERE a.tenant = NEW.tenant)
  AND NOT EXISTS (SELECT 1 FROM acknowledgements a
    WHERE a.tenant = NEW.tenant AND a.connector = NEW.connector AND a.what = NEW.thread AND a.since > NEW.received_at - 86400000)
  AND NOT EXISTS (SELECT 1 FROM acknowledgements a
    WHERE a.tenant = NEW.tenant AND a.connector = NEW.connector AND a.what = NEW.sender AND a.since > NEW.received_at - 86400000
      AND a.count >= 5)
BEGIN
  INSERT INTO outbox (tenant, id, connector, case_id, event, text, author, automatic, created_at, due_at)
    SELECT v.tenant, NEW.outbox, v.connector, v.case_id, v.seq, '', 'ventanilla', TRUE, NEW.received_at, NEW.received_at
    FROM events v INDEXED BY events_once
    WHERE v.tenant = NEW.tenant AND v.connector = NEW.connector AND v.idempotency_key = NEW.event
      AND NOT EXISTS (SELECT 1 FROM outbox o INDEXED BY outbox_by_case
        WHERE o.tenant = v.tenant AND o.case_id = v.case_id AND NOT o.automatic AND o.created_at > NEW.received_at - 86400000);
  INSERT INTO acknowledgements (tenant, connector, what, since, count)
    SELECT NEW.tenant, NEW.connector, w.value, NEW.received_at, 1
    FROM json_each(json_array(NEW.thread, NEW.sender)) w WHERE EXISTS (SELECT 1 FROM outbox o WHERE o.id = NEW.outbox)
    ON CONFLICT DO UPDATE SET
      count = CASE WHEN since > excluded.since - 86400000 THEN count + 1 ELSE 1 END,
      since = CASE WHEN since > excluded.since - 86400000 THEN since ELSE excluded.since END;
END;
-- next
-- Looked at when all events of the envelope are written: what settles a call may come with its end. The step is the first version's.
CREATE TRIGGER IF NOT EXISTS intake_ends_2_write INSTEAD OF INSERT ON intake_ends_2 WHEN NEW.ended BEGIN
  INSERT INTO intake_ended
    SELECT NEW.tenant, NEW.connector, NEW.channel, NEW.envelope, NEW.received_at, p.value
    FROM json_each(NEW.events) p WHERE p.value -> 'missed' IS NOT NULL ORDER BY p.rowid;
END;
