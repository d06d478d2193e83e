-- The oldest envelope of a connector that waits for somebody, without reading the others that wait. Few are in it.
CREATE INDEX IF NOT EXISTS envelopes_waiting ON ventanilla.envelopes (tenant, connector, disposition, seq) WHERE disposition <> 'accepted';
-- next
-- As totals_1, and since when the oldest of those that wait does. Envelopes are read tenant by tenant: the ledger alone is open to all at once.
CREATE OR REPLACE FUNCTION ventanilla.totals_2(p_tenant text)
RETURNS TABLE (tenant text, connector text, disposition text, envelopes bigint, events bigint, oldest bigint) LANGUAGE plpgsql AS $$
BEGIN
  FOR tenant, connector, disposition, envelopes, events IN SELECT * FROM ventanilla.totals_1(p_tenant) LOOP
    oldest := NULL;
    IF disposition <> 'accepted' THEN
      PERFORM ventanilla.enter_1(tenant);
      SELECT v.received_at INTO oldest FROM ventanilla.envelopes v
        WHERE v.tenant = totals_2.tenant AND v.connector = totals_2.connector AND v.disposition = totals_2.disposition
          AND v.disposition <> 'accepted' ORDER BY v.seq LIMIT 1;
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;
-- next
-- As before, but with places that an index can be searched for. Row-level security lets PostgreSQL compare the columns of an index only with what
-- can't tell anything about a row, and COALESCE is not among what it knows for that (contain_leaked_vars in its clauses.c): with it every envelope
-- of a tenant was read, every two seconds. CASE is, and so is a variable.
CREATE OR REPLACE FUNCTION ventanilla.unsealed_1(p_limit bigint) RETURNS TABLE (document text) LANGUAGE plpgsql AS $$
DECLARE
  horizon bigint;
  every text[];
  whose text;
  head record;
  behind bigint;
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
    EXIT WHEN room <= 0;
  END LOOP;
END $$;
-- next
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
        AND v.fact > CASE WHEN s.place IS NULL THEN -9223372036854775808 ELSE s.place END)
      + CASE WHEN coalesce(s.place, -1) >= 0 THEN 0 ELSE (SELECT count(*) FROM ventanilla.envelopes v WHERE v.tenant = p_tenant
        AND v.fact IS NULL AND v.seq > CASE WHEN s.place IS NULL THEN 0 ELSE s.place + 4611686018427387904 END) END)::text
    FROM (SELECT 1) one LEFT JOIN (SELECT h.n, h.link, h.place FROM ventanilla.seals h WHERE h.tenant = p_tenant ORDER BY h.n DESC LIMIT 1) s
      ON TRUE;
END $$;
