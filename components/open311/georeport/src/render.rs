//! Nobody is written to by this channel.

use channel_sdk::refusal::refusal;
use channel_sdk::types::{Call, Refusal, RefusalReason};

pub(crate) fn render() -> Result<Vec<Call>, Refusal> {
    Err(refusal(
        RefusalReason::Unsupported,
        "Open311 has no messages to citizens; set the case's status, or reply by an address they gave",
    ))
}
