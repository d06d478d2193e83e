//! The answer that makes the provider stop resending. Say here what it reads and when it comes again.

use channel_sdk::answer;
use channel_sdk::types::{Outcome, Response};

/// The answer to a request of which this became.
pub(crate) fn acknowledge(outcome: &Outcome) -> Response {
    answer::by_status(outcome, "POST")
}
