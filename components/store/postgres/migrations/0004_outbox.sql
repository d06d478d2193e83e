-- What goes out, and what the administration's own systems are told.

-- Answers of people before automatic ones; the first of every tenant before the second of any. Couriers of one connector come one after
-- the other, so that each finds what the one before left.
CREATE OR REPLACE PROCEDURE ventanilla.claim_1(p_connector text, p_now bigint, p_until bigint, p_limit bigint, INOUT answer text)
LANGUAGE plpgsql AS $$
DECLARE
  taken ventanilla.outbox[];
  o ventanilla.outbox;
  items jsonb := '[]';
BEGIN
  PERFORM ventanilla.enter_to_write_1('');
  PERFORM ventanilla.enter_all_1();
  PERFORM pg_advisory_xact_lock(hashtext('courier'), hashtext(p_connector));
  -- All of them before the loop, which changes whose rows are seen.
  WITH leased AS (
      UPDATE ventanilla.outbox x SET leased_until = p_until, attempts = x.attempts + 1
      FROM (SELECT q.tenant, q.seq FROM (
          SELECT y.tenant, y.seq, y.automatic, y.due_at,
            row_number() OVER (PARTITION BY y.automatic, y.tenant ORDER BY y.due_at, y.seq) AS place
          FROM ventanilla.outbox y WHERE y.state = 'queued' AND y.connector = p_connector AND y.due_at <= p_now
            AND (y.leased_until IS NULL OR y.leased_until <= p_now)) q
        ORDER BY q.automatic, q.place, q.due_at, q.seq LIMIT p_limit) z
      WHERE x.tenant = z.tenant AND x.seq = z.seq
      RETURNING x.*)
    SELECT array_agg(ROW(l.*)::ventanilla.outbox ORDER BY l.automatic, l.due_at, l.seq) INTO taken FROM leased l;
  FOREACH o IN ARRAY coalesce(taken, '{}')
  LOOP
    -- What it answers is its tenant's.
    PERFORM ventanilla.enter_1(o.tenant);
    items := items || jsonb_build_object('id', o.id, 'tenant', o.tenant, 'connector', o.connector, 'text', o.text, 'automatic', o.automatic,
      'attempts', o.attempts, 'created_at', o.created_at, 'done', o.done,
      'reference', (SELECT c.reference FROM ventanilla.cases c WHERE c.tenant = o.tenant AND c.id = o.case_id),
      'event', (SELECT v.event FROM ventanilla.event_rows_1 v WHERE v.tenant = o.tenant AND v.seq = o.event));
  END LOOP;
  answer := items::text;
  COMMIT;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.queues_1() RETURNS TABLE (connector text, items bigint, due_at bigint) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_all_1();
  RETURN QUERY SELECT o.connector, count(*), min(greatest(o.due_at, coalesce(o.leased_until, o.due_at))) FROM ventanilla.outbox o
    WHERE o.state = 'queued' GROUP BY o.connector ORDER BY o.connector;
END $$;
-- next
-- What was sent stays sent, whatever a second courier says afterwards; what is done stays done. Null: there is no such item.
CREATE OR REPLACE PROCEDURE ventanilla.settle_1(p_id text, p_at bigint, p_state text, p_due bigint, p_message_id text, p_reason text,
  p_done bigint, INOUT answer text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_to_write_1('');
  PERFORM ventanilla.enter_all_1();
  UPDATE ventanilla.outbox o SET
      state = CASE WHEN o.state = 'sent' THEN o.state ELSE p_state END,
      due_at = coalesce(p_due, o.due_at),
      message_id = coalesce(o.message_id, p_message_id),
      message_key = ventanilla.key_1(coalesce(o.message_id, p_message_id)),
      reason = CASE WHEN o.state = 'sent' THEN o.reason ELSE p_reason END,
      done = greatest(o.done, coalesce(p_done, 0)),
      leased_until = NULL, settled_at = p_at
    WHERE o.id = p_id RETURNING '{}' INTO answer;
  COMMIT;
END $$;
-- next
-- The feed: events and changes of cases after a number, up to the horizon, in the order of their common numbers.
CREATE OR REPLACE FUNCTION ventanilla.feed_1(p_tenant text, p_after bigint, p_horizon bigint, p_limit bigint)
RETURNS TABLE (place bigint, entry jsonb) LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY SELECT * FROM (
      (SELECT v.seq, jsonb_build_object('seq', v.seq, 'event', v.event) FROM ventanilla.event_rows_1 v
        WHERE v.tenant = p_tenant AND v.seq > p_after AND v.seq <= p_horizon ORDER BY v.seq LIMIT p_limit)
      UNION ALL
      (SELECT h.seq, jsonb_build_object('seq', h.seq, 'id', 'change-' || h.seq || '-' || h.at,
          'reference', (SELECT c.reference FROM ventanilla.cases c WHERE c.tenant = p_tenant AND c.id = h.case_id),
          'change', jsonb_build_object('at', h.at, 'author', h.author, 'field', h.field, 'before', h.before, 'after', h.after))
        FROM ventanilla.history h WHERE h.tenant = p_tenant AND h.seq > p_after AND h.seq <= p_horizon ORDER BY h.seq LIMIT p_limit)) x (seq, entry)
    ORDER BY x.seq LIMIT p_limit;
END $$;
-- next
-- How many entries wait, counted up to a limit.
CREATE OR REPLACE FUNCTION ventanilla.fed_1(p_tenant text, p_after bigint, p_horizon bigint, p_limit bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT count(*) FROM (
    (SELECT 1 FROM ventanilla.events v WHERE v.tenant = p_tenant AND v.seq > p_after AND v.seq <= p_horizon LIMIT p_limit)
    UNION ALL
    (SELECT 1 FROM ventanilla.history h WHERE h.tenant = p_tenant AND h.seq > p_after AND h.seq <= p_horizon LIMIT p_limit)
    LIMIT p_limit) x);
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.feed_queues_1(p_now bigint) RETURNS TABLE (tenant text, name text, due bigint) LANGUAGE plpgsql AS $$
DECLARE
  d ventanilla.destinations;
  horizon bigint;
BEGIN
  PERFORM ventanilla.enter_all_1();
  horizon := ventanilla.horizon_1();
  FOREACH d IN ARRAY ARRAY(SELECT x FROM ventanilla.destinations x ORDER BY x.tenant, x.name) LOOP
    tenant := d.tenant;
    name := d.name;
    due := 0;
    IF d.condition = 'running' AND coalesce(d.due_at, 0) <= p_now AND coalesce(d.leased_until, 0) <= p_now THEN
      PERFORM ventanilla.enter_1(d.tenant);
      due := ventanilla.fed_1(d.tenant, d.position, horizon, 1);
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;
-- next
CREATE OR REPLACE PROCEDURE ventanilla.feed_claim_1(p_tenant text, p_name text, p_from_now bigint, p_now bigint, p_until bigint, p_limit bigint,
  p_lease text, INOUT answer text) LANGUAGE plpgsql AS $$
DECLARE
  d record;
  horizon bigint;
  entries jsonb;
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  horizon := ventanilla.horizon_1();
  INSERT INTO ventanilla.destinations (tenant, name, position, created_at)
    VALUES (p_tenant, p_name, CASE WHEN p_from_now = 1 THEN horizon ELSE 0 END, p_now) ON CONFLICT (tenant, name) DO NOTHING;
  SELECT x.* INTO d FROM ventanilla.destinations x WHERE x.tenant = p_tenant AND x.name = p_name FOR NO KEY UPDATE;
  IF d.condition = 'running' AND coalesce(d.due_at, 0) <= p_now AND coalesce(d.leased_until, 0) <= p_now THEN
    -- Of large entries as many as begin within a megabyte: each is held in memory several times on its way.
    SELECT jsonb_agg(f.entry ORDER BY f.place) INTO entries FROM (
      SELECT g.place, g.entry, sum(octet_length(g.entry::text)) OVER (ORDER BY g.place) - octet_length(g.entry::text) AS ahead
      FROM ventanilla.feed_1(p_tenant, d.position, horizon, p_limit) g) f
      WHERE f.ahead < 1000000;
    IF entries IS NOT NULL THEN
      UPDATE ventanilla.destinations x SET lease = p_lease, leased_until = p_until WHERE x.tenant = p_tenant AND x.name = p_name;
      answer := jsonb_build_object('attempts', d.attempts, 'failing_since', d.failing_since, 'entries', entries)::text;
    END IF;
  END IF;
  COMMIT;
END $$;
-- next
-- `p_how`: ready, keep, retry, stop. A pause and its reason outlive a batch that was out. Null: the lease is not theirs any more.
CREATE OR REPLACE PROCEDURE ventanilla.feed_settle_1(p_tenant text, p_name text, p_lease text, p_at bigint, p_position bigint, p_count bigint,
  p_how text, p_instant bigint, p_reason text, INOUT answer text) LANGUAGE plpgsql AS $$
DECLARE
  failed boolean := p_how IN ('retry', 'stop');
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  UPDATE ventanilla.destinations d SET
      position = greatest(d.position, coalesce(p_position, 0)),
      delivered = d.delivered + p_count,
      delivered_at = CASE WHEN p_count > 0 THEN p_at ELSE d.delivered_at END,
      attempts = CASE WHEN p_position IS NULL THEN d.attempts ELSE 0 END + failed::integer,
      failing_since = CASE WHEN failed AND (p_position IS NOT NULL OR d.failing_since IS NULL) THEN p_at
        WHEN p_position IS NULL THEN d.failing_since END,
      reason = CASE WHEN failed THEN p_reason WHEN d.condition <> 'running' OR p_position IS NULL THEN d.reason END,
      due_at = CASE p_how WHEN 'retry' THEN p_instant WHEN 'stop' THEN NULL
        ELSE CASE WHEN p_position IS NULL THEN d.due_at END END,
      condition = CASE WHEN p_how = 'stop' THEN 'stopped' ELSE d.condition END,
      leased_until = CASE WHEN p_how = 'keep' THEN p_instant END,
      lease = CASE WHEN p_how = 'keep' THEN d.lease END
    WHERE d.tenant = p_tenant AND d.name = p_name AND d.lease = p_lease RETURNING '{}' INTO answer;
  COMMIT;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.feed_states_1(p_tenant text) RETURNS TABLE (document text) LANGUAGE plpgsql AS $$
DECLARE
  horizon bigint;
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  horizon := ventanilla.horizon_1();
  RETURN QUERY SELECT (to_jsonb(d) || jsonb_build_object('waiting', ventanilla.fed_1(p_tenant, d.position, horizon, 1000)))::text
    FROM ventanilla.destinations d WHERE d.tenant = p_tenant ORDER BY d.name;
END $$;
-- next
-- `p_reason`: why it pauses; null resumes. Null: nobody has seen this destination.
CREATE OR REPLACE PROCEDURE ventanilla.feed_control_1(p_tenant text, p_name text, p_reason text, INOUT answer text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  IF p_reason IS NULL THEN
    UPDATE ventanilla.destinations d SET condition = 'running', attempts = 0, due_at = NULL, failing_since = NULL, reason = NULL
      WHERE d.tenant = p_tenant AND d.name = p_name;
  ELSE
    UPDATE ventanilla.destinations d SET condition = 'paused', reason = p_reason WHERE d.tenant = p_tenant AND d.name = p_name;
  END IF;
  SELECT (to_jsonb(d) || jsonb_build_object('waiting', ventanilla.fed_1(p_tenant, d.position, ventanilla.horizon_1(), 1000)))::text INTO answer
    FROM ventanilla.destinations d WHERE d.tenant = p_tenant AND d.name = p_name;
  COMMIT;
END $$;
