//! When to try again, and when no more.

use channel_sdk::json::parse_instant;

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// Milliseconds after a failed try: 5 s, doubled each time, an hour at most. Without chance in it: one courier per connector
/// sends one after another, so there is no herd to scatter.
pub(super) fn back_off(attempt: u32) -> i64 {
    (5 * SECOND).checked_shl(attempt.min(16)).unwrap_or(HOUR).min(HOUR)
}

/// How long something is tried. An acknowledgement that comes days later confuses.
pub(super) fn max_age(automatic: bool) -> i64 {
    if automatic { DAY } else { 3 * DAY }
}

/// When a provider asks to be left alone until (RFC 9110 §10.2.3): seconds, or a date. Within a second and a day from now.
pub(super) fn retry_after(value: &[u8], now: i64) -> Option<i64> {
    let text = str::from_utf8(value).ok()?.trim();
    let at = match text.parse::<u32>() {
        Ok(seconds) => now + i64::from(seconds) * SECOND,
        Err(_) => date(text)?,
    };
    Some(at.clamp(now + SECOND, now + DAY))
}

/// RFC 9110 §5.6.7 IMF-fixdate, e.g. `Sun, 06 Nov 1994 08:49:37 GMT`; the obsolete forms are not sent any more.
fn date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let (time, zone) = (words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    if zone != "GMT" || words.next().is_some() {
        return None;
    }
    parse_instant(&format!("{year}-{month:02}-{day}T{time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_doubles_up_to_an_hour() {
        let waits: Vec<i64> = (0..4).map(back_off).collect();
        assert_eq!(waits, [5000, 10_000, 20_000, 40_000]);
        assert_eq!((back_off(10), back_off(u32::MAX)), (HOUR, HOUR));
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let now = 784_111_777_000; // 1994-11-06T08:49:37Z
        assert_eq!(retry_after(b"120", now), Some(now + 120_000));
        assert_eq!(retry_after(b" 0 ", now), Some(now + 1000));
        assert_eq!(retry_after(b"99999999", now), Some(now + DAY));
        assert_eq!(retry_after(b"Sun, 06 Nov 1994 08:50:37 GMT", now), Some(now + 60_000));
        assert_eq!(retry_after(b"Sun, 06 Nov 1994 08:40:37 GMT", now), Some(now + 1000), "the past");
        for bad in
            [&b"soon"[..], b"", b"-1", b"1.5", b"\xff", b"Sun, 06 Foo 1994 08:50:37 GMT", b"Sun, 06 Nov 1994 08:50:37"]
        {
            assert_eq!(retry_after(bad, now), None);
        }
    }
}
