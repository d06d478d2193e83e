//! Dates and times between the interface's tuples and PostgreSQL's counts from 2000-01-01 (proleptic Gregorian calendar).

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;
/// Seconds from 1970-01-01 to 2000-01-01.
const EPOCH_SECONDS: i64 = EPOCH_DAYS * 86_400;
const DAY_MICROS: i64 = 86_400_000_000;

/// Year, month, day.
pub(super) type Date = (i32, u8, u8);
/// Hour, minute, second, nanosecond.
pub(super) type Time = (u8, u8, u8, u32);
/// Both.
pub(super) type DateTime = (i32, u8, u8, u8, u8, u8, u32);

/// Days since 2000-01-01; none if there is no such day.
pub(super) fn days((year, month, day): Date) -> Option<i32> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March, in eras of 400 years (146,097 days), as in H. Hinnant's "chrono-compatible low-level date algorithms".
    let (month, day) = (i64::from(month), i64::from(day));
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    i32::try_from(days - EPOCH_DAYS).ok()
}

/// The date so many days after 2000-01-01.
pub(super) fn date(days: i64) -> Option<Date> {
    let days = days.checked_add(EPOCH_DAYS + 719_468)?;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Some((i32::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?))
}

/// Microseconds since midnight. The server has no finer unit: the rest is cut off.
pub(super) fn micros((hour, minute, second, nanosecond): Time) -> Option<i64> {
    if hour > 23 || minute > 59 || second > 59 || nanosecond > 999_999_999 {
        return None;
    }
    let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
    Some(seconds * 1_000_000 + i64::from(nanosecond / 1_000))
}

/// The time so many microseconds after midnight. None for 24:00, which the server has and the interface has not.
pub(super) fn time(micros: i64) -> Option<Time> {
    if !(0..DAY_MICROS).contains(&micros) {
        return None;
    }
    let seconds = micros / 1_000_000;
    let small = |value: i64| u8::try_from(value).ok();
    let nanosecond = u32::try_from(micros % 1_000_000).ok()? * 1_000;
    Some((small(seconds / 3_600)?, small(seconds / 60 % 60)?, small(seconds % 60)?, nanosecond))
}

/// Microseconds since 2000-01-01.
pub(super) fn instant((year, month, day, hour, minute, second, nanosecond): DateTime) -> Option<i64> {
    let days = i64::from(days((year, month, day))?);
    days.checked_mul(DAY_MICROS)?.checked_add(micros((hour, minute, second, nanosecond))?)
}

/// The moment so many microseconds after 2000-01-01. None for the server's infinities, which are the ends of its numbers.
pub(super) fn date_time(micros: i64) -> Option<DateTime> {
    if micros == i64::MAX || micros == i64::MIN {
        return None;
    }
    let (year, month, day) = date(micros.div_euclid(DAY_MICROS))?;
    let (hour, minute, second, nanosecond) = time(micros.rem_euclid(DAY_MICROS))?;
    Some((year, month, day, hour, minute, second, nanosecond))
}

/// Microseconds since 2000-01-01 of seconds since 1970-01-01.
pub(super) fn unix(seconds: i64) -> Option<i64> {
    seconds.checked_sub(EPOCH_SECONDS)?.checked_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_the_server_counts_them() {
        // select '…'::date - '2000-01-01'
        for (date_, count) in [
            ((2000, 1, 1), 0),
            ((1999, 12, 31), -1),
            ((2000, 2, 29), 59),
            ((2000, 3, 1), 60),
            ((1970, 1, 1), -10_957),
            ((2026, 11, 22), 9_822),
            ((1, 1, 1), -730_119),
            ((9999, 12, 31), 2_921_939),
        ] {
            assert_eq!(days(date_), Some(count), "{date_:?}");
            assert_eq!(date(i64::from(count)), Some(date_));
        }
        for count in (-800_000..800_000).step_by(97) {
            assert_eq!(days(date(count).unwrap()).map(i64::from), Some(count));
        }
    }

    #[test]
    fn what_no_calendar_or_clock_has_is_none() {
        for bad in [(2026, 2, 29), (1900, 2, 29), (2026, 4, 31), (2026, 0, 1), (2026, 13, 1), (2026, 1, 0)] {
            assert_eq!(days(bad), None, "{bad:?}");
        }
        for bad in [(24, 0, 0, 0), (0, 60, 0, 0), (0, 0, 60, 0), (0, 0, 0, 1_000_000_000)] {
            assert_eq!(micros(bad), None, "{bad:?}");
        }
        assert_eq!((date_time(i64::MAX), date_time(i64::MIN), time(DAY_MICROS)), (None, None, None));
        assert_eq!(unix(i64::MAX), None);
    }

    #[test]
    fn moments_before_and_after_the_epoch_survive() {
        for moment in [
            (1969, 7, 20, 20, 17, 40, 123_456_000),
            (2026, 11, 22, 2, 40, 0, 0),
            (1999, 12, 31, 23, 59, 59, 999_999_000),
        ] {
            assert_eq!(date_time(instant(moment).unwrap()), Some(moment));
        }
        assert_eq!(date_time(unix(0).unwrap()), Some((1970, 1, 1, 0, 0, 0, 0)));
        assert_eq!(date_time(unix(1_795_305_600).unwrap()), Some((2026, 11, 22, 0, 0, 0, 0)));
    }
}
