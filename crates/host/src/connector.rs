//! A connector component alone, so that golden cases run inside the very file that is deployed.

use crate::compose;
use anyhow::{Context, Result};
use std::path::Path;
use wasmtime::{
    Config, Engine, Store,
    component::{Component, Linker},
};

/// Generated from wit/channel. All types have serde's traits, in the WIT's own shape.
#[expect(missing_docs, reason = "generated code")]
pub mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/channel",
        world: "connector-component",
        additional_derives: [PartialEq, Clone, serde::Serialize, serde::Deserialize],
    });
}

pub use bindings::exports::ventanilla::channel::connector as exports;
pub use bindings::ventanilla::channel::types;

/// Fuel of one call. A connector needs well under a hundredth of it; a loop ends as a trap after a second or so.
const FUEL: u64 = 2_000_000_000;

/// A connector that was loaded from its file.
pub struct Connector {
    engine: Engine,
    pre: bindings::ConnectorComponentPre<()>,
}

impl Connector {
    /// Compiles the file (about half a second). Fails if it imports anything but types.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("can't read {}: run cargo xtask build", path.display()))?;
        let bytes = compose::componentize(path, &bytes)?;
        let mut config = Config::new();
        config.wasm_component_model(true).consume_fuel(true);
        let engine = Engine::new(&config)?;
        let component =
            Component::new(&engine, &bytes).map_err(anyhow::Error::from).with_context(|| path.display().to_string())?;
        let pre = Linker::new(&engine).instantiate_pre(&component).map_err(anyhow::Error::from).with_context(|| {
            format!(
                "{} imports more than ventanilla:channel/types: build it for wasm32-unknown-unknown",
                path.display()
            )
        })?;
        let pre = bindings::ConnectorComponentPre::new(pre)
            .map_err(anyhow::Error::from)
            .with_context(|| format!("{} does not export ventanilla:channel/connector", path.display()))?;
        Ok(Self { engine, pre })
    }

    /// Calls exports in a fresh instance. An error is a trap: panic, endless loop, too deep recursion.
    pub fn call<R>(&self, with: impl FnOnce(&exports::Guest, &mut Store<()>) -> wasmtime::Result<R>) -> Result<R> {
        let mut store = Store::new(&self.engine, ());
        store.set_fuel(FUEL)?;
        let instance = self.pre.instantiate(&mut store)?;
        Ok(with(instance.ventanilla_channel_connector(), &mut store)?)
    }

    /// `describe`.
    pub fn describe(&self) -> Result<types::Descriptor> {
        self.call(|guest, store| guest.call_describe(store))
    }

    /// `authenticate`.
    pub fn authenticate(
        &self,
        request: &types::Request,
        context: &types::Context,
        fetched: &[types::Fetched],
    ) -> Result<types::Authentication> {
        self.call(|guest, store| guest.call_authenticate(store, request, context, fetched))
    }

    /// `translate`.
    pub fn translate(
        &self,
        request: &types::Request,
        context: &types::Context,
        fetched: &[types::Fetched],
    ) -> Result<types::Translation> {
        self.call(|guest, store| guest.call_translate(store, request, context, fetched))
    }

    /// `acknowledge`.
    pub fn acknowledge(
        &self,
        request: &types::Request,
        outcome: &types::Outcome,
        context: &types::Context,
    ) -> Result<types::Response> {
        self.call(|guest, store| guest.call_acknowledge(store, request, outcome, context))
    }

    /// `render`.
    pub fn render(
        &self,
        message: &types::Outgoing,
        context: &types::Context,
    ) -> Result<Result<Vec<types::Call>, types::Refusal>> {
        self.call(|guest, store| guest.call_render(store, message, context))
    }
}
