//! What a receiver's answer means, and when to try again.

use service_sdk::edge::Inbound;
use service_sdk::pace::retry_after;

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// A receiver that fails for so long is given up, until somebody says `resume`.
pub(crate) const GIVE_UP: i64 = 5 * DAY;

/// What became of one message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    /// Not now. The receiver may have said when.
    Later(Option<i64>, String),
    /// It wants no more, ever.
    Gone(String),
}

/// Reads an answer. Nothing of its body is kept: it is the receiver's, and may quote what it was told.
pub(crate) fn read(answer: Result<&Inbound, &str>, now: i64) -> Verdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return Verdict::Later(None, format!("the receiver was not reached: {why}")),
    };
    let after = || {
        let header = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
        header.and_then(|(_, value)| retry_after(value, now))
    };
    let status = answer.status;
    match status {
        200..=299 => Verdict::Done,
        // Standard Webhooks 1.0, "Delivery success and failure": the endpoint wants no more.
        410 => Verdict::Gone("the receiver answered 410: it wants no more; resume it when it does again".into()),
        300..=399 => {
            Verdict::Later(None, format!("the receiver redirects ({status}), which is not followed: correct its url"))
        }
        429 | 503 => Verdict::Later(after(), format!("the receiver can't take it now ({status})")),
        _ => Verdict::Later(None, format!("the receiver refused it ({status})")),
    }
}

/// Milliseconds after a failed try: 5 s, doubled each time, four hours at most, up to a fifth more by chance, so that receivers
/// which went down together are not all asked at the same moment. `chance` is anything that differs from lease to lease.
pub(crate) fn back_off(attempts: u32, chance: &str) -> i64 {
    let pause = (5 * SECOND).checked_shl(attempts.min(16)).unwrap_or(i64::MAX).min(4 * HOUR);
    let drawn = chance.bytes().rev().take(8).fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    pause + pause * i64::try_from(drawn % 1000).unwrap_or(0) / 5000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, headers: &[(&str, &str)]) -> Verdict {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        read(Ok(&Inbound { status, headers, body: b"s3cr3t".to_vec(), cut: false }), 0)
    }

    #[test]
    fn only_2xx_is_done_and_410_is_the_end() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(verdict(status, &[]), Verdict::Done);
        }
        assert!(matches!(verdict(410, &[]), Verdict::Gone(_)));
        for status in [100, 301, 302, 307, 308, 400, 401, 404, 408, 422, 500, 502, 504] {
            assert!(matches!(verdict(status, &[("retry-after", "7")]), Verdict::Later(None, _)), "{status}");
        }
        assert!(matches!(read(Err("no answer"), 0), Verdict::Later(None, why) if why.contains("no answer")));
    }

    #[test]
    fn who_is_busy_says_when() {
        for status in [429, 503] {
            assert!(matches!(verdict(status, &[("Retry-After", "90")]), Verdict::Later(Some(90_000), _)));
            assert!(matches!(verdict(status, &[]), Verdict::Later(None, why) if !why.contains("s3cr3t")));
        }
    }

    #[test]
    fn waiting_doubles_up_to_hours_and_differs() {
        for (attempts, least) in
            [(0, 5000), (1, 10_000), (2, 20_000), (11, 10_240_000), (12, 4 * HOUR), (u32::MAX, 4 * HOUR)]
        {
            for chance in ["", "0192d938-5280-7fff-bfff-ffffffffffff"] {
                let pause = back_off(attempts, chance);
                assert!((least..=least + least / 5).contains(&pause), "{attempts}: {pause}");
            }
        }
        assert_ne!(back_off(5, "a"), back_off(5, "b"));
    }
}
