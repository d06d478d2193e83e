-- The ledger: each envelope's digest, what came twice, and the chain that seals what is stored (wit/store/ledger.wit).
--
-- `digest` is absent for envelopes stored before this, or by components of the version before: it is made when they are sealed.
-- `duplicates`: events in it that were known when it came. `repeats`: deliveries with its single-use value, which are not stored.
-- (A column that is there already is no error to the migration.)

ALTER TABLE envelopes ADD COLUMN digest TEXT;
-- next
ALTER TABLE envelopes ADD COLUMN duplicates INTEGER NOT NULL DEFAULT 0;
-- next
ALTER TABLE envelopes ADD COLUMN repeats INTEGER NOT NULL DEFAULT 0;
-- next
-- Few are in it, so that it costs the others nothing.
CREATE INDEX IF NOT EXISTS envelopes_twice ON envelopes (tenant, id, connector, disposition, repeats, duplicates)
  WHERE (repeats > 0 OR duplicates > 0);
-- next
-- `place` is the envelope's number: everything up to the highest one is sealed, whoever's it is.
CREATE TABLE IF NOT EXISTS seals (
  tenant TEXT NOT NULL,
  n INTEGER NOT NULL,
  envelope TEXT NOT NULL,
  place INTEGER NOT NULL,
  digest TEXT NOT NULL,
  link TEXT NOT NULL,
  sealed_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, n)
) WITHOUT ROWID;
-- next
CREATE UNIQUE INDEX IF NOT EXISTS seals_by_place ON seals (place);
-- next
-- As intake_2, with the digest, and with how many events were given.
CREATE VIEW IF NOT EXISTS intake_3
  (id, known, tenant, connector, channel, method, target, headers, received_at, verified_by, nonce, binding, disposition, reason,
    only_key, ended, events, body, given, digest)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    WHERE FALSE;
-- next
CREATE VIEW IF NOT EXISTS intake_kept_3
  (id, fresh, news, tenant, connector, method, target, headers, received_at, verified_by, nonce, binding, disposition, reason, body,
    known, given, digest)
  AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS intake_3_write INSTEAD OF INSERT ON intake_3 BEGIN
  SELECT RAISE(ABORT, 'ventanilla:replayed') FROM nonces n
    WHERE n.tenant = NEW.tenant AND n.connector = NEW.connector AND n.nonce = NEW.nonce AND n.binding <> NEW.binding;
  SELECT RAISE(ABORT, 'ventanilla:no-envelope')
    WHERE NEW.known AND NOT EXISTS (SELECT 1 FROM envelopes v
      WHERE v.tenant = NEW.tenant AND v.id = NEW.id AND v.connector = NEW.connector);
  INSERT INTO intake_kept_3 VALUES (
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
    NEW.disposition, NEW.reason, NEW.body, NEW.known, NEW.given, NEW.digest);
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
CREATE TRIGGER IF NOT EXISTS intake_kept_3_new INSTEAD OF INSERT ON intake_kept_3 WHEN NEW.fresh BEGIN
  INSERT INTO envelopes (tenant, id, connector, method, target, received_at, verified_by, nonce, disposition, reason, events,
      body_bytes, headers, body, digest, duplicates)
    VALUES (NEW.tenant, NEW.id, NEW.connector, NEW.method, NEW.target, NEW.received_at, NEW.verified_by, NEW.nonce,
      NEW.disposition, NEW.reason, NEW.news, length(NEW.body), NEW.headers, NEW.body, NEW.digest, NEW.given - NEW.news);
  INSERT INTO ledger (tenant, connector, disposition, envelopes, events)
    VALUES (NEW.tenant, NEW.connector, NEW.disposition, 1, NEW.news)
    ON CONFLICT DO UPDATE SET envelopes = envelopes + 1, events = events + excluded.events;
  INSERT INTO nonces (tenant, connector, nonce, binding, envelope, seen_at)
    SELECT NEW.tenant, NEW.connector, NEW.nonce, NEW.binding, NEW.id, NEW.received_at WHERE NEW.nonce IS NOT NULL
    ON CONFLICT DO NOTHING;
END;
-- next
-- What was understood once stays understood; `pending` says nothing new. What is translated for the first time after it was journalled has
-- its duplicates counted; a replay's events are its own.
CREATE TRIGGER IF NOT EXISTS intake_kept_3_again INSTEAD OF INSERT ON intake_kept_3 WHEN NOT NEW.fresh BEGIN
  UPDATE ledger SET envelopes = ledger.envelopes - 1, events = ledger.events - v.events
    FROM (SELECT disposition, events FROM envelopes WHERE tenant = NEW.tenant AND id = NEW.id) v
    WHERE ledger.tenant = NEW.tenant AND ledger.connector = NEW.connector AND ledger.disposition = v.disposition;
  UPDATE envelopes SET
      reason = CASE WHEN NEW.disposition = 'pending' OR disposition = 'accepted' THEN reason ELSE NEW.reason END,
      disposition = CASE WHEN NEW.disposition = 'pending' OR disposition = 'accepted' THEN disposition ELSE NEW.disposition END,
      events = events + NEW.news,
      duplicates = duplicates + CASE WHEN NEW.known AND disposition = 'pending' THEN NEW.given - NEW.news ELSE 0 END,
      repeats = repeats + NOT NEW.known
    WHERE tenant = NEW.tenant AND id = NEW.id;
  INSERT INTO ledger (tenant, connector, disposition, envelopes, events)
    SELECT tenant, connector, disposition, 1, events FROM envelopes WHERE tenant = NEW.tenant AND id = NEW.id
    ON CONFLICT DO UPDATE SET envelopes = envelopes + 1, events = events + excluded.events;
  INSERT INTO nonces (tenant, connector, nonce, binding, envelope, seen_at)
    SELECT NEW.tenant, NEW.connector, NEW.nonce, NEW.binding, NEW.id, NEW.received_at WHERE NEW.nonce IS NOT NULL
    ON CONFLICT DO NOTHING;
END;
