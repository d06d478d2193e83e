//! What a component imports and exports, read from its bytes.

use anyhow::{Context, Result, bail};
use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::{Resolve, WorldItem, WorldKey};

/// Everything a connector may import: our own types.
pub(crate) const CONNECTOR_IMPORT: &str = "ventanilla:channel/types@";

/// Names of the imports and exports of a component.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Surface {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

/// Reads a component's surface.
pub(crate) fn surface(bytes: &[u8]) -> Result<Surface> {
    let (resolve, world) = match wit_component::decode(bytes).context("not a component")? {
        DecodedWasm::Component(resolve, world) => (resolve, world),
        DecodedWasm::WitPackage(..) => bail!("a WIT package, not a component"),
    };
    let world = resolve.worlds.get(world).context("component without a world")?;
    let names = |items: &mut dyn Iterator<Item = (&WorldKey, &WorldItem)>| -> Vec<String> {
        items.map(|(key, _)| resolve.name_world_key(key)).collect()
    };
    Ok(Surface { imports: names(&mut world.imports.iter()), exports: names(&mut world.exports.iter()) })
}

/// Wraps a connector's core module as a component.
pub(crate) fn wrap(module: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default().validate(true).module(module)?.encode()
}

/// Fails, naming it, if a connector imports anything but the channel's types.
pub(crate) fn check_connector(name: &str, bytes: &[u8]) -> Result<()> {
    let surface = surface(bytes).with_context(|| format!("connector {name}"))?;
    if let Some(import) = surface.imports.iter().find(|i| !i.starts_with(CONNECTOR_IMPORT)) {
        bail!(
            "connector {name} imports {import}: a connector may import {CONNECTOR_IMPORT}… and nothing else; \
             remove the dependency that needs it (clocks, randomness and I/O belong to the gateway)"
        );
    }
    if !surface.exports.iter().any(|e| e.starts_with("ventanilla:channel/connector@")) {
        bail!("connector {name} does not export ventanilla:channel/connector: add channel_sdk::export_connector!(…)");
    }
    Ok(())
}

/// Parses both contracts together, as every user of them does.
pub(crate) fn contracts() -> Result<Resolve> {
    let mut resolve = Resolve::default();
    for folder in ["channel", "store"] {
        let path = crate::layout::root().join("wit").join(folder);
        resolve.push_dir(&path).with_context(|| format!("wit/{folder} does not parse"))?;
    }
    Ok(resolve)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component that imports a function `clock:wall/now` and exports nothing.
    fn importing(package: &str) -> Vec<u8> {
        let mut resolve = Resolve::default();
        let text =
            format!("package {package}@1.0.0; interface types {{ now: func() -> u64; }} world w {{ import types; }}");
        let id = resolve.push_str("test.wit", &text).unwrap();
        let world = resolve.select_world(&[id], Some("w")).unwrap();
        let mut module = wat_module();
        wit_component::embed_component_metadata(&mut module, &resolve, world, wit_component::StringEncoding::UTF8)
            .unwrap();
        ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
    }

    /// The smallest core module that imports `now`: unused imports would be dropped, so it starts by calling it.
    fn wat_module() -> Vec<u8> {
        vec![0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
    }

    #[test]
    fn a_connector_without_the_connector_export_is_refused_by_name() {
        let error = check_connector("telephony-acme", &importing("ventanilla:channel")).unwrap_err().to_string();
        assert!(error.contains("telephony-acme") && error.contains("export_connector"), "{error}");
    }

    #[test]
    fn both_contracts_parse_together() {
        let resolve = contracts().unwrap();
        let names: Vec<String> = resolve.packages.iter().map(|(_, p)| p.name.to_string()).collect();
        assert!(names.iter().any(|n| n.starts_with("ventanilla:channel@")), "{names:?}");
        assert!(names.iter().any(|n| n.starts_with("ventanilla:store@")), "{names:?}");
    }
}
