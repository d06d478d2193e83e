//! When to try again, and when no more.

pub(super) use service_sdk::pace::retry_after;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_doubles_up_to_an_hour() {
        let waits: Vec<i64> = (0..4).map(back_off).collect();
        assert_eq!(waits, [5000, 10_000, 20_000, 40_000]);
        assert_eq!((back_off(10), back_off(u32::MAX)), (HOUR, HOUR));
    }
}
