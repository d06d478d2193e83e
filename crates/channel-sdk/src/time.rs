//! Times as providers write them, and local opening hours. The clock itself is the gateway's.

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::tz::TimeZone;

use crate::types::{Instant, Opening, TenantProfile};

/// RFC 2822 or RFC 3339, whichever it is.
pub fn parse(text: &str) -> Option<Instant> {
    rfc3339(text).or_else(|| rfc2822(text))
}

/// `Sat, 21 Nov 2026 10:00:00 +0000`. A wrong weekday is ignored: the date says it.
pub fn rfc2822(text: &str) -> Option<Instant> {
    DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text.trim()).ok().map(Timestamp::as_millisecond)
}

/// `2026-11-21T10:00:00.5Z`. An offset must be there: a local time alone is not a time.
pub fn rfc3339(text: &str) -> Option<Instant> {
    crate::json::parse_instant(text.trim())
}

/// Whether the tenant is open. Without opening hours it always is; without a valid time zone its hours are taken as UTC.
pub fn is_open(profile: &TenantProfile, now: Instant) -> bool {
    if profile.opening_hours.is_empty() {
        return true;
    }
    let Ok(now) = Timestamp::from_millisecond(now) else {
        return false;
    };
    let local = now.to_zoned(TimeZone::posix(&profile.time_zone).unwrap_or(TimeZone::UTC));
    let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
    let includes = |opening: &Opening| {
        weekday(opening.weekday) == Some(local.weekday())
            && (i32::from(opening.opens)..i32::from(opening.closes)).contains(&minute)
    };
    profile.opening_hours.iter().any(includes)
}

/// Whether it is a POSIX TZ rule.
pub fn is_time_zone(rule: &str) -> bool {
    TimeZone::posix(rule).is_ok()
}

fn weekday(iso: u8) -> Option<Weekday> {
    i8::try_from(iso).ok().and_then(|iso| Weekday::from_monday_one_offset(iso).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(time_zone: &str, opening_hours: Vec<Opening>) -> TenantProfile {
        TenantProfile {
            tenant: "t".into(),
            name: "T".into(),
            languages: vec![],
            greeting: vec![],
            announcement: vec![],
            departments: vec![],
            services: vec![],
            time_zone: time_zone.into(),
            opening_hours,
            links: vec![],
        }
    }

    #[test]
    fn provider_times_become_instants() {
        assert_eq!(parse("Sat, 21 Nov 2026 10:00:00 +0000"), Some(1_795_255_200_000));
        assert_eq!(parse("Mon, 21 Nov 2026 11:00:00 +0100"), Some(1_795_255_200_000));
        assert_eq!(parse("2026-11-21T10:00:00.250Z"), Some(1_795_255_200_250));
        assert_eq!(parse(" 2026-11-21T11:00:00+01:00 "), Some(1_795_255_200_000));
        for text in ["", "2026-11-21T10:00:00", "yesterday", "Sat, 31 Feb 2026 10:00:00 +0000"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn opening_hours_are_local_in_winter_and_in_summer() {
        let hours = vec![Opening { weekday: 1, opens: 9 * 60, closes: 14 * 60 }];
        let madrid = profile("CET-1CEST,M3.5.0,M10.5.0/3", hours);
        for (now, open) in [
            ("2026-01-05T07:59:59Z", false),
            ("2026-01-05T08:00:00Z", true),
            ("2026-01-05T12:59:59Z", true),
            ("2026-01-05T13:00:00Z", false),
            ("2026-07-06T06:59:59Z", false),
            ("2026-07-06T07:00:00Z", true),
            ("2026-07-06T12:00:00Z", false),
            // Tuesday.
            ("2026-01-06T10:00:00Z", false),
        ] {
            assert_eq!(is_open(&madrid, rfc3339(now).unwrap()), open, "{now}");
        }
    }

    #[test]
    fn no_hours_means_always_open_and_no_instant_traps() {
        assert!(is_open(&profile("", vec![]), 0));
        let odd = profile(
            "nonsense",
            vec![Opening { weekday: 9, opens: 0, closes: u16::MAX }, Opening { weekday: 4, opens: 0, closes: 1440 }],
        );
        assert!(is_open(&odd, 0), "1970-01-01 was a Thursday");
        assert!(!is_open(&odd, i64::MAX) && !is_open(&odd, i64::MIN));
        assert!(is_time_zone("CET-1CEST,M3.5.0,M10.5.0/3") && !is_time_zone("Europe/Madrid"));
    }
}
