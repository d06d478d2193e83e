-- What comes in, in one statement: `CALL ventanilla.intake_1(tenant, document, body, NULL)`.
--
-- A procedure that ends with COMMIT, because a function would run inside a transaction that somebody else has left open on a pooled
-- connection, and what it had stored would be gone when that connection closes. COMMIT in a procedure is refused there (2D000).

-- First in every function: whose rows they are, for this transaction only. Plans by index only and without compilation: everything
-- here is read by key, and a plan made while a table was small must not stay when it has grown.
CREATE OR REPLACE FUNCTION ventanilla.enter_1(p_tenant text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('ventanilla.tenant', p_tenant, TRUE), set_config('ventanilla.scope', '', TRUE),
    set_config('enable_seqscan', 'off', TRUE), set_config('enable_hashjoin', 'off', TRUE), set_config('enable_mergejoin', 'off', TRUE),
    set_config('jit', 'off', TRUE), set_config('plan_cache_mode', 'force_generic_plan', TRUE);
END $$;
-- next
-- For what works for all tenants. The tables that this opens have nothing of what citizens write, but for the outbox.
CREATE OR REPLACE FUNCTION ventanilla.enter_all_1() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1('');
  PERFORM set_config('ventanilla.scope', 'all tenants', TRUE);
END $$;
-- next
-- First in every function that writes: what is committed is on the disk, whatever the server's default is.
CREATE OR REPLACE FUNCTION ventanilla.enter_to_write_1(p_tenant text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  IF current_setting('synchronous_commit') = 'off' THEN
    PERFORM set_config('synchronous_commit', 'on', TRUE);
  END IF;
END $$;
-- next
-- Text as it stands in a key. A B-tree refuses entries of more than 2704 bytes, and providers do send longer ids. U+FDD0 and `h` is
-- nothing that store_sdk::text::storable writes, so that no other text is the same.
CREATE OR REPLACE FUNCTION ventanilla.key_1(p_text text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN octet_length(p_text) <= 600 THEN p_text
    ELSE left(p_text, 60) || U&'\FDD0h' || encode(sha256(convert_to(p_text, 'UTF8')), 'hex') END
$$;
-- next
-- Before the first number is drawn from fact_seq in a transaction: says that from here on numbers may be drawn that are not
-- committed yet. Shared: nobody waits for it. 22085 is `VE`.
CREATE OR REPLACE FUNCTION ventanilla.number_1() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared((22085::bigint << 48) | (s.last_value - CASE WHEN s.is_called THEN 0 ELSE 1 END)) FROM ventanilla.fact_seq s;
END $$;
-- next
-- The newest number up to which nothing can appear any more. Numbers are drawn before they are committed, so a reader that goes by the
-- highest number it sees would skip what commits late. The order of the two looks matters: who has drawn a number up to `newest`
-- before the first one holds its lock during the second one, or has ended, and then the reader's next statement sees its rows.
CREATE OR REPLACE FUNCTION ventanilla.horizon_1() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  newest bigint;
  held bigint;
BEGIN
  SELECT s.last_value - CASE WHEN s.is_called THEN 0 ELSE 1 END INTO newest FROM ventanilla.fact_seq s;
  SELECT min((l.classid::bigint & 65535) << 32 | l.objid::bigint) INTO held FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.classid::bigint >> 16 = 22085
      AND l.database = (SELECT b.oid FROM pg_database b WHERE b.datname = current_database());
  RETURN least(newest, coalesce(held, newest));
END $$;
-- next
-- Intakes about the same thing come one after the other; in the order of the numbers, so that none waits in a circle. The constraints
-- would keep them apart too, but only by failing. A delivery of very many events takes the whole tenant instead of a lock for each.
CREATE OR REPLACE FUNCTION ventanilla.lock_1(p_tenant text, p_keys text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  room integer := hashtext(p_tenant);
BEGIN
  IF cardinality(p_keys) > 200 THEN
    PERFORM pg_advisory_xact_lock(room, 0);
  ELSE
    PERFORM pg_advisory_xact_lock_shared(room, 0);
    PERFORM pg_advisory_xact_lock(room, o.number) FROM (SELECT DISTINCT hashtext(k) AS number FROM unnest(p_keys) k ORDER BY 1) o;
  END IF;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.take_in_1(p_tenant text, p_document text, p_body bytea) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  document jsonb := p_document::jsonb;
  v jsonb := document -> 'envelope';
  this_connector text := v ->> 'connector';
  received bigint := (v ->> 'received_at')::bigint;
  nonce_key text := ventanilla.key_1(v ->> 'nonce');
  envelope_id text := v ->> 'id';
  known boolean := (v ->> 'known')::boolean;
  first_binding text;
  first_envelope text;
  was_disposition text;
  was_events bigint;
  -- One event at a time, and what is found out about it.
  e record;
  event_key text;
  person text;
  person_root text;
  of_case bigint;
  opens boolean;
  candidate text;
  event_seq bigint;
  whom record;
  ended record;
  caller record;
  news bigint := 0;
  missed jsonb;
  thread_key text;
  sender_key text;
BEGIN
  IF v ->> 'tenant' IS DISTINCT FROM p_tenant THEN
    RAISE EXCEPTION 'ventanilla:other-tenant';
  END IF;
  PERFORM ventanilla.enter_to_write_1(p_tenant);
  PERFORM ventanilla.lock_1(p_tenant, (
    SELECT array_agg(k) FROM (
      SELECT concat_ws(' ', 'nonce', this_connector, nonce_key) AS k WHERE nonce_key IS NOT NULL
      UNION ALL SELECT concat_ws(' ', 'key', this_connector, p ->> 'key') FROM jsonb_array_elements(document -> 'events') p
      UNION ALL SELECT concat_ws(' ', 'thread', this_connector, p ->> 'thread_key') FROM jsonb_array_elements(document -> 'events') p
        WHERE p ->> 'thread_key' IS NOT NULL
      UNION ALL SELECT concat_ws(' ', 'handle', p ->> 'scheme', p ->> 'handle') FROM jsonb_array_elements(document -> 'events') p
        WHERE p ->> 'contact' IS NOT NULL) x));

  -- The envelope: new, journalled before, or the same request again.
  IF nonce_key IS NOT NULL THEN
    SELECT n.binding, n.envelope INTO first_binding, first_envelope FROM ventanilla.nonces n
      WHERE n.tenant = p_tenant AND n.connector = this_connector AND n.nonce = nonce_key;
    IF first_binding <> v ->> 'binding' THEN
      RAISE EXCEPTION 'ventanilla:replayed';
    END IF;
  END IF;
  IF NOT known AND first_envelope IS NOT NULL THEN
    envelope_id := first_envelope;
  END IF;
  IF known OR first_envelope IS NOT NULL THEN
    SELECT x.disposition, x.events INTO was_disposition, was_events FROM ventanilla.envelopes x
      WHERE x.tenant = p_tenant AND x.id = envelope_id AND x.connector = this_connector FOR NO KEY UPDATE;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'ventanilla:no-envelope';
    END IF;
  END IF;

  PERFORM ventanilla.number_1();
  FOR e IN
    SELECT x.* FROM jsonb_array_elements(document -> 'events') WITH ORDINALITY p (value, place),
      jsonb_to_record(p.value) AS x (id text, key text, kind text, name text, scheme text, handle text, contact text, thread text,
        thread_key text, token text, message_ids jsonb, refs jsonb, message_id text, subject text, department text, service_code text,
        asks text, public integer, settles integer, wakes integer, task text, task_id text, task_scheme text, task_handle text,
        search text, json jsonb)
    ORDER BY p.place
  LOOP
    event_key := ventanilla.key_1(e.key);
    -- A duplicate ends here.
    CONTINUE WHEN EXISTS (SELECT 1 FROM ventanilla.events k
      WHERE k.tenant = p_tenant AND k.connector = this_connector AND k.idempotency_key = event_key);
    news := news + 1;

    -- Who it is.
    person := NULL;
    IF e.contact IS NOT NULL THEN
      INSERT INTO ventanilla.handles (tenant, scheme, value_key, value, contact)
        VALUES (p_tenant, e.scheme, ventanilla.key_1(e.handle), e.handle, e.contact) ON CONFLICT DO NOTHING;
      SELECT h.contact INTO STRICT person FROM ventanilla.handles h
        WHERE h.tenant = p_tenant AND h.scheme = e.scheme AND h.value_key = ventanilla.key_1(e.handle);
      INSERT INTO ventanilla.contacts AS c (tenant, id, name, root) VALUES (p_tenant, person, e.name, person)
        ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name WHERE c.name IS NULL AND excluded.name IS NOT NULL;
    END IF;

    -- Which case. A resolved or closed one is not joined by a key, except by its own call; what only reports about something
    -- (`existing`) joins it still, and so does correspondence, which opens it again.
    of_case := NULL;
    IF e.thread IN ('key', 'existing') THEN
      SELECT c.id INTO of_case FROM ventanilla.threads t JOIN ventanilla.cases c ON c.tenant = t.tenant AND c.id = t.case_id
        WHERE t.tenant = p_tenant AND t.connector = this_connector AND t.thread = ventanilla.key_1(e.thread_key)
          AND (c.status NOT IN ('resolved', 'closed') OR e.thread = 'existing' OR e.kind LIKE 'call.%')
        FOR NO KEY UPDATE OF c;
    ELSIF e.thread IN ('correspondence', 'existing_correspondence') THEN
      SELECT c.id INTO of_case FROM ventanilla.cases c WHERE c.tenant = p_tenant AND c.reference = e.token;
      IF of_case IS NULL THEN
        SELECT k.root INTO person_root FROM ventanilla.contacts k WHERE k.tenant = p_tenant AND k.id = person;
        FOR candidate IN SELECT ventanilla.key_1(m) FROM jsonb_array_elements_text(e.message_ids) WITH ORDINALITY x (m, place) ORDER BY place LOOP
          SELECT y.case_id INTO of_case FROM ventanilla.events y
            WHERE y.tenant = p_tenant AND y.message_id = candidate AND y.case_id IS NOT NULL
              AND (e.thread = 'existing_correspondence' OR ventanilla.takes_part_1(p_tenant, y.case_id, person_root))
            ORDER BY y.seq DESC LIMIT 1;
          IF of_case IS NULL THEN
            SELECT o.case_id INTO of_case FROM ventanilla.outbox o
              WHERE o.tenant = p_tenant AND o.message_key = candidate
                AND (e.thread = 'existing_correspondence' OR ventanilla.takes_part_1(p_tenant, o.case_id, person_root))
              ORDER BY o.seq DESC LIMIT 1;
          END IF;
          EXIT WHEN of_case IS NOT NULL;
        END LOOP;
      END IF;
    END IF;
    opens := of_case IS NULL AND e.thread IN ('key', 'correspondence');
    IF opens THEN
      FOR candidate IN SELECT m FROM jsonb_array_elements_text(e.refs) WITH ORDINALITY x (m, place) ORDER BY place LOOP
        INSERT INTO ventanilla.cases (tenant, reference, channel, subject, contact, public, department, service_code, opened_at, updated_at)
          VALUES (p_tenant, candidate, v ->> 'channel', e.subject, person, e.public = 1, e.department, e.service_code, received, received)
          ON CONFLICT (tenant, reference) DO NOTHING RETURNING id INTO of_case;
        EXIT WHEN of_case IS NOT NULL;
      END LOOP;
      IF of_case IS NULL THEN
        RAISE EXCEPTION 'ventanilla:no-reference';
      END IF;
    END IF;

    INSERT INTO ventanilla.events (tenant, id, channel, connector, kind, idempotency_key, received_at, envelope, case_id, opened, contact,
        scheme, handle, message_id, asks, settles, search, json)
      VALUES (p_tenant, e.id, v ->> 'channel', this_connector, e.kind, event_key, received, envelope_id, of_case, opens, person,
        e.scheme, e.handle, ventanilla.key_1(e.message_id), e.asks, e.settles = 1, e.search, e.json)
      RETURNING seq INTO event_seq;
    CONTINUE WHEN of_case IS NULL;

    IF opens THEN
      INSERT INTO ventanilla.threads (tenant, connector, thread, case_id)
        SELECT p_tenant, this_connector, ventanilla.key_1(e.thread_key), of_case WHERE e.thread = 'key'
        ON CONFLICT (tenant, connector, thread) DO UPDATE SET case_id = excluded.case_id;
    ELSE
      INSERT INTO ventanilla.history (tenant, case_id, at, author, field, before, after)
        SELECT p_tenant, c.id, received, 'ventanilla', 'status', c.status, 'open' FROM ventanilla.cases c
        WHERE c.tenant = p_tenant AND c.id = of_case AND e.wakes = 1 AND c.status IN ('pending', 'resolved', 'closed')
        FOR NO KEY UPDATE;
      -- The caller's last choice of a department counts until staff have chosen one.
      UPDATE ventanilla.cases c SET
          updated_at = greatest(c.updated_at, received),
          status = CASE WHEN e.wakes = 1 AND c.status IN ('pending', 'resolved', 'closed') THEN 'open' ELSE c.status END,
          contact = coalesce(c.contact, person),
          subject = coalesce(c.subject, e.subject),
          service_code = coalesce(c.service_code, e.service_code),
          department = CASE WHEN e.department IS NULL OR EXISTS (SELECT 1 FROM ventanilla.history h
              WHERE h.tenant = p_tenant AND h.case_id = of_case AND h.field = 'department')
            THEN c.department ELSE e.department END
        WHERE c.tenant = p_tenant AND c.id = of_case;
    END IF;

    -- The caller has left something, or was reached, after all.
    IF e.settles = 1 AND NOT opens THEN
      INSERT INTO ventanilla.history (tenant, case_id, at, author, field, before, after)
        SELECT p_tenant, of_case, received, 'ventanilla', 'task', t.task, 'withdrawn' FROM ventanilla.tasks t
        WHERE t.tenant = p_tenant AND t.case_id = of_case AND t.derived AND t.done_at IS NULL ORDER BY t.id;
      UPDATE ventanilla.tasks t SET done_at = received, done_by = 'ventanilla'
        WHERE t.tenant = p_tenant AND t.case_id = of_case AND t.derived AND t.done_at IS NULL;
    END IF;
    IF e.task IS NOT NULL THEN
      SELECT e.task_scheme AS scheme, e.task_handle AS handle INTO whom;
      IF whom.handle IS NULL THEN
        SELECT y.scheme, y.handle INTO whom FROM ventanilla.events y
          WHERE y.tenant = p_tenant AND y.case_id = of_case AND y.handle IS NOT NULL ORDER BY y.seq LIMIT 1;
      END IF;
      INSERT INTO ventanilla.tasks (tenant, case_id, id, task, scheme, handle, handle_key, created_at, derived)
        VALUES (p_tenant, of_case, e.task_id, CASE WHEN whom.handle IS NULL THEN 'review' ELSE e.task END, whom.scheme, whom.handle,
          ventanilla.key_1(whom.handle), received, FALSE)
        ON CONFLICT DO NOTHING;
    END IF;
  END LOOP;

  -- A call that is over and in which nothing settles that somebody was reached or something was left.
  FOR e IN
    SELECT p.value ->> 'id' AS id, p.value ->> 'key' AS key, p.value -> 'missed' AS missed
    FROM jsonb_array_elements(document -> 'events') WITH ORDINALITY p (value, place) WHERE p.value ? 'missed' ORDER BY p.place
  LOOP
    missed := e.missed;
    SELECT y.* INTO ended FROM ventanilla.events y
      WHERE y.tenant = p_tenant AND y.connector = this_connector AND y.idempotency_key = ventanilla.key_1(e.key)
        AND y.id = e.id AND y.case_id IS NOT NULL;
    CONTINUE WHEN NOT FOUND
      OR EXISTS (SELECT 1 FROM ventanilla.events y WHERE y.tenant = p_tenant AND y.case_id = ended.case_id AND y.settles)
      OR EXISTS (SELECT 1 FROM ventanilla.events y JOIN ventanilla.cases a ON a.tenant = y.tenant AND a.reference = y.asks
        WHERE y.tenant = p_tenant AND y.case_id = ended.case_id AND y.asks IS NOT NULL);
    caller := ended;
    IF ended.handle IS NULL THEN
      SELECT y.* INTO caller FROM ventanilla.events y
        WHERE y.tenant = p_tenant AND y.case_id = ended.case_id AND y.handle IS NOT NULL ORDER BY y.seq LIMIT 1;
    END IF;
    IF caller.seq IS NOT NULL AND caller.seq <> ended.seq THEN
      missed := missed || jsonb_build_object(
        'search', lower(caller.handle COLLATE "C") || E'\n' || (missed ->> 'search'),
        'json', (missed -> 'json') || jsonb_build_object('sender', caller.json -> 'sender', 'sender_scheme', caller.json -> 'sender_scheme'));
    END IF;
    INSERT INTO ventanilla.events (tenant, id, channel, connector, kind, idempotency_key, received_at, envelope, case_id, opened, contact,
        scheme, handle, settles, search, json)
      VALUES (p_tenant, missed ->> 'id', ended.channel, this_connector, 'call.missed', ventanilla.key_1(missed ->> 'key'), ended.received_at,
        ended.envelope, ended.case_id, FALSE, caller.contact, caller.scheme, caller.handle, TRUE, missed ->> 'search', missed -> 'json')
      ON CONFLICT (tenant, connector, idempotency_key) DO NOTHING RETURNING seq INTO event_seq;
    IF FOUND THEN
      INSERT INTO ventanilla.tasks (tenant, case_id, id, task, scheme, handle, handle_key, created_at, derived)
        VALUES (p_tenant, ended.case_id, missed ->> 'task_id', CASE WHEN caller.handle IS NULL THEN 'review' ELSE 'call_back' END,
          caller.scheme, caller.handle, ventanilla.key_1(caller.handle), ended.received_at, TRUE)
        ON CONFLICT DO NOTHING;
    END IF;
  END LOOP;

  -- What a machine answers: if the tenant wants it, once per thread and day, five times per sender and day, so that two machines that
  -- answer each other come to an end; and not into a conversation that staff are having. A request to follow is accepted always.
  FOR e IN
    SELECT y.seq, y.case_id, p.acknowledgement, p.acceptance, p.thread_key, p.scheme, p.handle
    FROM (SELECT x.place, ventanilla.key_1(x.value ->> 'key') AS key, x.value ->> 'id' AS id, x.value ->> 'acknowledgement' AS acknowledgement,
        x.value ->> 'acceptance' AS acceptance, x.value ->> 'thread_key' AS thread_key, x.value ->> 'scheme' AS scheme,
        x.value ->> 'handle' AS handle
      FROM jsonb_array_elements(document -> 'events') WITH ORDINALITY x (value, place)
      WHERE x.value ?| ARRAY['acceptance', 'acknowledgement'] OFFSET 0) p
    CROSS JOIN LATERAL (SELECT k.* FROM ventanilla.events k WHERE k.tenant = p_tenant AND k.connector = this_connector
      AND k.idempotency_key = p.key OFFSET 0) y
    WHERE y.id = p.id AND y.case_id IS NOT NULL
    ORDER BY p.place
  LOOP
    IF e.acceptance IS NOT NULL THEN
      INSERT INTO ventanilla.outbox (tenant, id, connector, case_id, event, text, author, automatic, created_at, due_at)
        VALUES (p_tenant, e.acceptance, this_connector, e.case_id, e.seq, '', 'ventanilla', TRUE, received, received);
    END IF;
    CONTINUE WHEN e.acknowledgement IS NULL OR NOT EXISTS (SELECT 1 FROM ventanilla.tenants a WHERE a.code = p_tenant AND a.acknowledge);
    thread_key := ventanilla.key_1('thread:' || coalesce('key:' || e.thread_key, 'case:' || e.case_id));
    sender_key := ventanilla.key_1('sender:' || e.scheme || ':' || e.handle);
    CONTINUE WHEN EXISTS (SELECT 1 FROM ventanilla.acknowledgements a WHERE a.tenant = p_tenant AND a.connector = this_connector
        AND a.what = thread_key AND a.since > received - 86400000)
      OR EXISTS (SELECT 1 FROM ventanilla.acknowledgements a WHERE a.tenant = p_tenant AND a.connector = this_connector
        AND a.what = sender_key AND a.since > received - 86400000 AND a.count >= 5)
      OR EXISTS (SELECT 1 FROM ventanilla.outbox o WHERE o.tenant = p_tenant AND o.case_id = e.case_id AND NOT o.automatic
        AND o.created_at > received - 86400000);
    INSERT INTO ventanilla.outbox (tenant, id, connector, case_id, event, text, author, automatic, created_at, due_at)
      VALUES (p_tenant, e.acknowledgement, this_connector, e.case_id, e.seq, '', 'ventanilla', TRUE, received, received);
    INSERT INTO ventanilla.acknowledgements AS a (tenant, connector, what, since, count)
      VALUES (p_tenant, this_connector, thread_key, received, 1), (p_tenant, this_connector, sender_key, received, 1)
      ON CONFLICT (tenant, connector, what) DO UPDATE SET
        count = CASE WHEN a.since > excluded.since - 86400000 THEN a.count + 1 ELSE 1 END,
        since = CASE WHEN a.since > excluded.since - 86400000 THEN a.since ELSE excluded.since END;
  END LOOP;

  -- What was understood once stays understood; `pending` says nothing new.
  IF was_disposition IS NULL THEN
    INSERT INTO ventanilla.envelopes (tenant, id, connector, method, target, received_at, verified_by, nonce, disposition, reason, events,
        headers, body)
      VALUES (p_tenant, envelope_id, this_connector, v ->> 'method', v ->> 'target', received, v ->> 'verified_by', v ->> 'nonce',
        v ->> 'disposition', v ->> 'reason', news, v -> 'headers', p_body);
    PERFORM ventanilla.count_1(p_tenant, this_connector, v ->> 'disposition', 1, news);
  ELSIF v ->> 'disposition' = 'pending' OR was_disposition IN ('accepted', v ->> 'disposition') THEN
    UPDATE ventanilla.envelopes x SET events = x.events + news,
        reason = CASE WHEN v ->> 'disposition' = 'pending' OR x.disposition = 'accepted' THEN x.reason ELSE v ->> 'reason' END
      WHERE x.tenant = p_tenant AND x.id = envelope_id;
    IF news > 0 THEN
      PERFORM ventanilla.count_1(p_tenant, this_connector, was_disposition, 0, news);
    END IF;
  ELSE
    UPDATE ventanilla.envelopes x SET events = x.events + news, reason = v ->> 'reason', disposition = v ->> 'disposition'
      WHERE x.tenant = p_tenant AND x.id = envelope_id;
    -- In one order, whichever way it went.
    PERFORM ventanilla.count_1(p_tenant, this_connector, d.name, d.envelopes, d.events) FROM (
      SELECT * FROM (VALUES (was_disposition, -1, -was_events), (v ->> 'disposition', 1, was_events + news)) x (name, envelopes, events)
      ORDER BY name COLLATE "C") d;
  END IF;
  IF nonce_key IS NOT NULL AND first_envelope IS NULL THEN
    INSERT INTO ventanilla.nonces (tenant, connector, nonce, binding, envelope, seen_at)
      VALUES (p_tenant, this_connector, nonce_key, v ->> 'binding', envelope_id, received) ON CONFLICT DO NOTHING;
  END IF;

  -- The keys are taken out of the document first (OFFSET keeps that so): under row-level security an index is not looked into by what a
  -- function makes of another row, and the whole tenant would be read.
  RETURN jsonb_build_object('envelope', envelope_id, 'receipts', (
    SELECT jsonb_agg(jsonb_build_object('n', p.place - 1, 'id', y.id, 'duplicate', y.id <> p.id, 'opened', y.opened,
      'reference', (SELECT c.reference FROM ventanilla.cases c WHERE c.tenant = p_tenant AND c.id = y.case_id),
      'asked', (SELECT jsonb_build_object('reference', a.reference, 'status', a.status, 'department', a.department,
          'opened_at', a.opened_at, 'updated_at', a.updated_at)
        FROM ventanilla.cases a WHERE a.tenant = p_tenant AND a.reference = p.asks)))
    FROM (SELECT x.place, ventanilla.key_1(x.value ->> 'key') AS key, x.value ->> 'id' AS id, x.value ->> 'asks' AS asks
      FROM jsonb_array_elements(document -> 'events') WITH ORDINALITY x (value, place) OFFSET 0) p
    CROSS JOIN LATERAL (SELECT k.* FROM ventanilla.events k WHERE k.tenant = p_tenant AND k.connector = this_connector
      AND k.idempotency_key = p.key OFFSET 0) y));
END $$;
-- next
-- Whether a contact, under the one it was joined into, has an event in a case.
CREATE OR REPLACE FUNCTION ventanilla.takes_part_1(p_tenant text, p_case bigint, p_root text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN p_root IS NOT NULL AND EXISTS (SELECT 1 FROM ventanilla.contacts k WHERE k.tenant = p_tenant AND k.root = p_root
    AND EXISTS (SELECT 1 FROM ventanilla.events y WHERE y.tenant = p_tenant AND y.case_id = p_case AND y.contact = k.id));
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.count_1(p_tenant text, p_connector text, p_disposition text, p_envelopes bigint, p_events bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ventanilla.ledger AS l (tenant, connector, disposition, slot, envelopes, events)
    VALUES (p_tenant, p_connector, p_disposition, pg_backend_pid() % 64, p_envelopes, p_events)
    ON CONFLICT (tenant, connector, disposition, slot) DO UPDATE
      SET envelopes = l.envelopes + excluded.envelopes, events = l.events + excluded.events;
END $$;
-- next
CREATE OR REPLACE PROCEDURE ventanilla.intake_1(p_tenant text, p_document text, p_body bytea, INOUT answer text) LANGUAGE plpgsql AS $$
BEGIN
  answer := ventanilla.take_in_1(p_tenant, p_document, p_body)::text;
  COMMIT;
END $$;
