-- Retention, erasure, removal, and the audit of them (wit/store/privacy.wit).

-- `erased`: the audit entry of the erasure. `held`: why a case is on hold. `retained`: the kinds of which nothing is left any more, as bits; what
-- comes to the case afterwards is looked at again.
DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'ventanilla.cases'::regclass AND attname = 'held') THEN
  ALTER TABLE ventanilla.envelopes ADD COLUMN erased text COLLATE "C";
  ALTER TABLE ventanilla.events ADD COLUMN retained integer NOT NULL DEFAULT 0;
  ALTER TABLE ventanilla.cases
    ADD COLUMN retained integer NOT NULL DEFAULT 0, ADD COLUMN erased text COLLATE "C", ADD COLUMN held text;
END IF; END $$;
-- next
CREATE INDEX IF NOT EXISTS envelopes_by_erasure ON ventanilla.envelopes (tenant, erased) WHERE erased IS NOT NULL;
-- next
CREATE INDEX IF NOT EXISTS envelopes_alone ON ventanilla.envelopes (tenant, received_at)
  WHERE events = 0 AND disposition = 'accepted' AND erased IS NULL;
-- next
-- The tenant comes second in these: before the first ANALYZE the planner takes an index that begins with it for every question about a tenant, and an
-- intake then reads all of the tenant's events.
CREATE INDEX IF NOT EXISTS events_by_contact ON ventanilla.events (contact, tenant) WHERE contact IS NOT NULL;
-- next
CREATE INDEX IF NOT EXISTS events_by_envelope ON ventanilla.events (envelope, tenant);
-- next
CREATE INDEX IF NOT EXISTS events_alone ON ventanilla.events (tenant, retained, received_at) WHERE case_id IS NULL;
-- next
CREATE INDEX IF NOT EXISTS cases_by_contact ON ventanilla.cases (contact, tenant) WHERE contact IS NOT NULL;
-- next
CREATE INDEX IF NOT EXISTS cases_finished ON ventanilla.cases (tenant, retained, updated_at)
  WHERE status IN ('resolved', 'closed') AND erased IS NULL AND held IS NULL;
-- next
-- For erasing alone, which says `case_id > 0`: otherwise the planner begins an intake's search for its thread with all cases of the tenant.
CREATE INDEX IF NOT EXISTS threads_by_case ON ventanilla.threads (case_id, tenant) WHERE case_id > 0;
-- next
-- Envelopes in which an event came again: they tell of the same person.
CREATE TABLE IF NOT EXISTS ventanilla.again (
  tenant text COLLATE "C" NOT NULL,
  event bigint NOT NULL,
  envelope text COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant, event, envelope)
);
-- next
CREATE TABLE IF NOT EXISTS ventanilla.retention (
  tenant text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  days bigint NOT NULL,
  PRIMARY KEY (tenant, kind)
);
-- next
CREATE TABLE IF NOT EXISTS ventanilla.audit (
  tenant text COLLATE "C" NOT NULL,
  n bigint NOT NULL,
  id text COLLATE "C" NOT NULL,
  at bigint NOT NULL,
  author text NOT NULL,
  action text COLLATE "C" NOT NULL,
  subject text,
  counts jsonb NOT NULL,
  reason text,
  PRIMARY KEY (tenant, n)
);
-- next
CREATE UNIQUE INDEX IF NOT EXISTS audit_by_id ON ventanilla.audit (tenant, id);
-- next
-- Tenants of which something was erased: an intake of the others looks no further.
CREATE TABLE IF NOT EXISTS ventanilla.forgetting (tenant text COLLATE "C" PRIMARY KEY);
-- next
-- Tenants that were removed, or are being removed (`done_at` is absent), until a profile is given again.
CREATE TABLE IF NOT EXISTS ventanilla.removals (
  tenant text COLLATE "C" PRIMARY KEY,
  id text COLLATE "C" NOT NULL,
  at bigint NOT NULL,
  author text NOT NULL,
  head text,
  done_at bigint
);
-- next
SELECT ventanilla.protect_1(t, 'tenant', FALSE) FROM unnest(ARRAY['again', 'audit', 'forgetting']) t;
-- next
SELECT ventanilla.protect_1(t, 'tenant', TRUE) FROM unnest(ARRAY['retention', 'removals']) t;
-- next
CREATE OR REPLACE FUNCTION ventanilla.audit_stays_1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'ventanilla:audit-stays';
END $$;
-- next
-- Whoever has the component's password, and until `admit` is run again.
CREATE OR REPLACE TRIGGER audit_stays BEFORE UPDATE OR DELETE ON ventanilla.audit FOR EACH ROW EXECUTE FUNCTION ventanilla.audit_stays_1();
-- next
CREATE OR REPLACE FUNCTION ventanilla.admit_1(p_role text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA ventanilla TO %I', p_role);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ventanilla TO %I', p_role);
  EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON ventanilla.migrations FROM %I', p_role);
  EXECUTE format('REVOKE UPDATE, DELETE ON ventanilla.seals, ventanilla.audit FROM %I', p_role);
  EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA ventanilla TO %I', p_role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA ventanilla GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I', p_role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA ventanilla GRANT USAGE, SELECT ON SEQUENCES TO %I', p_role);
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.touched_1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.retained := 0;
  RETURN NEW;
END $$;
-- next
-- Something came to a case: all of it is looked at again.
CREATE OR REPLACE TRIGGER cases_touched BEFORE UPDATE OF updated_at ON ventanilla.cases FOR EACH ROW
  WHEN (OLD.retained <> 0) EXECUTE FUNCTION ventanilla.touched_1();
-- next
-- What stands for the idempotency key of an erased event.
CREATE OR REPLACE FUNCTION ventanilla.forgotten_1(p_key text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT 'erased:' || left(encode(sha256(convert_to(p_key, 'UTF8')), 'hex'), 32)
$$;
-- next
-- A document of an intake where something of the tenant was erased: keys of what was erased, and no token of an erased case. The keys are taken out
-- of it first (OFFSET keeps that so): see take_in_1.
CREATE OR REPLACE FUNCTION ventanilla.remember_1(p_tenant text, p_document text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  document jsonb := p_document::jsonb;
  this_connector text := document -> 'envelope' ->> 'connector';
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN jsonb_set(document, '{events}', coalesce((
    SELECT jsonb_agg((CASE WHEN c.reference IS NULL THEN p.value ELSE p.value - 'token' END)
      || CASE WHEN k.idempotency_key IS NULL THEN '{}' ELSE jsonb_build_object('key', k.idempotency_key) END ORDER BY p.place)
    FROM (SELECT x.value, x.place, x.value ->> 'token' AS token, ventanilla.forgotten_1(ventanilla.key_1(x.value ->> 'key')) AS key
      FROM jsonb_array_elements(document -> 'events') WITH ORDINALITY x (value, place) OFFSET 0) p
    LEFT JOIN LATERAL (SELECT a.reference FROM ventanilla.cases a WHERE a.tenant = p_tenant AND a.reference = p.token
      AND a.erased IS NOT NULL OFFSET 0) c ON TRUE
    LEFT JOIN LATERAL (SELECT y.idempotency_key FROM ventanilla.events y WHERE y.tenant = p_tenant AND y.connector = this_connector
      AND y.idempotency_key = p.key OFFSET 0) k ON TRUE), '[]'))::text;
END $$;
-- next
-- As before; and it knows what was erased, keeps which envelope an event came again in, and takes nothing in for a tenant that was removed (asked
-- behind the locks of the intake, which a removal waits for).
CREATE OR REPLACE PROCEDURE ventanilla.intake_2(p_tenant text, p_document text, p_body bytea, p_id text, p_known bigint, p_digest text,
  INOUT answer text) LANGUAGE plpgsql AS $$
DECLARE
  taken jsonb;
  was text := 'pending';
  news_of bigint;
  document text := p_document;
BEGIN
  PERFORM set_config('ventanilla.digest', p_digest, TRUE), set_config('ventanilla.tenant', p_tenant, TRUE);
  IF EXISTS (SELECT 1 FROM ventanilla.forgetting f WHERE f.tenant = p_tenant) THEN
    document := ventanilla.remember_1(p_tenant, p_document);
  END IF;
  IF p_known = 1 THEN
    PERFORM ventanilla.enter_1(p_tenant);
    SELECT x.disposition INTO was FROM ventanilla.envelopes x WHERE x.tenant = p_tenant AND x.id = p_id;
  END IF;
  taken := ventanilla.take_in_1(p_tenant, document, p_body);
  IF EXISTS (SELECT 1 FROM ventanilla.removals r WHERE r.tenant = p_tenant) THEN
    RAISE EXCEPTION 'ventanilla:removed';
  END IF;
  IF p_known = 0 AND taken ->> 'envelope' <> p_id THEN
    UPDATE ventanilla.envelopes x SET repeats = x.repeats + 1 WHERE x.tenant = p_tenant AND x.id = taken ->> 'envelope';
  ELSE
    SELECT count(*) INTO news_of FROM jsonb_array_elements(nullif(taken -> 'receipts', 'null')) r WHERE (r.value ->> 'duplicate')::boolean;
    IF news_of > 0 THEN
      UPDATE ventanilla.envelopes x SET duplicates = x.duplicates + news_of WHERE was = 'pending' AND x.tenant = p_tenant AND x.id = p_id;
      INSERT INTO ventanilla.again (tenant, event, envelope)
        SELECT p_tenant, y.seq, p_id
        FROM (SELECT ventanilla.key_1(x.value ->> 'key') AS key FROM jsonb_array_elements(document::jsonb -> 'events') x OFFSET 0) p
        CROSS JOIN LATERAL (SELECT k.seq, k.envelope FROM ventanilla.events k WHERE k.tenant = p_tenant
          AND k.connector = p_document::jsonb -> 'envelope' ->> 'connector' AND k.idempotency_key = p.key OFFSET 0) y
        WHERE y.envelope <> p_id
        ON CONFLICT DO NOTHING;
    END IF;
  END IF;
  answer := taken::text;
  COMMIT;
END $$;
-- next
CREATE OR REPLACE PROCEDURE ventanilla.put_profile_1(p_tenant text, p_profile text, INOUT answer text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  DELETE FROM ventanilla.removals r WHERE r.tenant = p_tenant AND r.done_at IS NOT NULL;
  IF EXISTS (SELECT 1 FROM ventanilla.removals r WHERE r.tenant = p_tenant) THEN
    RAISE EXCEPTION 'ventanilla:being-removed';
  END IF;
  INSERT INTO ventanilla.tenants (code, profile, acknowledge)
    VALUES (p_tenant, p_profile, coalesce(p_profile::jsonb -> 'acknowledge' = 'true', FALSE))
    ON CONFLICT (code) DO UPDATE SET profile = excluded.profile, acknowledge = excluded.acknowledge;
  COMMIT;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.envelope_2(p_tenant text, p_id text) RETURNS TABLE (document text, body bytea, erased text)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY SELECT jsonb_build_object('id', x.id, 'tenant', x.tenant, 'connector', x.connector, 'method', x.method, 'target', x.target,
      'headers', x.headers, 'received_at', x.received_at, 'verified_by', x.verified_by, 'nonce', x.nonce)::text, x.body, x.erased
    FROM ventanilla.envelopes x WHERE x.tenant = p_tenant AND x.id = p_id;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.seals_2(p_tenant text, p_from bigint, p_limit bigint) RETURNS TABLE (document text)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY SELECT jsonb_build_object('n', s.n, 'envelope', s.envelope, 'place', s.place, 'digest', s.digest, 'link', s.link,
      'bytes', octet_length(e.body), 'erased', e.erased,
      'told', CASE WHEN e.erased IS NOT NULL THEN (SELECT 1 FROM ventanilla.audit a
        WHERE a.tenant = p_tenant AND a.id = e.erased AND a.action IN ('erase', 'retain')
          AND (a.counts ->> 'envelopes')::bigint = (SELECT count(*) FROM ventanilla.envelopes y
            WHERE y.tenant = p_tenant AND y.erased = e.erased)) END)::text
    FROM (SELECT h.* FROM ventanilla.seals h WHERE h.tenant = p_tenant AND h.n >= p_from ORDER BY h.n LIMIT p_limit) s
    LEFT JOIN LATERAL (SELECT v.body, v.erased FROM ventanilla.envelopes v WHERE v.tenant = p_tenant AND v.id = s.envelope OFFSET 0) e ON TRUE
    ORDER BY s.n;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.audit_1(p_tenant text, p_id text, p_at bigint, p_author text, p_action text, p_subject text,
  p_counts jsonb, p_reason text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext(p_tenant), hashtext('the audit'));
  INSERT INTO ventanilla.audit (tenant, n, id, at, author, action, subject, counts, reason)
    SELECT p_tenant, coalesce((SELECT max(a.n) FROM ventanilla.audit a WHERE a.tenant = p_tenant), 0) + 1, p_id, p_at, p_author, p_action,
      p_subject, p_counts, p_reason;
END $$;
-- next
-- What concerns whoever has a handle, or a case (`p_reference`).
CREATE OR REPLACE FUNCTION ventanilla.concern_1(p_tenant text, p_scheme text, p_value text, p_address text, p_reference text)
RETURNS TABLE (document text) LANGUAGE plpgsql AS $$
DECLARE
  mine text[];
  their bigint[];
  facts bigint[];
  papers text[];
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  IF p_reference IS NULL THEN
    SELECT array_agg(m.id) INTO mine
      FROM (SELECT DISTINCT k.root FROM (SELECT h.contact FROM ventanilla.handles h WHERE h.tenant = p_tenant AND (p_scheme = '' OR h.scheme = p_scheme)
          AND (h.value = p_value OR (h.scheme = 'email' AND h.value = p_address)) OFFSET 0) w
        CROSS JOIN LATERAL (SELECT x.root FROM ventanilla.contacts x WHERE x.tenant = p_tenant AND x.id = w.contact OFFSET 0) k OFFSET 0) r
      CROSS JOIN LATERAL (SELECT x.id FROM ventanilla.contacts x WHERE x.tenant = p_tenant AND x.root = r.root OFFSET 0) m;
    SELECT array_agg(c.id) INTO their FROM ventanilla.cases c WHERE c.tenant = p_tenant AND c.contact = ANY (mine);
  ELSE
    SELECT array_agg(c.id) INTO their FROM ventanilla.cases c WHERE c.tenant = p_tenant AND c.reference = p_reference;
  END IF;
  SELECT array_agg(x.seq) INTO facts FROM (
    SELECT e.seq FROM ventanilla.events e WHERE e.tenant = p_tenant AND e.case_id = ANY (their)
    UNION SELECT e.seq FROM ventanilla.events e WHERE e.tenant = p_tenant AND e.contact = ANY (mine)) x;
  SELECT array_agg(x.id) INTO papers FROM (
    SELECT e.envelope AS id FROM ventanilla.events e WHERE e.tenant = p_tenant AND e.seq = ANY (facts)
    UNION SELECT g.envelope FROM ventanilla.again g WHERE g.tenant = p_tenant AND g.event = ANY (facts)) x;
  RETURN QUERY SELECT jsonb_build_object(
    'contacts', coalesce(to_jsonb(mine), '[]'),
    'cases', (SELECT jsonb_agg(jsonb_build_array(c.id, c.reference, (c.held IS NOT NULL)::integer)) FROM ventanilla.cases c
      WHERE c.tenant = p_tenant AND (c.id = ANY (their) OR (c.held IS NOT NULL AND c.id IN (SELECT y.case_id FROM ventanilla.events y
        WHERE y.tenant = p_tenant AND y.envelope = ANY (papers))))),
    'events', (SELECT jsonb_agg(jsonb_build_array(f)) FROM unnest(facts) f),
    'envelopes', (SELECT count(*) FROM ventanilla.envelopes v WHERE v.tenant = p_tenant AND v.id = ANY (papers) AND v.erased IS NULL),
    'notes', (SELECT count(*) FROM ventanilla.notes n WHERE n.tenant = p_tenant AND n.case_id = ANY (their) AND n.text <> ''),
    'replies', (SELECT count(*) FROM ventanilla.outbox o WHERE o.tenant = p_tenant AND o.case_id = ANY (their)
      AND (o.text <> '' OR o.state = 'queued' OR o.message_id IS NOT NULL OR (o.state = 'failed' AND o.reason IS DISTINCT FROM 'erased'))),
    'not_understood', (SELECT count(*) FROM ventanilla.envelopes v WHERE v.tenant = p_tenant AND v.disposition <> 'accepted'))::text;
END $$;
-- next
-- The first rule that has something due: one object, or no row. Rules first, whole, since the loop changes whose rows are seen.
CREATE OR REPLACE FUNCTION ventanilla.due_1(p_at bigint, p_masks text, p_limit bigint) RETURNS TABLE (document text) LANGUAGE plpgsql AS $$
DECLARE
  r ventanilla.retention;
  due_before bigint;
  masks integer[];
  the_cases bigint[];
  alone bigint[];
  papers text[];
BEGIN
  PERFORM ventanilla.enter_all_1();
  FOREACH r IN ARRAY ARRAY(SELECT x FROM ventanilla.retention x ORDER BY x.tenant, x.kind) LOOP
    PERFORM ventanilla.enter_1(r.tenant);
    due_before := p_at - r.days * 86400000;
    masks := ARRAY(SELECT m::integer FROM jsonb_array_elements_text(p_masks::jsonb -> r.kind) m);
    the_cases := ARRAY(SELECT c.id FROM ventanilla.cases c WHERE c.tenant = r.tenant AND c.retained = ANY (masks) AND c.updated_at <= due_before
      AND c.status IN ('resolved', 'closed') AND c.erased IS NULL AND c.held IS NULL LIMIT p_limit);
    alone := ARRAY(SELECT e.seq FROM ventanilla.events e WHERE e.tenant = r.tenant AND e.retained = ANY (masks) AND e.received_at <= due_before
      AND e.case_id IS NULL LIMIT p_limit);
    papers := ARRAY(SELECT v.id FROM ventanilla.envelopes v WHERE v.tenant = r.tenant AND v.received_at <= due_before AND v.events = 0
      AND v.disposition = 'accepted' AND v.erased IS NULL AND r.kind IN ('envelopes', 'cases') LIMIT p_limit);
    IF cardinality(the_cases) + cardinality(alone) + cardinality(papers) > 0 THEN
      RETURN QUERY SELECT jsonb_build_object('tenant', r.tenant, 'kind', r.kind, 'cutoff', due_before, 'cases', to_jsonb(the_cases),
        'alone', cardinality(alone), 'envelopes', to_jsonb(papers),
        'events', (SELECT jsonb_agg(jsonb_build_array(x.seq)) FROM (
          SELECT e.seq FROM ventanilla.events e WHERE e.tenant = r.tenant AND e.case_id = ANY (the_cases)
          UNION ALL SELECT unnest(alone)) x))::text;
      RETURN;
    END IF;
  END LOOP;
END $$;
-- next
-- One step of retention (`cutoff` is given) or an erasure: members of the order as in store_sdk::erasing. Null: something has moved since it was written.
-- The tenant's intakes wait for it, and it for theirs (lock_1).
CREATE OR REPLACE PROCEDURE ventanilla.blank_1(p_tenant text, p_order text, INOUT answer text) LANGUAGE plpgsql AS $$
DECLARE
  o jsonb := p_order::jsonb;
  run text := o ->> 'run';
  the_at bigint := (o ->> 'at')::bigint;
  cutoff bigint := (o ->> 'cutoff')::bigint;
  people boolean := (o ->> 'people')::boolean;
  words boolean := (o ->> 'words')::boolean;
  whole boolean := (o ->> 'whole')::boolean;
  bits integer := (o ->> 'bits')::integer;
  members text[] := ARRAY(SELECT jsonb_object_keys(o -> 'patch'));
  the_cases bigint[] := ARRAY(SELECT x::bigint FROM jsonb_array_elements_text(o -> 'cases') x);
  mine text[] := ARRAY(SELECT x COLLATE "C" FROM jsonb_array_elements_text(o -> 'contacts') x);
  facts bigint[] := ARRAY(SELECT (x ->> 0)::bigint FROM jsonb_array_elements(o -> 'events') x);
  papers text[];
  lost text[];
  counts jsonb := '{}';
  n bigint;
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  PERFORM pg_advisory_xact_lock(hashtext(p_tenant), 0);
  PERFORM 1 FROM ventanilla.cases c WHERE c.tenant = p_tenant AND c.id = ANY (the_cases) ORDER BY c.id FOR NO KEY UPDATE;
  IF cutoff IS NULL AND EXISTS (SELECT 1 FROM ventanilla.cases c WHERE c.tenant = p_tenant AND c.id = ANY (the_cases) AND c.held IS NOT NULL) THEN
    RAISE EXCEPTION 'ventanilla:held';
  END IF;
  IF EXISTS (SELECT 1 FROM ventanilla.cases c WHERE c.tenant = p_tenant AND c.id = ANY (the_cases) AND cutoff IS NOT NULL
      AND (c.status NOT IN ('resolved', 'closed') OR c.updated_at > cutoff OR c.erased IS NOT NULL OR c.held IS NOT NULL))
    OR EXISTS (SELECT 1 FROM ventanilla.events e WHERE e.tenant = p_tenant AND e.case_id = ANY (the_cases) AND e.seq <> ALL (facts))
    OR EXISTS (SELECT 1 FROM ventanilla.events e WHERE e.tenant = p_tenant AND e.contact = ANY (mine) AND e.seq <> ALL (facts))
    OR EXISTS (SELECT 1 FROM ventanilla.cases c WHERE c.tenant = p_tenant AND c.contact = ANY (mine) AND c.id <> ALL (the_cases)) THEN
    answer := NULL;
    COMMIT;
    RETURN;
  END IF;
  PERFORM ventanilla.number_1();

  -- An envelope of several events goes with the last of them, unless somebody's right is stronger than the rule.
  IF (o ->> 'raw')::boolean THEN
    papers := ARRAY(
      SELECT e.envelope FROM ventanilla.events e WHERE e.tenant = p_tenant AND e.seq = ANY (facts)
      UNION SELECT g.envelope FROM ventanilla.again g WHERE g.tenant = p_tenant AND g.event = ANY (facts)
      UNION SELECT x COLLATE "C" FROM jsonb_array_elements_text(o -> 'envelopes') x);
    UPDATE ventanilla.envelopes v SET target = '', headers = '[]', body = '', erased = run
      WHERE v.tenant = p_tenant AND v.id = ANY (papers) AND v.erased IS NULL
        AND (cutoff IS NULL OR (v.disposition = 'accepted' AND NOT EXISTS (
          SELECT 1 FROM ventanilla.events y LEFT JOIN ventanilla.cases c ON c.tenant = p_tenant AND c.id = y.case_id
          WHERE y.tenant = p_tenant AND y.envelope = v.id
            AND CASE WHEN y.case_id IS NULL THEN y.received_at > cutoff
              ELSE c.held IS NOT NULL OR (c.erased IS NULL AND (c.status NOT IN ('resolved', 'closed') OR c.updated_at > cutoff)) END)));
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := counts || jsonb_build_object('envelopes', n);
  END IF;

  IF words THEN
    UPDATE ventanilla.notes x SET text = '' WHERE x.tenant = p_tenant AND x.case_id = ANY (the_cases) AND x.text <> '';
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := counts || jsonb_build_object('notes', n);
    UPDATE ventanilla.outbox x SET text = '', settled_at = CASE WHEN x.state = 'queued' THEN the_at ELSE x.settled_at END, leased_until = NULL,
        reason = CASE WHEN x.state = 'sent' THEN NULL ELSE 'erased' END, state = CASE WHEN x.state = 'queued' THEN 'failed' ELSE x.state END,
        message_id = CASE WHEN whole THEN NULL ELSE x.message_id END, message_key = CASE WHEN whole THEN NULL ELSE x.message_key END
      WHERE x.tenant = p_tenant AND x.case_id = ANY (the_cases) AND (x.text <> '' OR x.state = 'queued'
        OR (x.state = 'failed' AND x.reason IS DISTINCT FROM 'erased') OR (whole AND x.message_id IS NOT NULL));
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := counts || jsonb_build_object('replies', n);
  END IF;

  IF people THEN
    DELETE FROM ventanilla.acknowledgements a WHERE a.tenant = p_tenant AND a.what IN (
      SELECT ventanilla.key_1('sender:' || e.scheme || ':' || e.handle) FROM ventanilla.events e WHERE e.tenant = p_tenant AND e.seq = ANY (facts)
      UNION SELECT ventanilla.key_1('thread:key:' || t.thread) FROM ventanilla.threads t WHERE t.tenant = p_tenant AND t.case_id = ANY (the_cases) AND t.case_id > 0
      UNION SELECT 'thread:case:' || x FROM unnest(the_cases) x);
    DELETE FROM ventanilla.threads t WHERE t.tenant = p_tenant AND t.case_id = ANY (the_cases) AND t.case_id > 0;
    UPDATE ventanilla.tasks t SET scheme = NULL, handle = NULL, handle_key = NULL, done_at = coalesce(t.done_at, the_at),
        done_by = coalesce(t.done_by, o ->> 'author')
      WHERE t.tenant = p_tenant AND t.case_id = ANY (the_cases);
    -- A contact that is left without any event is nobody's any more.
    lost := ARRAY(SELECT x COLLATE "C" FROM unnest(mine) x UNION
      SELECT e.contact FROM ventanilla.events e WHERE e.tenant = p_tenant AND e.seq = ANY (facts) AND e.contact IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM ventanilla.events y WHERE y.tenant = p_tenant AND y.contact = e.contact AND y.seq <> ALL (facts)));
    UPDATE ventanilla.contacts k SET name = NULL WHERE k.tenant = p_tenant AND k.id = ANY (lost);
    GET DIAGNOSTICS n = ROW_COUNT;
    counts := counts || jsonb_build_object('contacts', n);
    DELETE FROM ventanilla.handles h WHERE h.tenant = p_tenant AND h.contact = ANY (lost);
  END IF;

  IF whole THEN
    -- A reply of theirs in somebody else's case goes to nobody.
    UPDATE ventanilla.outbox x SET text = '', reason = 'erased', state = 'failed', settled_at = the_at
      WHERE x.tenant = p_tenant AND x.state = 'queued' AND x.event = ANY (facts);
    -- Those who are told of changes erase theirs too.
    INSERT INTO ventanilla.history (tenant, case_id, at, author, field, before, after)
      SELECT p_tenant, c.id, the_at, o ->> 'author', 'status', c.status, 'closed' FROM ventanilla.cases c
      WHERE c.tenant = p_tenant AND c.id = ANY (the_cases) AND c.status NOT IN ('resolved', 'closed') ORDER BY c.id;
    INSERT INTO ventanilla.history (tenant, case_id, at, author, field, after)
      SELECT p_tenant, x, the_at, o ->> 'author', 'erased', run FROM unnest(the_cases) x ORDER BY x;
    INSERT INTO ventanilla.forgetting (tenant) VALUES (p_tenant) ON CONFLICT DO NOTHING;
  END IF;
  UPDATE ventanilla.cases c SET
      subject = CASE WHEN words THEN NULL ELSE c.subject END,
      contact = CASE WHEN people THEN NULL ELSE c.contact END,
      public = c.public AND NOT whole,
      status = CASE WHEN whole AND c.status NOT IN ('resolved', 'closed') THEN 'closed' ELSE c.status END,
      erased = CASE WHEN whole THEN run ELSE c.erased END
    WHERE c.tenant = p_tenant AND c.id = ANY (the_cases)
      AND (whole OR (words AND c.subject IS NOT NULL) OR (people AND c.contact IS NOT NULL));
  GET DIAGNOSTICS n = ROW_COUNT;
  counts := counts || jsonb_build_object('cases', n);
  UPDATE ventanilla.cases c SET retained = c.retained | bits WHERE c.tenant = p_tenant AND c.id = ANY (the_cases);

  UPDATE ventanilla.events e SET
      json = (e.json - members) || CASE WHEN whole AND e.idempotency_key NOT LIKE 'erased:%'
        THEN jsonb_build_object('idempotency_key', ventanilla.forgotten_1(e.idempotency_key)) ELSE '{}' END,
      idempotency_key = CASE WHEN whole AND e.idempotency_key NOT LIKE 'erased:%' THEN ventanilla.forgotten_1(e.idempotency_key)
        ELSE e.idempotency_key END,
      search = CASE WHEN words OR people THEN '' ELSE e.search END,
      contact = CASE WHEN people THEN NULL ELSE e.contact END,
      scheme = CASE WHEN people THEN NULL ELSE e.scheme END,
      handle = CASE WHEN people THEN NULL ELSE e.handle END,
      message_id = CASE WHEN whole THEN NULL ELSE e.message_id END,
      asks = CASE WHEN whole THEN NULL ELSE e.asks END
    WHERE e.tenant = p_tenant AND e.seq = ANY (facts)
      AND (o ->> 'only' IS NULL OR (o ->> 'only' = 'calls') = (e.kind LIKE 'call.%'))
      AND (whole OR e.json ?| members);
  GET DIAGNOSTICS n = ROW_COUNT;
  counts := counts || jsonb_build_object('events', n);
  UPDATE ventanilla.events e SET retained = e.retained | bits WHERE e.tenant = p_tenant AND e.seq = ANY (facts) AND e.case_id IS NULL;

  IF cutoff IS NULL OR (SELECT sum(x.value::bigint) FROM jsonb_each_text(counts) x) > 0 THEN
    PERFORM ventanilla.audit_1(p_tenant, run, the_at, o ->> 'author', o ->> 'action', o ->> 'subject', counts, o ->> 'reason');
  END IF;
  answer := counts::text;
  COMMIT;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.retention_1(p_tenant text) RETURNS TABLE (document text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY SELECT coalesce(jsonb_object_agg(r.kind, r.days), '{}')::text FROM ventanilla.retention r WHERE r.tenant = p_tenant;
END $$;
-- next
CREATE OR REPLACE PROCEDURE ventanilla.set_retention_1(p_tenant text, p_rules text, p_id text, p_at bigint, p_author text, p_reason text,
  INOUT answer text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  PERFORM ventanilla.audit_1(p_tenant, p_id, p_at, p_author, 'policy', NULL, '{}', p_reason);
  DELETE FROM ventanilla.retention r WHERE r.tenant = p_tenant;
  INSERT INTO ventanilla.retention (tenant, kind, days)
    SELECT p_tenant, x.key, x.value::bigint FROM jsonb_each_text(p_rules::jsonb) x;
  COMMIT;
END $$;
-- next
-- A hold (`p_reason`), or its end. Null: there is no such case.
CREATE OR REPLACE PROCEDURE ventanilla.hold_1(p_tenant text, p_reference text, p_reason text, p_id text, p_at bigint, p_author text,
  INOUT answer text) LANGUAGE plpgsql AS $$
DECLARE
  c record;
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  SELECT x.id, x.held INTO c FROM ventanilla.cases x WHERE x.tenant = p_tenant AND x.reference = p_reference FOR NO KEY UPDATE;
  IF FOUND THEN
    answer := '{}';
    IF c.held IS DISTINCT FROM p_reason THEN
      PERFORM ventanilla.audit_1(p_tenant, p_id, p_at, p_author, CASE WHEN p_reason IS NULL THEN 'release' ELSE 'hold' END, p_reference, '{}',
        p_reason);
      UPDATE ventanilla.cases x SET held = p_reason WHERE x.tenant = p_tenant AND x.id = c.id;
    END IF;
  END IF;
  COMMIT;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.audit_page_1(p_tenant text, p_before bigint, p_limit bigint) RETURNS TABLE (document text)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY SELECT (to_jsonb(a) - 'tenant')::text FROM ventanilla.audit a WHERE a.tenant = p_tenant AND a.n < p_before
    ORDER BY a.n DESC LIMIT p_limit;
END $$;
-- next
-- Begins, once; the answer is the ledger's last head. What is taken in at this moment is waited for.
CREATE OR REPLACE PROCEDURE ventanilla.remove_1(p_tenant text, p_id text, p_at bigint, p_author text, p_reason text, INOUT answer text)
LANGUAGE plpgsql AS $$
DECLARE
  last_head text;
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  PERFORM pg_advisory_xact_lock(hashtext(p_tenant), 0);
  SELECT r.head INTO last_head FROM ventanilla.removals r WHERE r.tenant = p_tenant;
  IF NOT FOUND THEN
    IF EXISTS (SELECT 1 FROM ventanilla.cases c WHERE c.tenant = p_tenant AND c.held IS NOT NULL) THEN
      RAISE EXCEPTION 'ventanilla:held';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM ventanilla.tenants t WHERE t.code = p_tenant)
      AND NOT EXISTS (SELECT 1 FROM ventanilla.ledger l WHERE l.tenant = p_tenant) THEN
      RAISE EXCEPTION 'ventanilla:no-tenant';
    END IF;
    SELECT s.n || ':' || s.link INTO last_head FROM ventanilla.seals s WHERE s.tenant = p_tenant ORDER BY s.n DESC LIMIT 1;
    INSERT INTO ventanilla.removals (tenant, id, at, author, head) VALUES (p_tenant, p_id, p_at, p_author, last_head);
    PERFORM ventanilla.audit_1(p_tenant, p_id, p_at, p_author, 'remove', NULL, jsonb_build_object(
        'cases', (SELECT count(*) FROM ventanilla.cases x WHERE x.tenant = p_tenant),
        'events', (SELECT count(*) FROM ventanilla.events x WHERE x.tenant = p_tenant),
        'envelopes', (SELECT count(*) FROM ventanilla.envelopes x WHERE x.tenant = p_tenant),
        'contacts', (SELECT count(*) FROM ventanilla.contacts x WHERE x.tenant = p_tenant)),
      p_reason || coalesce(' (last head of the ledger: ' || last_head || ')', ''));
    DELETE FROM ventanilla.tenants t WHERE t.code = p_tenant;
  END IF;
  answer := to_jsonb(last_head)::text;
  COMMIT;
END $$;
-- next
-- Seals of a tenant that is being removed, when their envelopes are gone. With the owner's rights: the component's role may not delete any.
CREATE OR REPLACE FUNCTION ventanilla.remove_seals_1(p_tenant text, p_limit bigint) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
DECLARE
  n bigint;
BEGIN
  IF EXISTS (SELECT 1 FROM ventanilla.envelopes v WHERE v.tenant = p_tenant)
    OR NOT EXISTS (SELECT 1 FROM ventanilla.removals r WHERE r.tenant = p_tenant AND r.done_at IS NULL) THEN
    RETURN 0;
  END IF;
  DELETE FROM ventanilla.seals s WHERE s.tenant = p_tenant AND s.n IN (
    SELECT x.n FROM ventanilla.seals x WHERE x.tenant = p_tenant ORDER BY x.n DESC LIMIT p_limit);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;
-- next
-- So many rows more; seals after what they seal, so that nothing is sealed anew. 0: all is done, or nothing is to be done.
CREATE OR REPLACE PROCEDURE ventanilla.remove_more_1(p_tenant text, p_at bigint, p_id text, p_limit bigint, INOUT answer text)
LANGUAGE plpgsql AS $$
DECLARE
  removed bigint := 0;
  n bigint;
  name text;
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  PERFORM 1 FROM ventanilla.removals r WHERE r.tenant = p_tenant AND r.done_at IS NULL FOR UPDATE;
  IF FOUND THEN
    FOREACH name IN ARRAY ARRAY['outbox', 'acknowledgements', 'tasks', 'notes', 'history', 'again', 'events', 'threads', 'cases', 'handles',
        'contact_joins', 'contacts', 'nonces', 'envelopes', 'seals', 'ledger', 'destinations', 'retention', 'forgetting'] LOOP
      EXIT WHEN removed >= p_limit;
      IF name = 'seals' THEN
        n := ventanilla.remove_seals_1(p_tenant, p_limit - removed);
      ELSE
        EXECUTE format('DELETE FROM ventanilla.%1$I x WHERE x.tenant = $1 AND x.ctid = ANY (ARRAY(SELECT y.ctid FROM ventanilla.%1$I y
          WHERE y.tenant = $1 LIMIT $2))', name) USING p_tenant, p_limit - removed;
        GET DIAGNOSTICS n = ROW_COUNT;
      END IF;
      removed := removed + n;
    END LOOP;
    IF removed = 0 THEN
      PERFORM ventanilla.audit_1(p_tenant, p_id, p_at, r.author, 'removed', NULL, '{}', NULL) FROM ventanilla.removals r WHERE r.tenant = p_tenant;
      UPDATE ventanilla.removals r SET done_at = p_at WHERE r.tenant = p_tenant;
    END IF;
  END IF;
  answer := removed::text;
  COMMIT;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.being_removed_1() RETURNS TABLE (tenant text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_all_1();
  RETURN QUERY SELECT r.tenant FROM ventanilla.removals r WHERE r.done_at IS NULL ORDER BY r.tenant LIMIT 1;
END $$;
-- next
-- Null: the tenant was removed. No row: there is none.
CREATE OR REPLACE FUNCTION ventanilla.profile_2(p_tenant text) RETURNS TABLE (profile text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY SELECT t.profile FROM ventanilla.tenants t WHERE t.code = p_tenant;
  IF NOT FOUND THEN
    RETURN QUERY SELECT NULL::text FROM ventanilla.removals r WHERE r.tenant = p_tenant;
  END IF;
END $$;
