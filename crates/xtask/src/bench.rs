//! `cargo xtask bench`: builds everything and runs the bench program, which knows the budgets.

use crate::{components, layout, peers, progress, run};
use anyhow::Result;
use std::path::PathBuf;
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
    let mut measure = Command::new(layout::target().join("release/bench"));
    measure
        .current_dir(layout::root())
        .arg("--ventanilla")
        .arg(layout::program())
        .arg("--native")
        .arg(layout::target().join("release/native-intake"));
    match node()? {
        Some(modules) => _ = measure.arg("--node").arg(modules),
        None => eprintln!("node and npm are not on PATH: measuring without the Node program"),
    }
    match peers::find("spin") {
        Some(spin) => _ = measure.arg("--spin").arg(spin),
        None => eprintln!("there is no program `spin` on PATH: measuring without it"),
    }
    progress::run_visible(measure.args(args), "measuring")
}

/// The folder with the Node rival's packages, got from npm once.
fn node() -> Result<Option<PathBuf>> {
    if !(peers::on_path("node") && peers::on_path("npm")) {
        return Ok(None);
    }
    let folder = layout::target().join("peers/bench-node");
    let wanted = layout::read(&layout::root().join("crates/bench/rival/package.json"))?;
    let list = folder.join("package.json");
    if std::fs::read_to_string(&list).is_ok_and(|found| found == wanted) {
        return Ok(Some(folder));
    }
    std::fs::create_dir_all(&folder)?;
    std::fs::write(&list, &wanted)?;
    let mut install = Command::new("npm");
    install.current_dir(&folder).args(["install", "--no-audit", "--no-fund"]);
    // Where the headers of this Node are, so that its SQLite can be compiled without the network.
    if std::path::Path::new("/usr/include/node/node.h").is_file() {
        install.arg("--nodedir=/usr");
    }
    if let Err(error) = progress::run_visible(&mut install, "getting the Node rival's packages (some minutes)") {
        std::fs::remove_file(&list)?;
        return Err(error);
    }
    Ok(Some(folder))
}
