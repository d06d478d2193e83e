//! `cargo xtask build`: compiles every component, wraps connectors, checks imports, writes `target/components`.

use crate::layout::{self, Component, Kind};
use crate::progress::{self, Step};
use crate::wit;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The cargo that started us.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// Builds all components.
pub(crate) fn build() -> Result<()> {
    let components = layout::components()?;
    ensure_targets()?;
    // Stores and services share a target, and so an invocation: their common dependencies are compiled once.
    for target in [layout::SERVICE_TARGET, layout::CONNECTOR_TARGET] {
        let chosen: Vec<&Component> = components.iter().filter(|c| c.rust_target() == target).collect();
        compile(target, &chosen)?;
    }
    let step = Step::new("wrapping connectors and checking imports");
    let (mut rows, mut broken) = (Vec::new(), Vec::new());
    let mut written = 0;
    for component in &components {
        match finished(component) {
            Ok(bytes) => {
                written += usize::from(write_if_changed(&component.artefact(), &bytes)?);
                rows.push((component, bytes.len() as u64));
            }
            Err(error) => {
                // What does not hold its contract must not be served from an earlier build either.
                let _ = std::fs::remove_file(component.artefact());
                broken.push(format!("{error:#}"));
            }
        }
    }
    step.done(&format!("{} components, {written} changed", rows.len()));
    eprint!("{}", table(&rows));
    if !broken.is_empty() {
        bail!("{}", broken.join("\n       "));
    }
    Ok(())
}

/// Adds missing Rust targets. (`rust-toolchain.toml` can't be relied on for it: `RUSTUP_AUTO_INSTALL=0`.)
fn ensure_targets() -> Result<()> {
    let sysroot = progress::run_quiet(Command::new("rustc").args(["--print", "sysroot"]))?;
    let lib = Path::new(sysroot.trim()).join("lib/rustlib");
    let missing: Vec<&str> = [layout::SERVICE_TARGET, layout::CONNECTOR_TARGET]
        .into_iter()
        .filter(|target| !lib.join(target).join("lib").is_dir())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    progress::run_visible(
        Command::new("rustup").args(["target", "add"]).args(&missing),
        &format!("installing the Rust targets {} (rustup target add)", missing.join(" and ")),
    )
    .with_context(|| format!("the Rust targets {} are missing", missing.join(" and ")))
}

fn compile(target: &str, components: &[&Component]) -> Result<()> {
    if components.is_empty() {
        return Ok(());
    }
    let mut command = Command::new(cargo());
    command.current_dir(layout::root()).args(["build", "--profile", "component", "--target", target]);
    let mut together = components.iter().filter(|component| !component.is_linked_natively()).peekable();
    let any = together.peek().is_some();
    for component in together {
        command.args(["--package", &component.name]);
    }
    if any {
        progress::run_visible(&mut command, &format!("building components for {target}"))?;
    }
    // One that native programs link too is an rlib as well, and cargo then leaves its link-time optimisation out: a fifth
    // of the size. Asked for alone, the cdylib has it.
    for component in components.iter().filter(|component| component.is_linked_natively()) {
        let mut command = Command::new(cargo());
        command.current_dir(layout::root()).args(["rustc", "--profile", "component", "--target", target]);
        command.args(["--package", &component.name, "--lib", "--crate-type", "cdylib"]);
        progress::run_visible(&mut command, &format!("building {} alone", component.name))?;
    }
    Ok(())
}

/// The finished component's bytes.
fn finished(component: &Component) -> Result<Vec<u8>> {
    let file = compiled_file(component);
    let bytes = std::fs::read(&file).with_context(|| {
        format!("cargo built no {}: is its crate-type [\"cdylib\"]?", layout::relative(&file).display())
    })?;
    match component.kind {
        Kind::Connector => {
            let bytes = wit::wrap(&bytes).with_context(|| format!("cannot wrap {} as a component", component.name))?;
            wit::check_connector(&component.name, &bytes)?;
            Ok(bytes)
        }
        // wasm32-wasip2's linker makes a component of it.
        Kind::Store | Kind::Service => {
            wit::surface(&bytes).with_context(|| format!("{} is not a component", component.name))?;
            Ok(bytes)
        }
    }
}

fn compiled_file(component: &Component) -> PathBuf {
    let file = format!("{}.wasm", component.name.replace('-', "_"));
    layout::target().join(component.rust_target()).join("component").join(file)
}

/// Leaves an equal file alone, so that nothing that watches it or caches by time is disturbed. Writes beside it and
/// renames, so that a host that starts meanwhile sees the old one or the new one.
fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<bool> {
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let folder = path.parent().context("no folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let beside = path.with_extension("wasm.new");
    std::fs::write(&beside, bytes).with_context(|| format!("cannot write {}", beside.display()))?;
    std::fs::rename(&beside, path).with_context(|| format!("cannot replace {}", path.display()))?;
    Ok(true)
}

/// Sizes beside budgets.
fn table(rows: &[(&Component, u64)]) -> String {
    let width = rows.iter().map(|(c, _)| c.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (component, size) in rows {
        let kib = *size as f64 / 1024.0;
        let budget = match component.budget() {
            Some(budget) if *size > budget => format!("OVER its budget of {} KiB", budget >> 10),
            Some(budget) => format!("of {} KiB", budget >> 10),
            None => String::new(),
        };
        text.push_str(format!("  {:width$}  {kib:>7.1} KiB  {budget}", component.name).trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(name: &str, kind: Kind) -> Component {
        Component { kind, name: name.into(), leaf: name.into(), folder: "components/x/y".into() }
    }

    #[test]
    fn an_unchanged_file_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("xtask-write-{}", std::process::id()));
        let file = folder.join("a.wasm");
        assert!(write_if_changed(&file, b"one").unwrap());
        assert!(!write_if_changed(&file, b"one").unwrap());
        assert!(write_if_changed(&file, b"two").unwrap());
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_size_table_names_a_connector_over_its_budget() {
        let (big, free) = (component("big", Kind::Connector), component("gateway", Kind::Service));
        let text = table(&[(&big, 301 << 10), (&free, 900 << 10)]);
        assert!(text.contains("OVER its budget of 300 KiB"), "{text}");
        assert_eq!(text.matches("OVER").count(), 1, "{text}");
    }
}
