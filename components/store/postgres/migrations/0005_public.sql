-- Events that add to a public case by its reference. Called in the CALL of an intake that has one, so that it is still one statement, and those
-- that have none pay nothing.

-- The document, each event with the token of the public case it names, if there is one. The references are taken out of it first (OFFSET
-- keeps that so): see take_in_1.
CREATE OR REPLACE FUNCTION ventanilla.with_public_cases_1(p_tenant text, p_document text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  document jsonb := p_document::jsonb;
BEGIN
  PERFORM ventanilla.enter_1(p_tenant);
  RETURN jsonb_set(document, '{events}', (
    SELECT jsonb_agg(p.value || CASE WHEN c.reference IS NULL THEN '{}' ELSE jsonb_build_object('token', c.reference) END ORDER BY p.place)
    FROM (SELECT x.value, x.place, x.value ->> 'public_case' AS named
      FROM jsonb_array_elements(document -> 'events') WITH ORDINALITY x (value, place) OFFSET 0) p
    LEFT JOIN LATERAL (SELECT k.reference FROM ventanilla.cases k WHERE k.tenant = p_tenant AND k.reference = p.named AND k.public OFFSET 0) c
      ON TRUE))::text;
END $$;
