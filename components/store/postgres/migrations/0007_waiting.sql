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
