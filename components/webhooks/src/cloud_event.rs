//! An entry of the feed as a CloudEvent, structured JSON (CloudEvents 1.0.2 §3; JSON format §3).

use channel_sdk::json::{event, format_instant, kind_name};
use channel_sdk::reference;
use serde_json::{Map, Value, json};

use crate::bindings::cases::HistoryEntry;
use crate::bindings::feed::{Entry, Fact};
use crate::bindings::log::StoredEvent;

/// RFC 6839: what the body is.
pub(crate) const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";
/// The kind of a change of a case, beside the kinds of events.
pub(crate) const CASE_UPDATED: &str = "case.updated";
const RECEIVED_TYPE: &str = "dev.ventanilla.event.received";
const UPDATED_TYPE: &str = "dev.ventanilla.case.updated";

/// What a destination chooses by.
pub(crate) fn kind(entry: &Entry) -> &'static str {
    match &entry.fact {
        Fact::Received(stored) => kind_name(stored.event.kind),
        Fact::Changed(_) => CASE_UPDATED,
    }
}

/// The whole message. It is the same, byte for byte, whenever the entry is read.
pub(crate) fn body(entry: &Entry, tenant: &str, source: &str) -> Vec<u8> {
    let (kind_of, place, subject, at, data) = match &entry.fact {
        Fact::Received(stored) => (
            RECEIVED_TYPE,
            format!("/{}/{tenant}", stored.connector),
            stored.case_reference.as_deref().map(reference::format),
            stored.received_at,
            received(stored),
        ),
        Fact::Changed(changed) => {
            let reference = reference::format(&changed.case_reference);
            let data = updated(&changed.change, tenant, &reference);
            (UPDATED_TYPE, format!("/api/{tenant}/cases"), Some(reference), changed.change.at, data)
        }
    };
    let mut message = Map::new();
    let mut put = |name: &str, value: Value| message.insert(name.to_owned(), value);
    put("specversion", "1.0".into());
    put("id", entry.id.as_str().into());
    put("source", format!("{source}{place}").into());
    put("type", kind_of.into());
    if let Some(subject) = subject {
        put("subject", subject.into());
    }
    put("time", format_instant(at).into());
    put("datacontenttype", "application/json".into());
    // The extension `sequence` (cloudevents/extensions/sequence.md): texts that are ordered as the messages are.
    put("sequence", entry.position.as_str().into());
    put("tenant", tenant.into());
    put("kind", kind(entry).into());
    put("data", data);
    Value::Object(message).to_string().into_bytes()
}

/// As `GET /api/{tenant}/events` has it.
fn received(stored: &StoredEvent) -> Value {
    let mut members = Map::new();
    for (name, value) in
        [("id", &stored.id), ("tenant", &stored.tenant), ("channel", &stored.channel), ("connector", &stored.connector)]
    {
        members.insert(name.to_owned(), value.as_str().into());
    }
    members.insert("received_at".to_owned(), format_instant(stored.received_at).into());
    members.extend(event(&stored.event));
    let claimed: Vec<Value> =
        stored.event.claimed.iter().map(|handle| json!({ "scheme": handle.scheme, "value": handle.value })).collect();
    if !claimed.is_empty() {
        members.insert("claimed".to_owned(), claimed.into());
    }
    if let Some(bare) = &stored.case_reference {
        members.insert("case".to_owned(), json!({ "reference": reference::format(bare) }));
    }
    Value::Object(members)
}

/// A row of `history` as `GET /api/{tenant}/cases/{reference}` has it, with its case.
fn updated(change: &HistoryEntry, tenant: &str, reference: &str) -> Value {
    let mut members = Map::new();
    members.insert("tenant".to_owned(), tenant.into());
    members.insert("case".to_owned(), json!({ "reference": reference }));
    members.insert("at".to_owned(), format_instant(change.at).into());
    members.insert("author".to_owned(), change.author.as_str().into());
    members.insert("field".to_owned(), change.field.as_str().into());
    for (name, value) in [("before", &change.before), ("after", &change.after)] {
        if let Some(value) = value {
            members.insert(name.to_owned(), value.as_str().into());
        }
    }
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{change, entry};

    fn parsed(entry: &Entry, source: &str) -> Value {
        serde_json::from_slice(&body(entry, "madrid", source)).unwrap()
    }

    #[test]
    fn an_event_is_its_public_json_in_an_envelope_that_brokers_know() {
        let message = parsed(&entry(7), "https://desk.example");
        let expected = json!({
            "specversion": "1.0", "id": "e7", "source": "https://desk.example/telephony/acme/madrid",
            "type": "dev.ventanilla.event.received", "subject": "482-109-3726", "time": "2023-11-14T22:13:20Z",
            "datacontenttype": "application/json", "sequence": "07", "tenant": "madrid", "kind": "message",
            "data": {
                "id": "e7", "tenant": "madrid", "channel": "telephony", "connector": "telephony/acme",
                "received_at": "2023-11-14T22:13:20Z", "kind": "message", "idempotency_key": "k7", "text": "hello",
                "must_not_autorespond": false, "case": {"reference": "482-109-3726"},
            },
        });
        assert_eq!(message, expected);
        assert_eq!(body(&entry(7), "madrid", ""), body(&entry(7), "madrid", ""));
    }

    #[test]
    fn a_change_of_a_case_says_what_was_and_what_is() {
        let message = parsed(&change(8), "");
        assert_eq!(message["type"], "dev.ventanilla.case.updated");
        assert_eq!((&message["source"], &message["kind"]), (&"/api/madrid/cases".into(), &"case.updated".into()));
        assert_eq!(
            message["data"],
            json!({"tenant": "madrid", "case": {"reference": "482-109-3726"}, "at": "2023-11-14T22:13:20Z",
                "author": "ana", "field": "status", "before": "new", "after": "closed"})
        );
    }
}
