//! The time window of a signed timestamp. It is closed on both sides: a time far ahead is as wrong as one long ago.

/// Whether `signed_at` lies within `window_s` seconds of `now`, before or after. Times are milliseconds since 1970.
#[must_use]
pub fn contains(now: i64, signed_at: i64, window_s: u32) -> bool {
    now.abs_diff(signed_at) <= u64::from(window_s) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_ends_on_both_sides() {
        let now = 1_700_000_000_000;
        for inside in [0, 300_000, -300_000] {
            assert!(contains(now, now + inside, 300));
        }
        for outside in [300_001, -300_001, 86_400_000] {
            assert!(!contains(now, now + outside, 300));
        }
    }

    #[test]
    fn absurd_times_are_outside_and_do_not_overflow() {
        for absurd in [i64::MIN, i64::MAX] {
            assert!(!contains(1_700_000_000_000, absurd, u32::MAX));
        }
        assert!(!contains(i64::MAX, i64::MIN, u32::MAX));
    }
}
