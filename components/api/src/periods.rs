//! The periods that are asked for: `from`, `to`, and days or hours between them, as the tenant's clocks show them.

use crate::answer::{self, Problem};
use crate::call::Query;
use channel_sdk::json::{format_instant, parse_instant};
use channel_sdk::time_zone::TimeZone;

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
/// Periods in one answer.
const MOST: usize = 1000;

/// Milliseconds since the epoch, where it has an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
}

/// Periods that meet.
#[derive(Debug)]
pub(crate) struct Periods {
    /// Milliseconds; the outermost may be the ends of time.
    bounds: Vec<i64>,
    zone: TimeZone,
}

impl Periods {
    /// Reads `from`, `to` and `by`. A date is that day of the tenant's, as `to` with its end; a time is a moment.
    pub(crate) fn asked(query: &Query, zone: TimeZone, now: i64) -> Result<Periods, Problem> {
        let (from, to) = edges(query, zone)?;
        let step = match query.get("by") {
            None => None,
            Some("day") => Some((DAY, 6 * DAY)),
            Some("hour") => Some((HOUR, 23 * HOUR)),
            Some(other) => return Err(answer::invalid("by", format!("by must be day or hour, is {other:?}"))),
        };
        let (from, to) = match step {
            None => (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX)),
            // Without edges the last seven days, or 24 hours.
            Some((step, back)) => {
                let to = to.unwrap_or_else(|| after(zone, now, step));
                (from.unwrap_or_else(|| start(zone, to - back * 1000 - 1, step)), to)
            }
        };
        if from >= to {
            return Err(answer::invalid("to", "the period has no length: to must be after from"));
        }
        let mut bounds = vec![from];
        if let Some((step, _)) = step {
            let mut next = after(zone, from, step);
            while next < to {
                bounds.push(next);
                if bounds.len() > MOST {
                    let detail = format!("that is more than {MOST} periods; ask for a shorter time, or for days");
                    return Err(answer::invalid("by", detail));
                }
                next = after(zone, next, step);
            }
        }
        bounds.push(to);
        Ok(Periods { bounds, zone })
    }

    pub(crate) fn bounds(&self) -> Vec<i64> {
        self.bounds.clone()
    }

    /// What the tenant's clocks show then: `2026-11-22T00:00`.
    pub(crate) fn local(&self, at: i64) -> String {
        let shown = at + self.zone.offset_at(at.div_euclid(1000)) * 1000;
        format_instant(shown).get(..16).unwrap_or_default().to_owned()
    }

    pub(crate) fn period(&self, number: u32) -> Option<Period> {
        let at = |index: usize| self.bounds.get(index).copied();
        let number = number as usize;
        let (from, to) = (at(number)?, at(number + 1)?);
        Some(Period { from: Some(from).filter(|at| *at != i64::MIN), to: Some(to).filter(|at| *at != i64::MAX) })
    }
}

/// `from` and `to` of a query.
pub(crate) fn edges(query: &Query, zone: TimeZone) -> Result<(Option<i64>, Option<i64>), Problem> {
    let from = query.get("from").map(|text| edge("from", text, zone, false)).transpose()?;
    let to = query.get("to").map(|text| edge("to", text, zone, true)).transpose()?;
    Ok((from, to))
}

fn edge(name: &str, text: &str, zone: TimeZone, end: bool) -> Result<i64, Problem> {
    let day = (text.len() == 10).then(|| parse_instant(&format!("{text}T00:00:00Z"))).flatten();
    let at = match day {
        Some(day) => {
            let midnight = moment(zone, day.div_euclid(1000));
            Some(if end { after(zone, midnight, DAY) } else { midnight })
        }
        None => parse_instant(text),
    };
    at.filter(|at| (0..1 << 48).contains(at)).ok_or_else(|| {
        let detail = format!("{name} must be a date like 2026-11-21 or a time like 2026-11-21T10:00:00Z, is {text:?}");
        answer::invalid(name, detail)
    })
}

/// When the tenant's clocks show so many seconds since 1970; what they never show is what they show after the change.
fn moment(zone: TimeZone, local: i64) -> i64 {
    let guess = local - zone.offset_at(local);
    (local - zone.offset_at(guess)) * 1000
}

/// The beginning of the day or hour in which a moment is.
fn start(zone: TimeZone, at: i64, step: i64) -> i64 {
    let seconds = at.div_euclid(1000);
    let local = seconds + zone.offset_at(seconds);
    if step == DAY {
        return moment(zone, local - local.rem_euclid(DAY));
    }
    // An hour that the clocks show twice is two hours.
    (seconds - local.rem_euclid(step)) * 1000
}

/// The beginning of the next one.
fn after(zone: TimeZone, at: i64, step: i64) -> i64 {
    let first = start(zone, at, step);
    if step == DAY {
        // No day is longer than 25 hours, and none shorter than 23.
        return start(zone, first + 36 * HOUR * 1000, DAY);
    }
    first + step * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADRID: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    fn asked(query: &str) -> Result<Vec<String>, Problem> {
        let query = Query::parse(query, &["from", "to", "by"]).unwrap();
        let now = parse_instant("2026-11-22T07:30:00Z").unwrap();
        let periods = Periods::asked(&query, TimeZone::parse(MADRID).unwrap(), now)?;
        let shown = |at: &i64| if [i64::MIN, i64::MAX].contains(at) { "-".into() } else { format_instant(*at) };
        Ok(periods.bounds.iter().map(shown).collect())
    }

    #[test]
    fn days_are_the_tenant_s_also_when_the_clocks_change() {
        let days = asked("from=2026-10-24&to=2026-10-26&by=day").unwrap();
        let wanted = ["2026-10-23T22:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "2026-10-26T23:00:00Z"];
        assert_eq!(days, wanted);
        let days = asked("from=2026-03-28&to=2026-03-29&by=day").unwrap();
        assert_eq!(days, ["2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"]);
        assert_eq!(asked("from=2026-10-25&to=2026-10-25&by=hour").unwrap().len(), 26);
        assert_eq!(asked("from=2026-03-29&to=2026-03-29&by=hour").unwrap().len(), 24);
    }

    #[test]
    fn a_moment_is_shown_as_the_tenant_s_clocks_show_it() {
        let periods = Periods::asked(&Query::default(), TimeZone::parse(MADRID).unwrap(), 0).unwrap();
        for (at, shown) in [("2026-11-21T23:00:00Z", "2026-11-22T00:00"), ("2026-07-01T22:30:59Z", "2026-07-02T00:30")]
        {
            assert_eq!(periods.local(parse_instant(at).unwrap()), shown);
        }
    }

    #[test]
    fn without_edges_it_is_everything_or_the_last_days_or_hours() {
        assert_eq!(asked("").unwrap(), ["-", "-"]);
        assert_eq!(asked("from=2026-11-21T10:00:00Z").unwrap(), ["2026-11-21T10:00:00Z", "-"]);
        let days = asked("by=day").unwrap();
        let ends = (days.len(), days[0].as_str(), days[7].as_str());
        assert_eq!(ends, (8, "2026-11-15T23:00:00Z", "2026-11-22T23:00:00Z"));
        let hours = asked("by=hour").unwrap();
        let ends = (hours.len(), hours[0].as_str(), hours[24].as_str());
        assert_eq!(ends, (25, "2026-11-21T08:00:00Z", "2026-11-22T08:00:00Z"));
        let since = asked("by=hour&from=2026-11-22T05:15:00Z").unwrap();
        let wanted = ["2026-11-22T05:15:00Z", "2026-11-22T06:00:00Z", "2026-11-22T07:00:00Z", "2026-11-22T08:00:00Z"];
        assert_eq!(since, wanted);
    }

    #[test]
    fn what_is_no_period_is_refused_by_name() {
        for (query, field) in [
            ("from=yesterday", "from"),
            ("to=2026-02-30", "to"),
            ("from=2026-11-22&to=2026-11-21", "to"),
            ("by=week", "by"),
            ("by=hour&from=2020-01-01", "by"),
            ("from=1969-01-01", "from"),
            ("to=99999-01-01", "to"),
        ] {
            assert_eq!(asked(query).unwrap_err().field.as_deref(), Some(field), "{query}");
        }
    }
}
