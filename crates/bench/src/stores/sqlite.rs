//! SQLite as our host has it: the same writer thread, the same commits of many at once.

use std::path::Path;
use std::sync::Arc;

use store_sdk::database::{Connect, Database, DatabaseError, Row, Value};
use store_sqlite::SqliteStore;
use ventanilla_host::metrics::Metrics;
use ventanilla_host::sqlite::{self, SqlValue};

/// One file.
pub struct File(Arc<sqlite::Database>);

/// A store in `default.sqlite` of this folder.
///
/// # Errors
///
/// The file can't be opened or made.
pub fn open(folder: &Path) -> anyhow::Result<super::Sqlite> {
    let metrics = Arc::new(Metrics::new([]));
    let database = sqlite::Database::open("default", &folder.join("default.sqlite"), &metrics)?;
    Ok(SqliteStore::new(File(database), super::random))
}

impl Connect for File {
    type Connection = Connection;

    async fn open(&self) -> Result<Connection, DatabaseError> {
        Ok(Connection(sqlite::Handle::new(self.0.clone())))
    }
}

/// An open connection.
pub struct Connection(sqlite::Handle);

impl Database for Connection {
    async fn execute(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, DatabaseError> {
        let parameters = parameters.into_iter().map(|value| match value {
            Value::Null => SqlValue::Null,
            Value::Integer(number) => SqlValue::Integer(number),
            Value::Real(number) => SqlValue::Real(number),
            Value::Text(text) => SqlValue::Text(text),
            Value::Blob(bytes) => SqlValue::Blob(bytes),
        });
        let rows = self.0.execute(sql.to_owned(), parameters.collect()).await;
        let rows = rows.map_err(|error| DatabaseError(error.to_string()))?.rows;
        let value = |value| match value {
            SqlValue::Null => Value::Null,
            SqlValue::Integer(number) => Value::Integer(number),
            SqlValue::Real(number) => Value::Real(number),
            SqlValue::Text(text) => Value::Text(text),
            SqlValue::Blob(bytes) => Value::Blob(bytes),
        };
        Ok(rows.into_iter().map(|row| Row(row.values.into_iter().map(value).collect())).collect())
    }
}
