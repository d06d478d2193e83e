-- An account of a period costs what the period has, however much there is before it (`ACCOUNT` in src/ledger.rs).
CREATE INDEX IF NOT EXISTS seals_by_envelope ON seals (tenant, envelope);
