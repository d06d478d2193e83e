//! `cargo xtask test`: everything the CI runs, in one go, counted.

use crate::components::{self, cargo};
use crate::recap::Recap;
use crate::{layout, peers, run, tidy};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What is tested.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only tests whose name contains this; tidy and format are then left out.
    filter: Option<String>,
    /// Where the application runs in black-box tests: our own host, or a `spin` program (4.1 or newer) on PATH.
    #[arg(long, value_parser = ["host", "spin"], default_value = "host")]
    on: String,
    /// The store of the application in black-box tests; with `postgres` a server is started, and nothing else is tested.
    #[arg(long, value_parser = ["sqlite", "postgres"], default_value = "sqlite")]
    profile: String,
}

impl Options {
    /// What the CI tests. Otherwise only black-box tests are run, once more, elsewhere.
    fn usual(&self) -> bool {
        self.on == "host" && self.profile == "sqlite"
    }
}

/// Tests counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    /// Not tried; each said why.
    skipped: u64,
    /// What the failed ones said.
    told: String,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.told.push_str(&other.told);
    }

    /// One failure, said now and at the end.
    fn fail(&mut self, why: &str) {
        eprintln!("{why}");
        self.failed += 1;
        self.told.push_str(&format!("{why}\n"));
    }

    /// One step that succeeded or not.
    fn step(&mut self, name: &str, result: Result<()>) -> bool {
        match result {
            Ok(()) => self.passed += 1,
            Err(error) => {
                self.fail(&format!("FAIL {name}: {error:#}"));
                return false;
            }
        }
        true
    }
}

/// Runs everything. The last line on standard output is `N passed, N failed`; zero tests are a failure.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    since_start();
    let mut tally = Tally::default();
    let result = all(options, &mut tally);
    if let Err(error) = &result {
        tally.fail(&format!("error: {error:#}"));
    }
    eprintln!("==> tests took {} s", since_start().as_secs());
    if tally.passed + tally.failed == 0 {
        eprintln!(
            "error: no test was run{}",
            options.filter.as_ref().map(|f| format!(": nothing is named {f}")).unwrap_or_default()
        );
    }
    if tally.skipped > 0 {
        eprintln!("==> {} skipped; each says why", tally.skipped);
    }
    eprint!("{}", tally.told);
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 && tally.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn all(options: &Options, tally: &mut Tally) -> Result<()> {
    let on_spin = options.on == "spin";
    let spin = if on_spin {
        let found = peers::find("spin");
        Some(found.context("there is no program `spin` on PATH; get Spin 4.1 or newer, or build it from source")?)
    } else {
        None
    };
    if options.filter.is_none() && options.usual() {
        eprintln!("==> tidy");
        let outcome = tidy::check();
        let told = outcome.violations.iter().map(|line| format!("{line}\n")).collect();
        tally.add(Tally { passed: outcome.passed, failed: outcome.failed, told, ..Tally::default() });
        tally.step("format", format());
    }
    if !tally.step("components", components::build()) || !tally.step("program", run::build_program()) {
        bail!("what is tested can't be built; the tests were not run");
    }
    if options.usual() {
        tally.add(unit(options.filter.as_deref())?);
    }
    tally.add(black_box(options, spin.as_deref())?);
    Ok(())
}

/// Formatting, if rustfmt is installed.
fn format() -> Result<()> {
    let mut probe = Command::new(cargo());
    if !probe.args(["fmt", "--version"]).output().is_ok_and(|output| output.status.success()) {
        eprintln!("  (rustfmt is not installed: the format is not checked; rustup component add rustfmt)");
        return Ok(());
    }
    let status =
        Command::new(cargo()).current_dir(layout::root()).args(["fmt", "--all", "--check", "--", "-l"]).status()?;
    if !status.success() {
        bail!("these files are not formatted; run: cargo fmt");
    }
    Ok(())
}

/// `cargo test` of every member. Guests are tested natively: their exports are for wasm only, so they link anywhere.
fn unit(filter: Option<&str>) -> Result<Tally> {
    let mut folders = Vec::new();
    for room in ["crates", "components/store"] {
        let members = layout::subfolders(&layout::root().join(room))?;
        folders.extend(members.into_iter().map(|member| member.join("tests")));
    }
    peers::provide(&folders)?;
    let mut command = Command::new(cargo());
    command.current_dir(layout::root()).args(["test", "--release", "--workspace", "--no-fail-fast"]).args(filter);
    command.env("VENTANILLA_COMPONENTS", layout::components_dir());
    let (tally, success) = counted(&mut command, "cargo test", rust_result)?;
    if !success && tally.failed == 0 {
        bail!("cargo test failed although no test did: see its output above");
    }
    Ok(tally)
}

/// Every `tests/*/run.py`.
fn black_box(options: &Options, spin: Option<&Path>) -> Result<Tally> {
    let mut folders = layout::subfolders(&layout::root().join("tests"))?;
    folders.retain(|folder| folder.join("run.py").is_file());
    peers::provide(&folders)?;
    let mut tally = Tally::default();
    for folder in &folders {
        let name = format!("tests/{}", layout::name_of(folder));
        let mut command = hook(folder, options, spin);
        let (found, success) = counted(&mut command, &name, summary)?;
        // Of a file about our own program nothing can be tried elsewhere.
        let tried = found.passed + found.failed + if options.usual() { 0 } else { found.skipped };
        let badly = tried == 0 && options.filter.is_none() || !success && tried > 0 && found.failed == 0;
        tally.add(found);
        if badly {
            tally.fail(&format!("FAIL {name}: it ended badly or ran no test"));
        }
    }
    Ok(tally)
}

fn hook(folder: &Path, options: &Options, spin: Option<&Path>) -> Command {
    let mut command = Command::new("python3");
    command
        .current_dir(folder)
        .arg(folder.join("run.py"))
        .args(&options.filter)
        .env("VENTANILLA_ROOT", layout::root())
        .env("VENTANILLA_BIN", layout::program())
        .env("VENTANILLA_COMPONENTS", layout::components_dir())
        .env("VENTANILLA_MANIFEST", layout::root().join("spin.toml"))
        .env("VENTANILLA_ON", &options.on)
        .env("VENTANILLA_PROFILE", &options.profile)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1");
    if let Some(spin) = spin {
        command.env("VENTANILLA_SPIN", spin);
    }
    let sbin: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .collect();
    if let Ok(path) = std::env::join_paths(sbin) {
        command.env("PATH", path);
    }
    command
}

/// Runs a program, shows what it prints, and counts with `read` what its lines say.
fn counted(command: &mut Command, name: &str, read: fn(&str) -> Option<Tally>) -> Result<(Tally, bool)> {
    eprintln!("==> {name} ({} s since the start)", since_start().as_secs());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
    let mut tally = Tally::default();
    let mut recap = Recap::default();
    let output = child.stdout.take().context("no output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        // Standard output is kept for our own last line.
        eprintln!("{line}");
        recap.read(&line);
        if let Some(found) = read(&line) {
            tally.add(found);
        }
    }
    tally.told = recap.text(name).unwrap_or_default();
    Ok((tally, child.wait()?.success()))
}

/// How long this program runs.
fn since_start() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// `test result: ok. 30 passed; 0 failed; 0 ignored; …`
fn rust_result(line: &str) -> Option<Tally> {
    let rest = line.strip_prefix("test result: ")?;
    let (_, rest) = rest.split_once(". ")?;
    let count = |word: &str| rest.split("; ").find_map(|part| part.strip_suffix(word)?.trim().parse().ok());
    Some(Tally { passed: count(" passed")?, failed: count(" failed")?, ..Tally::default() })
}

/// `3 passed, 0 failed`, possibly with more after it; or one line of JSON per story, with `ok`.
fn summary(line: &str) -> Option<Tally> {
    if let Some(story) = serde_json::from_str::<serde_json::Value>(line).ok().filter(|line| line.get("story").is_some())
    {
        let ok = story.get("ok") == Some(&serde_json::Value::Bool(true));
        return Some(Tally { passed: u64::from(ok), failed: u64::from(!ok), ..Tally::default() });
    }
    if let Some((skipped, _)) = line.split_once(" SKIPPED: ") {
        return Some(Tally { skipped: skipped.parse().ok()?, ..Tally::default() });
    }
    let (passed, rest) = line.split_once(" passed, ")?;
    let (failed, _) = rest.split_once(" failed")?;
    Some(Tally { passed: passed.trim().parse().ok()?, failed: failed.parse().ok()?, ..Tally::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_cargo_and_of_our_own_tests_are_counted() {
        let line = "test result: FAILED. 30 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(rust_result(line).map(|t| (t.passed, t.failed)), Some((30, 2)));
        assert_eq!(rust_result("test a ... ok"), None);
        assert_eq!(summary("12 passed, 3 failed").map(|t| (t.passed, t.failed)), Some((12, 3)));
        assert_eq!(summary("12 passed, 3 failed, 1 skipped").map(|t| (t.passed, t.failed)), Some((12, 3)));
        assert_eq!(summary("19 SKIPPED: why is said above").map(|t| (t.passed, t.failed, t.skipped)), Some((0, 0, 19)));
        assert_eq!(summary("SKIPPED a sentence: why"), None);
        assert_eq!(summary("all passed, none failed"), None);
        assert_eq!(summary(r#"{"story": "busy", "ok": true}"#).map(|t| (t.passed, t.failed)), Some((1, 0)));
        assert_eq!(summary(r#"{"story": "busy"}"#).map(|t| (t.passed, t.failed)), Some((0, 1)));
    }

    #[test]
    fn a_step_that_fails_is_a_failed_test() {
        let mut tally = Tally::default();
        assert!(tally.step("a", Ok(())));
        assert!(!tally.step("b", Err(anyhow::anyhow!("why"))));
        assert_eq!(tally, Tally { passed: 1, failed: 1, told: "FAIL b: why\n".into(), ..Tally::default() });
    }
}
