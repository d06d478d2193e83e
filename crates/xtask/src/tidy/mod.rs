//! `cargo xtask tidy`: what a compiler can't see. Each check lists every violation, with what to do about it.

mod contracts;
mod crates;
mod invariants;
mod licences;
mod sources;

use anyhow::{Result, bail};

/// A check: its name as a sentence, and the violations it finds.
type Check = (&'static str, fn() -> Result<Vec<String>>);

const CHECKS: &[Check] = &[
    ("every module says what it is for", sources::module_docs),
    ("no file is longer than 600 lines", sources::file_length),
    ("no path of a developer's machine is in a file", sources::machine_paths),
    ("no vendor is known outside its own folder", sources::vendor_names),
    ("every crate takes the workspace's lints", crates::lints),
    ("dependencies point the way ARCHITECTURE.md says", crates::direction),
    ("the contracts parse and everybody uses their version", contracts::versions),
    ("connectors import types and nothing else", contracts::connector_imports),
    ("every invariant and every bad input has tests that exist", invariants::are_proved),
    ("no component remembers anything of a request", invariants::no_memory),
    ("licences of dependencies are acceptable", licences::acceptable),
];

/// How many checks passed and failed.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// As they were printed.
    pub(crate) violations: Vec<String>,
}

/// Runs every check and says what it found.
pub(crate) fn check() -> Outcome {
    let mut outcome = Outcome::default();
    for (name, check) in CHECKS {
        let violations = check().unwrap_or_else(|error| vec![format!("could not be checked: {error:#}")]);
        if violations.is_empty() {
            eprintln!("  ok {name}");
            outcome.passed += 1;
            continue;
        }
        outcome.failed += 1;
        let lines = std::iter::once(format!("FAIL {name}"));
        for line in lines.chain(violations.iter().map(|violation| format!("     {violation}"))) {
            eprintln!("{line}");
            outcome.violations.push(line);
        }
    }
    outcome
}

/// Runs every check; an error if one fails.
pub(crate) fn run() -> Result<()> {
    let outcome = check();
    if outcome.failed > 0 {
        bail!("{} of {} checks failed", outcome.failed, outcome.failed + outcome.passed);
    }
    Ok(())
}
