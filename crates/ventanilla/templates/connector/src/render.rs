//! Replies. There are none yet: `capability` in `describe` says so, and the gateway tells staff.

use channel_sdk::refusal::refusal;
use channel_sdk::types::{Call, Outgoing, Refusal, RefusalReason};

/// The calls that carry an answer to a citizen, with secrets named and not present.
pub(crate) fn render(_: &Outgoing) -> Result<Vec<Call>, Refusal> {
    Err(refusal(RefusalReason::Unsupported, "this connector does not reply yet; answer by another channel"))
}
