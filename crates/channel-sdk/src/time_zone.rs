//! POSIX TZ rules: `CET-1CEST,M3.5.0,M10.5.0/3`. A time zone in one line, for those who have no database of them.
//!
//! IEEE Std 1003.1 §8.3 and, for hours beyond a day, RFC 8536 §3.3.1. A date library does this too, in 90 KiB of component.

use crate::json;

const DAY: i64 = 86_400;

/// A parsed rule. Offsets are seconds east of Greenwich: the opposite of how the rule writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeZone {
    standard: i64,
    summer: Option<Summer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Summer {
    offset: i64,
    begins: Change,
    ends: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    day: Day,
    /// Seconds after local midnight.
    time: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    /// `Jn`: 1 to 365, 29 February is never counted.
    Julian(i64),
    /// `n`: 0 to 365, it is counted.
    Ordinal(i64),
    /// `Mm.w.d`: weekday `d` (0 is Sunday) of week `w` (5 is the last) of month `m`.
    Weekday { month: i64, week: i64, weekday: i64 },
}

impl TimeZone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self { standard: 0, summer: None };

    /// Reads a rule. A zone with summer time must say when it begins and ends.
    pub fn parse(rule: &str) -> Option<Self> {
        let mut input = Input(rule.trim().as_bytes());
        input.name()?;
        let standard = -input.clock(24)?;
        if input.0.is_empty() {
            return Some(Self { standard, summer: None });
        }
        input.name()?;
        let offset = if input.peek() == Some(b',') { standard + 3600 } else { -input.clock(24)? };
        let begins = input.change()?;
        let ends = input.change()?;
        input.0.is_empty().then_some(Self { standard, summer: Some(Summer { offset, begins, ends }) })
    }

    /// Seconds east of Greenwich at a moment, given in seconds since 1970.
    pub fn offset_at(&self, moment: i64) -> i64 {
        let Some(summer) = self.summer else {
            return self.standard;
        };
        let year = year_of(moment.saturating_add(self.standard));
        let begins = summer.begins.local_seconds(year) - self.standard;
        let ends = summer.ends.local_seconds(year) - summer.offset;
        let is_summer = if begins < ends {
            (begins..ends).contains(&moment)
        } else {
            // South of the equator.
            !(ends..begins).contains(&moment)
        };
        if is_summer { summer.offset } else { self.standard }
    }

    /// ISO weekday (1 is Monday) and minute of the local day at a moment, given in seconds since 1970.
    pub fn weekday_and_minute(&self, moment: i64) -> (u8, u16) {
        let local = moment.saturating_add(self.offset_at(moment));
        // 1970-01-01 was a Thursday.
        let weekday = (local.div_euclid(DAY) + 3).rem_euclid(7) + 1;
        let minute = local.rem_euclid(DAY) / 60;
        (u8::try_from(weekday).unwrap_or(1), u16::try_from(minute).unwrap_or(0))
    }
}

impl Change {
    fn local_seconds(&self, year: i64) -> i64 {
        let first = first_day(year, 1);
        let is_leap = first_day(year, 3) - first == 60;
        let day = match self.day {
            Day::Julian(day) => first + day - 1 + i64::from(is_leap && day >= 60),
            Day::Ordinal(day) => first + day,
            Day::Weekday { month, week, weekday } => {
                let first = first_day(year, month);
                let length = if month == 12 { 31 } else { first_day(year, month + 1) - first };
                // Day 0 was a Thursday, and Sunday is 0.
                let until = (weekday - (first + 4)).rem_euclid(7);
                let mut day = until + (week - 1) * 7;
                if day >= length {
                    day -= 7;
                }
                first + day
            }
        };
        day * DAY + self.time
    }
}

/// Days since 1970 of the first day of a month.
fn first_day(year: i64, month: i64) -> i64 {
    json::parse_instant(&format!("{year:04}-{month:02}-01T00:00:00Z")).unwrap_or(0).div_euclid(DAY * 1000)
}

fn year_of(seconds: i64) -> i64 {
    json::format_instant(seconds.saturating_mul(1000)).get(..4).and_then(|year| year.parse().ok()).unwrap_or(1970)
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[wanted])?;
        Some(())
    }

    /// Three letters or more, or anything of letters, digits and signs in angle brackets.
    fn name(&mut self) -> Option<()> {
        let quoted = self.take(b'<').is_some();
        let is_part =
            |byte: &u8| byte.is_ascii_alphabetic() || (quoted && (byte.is_ascii_digit() || b"+-".contains(byte)));
        let length = self.0.iter().take_while(|byte| is_part(byte)).count();
        self.0 = self.0.get(length..)?;
        if quoted {
            self.take(b'>')?;
        }
        (length >= 3).then_some(())
    }

    fn number(&mut self, least: i64, most: i64) -> Option<i64> {
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(length).filter(|(digits, _)| (1..=3).contains(&digits.len()))?;
        self.0 = rest;
        let number = digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        (least..=most).contains(&number).then_some(number)
    }

    /// `[+-]hh[:mm[:ss]]` in seconds.
    fn clock(&mut self, most_hours: i64) -> Option<i64> {
        let sign = match self.peek() {
            Some(b'-') => self.take(b'-').map(|()| -1)?,
            Some(b'+') => self.take(b'+').map(|()| 1)?,
            _ => 1,
        };
        let mut seconds = self.number(0, most_hours)? * 3600;
        for unit in [60, 1] {
            if self.take(b':').is_none() {
                break;
            }
            seconds += self.number(0, 59)? * unit;
        }
        Some(sign * seconds)
    }

    fn change(&mut self) -> Option<Change> {
        self.take(b',')?;
        let day = match self.peek()? {
            b'M' => {
                self.take(b'M')?;
                let month = self.number(1, 12)?;
                self.take(b'.')?;
                let week = self.number(1, 5)?;
                self.take(b'.')?;
                Day::Weekday { month, week, weekday: self.number(0, 6)? }
            }
            b'J' => {
                self.take(b'J')?;
                Day::Julian(self.number(1, 365)?)
            }
            _ => Day::Ordinal(self.number(0, 365)?),
        };
        let time = if self.take(b'/').is_some() { self.clock(167)? } else { 2 * 3600 };
        Some(Change { day, time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(rule: &str, moment: &str) -> i64 {
        TimeZone::parse(rule).unwrap().offset_at(json::parse_instant(moment).unwrap() / 1000)
    }

    #[test]
    fn summer_time_begins_and_ends_on_the_second() {
        let madrid = "CET-1CEST,M3.5.0,M10.5.0/3";
        for (moment, hours) in [
            ("2026-03-29T00:59:59Z", 1),
            ("2026-03-29T01:00:00Z", 2),
            ("2026-10-25T00:59:59Z", 2),
            ("2026-10-25T01:00:00Z", 1),
            ("2024-03-31T01:00:00Z", 2),
            ("2024-03-31T00:59:59Z", 1),
            ("2026-12-31T23:59:59Z", 1),
            ("2027-01-01T00:00:00Z", 1),
        ] {
            assert_eq!(offset(madrid, moment), hours * 3600, "{moment}");
        }
    }

    #[test]
    fn other_zones_follow_their_rules() {
        // Canary Islands, New York, Auckland (south), Kolkata, Chatham Islands, and the two forms of day numbers.
        assert_eq!(offset("WET0WEST,M3.5.0/1,M10.5.0", "2026-07-01T00:00:00Z"), 3600);
        assert_eq!(offset("EST5EDT,M3.2.0,M11.1.0", "2026-03-08T06:59:59Z"), -5 * 3600);
        assert_eq!(offset("EST5EDT,M3.2.0,M11.1.0", "2026-03-08T07:00:00Z"), -4 * 3600);
        assert_eq!(offset("NZST-12NZDT,M9.5.0,M4.1.0/3", "2026-01-15T00:00:00Z"), 13 * 3600);
        assert_eq!(offset("NZST-12NZDT,M9.5.0,M4.1.0/3", "2026-07-15T00:00:00Z"), 12 * 3600);
        assert_eq!(offset("<+0530>-5:30", "2026-07-15T00:00:00Z"), 19_800);
        assert_eq!(offset("<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45", "2026-01-01T00:00:00Z"), 49_500);
        // J60 is 1 March in every year, 59 is 29 February of a leap year.
        assert_eq!(offset("AAA0BBB,J60/0,J365/0", "2024-02-29T12:00:00Z"), 0);
        assert_eq!(offset("AAA0BBB,J60/0,J365/0", "2024-03-01T12:00:00Z"), 3600);
        assert_eq!(offset("AAA0BBB,59/0,J365/0", "2024-02-29T12:00:00Z"), 3600);
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for rule in [
            "",
            "Europe/Madrid",
            "CET",
            "CE-1",
            "CET-25",
            "CET-1CEST",
            "CET-1CEST,M3.5.0",
            "CET-1CEST,M13.5.0,M10.5.0",
            "CET-1CEST,M3.6.0,M10.5.0",
            "CET-1CEST,M3.5.7,M10.5.0",
            "CET-1CEST,M3.5.0,M10.5.0/3x",
            "<CET-1",
            "CET-1CEST,J0,J1",
            "CET-0001",
        ] {
            assert_eq!(TimeZone::parse(rule), None, "{rule}");
        }
    }

    #[test]
    fn no_moment_traps() {
        let zone = TimeZone::parse("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        for moment in [i64::MIN, i64::MAX, 0, -1] {
            assert!(zone.weekday_and_minute(moment).1 < 1440);
        }
    }
}
