//! `ventanilla migrate`: brings a PostgreSQL database to the schema this program's components know. Other components go on working meanwhile.

use crate::cli::MigrateOptions;
use crate::failure::failure;
use anyhow::{Context, Result};
use serde_json::json;
use std::path::PathBuf;
use store_postgres::database::{Database, DatabaseError, Row, Value};
use store_postgres::migrate;
use ventanilla_host::Options;
use ventanilla_host::manifest::Manifest;
use ventanilla_host::postgres::Session;
use ventanilla_host::sqlite::SqlValue;
use ventanilla_host::variables::Variables;

/// The variable with the connection string.
pub(crate) const POSTGRES_URL: &str = "postgres_url";
/// The variable with the certificate of its authority.
const POSTGRES_CA: &str = "postgres_ca";

/// Once; what was interrupted is finished by the next run.
pub(crate) fn run(options: &MigrateOptions) -> Result<()> {
    if options.profile == "sqlite" {
        println!("nothing to do: the store on SQLite migrates its own file when it is first asked");
        return Ok(());
    }
    let Target { address, ca } = target(options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let migrated = runtime.block_on(async {
        let session = Session::open(&address, ca.as_deref()).await.map_err(|error| {
            failure(
                format!("{error:#}"),
                "is PostgreSQL running there, and are host, user, password and database of the address right?",
            )
        });
        let session = Connection(session?);
        let mut migrated = migrate::run(&session).await;
        for role in &options.admit {
            if migrated.is_ok()
                && let Err(error) = session.execute("SELECT ventanilla.admit_1($1)", vec![role.as_str().into()]).await
            {
                migrated = Err(DatabaseError(format!("role {role} is not admitted: {}", error.0)));
            }
        }
        session.0.close().await;
        migrated.map_err(|error| {
            failure(
                format!("the database is not migrated: {}", error.0),
                "what was done stays and does no harm; repair the cause and run it again, as the schema's owner",
            )
        })
    })?;
    if options.json {
        println!("{}", json!({"before": migrated.before, "after": migrated.after, "done": migrated.done}));
        return Ok(());
    }
    migrated.done.iter().for_each(|name| println!("  {name}"));
    match migrated.done.len() {
        0 => println!("nothing to do: the schema has version {}", migrated.after),
        _ => println!("the schema has version {} (before: {})", migrated.after, migrated.before),
    }
    Ok(())
}

/// Which database, and whose certificates are trusted for it.
struct Target {
    address: String,
    /// PEM. Absent: the web's authorities alone.
    ca: Option<String>,
}

/// What the options say, and what they do not say from the variables that components have.
fn target(options: &MigrateOptions) -> Result<Target> {
    let ca = options.database_ca.as_ref().map(|file| {
        std::fs::read_to_string(file).with_context(|| format!("can't read {}: correct --database-ca", file.display()))
    });
    let ca = ca.transpose()?;
    if let (Some(address), Some(_)) = (&options.database_url, &ca) {
        return Ok(Target { address: address.clone(), ca });
    }
    let mut host = Options::new(&options.manifest);
    host.env_file = options.env_file.clone().or_else(|| Some(PathBuf::from(".env")).filter(|file| file.is_file()));
    let variable = |name: &str| -> Result<Option<String>> {
        let manifest = Manifest::load(&options.manifest, Some(&options.profile))?;
        let variables = Variables::resolve(&manifest, &host)?;
        Ok(variables.get(name).filter(|value| !value.trim().is_empty()).map(ToOwned::to_owned))
    };
    match &options.database_url {
        // An address is enough: a manifest need not be there.
        Some(address) => Ok(Target { address: address.clone(), ca: variable(POSTGRES_CA).unwrap_or_default() }),
        None => Ok(Target {
            address: variable(POSTGRES_URL)?.ok_or_else(missing)?,
            ca: if ca.is_some() { ca } else { variable(POSTGRES_CA)? },
        }),
    }
}

/// Nobody has said where the database is.
pub(crate) fn missing() -> anyhow::Error {
    failure(
        "it is not known where the database is",
        "set SPIN_VARIABLE_POSTGRES_URL=postgres://USER:PASSWORD@HOST:5432/DATABASE in the environment or in .env",
    )
}

/// What the store's code is given in the place of a component's connection.
struct Connection(Session);

impl Database for Connection {
    async fn execute(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, DatabaseError> {
        let parameters = parameters
            .into_iter()
            .map(|value| match value {
                Value::Null => SqlValue::Null,
                Value::Integer(value) => SqlValue::Integer(value),
                Value::Real(value) => SqlValue::Real(value),
                Value::Text(value) => SqlValue::Text(value),
                Value::Blob(value) => SqlValue::Blob(value),
            })
            .collect();
        let rows = self.0.query(sql, parameters).await.map_err(DatabaseError)?;
        Ok(rows.into_iter().map(|row| Row(row.into_iter().map(told).collect())).collect())
    }
}

fn told(value: SqlValue) -> Value {
    match value {
        SqlValue::Null => Value::Null,
        SqlValue::Integer(value) => Value::Integer(value),
        SqlValue::Real(value) => Value::Real(value),
        SqlValue::Text(value) => Value::Text(value),
        SqlValue::Blob(value) => Value::Blob(value),
    }
}
