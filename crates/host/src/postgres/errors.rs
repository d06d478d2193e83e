//! The driver's errors in the words of the interface. Nothing here repeats a parameter's value, which may be a citizen's.

use super::guest::bindings::spin::postgres::postgres::{DbError, Error, QueryError};
use std::error::Error as _;

/// Each cause after the other.
pub(super) fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// Of a connection that was not made.
pub(super) fn connecting(server: &super::address::Server, error: &tokio_postgres::Error) -> String {
    let text = chain(error);
    let remedy = if text.contains("UnknownIssuer") || text.contains("invalid peer certificate") {
        "; give the certificate of its authority (the component's root certificate), or sslmode=disable on a trusted network"
    } else if text.contains("does not support TLS") {
        "; switch TLS on in the server, or write sslmode=disable on a trusted network"
    } else {
        ""
    };
    format!("can't connect to postgres://{server}: {text}{remedy}")
}

/// Of a statement.
pub(super) fn statement(error: &tokio_postgres::Error) -> Error {
    let Some(db) = error.as_db_error() else {
        return if error.is_closed() || error.source().is_some_and(|cause| cause.is::<std::io::Error>()) {
            Error::ConnectionFailed(
                "the connection broke while a statement ran: it may or may not have been carried out; open another"
                    .into(),
            )
        } else {
            Error::QueryFailed(QueryError::Text(chain(error)))
        };
    };
    let mut extras = Vec::new();
    let line = db.line().map(|line| line.to_string());
    for (name, value) in [
        ("column", db.column()),
        ("constraint", db.constraint()),
        ("routine", db.routine()),
        ("hint", db.hint()),
        ("table", db.table()),
        ("datatype", db.datatype()),
        ("schema", db.schema()),
        ("file", db.file()),
        ("line", line.as_deref()),
        ("where_", db.where_()),
    ] {
        extras.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }
    Error::QueryFailed(QueryError::DbError(DbError {
        as_text: format!("{}: {} (SQLSTATE {})", db.severity(), db.message(), db.code().code()),
        severity: db.severity().to_owned(),
        code: db.code().code().to_owned(),
        message: db.message().to_owned(),
        detail: db.detail().map(ToOwned::to_owned),
        extras,
    }))
}

/// Whether a kept prepared statement is the reason: the tables changed under it, or somebody deallocated it. Nothing was run then.
pub(super) fn is_stale(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|db| match db.code().code() {
        "26000" => true,
        "0A000" => db.message().contains("cached plan"),
        _ => false,
    })
}

/// Whether the connection is of no use any more: it broke, or its server stops, or became a read-only replica.
pub(super) fn is_final(error: &tokio_postgres::Error) -> bool {
    match error.as_db_error() {
        Some(db) => db.code().code().starts_with("57P") || db.code().code() == "25006" || db.severity() == "FATAL",
        None => true,
    }
}
