-- Sealing many tenants costs what sealing one does.

-- As before; but the documents are read once, not once for each of their tenants, and what waits is no longer marked when it has its seal: whoever
-- looks next had to visit those tenants again, in a transaction that then had to be synced. A tenant's first number says after which its seals stand.
-- In the order of the tenants, as the looks go, so that none waits in a circle.
CREATE OR REPLACE PROCEDURE ventanilla.seal_1(p_heads text, p_seals text, p_at bigint, INOUT answer text) LANGUAGE plpgsql AS $$
DECLARE
  g record;
  sealed bigint := 0;
  written bigint;
BEGIN
  PERFORM ventanilla.enter_to_write_1('');
  PERFORM pg_advisory_xact_lock(hashtext('sealer'), 0);
  FOR g IN SELECT x.tenant, min(x.n) - 1 AS head, max(x.place) AS place, array_agg(x ORDER BY x.n) AS seals
      FROM jsonb_populate_recordset(NULL::ventanilla.seals, p_seals::jsonb) x GROUP BY x.tenant ORDER BY x.tenant LOOP
    PERFORM set_config('ventanilla.tenant', g.tenant, TRUE);
    CONTINUE WHEN coalesce((SELECT s.n FROM ventanilla.seals s WHERE s.tenant = g.tenant ORDER BY s.n DESC LIMIT 1), 0) <> g.head;
    INSERT INTO ventanilla.seals (tenant, n, envelope, place, digest, link, sealed_at)
      SELECT x.tenant, x.n, x.envelope, x.place, x.digest, x.link, p_at FROM unnest(g.seals) x;
    GET DIAGNOSTICS written = ROW_COUNT;
    sealed := sealed + written;
    DELETE FROM ventanilla.unsealed u WHERE u.tenant = g.tenant AND u.fact <= g.place;
  END LOOP;
  answer := sealed::text;
  COMMIT;
END $$;
-- next
-- As before; but it looks for the next tenant when it needs one, not for all of them first, and deletes only where there is something to delete.
CREATE OR REPLACE FUNCTION ventanilla.unsealed_1(p_limit bigint) RETURNS TABLE (document text) LANGUAGE plpgsql AS $$
DECLARE
  horizon bigint;
  whose text := '';
  mark bigint;
  head record;
  behind bigint;
  room bigint := p_limit;
  found bigint;
  left_over bigint;
BEGIN
  PERFORM ventanilla.enter_all_1();
  horizon := ventanilla.horizon_1();
  WHILE room > 0 LOOP
    PERFORM set_config('ventanilla.scope', 'all tenants', TRUE);
    SELECT u.tenant, u.fact INTO whose, mark FROM ventanilla.unsealed u WHERE u.tenant > whose ORDER BY u.tenant, u.fact LIMIT 1;
    EXIT WHEN whose IS NULL;
    PERFORM set_config('ventanilla.tenant', whose, TRUE), set_config('ventanilla.scope', '', TRUE);
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
    -- What has its seal; everything up to the horizon, if nothing waits any more (removed, say).
    behind := CASE WHEN room = left_over THEN horizon ELSE coalesce(head.place, -2) END;
    IF mark <= behind THEN
      DELETE FROM ventanilla.unsealed u WHERE u.tenant = whose AND u.fact <= behind;
    END IF;
  END LOOP;
END $$;
-- next
-- As before, and the marks of what waited for a seal: behind the seals, after which nothing is sealed any more.
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
        'contact_joins', 'contacts', 'nonces', 'envelopes', 'seals', 'unsealed', 'ledger', 'destinations', 'retention', 'forgetting'] LOOP
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
