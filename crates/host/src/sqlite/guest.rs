//! `spin:sqlite@3.1.0` as components see it.

use super::{Databases, Handle, Rows, SqlError};
use crate::telemetry::trace::{Value as Attribute, Wait};
use std::{collections::BTreeSet, sync::Arc};
use wasmtime::component::{Accessor, FutureReader, HasData, Linker, Resource, ResourceTable, StreamReader};

/// Generated from wit/.
pub(super) mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        inline: "package ventanilla:host-sqlite; world sqlite-host { import spin:sqlite/sqlite@3.1.0; }",
        imports: { default: async | trappable },
        with: { "spin:sqlite/sqlite.connection": super::super::Handle },
    });
}

use bindings::spin::sqlite::sqlite::{self, Error, QueryResult, RowResult, Value};

/// What a store's data lends to these functions.
pub struct SqliteView<'a> {
    /// Open handles.
    pub table: &'a mut ResourceTable,
    /// All databases.
    pub databases: &'a Arc<Databases>,
    /// Labels this component may open.
    pub allowed: &'a BTreeSet<String>,
}

/// See [`HasData`].
pub struct SqliteData;

impl HasData for SqliteData {
    type Data<'a> = SqliteView<'a>;
}

/// Makes the interface available to components.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> SqliteView<'_>,
) -> wasmtime::Result<()> {
    sqlite::add_to_linker::<T, SqliteData>(linker, view)
}

impl SqliteView<'_> {
    fn open_handle(&mut self, label: &str) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        if !self.allowed.contains(label) {
            return Ok(Err(Error::AccessDenied));
        }
        Ok(match self.databases.get(label) {
            Some(database) => Ok(self.table.push(Handle::new(Arc::clone(database)))?),
            None => Err(Error::NoSuchDatabase),
        })
    }
}

/// Runs a statement, as a span.
fn run(
    handle: &Handle,
    statement: String,
    parameters: Vec<Value>,
) -> impl Future<Output = Result<Rows, SqlError>> + Send + use<> {
    let mut wait = Wait::database("sqlite", "sqlite", Some(&statement));
    wait.attribute("db.namespace", || Attribute::configured(&handle.database.label));
    let running = handle.execute(statement, parameters);
    async move {
        let result = running.await;
        if let Err(error) = &result {
            wait.failed(match error.guest {
                Error::NoSuchDatabase => "no_such_database",
                Error::AccessDenied => "access_denied",
                Error::InvalidConnection => "invalid_connection",
                Error::DatabaseFull => "database_full",
                Error::Io(_) => "io",
            });
        }
        result
    }
}

impl sqlite::Host for SqliteView<'_> {}

impl sqlite::HostConnection for SqliteView<'_> {
    async fn open(&mut self, database: String) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        self.open_handle(&database)
    }

    async fn execute(
        &mut self,
        connection: Resource<Handle>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        let result = run(self.table.get(&connection)?, statement, parameters).await;
        Ok(result.map(|rows| QueryResult { columns: rows.columns, rows: rows.rows }).map_err(|error| error.guest))
    }

    async fn last_insert_rowid(&mut self, connection: Resource<Handle>) -> wasmtime::Result<i64> {
        Ok(self.table.get(&connection)?.last_insert_rowid())
    }

    async fn changes(&mut self, connection: Resource<Handle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&connection)?.changes())
    }

    async fn drop(&mut self, connection: Resource<Handle>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

type Streamed = (Vec<String>, StreamReader<RowResult>, FutureReader<Result<(), Error>>);

impl<T: Send + 'static> sqlite::HostConnectionWithStore<T> for SqliteData {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        database: String,
    ) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        accessor.with(|mut access| access.get().open_handle(&database))
    }

    /// The rows are complete before the first is read, so that an unread stream holds nothing.
    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Handle>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<Streamed, Error>> {
        let result = accessor
            .with(|mut access| wasmtime::error::Ok(run(access.get().table.get(&connection)?, statement, parameters)))?;
        match result.await {
            Ok(rows) => accessor.with(|mut access| {
                let stream = StreamReader::new(&mut access, rows.rows)?;
                let end = FutureReader::new(&mut access, async { wasmtime::error::Ok(Ok(())) })?;
                Ok(Ok((rows.columns, stream, end)))
            }),
            Err(error) => Ok(Err(error.guest)),
        }
    }

    async fn last_insert_rowid_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Handle>,
    ) -> wasmtime::Result<i64> {
        accessor.with(|mut access| Ok(access.get().table.get(&connection)?.last_insert_rowid()))
    }

    async fn changes_async(accessor: &Accessor<T, Self>, connection: Resource<Handle>) -> wasmtime::Result<u64> {
        accessor.with(|mut access| Ok(access.get().table.get(&connection)?.changes()))
    }
}
