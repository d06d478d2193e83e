//! The schema: forward only, statement by statement, resumable, beside components that go on working.
//!
//! `ventanilla migrate` runs this on a connection of its own, as the schema's owner. One at a time: an advisory lock of the session, which
//! ends with it. Each statement is harmless when it has run before (rules at the head of migrations/0001_tables.sql) and the version
//! is written last, so what was interrupted is run again from its beginning. A statement that would have to wait for a table gives up
//! soon and tries again, because everybody else would queue behind it.
//!
//! The component never migrates: it may not, and a hundred of them start at once. It works on any version that has its functions.

use store_sdk::database::{Database, DatabaseError, Row, Value};

/// Name and text, in order.
pub const MIGRATIONS: [(&str, &str); 13] = [
    ("0001_tables", include_str!("../migrations/0001_tables.sql")),
    ("0002_intake", include_str!("../migrations/0002_intake.sql")),
    ("0003_desk", include_str!("../migrations/0003_desk.sql")),
    ("0004_outbox", include_str!("../migrations/0004_outbox.sql")),
    ("0005_public", include_str!("../migrations/0005_public.sql")),
    ("0006_ledger", include_str!("../migrations/0006_ledger.sql")),
    ("0007_waiting", include_str!("../migrations/0007_waiting.sql")),
    ("0008_privacy", include_str!("../migrations/0008_privacy.sql")),
    ("0009_flat", include_str!("../migrations/0009_flat.sql")),
    ("0010_words", include_str!("../migrations/0010_words.sql")),
    ("0011_chains", include_str!("../migrations/0011_chains.sql")),
    ("0012_settled", include_str!("../migrations/0012_settled.sql")),
    ("0013_periods", include_str!("../migrations/0013_periods.sql")),
];

/// Tries of one statement while it would have to wait, two seconds each.
const TRIES: usize = 60;

/// The statements of a migration: separated by lines `-- next`, because functions have semicolons inside.
pub fn statements(text: &str) -> impl Iterator<Item = String> {
    text.split("\n-- next\n").map(str::to_owned).filter(|statement| {
        statement.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with("--"))
    })
}

/// The newest version this program knows.
pub fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// What [`run`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The version found: 0 for an empty database.
    pub before: i64,
    /// The version now. It may be newer than this program, which is all right.
    pub after: i64,
    /// The migrations that were run.
    pub done: Vec<&'static str>,
}

/// Brings the database to [`newest`], on a connection that nobody else uses.
///
/// # Errors
///
/// The database's.
pub async fn run<D: Database>(database: &D) -> Result<Migrated, DatabaseError> {
    let server = patiently(database, "SELECT current_setting('server_version_num')::bigint", &[]).await?;
    if server.first().and_then(|row| row.integer(0)).unwrap_or(0) < 150_000 {
        return Err(DatabaseError("the server is older than PostgreSQL 15: upgrade it first".into()));
    }
    patiently(database, "SET lock_timeout = '2s'", &[]).await?;
    patiently(database, "SET client_min_messages = 'warning'", &[]).await?;
    // The key is `VENT`.
    patiently(database, "SELECT pg_advisory_lock(1447382612)::text", &[]).await?;
    let outcome = migrate(database).await;
    let unlocked = patiently(database, "SELECT pg_advisory_unlock(1447382612)::text", &[]).await;
    outcome.and_then(|migrated| unlocked.map(|_| migrated))
}

async fn migrate<D: Database>(database: &D) -> Result<Migrated, DatabaseError> {
    let before = version(database).await?;
    let mut done = Vec::new();
    for (number, (name, text)) in (1_i64..).zip(MIGRATIONS) {
        if number <= before {
            continue;
        }
        for statement in statements(text) {
            patiently(database, &statement, &[]).await?;
        }
        if name == "0010_words" {
            crate::words::renew(database).await?;
        }
        let kept = "INSERT INTO ventanilla.migrations (version, name) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        patiently(database, kept, &[number.into(), name.into()]).await?;
        done.push(name);
    }
    Ok(Migrated { before, after: version(database).await?, done })
}

/// The version of a database: 0 if there is no schema yet.
///
/// # Errors
///
/// The database's.
pub async fn version<D: Database>(database: &D) -> Result<i64, DatabaseError> {
    let rows = patiently(database, "SELECT to_regclass('ventanilla.migrations')::text", &[]).await?;
    if rows.first().and_then(|row| row.text(0)).is_none() {
        return Ok(0);
    }
    let rows = patiently(database, "SELECT coalesce(max(version), 0) FROM ventanilla.migrations", &[]).await?;
    Ok(rows.first().and_then(|row| row.integer(0)).unwrap_or(0))
}

/// Tries again while others are in the way: lock timeout, deadlock, and catalogue rows changed at the same moment (XX000 `tuple
/// concurrently updated`).
pub(crate) async fn patiently<D: Database>(
    database: &D,
    statement: &str,
    parameters: &[Value],
) -> Result<Vec<Row>, DatabaseError> {
    let mut tried = 1;
    loop {
        match database.execute(statement, parameters.to_vec()).await {
            Err(error)
                if tried < TRIES
                    && ["55P03", "40P01", "40001", "XX000"].iter().any(|code| error.0.starts_with(code)) =>
            {
                tried += 1;
            }
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_can_be_run_again() {
        let mut count = 0;
        for (name, text) in MIGRATIONS {
            for statement in statements(text) {
                count += 1;
                let code: String = statement
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("--"))
                    .collect::<Vec<_>>()
                    .join("\n");
                let first = code.trim_start().lines().next().unwrap();
                let again = first.starts_with("CREATE OR REPLACE ")
                    || first.starts_with("SELECT ventanilla.protect_1(")
                    || first.starts_with("DO $$ BEGIN IF ")
                    || first.starts_with("CREATE ") && first.contains(" IF NOT EXISTS ");
                assert!(again, "{name}: {code}");
            }
        }
        assert!(count > 80, "{count} statements: the separator is not found");
    }
}
