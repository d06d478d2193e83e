//! The schema: forward only, statement by statement, safe when many instances start at once.
//!
//! There is no transaction around a migration: hosts commit statements of several requests together, and on Spin a trap would leave
//! one open. Each statement is harmless when it has run before (rules at the head of migrations/0001_intake.sql); the version is written
//! last, so an interrupted migration is run again from its beginning.

use crate::database::{Database, DatabaseError, Value};

/// Name and text, in order.
pub const MIGRATIONS: [(&str, &str); 13] = [
    ("0001_intake", include_str!("../migrations/0001_intake.sql")),
    ("0002_desk", include_str!("../migrations/0002_desk.sql")),
    ("0003_lists", include_str!("../migrations/0003_lists.sql")),
    ("0004_sending", include_str!("../migrations/0004_sending.sql")),
    ("0005_follow", include_str!("../migrations/0005_follow.sql")),
    ("0006_columns", include_str!("../migrations/0006_columns.sql")),
    ("0007_feed", include_str!("../migrations/0007_feed.sql")),
    ("0008_ledger", include_str!("../migrations/0008_ledger.sql")),
    ("0009_waiting", include_str!("../migrations/0009_waiting.sql")),
    ("0010_privacy", include_str!("../migrations/0010_privacy.sql")),
    ("0011_flat", include_str!("../migrations/0011_flat.sql")),
    ("0012_words", include_str!("../migrations/0012_words.sql")),
    ("0013_periods", include_str!("../migrations/0013_periods.sql")),
];

/// Tries of one statement while others migrate: each waits for the host's busy timeout (5 s on Spin) first.
const TRIES: usize = 20;

/// The statements of a migration: separated by lines `-- next`, because triggers have semicolons inside.
pub fn statements(text: &str) -> impl Iterator<Item = String> {
    text.split("\n-- next\n").map(str::to_owned).filter(|statement| {
        statement.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with("--"))
    })
}

/// The newest version this component knows.
pub fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Brings the database to [`newest`].
///
/// # Errors
///
/// The database's, or that it is newer than this component.
pub async fn run<D: Database>(database: &D) -> Result<(), DatabaseError> {
    let version = version(database).await?;
    if version > newest() {
        return Err(DatabaseError(format!(
            "database schema has version {version}, this program knows {}: use the newer program",
            newest()
        )));
    }
    if version == newest() {
        return Ok(());
    }
    write_ahead(database).await?;
    let create = "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL)";
    patiently(database, create, &[]).await?;
    for (number, (name, text)) in (1_i64..).zip(MIGRATIONS) {
        if number <= version {
            continue;
        }
        for statement in statements(text) {
            patiently(database, &statement, &[]).await?;
        }
        if name == "0012_words" {
            crate::words::renew(database).await?;
        }
        let done = "INSERT INTO migrations (version, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        patiently(database, done, &[number.into(), name.into()]).await?;
    }
    Ok(())
}

async fn version<D: Database>(database: &D) -> Result<i64, DatabaseError> {
    match patiently(database, "SELECT coalesce(max(version), 0) FROM migrations", &[]).await {
        Ok(rows) => Ok(rows.first().and_then(|row| row.integer(0)).unwrap_or(0)),
        Err(error) if error.0.contains("no such table") => Ok(0),
        Err(error) => Err(error),
    }
}

/// Write-ahead logging: readers don't wait for writers, and a commit is one sync. It stays with the file. On our host it is set already.
async fn write_ahead<D: Database>(database: &D) -> Result<(), DatabaseError> {
    let rows = patiently(database, "PRAGMA journal_mode", &[]).await?;
    // An in-memory database answers `memory` and keeps that.
    if rows.first().and_then(|row| row.text(0)).is_some_and(|mode| mode == "wal" || mode == "memory") {
        return Ok(());
    }
    patiently(database, "PRAGMA journal_mode = WAL", &[]).await.map(drop)
}

/// Tries again while the database is locked.
pub(crate) async fn patiently<D: Database>(
    database: &D,
    statement: &str,
    parameters: &[Value],
) -> Result<Vec<crate::database::Row>, DatabaseError> {
    let mut tried = 1;
    loop {
        match database.execute(statement, parameters.to_vec()).await {
            // There is no ADD COLUMN IF NOT EXISTS.
            Err(error) if error.0.contains("duplicate column name") => return Ok(Vec::new()),
            Err(error) if tried < TRIES && (error.0.contains("locked") || error.0.contains("busy")) => tried += 1,
            // Another instance has changed the schema while this statement was being prepared.
            Err(error) if tried < TRIES && error.0.contains("schema has changed") => tried += 1,
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
                let made = first.starts_with("CREATE ") && first.contains(" IF NOT EXISTS ");
                let added = first.starts_with("ALTER TABLE ") && first.contains(" ADD COLUMN ");
                assert!(made || added, "{name}: {code}");
                assert_eq!(code.matches("\n-- next").count(), 0);
            }
        }
        assert!(count > 40, "{count} statements: the separator is not found");
    }
}
