-- What a search finds: each word of an event that is in a case, in the order of its beginnings (store_sdk::words).
--
-- `events.search` is " word word ". What it was before, lines of text, is made into words by migrate.rs, which then asks for nothing more; nothing
-- but what is written through these triggers is in `words`, so it is what `events.search` says.

CREATE TABLE IF NOT EXISTS words (
  tenant TEXT NOT NULL,
  word TEXT NOT NULL,
  event INTEGER NOT NULL,
  case_id INTEGER NOT NULL,
  PRIMARY KEY (tenant, word, event)
) WITHOUT ROWID;
-- next
-- Whatever the text is, nothing here may fail: an intake is worth more than its words.
CREATE TRIGGER IF NOT EXISTS events_words_new AFTER INSERT ON events
WHEN NEW.case_id IS NOT NULL AND NEW.search <> '' AND instr(NEW.search, char(10)) = 0
BEGIN
  INSERT INTO words (tenant, word, event, case_id)
    SELECT NEW.tenant, substr(j.value, 1, 41), NEW.seq, NEW.case_id
    FROM (SELECT '["' || replace(trim(NEW.search), ' ', '","') || '"]' AS list) l,
      json_each(CASE WHEN json_valid(l.list) THEN l.list END) j WHERE j.value <> ''
    ON CONFLICT DO NOTHING;
END;
-- next
CREATE TRIGGER IF NOT EXISTS events_words_changed AFTER UPDATE OF search ON events
WHEN NEW.case_id IS NOT NULL AND NEW.search IS NOT OLD.search
BEGIN
  -- Lines have no words.
  DELETE FROM words WHERE tenant = OLD.tenant AND event = OLD.seq AND word IN (
    SELECT substr(j.value, 1, 41)
    FROM (SELECT '["' || replace(trim(OLD.search), ' ', '","') || '"]' AS list) l,
      json_each(CASE WHEN json_valid(l.list) THEN l.list END) j
    WHERE instr(OLD.search, char(10)) = 0);
  INSERT INTO words (tenant, word, event, case_id)
    SELECT NEW.tenant, substr(j.value, 1, 41), NEW.seq, NEW.case_id
    FROM (SELECT '["' || replace(trim(NEW.search), ' ', '","') || '"]' AS list) l,
      json_each(CASE WHEN json_valid(l.list) THEN l.list END) j WHERE j.value <> ''
    ON CONFLICT DO NOTHING;
END;
-- next
CREATE TRIGGER IF NOT EXISTS events_words_gone AFTER DELETE ON events WHEN OLD.case_id IS NOT NULL AND OLD.search <> '' BEGIN
  DELETE FROM words WHERE tenant = OLD.tenant AND event = OLD.seq AND word IN (
    SELECT substr(j.value, 1, 41)
    FROM (SELECT '["' || replace(trim(OLD.search), ' ', '","') || '"]' AS list) l,
      json_each(CASE WHEN json_valid(l.list) THEN l.list END) j
    WHERE instr(OLD.search, char(10)) = 0);
END;
-- next
-- Lines of text, from a component of the version before; or the caller's handle, which is put before an abandoned call's words (0001_intake.sql).
-- Roughly as store_sdk::words does it. A few at a time: SQLite's parser has room for about thirty in one another.
CREATE TRIGGER IF NOT EXISTS events_words_of_lines AFTER INSERT ON events WHEN NEW.case_id IS NOT NULL AND instr(NEW.search, char(10)) > 0 BEGIN
  UPDATE events SET search = ' ' || lower(
      (SELECT replace(x.t, '·', '') AS t FROM
      (SELECT replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(x.t, 'ò', 'o'), 'ö', 'o'), 'ô', 'o'), 'õ', 'o'), 'ø', 'o'), 'ú', 'u'), 'ù', 'u'), 'ü', 'u'), 'û', 'u'), 'ñ', 'n'), 'ç', 'c'), 'ý', 'y') AS t FROM
      (SELECT replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(x.t, 'â', 'a'), 'ã', 'a'), 'å', 'a'), 'é', 'e'), 'è', 'e'), 'ë', 'e'), 'ê', 'e'), 'í', 'i'), 'ì', 'i'), 'ï', 'i'), 'î', 'i'), 'ó', 'o') AS t FROM
      (SELECT replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(x.t, '«', ' '), '»', ' '), '“', ' '), '”', ' '), '‘', ' '), '’', ' '), '…', ' '), '–', ' '), '—', ' '), 'á', 'a'), 'à', 'a'), 'ä', 'a') AS t FROM
      (SELECT replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(x.t, '[', ' '), '\', ' '), ']', ' '), '^', ' '), '_', ' '), '`', ' '), '{', ' '), '|', ' '), '}', ' '), '''', ' '), '¡', ' '), '¿', ' ') AS t FROM
      (SELECT replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(x.t, '+', ' '), ',', ' '), '-', ' '), '.', ' '), '/', ' '), ':', ' '), ';', ' '), '<', ' '), '=', ' '), '>', ' '), '?', ' '), '@', ' ') AS t FROM
      (SELECT replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(x.t, char(10), ' '), char(13), ' '), char(9), ' '), '!', ' '), '"', ' '), '#', ' '), '$', ' '), '%', ' '), '&', ' '), '(', ' '), ')', ' '), '*', ' ') AS t FROM
      (SELECT NEW.search AS t) x) x) x) x) x) x) x)) || ' '
    WHERE seq = NEW.seq;
END;
