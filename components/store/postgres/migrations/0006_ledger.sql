-- The ledger: each envelope's digest, what came twice, and the chain that seals what is stored (wit/store/ledger.wit).

-- `fact`: its number among what happened (fact_seq), drawn by default so that components of the version before draw it too: after number_1,
-- like every number. Absent for what was stored before this; those come first, in the order of `seq`.
-- `digest`: what intake_2 has set for its transaction; absent from components of the version before, and made when it is sealed.
-- `duplicates`: events in it that were known when it came. `repeats`: deliveries with its single-use value, which are not stored.
DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'ventanilla.envelopes'::regclass AND attname = 'fact') THEN
  ALTER TABLE ventanilla.envelopes
    ADD COLUMN fact bigint,
    ALTER COLUMN fact SET DEFAULT nextval('ventanilla.fact_seq'),
    ADD COLUMN digest text COLLATE "C",
    ALTER COLUMN digest SET DEFAULT nullif(current_setting('ventanilla.digest', TRUE), ''),
    ADD COLUMN duplicates bigint NOT NULL DEFAULT 0,
    ADD COLUMN repeats bigint NOT NULL DEFAULT 0;
END IF; END $$;
-- next
-- Intakes wait while it is made: for one reading of the table, without the bodies.
CREATE INDEX IF NOT EXISTS envelopes_in_order ON ventanilla.envelopes (tenant, fact) WHERE fact IS NOT NULL;
-- next
-- `place`: the envelope's `fact`; of those that have none, `seq` less 2^62.
CREATE TABLE IF NOT EXISTS ventanilla.seals (
  tenant text COLLATE "C" NOT NULL,
  n bigint NOT NULL,
  envelope text COLLATE "C" NOT NULL,
  place bigint NOT NULL,
  digest text COLLATE "C" NOT NULL,
  link text COLLATE "C" NOT NULL,
  sealed_at bigint NOT NULL,
  PRIMARY KEY (tenant, n)
);
-- next
CREATE UNIQUE INDEX IF NOT EXISTS seals_by_place ON ventanilla.seals (tenant, place);
-- next
SELECT ventanilla.protect_1('seals', 'tenant', FALSE);
-- next
-- As before; and a seal stays, whoever has the component's password.
CREATE OR REPLACE FUNCTION ventanilla.admit_1(p_role text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA ventanilla TO %I', p_role);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ventanilla TO %I', p_role);
  EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON ventanilla.migrations FROM %I', p_role);
  EXECUTE format('REVOKE UPDATE, DELETE ON ventanilla.seals FROM %I', p_role);
  EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA ventanilla TO %I', p_role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA ventanilla GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %I', p_role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA ventanilla GRANT USAGE, SELECT ON SEQUENCES TO %I', p_role);
END $$;
-- next
-- An intake with its envelope's digest. What was not new is counted afterwards, so that what is new pays nothing for it: repeats with the
-- envelope that is there, duplicates with the one in which they came, but not those of a replay. `p_known`: it was journalled.
CREATE OR REPLACE PROCEDURE ventanilla.intake_2(p_tenant text, p_document text, p_body bytea, p_id text, p_known bigint, p_digest text,
  INOUT answer text) LANGUAGE plpgsql AS $$
DECLARE
  taken jsonb;
  was text := 'pending';
  again bigint;
BEGIN
  PERFORM set_config('ventanilla.digest', p_digest, TRUE);
  IF p_known = 1 THEN
    PERFORM ventanilla.enter_1(p_tenant);
    SELECT x.disposition INTO was FROM ventanilla.envelopes x WHERE x.tenant = p_tenant AND x.id = p_id;
  END IF;
  taken := ventanilla.take_in_1(p_tenant, p_document, p_body);
  IF p_known = 0 AND taken ->> 'envelope' <> p_id THEN
    UPDATE ventanilla.envelopes x SET repeats = x.repeats + 1 WHERE x.tenant = p_tenant AND x.id = taken ->> 'envelope';
  ELSIF was = 'pending' THEN
    SELECT count(*) INTO again FROM jsonb_array_elements(nullif(taken -> 'receipts', 'null')) r WHERE (r.value ->> 'duplicate')::boolean;
    IF again > 0 THEN
      UPDATE ventanilla.envelopes x SET duplicates = x.duplicates + again WHERE x.tenant = p_tenant AND x.id = p_id;
    END IF;
  END IF;
  answer := taken::text;
  COMMIT;
END $$;
-- next
-- `p_periods`: [["first id", "id behind the last"], …]. One statement, so one moment.
CREATE OR REPLACE FUNCTION ventanilla.account_1(p_tenant text, p_periods text) RETURNS TABLE (document text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY SELECT jsonb_build_object(
    'lines', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.period, x.connector, x.disposition) FROM (
      SELECT b.period, e.connector, e.disposition, count(*) AS envelopes, sum(e.events) AS events, sum(e.repeats) AS repeats,
        sum(e.duplicates) AS duplicates
      FROM (SELECT p.place - 1 AS period, (p.value ->> 0) COLLATE "C" AS first, (p.value ->> 1) COLLATE "C" AS behind
        FROM jsonb_array_elements(p_periods::jsonb) WITH ORDINALITY p (value, place) OFFSET 0) b
      CROSS JOIN LATERAL (SELECT v.connector, v.disposition, v.events, v.repeats, v.duplicates FROM ventanilla.envelopes v
        WHERE v.tenant = p_tenant AND v.id >= b.first AND v.id < b.behind OFFSET 0) e
      GROUP BY 1, 2, 3) x),
    'stored', (SELECT count(*) FROM ventanilla.envelopes v WHERE v.tenant = p_tenant),
    'counted', (SELECT coalesce(sum(l.envelopes), 0) FROM ventanilla.ledger l WHERE l.tenant = p_tenant),
    'sealed', coalesce(s.n, 0), 'link', s.link,
    'waiting', (SELECT count(*) FROM ventanilla.envelopes v WHERE v.tenant = p_tenant AND v.fact IS NOT NULL
        AND v.fact > coalesce(s.place, -9223372036854775808))
      + CASE WHEN coalesce(s.place, -1) >= 0 THEN 0 ELSE (SELECT count(*) FROM ventanilla.envelopes v WHERE v.tenant = p_tenant
        AND v.fact IS NULL AND v.seq > coalesce(s.place, -4611686018427387904) + 4611686018427387904) END)::text
    FROM (SELECT 1) one LEFT JOIN (SELECT h.n, h.link, h.place FROM ventanilla.seals h WHERE h.tenant = p_tenant ORDER BY h.n DESC LIMIT 1) s
      ON TRUE;
END $$;
-- next
-- Envelopes after the newest seal of each tenant, up to the horizon. Tenants are found one by one, by index.
CREATE OR REPLACE FUNCTION ventanilla.unsealed_1(p_limit bigint) RETURNS TABLE (document text) LANGUAGE plpgsql AS $$
DECLARE
  horizon bigint;
  every text[];
  whose text;
  head record;
  room bigint := p_limit;
  found bigint;
BEGIN
  PERFORM ventanilla.enter_all_1();
  horizon := ventanilla.horizon_1();
  WITH RECURSIVE t (name) AS (
      (SELECT l.tenant FROM ventanilla.ledger l ORDER BY l.tenant LIMIT 1)
      UNION ALL SELECT (SELECT l.tenant FROM ventanilla.ledger l WHERE l.tenant > t.name ORDER BY l.tenant LIMIT 1) FROM t WHERE t.name IS NOT NULL)
    SELECT array_agg(t.name ORDER BY t.name) INTO every FROM t WHERE t.name IS NOT NULL;
  FOREACH whose IN ARRAY coalesce(every, '{}') LOOP
    PERFORM ventanilla.enter_1(whose);
    SELECT h.n, h.link, h.place INTO head FROM ventanilla.seals h WHERE h.tenant = whose ORDER BY h.n DESC LIMIT 1;
    -- Those without a number of their own first, all of them.
    IF coalesce(head.place, -1) < 0 THEN
      RETURN QUERY SELECT jsonb_build_object('tenant', v.tenant, 'id', v.id, 'place', v.seq - 4611686018427387904, 'digest', v.digest,
          'number', coalesce(head.n, 0), 'link', head.link)::text
        FROM ventanilla.envelopes v WHERE v.tenant = whose AND v.fact IS NULL
          AND v.seq > coalesce(head.place, -4611686018427387904) + 4611686018427387904
        ORDER BY v.seq LIMIT room;
      GET DIAGNOSTICS found = ROW_COUNT;
      room := room - found;
    END IF;
    RETURN QUERY SELECT jsonb_build_object('tenant', v.tenant, 'id', v.id, 'place', v.fact, 'digest', v.digest,
        'number', coalesce(head.n, 0), 'link', head.link)::text
      FROM ventanilla.envelopes v WHERE v.tenant = whose AND v.fact IS NOT NULL AND v.fact > coalesce(head.place, -1) AND v.fact <= horizon
      ORDER BY v.fact LIMIT room;
    GET DIAGNOSTICS found = ROW_COUNT;
    room := room - found;
    EXIT WHEN room <= 0;
  END LOOP;
END $$;
-- next
-- `p_heads`: [["tenant", number after which its seals stand], …]. A tenant whose chain has grown meanwhile is left out: somebody was faster.
CREATE OR REPLACE PROCEDURE ventanilla.seal_1(p_heads text, p_seals text, p_at bigint, INOUT answer text) LANGUAGE plpgsql AS $$
DECLARE
  h jsonb;
  whose text;
  sealed bigint := 0;
  written bigint;
BEGIN
  PERFORM ventanilla.enter_to_write_1('');
  PERFORM pg_advisory_xact_lock(hashtext('sealer'), 0);
  FOR h IN SELECT value FROM jsonb_array_elements(p_heads::jsonb) LOOP
    whose := h ->> 0;
    PERFORM ventanilla.enter_1(whose);
    CONTINUE WHEN coalesce((SELECT max(s.n) FROM ventanilla.seals s WHERE s.tenant = whose), 0) <> (h ->> 1)::bigint;
    INSERT INTO ventanilla.seals (tenant, n, envelope, place, digest, link, sealed_at)
      SELECT whose, x.n, x.envelope, x.place, x.digest, x.link, p_at
      FROM jsonb_to_recordset(p_seals::jsonb) AS x (tenant text, n bigint, envelope text, place bigint, digest text, link text)
      WHERE x.tenant = whose ORDER BY x.n;
    GET DIAGNOSTICS written = ROW_COUNT;
    sealed := sealed + written;
  END LOOP;
  answer := sealed::text;
  COMMIT;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.seals_1(p_tenant text, p_from bigint, p_limit bigint) RETURNS TABLE (document text)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY SELECT jsonb_build_object('n', s.n, 'envelope', s.envelope, 'place', s.place, 'digest', s.digest, 'link', s.link, 'bytes',
      (SELECT octet_length(e.body) FROM ventanilla.envelopes e WHERE e.tenant = p_tenant AND e.id = s.envelope))::text
    FROM ventanilla.seals s WHERE s.tenant = p_tenant AND s.n >= p_from ORDER BY s.n LIMIT p_limit;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.bodies_1(p_tenant text, p_ids text) RETURNS TABLE (document text, body bytea) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY SELECT jsonb_build_object('id', x.id, 'tenant', x.tenant, 'connector', x.connector, 'method', x.method, 'target', x.target,
      'headers', x.headers, 'received_at', x.received_at, 'verified_by', x.verified_by, 'nonce', x.nonce)::text, x.body
    FROM (SELECT i.value AS id FROM jsonb_array_elements_text(p_ids::jsonb) i OFFSET 0) w
    CROSS JOIN LATERAL (SELECT v.* FROM ventanilla.envelopes v WHERE v.tenant = p_tenant AND v.id = w.id OFFSET 0) x;
END $$;
-- next
-- Envelopes without a seal behind a place, up to another one or up to the newest seal.
CREATE OR REPLACE FUNCTION ventanilla.added_1(p_tenant text, p_after bigint, p_upto bigint) RETURNS TABLE (place bigint, id text)
LANGUAGE plpgsql AS $$
DECLARE
  upto bigint;
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  upto := coalesce(p_upto, (SELECT s.place FROM ventanilla.seals s WHERE s.tenant = p_tenant ORDER BY s.n DESC LIMIT 1));
  RETURN QUERY SELECT * FROM (
      (SELECT v.seq - 4611686018427387904 AS at, v.id FROM ventanilla.envelopes v
        WHERE p_after < 0 AND v.tenant = p_tenant AND v.fact IS NULL AND v.seq <= upto + 4611686018427387904
          AND v.seq > CASE WHEN p_after < -4611686018427387904 THEN p_after ELSE p_after + 4611686018427387904 END
          AND NOT EXISTS (SELECT 1 FROM ventanilla.seals s WHERE s.tenant = p_tenant AND s.place = v.seq - 4611686018427387904)
        ORDER BY v.seq LIMIT 100)
      UNION ALL
      (SELECT v.fact, v.id FROM ventanilla.envelopes v
        WHERE v.tenant = p_tenant AND v.fact IS NOT NULL AND v.fact > p_after AND v.fact <= upto
          AND NOT EXISTS (SELECT 1 FROM ventanilla.seals s WHERE s.tenant = p_tenant AND s.place = v.fact)
        ORDER BY v.fact LIMIT 100)) x
    ORDER BY 1 LIMIT 100;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.link_1(p_tenant text, p_number bigint) RETURNS TABLE (link text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY SELECT s.link FROM ventanilla.seals s WHERE s.tenant = p_tenant AND s.n = p_number;
END $$;
-- next
-- What was received in a range of ids, newest first.
CREATE OR REPLACE FUNCTION ventanilla.received_1(p_tenant text, p_first text, p_behind text, p_limit bigint, p_disposition text)
RETURNS TABLE (document text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY SELECT jsonb_build_object('id', x.id, 'connector', x.connector, 'method', x.method, 'target', x.target,
      'received_at', x.received_at, 'verified_by', x.verified_by, 'disposition', x.disposition, 'reason', x.reason,
      'body_bytes', octet_length(x.body), 'events', x.events)::text
    FROM ventanilla.envelopes x WHERE x.tenant = p_tenant AND x.id >= p_first AND x.id < p_behind
      AND (p_disposition IS NULL OR x.disposition = p_disposition)
    ORDER BY x.id DESC LIMIT p_limit;
END $$;
