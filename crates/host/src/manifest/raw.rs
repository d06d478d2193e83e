//! The manifest as written, and the way from there to [`Manifest`]: every refusal names field, file and line.

use super::{Component, Dependency, Inherit, Manifest, Route, SETS, StaticResponse, Target, Trigger, Variable};
use crate::key_value::LABEL;
use anyhow::{Result, anyhow};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use toml::{Spanned, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    spin_manifest_version: Spanned<i64>,
    application: Application,
    #[serde(default)]
    variables: BTreeMap<Spanned<String>, RawVariable>,
    #[serde(default)]
    trigger: Triggers,
    #[serde(default)]
    component: BTreeMap<Spanned<String>, RawComponent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Application {
    name: String,
    version: Option<String>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default, rename = "authors")]
    _authors: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVariable {
    default: Option<String>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    secret: bool,
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Triggers {
    #[serde(default)]
    http: Vec<RawTrigger>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrigger {
    #[serde(default, rename = "id")]
    _id: Option<String>,
    route: Spanned<Value>,
    component: Option<Spanned<String>>,
    static_response: Option<Spanned<RawStatic>>,
    executor: Option<Spanned<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStatic {
    status_code: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
}

/// Fields without effect at run time (`build`, `tool`, `targets`, `description`) are read and left alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawComponent {
    source: Spanned<Value>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    files: Option<Spanned<Vec<Value>>>,
    exclude_files: Option<Spanned<Vec<Value>>>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    key_value_stores: Option<Spanned<Vec<String>>>,
    ai_models: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    sqlite_databases: Vec<String>,
    #[serde(default, rename = "build")]
    _build: Option<Value>,
    #[serde(default, rename = "tool")]
    _tool: Option<Value>,
    #[serde(default, rename = "targets")]
    _targets: Option<Value>,
    #[serde(default)]
    dependencies: BTreeMap<String, Spanned<Value>>,
    dependencies_inherit_configuration: Option<Spanned<bool>>,
    #[serde(default)]
    profile: BTreeMap<String, RawProfile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProfile {
    source: Option<Spanned<Value>>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    dependencies: BTreeMap<String, Spanned<Value>>,
    #[serde(default, rename = "build")]
    _build: Option<RawProfileBuild>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProfileBuild {
    #[serde(rename = "command")]
    _command: Value,
}

/// Where we are, for error messages.
struct Origin<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Origin<'_> {
    fn line(&self, offset: usize) -> usize {
        self.text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
    }

    fn error(&self, offset: usize, message: impl std::fmt::Display) -> anyhow::Error {
        anyhow!("{}:{}: {message}", self.file.display(), self.line(offset))
    }
}

/// Reads a manifest.
pub(super) fn read(file: &Path, text: &str, profile: Option<&str>) -> Result<Manifest> {
    let origin = Origin { file, text };
    let raw: Raw = toml::from_str(text).map_err(|error| {
        let remedy = if error.message().contains("unknown field") {
            "; the embedded host knows no such field: correct its spelling or remove it"
        } else {
            ""
        };
        let at = error.span().map_or(0, |span| span.start);
        origin.error(at, format!("{}{remedy}", error.message().replace('\n', " ")))
    })?;
    if *raw.spin_manifest_version.get_ref() != 2 {
        return Err(origin.error(raw.spin_manifest_version.span().start, "spin_manifest_version must be 2"));
    }
    let variables = raw
        .variables
        .into_iter()
        .map(|(name, variable)| {
            let at = name.span().start;
            let name = name.into_inner();
            if variable.required == variable.default.is_some() {
                return Err(origin.error(at, format!("variable {name} needs either a default or required = true")));
            }
            let line = origin.line(at);
            Ok((name, Variable { default: variable.default, secret: variable.secret, line }))
        })
        .collect::<Result<BTreeMap<_, _>>>()?;
    let mut profile_found = profile.is_none();
    let mut components = BTreeMap::new();
    let mut sources = BTreeMap::new();
    // Before anything is looked up: a dependency on another component means that one in the chosen profile, as in Spin.
    let mut chosen_components = raw.component;
    let known: BTreeSet<String> = chosen_components.values().flat_map(|c| c.profile.keys().cloned()).collect();
    let known: Vec<String> = known.into_iter().collect();
    for component in chosen_components.values_mut() {
        if let Some(chosen) = profile.and_then(|name| component.profile.remove(name)) {
            profile_found = true;
            component.environment.extend(chosen.environment);
            component.dependencies.extend(chosen.dependencies);
            if let Some(source) = chosen.source {
                component.source = source;
            }
        }
    }
    for (id, component) in &chosen_components {
        let what = format!("source of component {}", id.get_ref());
        sources.insert(id.get_ref().clone(), local_path(&origin, &what, &component.source)?);
    }
    for (id, component) in chosen_components {
        let id = id.into_inner();
        unsupported(&origin, &id, &component)?;
        components.insert(id.clone(), convert(&origin, id, component, &sources)?);
    }
    if !profile_found {
        return Err(anyhow!(
            "{}: no component has a profile named {}; remove --profile or correct its spelling{}",
            file.display(),
            profile.unwrap_or_default(),
            if known.is_empty() { String::new() } else { format!(": there is {}", known.join(", ")) }
        ));
    }
    let triggers = raw
        .trigger
        .http
        .into_iter()
        .map(|trigger| convert_trigger(&origin, trigger, &components))
        .collect::<Result<_>>()?;
    Ok(Manifest {
        file: file.to_owned(),
        name: raw.application.name,
        version: raw.application.version,
        variables,
        triggers,
        components,
    })
}

fn unsupported(origin: &Origin<'_>, id: &str, component: &RawComponent) -> Result<()> {
    let present = [
        ("files", component.files.as_ref().map(|f| (f.span().start, f.get_ref().is_empty()))),
        ("exclude_files", component.exclude_files.as_ref().map(|f| (f.span().start, f.get_ref().is_empty()))),
        ("ai_models", component.ai_models.as_ref().map(|f| (f.span().start, f.get_ref().is_empty()))),
    ];
    for (name, found) in present {
        if let Some((at, false)) = found {
            return Err(origin.error(
                at,
                format!("field {name} of component {id} is not supported by the embedded host: remove it, or run this application on Spin"),
            ));
        }
    }
    if let Some(labels) = &component.key_value_stores
        && let Some(label) = labels.get_ref().iter().find(|label| *label != LABEL)
    {
        return Err(origin.error(
            labels.span().start,
            format!("key_value_stores of component {id}: there is no store {label:?}; the embedded host has one, {LABEL:?}, as Spin has without a runtime configuration"),
        ));
    }
    Ok(())
}

fn local_path(origin: &Origin<'_>, what: &str, value: &Spanned<Value>) -> Result<std::path::PathBuf> {
    match value.get_ref() {
        Value::String(path) => Ok(origin.file.parent().unwrap_or(Path::new("")).join(path)),
        _ => Err(origin.error(
            value.span().start,
            format!("{what} must be the path of a local file: downloads are not supported by the embedded host"),
        )),
    }
}

type Sources = BTreeMap<String, std::path::PathBuf>;

fn convert(origin: &Origin<'_>, id: String, raw: RawComponent, sources: &Sources) -> Result<Component> {
    let source = local_path(origin, &format!("source of component {id}"), &raw.source)?;
    let inherit_all = raw.dependencies_inherit_configuration;
    let dependencies = raw
        .dependencies
        .into_iter()
        .map(|(key, value)| {
            let dependency = convert_dependency(origin, &id, &key, &value, inherit_all.as_ref(), sources)?;
            Ok((key, dependency))
        })
        .collect::<Result<_>>()?;
    Ok(Component {
        id,
        source,
        variables: raw.variables,
        environment: raw.environment,
        allowed_outbound_hosts: raw.allowed_outbound_hosts,
        sqlite_databases: raw.sqlite_databases,
        key_value_stores: raw.key_value_stores.map(Spanned::into_inner).unwrap_or_default(),
        dependencies,
    })
}

fn convert_dependency(
    origin: &Origin<'_>,
    id: &str,
    key: &str,
    value: &Spanned<Value>,
    inherit_all: Option<&Spanned<bool>>,
    sources: &Sources,
) -> Result<Dependency> {
    let at = value.span().start;
    let fail = |why: String| origin.error(at, format!("dependency {key} of component {id}: {why}"));
    let Value::Table(table) = value.get_ref() else {
        return Err(fail(
            "registry dependencies are not supported by the embedded host: write { path = \"…\" }".into(),
        ));
    };
    let mut source = None;
    let mut export = None;
    let mut inherit = None;
    for (field, value) in table {
        match (field.as_str(), value) {
            ("path", Value::String(path)) => source = Some(origin.file.parent().unwrap_or(Path::new("")).join(path)),
            ("component", Value::String(other)) => match sources.get(other) {
                Some(path) => source = Some(path.clone()),
                None => return Err(fail(format!("no component named {other}"))),
            },
            ("export", Value::String(name)) => export = Some(name.clone()),
            ("inherit_configuration", Value::Boolean(true)) => inherit = Some(Inherit::All),
            ("inherit_configuration", Value::Boolean(false)) => inherit = Some(Inherit::Sets(BTreeSet::new())),
            ("inherit_configuration", Value::Array(sets)) => {
                inherit = Some(Inherit::Sets(inherited_sets(sets).map_err(fail)?))
            }
            ("version" | "registry" | "package" | "url" | "digest", _) => {
                return Err(fail(format!(
                    "field {field} is not supported by the embedded host: write {{ path = \"…\" }}"
                )));
            }
            ("path" | "component" | "export" | "inherit_configuration", _) => {
                return Err(fail(format!("field {field} has the wrong type")));
            }
            _ => {
                return Err(fail(format!(
                    "unknown field {field}: expected path, component, export or inherit_configuration"
                )));
            }
        }
    }
    let inherit = match (inherit, inherit_all) {
        (Some(_), Some(_)) => {
            return Err(fail(
                "inherit_configuration and the component's dependencies_inherit_configuration may not be mixed".into(),
            ));
        }
        (Some(own), None) => own,
        (None, Some(all)) if *all.get_ref() => Inherit::All,
        (None, _) => Inherit::Sets(BTreeSet::new()),
    };
    let source = source.ok_or_else(|| fail("field path (or component) is missing".into()))?;
    Ok(Dependency { source, export, inherit })
}

/// Spin ignores a misspelt set, which then denies silently; we refuse it.
fn inherited_sets(sets: &[Value]) -> Result<BTreeSet<String>, String> {
    sets.iter()
        .map(|set| match set.as_str() {
            Some(name) if SETS.contains(&name) => Ok(name.to_owned()),
            _ => Err(format!("inherit_configuration knows no set {set}: expected one of {}", SETS.join(", "))),
        })
        .collect()
}

fn convert_trigger(origin: &Origin<'_>, raw: RawTrigger, components: &BTreeMap<String, Component>) -> Result<Trigger> {
    let at = raw.route.span().start;
    if let Some(executor) = &raw.executor {
        let kind = executor.get_ref().get("type").and_then(Value::as_str);
        if !matches!(kind, Some("http" | "spin")) {
            return Err(origin.error(
                executor.span().start,
                "only executor = { type = \"http\" } is supported by the embedded host",
            ));
        }
    }
    let route = match raw.route.get_ref() {
        Value::String(text) => {
            Some(Route::parse(text).map_err(|why| origin.error(at, format!("route {text:?}: {why}")))?)
        }
        Value::Table(table) if table.len() == 1 && table.get("private") == Some(&Value::Boolean(true)) => None,
        _ => return Err(origin.error(at, "route must be a text such as \"/api/...\", or { private = true }")),
    };
    let target = match (raw.component, raw.static_response) {
        (Some(component), None) => {
            let id = component.get_ref();
            if !components.contains_key(id) {
                return Err(origin.error(
                    component.span().start,
                    format!("no component named {id}: add [component.{id}] or correct its spelling"),
                ));
            }
            Target::Component(id.clone())
        }
        (None, Some(fixed)) => Target::Static(convert_static(origin, fixed)?),
        (Some(_), Some(_)) => {
            return Err(origin.error(at, "a trigger has either component or static_response, not both"));
        }
        (None, None) => return Err(origin.error(at, "a trigger needs component = \"…\" or static_response = { … }")),
    };
    Ok(Trigger { route, target })
}

fn convert_static(origin: &Origin<'_>, raw: Spanned<RawStatic>) -> Result<StaticResponse> {
    let at = raw.span().start;
    let raw = raw.into_inner();
    let status = http::StatusCode::from_u16(raw.status_code.unwrap_or(200))
        .map_err(|_| origin.error(at, "status_code must be between 100 and 999"))?;
    let headers = raw
        .headers
        .iter()
        .map(|(name, value)| {
            let header =
                http::HeaderName::try_from(name.as_str()).ok().zip(http::HeaderValue::try_from(value.as_str()).ok());
            header.ok_or_else(|| {
                origin.error(at, format!("header {name:?} of static_response is not a valid HTTP header"))
            })
        })
        .collect::<Result<_>>()?;
    Ok(StaticResponse { status, headers, body: raw.body.unwrap_or_default() })
}
