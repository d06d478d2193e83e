//! An empty `<Response/>`: received, and no reply from here. Replies and acknowledgements to people go by the API, where
//! their delivery is known.

use channel_sdk::answer;
use channel_sdk::types::{Outcome, Response};

/// Twilio does not come again after a 503, but asks the fallback URL: set it to the same address.
pub(crate) fn acknowledge(outcome: &Outcome) -> Response {
    match outcome {
        Outcome::Accepted(_) | Outcome::Quarantined(_) => Response {
            status: 200,
            headers: vec![("content-type".into(), "text/xml; charset=utf-8".into())],
            body: b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response/>".to_vec(),
        },
        other => answer::by_status(other, "GET, POST"),
    }
}
