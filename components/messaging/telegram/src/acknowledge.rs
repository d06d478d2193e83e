//! Telegram reads the status only. An answer could carry one API call; ours go by `sendMessage`, whose result is known.

use channel_sdk::answer;
use channel_sdk::types::{Outcome, Response};

/// The answer to a request of which this became.
pub(crate) fn acknowledge(outcome: &Outcome) -> Response {
    answer::by_status(outcome, "POST")
}
