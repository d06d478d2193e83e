//! A proxy relays calls; it makes none.

use channel_sdk::refusal::refusal;
use channel_sdk::types::{Call, Refusal, RefusalReason};

pub(crate) fn render() -> Result<Vec<Call>, Refusal> {
    Err(refusal(
        RefusalReason::Unsupported,
        "a SIP proxy takes no orders to call; call back by telephone and note it in the case",
    ))
}
