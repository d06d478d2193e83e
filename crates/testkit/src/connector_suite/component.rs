//! The built component, run as the host runs it: with nothing to import but types.

use std::path::Path;

use channel_sdk::types::{
    Authentication, Call, Context, Descriptor, Fetched, Outcome, Outgoing, Refusal, Request, Response, Translation,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

use super::subject::{Subject, Trap};

mod bindings {
    #![allow(missing_docs, unreachable_pub, reason = "generated code; the WIT is its documentation")]
    wasmtime::component::bindgen!({
        path: "../../wit/channel",
        world: "connector-component",
        additional_derives: [serde::Serialize, serde::Deserialize],
    });
}

/// The one import a connector may have. It has types only.
const TYPES: &str = "ventanilla:channel/types@1.0.0";

/// Instructions one call may take: some seconds, so that an endless loop is a trap here and not a test that hangs.
const FUEL: u64 = 5_000_000_000;

/// An instance of `target/components/<channel>-<vendor>.wasm`, replaced by a fresh one after a trap.
pub(super) struct Built {
    component: Component,
    linker: Linker<()>,
    live: Option<(Store<()>, bindings::ConnectorComponent)>,
}

impl Built {
    /// Loads a component and refuses one that imports anything more than our types.
    pub(super) fn load(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| {
            format!("{} can't be read ({error}); build it with `cargo xtask build`", path.display())
        })?;
        let mut config = Config::new();
        config.consume_fuel(true);
        let engine = Engine::new(&config).map_err(|error| format!("engine: {error:#}"))?;
        let component = Component::new(&engine, &bytes).map_err(|error| format!("{}: {error:#}", path.display()))?;
        let kind = component.component_type();
        for (name, item) in kind.imports(&engine) {
            if name != TYPES {
                return Err(format!("the component imports {name}: a connector imports {TYPES} and nothing else"));
            }
            let ComponentItem::ComponentInstance(types) = item.ty else {
                return Err(format!("the import {name} is not an interface"));
            };
            if let Some((function, _)) =
                types.exports(&engine).find(|(_, item)| !matches!(item.ty, ComponentItem::Type(_)))
            {
                return Err(format!("the import {name} has {function}, which is not a type"));
            }
        }
        let mut linker = Linker::new(&engine);
        linker.instance(TYPES).map_err(|error| format!("linker: {error:#}"))?;
        Ok(Self { component, linker, live: None })
    }

    fn call<T: DeserializeOwned, G: Serialize>(
        &mut self,
        call: impl FnOnce(&mut Store<()>, &bindings::ConnectorComponent) -> wasmtime::Result<G>,
    ) -> Result<T, Trap> {
        let trap = |error: wasmtime::Error| Trap(format!("{error:#}"));
        if self.live.is_none() {
            let mut store = Store::new(self.component.engine(), ());
            store.set_fuel(FUEL).map_err(trap)?;
            let instance =
                bindings::ConnectorComponent::instantiate(&mut store, &self.component, &self.linker).map_err(trap)?;
            self.live = Some((store, instance));
        }
        // After a trap an instance is unusable: it is put back only when the call has returned.
        let Some((mut store, instance)) = self.live.take() else {
            return Err(Trap("no instance".into()));
        };
        store.set_fuel(FUEL).map_err(trap)?;
        let given = call(&mut store, &instance).map_err(trap)?;
        self.live = Some((store, instance));
        convert(&given)
    }
}

/// Between the host's and the connector's Rust type of one WIT type: both are written by serde in the same shape.
fn convert<T: DeserializeOwned>(given: &impl Serialize) -> Result<T, Trap> {
    let say = |error: serde_json::Error| Trap(format!("the two bindings of a type differ: {error}"));
    serde_json::from_value(serde_json::to_value(given).map_err(say)?).map_err(say)
}

impl Subject for Built {
    fn describe(&mut self) -> Result<Descriptor, Trap> {
        self.call(|store, connector| connector.ventanilla_channel_connector().call_describe(store))
    }
    fn authenticate(
        &mut self,
        request: &Request,
        context: &Context,
        fetched: &[Fetched],
    ) -> Result<Authentication, Trap> {
        let (request, context, fetched): (_, _, Vec<_>) = (convert(request)?, convert(context)?, convert(&fetched)?);
        self.call(|store, connector| {
            connector.ventanilla_channel_connector().call_authenticate(store, &request, &context, &fetched)
        })
    }
    fn translate(&mut self, request: &Request, context: &Context, fetched: &[Fetched]) -> Result<Translation, Trap> {
        let (request, context, fetched): (_, _, Vec<_>) = (convert(request)?, convert(context)?, convert(&fetched)?);
        self.call(|store, connector| {
            connector.ventanilla_channel_connector().call_translate(store, &request, &context, &fetched)
        })
    }
    fn acknowledge(&mut self, request: &Request, outcome: &Outcome, context: &Context) -> Result<Response, Trap> {
        let (request, outcome, context) = (convert(request)?, convert(outcome)?, convert(context)?);
        self.call(|store, connector| {
            connector.ventanilla_channel_connector().call_acknowledge(store, &request, &outcome, &context)
        })
    }
    fn render(&mut self, message: &Outgoing, context: &Context) -> Result<Result<Vec<Call>, Refusal>, Trap> {
        let (message, context) = (convert(message)?, convert(context)?);
        self.call(|store, connector| connector.ventanilla_channel_connector().call_render(store, &message, &context))
    }
}
