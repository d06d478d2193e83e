//! Progress for people at a terminal, plain lines for logs.

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Whether anybody watches: a terminal, and not a CI that pretends to be one.
pub(crate) fn interactive() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("CI").is_none()
}

/// One step of a longer job; says how long it took.
pub(crate) struct Step {
    bar: Option<ProgressBar>,
    what: String,
    since: Instant,
}

impl Step {
    /// Begins a step.
    pub(crate) fn new(what: impl Into<String>) -> Step {
        let what = what.into();
        let bar = interactive().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed:.dim}") {
                bar.set_style(style);
            }
            bar.set_message(what.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            eprintln!("==> {what}");
        }
        Step { bar, what, since: Instant::now() }
    }

    /// Ends it with a remark.
    pub(crate) fn done(self, remark: &str) {
        let line = format!("  ok {} {remark} ({:.1} s)", self.what, self.since.elapsed().as_secs_f64());
        match &self.bar {
            Some(bar) => {
                bar.finish_and_clear();
                eprintln!("{line}");
            }
            None => eprintln!("{line}"),
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Runs a command that writes to our terminal itself (cargo has its own progress bar).
pub(crate) fn run_visible(command: &mut Command, what: &str) -> Result<()> {
    eprintln!("==> {what}");
    let status = command.stdin(Stdio::null()).status().with_context(|| not_started(command))?;
    if !status.success() {
        bail!("{what} failed ({status}): {}", shown(command));
    }
    Ok(())
}

/// Runs a command silently; its output is shown only if it fails.
pub(crate) fn run_quiet(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| not_started(command))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{} failed ({}):\n{text}{}", shown(command), output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(text)
}

fn not_started(command: &Command) -> String {
    format!("cannot start {}: is it installed?", command.get_program().to_string_lossy())
}

fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}
