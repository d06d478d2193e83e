//! `cargo xtask bench`: builds everything and runs the bench program, which knows the budgets.

use crate::{components, layout, progress, run};
use anyhow::{Result, bail};
use std::process::Command;

/// Where the bench program lives; it is a black-box test like the others.
const PROGRAM: &str = "tests/bench";

/// Builds what is measured and measures it.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let folder = layout::root().join(PROGRAM);
    if !folder.join("Cargo.toml").is_file() {
        bail!("there is no bench program in {PROGRAM} yet");
    }
    components::build()?;
    run::build_program()?;
    progress::run_visible(
        Command::new(components::cargo())
            .current_dir(layout::root())
            .args(["run", "--release", "--manifest-path"])
            .arg(folder.join("Cargo.toml"))
            .arg("--")
            .args(args)
            .env("VENTANILLA_BIN", layout::program())
            .env("VENTANILLA_COMPONENTS", layout::components_dir()),
        "measuring",
    )
}
