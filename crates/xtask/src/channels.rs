//! `cargo xtask channels`: writes docs/channels.md from what the built connectors say of themselves.

use crate::{components, layout, progress, run};
use anyhow::{Context, Result};
use std::process::Command;

/// Builds what is asked and who asks, and writes the page. `tests/new-connector` fails when it is stale.
pub(crate) fn run() -> Result<()> {
    components::build()?;
    run::build_program()?;
    let page = progress::run_quiet(Command::new(layout::program()).current_dir(layout::root()).arg("channels"))?;
    let file = layout::root().join("docs/channels.md");
    std::fs::write(&file, page).with_context(|| format!("cannot write {}", layout::relative(&file).display()))?;
    eprintln!("wrote docs/channels.md");
    Ok(())
}
