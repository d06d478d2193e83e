-- Work that stays flat as cases and tenants grow.

-- What PostgreSQL is to know of these tables before it has looked at them, which autovacuum does a minute after the first rows come. Without
-- statistics it takes a tenant for one of two hundred, and so, as long as a table is small, every index that begins with the tenant for as good as
-- the right one; connections keep the plans they make then, and an intake read all of the tenant's cases. So it is told that a tenant narrows nothing
-- down (n_distinct), and forty examples are looked at (ANALYZE) and deleted again, in one transaction: nobody sees them. Of forty tenants, so that none
-- is a frequent one. Autovacuum comes for fifty dead rows, not forty. Where there are rows and no statistics (restored from a dump), those rows are
-- looked at.
CREATE OR REPLACE FUNCTION ventanilla.examples_1() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  name text;
  example bigint;
BEGIN
  PERFORM set_config('ventanilla.scope', '', TRUE);
  FOREACH name IN ARRAY ARRAY['envelopes', 'contacts', 'handles', 'contact_joins', 'cases', 'threads', 'events', 'tasks', 'notes', 'history',
      'outbox', 'seals', 'nonces', 'acknowledgements'] LOOP
    EXECUTE format('ALTER TABLE ventanilla.%I ALTER COLUMN tenant SET (n_distinct = 1)', name);
    CONTINUE WHEN (SELECT c.reltuples FROM pg_class c WHERE c.oid = format('ventanilla.%I', name)::regclass) >= 0;
    IF pg_relation_size(format('ventanilla.%I', name)::regclass) = 0 THEN
      FOR example IN 1 .. 40 LOOP
        PERFORM set_config('ventanilla.tenant', '-' || example, TRUE);
        EXECUTE format('INSERT INTO ventanilla.%I ', name) || CASE name
          WHEN 'envelopes' THEN '(tenant, seq, id, connector, method, target, received_at, verified_by, disposition, events, headers, body, fact, digest)
            SELECT $1, n, ''e'' || n, ''c'' || n % 3, ''POST'', ''/'', n, ''v'', CASE WHEN n % 10 = 0 THEN ''quarantined'' ELSE ''accepted'' END, 1, ''[]'',
              ''b'', n, ''d'' || n'
          WHEN 'contacts' THEN '(tenant, id, name, root) SELECT $1, ''p'' || n, ''n'' || n, ''p'' || n'
          WHEN 'handles' THEN '(tenant, scheme, value_key, value, contact) SELECT $1, ''s'' || n % 2, ''h'' || n, ''h'' || n, ''p'' || n'
          WHEN 'contact_joins' THEN '(tenant, seq, into_contact, other_contact, author, at) SELECT $1, n, ''p'' || n, ''q'' || n, ''a'', n'
          WHEN 'cases' THEN '(tenant, id, reference, status, channel, subject, contact, public, opened_at, updated_at)
            SELECT $1, n, ''r'' || n, CASE WHEN n % 2 = 0 THEN ''new'' ELSE ''open'' END, ''c'' || n % 3, ''s'' || n, ''p'' || n, n % 8 = 0, n, n'
          WHEN 'threads' THEN '(tenant, connector, thread, case_id) SELECT $1, ''c'' || n % 3, ''t'' || n, n'
          WHEN 'events' THEN '(tenant, seq, id, channel, connector, kind, idempotency_key, received_at, envelope, case_id, opened, contact, scheme, handle,
              message_id, settles, search, json)
            SELECT $1, n, ''e'' || n, ''c'' || n % 3, ''c'' || n % 3, ''k'' || n % 4, ''i'' || n, n, ''e'' || n, n / 2, n % 2 = 0, ''p'' || n / 2, ''s'',
              ''h'' || n / 2, CASE WHEN n % 2 = 0 THEN ''m'' || n END, FALSE, ''w'' || n, ''{}'''
          WHEN 'tasks' THEN '(tenant, case_id, id, task, created_at, derived) SELECT $1, n, ''t'' || n, ''review'', n, FALSE'
          WHEN 'notes' THEN '(tenant, seq, case_id, id, author, text, at) SELECT $1, n, n / 2, ''n'' || n, ''a'', ''t'', n'
          WHEN 'history' THEN '(tenant, seq, case_id, at, author, field, after) SELECT $1, n, n / 2, n, ''a'', ''f'' || n % 4, ''x'' || n'
          WHEN 'outbox' THEN '(tenant, seq, id, connector, case_id, event, text, author, automatic, created_at, due_at, message_id, message_key, state)
            SELECT $1, n, ''o'' || n, ''c'' || n % 3, n, n, ''t'', ''a'', n % 2 = 0, n, n, ''m'' || n, ''m'' || n, CASE WHEN n % 4 = 0 THEN ''queued'' ELSE ''sent'' END'
          WHEN 'seals' THEN '(tenant, n, envelope, place, digest, link, sealed_at) SELECT $1, n, ''e'' || n, n, ''d'' || n, ''l'' || n, n / 10'
          WHEN 'nonces' THEN '(tenant, connector, nonce, binding, envelope, seen_at) SELECT $1, ''c'' || n % 3, ''n'' || n, ''b'', ''e'' || n, n'
          WHEN 'acknowledgements' THEN '(tenant, connector, what, since, count) SELECT $1, ''c'' || n % 3, ''w'' || n, n, 1'
        END || ' FROM (SELECT $2) g (n)' USING '-' || example, example;
      END LOOP;
      EXECUTE format('ANALYZE ventanilla.%I', name);
      FOR example IN 1 .. 40 LOOP
        PERFORM set_config('ventanilla.tenant', '-' || example, TRUE);
        EXECUTE format('DELETE FROM ventanilla.%I x WHERE x.tenant = $1', name) USING '-' || example;
      END LOOP;
    ELSE
      EXECUTE format('ANALYZE ventanilla.%I', name);
    END IF;
  END LOOP;
END $$;
-- next
DO $$ BEGIN IF pg_relation_size('ventanilla.migrations') > 0 THEN
  PERFORM ventanilla.examples_1();
END IF; END $$;
-- next
-- What waits for a seal, of any tenant, so that sealing reads that and nothing else: it asked a thousand tenants in turn, every two seconds. A row of
-- its own for each envelope, in the transaction that stores it: nobody waits for another's, and what is committed late is here late too. `fact` is the
-- envelope's. It tells where to look; what there is to seal, and up to where, is said by envelopes and seals as before, and what is behind the tenant's
-- newest seal is taken away by the next look. -1: all there was before this.
CREATE TABLE IF NOT EXISTS ventanilla.unsealed (
  tenant text COLLATE "C" NOT NULL,
  fact bigint NOT NULL,
  PRIMARY KEY (tenant, fact)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
-- next
SELECT ventanilla.protect_1('unsealed', 'tenant', TRUE);
-- next
-- Whoever takes in already must be able to before the trigger is there.
DO $$ BEGIN IF TRUE THEN
  DECLARE
    r record;
  BEGIN
    FOR r IN SELECT DISTINCT a.grantee::regrole AS name FROM pg_class c CROSS JOIN aclexplode(c.relacl) a
      WHERE c.oid = 'ventanilla.envelopes'::regclass AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, c.relowner) LOOP
      EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ventanilla.unsealed TO %s', r.name);
    END LOOP;
  END;
END IF; END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.to_seal_1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ventanilla.unsealed (tenant, fact) VALUES (NEW.tenant, NEW.fact) ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
-- next
-- Waits for the intakes that have begun, so that none is missed between this and the next statement.
CREATE OR REPLACE TRIGGER to_seal AFTER INSERT ON ventanilla.envelopes FOR EACH ROW WHEN (NEW.fact IS NOT NULL)
  EXECUTE FUNCTION ventanilla.to_seal_1();
-- next
DO $$ BEGIN IF TRUE THEN
  PERFORM ventanilla.enter_all_1();
  INSERT INTO ventanilla.unsealed (tenant, fact)
    WITH RECURSIVE t (name) AS (
      (SELECT l.tenant FROM ventanilla.ledger l ORDER BY l.tenant LIMIT 1)
      UNION ALL SELECT (SELECT l.tenant FROM ventanilla.ledger l WHERE l.tenant > t.name ORDER BY l.tenant LIMIT 1) FROM t WHERE t.name IS NOT NULL)
    SELECT t.name, -1 FROM t WHERE t.name IS NOT NULL
    ON CONFLICT DO NOTHING;
END IF; END $$;
-- next
-- As before, of the tenants of which something waits.
CREATE OR REPLACE FUNCTION ventanilla.unsealed_1(p_limit bigint) RETURNS TABLE (document text) LANGUAGE plpgsql AS $$
DECLARE
  horizon bigint;
  every text[];
  whose text;
  head record;
  behind bigint;
  room bigint := p_limit;
  found bigint;
  left_over bigint;
BEGIN
  PERFORM ventanilla.enter_all_1();
  horizon := ventanilla.horizon_1();
  WITH RECURSIVE t (name) AS (
      (SELECT u.tenant FROM ventanilla.unsealed u ORDER BY u.tenant LIMIT 1)
      UNION ALL SELECT (SELECT u.tenant FROM ventanilla.unsealed u WHERE u.tenant > t.name ORDER BY u.tenant LIMIT 1) FROM t WHERE t.name IS NOT NULL)
    SELECT array_agg(t.name ORDER BY t.name) INTO every FROM t WHERE t.name IS NOT NULL;
  PERFORM set_config('ventanilla.scope', '', TRUE);
  FOREACH whose IN ARRAY coalesce(every, '{}') LOOP
    PERFORM set_config('ventanilla.tenant', whose, TRUE);
    left_over := room;
    SELECT h.n, h.link, h.place INTO head FROM ventanilla.seals h WHERE h.tenant = whose ORDER BY h.n DESC LIMIT 1;
    behind := coalesce(head.place, -1);
    -- Those without a number of their own first, all of them.
    IF behind < 0 THEN
      behind := coalesce(head.place, -4611686018427387904) + 4611686018427387904;
      RETURN QUERY SELECT jsonb_build_object('tenant', v.tenant, 'id', v.id, 'place', v.seq - 4611686018427387904, 'digest', v.digest,
          'number', coalesce(head.n, 0), 'link', head.link)::text
        FROM ventanilla.envelopes v WHERE v.tenant = whose AND v.fact IS NULL
          AND v.seq > behind
        ORDER BY v.seq LIMIT room;
      GET DIAGNOSTICS found = ROW_COUNT;
      room := room - found;
      behind := -1;
    END IF;
    RETURN QUERY SELECT jsonb_build_object('tenant', v.tenant, 'id', v.id, 'place', v.fact, 'digest', v.digest,
        'number', coalesce(head.n, 0), 'link', head.link)::text
      FROM ventanilla.envelopes v WHERE v.tenant = whose AND v.fact IS NOT NULL AND v.fact > behind AND v.fact <= horizon
      ORDER BY v.fact LIMIT room;
    GET DIAGNOSTICS found = ROW_COUNT;
    room := room - found;
    -- What has its seal; everything up to the horizon, if nothing waits any more (sealed by a component of the version before, or removed).
    behind := CASE WHEN room = left_over THEN horizon ELSE coalesce(head.place, -2) END;
    DELETE FROM ventanilla.unsealed u WHERE u.tenant = whose AND u.fact <= behind;
    EXIT WHEN room <= 0;
  END LOOP;
END $$;
-- next
-- As before; but those that are named are looked up first, and not looked for among all public ones.
-- `p_lookup`: references, service_codes, statuses (lists, empty for any), opened_from, opened_until, updated_from, updated_until (or null).
CREATE OR REPLACE FUNCTION ventanilla.public_cases_1(p_tenant text, p_lookup text, p_limit bigint) RETURNS TABLE (document text)
LANGUAGE plpgsql AS $$
DECLARE
  lookup jsonb := p_lookup::jsonb;
  conditions text := '';
  source text := 'ventanilla.cases';
  name text;
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  FOREACH name IN ARRAY ARRAY['reference', 'service_code', 'status'] LOOP
    IF jsonb_array_length(lookup -> (CASE name WHEN 'status' THEN 'statuses' ELSE name || 's' END)) > 0 THEN
      conditions := conditions || format(' AND c.%I = ANY (ARRAY(SELECT jsonb_array_elements_text($2 -> %L)))',
        name, CASE name WHEN 'status' THEN 'statuses' ELSE name || 's' END);
    END IF;
  END LOOP;
  IF jsonb_array_length(lookup -> 'references') > 0 THEN
    source := '(SELECT k.* FROM ventanilla.cases k WHERE k.tenant = $1 AND k.reference = ANY (ARRAY(SELECT jsonb_array_elements_text($2 -> ''references'')))
      OFFSET 0)';
  END IF;
  FOREACH name IN ARRAY ARRAY['opened', 'updated'] LOOP
    IF lookup ->> (name || '_from') IS NOT NULL THEN
      conditions := conditions || format(' AND c.%I >= ($2 ->> %L)::bigint', name || '_at', name || '_from');
    END IF;
    IF lookup ->> (name || '_until') IS NOT NULL THEN
      conditions := conditions || format(' AND c.%I <= ($2 ->> %L)::bigint', name || '_at', name || '_until');
    END IF;
  END LOOP;
  RETURN QUERY EXECUTE 'SELECT jsonb_build_object(''reference'', c.reference, ''status'', c.status, ''service_code'', c.service_code,
      ''department'', c.department, ''opened_at'', c.opened_at, ''updated_at'', c.updated_at,
      ''event'', (SELECT f.json FROM ventanilla.events f WHERE f.tenant = c.tenant AND f.case_id = c.id AND f.opened ORDER BY f.seq LIMIT 1),
      ''updates'', (SELECT jsonb_agg(jsonb_build_object(''id'', h.seq, ''at'', h.at, ''status'', h.after) ORDER BY h.seq)
        FROM ventanilla.history h WHERE h.tenant = c.tenant AND h.case_id = c.id AND h.field = ''status''))::text
    FROM ' || source || ' c WHERE c.tenant = $1 AND c.public' || conditions || ' ORDER BY c.id DESC LIMIT $3'
    USING p_tenant, lookup, p_limit;
END $$;
-- next
-- As before; but each is taken by its key, and only if it is still queued: joined to what was chosen, all of the outbox could be read for it.
CREATE OR REPLACE PROCEDURE ventanilla.claim_1(p_connector text, p_now bigint, p_until bigint, p_limit bigint, INOUT answer text)
LANGUAGE plpgsql AS $$
DECLARE
  chosen jsonb;
  z jsonb;
  o ventanilla.outbox;
  items jsonb := '[]';
BEGIN
  PERFORM ventanilla.enter_to_write_1('');
  PERFORM ventanilla.enter_all_1();
  PERFORM pg_advisory_xact_lock(hashtext('courier'), hashtext(p_connector));
  -- All of them before the loop, which changes whose rows are seen.
  SELECT jsonb_agg(jsonb_build_array(c.tenant, c.seq) ORDER BY c.automatic, c.due_at, c.seq) INTO chosen FROM (
    SELECT q.tenant, q.seq, q.automatic, q.due_at FROM (
      SELECT y.tenant, y.seq, y.automatic, y.due_at,
        row_number() OVER (PARTITION BY y.automatic, y.tenant ORDER BY y.due_at, y.seq) AS place
      FROM ventanilla.outbox y WHERE y.state = 'queued' AND y.connector = p_connector AND y.due_at <= p_now
        AND (y.leased_until IS NULL OR y.leased_until <= p_now)) q
    ORDER BY q.automatic, q.place, q.due_at, q.seq LIMIT p_limit) c;
  FOR z IN SELECT value FROM jsonb_array_elements(chosen) LOOP
    -- What it answers is its tenant's.
    PERFORM ventanilla.enter_1(z ->> 0);
    UPDATE ventanilla.outbox x SET leased_until = p_until, attempts = x.attempts + 1
      WHERE x.tenant = z ->> 0 AND x.seq = (z ->> 1)::bigint AND x.state = 'queued' RETURNING x.* INTO o;
    CONTINUE WHEN NOT FOUND;
    items := items || jsonb_build_object('id', o.id, 'tenant', o.tenant, 'connector', o.connector, 'text', o.text, 'automatic', o.automatic,
      'attempts', o.attempts, 'created_at', o.created_at, 'done', o.done,
      'reference', (SELECT c.reference FROM ventanilla.cases c WHERE c.tenant = o.tenant AND c.id = o.case_id),
      'event', (SELECT v.event FROM ventanilla.event_rows_1 v WHERE v.tenant = o.tenant AND v.seq = o.event));
  END LOOP;
  answer := items::text;
  COMMIT;
END $$;
