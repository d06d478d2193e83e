//! The built component, run by the host with nothing to import but types. Every call has an instance of its own, so a trap
//! of one can't hide in another.

use std::path::Path;
use std::sync::Arc;

use channel_sdk::types::{
    Authentication, Call, Context, Descriptor, Fetched, Outcome, Outgoing, Refusal, Request, Response, Translation,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ventanilla_host::component_imports;
use ventanilla_host::connector::Connector;

use super::subject::{Subject, Trap};

/// The one import a connector may have. It has types only.
pub(super) const TYPES: &str = "ventanilla:channel/types@1.0.0";

/// `target/components/<channel>-<vendor>.wasm`.
#[derive(Clone)]
pub(super) struct Built(Arc<Connector>);

impl Built {
    /// Loads a component and refuses one that imports anything more than our types.
    pub(super) fn load(path: &Path) -> Result<Self, String> {
        let say =
            |error: &dyn std::fmt::Display| format!("{}: {error:#}; build it with `cargo xtask build`", path.display());
        if let Some(more) = foreign_imports(path).map_err(|error| say(&error))?.first() {
            return Err(format!("the component imports {more}: a connector imports {TYPES} and nothing else"));
        }
        Connector::load(path).map(|connector| Self(Arc::new(connector))).map_err(|error| say(&error))
    }
}

/// What a component imports beside our types.
pub(super) fn foreign_imports(path: &Path) -> Result<Vec<String>, String> {
    let imports = component_imports(path).map_err(|error| format!("{error:#}"))?;
    Ok(imports.into_iter().filter(|import| import != TYPES).collect())
}

/// Between the host's and the connector's Rust type of one WIT type: both are written by serde in the same shape.
fn convert<T: DeserializeOwned>(given: &impl Serialize) -> Result<T, Trap> {
    let say = |error: serde_json::Error| Trap(format!("the two bindings of a type differ: {error}"));
    serde_json::from_value(serde_json::to_value(given).map_err(say)?).map_err(say)
}

fn given<T: DeserializeOwned, E: std::fmt::Display>(called: Result<impl Serialize, E>) -> Result<T, Trap> {
    convert(&called.map_err(|trap| Trap(format!("{trap:#}")))?)
}

impl Subject for Built {
    fn describe(&mut self) -> Result<Descriptor, Trap> {
        given(self.0.describe())
    }
    fn authenticate(
        &mut self,
        request: &Request,
        context: &Context,
        fetched: &[Fetched],
    ) -> Result<Authentication, Trap> {
        given(self.0.authenticate(&convert(request)?, &convert(context)?, &convert::<Vec<_>>(&fetched)?))
    }
    fn translate(&mut self, request: &Request, context: &Context, fetched: &[Fetched]) -> Result<Translation, Trap> {
        given(self.0.translate(&convert(request)?, &convert(context)?, &convert::<Vec<_>>(&fetched)?))
    }
    fn acknowledge(&mut self, request: &Request, outcome: &Outcome, context: &Context) -> Result<Response, Trap> {
        given(self.0.acknowledge(&convert(request)?, &convert(outcome)?, &convert(context)?))
    }
    fn render(&mut self, message: &Outgoing, context: &Context) -> Result<Result<Vec<Call>, Refusal>, Trap> {
        given(self.0.render(&convert(message)?, &convert(context)?))
    }
}
