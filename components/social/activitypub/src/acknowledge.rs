//! 202 for what is kept (ActivityPub §7 leaves the status open; servers expect 202). A bad signature is 401 and not 403: senders
//! that know both kinds of signature try the other one then, and 401 is the 4xx after which Mastodon comes again.

use channel_sdk::answer;
use channel_sdk::refusal;
use channel_sdk::types::{Outcome, RefusalReason, Response};

const METHODS: &str = "GET, POST";

/// The answer to a request of which this became.
pub(crate) fn acknowledge(outcome: &Outcome) -> Response {
    match outcome {
        Outcome::Accepted(_) | Outcome::Quarantined(_) | Outcome::Found(_) => answer::empty(202),
        Outcome::Refused(refused) => {
            let mut response = refusal::response(refused, METHODS);
            if matches!(
                refused.reason,
                RefusalReason::MissingSignature
                    | RefusalReason::BadSignature
                    | RefusalReason::Stale
                    | RefusalReason::Replayed
                    | RefusalReason::Unsigned
            ) {
                response.status = 401;
            }
            response
        }
        Outcome::Unavailable(seconds) => answer::unavailable(*seconds),
    }
}
