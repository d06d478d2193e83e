//! Meta reads the status only: 200, or the delivery comes again for up to seven days.

use channel_sdk::answer;
use channel_sdk::types::{Outcome, Response};

/// The answer to a request of which this became.
pub(crate) fn acknowledge(outcome: &Outcome) -> Response {
    answer::by_status(outcome, "GET, POST")
}
