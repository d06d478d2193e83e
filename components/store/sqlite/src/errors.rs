//! From the database's words to the contract's errors, each with its remedy.
//!
//! Over `spin:sqlite` an error is a text, so texts are what can be told apart; they are SQLite's own (`sqlite3_errstr`, result codes of
//! <https://sqlite.org/rescode.html>) or the triggers' (`ventanilla:…`).

use store_sdk::log::StoreError;
use store_sdk::provider::refused;
pub(crate) use store_sdk::provider::row_error;

use crate::database::DatabaseError;

/// What a database error means for the caller.
pub(crate) fn store_error(error: &DatabaseError) -> StoreError {
    let said = error.0.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if let Some(refused) = refused(&said) {
        return refused;
    }
    if says(&["constraint failed", "datatype mismatch", "string or blob too big", "malformed json"]) {
        return StoreError::Invalid(format!(
            "the database refuses the data ({}): a defect of the connector or the store, please report it",
            error.0
        ));
    }
    let remedy = if says(&["locked", "busy"]) {
        "another program holds the database: try again, and stop the program if it stays so"
    } else if says(&["full", "no space"]) {
        "the disk is full: free some space"
    } else if says(&[
        "readonly",
        "read-only",
        "access permission denied",
        "accessdenied",
        "access denied",
        "access-denied",
    ]) {
        "the database can't be written: check the rights on its file and folder, and that the component inherits sqlite_databases"
    } else if says(&["malformed", "not a database", "corrupt"]) {
        "the database file is damaged: stop everything, keep the file, and restore the newest backup or run the sqlite3 program's .recover"
    } else if says(&["no such table", "no such column", "because it is a view"]) {
        "the schema is incomplete: it is made at the first call of a new instance, so restart; if it stays so, the file belongs to another program"
    } else if says(&["unable to open", "nosuchdatabase", "no such database"]) {
        "the database can't be opened: check that its folder exists and may be written"
    } else {
        "try again; if it stays so, look at the disk and at the host's log"
    };
    StoreError::Unavailable(format!("the database can't do it now ({}): {remedy}", error.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> StoreError {
        store_error(&DatabaseError(text.into()))
    }

    #[test]
    fn what_may_pass_is_unavailable_and_says_what_to_do() {
        for (text, remedy) in [
            ("database is locked", "another program"),
            ("database or disk is full", "free some space"),
            ("attempt to write a readonly database", "check the rights"),
            ("database disk image is malformed", "newest backup"),
            ("file is not a database", "newest backup"),
            ("unable to open database file", "folder exists"),
            ("disk I/O error", "try again"),
            ("AccessDenied", "sqlite_databases"),
        ] {
            match of(text) {
                StoreError::Unavailable(said) => {
                    assert!(said.contains(text) && said.contains(remedy), "{text}: {said}")
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_fails_again_is_invalid() {
        assert!(matches!(of("UNIQUE constraint failed: cases.tenant"), StoreError::Invalid(_)));
        assert!(matches!(of("ventanilla:no-envelope"), StoreError::Invalid(_)));
        assert_eq!(of("ventanilla:replayed"), StoreError::Replayed);
    }
}
