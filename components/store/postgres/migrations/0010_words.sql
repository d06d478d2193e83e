-- What a search finds: each word of an event that is in a case, in the order of its beginnings (store_sdk::words).
--
-- `events.search` is " word word ". What it was before, lines of text, is made into words by migrate.rs. A B-tree's ranges, and nothing cleverer: under
-- row-level security an index is asked only with operators that are leakproof, as text's comparisons are and LIKE, @@ and those of pg_trgm are not.

CREATE TABLE IF NOT EXISTS ventanilla.words (
  tenant text COLLATE "C" NOT NULL,
  word text COLLATE "C" NOT NULL,
  event bigint NOT NULL,
  case_id bigint NOT NULL,
  PRIMARY KEY (tenant, word, event)
);
-- next
SELECT ventanilla.protect_1('words', 'tenant', FALSE);
-- next
-- Lines of text as words, roughly as store_sdk::words makes them. From components of the version before; or the caller's handle, which is put before an
-- abandoned call's words (0002_intake.sql).
CREATE OR REPLACE FUNCTION ventanilla.words_of_lines_1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.search := ' ' || (
    SELECT coalesce(string_agg(x.word || CASE WHEN x.word ~ '^[0-9]{5,}$' THEN ' ~' || reverse(x.word) ELSE '' END, ' '), '') FROM (
      SELECT DISTINCT left(w, 40) AS word
      FROM unnest(string_to_array(translate(lower(NEW.search),
        E'\n\r\t' || '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}¡¿«»“”‘’…–—áàäâãåéèëêíìïîóòöôõøúùüûñçý',
        '   ' || '                                          aaaaaaeeeeiiiioooooouuuuncy'), ' ')) w
      WHERE w <> '' LIMIT 200) x) || ' ';
  RETURN NEW;
END $$;
-- next
CREATE OR REPLACE FUNCTION ventanilla.keep_words_1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Lines have no words.
  IF TG_OP <> 'INSERT' AND position(E'\n' IN OLD.search) = 0 THEN
    DELETE FROM ventanilla.words w WHERE w.tenant = OLD.tenant AND w.event = OLD.seq
      AND w.word = ANY (ARRAY(SELECT left(x, 41) COLLATE "C" FROM unnest(string_to_array(OLD.search, ' ')) x));
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO ventanilla.words (tenant, word, event, case_id)
      SELECT NEW.tenant, left(x, 41), NEW.seq, NEW.case_id FROM unnest(string_to_array(NEW.search, ' ')) x WHERE x <> ''
      ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$;
-- next
CREATE OR REPLACE TRIGGER words_of_lines BEFORE INSERT ON ventanilla.events FOR EACH ROW
  WHEN (NEW.case_id IS NOT NULL AND position(E'\n' IN NEW.search) > 0) EXECUTE FUNCTION ventanilla.words_of_lines_1();
-- next
CREATE OR REPLACE TRIGGER words_new AFTER INSERT ON ventanilla.events FOR EACH ROW
  WHEN (NEW.case_id IS NOT NULL AND NEW.search <> '') EXECUTE FUNCTION ventanilla.keep_words_1();
-- next
CREATE OR REPLACE TRIGGER words_changed AFTER UPDATE OF search ON ventanilla.events FOR EACH ROW
  WHEN (NEW.case_id IS NOT NULL AND NEW.search IS DISTINCT FROM OLD.search) EXECUTE FUNCTION ventanilla.keep_words_1();
-- next
CREATE OR REPLACE TRIGGER words_gone AFTER DELETE ON ventanilla.events FOR EACH ROW
  WHEN (OLD.case_id IS NOT NULL AND OLD.search <> '') EXECUTE FUNCTION ventanilla.keep_words_1();
-- next
-- Whose events there are, for what follows.
CREATE OR REPLACE FUNCTION ventanilla.kept_of_1() RETURNS TABLE (tenant text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_all_1();
  RETURN QUERY SELECT DISTINCT l.tenant FROM ventanilla.ledger l ORDER BY 1;
END $$;
-- next
-- Events that have lines yet, of so many that are looked at. The last row is the last one looked at, whatever it has.
CREATE OR REPLACE FUNCTION ventanilla.lines_1(p_tenant text, p_after bigint, p_limit bigint) RETURNS TABLE (seq bigint, search text)
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN QUERY SELECT v.seq, CASE WHEN v.case_id IS NOT NULL AND position(E'\n' IN v.search) > 0 THEN v.search END
    FROM ventanilla.events v WHERE v.tenant = p_tenant AND v.seq > p_after ORDER BY v.seq LIMIT p_limit;
END $$;
-- next
-- Words for them: [[seq, search], …]. What was erased meanwhile stays so.
CREATE OR REPLACE FUNCTION ventanilla.renew_1(p_tenant text, p_words text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  n bigint;
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  UPDATE ventanilla.events v SET search = j.value ->> 1
    FROM jsonb_array_elements(p_words::jsonb) j (value)
    WHERE v.tenant = p_tenant AND v.seq = (j.value ->> 0)::bigint AND position(E'\n' IN v.search) > 0;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;
-- next
-- Newest first. `p_words`: a list of {"stems": [[word, what is behind all that begin with it, " word"], …], "reference": [beginning, what is behind] or
-- null}, all of which must be found; or null. `p_most`: rows of the index, or cases, that are looked at. A row without a document says where the next page
-- begins when these were not all.
--
-- Whatever PostgreSQL believes of the tables: it goes by their indexes, one row to the next. Before the first ANALYZE it believes anything.
CREATE OR REPLACE FUNCTION ventanilla.search_2(p_tenant text, p_before bigint, p_limit bigint, p_status text, p_channel text, p_reference text,
  p_words text, p_most bigint) RETURNS TABLE (place bigint, document text) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
  filters text := CASE WHEN p_status IS NULL THEN '' ELSE ' AND c.status = $4' END
    || CASE WHEN p_channel IS NULL THEN '' ELSE ' AND c.channel = $5' END
    || CASE WHEN p_reference IS NULL THEN '' ELSE ' AND c.reference = $6' END;
  words jsonb := coalesce(p_words::jsonb, '[]');
  word jsonb;
  stem jsonb;
  low text;
  high text;
  n bigint;
  rows bigint;
  least bigint := p_most;
  leads integer;
  checks text := '';
  found bigint;
  floor bigint;
  ids bigint[] := '{}';
  newest text := 'c.id';
  cases text := 'ventanilla.cases c WHERE c.tenant = $1 AND c.id < $2';
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  -- The word with the fewest rows leads.
  FOR i IN 0 .. jsonb_array_length(words) - 1 LOOP
    word := words -> i;
    rows := 0;
    FOR stem IN SELECT * FROM jsonb_array_elements(word -> 'stems') LOOP
      low := stem ->> 0;
      high := stem ->> 1;
      SELECT count(*) INTO n FROM (
        SELECT 1 FROM ventanilla.words w WHERE w.tenant = p_tenant AND w.word >= low AND w.word < high LIMIT p_most) x;
      rows := rows + n;
    END LOOP;
    IF word -> 'reference' <> 'null' THEN
      low := word -> 'reference' ->> 0;
      high := word -> 'reference' ->> 1;
      SELECT count(*) INTO n FROM (
        SELECT 1 FROM ventanilla.cases r WHERE r.tenant = p_tenant AND r.reference >= low AND r.reference < high LIMIT p_most) x;
      rows := rows + n;
    END IF;
    IF rows < least THEN
      least := rows;
      leads := i;
    END IF;
  END LOOP;
  IF leads IS NOT NULL THEN
    word := words -> leads;
    FOR stem IN SELECT * FROM jsonb_array_elements(word -> 'stems') LOOP
      low := stem ->> 0;
      high := stem ->> 1;
      ids := ids || ARRAY(SELECT w.case_id FROM ventanilla.words w WHERE w.tenant = p_tenant AND w.word >= low AND w.word < high);
    END LOOP;
    IF word -> 'reference' <> 'null' THEN
      low := word -> 'reference' ->> 0;
      high := word -> 'reference' ->> 1;
      ids := ids || ARRAY(SELECT r.id FROM ventanilla.cases r WHERE r.tenant = p_tenant AND r.reference >= low AND r.reference < high);
    END IF;
    newest := 'k.id';
    cases := '(SELECT DISTINCT k.id FROM unnest($7) k (id) WHERE k.id < $2 ORDER BY k.id DESC) k
      CROSS JOIN LATERAL (SELECT x.* FROM ventanilla.cases x WHERE x.tenant = $1 AND x.id = k.id OFFSET 0) c WHERE TRUE';
  ELSIF jsonb_array_length(words) > 0 THEN
    EXECUTE 'SELECT c.id FROM ventanilla.cases c WHERE c.tenant = $1 AND c.id < $2' || filters || ' ORDER BY c.id DESC OFFSET $3 LIMIT 1'
      INTO floor USING p_tenant, p_before, p_most, p_status, p_channel, p_reference;
    filters := filters || CASE WHEN floor IS NULL THEN '' ELSE ' AND c.id > $8' END;
  END IF;
  FOR i IN 0 .. jsonb_array_length(words) - 1 LOOP
    IF i IS DISTINCT FROM leads THEN
      word := words -> i;
      SELECT string_agg(format('strpos(e.search, %L) > 0', s.value ->> 2), ' OR ') INTO low FROM jsonb_array_elements(word -> 'stems') s;
      checks := checks || ' AND (EXISTS (SELECT 1 FROM ventanilla.events e WHERE e.tenant = $1 AND e.case_id = c.id AND (' || low || ') OFFSET 0)'
        || CASE WHEN word -> 'reference' = 'null' THEN ''
          ELSE format(' OR (c.reference >= %L AND c.reference < %L)', word -> 'reference' ->> 0, word -> 'reference' ->> 1) END || ')';
    END IF;
  END LOOP;
  RETURN QUERY EXECUTE 'SELECT p.id, s.summary::text FROM (SELECT c.id FROM ' || cases || filters || checks || ' ORDER BY ' || newest || ' DESC LIMIT $3) p
      CROSS JOIN LATERAL (SELECT y.summary FROM ventanilla.case_rows_1 y WHERE y.tenant = $1 AND y.id = p.id OFFSET 0) s ORDER BY p.id DESC'
    USING p_tenant, p_before, p_limit, p_status, p_channel, p_reference, ids, floor;
  GET DIAGNOSTICS found = ROW_COUNT;
  IF floor IS NOT NULL AND found < p_limit THEN
    place := floor + 1;
    document := NULL;
    RETURN NEXT;
  END IF;
END $$;
