//! A connection of the operator's own, for commands such as `ventanilla migrate`: no pool, and no allow-list but what they typed.

use super::{
    address::{self, Refused},
    connection::Connection,
    guest::bindings::spin::postgres::postgres::{DbValue, Error, ParameterValue, QueryError},
    pool::Endpoint,
    tls,
};
use crate::{
    options::{Limits, PostgresLimits},
    outbound::AllowList,
    sqlite::SqlValue,
};
use anyhow::{Result, anyhow};
use std::{sync::Arc, time::Duration};

/// Longest statement: an index over years of events takes its time.
const STATEMENT: Duration = Duration::from_secs(24 * 3600);

/// An open connection. Needs a tokio runtime.
pub struct Session {
    connection: Connection,
    limits: PostgresLimits,
}

impl Session {
    /// Connects; `ca` is a certificate (PEM) trusted beside the web's authorities.
    pub async fn open(address: &str, ca: Option<&str>) -> Result<Self> {
        let target = read(address)?;
        let tls = tls::config(ca).map_err(|why| anyhow!(why))?;
        let limits = PostgresLimits { statement: STATEMENT, ..Limits::default().postgres };
        let endpoint = Arc::new(Endpoint { target, tls });
        let connection = Connection::open(&endpoint, &limits).await.map_err(|why| anyhow!(why))?;
        Ok(Self { connection, limits })
    }

    /// Runs one statement for all its rows. Columns other than numbers, texts and bytes are told as NULL.
    ///
    /// The error begins with the SQLSTATE.
    pub async fn query(&self, sql: &str, parameters: Vec<SqlValue>) -> Result<Vec<Vec<SqlValue>>, String> {
        let parameters: Vec<ParameterValue> = parameters
            .into_iter()
            .map(|value| match value {
                SqlValue::Null => ParameterValue::DbNull,
                SqlValue::Integer(value) => ParameterValue::Int64(value),
                SqlValue::Real(value) => ParameterValue::Floating64(value),
                SqlValue::Text(value) => ParameterValue::Str(value),
                SqlValue::Blob(value) => ParameterValue::Binary(value),
            })
            .collect();
        let found = self.connection.query(sql, &parameters, &self.limits).await.map_err(told)?;
        Ok(found.rows.into_iter().map(|row| row.into_iter().map(native).collect()).collect())
    }

    /// Says good-bye to the server.
    pub async fn close(self) {
        self.connection.close().await;
    }
}

/// Where a connection string goes first, as an entry of `allowed_outbound_hosts`.
pub fn first_host(address: &str) -> Result<String> {
    let target = read(address)?;
    let first = target.hosts.first().ok_or_else(|| anyhow!("the connection string names no host"))?;
    let host = if first.host.contains(':') { format!("[{}]", first.host) } else { first.host.clone() };
    Ok(format!("postgres://{host}:{}", first.port))
}

fn read(address: &str) -> Result<address::Target> {
    let list = AllowList::parse(["postgres://*:*"]).map_err(|why| anyhow!(why))?;
    let mut target = address::read(address, &list).map_err(|refused| match refused {
        Refused::Unreadable(why) => anyhow!(why),
        Refused::NotAllowed(server) => anyhow!("postgres://{server} can't be used"),
    })?;
    target.hosts.iter_mut().for_each(|server| server.anywhere = true);
    Ok(target)
}

fn native(value: DbValue) -> SqlValue {
    match value {
        DbValue::Boolean(value) => SqlValue::Integer(value.into()),
        DbValue::Int16(value) => SqlValue::Integer(value.into()),
        DbValue::Int32(value) => SqlValue::Integer(value.into()),
        DbValue::Int64(value) => SqlValue::Integer(value),
        DbValue::Floating32(value) => SqlValue::Real(value.into()),
        DbValue::Floating64(value) => SqlValue::Real(value),
        DbValue::Str(value) => SqlValue::Text(value),
        DbValue::Binary(value) => SqlValue::Blob(value),
        _ => SqlValue::Null,
    }
}

fn told(error: Error) -> String {
    match error {
        Error::QueryFailed(QueryError::DbError(error)) => format!("{} {}", error.code, error.message),
        Error::QueryFailed(QueryError::Text(text)) => format!("08006 {text}"),
        Error::ConnectionFailed(text) => format!("08001 {text}"),
        Error::BadParameter(text) | Error::ValueConversionFailed(text) => format!("22000 {text}"),
        Error::Other(text) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_gives_the_entry_of_the_allow_list() {
        for (address, entry) in [
            ("postgres://u:p@db.example.com/x", "postgres://db.example.com:5432"),
            ("host=10.0.0.1 port=6432 user=u", "postgres://10.0.0.1:6432"),
            ("host=::1 user=u", "postgres://[::1]:5432"),
        ] {
            assert_eq!(first_host(address).unwrap(), entry);
            assert!(address::read(address, &AllowList::parse([entry]).unwrap()).is_ok(), "{address}");
        }
        assert!(!first_host("host=a user=u password=open sesame").unwrap_err().to_string().contains("sesame"));
    }
}
