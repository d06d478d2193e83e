//! A form takes no answers.

use channel_sdk::refusal::refusal;
use channel_sdk::types::{Call, Refusal, RefusalReason};

pub(crate) fn render() -> Result<Vec<Call>, Refusal> {
    Err(refusal(
        RefusalReason::Unsupported,
        "nothing can be sent to a form; answer by the e-mail address or telephone number left in it",
    ))
}
