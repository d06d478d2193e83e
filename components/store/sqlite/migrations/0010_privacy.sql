-- Retention, erasure, removal, and the audit of them (wit/store/privacy.wit).
--
-- `erased`: the audit entry of the erasure. `held`: why a case is on hold. `retained`: the kinds of which nothing is left any more, as bits; what
-- comes to the case afterwards is looked at again.

ALTER TABLE envelopes ADD COLUMN erased TEXT;
-- next
ALTER TABLE events ADD COLUMN retained INTEGER NOT NULL DEFAULT 0;
-- next
ALTER TABLE cases ADD COLUMN retained INTEGER NOT NULL DEFAULT 0;
-- next
ALTER TABLE cases ADD COLUMN erased TEXT;
-- next
ALTER TABLE cases ADD COLUMN held TEXT;
-- next
-- The row's end is behind the body, so it is not read for this.
CREATE INDEX IF NOT EXISTS envelopes_erased ON envelopes (tenant, id, erased) WHERE erased IS NOT NULL;
-- next
CREATE INDEX IF NOT EXISTS envelopes_by_erasure ON envelopes (tenant, erased) WHERE erased IS NOT NULL;
-- next
CREATE INDEX IF NOT EXISTS envelopes_alone ON envelopes (tenant, received_at)
  WHERE events = 0 AND disposition = 'accepted' AND erased IS NULL;
-- next
CREATE INDEX IF NOT EXISTS events_by_contact ON events (tenant, contact) WHERE contact IS NOT NULL;
-- next
CREATE INDEX IF NOT EXISTS events_by_envelope ON events (tenant, envelope);
-- next
CREATE INDEX IF NOT EXISTS events_alone ON events (tenant, retained, received_at) WHERE case_id IS NULL;
-- next
CREATE INDEX IF NOT EXISTS cases_by_contact ON cases (tenant, contact) WHERE contact IS NOT NULL;
-- next
CREATE INDEX IF NOT EXISTS cases_finished ON cases (tenant, retained, updated_at)
  WHERE status IN ('resolved', 'closed') AND erased IS NULL AND held IS NULL;
-- next
CREATE INDEX IF NOT EXISTS threads_by_case ON threads (tenant, case_id);
-- next
-- Envelopes in which an event came again: they tell of the same person.
CREATE TABLE IF NOT EXISTS again (
  tenant TEXT NOT NULL,
  event INTEGER NOT NULL,
  envelope TEXT NOT NULL,
  PRIMARY KEY (tenant, event, envelope)
) WITHOUT ROWID;
-- next
CREATE TRIGGER IF NOT EXISTS intake_event_2_again INSTEAD OF INSERT ON intake_event_2
WHEN EXISTS (SELECT 1 FROM events k WHERE k.tenant = NEW.tenant AND k.connector = NEW.connector
  AND k.idempotency_key = NEW.key AND k.envelope <> NEW.envelope)
BEGIN
  INSERT INTO again (tenant, event, envelope)
    SELECT NEW.tenant, k.seq, NEW.envelope FROM events k
    WHERE k.tenant = NEW.tenant AND k.connector = NEW.connector AND k.idempotency_key = NEW.key
    ON CONFLICT DO NOTHING;
END;
-- next
CREATE TABLE IF NOT EXISTS retention (
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL,
  days INTEGER NOT NULL,
  PRIMARY KEY (tenant, kind)
) WITHOUT ROWID;
-- next
CREATE TABLE IF NOT EXISTS audit (
  tenant TEXT NOT NULL,
  n INTEGER NOT NULL,
  id TEXT NOT NULL,
  at INTEGER NOT NULL,
  author TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT,
  counts TEXT NOT NULL,
  reason TEXT,
  PRIMARY KEY (tenant, n)
) WITHOUT ROWID;
-- next
CREATE UNIQUE INDEX IF NOT EXISTS audit_by_id ON audit (tenant, id);
-- next
CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit BEGIN
  SELECT RAISE(ABORT, 'ventanilla:audit-stays');
END;
-- next
CREATE TRIGGER IF NOT EXISTS audit_is_not_deleted BEFORE DELETE ON audit BEGIN
  SELECT RAISE(ABORT, 'ventanilla:audit-stays');
END;
-- next
-- What happened, and what it was about; the number is the next one.
CREATE VIEW IF NOT EXISTS audited (tenant, id, at, author, action, subject, counts, reason)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS audited_write INSTEAD OF INSERT ON audited BEGIN
  INSERT INTO audit (tenant, n, id, at, author, action, subject, counts, reason)
    SELECT NEW.tenant, coalesce((SELECT max(a.n) FROM audit a WHERE a.tenant = NEW.tenant), 0) + 1, NEW.id, NEW.at, NEW.author, NEW.action,
      NEW.subject, NEW.counts, NEW.reason;
END;
-- next
-- Tenants of which something was erased: an intake of the others looks no further.
CREATE TABLE IF NOT EXISTS forgetting (tenant TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
-- next
-- What one blanking has changed so far; empty between statements.
CREATE TABLE IF NOT EXISTS blanked (
  run TEXT NOT NULL,
  what TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (run, what)
) WITHOUT ROWID;
-- next
-- Something came to a case: all of it is looked at again.
CREATE TRIGGER IF NOT EXISTS cases_touched AFTER UPDATE OF updated_at ON cases WHEN NEW.retained <> 0 BEGIN
  UPDATE cases SET retained = 0 WHERE id = NEW.id;
END;
-- next
-- One step of retention (`cutoff` is given) or an erasure. `cases`, `contacts`, `envelopes` are arrays of ids; `events` is [[seq, new key or null], …],
-- every event of the cases and contacts among them; `patch` takes members from the events' JSON (RFC 7396), of calls only, of others only, or of all
-- (`only`). `people`, `words`, `raw`, `whole` say what else. `bits`: the kinds that are done by it.
CREATE VIEW IF NOT EXISTS blanking (tenant, run, at, author, action, subject, reason, cases, contacts, events, envelopes, patch, only_of, people,
    words, raw, whole, bits, cutoff)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS blanking_write INSTEAD OF INSERT ON blanking BEGIN
  SELECT RAISE(ABORT, 'ventanilla:held') WHERE EXISTS (
    SELECT 1 FROM json_each(NEW.cases) j CROSS JOIN cases c ON c.id = j.value WHERE c.held IS NOT NULL);
  -- Something has happened since the order was written.
  SELECT RAISE(ABORT, 'ventanilla:moved') WHERE
    EXISTS (SELECT 1 FROM json_each(NEW.cases) j LEFT JOIN cases c ON c.id = j.value AND c.tenant = NEW.tenant
      WHERE c.id IS NULL OR (NEW.cutoff IS NOT NULL
        AND (c.status NOT IN ('resolved', 'closed') OR c.updated_at > NEW.cutoff OR c.erased IS NOT NULL)))
    OR EXISTS (SELECT 1 FROM json_each(NEW.cases) j CROSS JOIN events e INDEXED BY events_by_case ON e.tenant = NEW.tenant AND e.case_id = j.value
      WHERE e.case_id IS NOT NULL AND e.seq NOT IN (SELECT k.value ->> 0 FROM json_each(NEW.events) k))
    OR EXISTS (SELECT 1 FROM json_each(NEW.contacts) j CROSS JOIN events e INDEXED BY events_by_contact ON e.tenant = NEW.tenant
        AND e.contact = j.value
      WHERE e.contact IS NOT NULL AND e.seq NOT IN (SELECT k.value ->> 0 FROM json_each(NEW.events) k))
    OR EXISTS (SELECT 1 FROM json_each(NEW.contacts) j CROSS JOIN cases c INDEXED BY cases_by_contact ON c.tenant = NEW.tenant
        AND c.contact = j.value
      WHERE c.contact IS NOT NULL AND c.id NOT IN (SELECT k.value FROM json_each(NEW.cases) k));

  -- An envelope of several events goes with the last of them, unless somebody's right is stronger than the rule.
  UPDATE envelopes SET target = '', headers = '[]', body = x'', body_bytes = 0, erased = NEW.run
    WHERE NEW.raw AND tenant = NEW.tenant AND erased IS NULL AND id IN (
        SELECT e.envelope FROM json_each(NEW.events) j CROSS JOIN events e ON e.seq = j.value ->> 0
        UNION SELECT g.envelope FROM json_each(NEW.events) j CROSS JOIN again g ON g.tenant = NEW.tenant AND g.event = j.value ->> 0
        UNION SELECT v.value FROM json_each(NEW.envelopes) v)
      AND (NEW.cutoff IS NULL OR (disposition = 'accepted' AND NOT EXISTS (
        SELECT 1 FROM events y INDEXED BY events_by_envelope LEFT JOIN cases c ON c.id = y.case_id
        WHERE y.tenant = NEW.tenant AND y.envelope = envelopes.id
          AND CASE WHEN y.case_id IS NULL THEN y.received_at > NEW.cutoff
            ELSE c.held IS NOT NULL OR (c.erased IS NULL AND (c.status NOT IN ('resolved', 'closed') OR c.updated_at > NEW.cutoff)) END)));
  INSERT INTO blanked (run, what, n) VALUES (NEW.run, 'envelopes', changes());

  UPDATE notes SET text = '' WHERE NEW.words AND tenant = NEW.tenant AND text <> ''
    AND case_id IN (SELECT value FROM json_each(NEW.cases));
  INSERT INTO blanked (run, what, n) VALUES (NEW.run, 'notes', changes());
  UPDATE outbox SET text = '', settled_at = CASE WHEN state = 'queued' THEN NEW.at ELSE settled_at END, leased_until = NULL,
      reason = CASE WHEN state = 'sent' THEN NULL ELSE 'erased' END,
      message_id = CASE WHEN NEW.whole THEN NULL ELSE message_id END, state = CASE WHEN state = 'queued' THEN 'failed' ELSE state END
    WHERE NEW.words AND tenant = NEW.tenant AND case_id IN (SELECT value FROM json_each(NEW.cases))
      AND (text <> '' OR state = 'queued' OR (state = 'failed' AND reason IS NOT 'erased') OR (NEW.whole AND message_id IS NOT NULL));
  INSERT INTO blanked (run, what, n) VALUES (NEW.run, 'replies', changes());
  -- A reply of theirs in somebody else's case goes to nobody.
  UPDATE outbox SET text = '', reason = 'erased', state = CASE WHEN state = 'queued' THEN 'failed' ELSE state END, settled_at = NEW.at
    WHERE NEW.whole AND tenant = NEW.tenant AND state = 'queued' AND event IN (SELECT value ->> 0 FROM json_each(NEW.events));

  DELETE FROM acknowledgements WHERE NEW.people AND tenant = NEW.tenant AND (
    what IN (SELECT 'sender:' || e.scheme || ':' || e.handle FROM json_each(NEW.events) j CROSS JOIN events e ON e.seq = j.value ->> 0)
    OR what IN (SELECT 'thread:key:' || t.thread FROM json_each(NEW.cases) j CROSS JOIN threads t INDEXED BY threads_by_case
      ON t.tenant = NEW.tenant AND t.case_id = j.value)
    OR what IN (SELECT 'thread:case:' || value FROM json_each(NEW.cases)));
  DELETE FROM threads WHERE NEW.people AND tenant = NEW.tenant AND case_id IN (SELECT value FROM json_each(NEW.cases));
  UPDATE tasks SET scheme = NULL, handle = NULL, done_at = coalesce(done_at, NEW.at), done_by = coalesce(done_by, NEW.author)
    WHERE NEW.people AND tenant = NEW.tenant AND case_id IN (SELECT value FROM json_each(NEW.cases));

  -- A contact that is left without any event is nobody's any more.
  UPDATE contacts SET name = NULL WHERE NEW.people AND tenant = NEW.tenant AND id IN (
    SELECT value FROM json_each(NEW.contacts)
    UNION SELECT e.contact FROM json_each(NEW.events) j CROSS JOIN events e ON e.seq = j.value ->> 0
      WHERE e.contact IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM events y INDEXED BY events_by_contact WHERE y.tenant = NEW.tenant AND y.contact = e.contact AND y.contact IS NOT NULL
          AND y.seq NOT IN (SELECT k.value ->> 0 FROM json_each(NEW.events) k)));
  INSERT INTO blanked (run, what, n) VALUES (NEW.run, 'contacts', changes());
  DELETE FROM handles WHERE NEW.people AND tenant = NEW.tenant AND contact IN (
    SELECT value FROM json_each(NEW.contacts)
    UNION SELECT e.contact FROM json_each(NEW.events) j CROSS JOIN events e ON e.seq = j.value ->> 0
      WHERE e.contact IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM events y INDEXED BY events_by_contact WHERE y.tenant = NEW.tenant AND y.contact = e.contact AND y.contact IS NOT NULL
          AND y.seq NOT IN (SELECT k.value ->> 0 FROM json_each(NEW.events) k)));

  -- Those who are told of changes erase theirs too.
  INSERT INTO history (tenant, case_id, at, author, field, before, after)
    SELECT NEW.tenant, c.id, NEW.at, NEW.author, 'status', c.status, 'closed' FROM json_each(NEW.cases) j CROSS JOIN cases c ON c.id = j.value
    WHERE NEW.whole AND c.status NOT IN ('resolved', 'closed');
  INSERT INTO history (tenant, case_id, at, author, field, after)
    SELECT NEW.tenant, j.value, NEW.at, NEW.author, 'erased', NEW.run FROM json_each(NEW.cases) j WHERE NEW.whole;
  UPDATE cases SET
      subject = CASE WHEN NEW.words THEN NULL ELSE subject END,
      contact = CASE WHEN NEW.people THEN NULL ELSE contact END,
      public = CASE WHEN NEW.whole THEN FALSE ELSE public END,
      status = CASE WHEN NEW.whole AND status NOT IN ('resolved', 'closed') THEN 'closed' ELSE status END,
      erased = CASE WHEN NEW.whole THEN NEW.run ELSE erased END
    WHERE id IN (SELECT value FROM json_each(NEW.cases))
      AND (NEW.whole OR (NEW.words AND subject IS NOT NULL) OR (NEW.people AND contact IS NOT NULL));
  INSERT INTO blanked (run, what, n) VALUES (NEW.run, 'cases', changes());
  UPDATE cases SET retained = retained | NEW.bits WHERE id IN (SELECT value FROM json_each(NEW.cases));

  UPDATE events SET
      json = CASE WHEN k.key IS NULL THEN json_patch(json, NEW.patch) ELSE json_set(json_patch(json, NEW.patch), '$.idempotency_key', k.key) END,
      idempotency_key = coalesce(k.key, idempotency_key),
      search = CASE WHEN NEW.words OR NEW.people THEN '' ELSE search END,
      contact = CASE WHEN NEW.people THEN NULL ELSE contact END,
      scheme = CASE WHEN NEW.people THEN NULL ELSE scheme END,
      handle = CASE WHEN NEW.people THEN NULL ELSE handle END,
      message_id = CASE WHEN NEW.whole THEN NULL ELSE message_id END,
      call_id = CASE WHEN NEW.whole THEN NULL ELSE call_id END,
      asks = CASE WHEN NEW.whole THEN NULL ELSE asks END
    FROM (SELECT j.value ->> 0 AS seq, j.value ->> 1 AS key FROM json_each(NEW.events) j LIMIT -1) k
    WHERE events.seq = k.seq AND events.tenant = NEW.tenant
      AND (NEW.only_of IS NULL OR (NEW.only_of = 'calls') = (events.kind GLOB 'call.*'))
      AND (NEW.whole OR json_patch(json, NEW.patch) <> json);
  INSERT INTO blanked (run, what, n) VALUES (NEW.run, 'events', changes());
  UPDATE events SET retained = retained | NEW.bits
    WHERE seq IN (SELECT value ->> 0 FROM json_each(NEW.events)) AND tenant = NEW.tenant AND case_id IS NULL;

  INSERT INTO forgetting (tenant) SELECT NEW.tenant WHERE NEW.whole ON CONFLICT DO NOTHING;
  INSERT INTO audited (tenant, id, at, author, action, subject, counts, reason)
    SELECT NEW.tenant, NEW.run, NEW.at, NEW.author, NEW.action, NEW.subject, json_group_object(b.what, b.n), NEW.reason
    FROM blanked b WHERE b.run = NEW.run HAVING NEW.cutoff IS NULL OR sum(b.n) > 0;
  DELETE FROM blanked WHERE run = NEW.run;
END;
-- next
-- A hold (`reason`), or its end.
CREATE VIEW IF NOT EXISTS holding (tenant, reference, id, at, author, reason) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS holding_write INSTEAD OF INSERT ON holding
WHEN EXISTS (SELECT 1 FROM cases c WHERE c.tenant = NEW.tenant AND c.reference = NEW.reference AND c.held IS NOT NEW.reason)
BEGIN
  INSERT INTO audited (tenant, id, at, author, action, subject, counts, reason)
    VALUES (NEW.tenant, NEW.id, NEW.at, NEW.author, CASE WHEN NEW.reason IS NULL THEN 'release' ELSE 'hold' END, NEW.reference, '{}', NEW.reason);
  UPDATE cases SET held = NEW.reason WHERE tenant = NEW.tenant AND reference = NEW.reference;
END;
-- next
CREATE VIEW IF NOT EXISTS retention_set (tenant, rules, id, at, author, reason) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS retention_set_write INSTEAD OF INSERT ON retention_set BEGIN
  DELETE FROM retention WHERE tenant = NEW.tenant;
  INSERT INTO retention (tenant, kind, days) SELECT NEW.tenant, j.key, j.value FROM json_each(NEW.rules) j;
  INSERT INTO audited (tenant, id, at, author, action, counts, reason)
    VALUES (NEW.tenant, NEW.id, NEW.at, NEW.author, 'policy', '{}', NEW.reason);
END;
-- next
-- Tenants that were removed, or are being removed (`done_at` is absent), until a profile is given again.
CREATE TABLE IF NOT EXISTS removals (
  tenant TEXT NOT NULL PRIMARY KEY,
  id TEXT NOT NULL,
  at INTEGER NOT NULL,
  author TEXT NOT NULL,
  head TEXT,
  done_at INTEGER
) WITHOUT ROWID;
-- next
CREATE TRIGGER IF NOT EXISTS tenants_again AFTER INSERT ON tenants BEGIN
  DELETE FROM removals WHERE tenant = NEW.code AND done_at IS NOT NULL;
  SELECT RAISE(ABORT, 'ventanilla:being-removed') WHERE EXISTS (SELECT 1 FROM removals r WHERE r.tenant = NEW.code);
END;
-- next
CREATE TRIGGER IF NOT EXISTS envelopes_of_nobody BEFORE INSERT ON envelopes WHEN EXISTS (SELECT 1 FROM removals r WHERE r.tenant = NEW.tenant)
BEGIN
  SELECT RAISE(ABORT, 'ventanilla:removed');
END;
-- next
CREATE VIEW IF NOT EXISTS removal_begun (tenant, id, at, author, reason) AS SELECT NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS removal_begun_write INSTEAD OF INSERT ON removal_begun
WHEN NOT EXISTS (SELECT 1 FROM removals r WHERE r.tenant = NEW.tenant)
BEGIN
  SELECT RAISE(ABORT, 'ventanilla:held') WHERE EXISTS (SELECT 1 FROM cases c WHERE c.tenant = NEW.tenant AND c.held IS NOT NULL);
  SELECT RAISE(ABORT, 'ventanilla:no-tenant') WHERE NOT EXISTS (SELECT 1 FROM tenants t WHERE t.code = NEW.tenant)
    AND NOT EXISTS (SELECT 1 FROM ledger l WHERE l.tenant = NEW.tenant);
  INSERT INTO removals (tenant, id, at, author, head)
    SELECT NEW.tenant, NEW.id, NEW.at, NEW.author,
      (SELECT s.n || ':' || s.link FROM seals s WHERE s.tenant = NEW.tenant ORDER BY s.n DESC LIMIT 1);
  INSERT INTO audited (tenant, id, at, author, action, counts, reason)
    SELECT NEW.tenant, NEW.id, NEW.at, NEW.author, 'remove', json_object(
        'cases', (SELECT count(*) FROM cases c WHERE c.tenant = NEW.tenant),
        'events', (SELECT count(*) FROM events e INDEXED BY events_by_tenant WHERE e.tenant = NEW.tenant),
        'envelopes', (SELECT count(*) FROM envelopes v INDEXED BY envelopes_by_id WHERE v.tenant = NEW.tenant),
        'contacts', (SELECT count(*) FROM contacts k WHERE k.tenant = NEW.tenant)),
      NEW.reason || coalesce(' (last head of the ledger: ' || (SELECT r.head FROM removals r WHERE r.tenant = NEW.tenant) || ')', '');
  DELETE FROM tenants WHERE code = NEW.tenant;
  DELETE FROM acknowledging WHERE tenant = NEW.tenant;
END;
-- next
CREATE VIEW IF NOT EXISTS removal_done (tenant, id, at) AS SELECT NULL, NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS removal_done_write INSTEAD OF INSERT ON removal_done
WHEN EXISTS (SELECT 1 FROM removals r WHERE r.tenant = NEW.tenant AND r.done_at IS NULL)
BEGIN
  INSERT INTO audited (tenant, id, at, author, action, counts)
    SELECT r.tenant, NEW.id, NEW.at, r.author, 'removed', '{}' FROM removals r WHERE r.tenant = NEW.tenant;
  UPDATE removals SET done_at = NEW.at WHERE tenant = NEW.tenant;
END;
