//! `spin:postgres@4.2.0` as components see it.

use super::{
    address::{self, Refused},
    pool::{self, Lease, Pools},
    tls,
};
use crate::outbound::Outbound;
use std::sync::Arc;
use wasmtime::component::{Accessor, FutureReader, HasData, Linker, Resource, ResourceTable, StreamReader};

/// Generated from wit/.
pub(super) mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        inline: "package ventanilla:host-postgres; world postgres-host { import spin:postgres/postgres@4.2.0; }",
        imports: { default: async | trappable },
        with: {
            "spin:postgres/postgres.connection": super::Handle,
            "spin:postgres/postgres.connection-builder": super::Builder,
        },
    });
}

use bindings::spin::postgres::postgres::{self, Column, DbValue, Error, ParameterValue, RowSet};

/// What one guest handle is. Statements that still run keep the connection from going back.
pub struct Handle(Arc<Lease>);

/// What a guest collects before it opens a connection.
pub struct Builder {
    address: String,
    ca: Option<String>,
}

/// What a store's data lends to these functions.
pub struct PostgresView<'a> {
    /// Open handles.
    pub table: &'a mut ResourceTable,
    /// All pools.
    pub pools: &'a Arc<Pools>,
    /// What the component may reach.
    pub outbound: &'a Arc<Outbound>,
}

/// See [`HasData`].
pub struct PostgresData;

impl HasData for PostgresData {
    type Data<'a> = PostgresView<'a>;
}

/// Makes the interface available to components.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> PostgresView<'_>,
) -> wasmtime::Result<()> {
    postgres::add_to_linker::<T, PostgresData>(linker, view)
}

/// What it takes to open a connection without the store.
struct Opening {
    pools: Arc<Pools>,
    outbound: Arc<Outbound>,
    address: String,
    ca: Option<String>,
}

impl Opening {
    async fn open(self) -> Result<Lease, Error> {
        let Self { pools, outbound, address, ca } = self;
        let target = address::read(&address, &outbound.allow).map_err(|refused| {
            if let Refused::NotAllowed(server) = &refused {
                outbound.metrics.outbound(&outbound.component, "denied");
                tracing::warn!(
                    component = &*outbound.component,
                    "connection to postgres://{server} refused: name it in allowed_outbound_hosts"
                );
            }
            refused.guest()
        })?;
        let database = target.config.get_dbname().map(str::to_owned);
        pool::traced(None, database.as_deref(), pools.lease(outbound.class, address, ca, target)).await
    }
}

impl PostgresView<'_> {
    fn opening(&self, address: String, ca: Option<String>) -> Opening {
        Opening { pools: Arc::clone(self.pools), outbound: Arc::clone(self.outbound), address, ca }
    }

    fn built(&self, builder: &Resource<Builder>) -> wasmtime::Result<Opening> {
        let Builder { address, ca } = self.table.get(builder)?;
        Ok(self.opening(address.clone(), ca.clone()))
    }

    fn handle(&mut self, lease: Result<Lease, Error>) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        Ok(match lease {
            Ok(lease) => Ok(self.table.push(Handle(Arc::new(lease)))?),
            Err(error) => Err(error),
        })
    }

    fn lease(&self, connection: &Resource<Handle>) -> wasmtime::Result<Arc<Lease>> {
        Ok(Arc::clone(&self.table.get(connection)?.0))
    }
}

impl postgres::Host for PostgresView<'_> {}

impl postgres::HostConnectionBuilder for PostgresView<'_> {
    async fn new(&mut self, address: String) -> wasmtime::Result<Resource<Builder>> {
        Ok(self.table.push(Builder { address, ca: None })?)
    }

    async fn set_ca_root(
        &mut self,
        builder: Resource<Builder>,
        certificate: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        if let Err(why) = tls::certificates(&certificate) {
            return Ok(Err(Error::Other(why)));
        }
        self.table.get_mut(&builder)?.ca = Some(certificate);
        Ok(Ok(()))
    }

    async fn build(&mut self, builder: Resource<Builder>) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        let lease = self.built(&builder)?.open().await;
        self.handle(lease)
    }

    async fn drop(&mut self, builder: Resource<Builder>) -> wasmtime::Result<()> {
        self.table.delete(builder)?;
        Ok(())
    }
}

impl<T: Send + 'static> postgres::HostConnectionBuilderWithStore<T> for PostgresData {
    async fn build_async(
        accessor: &Accessor<T, Self>,
        builder: Resource<Builder>,
    ) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        let opening = accessor.with(|mut access| access.get().built(&builder))?;
        let lease = opening.open().await;
        accessor.with(|mut access| access.get().handle(lease))
    }
}

impl postgres::HostConnection for PostgresView<'_> {
    async fn open(&mut self, address: String) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        let lease = self.opening(address, None).open().await;
        self.handle(lease)
    }

    async fn query(
        &mut self,
        connection: Resource<Handle>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<RowSet, Error>> {
        let result = self.lease(&connection)?.query(&statement, &parameters).await;
        Ok(result.map(|rows| RowSet { columns: rows.columns, rows: rows.rows }))
    }

    async fn execute(
        &mut self,
        connection: Resource<Handle>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        Ok(self.lease(&connection)?.execute(&statement, &parameters).await)
    }

    async fn drop(&mut self, connection: Resource<Handle>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

type Streamed = (Vec<Column>, StreamReader<Vec<DbValue>>, FutureReader<Result<(), Error>>);

impl<T: Send + 'static> postgres::HostConnectionWithStore<T> for PostgresData {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        address: String,
    ) -> wasmtime::Result<Result<Resource<Handle>, Error>> {
        let opening = accessor.with(|mut access| access.get().opening(address, None));
        let lease = opening.open().await;
        accessor.with(|mut access| access.get().handle(lease))
    }

    /// The rows are complete before the first is read, so that an unread stream holds nothing.
    async fn query_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Handle>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<Streamed, Error>> {
        let lease = accessor.with(|mut access| access.get().lease(&connection))?;
        match lease.query(&statement, &parameters).await {
            Ok(rows) => accessor.with(|mut access| {
                let stream = StreamReader::new(&mut access, rows.rows)?;
                let end = FutureReader::new(&mut access, async { wasmtime::error::Ok(Ok(())) })?;
                Ok(Ok((rows.columns, stream, end)))
            }),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Handle>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        let lease = accessor.with(|mut access| access.get().lease(&connection))?;
        Ok(lease.execute(&statement, &parameters).await)
    }
}
