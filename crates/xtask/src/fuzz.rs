//! `cargo xtask fuzz`: hours of made-up requests, guided by which code they reach.
//!
//! The short run is in every `cargo xtask test`; this one has the same tests and the same inputs. It works on stable Rust: the
//! compiler pass that counts is LLVM's own, and it is turned on by a wrapper of the compiler (this very program) for the members of
//! the workspace only, so that wasmtime is not compiled once more.

use crate::components::cargo;
use crate::layout::{self, Kind};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// Set for the compiler's wrapper, which is this program.
const WRAPPER: &str = "VENTANILLA_FUZZ_COMPILER";

/// Not a connector: the reader of `spin.toml`.
const MANIFEST: &str = "manifest";

/// What is tried, and for how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// `telephony-sip` or another connector, or `manifest`; without a name all of them, one after another.
    name: Option<String>,
    /// Seconds for each.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Repeats an earlier run of the same code, begun with the same corpus.
    #[arg(long)]
    seed: Option<u64>,
}

/// Builds with coverage and runs each target; the first finding ends it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut names: Vec<String> = layout::components()?
        .into_iter()
        .filter(|component| component.kind == Kind::Connector)
        .map(|component| component.name)
        .collect();
    names.push(MANIFEST.into());
    if let Some(name) = &options.name {
        if !names.contains(name) {
            bail!("there is no {name}: it is one of {}", names.join(", "));
        }
        names.retain(|other| other == name);
    }
    for name in names {
        one(&name, options)?;
    }
    Ok(())
}

fn one(name: &str, options: &Options) -> Result<()> {
    let corpus = layout::target().join("fuzz").join(name);
    std::fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    let target: &[&str] = if name == MANIFEST {
        &["--package", "testkit", "--test", "the_manifest_reader", "--", "made_up_manifests"]
    } else {
        &["--package", name, "--lib", "--", "connector_suite::made_up_requests_keep_every_rule"]
    };
    eprintln!(
        "==> {name}: {} s; what reaches new code is kept in {}",
        options.seconds,
        layout::relative(&corpus).display()
    );
    let mut command = Command::new(cargo());
    command
        .current_dir(layout::root())
        .args(["test", "--release"])
        .args(target)
        .args(["--nocapture", "--test-threads=1"])
        .env("RUSTC_WORKSPACE_WRAPPER", std::env::current_exe()?)
        .env(WRAPPER, "1")
        .env("VENTANILLA_FUZZ_SECONDS", options.seconds.to_string())
        .env("VENTANILLA_FUZZ_CORPUS", &corpus);
    if let Some(seed) = options.seed {
        command.env("VENTANILLA_FUZZ_SEED", seed.to_string());
    }
    if !command.status()?.success() {
        bail!(
            "{name}: it is told above what was found; with VENTANILLA_FUZZ_INPUT set as it says, `cargo test --release {}` \
             repeats it. Make the request a story in testdata",
            target.join(" ")
        );
    }
    Ok(())
}

/// What the compiler is told besides (cargo does not see it: after a change here, `cargo clean --release` once): count the edges of the flow of control, and check what overflows.
const COUNTED: [&str; 4] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Coverflow-checks",
];

/// When cargo started us in the place of rustc, compiles and says how it went.
pub(crate) fn as_compiler() -> Option<ExitCode> {
    std::env::var_os(WRAPPER)?;
    let mut words = std::env::args_os().skip(1);
    let rustc = words.next()?;
    // `cargo` itself is started with the variable set too: only its call of the compiler names one.
    if !std::path::Path::new(&rustc).file_stem()?.to_string_lossy().contains("rustc") {
        return None;
    }
    let words: Vec<OsString> = words.collect();
    let mut command = Command::new(rustc);
    command.args(&words);
    if is_counted(&words) {
        command.args(COUNTED);
    }
    let status = command.status();
    Some(match status {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("error: cannot start the compiler: {error}");
            ExitCode::FAILURE
        }
    })
}

/// What is tried, not what tries: the suite's own branches are no findings.
fn is_counted(words: &[OsString]) -> bool {
    let name = words.iter().skip_while(|word| *word != "--crate-name").nth(1).map(|name| name.to_string_lossy());
    name.is_some_and(|name| !["___", "testkit", "build_script_build", "the_manifest_reader"].contains(&name.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_is_counted_and_the_suite_is_not() {
        let words = |name: &str| ["--crate-name", name, "--test"].map(OsString::from);
        assert!(is_counted(&words("telephony_sip")));
        assert!(is_counted(&words("channel_sdk")));
        assert!(!is_counted(&words("testkit")));
        assert!(!is_counted(&[OsString::from("-vV")]));
    }
}
