//! The public JSON of events and profiles, as the API answers it, golden files keep it and the store saves it.
//!
//! Absent members are omitted, times are RFC 3339 UTC, ids are strings. Reading is strict: an unknown or ill-typed
//! member is an error that names it.

mod event;
mod profile;
mod read;
mod time;

pub use event::{event, intake, kind_name, kind_names, parse_event, parse_kind};
pub use profile::{is_code, parse_profile, profile};
pub use read::JsonError;
pub use time::{format_instant, is_writable, parse_instant};

use crate::types::{CaseStatus, Task};

/// `new open pending resolved closed`.
pub fn case_status_name(status: CaseStatus) -> &'static str {
    match status {
        CaseStatus::New => "new",
        CaseStatus::Open => "open",
        CaseStatus::Pending => "pending",
        CaseStatus::Resolved => "resolved",
        CaseStatus::Closed => "closed",
    }
}

/// The status of a name; none if there is no such status.
pub fn parse_case_status(name: &str) -> Option<CaseStatus> {
    Some(match name {
        "new" => CaseStatus::New,
        "open" => CaseStatus::Open,
        "pending" => CaseStatus::Pending,
        "resolved" => CaseStatus::Resolved,
        "closed" => CaseStatus::Closed,
        _ => return None,
    })
}

/// `call_back review`.
pub fn task_name(task: Task) -> &'static str {
    match task {
        Task::CallBack => "call_back",
        Task::Review => "review",
    }
}

/// The task of a name; none if there is no such task.
pub fn parse_task(name: &str) -> Option<Task> {
    Some(match name {
        "call_back" => Task::CallBack,
        "review" => Task::Review,
        _ => return None,
    })
}
