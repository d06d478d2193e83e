//! `cargo xtask bench`: builds everything and runs the bench program, which knows the budgets.

use crate::{components, layout, progress, run};
use anyhow::Result;
use std::process::Command;

/// Builds what is measured and measures it.
pub(crate) fn run(args: &[String]) -> Result<()> {
    components::build()?;
    run::build_program()?;
    progress::run_visible(
        Command::new(components::cargo()).current_dir(layout::root()).args([
            "build",
            "--release",
            "--workspace",
            "--bin",
            "bench",
            "--bin",
            "native-intake",
        ]),
        "building the benchmark and the native rival",
    )?;
    progress::run_visible(
        Command::new(layout::target().join("release/bench"))
            .current_dir(layout::root())
            .arg("--ventanilla")
            .arg(layout::program())
            .arg("--native")
            .arg(layout::target().join("release/native-intake"))
            .args(args),
        "measuring",
    )
}
