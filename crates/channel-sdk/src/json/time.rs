//! RFC 3339 times of the public JSON, to the millisecond.

/// 0000-01-01T00:00:00Z to 9999-12-31T23:59:59.999Z: RFC 3339 has four-digit years.
const WRITABLE: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// Whether RFC 3339 can write it. What it can't is no time of any event.
pub fn is_writable(instant: i64) -> bool {
    WRITABLE.contains(&instant)
}

/// `2024-10-29T17:00:00Z`, with `.123` when there are milliseconds. Proleptic Gregorian; years beyond 0000–9999 are clamped.
pub fn format_instant(instant: i64) -> String {
    let instant = instant.clamp(*WRITABLE.start(), *WRITABLE.end());
    let (days, millis) = (instant.div_euclid(86_400_000), instant.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = if millis == 0 { String::new() } else { format!(".{millis:03}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Milliseconds since the epoch of an RFC 3339 time with any offset; none if it isn't one. A leap second counts as the second before.
pub fn parse_instant(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = bytes.get(from..to)?;
        digits.iter().try_fold(0_i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|byte| wanted.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut at = 19;
    let mut millis = 0;
    if is(at, b".") {
        at += 1;
        let mut scale = 100;
        let start = at;
        while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            millis += scale * i64::from(digit - b'0');
            scale /= 10;
            at += 1;
        }
        if at == start {
            return None;
        }
    }
    let offset = if is(at, b"Zz") {
        at += 1;
        0
    } else {
        let sign = if is(at, b"+") {
            1
        } else if is(at, b"-") {
            -1
        } else {
            return None;
        };
        let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
        if !is(at + 3, b":") || hours > 23 || minutes > 59 {
            return None;
        }
        at += 6;
        sign * (hours * 60 + minutes)
    };
    if at != bytes.len() {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second.min(59) - offset * 60;
    Some(seconds * 1000 + millis).filter(|instant| is_writable(*instant))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 (years counted from March, in eras of 400 years, so that leap days come last).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_leads_to_no_year_that_can_not_be_written() {
        assert_eq!(parse_instant("0000-01-01T00:00:00+01:00"), None);
        assert_eq!(parse_instant("9999-12-31T23:59:59-00:01"), None);
        assert_eq!(parse_instant("9999-12-31T23:59:59Z").map(format_instant).as_deref(), Some("9999-12-31T23:59:59Z"));
    }

    #[test]
    fn known_instants_are_written_and_read() {
        for (instant, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_730_221_200_000, "2024-10-29T17:00:00Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(format_instant(instant), text);
            assert_eq!(parse_instant(text), Some(instant));
        }
    }

    #[test]
    fn offsets_count() {
        assert_eq!(parse_instant("2024-10-29T18:00:00+01:00"), Some(1_730_221_200_000));
        assert_eq!(parse_instant("2024-10-29T11:30:00.5-05:30"), Some(1_730_221_200_500));
    }

    #[test]
    fn what_is_not_rfc_3339_is_none() {
        for text in [
            "",
            "2024-10-29",
            "2024-13-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-10-29T25:00:00Z",
            "2024-10-29T17:00:00",
            "2024-10-29T17:00:00Zx",
            "2024-10-29T17:00:00.Z",
            "２024-10-29T17:00:00Z",
        ] {
            assert_eq!(parse_instant(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_survives_the_way_there_and_back() {
        for day in -200_000..200_000_i64 {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month, date), day);
        }
    }
}
