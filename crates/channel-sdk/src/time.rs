//! Times as providers write them, and local opening hours. The clock itself is the gateway's.

use crate::json;
use crate::time_zone::TimeZone;
use crate::types::{Instant, TenantProfile};

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// RFC 3339 or RFC 2822, whichever it is.
pub fn parse(text: &str) -> Option<Instant> {
    rfc3339(text).or_else(|| rfc2822(text))
}

/// `Sat, 21 Nov 2026 10:00:00 +0000`. The weekday may be absent or wrong: the date says it. Of the obsolete zones (RFC 5322
/// §4.3) only `GMT`, `UT`, `UTC` and `Z` are read: the others are ambiguous.
pub fn rfc2822(text: &str) -> Option<Instant> {
    let text = text.split_once(',').map_or(text, |(_, date)| date);
    let mut words = text.split_ascii_whitespace();
    let (day, month, year, clock, zone) = (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    // A comment may follow: `+0100 (CET)`.
    if words.next().is_some_and(|word| !word.starts_with('(')) {
        return None;
    }
    let day: u8 = day.parse().ok()?;
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? + 1;
    let clock = if clock.len() == 5 { format!("{clock}:00") } else { clock.to_owned() };
    let zone = match zone {
        "GMT" | "UT" | "UTC" | "Z" => "Z".to_owned(),
        _ if zone.len() == 5 => format!("{}:{}", zone.get(..3)?, zone.get(3..)?),
        _ => return None,
    };
    json::parse_instant(&format!("{year}-{month:02}-{day:02}T{clock}{zone}"))
}

/// `2026-11-21T10:00:00.5Z`. An offset must be there: a local time alone is not a time.
pub fn rfc3339(text: &str) -> Option<Instant> {
    json::parse_instant(text.trim())
}

/// Whether the tenant is open. Without opening hours it always is; without a valid time zone its hours are taken as UTC.
pub fn is_open(profile: &TenantProfile, now: Instant) -> bool {
    let zone = TimeZone::parse(&profile.time_zone).unwrap_or(TimeZone::UTC);
    let (weekday, minute) = zone.weekday_and_minute(now.div_euclid(1000));
    profile.opening_hours.is_empty()
        || profile
            .opening_hours
            .iter()
            .any(|opening| opening.weekday == weekday && (opening.opens..opening.closes).contains(&minute))
}

/// Whether it is a POSIX TZ rule.
pub fn is_time_zone(rule: &str) -> bool {
    TimeZone::parse(rule).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Opening;

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
            acknowledge: false,
        }
    }

    #[test]
    fn provider_times_become_instants() {
        assert_eq!(parse("Sat, 21 Nov 2026 10:00:00 +0000"), Some(1_795_255_200_000));
        assert_eq!(parse("Mon, 21 Nov 2026 11:00:00 +0100"), Some(1_795_255_200_000));
        assert_eq!(parse("21 nov 2026 10:00 GMT (UTC)"), Some(1_795_255_200_000));
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
        for now in [i64::MAX, i64::MIN] {
            let _ = is_open(&odd, now);
        }
        assert!(is_time_zone("CET-1CEST,M3.5.0,M10.5.0/3") && !is_time_zone("Europe/Madrid"));
    }
}
