//! What is where in the repository. Components are found by walking folders, so a new one needs no entry here.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The repository's root: two levels above this crate.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Where the finished components are; `spin.toml` names files there.
pub(crate) fn components_dir() -> PathBuf {
    root().join("target/components")
}

/// The program `ventanilla`, once built.
pub(crate) fn program() -> PathBuf {
    target().join("release").join(format!("ventanilla{}", std::env::consts::EXE_SUFFIX))
}

/// What a component is decides how it is built and what it may import.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// `components/<channel>/<vendor>`: pure, wrapped as a component by us.
    Connector,
    /// `components/store/<backend>`.
    Store,
    /// `components/gateway`, `components/api`: HTTP services.
    Service,
}

/// One component's sources.
#[derive(Clone, Debug)]
pub(crate) struct Component {
    pub(crate) kind: Kind,
    /// Cargo package and file stem: `telephony-twilio`.
    pub(crate) name: String,
    /// The last folder: a connector's vendor.
    pub(crate) leaf: String,
    pub(crate) folder: PathBuf,
}

impl Component {
    /// `target/components/<name>.wasm`.
    pub(crate) fn artefact(&self) -> PathBuf {
        components_dir().join(format!("{}.wasm", self.name))
    }

    /// Whether native programs (benchmarks, tests of stores) link it too.
    pub(crate) fn is_linked_natively(&self) -> bool {
        read(&root().join(&self.folder).join("Cargo.toml")).is_ok_and(|manifest| manifest.contains("\"rlib\""))
    }

    /// Rust target it is compiled for.
    pub(crate) fn rust_target(&self) -> &'static str {
        match self.kind {
            Kind::Connector => CONNECTOR_TARGET,
            Kind::Store | Kind::Service => SERVICE_TARGET,
        }
    }

    /// Bytes it should stay under, if there is a budget (design §8).
    pub(crate) fn budget(&self) -> Option<u64> {
        let mail = self.folder.parent().is_some_and(|p| p.ends_with("email"));
        (self.kind == Kind::Connector).then_some(if mail { 800 << 10 } else { 300 << 10 })
    }
}

/// `std` is there, a capability to import is not.
pub(crate) const CONNECTOR_TARGET: &str = "wasm32-unknown-unknown";
/// Gateway, API and stores talk to the host.
pub(crate) const SERVICE_TARGET: &str = "wasm32-wasip2";

/// Every component of the repository, sorted by name.
pub(crate) fn components() -> Result<Vec<Component>> {
    let mut found = Vec::new();
    for room in subfolders(&root().join("components"))? {
        let room_name = name_of(&room);
        if room.join("Cargo.toml").is_file() {
            found.push(Component { kind: Kind::Service, name: room_name.clone(), leaf: room_name, folder: room });
            continue;
        }
        let kind = if room_name == "store" { Kind::Store } else { Kind::Connector };
        for folder in subfolders(&room)? {
            if !folder.join("Cargo.toml").is_file() {
                continue;
            }
            let leaf = name_of(&folder);
            found.push(Component { kind, name: format!("{room_name}-{leaf}"), leaf, folder });
        }
    }
    if found.is_empty() {
        bail!("no component found under components/: is this checkout complete?");
    }
    for component in &found {
        let manifest = read(&component.folder.join("Cargo.toml"))?;
        if !manifest.contains(&format!("name = \"{}\"", component.name)) {
            bail!(
                "package in {} must be named {:?}, after its folder",
                relative(&component.folder).display(),
                component.name
            );
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Folders directly under `folder`, sorted; hidden ones left out.
pub(crate) fn subfolders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", relative(folder).display()))? {
        let path = entry?.path();
        if path.is_dir() && !name_of(&path).starts_with('.') {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The last part of a path as text.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A path as people write it: from the repository's root.
pub(crate) fn relative(path: &Path) -> PathBuf {
    path.strip_prefix(root()).unwrap_or(path).to_path_buf()
}

/// Reads a text file; the error names it.
pub(crate) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", relative(path).display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_walk_finds_every_kind_of_component() {
        let all = components().unwrap();
        for (name, kind) in [("gateway", Kind::Service), ("api", Kind::Service), ("store-sqlite", Kind::Store)] {
            assert!(all.iter().any(|c| c.name == name && c.kind == kind), "{name} is missing");
        }
        assert!(all.iter().any(|c| c.kind == Kind::Connector));
    }

    #[test]
    fn only_connectors_have_a_size_budget() {
        for component in components().unwrap() {
            assert_eq!(component.budget().is_some(), component.kind == Kind::Connector, "{}", component.name);
        }
    }
}
