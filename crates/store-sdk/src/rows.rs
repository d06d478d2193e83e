//! From the JSON that databases answer with to the contract's types.
//!
//! Free text in columns is escaped ([`crate::text`]); an event's own JSON is not.

use channel_sdk::types::{CaseState, CaseStatus, Event, Handle, Header, Outgoing, PublicCase, PublicUpdate, Receipt};
use channel_sdk::{json, reference};
use serde_json::Value;

use crate::cases::{CaseDetail, CaseSummary, CaseTask, Contact, HistoryEntry, Note, ReplyEntry, ReplyState};
use crate::feed::{CaseChange, Condition, DestinationState, Entry, Fact};
use crate::intake::{ATTRIBUTES, FIELDS};
use crate::log::{Disposition, Envelope, EnvelopeSummary, StoredEvent};
use crate::outbox::Item;
use crate::text::{unescape, unhex};

/// A row that can't be read: a defect, or somebody else has written to the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError(pub String);

impl From<serde_json::Error> for RowError {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

type Read<T> = Result<T, RowError>;

fn missing(name: &str) -> RowError {
    RowError(format!("member {name} is missing or ill-typed"))
}

fn text(row: &Value, name: &str) -> Option<String> {
    row.get(name).and_then(Value::as_str).map(unescape)
}

fn needed(row: &Value, name: &str) -> Read<String> {
    text(row, name).ok_or_else(|| missing(name))
}

fn number(row: &Value, name: &str) -> Option<i64> {
    row.get(name).and_then(Value::as_i64)
}

fn instant(row: &Value, name: &str) -> Read<i64> {
    number(row, name).ok_or_else(|| missing(name))
}

fn count(row: &Value, name: &str) -> u32 {
    number(row, name).and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
}

/// SQLite has no booleans: 0 and 1 count too.
fn truth(row: &Value, name: &str) -> bool {
    row.get(name).is_some_and(|value| value.as_bool().unwrap_or_else(|| value.as_i64() == Some(1)))
}

fn list<T>(row: &Value, name: &str, read: impl Fn(&Value) -> Read<T>) -> Read<Vec<T>> {
    match row.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(elements)) => elements.iter().map(read).collect(),
        Some(_) => Err(missing(name)),
    }
}

fn status(row: &Value) -> Read<CaseStatus> {
    json::parse_case_status(&needed(row, "status")?).ok_or_else(|| missing("status"))
}

fn shown(row: &Value, name: &str) -> Option<String> {
    text(row, name).map(|bare| reference::format(&bare))
}

fn handle(row: &Value) -> Option<Handle> {
    Some(Handle { scheme: text(row, "scheme")?, value: text(row, "handle").or_else(|| text(row, "value"))? })
}

/// The receipts of an intake, in the order of its events.
///
/// # Errors
///
/// When there is not one for each event.
pub fn receipts(answer: &Value, events: &[Event]) -> Read<Vec<Receipt>> {
    let rows = answer.get("receipts").and_then(Value::as_array).ok_or_else(|| missing("receipts"))?;
    events
        .iter()
        .enumerate()
        .map(|(index, event)| {
            let place = i64::try_from(index).ok();
            let row = rows
                .iter()
                .find(|row| number(row, "n") == place)
                .ok_or_else(|| RowError(format!("event {index} has no receipt")))?;
            let asked = match row.get("asked") {
                None | Some(Value::Null) => None,
                Some(asked) => Some(CaseState {
                    reference: shown(asked, "reference").ok_or_else(|| missing("reference"))?,
                    status: status(asked)?,
                    department: text(asked, "department"),
                    opened_at: instant(asked, "opened_at")?,
                    updated_at: instant(asked, "updated_at")?,
                }),
            };
            Ok(Receipt {
                event_id: needed(row, "id")?,
                idempotency_key: event.idempotency_key.clone(),
                duplicate: truth(row, "duplicate"),
                case_reference: shown(row, "reference"),
                opened: truth(row, "opened"),
                asked,
            })
        })
        .collect()
}

/// An event as [`crate::intake`] wrote it.
fn event(row: &Value) -> Read<Event> {
    let mut members = row.get("event").cloned().ok_or_else(|| missing("event"))?;
    let mut pairs = |name: &str| -> Read<Option<Vec<(String, String)>>> {
        let kept = members.as_object_mut().and_then(|members| members.remove(name));
        Ok(kept.map(serde_json::from_value).transpose()?)
    };
    let (fields, attributes) = (pairs(FIELDS)?, pairs(ATTRIBUTES)?);
    let mut event = json::parse_event(&members).map_err(|error| RowError(error.to_string()))?;
    event.fields = fields.unwrap_or(event.fields);
    event.attributes = attributes.unwrap_or(event.attributes);
    Ok(event)
}

/// One event as stored.
///
/// # Errors
///
/// When the row is not what the store writes.
pub fn stored_event(row: &Value) -> Read<StoredEvent> {
    Ok(StoredEvent {
        id: needed(row, "id")?,
        tenant: needed(row, "tenant")?,
        channel: needed(row, "channel")?,
        connector: needed(row, "connector")?,
        received_at: instant(row, "received_at")?,
        event: event(row)?,
        case_reference: shown(row, "reference"),
    })
}

/// A contact with its handles and those of the contacts joined into it.
///
/// # Errors
///
/// When the row is not what the store writes.
pub fn contact(row: &Value) -> Read<Contact> {
    Ok(Contact {
        id: needed(row, "id")?,
        name: text(row, "name"),
        handles: list(row, "handles", |row| handle(row).ok_or_else(|| missing("handle")))?,
    })
}

/// A case.
///
/// # Errors
///
/// When the row is not what the store writes.
pub fn summary(row: &Value) -> Read<CaseSummary> {
    Ok(CaseSummary {
        reference: shown(row, "reference").ok_or_else(|| missing("reference"))?,
        tenant: needed(row, "tenant")?,
        status: status(row)?,
        channel: needed(row, "channel")?,
        subject: text(row, "subject"),
        contact: row.get("contact").filter(|contact| !contact.is_null()).map(contact).transpose()?,
        department: text(row, "department"),
        service_code: text(row, "service_code"),
        priority: number(row, "priority").and_then(|priority| u8::try_from(priority).ok()),
        assignee: text(row, "assignee"),
        opened_at: instant(row, "opened_at")?,
        updated_at: instant(row, "updated_at")?,
        first_response_at: number(row, "first_response_at"),
        open_tasks: list(row, "tasks", |row| {
            Ok(CaseTask {
                id: needed(row, "id")?,
                task: json::parse_task(&needed(row, "task")?).ok_or_else(|| missing("task"))?,
                handle: handle(row),
                created_at: instant(row, "created_at")?,
            })
        })?,
    })
}

/// A note.
///
/// # Errors
///
/// When the row is not what the store writes.
pub fn note(row: &Value) -> Read<Note> {
    Ok(Note {
        id: needed(row, "id")?,
        author: needed(row, "author")?,
        text: needed(row, "text")?,
        at: instant(row, "at")?,
    })
}

/// One change of a case.
///
/// # Errors
///
/// When the row is not what the store writes.
pub fn history(row: &Value) -> Read<HistoryEntry> {
    Ok(HistoryEntry {
        at: instant(row, "at")?,
        author: needed(row, "author")?,
        field: needed(row, "field")?,
        before: text(row, "before"),
        after: text(row, "after"),
    })
}

/// An entry of the feed at a position: `{"event": {…}}` as for [`stored_event`], or `{"change": {…}, "reference": …, "id": …}`.
///
/// # Errors
///
/// When the row is not what the store writes.
pub fn entry(row: &Value, position: String) -> Read<Entry> {
    if let Some(event) = row.get("event").filter(|event| !event.is_null()) {
        let event = stored_event(event)?;
        return Ok(Entry { id: event.id.clone(), position, fact: Fact::Received(event) });
    }
    let change = history(row.get("change").ok_or_else(|| missing("change"))?)?;
    let case_reference = shown(row, "reference").ok_or_else(|| missing("reference"))?;
    Ok(Entry { id: needed(row, "id")?, position, fact: Fact::Changed(CaseChange { case_reference, change }) })
}

/// Something sent or to be sent, with what the provider has reported about it: `reports` is a list of `{"status": …, "at": …}`.
///
/// # Errors
///
/// When the row is not what the store writes.
pub fn reply(row: &Value) -> Read<ReplyEntry> {
    let state = match needed(row, "state")?.as_str() {
        "queued" => ReplyState::Queued,
        "sent" => ReplyState::Sent,
        "failed" => ReplyState::Failed,
        _ => return Err(missing("state")),
    };
    // The statuses are members of events' JSON, which is not escaped.
    let report = |row: &Value| Ok((row.get("status").and_then(Value::as_str).map(str::to_owned), instant(row, "at")?));
    let reports = list(row, "reports", report)?;
    Ok(ReplyEntry {
        id: needed(row, "id")?,
        connector: needed(row, "connector")?,
        author: needed(row, "author")?,
        text: needed(row, "text")?,
        automatic: truth(row, "automatic"),
        created_at: instant(row, "created_at")?,
        state,
        due_at: number(row, "due_at").filter(|_| state == ReplyState::Queued),
        settled_at: number(row, "settled_at").filter(|_| state != ReplyState::Queued),
        reason: text(row, "reason"),
        message_id: text(row, "message_id"),
        delivery: furthest(reports.into_iter().filter_map(|(status, at)| Some((status?, at)))),
    })
}

/// The report that says most, whatever the order in which they came; of equal ones the first.
fn furthest(reports: impl Iterator<Item = (String, i64)>) -> Option<(String, i64)> {
    let rank = |word: &str| match word.to_ascii_lowercase().as_str() {
        "read" | "seen" | "opened" | "clicked" | "played" => 4,
        "failed" | "undelivered" | "bounced" | "rejected" | "dropped" => 3,
        "delivered" => 2,
        "sent" => 1,
        _ => 0,
    };
    reports.reduce(|best, next| if rank(&next.0) > rank(&best.0) { next } else { best })
}

/// A case with everything: `{"summary": …, "events": [{"seq": 1, "row": …}], "notes": […], "history": […], "replies": […]}`.
///
/// # Errors
///
/// When the row is not what the store writes.
pub fn detail(row: &Value) -> Read<CaseDetail> {
    let mut events = list(row, "events", |entry| {
        let event = entry.get("row").ok_or_else(|| missing("row"))?;
        Ok((instant(entry, "seq")?, stored_event(event)?))
    })?;
    events.sort_by_key(|(seq, _)| *seq);
    Ok(CaseDetail {
        summary: summary(row.get("summary").ok_or_else(|| missing("summary"))?)?,
        events: events.into_iter().map(|(_, event)| event).collect(),
        notes: list(row, "notes", note)?,
        history: list(row, "history", history)?,
        replies: list(row, "replies", reply)?,
    })
}

/// What everybody may see of a case: of its first event only what it is about, nothing of its sender.
///
/// # Errors
///
/// When the row is not what the store writes.
pub fn public_case(row: &Value) -> Read<PublicCase> {
    let first = event(row)?;
    Ok(PublicCase {
        reference: needed(row, "reference")?,
        status: status(row)?,
        service_code: text(row, "service_code"),
        description: first.text,
        attributes: first.attributes,
        address: first.address,
        location: first.location,
        department: text(row, "department"),
        media_urls: first.attachments.into_iter().filter_map(|attachment| attachment.url).collect(),
        opened_at: instant(row, "opened_at")?,
        updated_at: instant(row, "updated_at")?,
        updates: list(row, "updates", |row| {
            Ok(PublicUpdate { id: instant(row, "id")?.to_string(), at: instant(row, "at")?, status: status(row)? })
        })?,
    })
}

/// An envelope in a list.
///
/// # Errors
///
/// When the row is not what the store writes.
pub fn envelope_summary(row: &Value) -> Read<EnvelopeSummary> {
    Ok(EnvelopeSummary {
        id: needed(row, "id")?,
        connector: needed(row, "connector")?,
        method: needed(row, "method")?,
        target: needed(row, "target")?,
        received_at: instant(row, "received_at")?,
        verified_by: needed(row, "verified_by")?,
        disposition: match needed(row, "disposition")?.as_str() {
            "accepted" => Disposition::Accepted,
            "quarantined" => Disposition::Quarantined(text(row, "reason").unwrap_or_default()),
            "pending" => Disposition::Pending,
            _ => return Err(missing("disposition")),
        },
        body_bytes: number(row, "body_bytes").and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
        events: count(row, "events"),
    })
}

/// An envelope with its body.
///
/// # Errors
///
/// When the row is not what the store writes.
pub fn envelope(row: &Value, body: Vec<u8>) -> Read<Envelope> {
    Ok(Envelope {
        id: Some(needed(row, "id")?),
        tenant: needed(row, "tenant")?,
        connector: needed(row, "connector")?,
        method: needed(row, "method")?,
        target: needed(row, "target")?,
        headers: headers(row.get("headers").ok_or_else(|| missing("headers"))?)?,
        body,
        received_at: instant(row, "received_at")?,
        verified_by: needed(row, "verified_by")?,
        nonce: text(row, "nonce"),
    })
}

/// An item of the outbox that was leased at `now`; `attempts` counts this one. None: who asked was erased meanwhile.
///
/// # Errors
///
/// When the row is not what the store writes.
pub fn item(row: &Value, now: i64) -> Read<Option<Item>> {
    let event = stored_event(row.get("event").ok_or_else(|| missing("event"))?)?;
    let id = needed(row, "id")?;
    let answer = Answer {
        id: id.clone(),
        reference: needed(row, "reference")?,
        text: needed(row, "text")?,
        automatic: truth(row, "automatic"),
        now,
    };
    let Some(message) = outgoing(answer, &event) else { return Ok(None) };
    Ok(Some(Item {
        id,
        tenant: needed(row, "tenant")?,
        connector: needed(row, "connector")?,
        message,
        attempt: count(row, "attempts").saturating_sub(1),
        created_at: instant(row, "created_at")?,
        done: count(row, "done"),
    }))
}

/// A reader of the feed that has come to `position`.
///
/// # Errors
///
/// When the row is not what the store writes.
pub fn destination(row: &Value, position: String) -> Read<DestinationState> {
    Ok(DestinationState {
        tenant: needed(row, "tenant")?,
        destination: needed(row, "name")?,
        condition: match needed(row, "condition")?.as_str() {
            "running" => Condition::Running,
            "paused" => Condition::Paused,
            "stopped" => Condition::Stopped,
            _ => return Err(missing("condition")),
        },
        position,
        waiting: count(row, "waiting"),
        attempts: count(row, "attempts"),
        due_at: number(row, "due_at"),
        leased_until: number(row, "leased_until"),
        failing_since: number(row, "failing_since"),
        reason: text(row, "reason"),
        delivered: number(row, "delivered").and_then(|delivered| u64::try_from(delivered).ok()).unwrap_or(0),
        delivered_at: number(row, "delivered_at"),
        created_at: instant(row, "created_at")?,
    })
}

/// The headers [`crate::intake::headers`] wrote.
///
/// # Errors
///
/// When it is not what the store writes.
pub fn headers(row: &Value) -> Read<Vec<Header>> {
    row.as_array()
        .ok_or_else(|| missing("headers"))?
        .iter()
        .map(|pair| {
            let name = pair.get(0).and_then(Value::as_str).ok_or_else(|| missing("header name"))?;
            let value = pair.get(1).ok_or_else(|| missing("header value"))?;
            let bytes = match value.as_str() {
                Some(text) => Some(text.as_bytes().to_vec()),
                None => value.get("hex").and_then(Value::as_str).and_then(unhex),
            };
            Ok(Header { name: name.to_owned(), value: bytes.ok_or_else(|| missing("header value"))? })
        })
        .collect()
}

/// What is to be sent in answer to a stored event.
pub struct Answer {
    /// The outbox's id.
    pub id: String,
    /// Bare digits.
    pub reference: String,
    /// What staff wrote.
    pub text: String,
    /// Whether nobody wrote it.
    pub automatic: bool,
    /// The courier's clock.
    pub now: i64,
}

/// The message that answers `event`. None: it has no sender any more.
pub fn outgoing(answer: Answer, event: &StoredEvent) -> Option<Outgoing> {
    let asked = &event.event;
    let mut references = asked.references.clone();
    references.extend(asked.message_id.clone());
    Some(Outgoing {
        id: answer.id,
        case_reference: Some(reference::format(&answer.reference)),
        recipient: asked.sender.clone()?,
        sender: asked.recipient.clone(),
        subject: asked.subject.clone(),
        text: answer.text,
        language: asked.language.clone(),
        in_reply_to: asked.message_id.clone(),
        conversation_id: asked.conversation_id.clone(),
        thread_id: asked.thread_id.clone(),
        references,
        last_inbound_at: Some(event.received_at),
        automatic: answer.automatic,
        answers: Some(asked.kind),
        now: answer.now,
    })
}
