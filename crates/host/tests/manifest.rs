//! Manifests and compositions that must be refused, each by name and with a remedy.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may")]

mod common;

use common::Folder;
use std::{collections::BTreeMap, path::Path};
use ventanilla_host::{
    compose,
    manifest::{Component, Dependency, Inherit, Manifest, Target},
};

const HEAD: &str = "spin_manifest_version = 2\n[application]\nname = \"t\"\n";

#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    let error = format!("{:#}", Manifest::parse(Path::new("spin.toml"), text, None).unwrap_err());
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn an_unknown_or_unsupported_field_is_named_with_file_and_line() {
    let component = "[component.a]\nsource = \"a.wasm\"\n";
    refused(&format!("{HEAD}{component}sqlite_database = []\n"), &["spin.toml:6:", "sqlite_database", "remove it"]);
    refused(&format!("{HEAD}colour = 1\n"), &["spin.toml:4:", "colour"]);
    refused(&format!("{HEAD}[[trigger.redis]]\nchannel = \"x\"\n"), &["spin.toml:4:", "redis"]);
    refused(&format!("{HEAD}{component}files = [\"x\"]\n"), &["spin.toml:6:", "files", "component a", "not supported"]);
    refused(
        &format!("{HEAD}{component}key_value_stores = [\"default\", \"mine\"]\n"),
        &["spin.toml:6:", "key_value_stores of component a", "\"mine\"", "\"default\""],
    );
    refused(
        &format!("{HEAD}[component.a]\nsource = {{ url = \"https://x\", digest = \"y\" }}\n"),
        &["spin.toml:5:", "source", "local file"],
    );
    refused(
        &format!("{HEAD}{component}[component.a.dependencies]\n\"x:y\" = \"1.0\"\n"),
        &["spin.toml:7:", "x:y", "registry"],
    );
    refused(
        &format!(
            "{HEAD}{component}[component.a.dependencies]\n\"x:y\" = {{ path = \"y\", inherit_configuration = [\"sqlite_database\"] }}\n"
        ),
        &["spin.toml:7:", "sqlite_database", "sqlite_databases"],
    );
    refused(&HEAD.replace('2', "1"), &["spin.toml:1:", "must be 2"]);
    refused(&format!("{HEAD}[variables]\na = {{ secret = true }}\n"), &["spin.toml:5:", "variable a", "required"]);
    refused(&format!("{HEAD}x = \n"), &["spin.toml:4:"]);
}

#[test]
fn a_trigger_needs_a_route_and_somebody_who_answers() {
    refused(
        &format!("{HEAD}[[trigger.http]]\nroute = \"/a\"\ncomponent = \"b\"\n"),
        &["spin.toml:6:", "no component named b"],
    );
    refused(&format!("{HEAD}[[trigger.http]]\nroute = \"/a\"\n"), &["spin.toml:5:", "component", "static_response"]);
    refused(
        &format!("{HEAD}[[trigger.http]]\nroute = \"a\"\nstatic_response = {{}}\n"),
        &["spin.toml:5:", "begins with /"],
    );
    refused(
        &format!("{HEAD}[[trigger.http]]\nroute = \"/a\"\nstatic_response = {{}}\nexecutor = {{ type = \"wagi\" }}\n"),
        &["spin.toml:7:", "executor"],
    );
}

#[test]
fn a_profile_replaces_a_dependency_and_an_unknown_profile_is_refused() {
    let text = format!(
        "{HEAD}[component.a]\nsource = \"a.wasm\"\n[component.a.dependencies]\n\"x:y\" = {{ path = \"one.wasm\" }}\n\
         [component.a.profile.two.dependencies]\n\"x:y\" = {{ path = \"two.wasm\", inherit_configuration = true }}\n"
    );
    let source = |profile| {
        let manifest = Manifest::parse(Path::new("dir/spin.toml"), &text, profile)?;
        let dependency = manifest.components["a"].dependencies["x:y"].clone();
        anyhow::Ok((dependency.source, dependency.inherit))
    };
    assert_eq!(source(None).unwrap(), (Path::new("dir/one.wasm").into(), Inherit::Sets([].into())));
    assert_eq!(source(Some("two")).unwrap(), (Path::new("dir/two.wasm").into(), Inherit::All));
    assert!(source(Some("three")).unwrap_err().to_string().contains("three"));
}

#[test]
fn missing_component_files_are_listed_with_the_command_that_builds_them() {
    let text = format!(
        "{HEAD}[component.a]\nsource = \"nowhere.wasm\"\n[[trigger.http]]\nroute = {{ private = true }}\ncomponent = \"a\"\n"
    );
    let manifest = Manifest::parse(Path::new("spin.toml"), &text, None).unwrap();
    assert!(matches!(&manifest.triggers[0].target, Target::Component(id) if id == "a"));
    assert!(manifest.triggers[0].route.is_none());
    let error = manifest.check_files().unwrap_err().to_string();
    for part in ["nowhere.wasm", "component a", "cargo xtask build"] {
        assert!(error.contains(part), "{error}");
    }
}

/// Imports `a:b/c@1.0.0` with a function `f`, and exports `run`.
const PARENT: &str = r#"(component
  (import "a:b/c@1.0.0" (instance $c (export "f" (func (result u32)))))
  (alias export $c "f" (func $f))
  (export "run" (func $f)))"#;

/// Exports `a:b/c@1.0.0`, after importing what is put in.
fn provider(imports: &str) -> String {
    format!(
        r#"(component {imports}
  (core module $m (func (export "f") (result i32) (i32.const 7)))
  (core instance $i (instantiate $m))
  (func $f (result u32) (canon lift (core func $i "f")))
  (instance $c (export "f" (func $f)))
  (export "a:b/c@1.0.0" (instance $c)))"#
    )
}

fn composed(imports: &str, key: &str, sets: &[&str]) -> anyhow::Result<Vec<u8>> {
    let inherit = Inherit::Sets(sets.iter().map(|set| (*set).to_owned()).collect());
    let dependency = Dependency { source: "store.wasm".into(), export: None, inherit };
    let component = Component {
        id: "parent".into(),
        source: "parent.wasm".into(),
        variables: BTreeMap::new(),
        environment: BTreeMap::new(),
        allowed_outbound_hosts: Vec::new(),
        sqlite_databases: Vec::new(),
        key_value_stores: Vec::new(),
        dependencies: BTreeMap::from([(key.to_owned(), dependency)]),
    };
    compose::compose(&component, &wat::parse_str(PARENT).unwrap(), &[wat::parse_str(provider(imports)).unwrap()])
}

const SQLITE: &str = r#"(import "spin:sqlite/sqlite@3.1.0" (instance (export "x" (func))))"#;
const KEY_VALUE: &str = r#"(import "spin:key-value/key-value@3.0.0" (instance (export "x" (func))))"#;
const POSTGRES: &str = r#"(import "spin:postgres/postgres@4.2.0" (instance (export "x" (func))))"#;
const RANDOM: &str = r#"(import "wasi:random/random@0.2.6" (instance (export "get-random-u64" (func (result u64)))))"#;
const TYPES: &str =
    r#"(import "a:b/types@1.0.0" (instance (type (record (field "n" u32))) (export "r" (type (eq 0)))))"#;

#[test]
fn a_dependency_that_imports_more_than_it_inherits_is_refused_by_name() {
    for (imports, sets, missing) in [
        (SQLITE, &[][..], "spin:sqlite/sqlite@3.1.0"),
        (SQLITE, &["variables"], "spin:sqlite/sqlite@3.1.0"),
        (POSTGRES, &["variables", "sqlite_databases"], "spin:postgres/postgres@4.2.0"),
        (KEY_VALUE, &["variables", "sqlite_databases"], "spin:key-value/key-value@3.0.0"),
        (RANDOM, &[], "wasi:random/random@0.2.6"),
        (r#"(import "sneaky" (func))"#, &["sqlite_databases"], "sneaky"),
    ] {
        let error = format!("{:#}", composed(imports, "a:b/c@1.0.0", sets).unwrap_err());
        for part in ["a:b/c@1.0.0", "parent", "store.wasm", missing, "more than it inherits"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
    for (imports, sets) in [
        (SQLITE, &["sqlite_databases"][..]),
        (KEY_VALUE, &["key_value_stores"]),
        (POSTGRES, &["allowed_outbound_hosts", "variables"]),
        (RANDOM, &["sqlite_databases"]),
        (TYPES, &[]),
        ("", &[]),
    ] {
        composed(imports, "a:b/c@1.0.0", sets).unwrap();
        composed(imports, "a:b@1.0.0", sets).unwrap();
    }
}

#[test]
fn a_dependency_nobody_imports_is_refused() {
    let error = composed("", "a:other", &[]).unwrap_err().to_string();
    assert!(error.contains("a:other") && error.contains("a:b/c@1.0.0"), "{error}");
}

#[test]
fn a_composition_runs_and_imports_are_listed() {
    let folder = Folder::new();
    let file = folder.path().join("parent.wasm");
    std::fs::write(&file, wat::parse_str(PARENT).unwrap()).unwrap();
    assert_eq!(compose::component_imports(&file).unwrap(), ["a:b/c@1.0.0"]);
    std::fs::write(&file, composed(TYPES, "a:b", &[]).unwrap()).unwrap();
    assert_eq!(compose::component_imports(&file).unwrap(), ["a:b/types@1.0.0"]);
    std::fs::write(&file, "no wasm").unwrap();
    assert!(compose::component_imports(&file).unwrap_err().to_string().contains("cargo xtask build"));
}

#[test]
fn a_profile_overrides_source_environment_and_single_dependencies_and_nothing_else() {
    let text = format!(
        "{HEAD}[component.a]\nsource = \"a.wasm\"\nenvironment = {{ one = \"1\", two = \"2\" }}\n\
         [component.a.dependencies]\n\"x:store\" = {{ path = \"sqlite.wasm\", inherit_configuration = [\"sqlite_databases\"] }}\n\
         \"x:connector\" = {{ path = \"c.wasm\" }}\n\"x:other\" = {{ component = \"b\" }}\n\
         [component.a.profile.postgres]\nenvironment = {{ two = \"two\", three = \"3\" }}\nbuild.command = \"make\"\n\
         [component.a.profile.postgres.dependencies]\n\
         \"x:store\" = {{ path = \"postgres.wasm\", inherit_configuration = [\"allowed_outbound_hosts\", \"variables\"] }}\n\
         [component.b]\nsource = \"b.wasm\"\n[component.b.profile.postgres]\nsource = \"b2.wasm\"\n"
    );
    let read = |profile| Manifest::parse(Path::new("spin.toml"), &text, profile).unwrap();
    let sources = |manifest: &Manifest| -> Vec<String> {
        let a = &manifest.components["a"];
        a.dependencies.values().map(|d| d.source.display().to_string()).collect()
    };
    let plain = read(None);
    assert_eq!(sources(&plain), ["c.wasm", "b.wasm", "sqlite.wasm"]);
    let chosen = read(Some("postgres"));
    assert_eq!(sources(&chosen), ["c.wasm", "b2.wasm", "postgres.wasm"], "also of a component that is a dependency");
    let store = &chosen.components["a"].dependencies["x:store"].inherit;
    assert!(store.has("variables") && store.has("allowed_outbound_hosts") && !store.has("sqlite_databases"));
    let environment: Vec<String> =
        chosen.components["a"].environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(environment, ["one=1", "three=3", "two=two"]);
    assert_eq!(chosen.components["b"].source, Path::new("b2.wasm"));
    let error = Manifest::parse(Path::new("spin.toml"), &text, Some("postgre")).unwrap_err().to_string();
    assert!(error.contains("named postgre;") && error.ends_with("there is postgres"), "{error}");
}

#[test]
fn what_a_profile_can_t_override_is_named() {
    for field in ["variables = {}", "allowed_outbound_hosts = []", "sqlite_databases = []", "build.workdir = \"x\""] {
        let name = field.split([' ', '.']).next().unwrap();
        refused(
            &format!("{HEAD}[component.a]\nsource = \"a.wasm\"\n[component.a.profile.p]\n{field}\n"),
            &["spin.toml:7:", if name == "build" { "workdir" } else { name }],
        );
    }
}

#[test]
fn every_component_with_a_store_has_it_on_postgres_too_and_its_connector_inherits_nothing() {
    let file = common::workspace().join("spin.toml");
    let (plain, postgres) = (Manifest::load(&file, None).unwrap(), Manifest::load(&file, Some("postgres")).unwrap());
    let mut stores = 0;
    for (id, component) in &plain.components {
        for (key, dependency) in &component.dependencies {
            let other = &postgres.components[id].dependencies[key];
            if !key.starts_with("ventanilla:store") {
                assert!(dependency.inherit.is_nothing() && other.inherit.is_nothing(), "{id}: {key}");
                assert_eq!(dependency.source, other.source, "{id}: {key}");
                continue;
            }
            stores += 1;
            assert!(dependency.source.ends_with("store-sqlite.wasm"), "{id}");
            assert!(other.source.ends_with("store-postgres.wasm"), "{id} stays on SQLite with --profile postgres");
            assert!(other.inherit.has("allowed_outbound_hosts") && other.inherit.has("variables"), "{id}");
            assert!(!other.inherit.has("sqlite_databases"), "{id}");
            assert!(component.variables.contains_key("postgres_url"), "{id} does not hand postgres_url on");
            assert!(component.variables.contains_key("postgres_ca"), "{id} does not hand postgres_ca on");
            let hosts = &component.allowed_outbound_hosts;
            assert!(
                hosts.iter().any(|host| host == "{{ postgres_host }}"),
                "{id} may not reach the database: {hosts:?}"
            );
        }
    }
    assert!(stores > 10, "{stores}");
}
