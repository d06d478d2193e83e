//! `spin.toml`, the part of it that HTTP applications use. Everything else is refused by name, never ignored.

mod raw;
mod routes;

use anyhow::{Context, Result, anyhow};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

pub use routes::{Match, Route, Router};

/// The sets a dependency may inherit from its component (Spin's names).
pub const SETS: [&str; 7] = [
    "ai_models",
    "allowed_outbound_hosts",
    "environment",
    "files",
    "key_value_stores",
    "sqlite_databases",
    "variables",
];

/// A manifest after checking, with one profile applied.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The file it came from.
    pub file: PathBuf,
    /// `[application] name`.
    pub name: String,
    /// `[application] version`.
    pub version: Option<String>,
    /// `[variables]`.
    pub variables: BTreeMap<String, Variable>,
    /// `[[trigger.http]]`, in order.
    pub triggers: Vec<Trigger>,
    /// `[component.*]`.
    pub components: BTreeMap<String, Component>,
}

/// One of `[variables]`.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Used when nobody gives a value. Absent: required.
    pub default: Option<String>,
    /// Never shown.
    pub secret: bool,
    /// Where it is declared.
    pub line: usize,
}

/// One `[[trigger.http]]`.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// Absent for `route = { private = true }`.
    pub route: Option<Route>,
    /// Who answers.
    pub target: Target,
}

/// Who answers a route.
#[derive(Clone, Debug)]
pub enum Target {
    /// A component, by id.
    Component(String),
    /// A fixed answer.
    Static(StaticResponse),
}

/// `static_response` of a trigger.
#[derive(Clone, Debug)]
pub struct StaticResponse {
    /// Default 200.
    pub status: http::StatusCode,
    /// In the manifest's order of names.
    pub headers: Vec<(http::HeaderName, http::HeaderValue)>,
    /// Text only.
    pub body: String,
}

/// One `[component.ID]`.
#[derive(Clone, Debug)]
pub struct Component {
    /// The key in the manifest.
    pub id: String,
    /// Absolute or relative to the working directory.
    pub source: PathBuf,
    /// Templates by name.
    pub variables: BTreeMap<String, String>,
    /// Given to the guest as it is.
    pub environment: BTreeMap<String, String>,
    /// Entries of the allow-list, templates still in them.
    pub allowed_outbound_hosts: Vec<String>,
    /// Labels it may open.
    pub sqlite_databases: Vec<String>,
    /// Labels it may open.
    pub key_value_stores: Vec<String>,
    /// By dependency key.
    pub dependencies: BTreeMap<String, Dependency>,
}

/// One entry of `[component.ID.dependencies]`.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// The component file.
    pub source: PathBuf,
    /// The export that satisfies the import, when the names differ.
    pub export: Option<String>,
    /// What of the component's rights it has.
    pub inherit: Inherit,
}

/// What a dependency inherits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inherit {
    /// Everything the component has.
    All,
    /// These sets; empty is nothing.
    Sets(BTreeSet<String>),
}

impl Inherit {
    /// Nothing at all.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Sets(sets) if sets.is_empty())
    }

    /// Whether this set is inherited.
    pub fn has(&self, set: &str) -> bool {
        match self {
            Self::All => true,
            Self::Sets(sets) => sets.contains(set),
        }
    }
}

impl Manifest {
    /// Reads and checks a manifest, and applies `profile` to the components that have it.
    pub fn load(file: &Path, profile: Option<&str>) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| {
            format!(
                "can't read the manifest {}: give its path with --manifest, or run where spin.toml is",
                file.display()
            )
        })?;
        Self::parse(file, &text, profile)
    }

    /// Like [`Manifest::load`] from text; relative paths are relative to `file`'s folder.
    pub fn parse(file: &Path, text: &str, profile: Option<&str>) -> Result<Self> {
        raw::read(file, text, profile)
    }

    /// Fails when a component file that is needed is not there.
    pub fn check_files(&self) -> Result<()> {
        let mut missing = BTreeMap::new();
        for component in self.components.values() {
            let dependencies = component.dependencies.values().map(|d| &d.source);
            for path in std::iter::once(&component.source).chain(dependencies) {
                if !path.is_file() {
                    // One is enough to find it in the manifest.
                    missing.entry(path.display().to_string()).or_insert_with(|| component.id.clone());
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = missing.iter().map(|(path, id)| format!("{path} (component {id})")).collect();
        Err(anyhow!(
            "{}: missing component files: {}; run cargo xtask build, or copy its target/components beside the manifest",
            self.file.display(),
            list.join(", ")
        ))
    }

    /// The routes, most specific first.
    pub fn router(&self) -> Result<Router> {
        Router::new(&self.file, &self.triggers)
    }
}
