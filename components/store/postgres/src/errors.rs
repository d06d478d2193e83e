//! From the database's words to the contract's errors, each with its remedy.
//!
//! They begin with the SQLSTATE (PostgreSQL, appendix A), as the adapters to a database write them; 08001 stands for a connection that was
//! not made.

use store_sdk::database::DatabaseError;
use store_sdk::log::StoreError;
use store_sdk::provider::refused;

use crate::store::Next;

fn code(error: &DatabaseError) -> &str {
    error.0.split(' ').next().unwrap_or_default()
}

/// What helps against an error at once.
pub(crate) fn what_next(error: &DatabaseError) -> Next {
    match code(error) {
        // Serialization failure, deadlock, and a constraint that another transaction was faster with.
        "40001" | "40P01" | "23505" => Next::Again,
        // COMMIT of a procedure inside a transaction; any statement inside one that has failed.
        "2D000" | "25P02" => Next::RollBack,
        _ => Next::Tell,
    }
}

/// What a database error means for the caller.
pub(crate) fn store_error(error: &DatabaseError) -> StoreError {
    if let Some(refused) = refused(&error.0) {
        return refused;
    }
    let class = code(error).get(..2).unwrap_or_default();
    if matches!(class, "22" | "23" | "54") {
        return StoreError::Invalid(format!(
            "the database refuses the data ({}): a defect of the connector or the store, please report it",
            error.0
        ));
    }
    let remedy = match (code(error), class) {
        // No such schema, function, table, column; or what ready_1 raises.
        ("3F000" | "42883" | "42P01" | "42703", _) => {
            "its schema is missing or older than this program: run ventanilla migrate"
        }
        ("P0001", _) if error.0.contains("ventanilla:old-schema") => {
            "its schema is older than this program: run ventanilla migrate"
        }
        ("42501", _) => {
            "the role of postgres_url may not: have the schema's owner run SELECT ventanilla.admit_1('the role')"
        }
        ("25006", _) => "this is a standby that takes no writes: point postgres_url to the primary",
        ("53100", _) => "the database's disk is full: free some space",
        ("53300", _) => "the server has no free connection: raise max_connections or lower the number of instances",
        ("3D000", _) => "there is no such database: create it and run ventanilla migrate",
        ("40001" | "40P01" | "55P03" | "57014", _) => "others were in the way: try again",
        (_, "28") => "it does not let us in: check user and password of postgres_url",
        (_, "08" | "57") => "it can't be reached or is restarting: try again, and check postgres_url if it stays so",
        _ => "try again; if it stays so, look at the database's log",
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
            ("42883 procedure ventanilla.intake_1(text, text, bytea, unknown) does not exist", "ventanilla migrate"),
            ("3F000 schema \"ventanilla\" does not exist", "ventanilla migrate"),
            ("P0001 ventanilla:old-schema", "ventanilla migrate"),
            ("08001 connection refused", "postgres_url"),
            ("57P01 terminating connection due to administrator command", "try again"),
            ("28P01 password authentication failed", "user and password"),
            ("53300 too many clients already", "max_connections"),
            ("25006 cannot execute UPDATE in a read-only transaction", "primary"),
            ("42501 permission denied for schema ventanilla", "admit_1"),
            ("40P01 deadlock detected", "try again"),
            ("something without a code", "try again"),
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
        assert!(matches!(of("23514 new row violates check constraint"), StoreError::Invalid(_)));
        assert!(matches!(of("22P05 unsupported Unicode escape sequence"), StoreError::Invalid(_)));
        assert!(matches!(of("P0001 ventanilla:no-envelope"), StoreError::Invalid(_)));
        assert_eq!(of("P0001 ventanilla:replayed"), StoreError::Replayed);
    }

    #[test]
    fn who_lost_against_another_tries_again_and_an_open_transaction_is_ended() {
        let next = |text: &str| what_next(&DatabaseError(text.into()));
        assert_eq!(next("40P01 deadlock detected"), Next::Again);
        assert_eq!(next("2D000 invalid transaction termination"), Next::RollBack);
        assert_eq!(next("25P02 current transaction is aborted"), Next::RollBack);
        assert_eq!(next("57P01 terminating connection"), Next::Tell);
    }
}
