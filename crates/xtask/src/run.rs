//! `cargo xtask up`: build everything, then become `ventanilla up`.

use crate::{components, layout, progress};
use anyhow::{Result, bail};
use std::process::Command;

/// Builds the program.
pub(crate) fn build_program() -> Result<()> {
    progress::run_visible(
        // With the features of the whole workspace, as the tests have them: otherwise wasmtime is compiled once for the program
        // and once for the tests, five minutes each.
        Command::new(components::cargo()).current_dir(layout::root()).args([
            "build",
            "--release",
            "--workspace",
            "--bin",
            "ventanilla",
        ]),
        "building the program (the first time on a machine this takes minutes)",
    )
}

/// Builds everything and serves.
pub(crate) fn up(args: &[String]) -> Result<()> {
    components::build()?;
    build_program()?;
    let mut command = Command::new(layout::program());
    command.arg("up").args(args);
    // The manifest is ours wherever cargo was called; relative paths in `args` are the caller's.
    if !args.iter().any(|a| a == "--manifest" || a.starts_with("--manifest=")) {
        command.arg("--manifest").arg(layout::root().join("spin.toml"));
    }
    serve(command)
}

/// On Unix the program takes our place, so that signals and its exit code are its own.
#[cfg(unix)]
fn serve(mut command: Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    bail!("cannot start {}: {error}", command.get_program().to_string_lossy())
}

#[cfg(not(unix))]
fn serve(mut command: Command) -> Result<()> {
    let status = command.status()?;
    if !status.success() {
        bail!("ventanilla up stopped with {status}");
    }
    Ok(())
}
