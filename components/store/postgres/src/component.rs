//! The store as a component, on `spin:postgres`.

use spin_sdk::pg::{self, Certificate, DbValue, OpenOptions, ParameterValue, PgError, QueryError};
use spin_sdk::variables;
use store_sdk::database::{Connect, Database, DatabaseError, Row, Value};

use crate::PostgresStore;

/// The variable with the address: `postgres://user:password@host/database`.
const ADDRESS: &str = "postgres_url";
/// The variable with the certificate (PEM) of the authority that signed the server's, where it is none of the web's.
const AUTHORITY: &str = "postgres_ca";

/// The database that the variable names.
pub(crate) struct Configured;

/// One of the host's pool, given back when it is dropped.
pub(crate) struct Connection(pg::Connection);

impl Connect for Configured {
    type Connection = Connection;

    async fn open(&self) -> Result<Connection, DatabaseError> {
        let address = match variables::get(ADDRESS).await {
            Ok(address) if !address.is_empty() => address,
            _ => return Err(DatabaseError(format!("08001 no address: set the variable {ADDRESS}"))),
        };
        // A host may repeat the address in its words, and with it the password.
        let hidden = |error: DatabaseError| DatabaseError(error.0.replace(&address, ADDRESS));
        let authority = variables::get(AUTHORITY).await.ok().filter(|text| !text.trim().is_empty());
        let options = OpenOptions { ca_root: authority.map(Certificate::Text) };
        let opened = pg::Connection::open_with_options(address.as_str(), options).await;
        opened.map(Connection).map_err(|error| hidden(said(error)))
    }
}

impl Database for Connection {
    async fn execute(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, DatabaseError> {
        let parameters: Vec<ParameterValue> = parameters
            .into_iter()
            .map(|value| match value {
                Value::Null => ParameterValue::DbNull,
                Value::Integer(number) => ParameterValue::Int64(number),
                Value::Real(number) => ParameterValue::Floating64(number),
                Value::Text(text) => ParameterValue::Str(text),
                Value::Blob(bytes) => ParameterValue::Binary(bytes),
            })
            .collect();
        let mut answer = self.0.query(sql, parameters).await.map_err(said)?;
        let mut rows = Vec::new();
        while let Some(row) = answer.rows().next().await {
            rows.push(Row(row.into_iter().map(value).collect()));
        }
        answer.result().await.map_err(said)?;
        Ok(rows)
    }
}

/// Our functions answer with text, bigint and bytea only.
fn value(value: DbValue) -> Value {
    match value {
        DbValue::Int64(number) => Value::Integer(number),
        DbValue::Int32(number) => Value::Integer(number.into()),
        DbValue::Str(text) => Value::Text(text),
        DbValue::Binary(bytes) => Value::Blob(bytes),
        _ => Value::Null,
    }
}

fn said(error: pg::Error) -> DatabaseError {
    DatabaseError(match error {
        pg::Error::PgError(PgError::QueryFailed(QueryError::DbError(error))) => {
            format!("{} {}", error.code, error.message)
        }
        pg::Error::PgError(PgError::QueryFailed(QueryError::Text(text))) => format!("08006 {text}"),
        pg::Error::PgError(PgError::ConnectionFailed(text)) => format!("08001 {text}"),
        pg::Error::PgError(PgError::BadParameter(text) | PgError::ValueConversionFailed(text)) => {
            format!("22000 {text}")
        }
        pg::Error::PgError(PgError::Other(text)) | pg::Error::Decode(text) => text,
    })
}

fn random(bytes: &mut [u8]) -> Result<(), String> {
    getrandom::fill(bytes).map_err(|error| error.to_string())
}

pub(crate) static STORE: PostgresStore<Configured> = PostgresStore::new(Configured, random);

store_sdk::export_store!(crate::component::STORE);
