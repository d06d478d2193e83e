-- What staff read and do. A function reads, a procedure writes and commits (0002_intake.sql says why).

-- Views ask the policies of whoever reads them, not of their owner.
CREATE OR REPLACE VIEW ventanilla.contact_rows_1 WITH (security_invoker = true) AS
  SELECT k.tenant, k.id, jsonb_build_object(
    'id', r.id,
    'name', coalesce(r.name, (SELECT m.name FROM ventanilla.contacts m
      WHERE m.tenant = k.tenant AND m.root = k.root AND m.name IS NOT NULL ORDER BY m.id LIMIT 1)),
    'handles', (SELECT jsonb_agg(jsonb_build_object('scheme', h.scheme, 'value', h.value) ORDER BY m.id, h.scheme, h.value)
      FROM ventanilla.contacts m JOIN ventanilla.handles h ON h.tenant = m.tenant AND h.contact = m.id
      WHERE m.tenant = k.tenant AND m.root = k.root)) AS contact
  FROM ventanilla.contacts k JOIN ventanilla.contacts r ON r.tenant = k.tenant AND r.id = k.root;
-- next
CREATE OR REPLACE VIEW ventanilla.case_rows_1 WITH (security_invoker = true) AS
  SELECT c.tenant, c.id, c.reference, c.status, c.channel, jsonb_build_object(
    'reference', c.reference, 'tenant', c.tenant, 'status', c.status, 'channel', c.channel, 'subject', c.subject,
    'contact', (SELECT k.contact FROM ventanilla.contact_rows_1 k WHERE k.tenant = c.tenant AND k.id = c.contact),
    'department', c.department, 'service_code', c.service_code, 'priority', c.priority, 'assignee', c.assignee,
    'opened_at', c.opened_at, 'updated_at', c.updated_at, 'first_response_at', c.first_response_at,
    'tasks', (SELECT jsonb_agg(jsonb_build_object('id', t.id, 'task', t.task, 'scheme', t.scheme, 'handle', t.handle,
        'created_at', t.created_at) ORDER BY t.id)
      FROM ventanilla.tasks t WHERE t.tenant = c.tenant AND t.case_id = c.id AND t.done_at IS NULL)) AS summary
  FROM ventanilla.cases c;
-- next
CREATE OR REPLACE VIEW ventanilla.event_rows_1 WITH (security_invoker = true) AS
  SELECT v.tenant, v.seq, v.case_id, v.connector, jsonb_build_object('id', v.id, 'tenant', v.tenant, 'channel', v.channel,
    'connector', v.connector, 'received_at', v.received_at, 'event', v.json,
    'reference', (SELECT c.reference FROM ventanilla.cases c WHERE c.tenant = v.tenant AND c.id = v.case_id)) AS event
  FROM ventanilla.events v;
-- next
-- Oldest first, up to the horizon: nothing can come between two pages.
CREATE OR REPLACE FUNCTION ventanilla.events_1(p_tenant text, p_after bigint, p_limit bigint, p_connector text)
RETURNS TABLE (place bigint, document text) LANGUAGE plpgsql AS $$
DECLARE
  horizon bigint;
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  horizon := ventanilla.horizon_1();
  IF p_connector IS NULL THEN
    RETURN QUERY SELECT v.seq, v.event::text FROM ventanilla.event_rows_1 v
      WHERE v.tenant = p_tenant AND v.seq > p_after AND v.seq <= horizon ORDER BY v.seq LIMIT p_limit;
  ELSE
    RETURN QUERY SELECT v.seq, v.event::text FROM ventanilla.event_rows_1 v
      WHERE v.tenant = p_tenant AND v.seq > p_after AND v.seq <= horizon AND v.connector = p_connector ORDER BY v.seq LIMIT p_limit;
  END IF;
END $$;
-- next
-- Newest first. `p_disposition` may be null.
CREATE OR REPLACE FUNCTION ventanilla.envelopes_1(p_tenant text, p_before bigint, p_limit bigint, p_disposition text)
RETURNS TABLE (place bigint, document text) LANGUAGE plpgsql AS $$
DECLARE
  filter text := CASE
    WHEN p_disposition IS NULL THEN ''
    -- What is to be looked at has an index of its own, which this condition names.
    WHEN p_disposition <> 'accepted' THEN ' AND x.disposition = $4 AND x.disposition <> ''accepted'''
    ELSE ' AND x.disposition = $4' END;
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY EXECUTE 'SELECT x.seq, jsonb_build_object(''id'', x.id, ''connector'', x.connector, ''method'', x.method, ''target'', x.target,
      ''received_at'', x.received_at, ''verified_by'', x.verified_by, ''disposition'', x.disposition, ''reason'', x.reason,
      ''body_bytes'', octet_length(x.body), ''events'', x.events)::text
    FROM ventanilla.envelopes x WHERE x.tenant = $1 AND x.seq < $2' || filter || ' ORDER BY x.seq DESC LIMIT $3'
    USING p_tenant, p_before, p_limit, p_disposition;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.envelope_1(p_tenant text, p_id text) RETURNS TABLE (document text, body bytea) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY SELECT jsonb_build_object('id', x.id, 'tenant', x.tenant, 'connector', x.connector, 'method', x.method, 'target', x.target,
      'headers', x.headers, 'received_at', x.received_at, 'verified_by', x.verified_by, 'nonce', x.nonce)::text, x.body
    FROM ventanilla.envelopes x WHERE x.tenant = p_tenant AND x.id = p_id;
END $$;
-- next
-- An empty tenant means all.
CREATE OR REPLACE FUNCTION ventanilla.totals_1(p_tenant text)
RETURNS TABLE (tenant text, connector text, disposition text, envelopes bigint, events bigint) LANGUAGE plpgsql AS $$
BEGIN
  IF p_tenant = '' THEN
    PERFORM ventanilla.enter_all_1();
    RETURN QUERY SELECT l.tenant, l.connector, l.disposition, sum(l.envelopes)::bigint, sum(l.events)::bigint FROM ventanilla.ledger l
      GROUP BY 1, 2, 3 HAVING sum(l.envelopes) > 0 ORDER BY 1, 2, 3;
  ELSE
    PERFORM ventanilla.enter_1(p_tenant);
    RETURN QUERY SELECT l.tenant, l.connector, l.disposition, sum(l.envelopes)::bigint, sum(l.events)::bigint FROM ventanilla.ledger l
      WHERE l.tenant = p_tenant GROUP BY 1, 2, 3 HAVING sum(l.envelopes) > 0 ORDER BY 1, 2, 3;
  END IF;
END $$;
-- next
-- `p_lookup`: references, service_codes, statuses (lists, empty for any), opened_from, opened_until, updated_from, updated_until (or null).
CREATE OR REPLACE FUNCTION ventanilla.public_cases_1(p_tenant text, p_lookup text, p_limit bigint) RETURNS TABLE (document text)
LANGUAGE plpgsql AS $$
DECLARE
  lookup jsonb := p_lookup::jsonb;
  conditions text := '';
  name text;
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  FOREACH name IN ARRAY ARRAY['reference', 'service_code', 'status'] LOOP
    IF jsonb_array_length(lookup -> (CASE name WHEN 'status' THEN 'statuses' ELSE name || 's' END)) > 0 THEN
      conditions := conditions || format(' AND c.%I = ANY (ARRAY(SELECT jsonb_array_elements_text($2 -> %L)))',
        name, CASE name WHEN 'status' THEN 'statuses' ELSE name || 's' END);
    END IF;
  END LOOP;
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
    FROM ventanilla.cases c WHERE c.tenant = $1 AND c.public' || conditions || ' ORDER BY c.id DESC LIMIT $3'
    USING p_tenant, lookup, p_limit;
END $$;
-- next
-- Newest first. `p_words`: a list of {"pattern", "digits"}, all of which must be found.
CREATE OR REPLACE FUNCTION ventanilla.search_1(p_tenant text, p_before bigint, p_limit bigint, p_status text, p_channel text, p_reference text,
  p_words text) RETURNS TABLE (place bigint, document text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY EXECUTE 'SELECT c.id, c.summary::text FROM ventanilla.case_rows_1 c WHERE c.tenant = $1 AND c.id < $2'
    || CASE WHEN p_status IS NULL THEN '' ELSE ' AND c.status = $4' END
    || CASE WHEN p_channel IS NULL THEN '' ELSE ' AND c.channel = $5' END
    || CASE WHEN p_reference IS NULL THEN '' ELSE ' AND c.reference = $6' END
    || CASE WHEN p_words = '[]' THEN '' ELSE
      ' AND NOT EXISTS (SELECT 1 FROM jsonb_to_recordset($7) AS w (pattern text, digits text)
          WHERE NOT (c.reference LIKE coalesce(w.digits, '''') OR EXISTS (SELECT 1 FROM ventanilla.events v
            WHERE v.tenant = c.tenant AND v.case_id = c.id AND v.search LIKE w.pattern)))' END
    || ' ORDER BY c.id DESC LIMIT $3'
    USING p_tenant, p_before, p_limit, p_status, p_channel, p_reference, p_words::jsonb;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.case_1(p_tenant text, p_reference text) RETURNS TABLE (document text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY SELECT jsonb_build_object('summary', c.summary,
    'events', (SELECT jsonb_agg(jsonb_build_object('seq', v.seq, 'row', v.event)) FROM (
      SELECT x.seq, x.event FROM ventanilla.event_rows_1 x WHERE x.tenant = p_tenant AND x.case_id = c.id ORDER BY x.seq DESC LIMIT 500) v),
    'notes', (SELECT jsonb_agg(jsonb_build_object('id', n.id, 'author', n.author, 'text', n.text, 'at', n.at) ORDER BY n.seq)
      FROM ventanilla.notes n WHERE n.tenant = p_tenant AND n.case_id = c.id),
    'history', (SELECT jsonb_agg(jsonb_build_object('at', h.at, 'author', h.author, 'field', h.field, 'before', h.before,
        'after', h.after) ORDER BY h.seq)
      FROM ventanilla.history h WHERE h.tenant = p_tenant AND h.case_id = c.id),
    'replies', (SELECT jsonb_agg(jsonb_build_object('id', o.id, 'connector', o.connector, 'author', o.author, 'text', o.text,
        'automatic', o.automatic, 'created_at', o.created_at, 'state', o.state, 'due_at', o.due_at, 'settled_at', o.settled_at,
        'reason', o.reason, 'message_id', o.message_id,
        'reports', (SELECT jsonb_agg(jsonb_build_object('status', r.json -> 'status', 'at', r.received_at) ORDER BY r.seq) FROM (
          SELECT x.seq, x.received_at, x.json FROM ventanilla.events x
            WHERE x.tenant = p_tenant AND x.message_id = o.message_key AND x.kind = 'status'
          UNION SELECT x.seq, x.received_at, x.json FROM ventanilla.events x
            WHERE x.tenant = p_tenant AND x.case_id = c.id AND x.kind = 'status' AND x.json ->> 'in_reply_to' = o.message_id) r))
        ORDER BY o.seq)
      FROM (SELECT * FROM ventanilla.outbox y WHERE y.tenant = p_tenant AND y.case_id = c.id ORDER BY y.seq DESC LIMIT 500) o))::text
    FROM ventanilla.case_rows_1 c WHERE c.tenant = p_tenant AND c.reference = p_reference;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.profile_1(p_tenant text) RETURNS TABLE (profile text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY SELECT t.profile FROM ventanilla.tenants t WHERE t.code = p_tenant;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.tenants_1() RETURNS TABLE (code text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_all_1();
  RETURN QUERY SELECT t.code FROM ventanilla.tenants t ORDER BY t.code;
END $$;
-- next
CREATE OR REPLACE PROCEDURE ventanilla.put_profile_1(p_tenant text, p_profile text, INOUT answer text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  INSERT INTO ventanilla.tenants (code, profile, acknowledge)
    VALUES (p_tenant, p_profile, coalesce(p_profile::jsonb -> 'acknowledge' = 'true', FALSE))
    ON CONFLICT (code) DO UPDATE SET profile = excluded.profile, acknowledge = excluded.acknowledge;
  COMMIT;
END $$;
-- next
-- A write, although it changes nothing: it needs a primary that takes writes, and the schema.
CREATE OR REPLACE PROCEDURE ventanilla.ready_1(p_version bigint, INOUT answer text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_to_write_1('');
  IF p_version > (SELECT coalesce(max(m.version), 0) FROM ventanilla.migrations m) THEN
    RAISE EXCEPTION 'ventanilla:old-schema';
  END IF;
  DELETE FROM ventanilla.tenants WHERE code = '';
  COMMIT;
END $$;
-- next
-- The answers of what follows are null when there is no such case.
CREATE OR REPLACE PROCEDURE ventanilla.change_1(p_tenant text, p_reference text, p_status text, p_department text, p_assignee text,
  p_priority bigint, p_author text, p_at bigint, INOUT answer text) LANGUAGE plpgsql AS $$
DECLARE
  c record;
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  SELECT x.* INTO c FROM ventanilla.cases x WHERE x.tenant = p_tenant AND x.reference = p_reference FOR NO KEY UPDATE;
  IF FOUND THEN
    PERFORM ventanilla.number_1();
    INSERT INTO ventanilla.history (tenant, case_id, at, author, field, before, after)
      SELECT p_tenant, c.id, p_at, p_author, f.field, f.before, f.after
      FROM (VALUES (1, 'status', c.status, p_status), (2, 'department', c.department, p_department),
        (3, 'assignee', c.assignee, p_assignee), (4, 'priority', c.priority::text, p_priority::text)) f (place, field, before, after)
      WHERE f.after IS NOT NULL AND f.after IS DISTINCT FROM f.before ORDER BY f.place;
    UPDATE ventanilla.cases x SET
        updated_at = greatest(x.updated_at, p_at),
        status = coalesce(p_status, x.status),
        department = coalesce(p_department, x.department),
        assignee = coalesce(p_assignee, x.assignee),
        priority = coalesce(p_priority, x.priority)
      WHERE x.tenant = p_tenant AND x.id = c.id;
    SELECT r.summary::text INTO answer FROM ventanilla.case_rows_1 r WHERE r.tenant = p_tenant AND r.id = c.id;
  END IF;
  COMMIT;
END $$;
-- next
CREATE OR REPLACE PROCEDURE ventanilla.note_1(p_tenant text, p_reference text, p_id text, p_author text, p_text text, p_at bigint,
  INOUT answer text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  UPDATE ventanilla.cases c SET updated_at = greatest(c.updated_at, p_at) WHERE c.tenant = p_tenant AND c.reference = p_reference;
  INSERT INTO ventanilla.notes (tenant, case_id, id, author, text, at)
    SELECT p_tenant, c.id, p_id, p_author, p_text, p_at FROM ventanilla.cases c WHERE c.tenant = p_tenant AND c.reference = p_reference
    RETURNING '{}' INTO answer;
  COMMIT;
END $$;
-- next
-- The answer says whether the case has such a task at all; one that was done before is done.
CREATE OR REPLACE PROCEDURE ventanilla.complete_task_1(p_tenant text, p_reference text, p_task text, p_author text, p_at bigint,
  INOUT answer text) LANGUAGE plpgsql AS $$
DECLARE
  of_case bigint;
  done boolean;
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  SELECT c.id INTO of_case FROM ventanilla.cases c WHERE c.tenant = p_tenant AND c.reference = p_reference FOR NO KEY UPDATE;
  IF FOUND THEN
    PERFORM ventanilla.number_1();
    UPDATE ventanilla.tasks t SET done_at = p_at, done_by = p_author
      WHERE t.tenant = p_tenant AND t.case_id = of_case AND t.id = p_task AND t.done_at IS NULL;
    done := FOUND;
    INSERT INTO ventanilla.history (tenant, case_id, at, author, field, before, after)
      SELECT p_tenant, of_case, p_at, p_author, 'task', t.task, 'done' FROM ventanilla.tasks t
      WHERE done AND t.tenant = p_tenant AND t.case_id = of_case AND t.id = p_task;
    UPDATE ventanilla.cases c SET updated_at = greatest(c.updated_at, p_at) WHERE done AND c.tenant = p_tenant AND c.id = of_case;
    SELECT jsonb_build_object('summary', r.summary, 'known', EXISTS (SELECT 1 FROM ventanilla.tasks t
        WHERE t.tenant = p_tenant AND t.case_id = of_case AND t.id = p_task))::text
      INTO answer FROM ventanilla.case_rows_1 r WHERE r.tenant = p_tenant AND r.id = of_case;
  END IF;
  COMMIT;
END $$;
-- next
-- A reply answers the newest event in the case that has a sender and is not about something we sent. One without text answers the newest
-- request to follow. The answer says whether anybody can be answered.
CREATE OR REPLACE PROCEDURE ventanilla.reply_1(p_tenant text, p_reference text, p_id text, p_author text, p_text text, p_at bigint,
  INOUT answer text) LANGUAGE plpgsql AS $$
DECLARE
  of_case bigint;
  asked record;
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  SELECT c.id INTO of_case FROM ventanilla.cases c WHERE c.tenant = p_tenant AND c.reference = p_reference FOR NO KEY UPDATE;
  IF FOUND THEN
    SELECT v.seq, v.connector INTO asked FROM ventanilla.events v
      WHERE v.tenant = p_tenant AND v.case_id = of_case AND v.handle IS NOT NULL
        AND v.kind NOT IN ('status', 'lifecycle', 'reaction', 'message.deleted') AND (v.kind = 'follow') = (p_text = '')
      ORDER BY v.seq DESC LIMIT 1;
    answer := jsonb_build_object('answered', FOUND)::text;
    IF FOUND THEN
      PERFORM ventanilla.number_1();
      INSERT INTO ventanilla.outbox (tenant, id, connector, case_id, event, text, author, automatic, created_at, due_at)
        VALUES (p_tenant, p_id, asked.connector, of_case, asked.seq, p_text, p_author, FALSE, p_at, p_at);
      UPDATE ventanilla.cases c SET updated_at = greatest(c.updated_at, p_at), first_response_at = coalesce(c.first_response_at, p_at)
        WHERE c.tenant = p_tenant AND c.id = of_case;
      INSERT INTO ventanilla.history (tenant, case_id, at, author, field, after)
        VALUES (p_tenant, of_case, p_at, p_author, 'reply', p_id);
    END IF;
  END IF;
  COMMIT;
END $$;
-- next
-- Only contacts that stand for themselves are joined, so there are no circles, and a join can be undone as it was made.
CREATE OR REPLACE PROCEDURE ventanilla.join_1(p_tenant text, p_into text, p_other text, p_author text, p_at bigint, INOUT answer text)
LANGUAGE plpgsql AS $$
DECLARE
  alone bigint;
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  PERFORM 1 FROM ventanilla.contacts k
    WHERE k.tenant = p_tenant AND k.id IN (p_into, p_other) AND k.joined_into IS NULL ORDER BY k.id FOR NO KEY UPDATE;
  GET DIAGNOSTICS alone = ROW_COUNT;
  IF alone <> 2 THEN
    RAISE EXCEPTION 'ventanilla:no-join';
  END IF;
  INSERT INTO ventanilla.contact_joins (tenant, into_contact, other_contact, author, at) VALUES (p_tenant, p_into, p_other, p_author, p_at);
  UPDATE ventanilla.contacts k SET joined_into = p_into WHERE k.tenant = p_tenant AND k.id = p_other;
  UPDATE ventanilla.contacts k SET root = p_into WHERE k.tenant = p_tenant AND k.root = p_other;
  SELECT r.contact::text INTO answer FROM ventanilla.contact_rows_1 r WHERE r.tenant = p_tenant AND r.id = p_into;
  COMMIT;
END $$;
-- next
CREATE OR REPLACE PROCEDURE ventanilla.separate_1(p_tenant text, p_into text, p_other text, p_author text, p_at bigint, INOUT answer text)
LANGUAGE plpgsql AS $$
DECLARE
  old_root text;
BEGIN
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  UPDATE ventanilla.contacts k SET joined_into = NULL WHERE k.tenant = p_tenant AND k.id = p_other AND k.joined_into = p_into
    RETURNING k.root INTO old_root;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'ventanilla:no-separation';
  END IF;
  UPDATE ventanilla.contact_joins j SET undone_by = p_author, undone_at = p_at
    WHERE j.tenant = p_tenant AND j.into_contact = p_into AND j.other_contact = p_other AND j.undone_at IS NULL;
  -- The other one takes along what had been joined into it.
  UPDATE ventanilla.contacts k SET root = p_other
    WHERE k.tenant = p_tenant AND k.id IN (
      WITH RECURSIVE mine (id) AS (
        SELECT p_other COLLATE "C"
        UNION SELECT m.id FROM mine JOIN ventanilla.contacts m ON m.tenant = p_tenant AND m.root = old_root AND m.joined_into = mine.id)
      SELECT mine.id FROM mine);
  SELECT r.contact::text INTO answer FROM ventanilla.contact_rows_1 r WHERE r.tenant = p_tenant AND r.id = p_into;
  COMMIT;
END $$;
