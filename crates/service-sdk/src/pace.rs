//! When somebody wants to be left alone until.

use channel_sdk::json::parse_instant;

const SECOND: i64 = 1000;
const DAY: i64 = 24 * 3600 * SECOND;

/// When a provider asks to be left alone until (RFC 9110 §10.2.3): seconds, or a date. Within a second and a day from now.
pub fn retry_after(value: &[u8], now: i64) -> Option<i64> {
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
