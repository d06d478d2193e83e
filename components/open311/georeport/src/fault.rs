//! What is wrong with a request, as the standard tells it: an HTTP status, and one or more errors with code and description.

use channel_sdk::refusal::refusal;
use channel_sdk::types::{Refusal, RefusalReason};

/// One error. The description goes to the client and to the operator's log, so it never quotes what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    /// As in the body: the HTTP status or more specific.
    pub(crate) code: u16,
    pub(crate) description: String,
}

impl Fault {
    pub(crate) fn new(status: u16, description: impl Into<String>) -> Self {
        Self { status, code: status, description: description.into() }
    }

    /// The standard's 400 "general service error": whatever is not 403 or 404.
    pub(crate) fn bad(description: impl Into<String>) -> Self {
        Self::new(400, description)
    }

    pub(crate) fn unknown(description: impl Into<String>) -> Self {
        Self::new(404, description)
    }

    pub(crate) fn key() -> Self {
        Self::new(403, "api_key is missing or not valid; the administration hands them out")
    }

    fn reason(&self) -> RefusalReason {
        match self.status {
            403 => RefusalReason::MissingSignature,
            404 => RefusalReason::NotFound,
            405 => RefusalReason::MethodNotAllowed,
            413 => RefusalReason::TooLarge,
            _ => RefusalReason::Malformed,
        }
    }
}

/// At least one error. The first decides the HTTP status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) first: Fault,
    pub(crate) others: Vec<Fault>,
}

impl Faults {
    /// None if there is no error.
    pub(crate) fn of(faults: Vec<Fault>) -> Option<Self> {
        let mut faults = faults.into_iter();
        let first = faults.next()?;
        Some(Self { first, others: faults.collect() })
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Fault> {
        core::iter::once(&self.first).chain(&self.others)
    }

    pub(crate) fn refusal(&self) -> Refusal {
        refusal(self.first.reason(), self.first.description.clone())
    }
}

impl From<Fault> for Faults {
    fn from(first: Fault) -> Self {
        Self { first, others: Vec::new() }
    }
}
