//! SQLite's errors, told so that an operator knows what to do.

use super::guest::bindings::spin::sqlite::sqlite::Error as GuestError;
use rusqlite::ErrorCode;
use std::path::Path;

/// Why a statement failed.
#[derive(Clone, Debug)]
pub struct SqlError {
    /// What the guest is told.
    pub guest: GuestError,
    /// Whether the handle's transaction is still open.
    pub in_transaction: bool,
}

impl std::fmt::Display for SqlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.guest {
            GuestError::Io(text) => f.write_str(text),
            GuestError::DatabaseFull => f.write_str("the disk of the database is full"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl SqlError {
    /// From SQLite's own error. What concerns the operator goes to the log as well.
    pub fn new(label: &str, error: &rusqlite::Error) -> Self {
        let remedy = remedy(error);
        let text = match remedy {
            Some(remedy) => format!("database {label}: {error}; {remedy}"),
            None => match error {
                rusqlite::Error::MultipleStatement => {
                    "several statements in one text: send them one by one, since Spin runs only the first".to_owned()
                }
                other => other.to_string(),
            },
        };
        if remedy.is_some() {
            tracing::error!(target: "ventanilla::sqlite", database = label, "{text}");
        } else {
            tracing::debug!(target: "ventanilla::sqlite", database = label, "a statement failed: {text}");
        }
        let guest = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => GuestError::DatabaseFull,
            _ => GuestError::Io(text),
        };
        Self { guest, in_transaction: false }
    }

    /// Not run at all.
    pub fn refused(label: &str, why: &str) -> Self {
        Self { guest: GuestError::Io(format!("database {label}: {why}")), in_transaction: false }
    }

    /// The host is stopping.
    pub fn closed(label: &str) -> Self {
        Self::refused(label, "the host is stopping; try again")
    }

    /// The transaction was ended by the host.
    pub fn transaction_gone(label: &str) -> Self {
        Self::refused(
            label,
            "the transaction was rolled back because it stayed open too long, or the host is stopping; begin it again",
        )
    }
}

fn remedy(error: &rusqlite::Error) -> Option<&'static str> {
    Some(match error.sqlite_error_code()? {
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            "the file is damaged or not a SQLite database: stop the host, keep a copy, then restore a backup or use sqlite3's .recover"
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            "another program holds a lock on it: close that program (fuser shows it), then try again"
        }
        ErrorCode::ReadOnly => "the file is read-only: let the host's user write to the file and to its folder",
        ErrorCode::DiskFull => "the disk is full: make room; nothing was stored",
        ErrorCode::CannotOpen => {
            "the file can't be opened: see that its folder exists and that the host's user may write there"
        }
        ErrorCode::SystemIoFailure => "the disk reports an error: see the system's log; nothing was stored",
        ErrorCode::OperationInterrupted => "the statement ran too long and was stopped",
        _ => return None,
    })
}

/// For the operator, at start.
pub(super) fn opening(label: &str, file: &Path, error: &rusqlite::Error) -> anyhow::Error {
    let remedy = remedy(error).unwrap_or("choose another --data folder, or move the file away");
    anyhow::anyhow!("can't open database {label} ({}): {error}; {remedy}", file.display())
}
