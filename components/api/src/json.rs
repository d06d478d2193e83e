//! What the store knows as the JSON of the design. Absent members are omitted.

use crate::bindings::cases::{CaseDetail, CaseSummary, CaseTask, Contact, HistoryEntry, Note, ReplyEntry, ReplyState};
use crate::bindings::log::{Disposition, Envelope, EnvelopeSummary, StoredEvent, Total};
use channel_sdk::json::{case_status_name, event as event_json, format_instant, task_name};
use channel_sdk::reference;
use channel_sdk::types::Header;
use serde_json::{Map, Value, json};

/// An object under construction.
struct Out(Map<String, Value>);

impl Out {
    fn new() -> Out {
        Out(Map::new())
    }

    fn put(mut self, name: &str, value: impl Into<Value>) -> Out {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    fn maybe(self, name: &str, value: Option<impl Into<Value>>) -> Out {
        match value {
            Some(value) => self.put(name, value),
            None => self,
        }
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }
}

/// An event with what the store adds to it.
pub(crate) fn event(stored: &StoredEvent) -> Value {
    let case = stored.case_reference.as_deref().map(|bare| json!({"reference": reference::format(bare)}));
    let mut out = Out::new()
        .put("id", stored.id.as_str())
        .put("tenant", stored.tenant.as_str())
        .put("channel", stored.channel.as_str())
        .put("connector", stored.connector.as_str())
        .put("received_at", format_instant(stored.received_at));
    out.0.extend(event_json(&stored.event));
    let claimed: Vec<Value> =
        stored.event.claimed.iter().map(|handle| json!({"scheme": handle.scheme, "value": handle.value})).collect();
    out.maybe("claimed", Some(claimed).filter(|claimed| !claimed.is_empty())).maybe("case", case).done()
}

/// A case without its events.
pub(crate) fn case(case: &CaseSummary) -> Value {
    summary(case).done()
}

/// A case with events, notes and history.
pub(crate) fn case_detail(detail: &CaseDetail) -> Value {
    summary(&detail.summary)
        .put("events", detail.events.iter().map(event).collect::<Vec<_>>())
        .put("notes", detail.notes.iter().map(note).collect::<Vec<_>>())
        .put("history", detail.history.iter().map(history).collect::<Vec<_>>())
        .put("replies", detail.replies.iter().map(reply).collect::<Vec<_>>())
        .done()
}

fn summary(case: &CaseSummary) -> Out {
    Out::new()
        .put("reference", reference::format(&case.reference))
        .put("tenant", case.tenant.as_str())
        .put("status", case_status_name(case.status))
        .put("channel", case.channel.as_str())
        .maybe("subject", case.subject.as_deref())
        .maybe("contact", case.contact.as_ref().map(contact))
        .maybe("department", case.department.as_deref())
        .maybe("service_code", case.service_code.as_deref())
        .maybe("priority", case.priority)
        .maybe("assignee", case.assignee.as_deref())
        .put("opened_at", format_instant(case.opened_at))
        .put("updated_at", format_instant(case.updated_at))
        .maybe("first_response_at", case.first_response_at.map(format_instant))
        .put("tasks", case.open_tasks.iter().map(task).collect::<Vec<_>>())
}

/// Handles as events write them; the scheme of each is in `schemes`, at the same place.
pub(crate) fn contact(contact: &Contact) -> Value {
    Out::new()
        .put("id", contact.id.as_str())
        .maybe("name", contact.name.as_deref())
        .put("handles", contact.handles.iter().map(|handle| handle.value.clone()).collect::<Vec<_>>())
        .put("schemes", contact.handles.iter().map(|handle| handle.scheme.clone()).collect::<Vec<_>>())
        .done()
}

fn task(task: &CaseTask) -> Value {
    Out::new()
        .put("id", task.id.as_str())
        .put("task", task_name(task.task))
        .maybe("handle", task.handle.as_ref().map(|handle| handle.value.as_str()))
        .put("created_at", format_instant(task.created_at))
        .done()
}

/// A note of staff.
pub(crate) fn note(note: &Note) -> Value {
    Out::new()
        .put("id", note.id.as_str())
        .put("author", note.author.as_str())
        .put("text", note.text.as_str())
        .put("at", format_instant(note.at))
        .done()
}

/// What is, or was, to be sent. An automatic acknowledgement has no text: its words are made when it is sent.
fn reply(entry: &ReplyEntry) -> Value {
    let state = match entry.state {
        ReplyState::Queued => "queued",
        ReplyState::Sent => "sent",
        ReplyState::Failed => "failed",
    };
    let delivery = entry.delivery.as_ref();
    Out::new()
        .put("id", entry.id.as_str())
        .put("connector", entry.connector.as_str())
        .put("author", entry.author.as_str())
        .maybe("text", Some(entry.text.as_str()).filter(|text| !text.is_empty()))
        .put("automatic", entry.automatic)
        .put("created_at", format_instant(entry.created_at))
        .put("state", state)
        .maybe("due_at", entry.due_at.map(format_instant))
        .maybe("settled_at", entry.settled_at.map(format_instant))
        .maybe("reason", entry.reason.as_deref())
        .maybe("message_id", entry.message_id.as_deref())
        .maybe("delivery", delivery.map(|(status, at)| json!({"status": status, "at": format_instant(*at)})))
        .done()
}

fn history(entry: &HistoryEntry) -> Value {
    Out::new()
        .put("at", format_instant(entry.at))
        .put("author", entry.author.as_str())
        .put("field", entry.field.as_str())
        .maybe("before", entry.before.as_deref())
        .maybe("after", entry.after.as_deref())
        .done()
}

/// An envelope in a list.
pub(crate) fn envelope_summary(envelope: &EnvelopeSummary) -> Value {
    let (disposition, reason) = match &envelope.disposition {
        Disposition::Pending => ("pending", None),
        Disposition::Accepted => ("accepted", None),
        Disposition::Quarantined(reason) => ("quarantined", Some(reason.as_str())),
    };
    Out::new()
        .put("id", envelope.id.as_str())
        .put("connector", envelope.connector.as_str())
        .put("method", envelope.method.as_str())
        .put("target", envelope.target.as_str())
        .put("received_at", format_instant(envelope.received_at))
        .put("verified_by", envelope.verified_by.as_str())
        .put("disposition", disposition)
        .maybe("reason", reason)
        .put("body_bytes", envelope.body_bytes)
        .put("events", envelope.events)
        .done()
}

/// An envelope with headers and body.
pub(crate) fn envelope(id: &str, envelope: &Envelope) -> Value {
    let headers: Vec<Value> = envelope.headers.iter().map(header).collect();
    let out = Out::new()
        .put("id", id)
        .put("tenant", envelope.tenant.as_str())
        .put("connector", envelope.connector.as_str())
        .put("method", envelope.method.as_str())
        .put("target", envelope.target.as_str())
        .put("received_at", format_instant(envelope.received_at))
        .put("verified_by", envelope.verified_by.as_str())
        .put("headers", headers);
    bytes(out, "body", &envelope.body).done()
}

fn header(header: &Header) -> Value {
    bytes(Out::new().put("name", header.name.as_str()), "value", &header.value).done()
}

/// Bytes as text where they are text, else as `<name>_base64`: a provider's bytes are never altered to fit.
fn bytes(out: Out, name: &str, bytes: &[u8]) -> Out {
    match std::str::from_utf8(bytes) {
        Ok(text) => out.put(name, text),
        Err(_) => out.put(&format!("{name}_base64"), base64(bytes)),
    }
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let number = (0..3).fold(0_u32, |sum, i| sum << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let sextet = (number >> (18 - 6 * i) & 63) as usize;
            text.push(if i > chunk.len() { '=' } else { char::from(ALPHABET.get(sextet).copied().unwrap_or(b'=')) });
        }
    }
    text
}

/// One line of the ledger.
pub(crate) fn total(total: &Total) -> Value {
    Out::new()
        .put("connector", total.connector.as_str())
        .put("disposition", total.disposition.as_str())
        .put("envelopes", total.envelopes)
        .put("events", total.events)
        .maybe("oldest", total.oldest.map(format_instant))
        .done()
}

/// A list under its name, with the cursor of the next page.
pub(crate) fn list(name: &str, items: Vec<Value>, next: Option<String>) -> Value {
    Out::new().put(name, items).maybe("next", next).done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use channel_sdk::types::{CaseStatus, Event, Handle, Kind, Task};

    #[test]
    fn bytes_that_are_no_text_are_base64_as_in_rfc_4648() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(
            header(&Header { name: "x".into(), value: vec![0xff] }),
            json!({"name": "x", "value_base64": "/w=="})
        );
    }

    #[test]
    fn an_event_has_what_the_store_adds_and_omits_what_is_absent() {
        let stored = StoredEvent {
            id: "e1".into(),
            tenant: "madrid".into(),
            channel: "telephony".into(),
            connector: "telephony/acme".into(),
            received_at: 0,
            event: Event::new(Kind::CallStarted, "CA1:start"),
            case_reference: Some("4821093726".into()),
        };
        assert_eq!(
            event(&stored),
            json!({
                "id": "e1", "tenant": "madrid", "channel": "telephony", "connector": "telephony/acme",
                "received_at": "1970-01-01T00:00:00Z", "kind": "call.started", "idempotency_key": "CA1:start",
                "must_not_autorespond": false, "case": {"reference": "482-109-3726"},
            })
        );
    }

    #[test]
    fn a_case_shows_its_reference_in_groups_and_its_open_tasks() {
        let handle = Handle { scheme: "phone".into(), value: "+34910000001".into() };
        let summary = CaseSummary {
            reference: "4821093726".into(),
            tenant: "madrid".into(),
            status: CaseStatus::New,
            channel: "telephony".into(),
            subject: None,
            contact: Some(Contact { id: "c1".into(), name: None, handles: vec![handle.clone()] }),
            department: None,
            service_code: None,
            priority: None,
            assignee: None,
            opened_at: 0,
            updated_at: 0,
            first_response_at: None,
            open_tasks: vec![CaseTask { id: "t1".into(), task: Task::CallBack, handle: Some(handle), created_at: 0 }],
        };
        let epoch = "1970-01-01T00:00:00Z";
        assert_eq!(
            case(&summary),
            json!({
                "reference": "482-109-3726", "tenant": "madrid", "status": "new", "channel": "telephony",
                "contact": {"id": "c1", "handles": ["+34910000001"], "schemes": ["phone"]},
                "opened_at": epoch, "updated_at": epoch,
                "tasks": [{"id": "t1", "task": "call_back", "handle": "+34910000001", "created_at": epoch}],
            })
        );
    }
}
