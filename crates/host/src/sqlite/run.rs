//! One statement on one connection.

use super::guest::bindings::spin::sqlite::sqlite::{RowResult, Value};
use rusqlite::{Connection, OpenFlags, types::ToSqlOutput, types::ValueRef};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Longest run of one statement.
const STATEMENT_TIME: Duration = Duration::from_secs(10);
/// Largest result.
const RESULT_BYTES: usize = 64 << 20;
/// Virtual machine steps between two looks at the clock.
const STEPS: i32 = 50_000;
/// Prepared statements kept per connection.
const CACHED_STATEMENTS: usize = 128;

/// What a statement gave.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows in order.
    pub rows: Vec<RowResult>,
    /// Rows changed and last row id, for a statement that writes.
    pub written: Option<(u64, i64)>,
    /// Whether the handle's transaction is open after it.
    pub in_transaction: bool,
}

/// Opens a connection with the settings durability rests on.
pub(super) fn open(file: &Path) -> rusqlite::Result<Connection> {
    make_private(file);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // With WAL, FULL syncs the log at every commit: an acknowledged write survives a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", true)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    // What is deleted or overwritten is not left in the file's pages: erasure means erased (docs/privacy.md).
    connection.pragma_update(None, "secure_delete", true)?;
    // Inside a group's transaction SQLite keeps each page a statement touches, so that the statement alone can be undone: over 64 KiB
    // in a file, which was five of six writes to the disk of an intake.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Reads the schema, so that a file which is no database is found now.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// A new file is its owner's only: it holds what citizens said. SQLite gives its log and index the file's mode. If it can't be
/// made, opening it says why.
fn make_private(file: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.open(file));
}

/// Stops a statement that runs too long.
pub(super) struct Watch(Arc<Mutex<Option<Instant>>>);

impl Watch {
    /// Installs it on a connection.
    pub(super) fn install(connection: &mut Connection) -> Self {
        let deadline: Arc<Mutex<Option<Instant>>> = Arc::default();
        let seen = Arc::clone(&deadline);
        let too_late = move || {
            seen.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|deadline| Instant::now() > deadline)
        };
        if let Err(error) = connection.progress_handler(STEPS, Some(too_late)) {
            tracing::warn!(%error, "statements can't be stopped when they run too long");
        }
        Self(deadline)
    }

    fn set(&self, deadline: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }
}

/// Whether SQLite says that it changes nothing.
pub(super) fn is_readonly(connection: &Connection, sql: &str) -> rusqlite::Result<bool> {
    Ok(connection.prepare_cached(sql)?.readonly())
}

/// Runs a statement to its end and keeps its rows.
pub(super) fn statement(
    connection: &Connection,
    watch: &Watch,
    sql: &str,
    parameters: &[Value],
) -> rusqlite::Result<Rows> {
    watch.set(Some(Instant::now() + STATEMENT_TIME));
    let result = collect(connection, sql, parameters);
    watch.set(None);
    result
}

fn collect(connection: &Connection, sql: &str, parameters: &[Value]) -> rusqlite::Result<Rows> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let writes = !statement.readonly();
    let mut rows = Vec::new();
    let mut size = 0;
    let mut cursor = statement.query(rusqlite::params_from_iter(parameters.iter().map(Bound)))?;
    while let Some(row) = cursor.next()? {
        let values = (0..columns.len())
            .map(|index| value(row.get_ref(index)?, index, &mut size))
            .collect::<rusqlite::Result<_>>()?;
        rows.push(RowResult { values });
        if size > RESULT_BYTES {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_TOOBIG),
                Some("the result is over 64 MiB: ask for fewer rows with LIMIT".into()),
            ));
        }
    }
    drop(cursor);
    let written = writes.then(|| (connection.changes(), connection.last_insert_rowid()));
    Ok(Rows { columns, rows, written, in_transaction: !connection.is_autocommit() })
}

fn value(value: ValueRef<'_>, index: usize, size: &mut usize) -> rusqlite::Result<Value> {
    *size += 32;
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => {
            *size += bytes.len();
            let text = std::str::from_utf8(bytes).map_err(|error| rusqlite::Error::Utf8Error(index, error))?;
            Value::Text(text.to_owned())
        }
        ValueRef::Blob(bytes) => {
            *size += bytes.len();
            Value::Blob(bytes.to_vec())
        }
    })
}

struct Bound<'a>(&'a Value);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
