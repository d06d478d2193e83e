//! Which status an outcome has, and what a connector may make of it. The connector's answer is the real one, since it
//! belongs to the provider; this table is the fallback and the fence.

use channel_sdk::types::{Outcome, RefusalReason};

/// Seconds after which a provider should come again when the store does not take writes.
pub(crate) const RETRY_S: u32 = 30;

/// Seconds after which it should come again when there was no place for it.
pub(crate) const BUSY_S: u32 = 5;

/// The one table: outcome → status when the connector has no usable answer.
pub(crate) fn status(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Accepted(_) | Outcome::Quarantined(_) | Outcome::Found(_) => 200,
        Outcome::Unavailable(_) => 503,
        Outcome::Refused(refusal) => match refusal.reason {
            RefusalReason::MissingSignature => 401,
            RefusalReason::BadSignature | RefusalReason::Stale | RefusalReason::Replayed | RefusalReason::Unsigned => {
                403
            }
            RefusalReason::NotFound => 404,
            RefusalReason::MethodNotAllowed => 405,
            RefusalReason::TooLarge => 413,
            RefusalReason::UnsupportedMediaType => 415,
            RefusalReason::Malformed => 400,
            RefusalReason::WindowClosed | RefusalReason::Unsupported => 422,
        },
    }
}

/// Whether a connector may answer an outcome with a status. A success without a commit can't be said, whatever the
/// connector wants; neither can "come again" for ever about what will never be accepted.
pub(crate) fn allows(outcome: &Outcome, status: u16) -> bool {
    match outcome {
        Outcome::Accepted(_) | Outcome::Quarantined(_) | Outcome::Found(_) => (200..600).contains(&status),
        Outcome::Unavailable(_) => status == 429 || (500..600).contains(&status),
        Outcome::Refused(_) => (400..500).contains(&status),
    }
}

/// As it stands in a log line.
pub(crate) fn reason(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::MissingSignature => "missing-signature",
        RefusalReason::BadSignature => "bad-signature",
        RefusalReason::Stale => "stale",
        RefusalReason::Replayed => "replayed",
        RefusalReason::Unsigned => "unsigned",
        RefusalReason::MethodNotAllowed => "method-not-allowed",
        RefusalReason::NotFound => "not-found",
        RefusalReason::TooLarge => "too-large",
        RefusalReason::UnsupportedMediaType => "unsupported-media-type",
        RefusalReason::Malformed => "malformed",
        RefusalReason::WindowClosed => "window-closed",
        RefusalReason::Unsupported => "unsupported",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use channel_sdk::types::Refusal;

    const REASONS: [RefusalReason; 12] = [
        RefusalReason::MissingSignature,
        RefusalReason::BadSignature,
        RefusalReason::Stale,
        RefusalReason::Replayed,
        RefusalReason::Unsigned,
        RefusalReason::MethodNotAllowed,
        RefusalReason::NotFound,
        RefusalReason::TooLarge,
        RefusalReason::UnsupportedMediaType,
        RefusalReason::Malformed,
        RefusalReason::WindowClosed,
        RefusalReason::Unsupported,
    ];

    fn refused(reason: RefusalReason) -> Outcome {
        Outcome::Refused(Refusal { reason, detail: String::new() })
    }

    #[test]
    fn every_fallback_is_within_the_fence() {
        let stored = [Outcome::Accepted(vec![]), Outcome::Quarantined(vec![]), Outcome::Unavailable(RETRY_S)];
        for outcome in stored.into_iter().chain(REASONS.map(refused)) {
            assert!(allows(&outcome, status(&outcome)), "{outcome:?}");
        }
    }

    #[test]
    fn nothing_but_a_commit_can_be_answered_with_success() {
        for code in 0..1000 {
            if !(400..600).contains(&code) {
                assert!(!allows(&Outcome::Unavailable(1), code), "{code}");
                assert!(REASONS.iter().all(|&reason| !allows(&refused(reason), code)), "{code}");
            }
        }
        assert!(allows(&Outcome::Accepted(vec![]), 204));
        assert!(!allows(&Outcome::Accepted(vec![]), 100));
    }

    #[test]
    fn what_will_never_be_accepted_is_not_answered_with_come_again() {
        assert!(REASONS.iter().all(|&reason| !allows(&refused(reason), 503)));
        assert!(!allows(&Outcome::Unavailable(1), 404));
    }
}
