-- What comes in: envelopes, contacts, cases, events, tasks, and the one statement that writes them.
--
-- Rules of this folder: forward only. Statements are separated by a line `-- next` and run one by one, each by itself, so each
-- must be harmless when it has run before and when others run it at the same moment: `IF NOT EXISTS` everywhere, nothing is dropped.
-- A changed view or trigger gets a new name, because components of the version before still write through the old one.
--
-- The tenant comes first in every key. Text that came from outside is escaped (store_sdk::text) in columns and left alone in `json`.

CREATE TABLE IF NOT EXISTS tenants (
  code TEXT NOT NULL PRIMARY KEY,
  profile TEXT NOT NULL
) WITHOUT ROWID;
-- next
CREATE TABLE IF NOT EXISTS envelopes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  connector TEXT NOT NULL,
  method TEXT NOT NULL,
  target TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  verified_by TEXT NOT NULL,
  nonce TEXT,
  disposition TEXT NOT NULL CHECK (disposition IN ('pending', 'accepted', 'quarantined')),
  reason TEXT,
  events INTEGER NOT NULL DEFAULT 0,
  body_bytes INTEGER NOT NULL,
  headers TEXT NOT NULL,
  body BLOB NOT NULL
);
-- next
CREATE UNIQUE INDEX IF NOT EXISTS envelopes_by_id ON envelopes (tenant, id);
-- next
CREATE INDEX IF NOT EXISTS envelopes_to_look_at ON envelopes (tenant, disposition, seq) WHERE disposition <> 'accepted';
-- next
-- The ledger, kept with every envelope so that counting does not read them all.
CREATE TABLE IF NOT EXISTS ledger (
  tenant TEXT NOT NULL,
  connector TEXT NOT NULL,
  disposition TEXT NOT NULL,
  envelopes INTEGER NOT NULL DEFAULT 0,
  events INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant, connector, disposition)
) WITHOUT ROWID;
-- next
CREATE TABLE IF NOT EXISTS nonces (
  tenant TEXT NOT NULL,
  connector TEXT NOT NULL,
  nonce TEXT NOT NULL,
  binding TEXT NOT NULL,
  envelope TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, connector, nonce)
) WITHOUT ROWID;
-- next
-- `root` is the contact itself, or the one it was joined into, over any number of joins.
CREATE TABLE IF NOT EXISTS contacts (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT,
  joined_into TEXT,
  root TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
-- next
CREATE INDEX IF NOT EXISTS contacts_by_root ON contacts (tenant, root);
-- next
CREATE TABLE IF NOT EXISTS handles (
  tenant TEXT NOT NULL,
  scheme TEXT NOT NULL,
  value TEXT NOT NULL,
  contact TEXT NOT NULL,
  PRIMARY KEY (tenant, scheme, value)
) WITHOUT ROWID;
-- next
CREATE INDEX IF NOT EXISTS handles_by_contact ON handles (tenant, contact);
-- next
CREATE TABLE IF NOT EXISTS cases (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  reference TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'open', 'pending', 'resolved', 'closed')),
  channel TEXT NOT NULL,
  subject TEXT,
  contact TEXT,
  public INTEGER NOT NULL,
  department TEXT,
  service_code TEXT,
  priority INTEGER CHECK (priority BETWEEN 1 AND 5),
  assignee TEXT,
  opened_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  first_response_at INTEGER
);
-- next
CREATE UNIQUE INDEX IF NOT EXISTS cases_by_reference ON cases (tenant, reference);
-- next
CREATE INDEX IF NOT EXISTS cases_by_status ON cases (tenant, status, id);
-- next
CREATE INDEX IF NOT EXISTS cases_in_public ON cases (tenant, id) WHERE public;
-- next
-- The case a provider's conversation goes to now: the primary key is what keeps two deliveries from opening two.
CREATE TABLE IF NOT EXISTS threads (
  tenant TEXT NOT NULL,
  connector TEXT NOT NULL,
  thread TEXT NOT NULL,
  case_id INTEGER NOT NULL,
  PRIMARY KEY (tenant, connector, thread)
) WITHOUT ROWID;
-- next
CREATE TABLE IF NOT EXISTS events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  channel TEXT NOT NULL,
  connector TEXT NOT NULL,
  kind TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  envelope TEXT NOT NULL,
  case_id INTEGER,
  opened INTEGER NOT NULL,
  contact TEXT,
  scheme TEXT,
  handle TEXT,
  message_id TEXT,
  call_id TEXT,
  asks TEXT,
  settles INTEGER NOT NULL,
  search TEXT NOT NULL,
  json TEXT NOT NULL
);
-- next
CREATE UNIQUE INDEX IF NOT EXISTS events_once ON events (tenant, connector, idempotency_key);
-- next
CREATE INDEX IF NOT EXISTS events_by_tenant ON events (tenant, seq);
-- next
CREATE INDEX IF NOT EXISTS events_by_case ON events (tenant, case_id, seq) WHERE case_id IS NOT NULL;
-- next
CREATE INDEX IF NOT EXISTS events_by_message ON events (tenant, message_id) WHERE message_id IS NOT NULL;
-- next
CREATE TABLE IF NOT EXISTS tasks (
  tenant TEXT NOT NULL,
  case_id INTEGER NOT NULL,
  id TEXT NOT NULL,
  task TEXT NOT NULL CHECK (task IN ('call_back', 'review')),
  scheme TEXT,
  handle TEXT,
  created_at INTEGER NOT NULL,
  derived INTEGER NOT NULL,
  done_at INTEGER,
  done_by TEXT,
  PRIMARY KEY (tenant, case_id, id)
) WITHOUT ROWID;
-- next
-- Nobody is called back twice about one case.
CREATE UNIQUE INDEX IF NOT EXISTS tasks_one_call_back
  ON tasks (tenant, case_id, coalesce(scheme, ''), coalesce(handle, ''))
  WHERE task = 'call_back' AND done_at IS NULL;
-- next
CREATE TABLE IF NOT EXISTS notes (
  seq INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  case_id INTEGER NOT NULL,
  id TEXT NOT NULL,
  author TEXT NOT NULL,
  text TEXT NOT NULL,
  at INTEGER NOT NULL
);
-- next
CREATE INDEX IF NOT EXISTS notes_by_case ON notes (tenant, case_id, seq);
-- next
CREATE TABLE IF NOT EXISTS history (
  seq INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  case_id INTEGER NOT NULL,
  at INTEGER NOT NULL,
  author TEXT NOT NULL,
  field TEXT NOT NULL,
  before TEXT,
  after TEXT
);
-- next
CREATE INDEX IF NOT EXISTS history_by_case ON history (tenant, case_id, seq);
-- next
CREATE TABLE IF NOT EXISTS outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  connector TEXT NOT NULL,
  case_id INTEGER NOT NULL,
  event INTEGER NOT NULL,
  text TEXT NOT NULL,
  author TEXT NOT NULL,
  automatic INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sent', 'failed')),
  attempts INTEGER NOT NULL DEFAULT 0,
  due_at INTEGER NOT NULL,
  leased_until INTEGER,
  settled_at INTEGER,
  message_id TEXT,
  reason TEXT
);
-- next
CREATE UNIQUE INDEX IF NOT EXISTS outbox_by_id ON outbox (id);
-- next
CREATE INDEX IF NOT EXISTS outbox_queued ON outbox (due_at) WHERE state = 'queued';
-- next
CREATE INDEX IF NOT EXISTS outbox_by_message ON outbox (tenant, message_id) WHERE message_id IS NOT NULL;

-- next
-- Who takes part in a case.
CREATE VIEW IF NOT EXISTS participants (tenant, case_id, root) AS
  SELECT p.tenant, p.case_id, k.root FROM events p JOIN contacts k ON k.tenant = p.tenant AND k.id = p.contact;
-- next
-- The way of an intake: each view below is a step, its columns are what is known so far.
CREATE VIEW IF NOT EXISTS intake (document, body) AS SELECT NULL, NULL WHERE FALSE;
-- next
CREATE VIEW IF NOT EXISTS intake_envelope
  (id, fresh, tenant, connector, received_at, e, disposition, reason, news, events, body)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE VIEW IF NOT EXISTS intake_event (tenant, connector, channel, envelope, received_at, e)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE VIEW IF NOT EXISTS intake_person (tenant, connector, channel, envelope, received_at, e, contact)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE VIEW IF NOT EXISTS intake_case (tenant, connector, channel, envelope, received_at, e, contact, case_id, reference)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE VIEW IF NOT EXISTS intake_placed (tenant, connector, channel, envelope, received_at, e, contact, case_id, opened)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE VIEW IF NOT EXISTS intake_ended (tenant, connector, channel, envelope, received_at, e)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS intake_write INSTEAD OF INSERT ON intake BEGIN
  SELECT RAISE(ABORT, 'ventanilla:replayed') FROM nonces n
    WHERE n.tenant = NEW.document ->> '$.envelope.tenant' AND n.connector = NEW.document ->> '$.envelope.connector'
      AND n.nonce = NEW.document ->> '$.envelope.nonce' AND n.binding <> NEW.document ->> '$.envelope.binding';
  SELECT RAISE(ABORT, 'ventanilla:no-envelope')
    WHERE NEW.document ->> '$.envelope.known' AND NOT EXISTS (
      SELECT 1 FROM envelopes v
      WHERE v.tenant = NEW.document ->> '$.envelope.tenant' AND v.id = NEW.document ->> '$.envelope.id'
        AND v.connector = NEW.document ->> '$.envelope.connector');
  INSERT INTO intake_envelope
    SELECT coalesce(first.envelope, x.e ->> 'id'), first.envelope IS NULL AND NOT (x.e ->> 'known'),
      x.e ->> 'tenant', x.e ->> 'connector', x.e ->> 'received_at', x.e, x.e ->> 'disposition', x.e ->> 'reason',
      (SELECT count(DISTINCT p.value ->> 'key') FROM json_each(NEW.document, '$.events') p
        WHERE NOT EXISTS (SELECT 1 FROM events k WHERE k.tenant = x.e ->> 'tenant'
          AND k.connector = x.e ->> 'connector' AND k.idempotency_key = p.value ->> 'key')),
      NEW.document -> 'events', NEW.body
    FROM (SELECT NEW.document -> 'envelope' AS e) x
    LEFT JOIN nonces first ON NOT (x.e ->> 'known') AND first.tenant = x.e ->> 'tenant'
      AND first.connector = x.e ->> 'connector' AND first.nonce = x.e ->> 'nonce';
END;
-- next
CREATE TRIGGER IF NOT EXISTS intake_envelope_write INSTEAD OF INSERT ON intake_envelope BEGIN
  -- What was understood once stays understood; `pending` says nothing new.
  UPDATE ledger SET envelopes = ledger.envelopes - 1, events = ledger.events - v.events
    FROM (SELECT disposition, events FROM envelopes WHERE tenant = NEW.tenant AND id = NEW.id AND NOT NEW.fresh) v
    WHERE ledger.tenant = NEW.tenant AND ledger.connector = NEW.connector AND ledger.disposition = v.disposition;
  UPDATE envelopes SET
      reason = CASE WHEN NEW.disposition = 'pending' OR disposition = 'accepted' THEN reason ELSE NEW.reason END,
      disposition = CASE WHEN NEW.disposition = 'pending' OR disposition = 'accepted' THEN disposition ELSE NEW.disposition END,
      events = events + NEW.news
    WHERE tenant = NEW.tenant AND id = NEW.id AND NOT NEW.fresh;
  INSERT INTO envelopes (tenant, id, connector, method, target, received_at, verified_by, nonce, disposition, reason, events,
      body_bytes, headers, body)
    SELECT NEW.tenant, NEW.id, NEW.connector, NEW.e ->> 'method', NEW.e ->> 'target', NEW.received_at,
      NEW.e ->> 'verified_by', NEW.e ->> 'nonce', NEW.disposition, NEW.reason, NEW.news,
      length(NEW.body), NEW.e -> 'headers', NEW.body
    WHERE NEW.fresh;
  INSERT INTO ledger (tenant, connector, disposition, envelopes, events)
    SELECT tenant, connector, disposition, 1, events FROM envelopes WHERE tenant = NEW.tenant AND id = NEW.id
    ON CONFLICT DO UPDATE SET envelopes = envelopes + 1, events = events + excluded.events;
  INSERT INTO nonces (tenant, connector, nonce, binding, envelope, seen_at)
    SELECT NEW.tenant, NEW.connector, NEW.e ->> 'nonce', NEW.e ->> 'binding', NEW.id, NEW.received_at
    WHERE NEW.e ->> 'nonce' IS NOT NULL
    ON CONFLICT DO NOTHING;
  INSERT INTO intake_event
    SELECT NEW.tenant, NEW.connector, NEW.e ->> 'channel', NEW.id, NEW.received_at, p.value
    FROM json_each(NEW.events) p ORDER BY p.key;
  INSERT INTO intake_ended
    SELECT NEW.tenant, NEW.connector, NEW.e ->> 'channel', NEW.id, NEW.received_at, p.value
    FROM json_each(NEW.events) p WHERE p.value -> 'missed' IS NOT NULL ORDER BY p.key;
END;
-- next
-- A duplicate ends here.
CREATE TRIGGER IF NOT EXISTS intake_event_write INSTEAD OF INSERT ON intake_event
WHEN NOT EXISTS (SELECT 1 FROM events k WHERE k.tenant = NEW.tenant AND k.connector = NEW.connector
  AND k.idempotency_key = NEW.e ->> 'key')
BEGIN
  INSERT INTO handles (tenant, scheme, value, contact)
    SELECT NEW.tenant, NEW.e ->> 'scheme', NEW.e ->> 'handle', NEW.e ->> 'contact' WHERE NEW.e ->> 'contact' IS NOT NULL
    ON CONFLICT DO NOTHING;
  INSERT INTO contacts (tenant, id, name, root)
    SELECT h.tenant, h.contact, NEW.e ->> 'name', h.contact FROM handles h
    WHERE h.tenant = NEW.tenant AND h.scheme = NEW.e ->> 'scheme' AND h.value = NEW.e ->> 'handle'
    ON CONFLICT DO UPDATE SET name = excluded.name WHERE name IS NULL AND excluded.name IS NOT NULL;
  INSERT INTO intake_person
    SELECT NEW.tenant, NEW.connector, NEW.channel, NEW.envelope, NEW.received_at, NEW.e,
      (SELECT h.contact FROM handles h
        WHERE h.tenant = NEW.tenant AND h.scheme = NEW.e ->> 'scheme' AND h.value = NEW.e ->> 'handle');
END;
-- next
-- Finds the case. A resolved or closed one is not joined by a key, except by its own call; what only reports about
-- something (`existing`) joins it still, and so does correspondence, which opens it again.
CREATE TRIGGER IF NOT EXISTS intake_person_write INSTEAD OF INSERT ON intake_person BEGIN
  INSERT INTO intake_case
    SELECT NEW.tenant, NEW.connector, NEW.channel, NEW.envelope, NEW.received_at, NEW.e, NEW.contact, f.case_id,
      CASE WHEN f.case_id IS NULL AND NEW.e ->> 'thread' IN ('key', 'correspondence') THEN (
        SELECT r.value FROM json_each(NEW.e, '$.refs') r
        WHERE NOT EXISTS (SELECT 1 FROM cases c WHERE c.tenant = NEW.tenant AND c.reference = r.value)
        ORDER BY r.key LIMIT 1) END
    FROM (SELECT CASE
      WHEN NEW.e ->> 'thread' IN ('key', 'existing') THEN (
        SELECT t.case_id FROM threads t JOIN cases c ON c.id = t.case_id
        WHERE t.tenant = NEW.tenant AND t.connector = NEW.connector AND t.thread = NEW.e ->> 'thread_key'
          AND (c.status NOT IN ('resolved', 'closed') OR NEW.e ->> 'thread' = 'existing' OR NEW.e ->> 'kind' GLOB 'call.*'))
      WHEN NEW.e ->> 'thread' IN ('correspondence', 'existing_correspondence') THEN coalesce(
        (SELECT c.id FROM cases c WHERE c.tenant = NEW.tenant AND c.reference = NEW.e ->> 'token'),
        (SELECT z.case_id FROM (
          SELECT m.key AS place, coalesce(
            (SELECT v.case_id FROM events v
              WHERE v.tenant = NEW.tenant AND v.message_id = m.value AND v.case_id IS NOT NULL
                AND (NEW.e ->> 'thread' = 'existing_correspondence' OR EXISTS (SELECT 1 FROM participants q
                  WHERE q.tenant = NEW.tenant AND q.case_id = v.case_id AND q.root = me.root))
              ORDER BY v.seq DESC LIMIT 1),
            (SELECT o.case_id FROM outbox o
              WHERE o.tenant = NEW.tenant AND o.message_id = m.value
                AND (NEW.e ->> 'thread' = 'existing_correspondence' OR EXISTS (SELECT 1 FROM participants q
                  WHERE q.tenant = NEW.tenant AND q.case_id = o.case_id AND q.root = me.root))
              ORDER BY o.seq DESC LIMIT 1)) AS case_id
          FROM json_each(NEW.e, '$.message_ids') m
          LEFT JOIN contacts me ON me.tenant = NEW.tenant AND me.id = NEW.contact) z
          WHERE z.case_id IS NOT NULL ORDER BY z.place LIMIT 1))
      END AS case_id) f;
END;
-- next
CREATE TRIGGER IF NOT EXISTS intake_case_write INSTEAD OF INSERT ON intake_case BEGIN
  SELECT RAISE(ABORT, 'ventanilla:no-reference')
    WHERE NEW.case_id IS NULL AND NEW.reference IS NULL AND NEW.e ->> 'thread' IN ('key', 'correspondence');
  INSERT INTO cases (tenant, reference, channel, subject, contact, public, department, service_code, opened_at, updated_at)
    SELECT NEW.tenant, NEW.reference, NEW.channel, NEW.e ->> 'subject', NEW.contact, NEW.e ->> 'public', NEW.e ->> 'department',
      NEW.e ->> 'service_code', NEW.received_at, NEW.received_at
    WHERE NEW.reference IS NOT NULL;
  INSERT INTO intake_placed
    SELECT NEW.tenant, NEW.connector, NEW.channel, NEW.envelope, NEW.received_at, NEW.e, NEW.contact,
      coalesce(NEW.case_id, (SELECT c.id FROM cases c WHERE c.tenant = NEW.tenant AND c.reference = NEW.reference)),
      NEW.reference IS NOT NULL;
END;
-- next
CREATE TRIGGER IF NOT EXISTS intake_placed_write INSTEAD OF INSERT ON intake_placed BEGIN
  INSERT INTO events (tenant, id, channel, connector, kind, idempotency_key, received_at, envelope, case_id, opened, contact,
      scheme, handle, message_id, call_id, asks, settles, search, json)
    VALUES (NEW.tenant, NEW.e ->> 'id', NEW.channel, NEW.connector, NEW.e ->> 'kind', NEW.e ->> 'key', NEW.received_at,
      NEW.envelope, NEW.case_id, NEW.opened, NEW.contact, NEW.e ->> 'scheme', NEW.e ->> 'handle', NEW.e ->> 'message_id',
      NEW.e ->> 'call_id', NEW.e ->> 'asks', NEW.e ->> 'settles', NEW.e ->> 'search', NEW.e -> 'json');
  INSERT INTO threads (tenant, connector, thread, case_id)
    SELECT NEW.tenant, NEW.connector, NEW.e ->> 'thread_key', NEW.case_id
    WHERE NEW.opened AND NEW.e ->> 'thread' = 'key'
    ON CONFLICT DO UPDATE SET case_id = excluded.case_id;
  INSERT INTO history (tenant, case_id, at, author, field, before, after)
    SELECT NEW.tenant, c.id, NEW.received_at, 'ventanilla', 'status', c.status, 'open' FROM cases c
    WHERE c.id = NEW.case_id AND NEW.e ->> 'wakes' AND c.status IN ('pending', 'resolved', 'closed');
  -- The caller's last choice of a department counts until staff have chosen one.
  UPDATE cases SET
      updated_at = max(updated_at, NEW.received_at),
      status = CASE WHEN NEW.e ->> 'wakes' AND status IN ('pending', 'resolved', 'closed') THEN 'open' ELSE status END,
      contact = coalesce(contact, NEW.contact),
      subject = coalesce(subject, NEW.e ->> 'subject'),
      service_code = coalesce(service_code, NEW.e ->> 'service_code'),
      department = CASE WHEN NEW.e ->> 'department' IS NULL OR EXISTS (SELECT 1 FROM history h
          WHERE h.tenant = NEW.tenant AND h.case_id = NEW.case_id AND h.field = 'department')
        THEN department ELSE NEW.e ->> 'department' END
    WHERE id = NEW.case_id AND NOT NEW.opened;
  -- The caller has left something, or was reached, after all.
  INSERT INTO history (tenant, case_id, at, author, field, before, after)
    SELECT t.tenant, t.case_id, NEW.received_at, 'ventanilla', 'task', t.task, 'withdrawn' FROM tasks t
    WHERE t.tenant = NEW.tenant AND t.case_id = NEW.case_id AND t.derived AND t.done_at IS NULL AND NEW.e ->> 'settles';
  UPDATE tasks SET done_at = NEW.received_at, done_by = 'ventanilla'
    WHERE tenant = NEW.tenant AND case_id = NEW.case_id AND derived AND done_at IS NULL AND NEW.e ->> 'settles';
  INSERT INTO tasks (tenant, case_id, id, task, scheme, handle, created_at, derived)
    SELECT NEW.tenant, NEW.case_id, NEW.e ->> 'task_id',
      CASE WHEN w.handle IS NULL THEN 'review' ELSE NEW.e ->> 'task' END, w.scheme, w.handle, NEW.received_at, FALSE
    FROM (SELECT 1) LEFT JOIN (
      SELECT 0 AS place, NEW.e ->> 'task_scheme' AS scheme, NEW.e ->> 'task_handle' AS handle
        WHERE NEW.e ->> 'task_handle' IS NOT NULL
      UNION ALL SELECT seq, scheme, handle FROM events
        WHERE tenant = NEW.tenant AND case_id = NEW.case_id AND handle IS NOT NULL
      ORDER BY place LIMIT 1) w
    WHERE NEW.e ->> 'task' IS NOT NULL AND NEW.case_id IS NOT NULL
    ON CONFLICT DO NOTHING;
END;
-- next
-- A call that is over and in which nothing settles that somebody was reached or something was left.
CREATE TRIGGER IF NOT EXISTS intake_ended_write INSTEAD OF INSERT ON intake_ended BEGIN
  INSERT INTO events (tenant, id, channel, connector, kind, idempotency_key, received_at, envelope, case_id, opened, contact,
      scheme, handle, call_id, settles, search, json)
    SELECT x.tenant, NEW.e ->> '$.missed.id', x.channel, x.connector, 'call.missed', NEW.e ->> '$.missed.key', x.received_at,
      x.envelope, x.case_id, FALSE, s.contact, s.scheme, s.handle, x.call_id, TRUE,
      CASE WHEN s.seq = x.seq OR s.seq IS NULL THEN NEW.e ->> '$.missed.search'
        ELSE lower(s.handle) || char(10) || (NEW.e ->> '$.missed.search') END,
      CASE WHEN s.seq = x.seq OR s.seq IS NULL THEN NEW.e -> '$.missed.json'
        ELSE json_set(NEW.e -> '$.missed.json', '$.sender', s.json -> 'sender', '$.sender_scheme', s.json -> 'sender_scheme') END
    FROM events x
    LEFT JOIN events s ON s.seq = coalesce(
      CASE WHEN x.handle IS NOT NULL THEN x.seq END,
      (SELECT min(k.seq) FROM events k WHERE k.tenant = x.tenant AND k.case_id = x.case_id AND k.handle IS NOT NULL))
    WHERE x.tenant = NEW.tenant AND x.connector = NEW.connector AND x.idempotency_key = NEW.e ->> 'key'
      AND x.id = NEW.e ->> 'id' AND x.case_id IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM events y WHERE y.tenant = x.tenant AND y.case_id = x.case_id
        AND (y.settles OR EXISTS (SELECT 1 FROM cases a WHERE a.tenant = y.tenant AND a.reference = y.asks)))
    ON CONFLICT DO NOTHING;
  INSERT INTO tasks (tenant, case_id, id, task, scheme, handle, created_at, derived)
    SELECT m.tenant, m.case_id, NEW.e ->> '$.missed.task_id', CASE WHEN m.handle IS NULL THEN 'review' ELSE 'call_back' END,
      m.scheme, m.handle, m.received_at, TRUE
    FROM events m
    WHERE m.tenant = NEW.tenant AND m.connector = NEW.connector AND m.idempotency_key = NEW.e ->> '$.missed.key'
      AND m.id = NEW.e ->> '$.missed.id'
    ON CONFLICT DO NOTHING;
END;
-- next
-- What is read: a contact with everything joined into it, and a case as people see it.
CREATE VIEW IF NOT EXISTS contact_rows (tenant, id, contact) AS
  SELECT k.tenant, k.id, json_object(
    'id', r.id,
    'name', coalesce(r.name, (SELECT m.name FROM contacts m WHERE m.tenant = k.tenant AND m.root = k.root AND m.name IS NOT NULL
      ORDER BY m.id LIMIT 1)),
    'handles', json((SELECT json_group_array(json_object('scheme', h.scheme, 'value', h.value))
      FROM contacts m JOIN handles h ON h.tenant = m.tenant AND h.contact = m.id WHERE m.tenant = k.tenant AND m.root = k.root)))
  FROM contacts k JOIN contacts r ON r.tenant = k.tenant AND r.id = k.root;
-- next
CREATE VIEW IF NOT EXISTS case_rows (tenant, id, reference, status, channel, summary) AS
  SELECT c.tenant, c.id, c.reference, c.status, c.channel, json_object(
    'reference', c.reference, 'tenant', c.tenant, 'status', c.status, 'channel', c.channel, 'subject', c.subject,
    'contact', json((SELECT k.contact FROM contact_rows k WHERE k.tenant = c.tenant AND k.id = c.contact)),
    'department', c.department, 'service_code', c.service_code, 'priority', c.priority, 'assignee', c.assignee,
    'opened_at', c.opened_at, 'updated_at', c.updated_at, 'first_response_at', c.first_response_at,
    'tasks', json((SELECT json_group_array(json_object('id', t.id, 'task', t.task, 'scheme', t.scheme, 'handle', t.handle,
        'created_at', t.created_at))
      FROM tasks t WHERE t.tenant = c.tenant AND t.case_id = c.id AND t.done_at IS NULL)))
  FROM cases c;
-- next
CREATE VIEW IF NOT EXISTS event_rows (seq, tenant, case_id, connector, event) AS
  SELECT v.seq, v.tenant, v.case_id, v.connector, json_object('id', v.id, 'tenant', v.tenant, 'channel', v.channel,
    'connector', v.connector, 'received_at', v.received_at, 'event', json(v.json),
    'reference', (SELECT c.reference FROM cases c WHERE c.id = v.case_id))
  FROM events v;
