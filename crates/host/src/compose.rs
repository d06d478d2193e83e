//! Joins a component with its dependencies, and refuses a dependency that wants more than it inherits.
//!
//! Spin plugs a deny-all adapter around a dependency instead; the adapter's own imports then leak into the
//! composition. Refusing at load says by name what is wrong, and leaves the files as they are.

use crate::manifest::{Component, Dependency, Inherit};
use anyhow::{Context, Result, anyhow, bail};
use std::{borrow::Cow, path::Path};
use wac_graph::{
    CompositionGraph, EncodeOptions, NodeId,
    types::{ItemKind, Package, SubtypeChecker, Type, Types, WorldId},
};

/// Part of the cache key: raise it when what is refused or how things are joined changes.
pub const POLICY_VERSION: u32 = 1;

/// What std of `wasm32-wasip2` drags in whatever the code does. Tolerated for a dependency that inherits something.
const TOLERATED: [&str; 6] =
    ["wasi:io/", "wasi:cli/", "wasi:clocks/", "wasi:random/", "wasi:filesystem/types", "wasi:filesystem/preopens"];

/// Interfaces that belong to a set.
const RIGHTS: [(&str, &[&str]); 7] = [
    ("ai_models", &["spin:llm/", "fermyon:spin/llm"]),
    (
        "allowed_outbound_hosts",
        &["wasi:http/", "wasi:sockets/", "spin:postgres/", "spin:mysql/", "spin:redis/", "spin:mqtt/"],
    ),
    ("environment", &["wasi:cli/environment"]),
    ("files", &["wasi:filesystem/"]),
    ("key_value_stores", &["spin:key-value/", "wasi:keyvalue/", "fermyon:spin/key-value"]),
    ("sqlite_databases", &["spin:sqlite/", "fermyon:spin/sqlite"]),
    ("variables", &["spin:variables/", "wasi:config/", "fermyon:spin/variables"]),
];

/// A component file's bytes; a core module is wrapped, as Spin does.
pub fn componentize<'a>(path: &Path, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>> {
    // Component model binary format: the layer field is 1 for components, 0 for core modules.
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(Cow::Borrowed(bytes)),
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => wit_component::ComponentEncoder::default()
            .validate(true)
            .module(bytes)
            .and_then(|mut encoder| encoder.encode())
            .map(Cow::Owned)
            .with_context(|| {
                format!(
                    "{} is a core module that can't be wrapped as a component: build it again with cargo xtask build",
                    path.display()
                )
            }),
        _ => bail!("{} is not a WebAssembly file: build it again with cargo xtask build", path.display()),
    }
}

/// Names of the imports of a component file, types-only interfaces included.
pub fn component_imports(path: &Path) -> Result<Vec<String>> {
    let bytes = std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    let bytes = componentize(path, &bytes)?;
    let mut graph = CompositionGraph::new();
    let package = Package::from_bytes("component", None, bytes.into_owned(), graph.types_mut())
        .with_context(|| format!("{} is not a valid component", path.display()))?;
    let world = package.ty();
    Ok(graph.types()[world].imports.keys().cloned().collect())
}

/// Joins `component` (its bytes first) with its dependencies (bytes in the order of the manifest's map).
pub fn compose(component: &Component, bytes: &[u8], dependencies: &[Vec<u8>]) -> Result<Vec<u8>> {
    let id = &component.id;
    let own = componentize(&component.source, bytes)?;
    if component.dependencies.is_empty() {
        return Ok(own.into_owned());
    }
    let mut graph = CompositionGraph::new();
    let (world, instance) = register(&mut graph, id, own.into_owned())
        .with_context(|| format!("component {id}: {} is not a valid component", component.source.display()))?;
    let imports: Vec<String> = graph.types()[world].imports.keys().cloned().collect();
    let mut taken: Vec<(String, String)> = Vec::new();
    for ((key, dependency), bytes) in component.dependencies.iter().zip(dependencies) {
        let matched: Vec<&String> = imports.iter().filter(|import| key_matches(key, import)).collect();
        if matched.is_empty() {
            bail!("component {id} imports nothing that dependency {key} could be for; it imports {}", list(&imports));
        }
        for import in &matched {
            if let Some((_, other)) = taken.iter().find(|(name, _)| name == *import) {
                bail!("component {id}: dependencies {other} and {key} both satisfy {import}: remove one");
            }
            taken.push(((*import).clone(), key.clone()));
        }
        let bytes = componentize(&dependency.source, bytes)?;
        let (dependency_world, dependency_instance) =
            register(&mut graph, &format!("dependency:{key}"), bytes.into_owned()).with_context(|| {
                format!("dependency {key} of component {id}: {} is not a valid component", dependency.source.display())
            })?;
        check_rights(graph.types(), dependency_world, id, key, dependency)?;
        for import in matched {
            let export = dependency.export.as_ref().unwrap_or(import);
            plug(&mut graph, (world, instance), (dependency_world, dependency_instance), import, export)
                .with_context(|| format!("component {id}: dependency {key} ({})", dependency.source.display()))?;
        }
    }
    let exports: Vec<String> = graph.types()[world].exports.keys().cloned().collect();
    for export in exports {
        let node = graph.alias_instance_export(instance, &export)?;
        graph.export(node, &export)?;
    }
    graph
        .encode(EncodeOptions::default())
        .with_context(|| format!("component {id} can't be joined with its dependencies"))
}

fn register(graph: &mut CompositionGraph, name: &str, bytes: Vec<u8>) -> Result<(WorldId, NodeId)> {
    let package = Package::from_bytes(name, None, bytes, graph.types_mut())?;
    let world = package.ty();
    let package = graph.register_package(package)?;
    Ok((world, graph.instantiate(package)))
}

fn plug(
    graph: &mut CompositionGraph,
    (world, instance): (WorldId, NodeId),
    (dependency_world, dependency): (WorldId, NodeId),
    import: &str,
    export: &str,
) -> Result<()> {
    let types = graph.types();
    let wanted = types[world].imports.get(import).copied().ok_or_else(|| anyhow!("no import {import}"))?;
    let Some(given) = types[dependency_world].exports.get(export).copied() else {
        let exports: Vec<String> = types[dependency_world].exports.keys().cloned().collect();
        bail!("does not export {export} for the import {import}; it exports {}", list(&exports));
    };
    SubtypeChecker::new(&mut Default::default()).is_subtype(given, types, wanted, types).with_context(|| {
        format!("its export {export} does not fit the import {import}: build both from the same wit/")
    })?;
    let node = graph.alias_instance_export(dependency, export)?;
    graph.set_instantiation_argument(instance, import, node)?;
    Ok(())
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

/// `ns:pkg`, `ns:pkg@1.0.0`, `ns:pkg/iface` or `ns:pkg/iface@1.0.0` against an import's full name.
fn key_matches(key: &str, import: &str) -> bool {
    let (key_path, key_version) = key.split_once('@').map_or((key, None), |(path, version)| (path, Some(version)));
    let (import_path, import_version) =
        import.split_once('@').map_or((import, None), |(path, version)| (path, Some(version)));
    let path_matches = key_path == import_path
        || (!key_path.contains('/') && import_path.split_once('/').is_some_and(|(package, _)| package == key_path));
    path_matches && (key_version.is_none() || key_version == import_version)
}

fn check_rights(types: &Types, world: WorldId, component: &str, key: &str, dependency: &Dependency) -> Result<()> {
    for (import, kind) in &types[world].imports {
        if !is_types_only(types, *kind) && !may_import(&dependency.inherit, import) {
            let needs =
                RIGHTS.iter().find(|(_, interfaces)| interfaces.iter().any(|prefix| import.starts_with(prefix)));
            let remedy = match needs {
                Some((set, _)) => {
                    format!("give it inherit_configuration = [\"{set}\"] if it may, or use another component")
                }
                None if dependency.inherit.is_nothing() => {
                    "it inherits nothing: build it for wasm32-unknown-unknown, or use another component".into()
                }
                None => "no inherited set covers that: use another component".to_owned(),
            };
            bail!(
                "dependency {key} of component {component} ({}) imports {import}, which is more than it inherits; {remedy}",
                dependency.source.display()
            );
        }
    }
    Ok(())
}

fn may_import(inherit: &Inherit, import: &str) -> bool {
    if *inherit == Inherit::All {
        return true;
    }
    if inherit.is_nothing() {
        return false;
    }
    TOLERATED.iter().any(|prefix| import.starts_with(prefix))
        || RIGHTS
            .iter()
            .any(|(set, interfaces)| inherit.has(set) && interfaces.iter().any(|prefix| import.starts_with(prefix)))
}

/// An interface of types alone gives its importer nothing to call. A resource is not a type alone.
fn is_types_only(types: &Types, kind: ItemKind) -> bool {
    match kind {
        ItemKind::Type(kind) => !matches!(kind, Type::Resource(_)),
        ItemKind::Instance(interface) => types[interface].exports.values().all(|item| is_types_only(types, *item)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_matches_by_package_or_interface_and_by_version_if_it_has_one() {
        for (key, import, expected) in [
            ("a:b/c@1.0.0", "a:b/c@1.0.0", true),
            ("a:b/c", "a:b/c@1.0.0", true),
            ("a:b@1.0.0", "a:b/c@1.0.0", true),
            ("a:b", "a:b/c", true),
            ("a:b@1.0.1", "a:b/c@1.0.0", false),
            ("a:b/c@1.0.0", "a:b/cd@1.0.0", false),
            ("a:b", "a:bc/d", false),
            ("x", "x", true),
        ] {
            assert_eq!(key_matches(key, import), expected, "{key} {import}");
        }
    }
}
