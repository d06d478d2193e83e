-- An account of a period costs what the period has, however much there is before it.

-- Sealing waits while it is made; intakes do not.
CREATE INDEX IF NOT EXISTS seals_by_envelope ON ventanilla.seals (tenant, envelope);
-- next
-- As account_1; but the rows that are counted are those of a range of ids, and so are the seals that should be theirs: those there are, and the
-- numbers that are missing between the seals before the range and behind it. STABLE, so that all of it is read at one moment.
CREATE OR REPLACE FUNCTION ventanilla.account_2(p_tenant text, p_periods text, p_first text, p_behind text) RETURNS TABLE (document text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
  head record;
  inside record;
  before bigint;
  after bigint;
  low bigint;
  high bigint;
  there bigint;
  late bigint := -1;
  late_here bigint := 0;
  late_all bigint := 0;
  old_here bigint := 0;
  old_all bigint := 0;
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  SELECT h.n, h.link, h.place INTO head FROM ventanilla.seals h WHERE h.tenant = p_tenant ORDER BY h.n DESC LIMIT 1;
  SELECT count(*) AS seals, min(s.n) AS low, max(s.n) AS high INTO inside FROM ventanilla.seals s
    WHERE s.tenant = p_tenant AND s.envelope >= p_first COLLATE "C" AND s.envelope < p_behind COLLATE "C";
  SELECT s.n INTO before FROM ventanilla.seals s WHERE s.tenant = p_tenant AND s.envelope < p_first COLLATE "C"
    ORDER BY s.envelope DESC LIMIT 1;
  SELECT s.n INTO after FROM ventanilla.seals s WHERE s.tenant = p_tenant AND s.envelope >= p_behind COLLATE "C"
    ORDER BY s.envelope LIMIT 1;
  -- The numbers between, without the two ends: 0 is before the first seal, and behind the last one is no seal yet.
  low := least(coalesce(before, 0), coalesce(after, head.n + 1, 1), inside.low - 1);
  high := greatest(coalesce(before, 0), coalesce(after, head.n + 1, 1), inside.high + 1);
  SELECT count(*) INTO there FROM ventanilla.seals s WHERE s.tenant = p_tenant AND s.n > low AND s.n < high;
  late := coalesce(head.place, -1);
  SELECT count(*), count(*) FILTER (WHERE v.id >= p_first COLLATE "C" AND v.id < p_behind COLLATE "C") INTO late_all, late_here
    FROM ventanilla.envelopes v WHERE v.tenant = p_tenant AND v.fact IS NOT NULL AND v.fact > late;
  -- Those of before there was a ledger have no number of their own.
  IF late < 0 THEN
    late := coalesce(head.place, -4611686018427387904) + 4611686018427387904;
    SELECT count(*), count(*) FILTER (WHERE v.id >= p_first COLLATE "C" AND v.id < p_behind COLLATE "C") INTO old_all, old_here
      FROM ventanilla.envelopes v WHERE v.tenant = p_tenant AND v.fact IS NULL AND v.seq > late;
  END IF;
  RETURN QUERY SELECT jsonb_build_object(
    'lines', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.period, x.connector, x.disposition) FROM (
      SELECT b.period, e.connector, e.disposition, count(*) AS envelopes, sum(e.events) AS events, sum(e.repeats) AS repeats,
        sum(e.duplicates) AS duplicates
      FROM (SELECT p.place - 1 AS period, (p.value ->> 0) COLLATE "C" AS first, (p.value ->> 1) COLLATE "C" AS behind
        FROM jsonb_array_elements(p_periods::jsonb) WITH ORDINALITY p (value, place) OFFSET 0) b
      CROSS JOIN LATERAL (SELECT v.connector, v.disposition, v.events, v.repeats, v.duplicates FROM ventanilla.envelopes v
        WHERE v.tenant = p_tenant AND v.id >= b.first AND v.id < b.behind OFFSET 0) e
      GROUP BY 1, 2, 3) x),
    'stored', (SELECT count(*) FROM ventanilla.envelopes v
      WHERE v.tenant = p_tenant AND v.id >= p_first COLLATE "C" AND v.id < p_behind COLLATE "C"),
    'sealed', inside.seals + (high - low - 1 - there),
    'waiting', late_here + old_here,
    'counted', (SELECT coalesce(sum(l.envelopes), 0) FROM ventanilla.ledger l WHERE l.tenant = p_tenant),
    'head', coalesce(head.n, 0), 'link', head.link, 'unsealed', late_all + old_all)::text;
END $$;
