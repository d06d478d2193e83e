//! Retention and erasure over what a database gives: the same for every store (`wit/store/privacy.wit`).
//!
//! A step is read first and then written in one statement, which refuses (*moved*) when anything came to its cases or people in between; then
//! it is read again. So nobody waits for the reading, and nothing is half done.

use std::collections::BTreeSet;

use channel_sdk::json::format_instant;
use channel_sdk::reference;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::ids::Random;
use crate::log::{Page, StoreError};
use crate::privacy::{AuditEntry, AuditPage, Counts, Erasure, Kind, Retaining, Rule, Subject};
use crate::provider::{author, bare, no_random, row_error, unknown_case};
use crate::rows::RowError;
use crate::text::{escape, hex, unescape};

/// Longest retention, in days.
pub const LONGEST: u32 = 36_500;
/// Cases, or events and envelopes without one, in one statement.
pub const STEP: u32 = 50;
const DAY: i64 = 86_400_000;
/// Tries of a step while others write to the same cases.
const TRIES: usize = 20;

/// Kinds by name; a kind's bit in the column `retained` is its place.
pub const KINDS: [(Kind, &str); 7] = [
    (Kind::Envelopes, "envelopes"),
    (Kind::Texts, "texts"),
    (Kind::Locations, "locations"),
    (Kind::Media, "media"),
    (Kind::Recordings, "recordings"),
    (Kind::People, "people"),
    (Kind::Cases, "cases"),
];

/// Its name.
pub fn kind_name(kind: Kind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("", |(_, name)| name)
}

/// The kind of a name.
pub fn parse_kind(name: &str) -> Option<Kind> {
    KINDS.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
}

const TEXTS: [&str; 7] =
    ["subject", "text", "dtmf", "attributes", "fields", crate::intake::ATTRIBUTES, crate::intake::FIELDS];
const LOCATIONS: [&str; 2] = ["location", "address"];
const MEDIA: [&str; 2] = ["attachments", "recording_id"];
const PEOPLE: [&str; 8] =
    ["sender", "sender_name", "sender_scheme", "claimed", "recipient", "thread_id", "conversation_id", "threading"];
/// Gone with the case, besides all of those above.
const TRACES: [&str; 6] = ["message_id", "in_reply_to", "references", "call_id", "event_id", "asks_about"];

/// What a kind takes from an event's JSON, as a merge patch (RFC 7396).
pub fn patch(kind: Kind) -> Value {
    let all = [&TEXTS[..], &LOCATIONS, &MEDIA, &PEOPLE, &TRACES].concat();
    let names = match kind {
        Kind::Envelopes => &[][..],
        Kind::Texts => &TEXTS,
        Kind::Locations => &LOCATIONS,
        Kind::Media | Kind::Recordings => &MEDIA,
        Kind::People => &PEOPLE,
        Kind::Cases => &all,
    };
    names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect::<Map<_, _>>().into()
}

/// What stands for the idempotency key of an erased event: redeliveries are known by it still.
pub fn forgotten(key: &str) -> String {
    format!("erased:{}", key_hash(key))
}

/// 128 bits of a key's SHA-256, in hexadecimal digits.
pub fn key_hash(key: &str) -> String {
    let mut hash = hex(&Sha256::digest(key.as_bytes()));
    hash.truncate(32);
    hash
}

/// Values of the column `retained` in which a kind's bit is not set, by the kind's name: with them an index finds what is due.
pub fn masks() -> Value {
    let without = |place: usize| (0_u8..128).filter(move |mask| mask >> place & 1 == 0).map(Value::from).collect();
    KINDS
        .iter()
        .enumerate()
        .map(|(place, (_, name))| ((*name).to_owned(), without(place)))
        .collect::<Map<_, Value>>()
        .into()
}

/// What retention and erasure need of a store.
#[expect(async_fn_in_trait, reason = "a component's futures stay on one thread")]
pub trait Privacy {
    /// The random bytes of ids.
    fn randomness(&self) -> Random;
    /// What concerns a contact or a case: `{"contacts": [id, …], "cases": [[id, reference, held], …], "events": [[seq, key], …], "envelopes": n, "notes": n,
    /// "replies": n, "not_understood": n}`, with the events of these cases and of these contacts. `held` is 0 or 1, also of cases that share an envelope.
    async fn concern(&self, tenant: &str, whom: &Whom) -> Result<Value, StoreError>;
    /// The next thing that is due: `{"tenant", "kind", "cutoff", "cases": [id, …], "events": [[seq, key], …], "envelopes": [id, …]}`, or null.
    async fn due(&self, at: i64, limit: u32) -> Result<Value, StoreError>;
    /// Writes an order ([`Order`]). None: something has moved. Otherwise its counts, or null if nothing was changed.
    async fn blank(&self, order: &Order) -> Result<Option<Value>, StoreError>;
    /// A tenant whose removal was begun and is not done.
    async fn being_removed(&self) -> Result<Option<String>, StoreError>;
    /// Removes so many rows more; 0 when all is done.
    async fn remove_more(&self, tenant: &str, at: i64, limit: u32) -> Result<u32, StoreError>;
}

/// Who is to be erased.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whom {
    /// The handle's scheme; empty for any.
    pub scheme: String,
    /// Its value, escaped, as given.
    pub value: String,
    /// The same as addresses are compared.
    pub address: String,
    /// The case, bare digits; if given, the others mean nothing.
    pub reference: Option<String>,
}

/// What is blanked in one statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Whose it is.
    pub tenant: String,
    /// The audit entry's id.
    pub run: String,
    /// When.
    pub at: i64,
    /// Who, escaped.
    pub author: String,
    /// `erase` or `retain`.
    pub action: &'static str,
    /// Whom, as the audit says it.
    pub subject: Option<String>,
    /// Why, escaped.
    pub reason: String,
    /// Ids of cases.
    pub cases: Value,
    /// Ids of contacts.
    pub contacts: Value,
    /// `[[seq, new key or null], …]`
    pub events: Value,
    /// Ids of envelopes without events.
    pub envelopes: Value,
    /// What it does.
    pub kind: Kind,
    /// Of retention: nothing later than this.
    pub cutoff: Option<i64>,
}

impl Order {
    /// Only events of calls, or only others.
    pub fn only(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Recordings => Some("calls"),
            Kind::Media => Some("others"),
            _ => None,
        }
    }

    /// Whether it takes names and handles, texts, raw requests, everything.
    pub fn takes(&self) -> [bool; 4] {
        let whole = self.kind == Kind::Cases;
        let is = |kind| whole || self.kind == kind;
        [is(Kind::People), is(Kind::Texts), is(Kind::Envelopes), whole]
    }

    /// The kinds that are done by it, as bits.
    pub fn bits(&self) -> i64 {
        match self.kind {
            Kind::Cases => 127,
            kind => KINDS.iter().position(|(known, _)| *known == kind).map_or(0, |place| 1 << place),
        }
    }
}

fn list<'a>(document: &'a Value, name: &str) -> &'a [Value] {
    document.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn count(document: &Value, name: &str) -> u64 {
    document.get(name).and_then(Value::as_u64).unwrap_or(0)
}

/// Cases, oldest first, whatever order a database finds them in: this is the order in which the feed tells of them.
fn in_order(cases: &[Value]) -> Vec<Value> {
    let mut cases = cases.to_vec();
    cases.sort_by_key(|case| case.as_i64().or_else(|| case.get(0)?.as_i64()));
    cases
}

/// Events with the keys that they get: new ones where they are erased, unless they were before.
fn keyed(events: &[Value], whole: bool) -> Value {
    let one = |event: &Value| {
        let key = event.get(1).and_then(Value::as_str).filter(|key| whole && !key.starts_with("erased:"));
        json!([event.get(0), key.map(forgotten)])
    };
    events.iter().map(one).collect()
}

/// Counts as a store writes them.
pub fn counts(document: &Value) -> Counts {
    Counts {
        cases: count(document, "cases"),
        events: count(document, "events"),
        envelopes: count(document, "envelopes"),
        contacts: count(document, "contacts"),
        notes: count(document, "notes"),
        replies: count(document, "replies"),
    }
}

/// Whom a subject means.
///
/// # Errors
///
/// `invalid`, when it means nobody.
fn whom(subject: &Subject) -> Result<Whom, StoreError> {
    match subject {
        Subject::CaseReference(text) => Ok(Whom { reference: Some(bare(text)?), ..Whom::default() }),
        Subject::Contact(handle) if handle.value.trim().is_empty() => {
            Err(StoreError::Invalid("the handle is empty: say whose data is to be erased".into()))
        }
        Subject::Contact(handle) => Ok(Whom {
            scheme: escape(&handle.scheme),
            value: escape(&handle.value),
            address: escape(&handle.value.trim().to_lowercase()),
            reference: None,
        }),
    }
}

/// A reason that is one.
///
/// # Errors
///
/// `invalid`, when it is empty.
pub fn reason(text: &str) -> Result<String, StoreError> {
    match text.trim() {
        "" => Err(StoreError::Invalid("say why: the reason is empty, and it stays in the audit".into())),
        text => Ok(escape(text)),
    }
}

/// Somebody is always in the way.
fn busy() -> StoreError {
    StoreError::Unavailable("others write to these cases all the time: try again".into())
}

/// `privacy.erase`.
///
/// # Errors
///
/// Of the store; `invalid` for a subject that is not there, or on hold.
pub async fn erase<P: Privacy>(
    store: &P,
    tenant: String,
    subject: Subject,
    by: &str,
    why: &str,
    at: i64,
    dry_run: bool,
) -> Result<Erasure, StoreError> {
    let (by, why, whom) = (author(by)?, reason(why)?, whom(&subject)?);
    for _ in 0..TRIES {
        let found = store.concern(&tenant, &whom).await?;
        let (cases, events) = (in_order(list(&found, "cases")), list(&found, "events"));
        // Who is found by two handles is one.
        let contacts: BTreeSet<&str> = list(&found, "contacts").iter().filter_map(Value::as_str).collect();
        match &whom.reference {
            Some(bare) if cases.is_empty() => return Err(unknown_case(bare)),
            None if contacts.is_empty() => {
                let why = "nobody is known by this handle: give it as it stands in a case, e.g. +34600111222, and see whether it was erased before \
                           with `ventanilla audit`";
                return Err(StoreError::Invalid(why.into()));
            }
            _ => {}
        }
        let reference = |case: &Value| case.get(1).and_then(Value::as_str).map(reference::format).unwrap_or_default();
        let held: BTreeSet<String> =
            cases.iter().filter(|case| case.get(2).and_then(Value::as_i64) != Some(0)).map(reference).collect();
        if !held.is_empty() {
            return Err(StoreError::Invalid(format!(
                "nothing was erased: on hold, or in one request with a case on hold: {}; end the hold first, if the law allows it",
                held.into_iter().collect::<Vec<_>>().join(", ")
            )));
        }
        let references: Vec<String> = cases.iter().map(reference).collect();
        let mut erasure = Erasure {
            entry: None,
            references,
            counts: Counts {
                cases: cases.len() as u64,
                events: events.len() as u64,
                contacts: contacts.len() as u64,
                ..counts(&found)
            },
            not_understood: count(&found, "not_understood"),
        };
        if dry_run {
            return Ok(erasure);
        }
        let subject = match (&whom.reference, contacts.first()) {
            (Some(bare), _) => Some(reference::format(bare)),
            (None, contact) => contact.map(|id| format!("contact {id}")),
        };
        let order = Order {
            tenant: tenant.clone(),
            run: crate::ids::uuid_v7(at, store.randomness()).map_err(no_random)?,
            at,
            author: by.clone(),
            action: "erase",
            subject,
            reason: why.clone(),
            cases: cases.iter().filter_map(|case| case.get(0).cloned()).collect(),
            contacts: if whom.reference.is_some() { json!([]) } else { json!(contacts) },
            events: keyed(events, true),
            envelopes: json!([]),
            kind: Kind::Cases,
            cutoff: None,
        };
        if let Some(blanked) = store.blank(&order).await? {
            erasure.entry = Some(order.run);
            erasure.counts = counts(&blanked);
            return Ok(erasure);
        }
    }
    Err(busy())
}

/// `privacy.retain`.
///
/// # Errors
///
/// Of the store.
pub async fn retain<P: Privacy>(store: &P, at: i64, limit: u32) -> Result<Retaining, StoreError> {
    if !(1..=500).contains(&limit) {
        return Err(StoreError::Invalid(format!("the limit is {limit}: it must be 1 to 500")));
    }
    let (mut changed, mut moved) = (0, 0);
    if let Some(tenant) = store.being_removed().await?
        && store.remove_more(&tenant, at, limit * 10).await? > 0
    {
        return Ok(Retaining { changed: 1, more: true });
    }
    while changed < limit {
        let due = store.due(at, STEP.min(limit - changed)).await?;
        let Some(tenant) = due.get("tenant").and_then(Value::as_str) else {
            return Ok(Retaining { changed, more: false });
        };
        let kind = due.get("kind").and_then(Value::as_str).and_then(parse_kind);
        let (Some(kind), Some(cutoff)) = (kind, due.get("cutoff").and_then(Value::as_i64)) else {
            return Err(row_error(RowError("a rule of retention has an unknown kind".into())));
        };
        let (cases, events) = (in_order(list(&due, "cases")), list(&due, "events"));
        let envelopes = list(&due, "envelopes");
        let items = cases.len() as u64 + count(&due, "alone") + envelopes.len() as u64;
        let order = Order {
            tenant: tenant.to_owned(),
            run: crate::ids::uuid_v7(at, store.randomness()).map_err(no_random)?,
            at,
            author: "ventanilla".into(),
            action: "retain",
            subject: None,
            reason: format!("{}: until {}", kind_name(kind), format_instant(cutoff)),
            cases: cases.into(),
            contacts: json!([]),
            events: keyed(events, kind == Kind::Cases),
            envelopes: envelopes.into(),
            kind,
            cutoff: Some(cutoff),
        };
        match store.blank(&order).await? {
            Some(_) => {
                changed += u32::try_from(items.max(1)).unwrap_or(limit);
            }
            None if moved < TRIES => moved += 1,
            None => return Err(busy()),
        }
    }
    Ok(Retaining { changed, more: true })
}

/// The instant before which something kept for so many days is due.
pub fn cutoff(at: i64, days: i64) -> i64 {
    at.saturating_sub(days.saturating_mul(DAY))
}

/// Rules as JSON, `{"texts": 30}`, and as people read them.
///
/// # Errors
///
/// `invalid`, when they contradict each other.
pub fn rules(rules: &[Rule]) -> Result<(Value, String), StoreError> {
    let mut all = Map::new();
    for rule in rules {
        if rule.days > LONGEST {
            return Err(StoreError::Invalid(format!(
                "{} days is more than {LONGEST}: leave the rule out to keep it",
                rule.days
            )));
        }
        let name = kind_name(rule.kind);
        if all.insert(name.to_owned(), rule.days.into()).is_some() {
            return Err(StoreError::Invalid(format!("{name} is there twice: give one rule for each kind")));
        }
    }
    let days = |wanted| rules.iter().find(|rule| rule.kind == wanted).map(|rule| rule.days);
    let raw = [days(Kind::Envelopes), days(Kind::Cases)].into_iter().flatten().min();
    let longer =
        |rule: &&Rule| !matches!(rule.kind, Kind::Envelopes | Kind::Cases) && raw.is_none_or(|raw| raw > rule.days);
    if let Some(rule) = rules.iter().find(longer) {
        let (name, days) = (kind_name(rule.kind), rule.days);
        return Err(StoreError::Invalid(format!(
            "{name} can't be kept shorter than the raw requests, which have them too: give envelopes {days} days or fewer"
        )));
    }
    let said: Vec<String> = all.iter().map(|(kind, days)| format!("{kind} {days}")).collect();
    let said = if said.is_empty() { "keep everything".to_owned() } else { said.join(", ") };
    Ok((all.into(), said))
}

/// Rules from `{"texts": 30}`.
pub fn parse_rules(row: &Value) -> Vec<Rule> {
    let days = |kind: &(Kind, &str)| {
        let days = row.get(kind.1)?.as_u64()?;
        Some(Rule { kind: kind.0, days: u32::try_from(days).ok()? })
    };
    KINDS.iter().filter_map(days).collect()
}

/// An entry of the audit: `{"n", "id", "at", "author", "action", "subject", "counts", "reason"}`.
///
/// # Errors
///
/// When it is not what the store writes.
pub fn audit_entry(row: &Value) -> Result<AuditEntry, RowError> {
    let missing = |name: &str| RowError(format!("member {name} is missing or ill-typed"));
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(unescape);
    let number = |name: &str| row.get(name).and_then(Value::as_i64).ok_or_else(|| missing(name));
    Ok(AuditEntry {
        number: u64::try_from(number("n")?).map_err(|_| missing("n"))?,
        id: text("id").ok_or_else(|| missing("id"))?,
        at: number("at")?,
        author: text("author").ok_or_else(|| missing("author"))?,
        action: text("action").ok_or_else(|| missing("action"))?,
        subject: text("subject").map(|subject| match reference::parse(&subject) {
            Ok(bare) => reference::format(&bare),
            Err(_) => subject,
        }),
        counts: counts(row.get("counts").unwrap_or(&Value::Null)),
        reason: text("reason"),
    })
}

/// A page of the audit, of which one more was read than there may be.
pub fn audit_page(mut entries: Vec<AuditEntry>, page: &Page) -> AuditPage {
    let more = entries.len() > page.limit as usize;
    entries.truncate(page.limit as usize);
    let next = entries.last().filter(|_| more).map(|last| last.number.to_string());
    AuditPage { entries, next }
}

/// An envelope that has nothing to read any more.
pub fn gone(entry: &str) -> StoreError {
    StoreError::Invalid(format!(
        "the content of this envelope was erased (audit entry {entry}): it can't be read or replayed any more; its digest and seal stay"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use channel_sdk::types::{Event, Handle, Location, Threading};

    fn rule(kind: Kind, days: u32) -> Rule {
        Rule { kind, days }
    }

    #[test]
    fn of_an_erased_event_only_what_tells_of_nobody_is_left() {
        let mut event = Event::new(channel_sdk::types::Kind::Message, "secret-key");
        let secret = || Some("secret".to_owned());
        event.sender = Some(Handle { scheme: "phone".into(), value: "secret".into() });
        event.claimed = vec![Handle { scheme: "email".into(), value: "secret".into() }];
        (event.sender_name, event.recipient, event.subject, event.text) = (secret(), secret(), secret(), secret());
        (event.message_id, event.thread_id, event.in_reply_to, event.call_id) =
            (secret(), secret(), secret(), secret());
        (event.conversation_id, event.event_id, event.dtmf, event.recording_id) =
            (secret(), secret(), secret(), secret());
        (event.address, event.asks_about) = (secret(), secret());
        event.references = vec!["secret".into()];
        event.attributes = vec![("z".into(), "secret".into()), ("a".into(), "secret".into())];
        event.fields = event.attributes.clone();
        event.location = Some(Location { lat: 1.0, long: 2.0 });
        event.threading = Threading::Key("secret".into());
        event.language = Some("ca".into());
        let intake = crate::intake::intake(
            crate::log::Envelope {
                id: None,
                tenant: "t".into(),
                connector: "a/b".into(),
                method: String::new(),
                target: String::new(),
                headers: Vec::new(),
                body: Vec::new(),
                received_at: 0,
                verified_by: String::new(),
                nonce: None,
            },
            &crate::log::Disposition::Accepted,
            &[event],
            |bytes| {
                bytes.fill(7);
                Ok(())
            },
        )
        .unwrap();
        let mut json = intake.events[0]["json"].clone();
        let members = json.as_object_mut().unwrap();
        for name in patch(Kind::Cases).as_object().unwrap().keys() {
            members.remove(name);
        }
        members.insert("idempotency_key".into(), forgotten("secret-key").into());
        assert!(!json.to_string().contains("secret"), "{json}");
        assert!(json.get("location").is_none() && json["language"] == "ca", "{json}");
    }

    #[test]
    fn rules_that_keep_raw_requests_longer_are_refused() {
        assert!(rules(&[rule(Kind::Texts, 30)]).is_err());
        assert!(rules(&[rule(Kind::Texts, 30), rule(Kind::Envelopes, 31)]).is_err());
        assert!(rules(&[rule(Kind::Texts, 30), rule(Kind::Texts, 30), rule(Kind::Envelopes, 1)]).is_err());
        assert!(rules(&[rule(Kind::Cases, LONGEST + 1)]).is_err());
        let (json, said) = rules(&[rule(Kind::Texts, 30), rule(Kind::Envelopes, 30)]).unwrap();
        assert_eq!((said.as_str(), parse_rules(&json).len()), ("envelopes 30, texts 30", 2));
        assert!(rules(&[rule(Kind::Cases, 100)]).is_ok() && rules(&[]).is_ok());
    }

    #[test]
    fn a_kind_is_due_where_its_bit_is_not_set() {
        let masks = masks();
        assert_eq!(list(&masks, "envelopes").len(), 64);
        assert!(list(&masks, "envelopes").iter().all(|mask| mask.as_u64().unwrap() & 1 == 0));
        assert!(list(&masks, "cases").iter().all(|mask| mask.as_u64().unwrap() < 64));
    }
}
