//! A wall clock that starts at a chosen instant and runs on, for rehearsals and tests.

use anyhow::{Result, anyhow};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasmtime_wasi::HostWallClock;

/// What `--clock` sets: the time components see.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Duration,
    since: Instant,
}

impl Clock {
    /// Starts now, showing `start`.
    pub fn starting_at(start: SystemTime) -> Self {
        Self { start: start.duration_since(UNIX_EPOCH).unwrap_or_default(), since: Instant::now() }
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.start + self.since.elapsed()
    }
}

/// Reads an RFC 3339 instant, e.g. `2026-11-21T09:00:00Z` or with an offset.
pub fn parse(text: &str) -> Result<SystemTime> {
    let fail = || anyhow!("{text:?} is not an RFC 3339 time: write it like 2026-11-21T09:00:00Z");
    seconds(text).and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds))).ok_or_else(fail)
}

fn seconds(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let part = text.get(range)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let mark = |at: usize, marks: &str| text.get(at..=at).filter(|found| marks.contains(*found));
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    mark(4, "-")?;
    mark(7, "-")?;
    mark(10, "Tt ")?;
    mark(13, ":")?;
    mark(16, ":")?;
    let rest = text.get(19..)?;
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let offset = match rest {
        "Z" | "z" => 0,
        _ => {
            let sign = match rest.get(..1)? {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            let (hours, minutes) = rest.get(1..)?.split_once(':')?;
            if hours.len() != 2 || minutes.len() != 2 {
                return None;
            }
            sign * (hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60)
        }
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let index = usize::try_from(month - 1).ok()?;
    if !(1..=*month_days.get(index)?).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1970-01-01 in the proleptic Gregorian calendar.
    let before = year - 1;
    let days = before * 365 + before / 4 - before / 100 + before / 400 - 719_162
        + month_days.iter().take(index).sum::<i64>()
        + day
        - 1;
    u64::try_from(days * 86_400 + hour * 3600 + minute * 60 + second - offset).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_instants_are_read_with_offset_and_leap_years() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:30:45Z", 951_827_445),
            ("2026-11-21T09:00:00+01:00", 1_795_248_000),
            ("2026-11-21T08:00:00.250z", 1_795_248_000),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for bad in [
            "",
            "2026-11-21",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-21T09:00:00",
            "2026-11-21T24:00:00Z",
            "1969-12-31T23:59:59Z",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_chosen_clock_starts_there_and_runs_on() {
        let clock = Clock::starting_at(UNIX_EPOCH + Duration::from_secs(1000));
        let first = clock.now();
        assert_eq!(first.as_secs(), 1000);
        std::thread::sleep(Duration::from_millis(5));
        assert!(clock.now() > first);
    }
}
