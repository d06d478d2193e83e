//! 200 is done and 406 is "never again"; anything else is tried for eight hours.

use channel_sdk::answer;
use channel_sdk::types::{Outcome, Response};

pub(crate) fn acknowledge(outcome: &Outcome) -> Response {
    match outcome {
        Outcome::Refused(_) => answer::empty(406),
        other => answer::by_status(other, "POST"),
    }
}
