//! PostgreSQL over tokio-postgres, as a native program has it: a bounded pool, statements prepared once per connection, and nothing
//! done between two users of a connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store_postgres::PostgresStore;
use store_sdk::database::{Connect, Database, DatabaseError, Row, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use tokio_postgres::{Client, NoTls, Statement};

/// As many as our host opens.
const CONNECTIONS: usize = 32;

/// Connections to one database.
pub struct Pool {
    address: String,
    idle: Arc<Mutex<Vec<Kept>>>,
    places: Arc<Semaphore>,
}

struct Kept {
    client: Client,
    statements: Mutex<HashMap<String, Statement>>,
}

/// A store at this address.
pub fn open(address: &str) -> super::Postgres {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    PostgresStore::new(Pool { address: address.to_owned(), idle: Arc::default(), places }, super::random)
}

/// One of the pool, given back when it is dropped.
pub struct Connection {
    kept: Option<Kept>,
    idle: Arc<Mutex<Vec<Kept>>>,
    _place: OwnedSemaphorePermit,
}

impl Connect for Pool {
    type Connection = Connection;

    async fn open(&self) -> Result<Connection, DatabaseError> {
        let closed = |_| DatabaseError("08001 the pool is closed".into());
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(closed)?;
        let idle = lock(&self.idle).pop().filter(|kept| !kept.client.is_closed());
        let kept = match idle {
            Some(kept) => kept,
            None => {
                let (client, connection) =
                    tokio_postgres::connect(&self.address, NoTls).await.map_err(|error| said(&error))?;
                tokio::spawn(connection);
                Kept { client, statements: Mutex::default() }
            }
        };
        Ok(Connection { kept: Some(kept), idle: Arc::clone(&self.idle), _place: place })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(kept) = self.kept.take() {
            lock(&self.idle).push(kept);
        }
    }
}

impl Database for Connection {
    async fn execute(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, DatabaseError> {
        let Some(kept) = &self.kept else { return Err(DatabaseError("08001 the connection is gone".into())) };
        let known = lock(&kept.statements).get(sql).cloned();
        let statement = match known {
            Some(statement) => statement,
            None => {
                let statement = kept.client.prepare(sql).await.map_err(|error| said(&error))?;
                lock(&kept.statements).insert(sql.to_owned(), statement.clone());
                statement
            }
        };
        let parameters: Vec<Parameter> = parameters.into_iter().map(Parameter).collect();
        let borrowed: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|it| it as &(dyn ToSql + Sync)).collect();
        let rows = kept.client.query(&statement, &borrowed).await.map_err(|error| said(&error))?;
        rows.iter().map(read).collect()
    }
}

/// Our functions answer with text, bigint and bytea only.
fn read(row: &tokio_postgres::Row) -> Result<Row, DatabaseError> {
    let value = |(index, column): (usize, &tokio_postgres::Column)| {
        let value = match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(index).map(Into::into),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(index).map(|it| it.map_or(Value::Null, Value::Blob)),
            Type::VOID => Ok(Value::Null),
            _ => row.try_get::<_, Option<String>>(index).map(Into::into),
        };
        value.map_err(|error| said(&error))
    };
    row.columns().iter().enumerate().map(value).collect::<Result<_, _>>().map(Row)
}

#[derive(Debug)]
struct Parameter(Value);

impl ToSql for Parameter {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Integer(number) => number.to_sql(kind, out),
            Value::Real(number) => number.to_sql(kind, out),
            Value::Text(text) => text.to_sql(kind, out),
            Value::Blob(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// The SQLSTATE and the server's words.
fn said(error: &tokio_postgres::Error) -> DatabaseError {
    DatabaseError(match error.as_db_error() {
        Some(error) => format!("{} {}", error.code().code(), error.message()),
        None => format!("08006 {error}"),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
