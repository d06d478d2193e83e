//! How failures are told: what failed and why, and what to do about it.

use std::fmt;

/// A failure with a remedy.
#[derive(Debug)]
struct Failure {
    what: String,
    hint: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

/// A failure and what to do about it.
pub(crate) fn failure(what: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    Failure { what: what.into(), hint: hint.into() }.into()
}

/// What to do about it, if it says so.
pub(crate) fn hint(error: &anyhow::Error) -> Option<&str> {
    error.downcast_ref::<Failure>().map(|failure| failure.hint.as_str())
}

/// Tells it on standard error.
pub(crate) fn report(error: &anyhow::Error) {
    eprintln!("error: {}", crate::output::clean(&format!("{error:#}")));
    if let Some(hint) = hint(error) {
        eprintln!("hint: {hint}");
    }
}
