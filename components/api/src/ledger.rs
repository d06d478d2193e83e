//! `/api/{tenant}/ledger`, `/ledger/verify` and `/api/-/seal`: what came in, added up and sealed. The words are those of docs/ledger.md.

use crate::answer::{self, Answer, Problem};
use crate::bindings::ledger::{self as store, Account, Examination, Fault, Finding, Line};
use crate::bindings::{directory, log};
use crate::call::Call;
use crate::json;
use crate::periods::{Period, Periods};
use channel_sdk::json::format_instant;
use channel_sdk::time_zone::TimeZone;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Envelopes sealed in one statement.
const BATCH: u32 = 500;
/// Statements of one request: the next one goes on.
const BATCHES: usize = 20;

/// `POST /api/-/seal`: the timer's.
pub(crate) async fn seal(call: &Call) -> Result<Answer, Problem> {
    let (mut sealed, mut more) = (0, true);
    for _ in 0..BATCHES {
        let done = store::seal(call.now, BATCH).await.map_err(|e| answer::store(e, "limit"))?;
        sealed += done.sealed;
        more = done.more;
        if !more {
            break;
        }
    }
    Ok(Answer::json(200, &json!({"sealed": sealed, "more": more})))
}

/// What is stored gets its seals before it is looked at. Where that can't be (a standby), what waits is shown as waiting.
async fn seal_first(call: &Call) {
    drop(seal(call).await);
}

/// The tenant's time zone, and how its profile writes it.
pub(crate) async fn time_zone(call: &Call) -> Result<(String, TimeZone), Problem> {
    let profile = directory::profile(call.tenant()).await.map_err(|e| answer::store(e, "tenant"))?;
    let known = profile.and_then(|profile| Some((TimeZone::parse(&profile.time_zone)?, profile.time_zone)));
    Ok(known.map_or_else(|| ("UTC0".to_owned(), TimeZone::UTC), |(zone, rule)| (rule, zone)))
}

/// `GET /api/{tenant}/ledger`
pub(crate) async fn ledger(call: &Call) -> Result<Answer, Problem> {
    let connector = call.query.get("connector").map(crate::log::connector).transpose()?;
    // A fault in them is told before the store is asked for the time zone.
    Periods::asked(&call.query, TimeZone::UTC, call.now)?;
    let (rule, zone) = time_zone(call).await?;
    let periods = Periods::asked(&call.query, zone, call.now)?;
    seal_first(call).await;
    let account = store::add_up(call.tenant(), periods.bounds()).await.map_err(|e| answer::store(e, "from"))?;
    let mut totals = log::totals(call.tenant()).await.map_err(|e| answer::store(e, "tenant"))?;
    totals.retain(|total| connector.as_ref().is_none_or(|wanted| *wanted == total.connector));
    let lines: Vec<Value> = totals.iter().map(json::total).collect();
    let mut document = document(&account, &periods, connector.as_deref());
    document.insert("time_zone".into(), rule.into());
    document.insert("ledger".into(), lines.into());
    if let Some(spooled) = crate::spool::waiting(&call.tenant(), connector.as_deref()).await {
        document.insert("spooled".into(), spooled.into());
    }
    Ok(Answer::json(200, &document.into()))
}

/// `GET /api/{tenant}/ledger/verify`
pub(crate) async fn verify(call: &Call) -> Result<Answer, Problem> {
    let after = match call.query.get("after") {
        None => 0,
        Some(text) => text.parse().map_err(|_| {
            answer::invalid("after", "after must be the number of a seal: use `next` of the answer before")
        })?,
    };
    let kept = call.query.get("head").map(head).transpose()?;
    let limit = call.page()?.limit;
    if after == 0 {
        seal_first(call).await;
    }
    let found = store::examine(call.tenant(), after, limit).await.map_err(|e| answer::store(e, "after"))?;
    let mut document = examination(&found);
    if let Some((number, link)) = kept {
        let there = store::link(call.tenant(), number).await.map_err(|e| answer::store(e, "head"))?;
        let standing = match there {
            Some(there) if there == link => "holds",
            Some(_) => "differs",
            None => "gone",
        };
        document.insert("head".into(), standing.into());
    }
    Ok(Answer::json(200, &document.into()))
}

/// `118:9f86…`: a number, and its link.
fn head(text: &str) -> Result<(u64, String), Problem> {
    let parts = text.split_once(':').and_then(|(number, link)| {
        let number = number.parse().ok().filter(|number| *number > 0)?;
        let link = link.to_ascii_lowercase();
        (link.len() == 64 && link.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some((number, link))
    });
    let detail =
        "head must be the number of a seal, a colon and its link of 64 hexadecimal digits, as the ledger shows it";
    parts.ok_or_else(|| answer::invalid("head", detail))
}

pub(crate) fn examination(found: &Examination) -> Map<String, Value> {
    let findings: Vec<Value> = found.findings.iter().map(finding).collect();
    let mut document = Map::from_iter([
        ("upto".to_owned(), found.upto.into()),
        ("findings".into(), findings.into()),
        ("erased".into(), found.erased.into()),
    ]);
    if found.more {
        document.insert("next".into(), found.upto.to_string().into());
    }
    document
}

fn finding(finding: &Finding) -> Value {
    let fault = match finding.fault {
        Fault::Gap => "gap",
        Fault::Broken => "broken",
        Fault::Missing => "missing",
        Fault::Changed => "changed",
        Fault::Added => "added",
        Fault::Unrecorded => "unrecorded",
    };
    let mut document = json!({"fault": fault, "number": finding.number});
    if let (Some(id), Some(members)) = (&finding.envelope, document.as_object_mut()) {
        members.insert("envelope".into(), id.as_str().into());
    }
    document
}

/// Deliveries of one connector in one period.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    accepted: u64,
    quarantined: u64,
    pending: u64,
    repeated: u64,
    events: u64,
    duplicates: u64,
}

impl Counts {
    fn add(&mut self, line: &Line) {
        match line.disposition.as_str() {
            "accepted" => self.accepted += line.envelopes,
            "quarantined" => self.quarantined += line.envelopes,
            _ => self.pending += line.envelopes,
        }
        self.repeated += line.repeats;
        self.events += line.events;
        self.duplicates += line.duplicates;
    }

    /// The equations of docs/ledger.md.
    fn members(&self) -> Map<String, Value> {
        let stored = self.accepted + self.quarantined + self.pending;
        let members = [
            ("received", stored + self.repeated),
            ("stored", stored),
            ("accepted", self.accepted),
            ("quarantined", self.quarantined),
            ("pending", self.pending),
            ("repeated", self.repeated),
            ("answered", self.accepted + self.quarantined + self.repeated),
            ("events", self.events),
            ("duplicates", self.duplicates),
        ];
        members.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect()
    }
}

pub(crate) fn document(account: &Account, periods: &Periods, connector: Option<&str>) -> Map<String, Value> {
    let mut counts: BTreeMap<(u32, &str), Counts> = BTreeMap::new();
    let (mut sum, mut all) = (Counts::default(), 0);
    for line in &account.lines {
        all += line.envelopes;
        if connector.is_none_or(|wanted| wanted == line.connector) {
            counts.entry((line.period, &line.connector)).or_default().add(line);
            sum.add(line);
        }
    }
    let lines = counts.iter().map(|((period, connector), counts)| {
        let mut members = counts.members();
        members.insert("connector".into(), (*connector).into());
        if let Some(Period { from, to }) = periods.period(*period) {
            let texts = [("from", from.map(format_instant)), ("to", to.map(format_instant))];
            let local = ("local_from", from.map(|at| periods.local(at)));
            let texts = texts.into_iter().chain([local]);
            members.extend(texts.filter_map(|(name, text)| Some((name.to_owned(), text?.into()))));
        }
        Value::from(members)
    });
    let lines: Vec<Value> = lines.collect();
    let there = account.stored == account.sealed + account.waiting && account.stored == all;
    let adds_up = there && account.counted == account.head + account.unsealed;
    Map::from_iter([
        ("periods".to_owned(), lines.into()),
        ("sum".into(), sum.members().into()),
        ("stored".into(), account.stored.into()),
        ("sealed".into(), account.sealed.into()),
        ("waiting".into(), account.waiting.into()),
        ("counted".into(), account.counted.into()),
        ("unsealed".into(), account.unsealed.into()),
        ("head".into(), json!({"number": account.head, "link": account.link})),
        ("adds_up".into(), adds_up.into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Query;

    fn line(connector: &str, disposition: &str, envelopes: u64, repeats: u64) -> Line {
        let (connector, disposition) = (connector.into(), disposition.into());
        Line { period: 0, connector, disposition, envelopes, repeats, events: 2 * envelopes, duplicates: 1 }
    }

    fn account() -> Account {
        let lines = vec![
            line("telephony/acme", "accepted", 7, 2),
            line("telephony/acme", "pending", 1, 0),
            line("email/acme", "quarantined", 2, 0),
        ];
        Account { lines, stored: 10, sealed: 9, waiting: 1, counted: 10, head: 9, link: "ab".repeat(32), unsealed: 1 }
    }

    fn whole() -> Periods {
        Periods::asked(&Query::default(), TimeZone::UTC, 0).unwrap()
    }

    #[test]
    fn what_was_received_is_what_became_of_it() {
        let said = Value::from(document(&account(), &whole(), None));
        let lines = said["periods"].as_array().unwrap();
        let voice = lines.iter().find(|line| line["connector"] == "telephony/acme").unwrap();
        let number = |line: &Value, name: &str| line[name].as_u64().unwrap();
        for line in [voice, &said["sum"]] {
            let n = |name| number(line, name);
            assert_eq!(n("received"), n("accepted") + n("quarantined") + n("pending") + n("repeated"));
            assert_eq!(n("answered"), n("received") - n("pending"));
        }
        assert_eq!((number(voice, "received"), number(voice, "answered"), number(voice, "duplicates")), (10, 9, 2));
        assert_eq!((number(&said["sum"], "received"), &said["adds_up"]), (12, &Value::Bool(true)));
        let mail = Value::from(document(&account(), &whole(), Some("email/acme")));
        assert_eq!((number(&mail["sum"], "received"), &mail["adds_up"]), (2, &Value::Bool(true)));
    }

    #[test]
    fn a_difference_is_told_whichever_number_it_is_in() {
        let changes: [fn(&mut Account); 7] = [
            |account| account.stored -= 1,
            |account| account.sealed -= 1,
            |account| account.waiting += 1,
            |account| account.counted += 1,
            |account| account.head -= 1,
            |account| account.unsealed += 1,
            |account| account.lines[0].envelopes += 1,
        ];
        for change in changes {
            let mut account = account();
            change(&mut account);
            assert_eq!(document(&account, &whole(), None)["adds_up"], false);
        }
    }

    #[test]
    fn a_head_is_a_number_and_a_link() {
        let link = "0f".repeat(32);
        assert_eq!(head(&format!("12:{}", link.to_uppercase())).unwrap(), (12, link.clone()));
        for bad in ["", "12", "12:", "12:0f", "0:", &format!("0:{link}"), &format!("-1:{link}"), &format!("1:{link}0")]
        {
            assert_eq!(head(bad).unwrap_err().field.as_deref(), Some("head"), "{bad}");
        }
    }
}
