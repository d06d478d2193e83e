//! Checks of the crates: lints, and who depends on whom.

use crate::components::cargo;
use crate::layout::{self, Kind};
use crate::progress::run_quiet;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// `cargo metadata` of the members alone.
fn members() -> Result<Vec<Value>> {
    let mut command = Command::new(cargo());
    command.current_dir(layout::root()).args(["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&run_quiet(&mut command)?)?;
    metadata.get("packages").and_then(Value::as_array).cloned().context("cargo metadata gave no packages")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Every member has `[lints] workspace = true`.
pub(super) fn lints() -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for member in members()? {
        let manifest = Path::new(text(&member, "manifest_path"));
        let source = layout::read(manifest)?;
        let mut lines = source.lines().map(str::trim).skip_while(|line| *line != "[lints]");
        if lines.next().is_none() || lines.next() != Some("workspace = true") {
            violations.push(format!("{}: add [lints] workspace = true", layout::relative(manifest).display()));
        }
    }
    Ok(violations)
}

/// Members a crate may use, outside tests. `None`: anything (xtask, and whatever stands under tests/).
fn may_use(name: &str, kind: Option<Kind>) -> Option<&'static [&'static str]> {
    Some(match (name, kind) {
        (_, Some(Kind::Connector)) => &["channel-sdk"],
        (_, Some(Kind::Store)) => &["channel-sdk", "store-sdk"],
        ("gateway" | "webhooks", _) => &["channel-sdk", "service-sdk", "signatures"],
        ("service-sdk", _) => &["channel-sdk", "signatures"],
        ("api", _) => &["channel-sdk", "service-sdk"],
        ("channel-sdk" | "signatures" | "ventanilla-host", _) => &[],
        ("store-sdk", _) => &["channel-sdk"],
        ("testkit", _) => &["channel-sdk", "signatures", "store-sdk", "ventanilla-host"],
        ("ventanilla", _) => &["channel-sdk", "store-postgres", "testkit", "ventanilla-host"],
        _ => return None,
    })
}

/// Crates that would give a connector what it must not have: network, clock, randomness, threads, a store.
const FORBIDDEN_IN_CONNECTORS: [&str; 15] = [
    "chrono",
    "getrandom",
    "hyper",
    "rand",
    "reqwest",
    "rusqlite",
    "service-sdk",
    "signatures",
    "spin-sdk",
    "time",
    "tokio",
    "ureq",
    "wasi",
    "wasip2",
    "wasmtime",
];

/// Dependencies point from the outside in: see ARCHITECTURE.md.
pub(super) fn direction() -> Result<Vec<String>> {
    let members = members()?;
    let names: Vec<&str> = members.iter().map(|member| text(member, "name")).collect();
    let components = layout::components()?;
    let mut violations = Vec::new();
    for member in &members {
        let name = text(member, "name");
        let kind = components.iter().find(|component| component.name == name).map(|component| component.kind);
        for dependency in member.get("dependencies").and_then(Value::as_array).into_iter().flatten() {
            let other = text(dependency, "name");
            let in_tests = text(dependency, "kind") == "dev";
            if let Some(violation) = judge(name, kind, other, in_tests, names.contains(&other), &components) {
                violations.push(violation);
            }
        }
    }
    Ok(violations)
}

fn judge(
    name: &str,
    kind: Option<Kind>,
    other: &str,
    in_tests: bool,
    is_member: bool,
    components: &[layout::Component],
) -> Option<String> {
    if other == "xtask" {
        return Some(format!("{name} depends on xtask: nobody may"));
    }
    // The benchmark's native rival does with the same crates what the composition does; nothing depends on it.
    // `ventanilla migrate` runs the very statements that the component of the same version expects.
    // The two stores are compared with each other in a test.
    let is_excepted = name == "bench"
        || (name, other) == ("ventanilla", "store-postgres")
        || in_tests && (name, other) == ("store-postgres", "store-sqlite");
    if !is_excepted && components.iter().any(|component| component.name == other) {
        return Some(format!("{name} depends on component {other}: components meet in spin.toml only"));
    }
    if in_tests {
        return None;
    }
    if kind == Some(Kind::Connector) && FORBIDDEN_IN_CONNECTORS.contains(&other) {
        return Some(format!("connector {name} depends on {other}: I/O, time and randomness belong to the gateway"));
    }
    match may_use(name, kind) {
        Some(allowed) if is_member && !allowed.contains(&other) => Some(format!(
            "{name} depends on {other}: it may use {}",
            if allowed.is_empty() { "no member".into() } else { allowed.join(", ") }
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(name: &str, kind: Option<Kind>, other: &str, in_tests: bool) -> bool {
        let component = layout::Component {
            kind: Kind::Connector,
            name: "telephony-acme".into(),
            leaf: "acme".into(),
            folder: "x".into(),
        };
        let member = ["channel-sdk", "signatures", "store-sdk", "testkit", "xtask"].contains(&other);
        judge(name, kind, other, in_tests, member, &[component]).is_some()
    }

    #[test]
    fn arrows_in_the_wrong_direction_are_found() {
        let connector = Some(Kind::Connector);
        assert!(verdict("telephony-acme", connector, "signatures", false));
        assert!(verdict("telephony-acme", connector, "tokio", false));
        assert!(verdict("telephony-acme", connector, "store-sdk", false));
        assert!(verdict("gateway", Some(Kind::Service), "store-sdk", false));
        assert!(verdict("channel-sdk", None, "signatures", false));
        assert!(verdict("ventanilla-host", None, "telephony-acme", true));
        assert!(verdict("anybody", None, "xtask", true));
    }

    #[test]
    fn arrows_in_the_right_direction_are_not() {
        assert!(!verdict("telephony-acme", Some(Kind::Connector), "channel-sdk", false));
        assert!(!verdict("telephony-acme", Some(Kind::Connector), "serde_json", false));
        assert!(!verdict("telephony-acme", Some(Kind::Connector), "testkit", true));
        assert!(!verdict("gateway", Some(Kind::Service), "signatures", false));
    }
}
