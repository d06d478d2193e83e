//! `spin:key-value@3.0.0` as components see it.

use super::Pairs;
use crate::telemetry::trace::Wait;
use std::collections::BTreeSet;
use wasmtime::component::{Accessor, FutureReader, HasData, Linker, Resource, ResourceTable, StreamReader};

/// Generated from wit/.
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        inline: "package ventanilla:host-key-value; world key-value-host { import spin:key-value/key-value@3.0.0; }",
        imports: { default: async | trappable },
        with: { "spin:key-value/key-value.store": super::super::Pairs },
    });
}

use bindings::spin::key_value::key_value::{self, Error};

/// What a store's data lends to these functions.
pub struct KeyValueView<'a> {
    /// Open handles.
    pub table: &'a mut ResourceTable,
    /// The pairs, if some component may use them.
    pub pairs: Option<&'a Pairs>,
    /// Labels this component may open.
    pub allowed: &'a BTreeSet<String>,
}

/// See [`HasData`].
pub struct KeyValueData;

impl HasData for KeyValueData {
    type Data<'a> = KeyValueView<'a>;
}

/// Makes the interface available to components.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> KeyValueView<'_>,
) -> wasmtime::Result<()> {
    key_value::add_to_linker::<T, KeyValueData>(linker, view)
}

impl key_value::Host for KeyValueView<'_> {}

impl key_value::HostStore for KeyValueView<'_> {
    async fn drop(&mut self, store: Resource<Pairs>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

/// The pairs behind a handle.
fn pairs<T: 'static>(accessor: &Accessor<T, KeyValueData>, store: &Resource<Pairs>) -> wasmtime::Result<Pairs> {
    accessor.with(|mut access| wasmtime::error::Ok(access.get().table.get(store)?.clone()))
}

/// Runs an operation, as a span.
async fn traced<T>(name: &'static str, work: impl Future<Output = Result<T, String>>) -> Result<T, Error> {
    let mut wait = Wait::database(name, "sqlite", None);
    work.await.map_err(|why| {
        wait.failed("other");
        Error::Other(why)
    })
}

type Keys = (StreamReader<String>, FutureReader<Result<(), Error>>);

impl<T: Send + 'static> key_value::HostStoreWithStore<T> for KeyValueData {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> wasmtime::Result<Result<Resource<Pairs>, Error>> {
        accessor.with(|mut access| {
            let view = access.get();
            if !view.allowed.contains(&label) {
                return Ok(Err(Error::AccessDenied));
            }
            Ok(match view.pairs {
                Some(pairs) => Ok(view.table.push(pairs.clone())?),
                None => Err(Error::NoSuchStore),
            })
        })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        store: Resource<Pairs>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        Ok(traced("key-value get", pairs(accessor, &store)?.get(&key)).await)
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        store: Resource<Pairs>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        Ok(traced("key-value set", pairs(accessor, &store)?.set(&key, value)).await)
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        store: Resource<Pairs>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        Ok(traced("key-value delete", pairs(accessor, &store)?.delete(&key)).await)
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        store: Resource<Pairs>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        Ok(traced("key-value exists", pairs(accessor, &store)?.exists(&key)).await)
    }

    /// The keys are complete before the first is read, so that an unread stream holds nothing.
    async fn get_keys(accessor: &Accessor<T, Self>, store: Resource<Pairs>) -> wasmtime::Result<Keys> {
        let (keys, end) = match traced("key-value keys", pairs(accessor, &store)?.keys()).await {
            Ok(keys) => (keys, Ok(())),
            Err(why) => (Vec::new(), Err(why)),
        };
        accessor.with(|mut access| {
            let stream = StreamReader::new(&mut access, keys)?;
            let end = FutureReader::new(&mut access, async move { wasmtime::error::Ok(end) })?;
            Ok((stream, end))
        })
    }
}
