//! The store as a component, on `spin:sqlite`.

use spin_sdk::sqlite;

use crate::SqliteStore;
use crate::database::{Connect, Database, DatabaseError, Row, Value};

/// The database named `default`.
pub(crate) struct Default;

/// A connection to it.
pub(crate) struct Connection(sqlite::Connection);

impl Connect for Default {
    type Connection = Connection;

    async fn open(&self) -> Result<Connection, DatabaseError> {
        sqlite::Connection::open_default().await.map(Connection).map_err(error)
    }
}

impl Database for Connection {
    async fn execute(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, DatabaseError> {
        let parameters = parameters.into_iter().map(|value| match value {
            Value::Null => sqlite::Value::Null,
            Value::Integer(number) => sqlite::Value::Integer(number),
            Value::Real(number) => sqlite::Value::Real(number),
            Value::Text(text) => sqlite::Value::Text(text),
            Value::Blob(bytes) => sqlite::Value::Blob(bytes),
        });
        let answer = self.0.execute(sql, parameters).await.map_err(error)?;
        // All rows at once: on Spin an unread stream blocks the next statement of the connection.
        let rows = answer.collect().await.map_err(error)?;
        let row = |row: sqlite::RowResult| {
            let values = row.values.into_iter().map(|value| match value {
                sqlite::Value::Null => Value::Null,
                sqlite::Value::Integer(number) => Value::Integer(number),
                sqlite::Value::Real(number) => Value::Real(number),
                sqlite::Value::Text(text) => Value::Text(text),
                sqlite::Value::Blob(bytes) => Value::Blob(bytes),
            });
            Row(values.collect())
        };
        Ok(rows.into_iter().map(row).collect())
    }
}

fn error(error: sqlite::Error) -> DatabaseError {
    DatabaseError(match error {
        sqlite::Error::NoSuchDatabase => "no such database".to_owned(),
        sqlite::Error::AccessDenied => "access denied".to_owned(),
        sqlite::Error::InvalidConnection => "the connection is closed".to_owned(),
        sqlite::Error::DatabaseFull => "database or disk is full".to_owned(),
        sqlite::Error::Io(said) => said,
    })
}

fn random(bytes: &mut [u8]) -> Result<(), String> {
    getrandom::fill(bytes).map_err(|error| error.to_string())
}

pub(crate) static STORE: SqliteStore<Default> = SqliteStore::new(Default, random);

store_sdk::export_store!(crate::component::STORE);
