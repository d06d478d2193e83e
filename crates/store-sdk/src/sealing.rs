//! Sealing and examining over what a database gives: the same for every store.

use serde_json::Value;

use crate::chain::{self, Sealed, Seals, Unsealed};
use crate::ledger::{Account, Examination, Fault, Finding, Line, Sealing};
use crate::log::{Envelope, EnvelopePage, EnvelopeSummary, Page, StoreError};
use crate::rows::RowError;
use crate::text::unescape;

/// What sealing needs of a store.
#[expect(async_fn_in_trait, reason = "a component's futures stay on one thread")]
pub trait Chain {
    /// Envelopes that have no seal, in each tenant's order; none that can still get company before it.
    async fn unsealed(&self, limit: u32) -> Result<Vec<Unsealed>, StoreError>;
    /// One envelope with its body.
    async fn whole(&self, tenant: &str, id: &str) -> Result<Option<Envelope>, StoreError>;
    /// Writes seals in one statement, for the tenants whose chain ends where these begin. Says how many.
    async fn append(&self, seals: Seals, at: i64) -> Result<u32, StoreError>;
    /// The seals from a number on.
    async fn seals(&self, tenant: &str, from: u64, limit: u32) -> Result<Vec<Sealed>, StoreError>;
    /// Envelopes of these ids with their bodies; those that can't be read are left out.
    async fn bodies(&self, tenant: &str, ids: &[&str]) -> Result<Vec<Envelope>, StoreError>;
    /// Place and id of envelopes without a seal after a place and up to another one; without that, up to where everything is sealed.
    async fn added(&self, tenant: &str, after: i64, upto: Option<i64>) -> Result<Vec<(i64, String)>, StoreError>;
}

/// Before every place.
pub const NOWHERE: i64 = i64::MIN;

/// `ledger.seal`.
///
/// # Errors
///
/// Of the store.
pub async fn seal<C: Chain>(chain: &C, at: i64, limit: u32) -> Result<Sealing, StoreError> {
    if !(1..=1000).contains(&limit) {
        return Err(StoreError::Invalid(format!("the limit is {limit}: it must be 1 to 1000")));
    }
    let mut envelopes = chain.unsealed(limit).await?;
    let full = envelopes.len() >= limit as usize;
    // Those stored before there were digests get theirs now, a bounded number of bytes at a time.
    let mut bytes = 0;
    for envelope in envelopes.iter_mut().filter(|envelope| envelope.digest.is_none()) {
        if bytes >= chain::EXAMINED {
            break;
        }
        if let Some(whole) = chain.whole(&envelope.tenant, &envelope.id).await? {
            bytes += u64::try_from(whole.body.len()).unwrap_or(u64::MAX);
            envelope.digest = Some(chain::digest(&envelope.id, &whole));
        }
    }
    let seals = chain::seal(&envelopes);
    if seals.rows.is_empty() {
        return Ok(Sealing { sealed: 0, more: false });
    }
    let cut = seals.rows.len() < envelopes.len();
    let sealed = chain.append(seals, at).await?;
    Ok(Sealing { sealed, more: full || cut })
}

/// `ledger.examine`.
///
/// # Errors
///
/// Of the store.
pub async fn examine<C: Chain>(chain: &C, tenant: &str, after: u64, limit: u32) -> Result<Examination, StoreError> {
    if !(1..=500).contains(&limit) {
        return Err(StoreError::Invalid(format!("the limit is {limit}: it must be 1 to 500")));
    }
    if after >= 1 << 53 {
        return Err(StoreError::Invalid(format!("there is no seal {after}: begin after one that there is")));
    }
    // The one before, and one more to see whether there are more.
    let mut seals = chain.seals(tenant, after, limit + 2).await?;
    let before = match seals.first() {
        Some(first) if first.number == after => Some(seals.remove(0)),
        _ => None,
    };
    let all = seals.len();
    seals.truncate(limit as usize);
    seals.truncate(chain::examined(&seals));
    let more = seals.len() < all;
    let mut findings = chain::faults(before.as_ref(), after, &seals);
    for portion in chain::portions(&seals) {
        let ids: Vec<&str> = portion.iter().map(|seal| seal.envelope.as_str()).collect();
        let envelopes = chain.bodies(tenant, &ids).await?;
        findings.extend(chain::differences(portion, &envelopes));
    }
    let from = before.as_ref().map_or(NOWHERE, |seal| seal.place);
    let upto = seals.last().map(|seal| seal.place).filter(|_| more);
    for (place, envelope) in chain.added(tenant, from, upto).await? {
        let earlier = before.iter().chain(&seals).filter(|seal| seal.place < place).map(|seal| seal.number).max();
        findings.push(Finding { fault: Fault::Added, number: earlier.unwrap_or(0), envelope: Some(envelope) });
    }
    let unlike = |seal: &&Sealed| !findings.iter().any(|finding| finding.envelope.as_ref() == Some(&seal.envelope));
    let erased = seals.iter().filter(|seal| seal.erased == Some(true)).filter(unlike).count() as u64;
    findings.sort_by_key(|finding| finding.number);
    findings.truncate(chain::FINDINGS);
    Ok(Examination { upto: seals.last().map_or(after, |seal| seal.number), more, findings, erased })
}

/// The bounds of an account as ranges of ids: `[["0192d938-5280", "0192d938-5281"], …]`.
///
/// # Errors
///
/// When they don't ascend, or are too many.
pub fn periods(bounds: &[i64]) -> Result<Value, StoreError> {
    let ascend = bounds.iter().zip(bounds.iter().skip(1)).all(|(one, next)| one < next);
    if !ascend || bounds.len() > 1001 {
        return Err(StoreError::Invalid("the bounds of periods must ascend, and be 1001 at most".into()));
    }
    let range = |(since, until): (&i64, &i64)| {
        let (first, end) = chain::ids(*since, *until);
        Value::from(vec![first, end])
    };
    Ok(bounds.iter().zip(bounds.iter().skip(1)).map(range).collect())
}

/// The ids between which an account's envelopes and seals are: the first, and one behind the last. All there are, if no period is asked for; and
/// where time has no end, also ids that are none of ours.
pub fn range(bounds: &[i64]) -> (String, String) {
    let (since, until) = bounds.first().copied().zip(bounds.last().copied()).unwrap_or((i64::MIN, i64::MAX));
    let (first, behind) = chain::ids(since, until);
    (first, if until == i64::MAX { char::MAX.to_string() } else { behind })
}

/// The ids of what was received between two instants and, newest first, is on this page or a later one: the first, and one behind the last.
pub fn ids(since: i64, until: i64, page: &Page) -> (String, String) {
    let (first, end) = chain::ids(since, until);
    let end = page.after.clone().filter(|after| *after < end).unwrap_or(end);
    (first, end)
}

/// A page of envelopes by their ids, of which one more was read than there may be.
pub fn page(mut envelopes: Vec<EnvelopeSummary>, page: &Page) -> EnvelopePage {
    let more = envelopes.len() > page.limit as usize;
    envelopes.truncate(page.limit as usize);
    let next = envelopes.last().filter(|_| more).map(|last| last.id.clone());
    EnvelopePage { envelopes, next }
}

fn missing(name: &str) -> RowError {
    RowError(format!("member {name} is missing or ill-typed"))
}

fn count(row: &Value, name: &str) -> u64 {
    row.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn text(row: &Value, name: &str) -> Result<String, RowError> {
    row.get(name).and_then(Value::as_str).map(unescape).ok_or_else(|| missing(name))
}

fn place(row: &Value) -> Result<i64, RowError> {
    row.get("place").and_then(Value::as_i64).ok_or_else(|| missing("place"))
}

/// `{"lines": […], "twice": […], "stored", "sealed", "waiting", "counted", "head", "link", "unsealed"}`. A line has the members of the contract's; `twice` has
/// such lines of repeats and duplicates alone, where they are not in `lines`.
///
/// # Errors
///
/// When it is not what the store writes.
pub fn account(row: &Value) -> Result<Account, RowError> {
    let list = |name: &str| row.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let line = |row: &Value| {
        Ok(Line {
            period: u32::try_from(count(row, "period")).map_err(|_| missing("period"))?,
            connector: text(row, "connector")?,
            disposition: text(row, "disposition")?,
            envelopes: count(row, "envelopes"),
            repeats: count(row, "repeats"),
            events: count(row, "events"),
            duplicates: count(row, "duplicates"),
        })
    };
    let mut lines = list("lines").iter().map(line).collect::<Result<Vec<Line>, RowError>>()?;
    for more in list("twice") {
        let more = line(more)?;
        let same = |line: &&mut Line| {
            (line.period, &line.connector, &line.disposition) == (more.period, &more.connector, &more.disposition)
        };
        if let Some(line) = lines.iter_mut().find(same) {
            line.repeats += more.repeats;
            line.duplicates += more.duplicates;
        }
    }
    Ok(Account {
        lines,
        stored: count(row, "stored"),
        sealed: count(row, "sealed"),
        waiting: count(row, "waiting"),
        counted: count(row, "counted"),
        head: count(row, "head"),
        link: row.get("link").and_then(Value::as_str).unwrap_or(chain::NOTHING).to_owned(),
        unsealed: count(row, "unsealed"),
    })
}

/// `{"tenant", "id", "place", "digest", "number", "link"}`.
///
/// # Errors
///
/// When it is not what the store writes.
pub fn unsealed(row: &Value) -> Result<Unsealed, RowError> {
    let link = row.get("link").and_then(Value::as_str).unwrap_or(chain::NOTHING);
    // A digest that is none is made anew.
    let digest = row.get("digest").and_then(Value::as_str).filter(|it| chain::link(chain::NOTHING, it, 1).is_some());
    Ok(Unsealed {
        tenant: text(row, "tenant")?,
        id: text(row, "id")?,
        place: place(row)?,
        digest: digest.map(str::to_owned),
        after: (count(row, "number"), link.to_owned()),
    })
}

/// `{"n", "envelope", "place", "digest", "link", "bytes", "erased", "told"}`: `erased` is null, or the audit entry's id.
///
/// # Errors
///
/// When it is not what the store writes.
pub fn sealed(row: &Value) -> Result<Sealed, RowError> {
    Ok(Sealed {
        number: count(row, "n"),
        envelope: text(row, "envelope")?,
        place: place(row)?,
        digest: text(row, "digest")?,
        link: text(row, "link")?,
        bytes: row.get("bytes").and_then(Value::as_u64),
        erased: row.get("erased").and_then(Value::as_str).map(|_| count(row, "told") == 1),
    })
}
