-- The oldest envelope of a connector that waits for somebody, without reading the others that wait. Few are in it.
CREATE INDEX IF NOT EXISTS envelopes_waiting ON envelopes (tenant, connector, disposition, seq) WHERE disposition <> 'accepted';
