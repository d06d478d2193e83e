//! The acknowledgement of providers that look at the status and nothing else.

use crate::refusal;
use crate::types::{Outcome, Response};

/// 200 without a body once it is stored, 503 with `Retry-After` when it is not, and a refusal's own status.
/// `methods` is the value of `allow` in a 405.
pub fn by_status(outcome: &Outcome, methods: &str) -> Response {
    match outcome {
        Outcome::Accepted(_) | Outcome::Quarantined(_) | Outcome::Found(_) => empty(200),
        Outcome::Refused(refused) => refusal::response(refused, methods),
        Outcome::Unavailable(seconds) => unavailable(*seconds),
    }
}

/// A status and no more.
pub fn empty(status: u16) -> Response {
    Response { status, headers: Vec::new(), body: Vec::new() }
}

/// Not stored: come again after this many seconds.
pub fn unavailable(seconds: u32) -> Response {
    Response { status: 503, headers: vec![("retry-after".into(), seconds.to_string())], body: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Refusal, RefusalReason};

    #[test]
    fn only_what_is_stored_is_answered_with_2xx() {
        let refused = |reason| Outcome::Refused(Refusal { reason, detail: "for the log".into() });
        for (outcome, status) in [
            (Outcome::Accepted(vec![]), 200),
            (Outcome::Quarantined(vec![]), 200),
            (refused(RefusalReason::BadSignature), 403),
            (refused(RefusalReason::MethodNotAllowed), 405),
            (Outcome::Unavailable(7), 503),
        ] {
            let answer = by_status(&outcome, "GET, POST");
            assert_eq!(answer.status, status);
            assert!(!String::from_utf8_lossy(&answer.body).contains("for the log"));
        }
        assert_eq!(unavailable(7).headers, [("retry-after".to_owned(), "7".to_owned())]);
    }
}
