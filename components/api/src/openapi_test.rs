//! `openapi.json` says what the code does: routes, parameters, security and the members of every document.

use crate::bindings::cases::{CaseDetail, CaseSummary, CaseTask, Contact, HistoryEntry, Note, ReplyEntry, ReplyState};
use crate::bindings::ledger::{Account, Examination, Fault, Finding, Line};
use crate::bindings::log::{Disposition, Envelope, EnvelopeSummary, StoredEvent, Total};
use crate::bindings::privacy::{AuditEntry, Counts, Erasure, Kind as Kept, Removal, Rule};
use crate::call::Query;
use crate::periods::Periods;
use crate::routes::{Access, ROUTES};
use crate::{json, ledger, privacy, probes};
use channel_sdk::json::{parse_event, parse_profile, profile};
use channel_sdk::time_zone::TimeZone;
use channel_sdk::types::{CaseStatus, Handle, Header, Kind, Task};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn document() -> Value {
    serde_json::from_str(probes::DESCRIPTION).expect("openapi.json is JSON")
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            found.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    found
}

#[test]
fn the_document_has_exactly_the_routes_of_the_code() {
    let documented: BTreeSet<(String, String)> =
        operations(&document()).into_iter().map(|(method, path, _)| (method, path)).collect();
    let served: BTreeSet<(String, String)> = ROUTES.iter().map(|r| (r.method.to_owned(), r.path.to_owned())).collect();
    assert_eq!(documented, served);
}

#[test]
fn every_operation_has_the_parameters_and_the_protection_of_its_route() {
    let document = document();
    for (method, path, operation) in operations(&document) {
        let route = ROUTES.iter().find(|r| r.method == method && r.path == path).unwrap();
        let mut expected: BTreeSet<String> = route.parameters.iter().map(|p| (*p).to_owned()).collect();
        expected.extend(path.split('/').filter_map(|s| Some(s.strip_prefix('{')?.strip_suffix('}')?.to_owned())));
        let none = Vec::new();
        let given: BTreeSet<String> = operation["parameters"]
            .as_array()
            .unwrap_or(&none)
            .iter()
            .map(|p| resolve(&document, p)["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(given, expected, "{method} {path}");
        let own = matches!(route.access, Access::Open | Access::Courier);
        assert_eq!(operation.get("security").is_some(), own, "{method} {path}");
        assert_eq!(operation.get("requestBody").is_some(), route.reads_body(), "{method} {path}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(document: &Value, value: &Value, count: &mut usize) {
        match value {
            Value::Object(members) => {
                if let Some(pointer) = members.get("$ref").and_then(Value::as_str) {
                    let pointer = pointer.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{pointer}");
                    *count += 1;
                }
                members.values().for_each(|v| walk(document, v, count));
            }
            Value::Array(items) => items.iter().for_each(|v| walk(document, v, count)),
            _ => {}
        }
    }
    let document = document();
    let mut count = 0;
    walk(&document, &document, &mut count);
    assert!(count > 50, "{count}");
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap(),
        None => value,
    }
}

/// Checks a document against a schema: every member is in it; with `full`, every member of it is there.
fn conforms(document: &Value, schema: &Value, value: &Value, full: bool, place: &str) {
    let schema = resolve(document, schema);
    match value {
        Value::Object(members) => {
            let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
            for (name, member) in members {
                let schema = properties.get(name).unwrap_or_else(|| panic!("{place}.{name} is not in openapi.json"));
                conforms(document, schema, member, full, &format!("{place}.{name}"));
            }
            for name in properties.keys().filter(|_| full) {
                let alternative = name.ends_with("_base64") || properties.contains_key(&format!("{name}_base64"));
                assert!(
                    alternative || members.contains_key(name),
                    "{place}.{name} is in openapi.json but not in the code"
                );
            }
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                assert!(members.contains_key(name), "{place}.{name} is required but absent");
            }
        }
        Value::Array(items) => {
            assert_eq!(schema["type"], "array", "{place}");
            items.iter().for_each(|item| conforms(document, &schema["items"], item, full, place));
        }
        Value::String(text) => {
            assert!(schema["type"] == "string" || schema.get("oneOf").is_some(), "{place}");
            if let Some(allowed) = schema["enum"].as_array() {
                assert!(allowed.iter().any(|a| a == text.as_str()), "{place}: {text} is not in its enum");
            }
        }
        Value::Bool(_) => assert_eq!(schema["type"], "boolean", "{place}"),
        Value::Number(_) => assert!(schema["type"] == "integer" || schema["type"] == "number", "{place}"),
        Value::Null => panic!("{place} is null: absent members are omitted"),
    }
}

fn check(name: &str, value: &Value, full: bool) {
    let document = document();
    conforms(&document, &document["components"]["schemas"][name], value, full, name);
}

fn full_event() -> StoredEvent {
    let event = parse_event(&json!({
        "kind": "message", "idempotency_key": "k", "timestamp": "2026-01-01T00:00:00Z", "sender": "a", "sender_name": "b",
        "recipient": "c", "subject": "d", "text": "e", "text_source": "plain", "message_id": "f", "thread_id": "g",
        "in_reply_to": "h", "references": ["i"], "call_id": "j", "conversation_id": "k", "event_id": "l", "dtmf": "1",
        "confidence": 0.5, "language": "es", "status": "m", "duration_s": 1, "recording_id": "n",
        "location": {"lat": 1.0, "long": 2.0}, "address": "o", "service_code": "p", "attributes": {"a": "b"},
        "fields": {"a": ["b", "c"]}, "flags": ["bulk"], "must_not_autorespond": true,
        "attachments": [{"name": "a", "content_type": "b", "size": 1, "sha256": "c", "url": "d", "media_id": "e",
                         "content_id": "f", "disposition": "g"}],
        "claimed": [{"scheme": "phone", "value": "+34910000002"}],
    }))
    .unwrap();
    StoredEvent {
        id: "1".into(),
        tenant: "t".into(),
        channel: "c".into(),
        connector: "c/v".into(),
        received_at: 0,
        event,
        case_reference: Some("4821093726".into()),
    }
}

fn full_case() -> CaseDetail {
    let handle = Handle { scheme: "phone".into(), value: "+34910000001".into() };
    let summary = CaseSummary {
        reference: "4821093726".into(),
        tenant: "t".into(),
        status: CaseStatus::Open,
        channel: "c".into(),
        subject: Some("s".into()),
        contact: Some(Contact { id: "c".into(), name: Some("n".into()), handles: vec![handle.clone()] }),
        department: Some("d".into()),
        service_code: Some("s".into()),
        priority: Some(1),
        assignee: Some("a".into()),
        opened_at: 0,
        updated_at: 0,
        first_response_at: Some(0),
        open_tasks: vec![CaseTask { id: "t".into(), task: Task::CallBack, handle: Some(handle), created_at: 0 }],
    };
    CaseDetail {
        summary,
        events: vec![full_event()],
        notes: vec![Note { id: "n".into(), author: "a".into(), text: "t".into(), at: 0 }],
        history: vec![HistoryEntry {
            at: 0,
            author: "a".into(),
            field: "status".into(),
            before: Some("new".into()),
            after: Some("open".into()),
        }],
        replies: vec![ReplyEntry {
            id: "o".into(),
            connector: "c/v".into(),
            author: "a".into(),
            text: "t".into(),
            automatic: false,
            created_at: 0,
            state: ReplyState::Sent,
            due_at: Some(0),
            settled_at: Some(0),
            reason: Some("r".into()),
            message_id: Some("m".into()),
            delivery: Some(("read".into(), 0)),
        }],
    }
}

#[test]
fn every_member_of_a_full_document_is_described_and_every_described_member_exists() {
    check("Event", &json::event(&full_event()), true);
    check("Case", &json::case_detail(&full_case()), true);
    check("Case", &json::case(&full_case().summary), false);
    let summary = EnvelopeSummary {
        id: "1".into(),
        connector: "c/v".into(),
        method: "POST".into(),
        target: "/x".into(),
        received_at: 0,
        verified_by: "hmac".into(),
        disposition: Disposition::Quarantined("why".into()),
        body_bytes: 1,
        events: 0,
    };
    check("EnvelopeSummary", &json::envelope_summary(&summary), true);
    for body in [b"text".to_vec(), vec![0xff]] {
        let envelope = Envelope {
            id: None,
            tenant: "t".into(),
            connector: "c/v".into(),
            method: "POST".into(),
            target: "/x".into(),
            headers: vec![Header { name: "n".into(), value: body.clone() }],
            body,
            received_at: 0,
            verified_by: "hmac".into(),
            nonce: None,
        };
        check("Envelope", &json::envelope("1", &envelope), true);
    }
    let total = Total {
        tenant: "t".into(),
        connector: "c/v".into(),
        disposition: "accepted".into(),
        envelopes: 1,
        events: 1,
        oldest: Some(1),
    };
    check("LedgerLine", &json::total(&total), true);
    let line = Line {
        period: 0,
        connector: "c/v".into(),
        disposition: "accepted".into(),
        envelopes: 1,
        repeats: 1,
        events: 1,
        duplicates: 0,
    };
    let account = Account {
        lines: vec![line],
        stored: 1,
        sealed: 1,
        waiting: 0,
        counted: 1,
        head: 1,
        link: "0".into(),
        unsealed: 0,
    };
    let query = Query::parse("from=2026-11-21&to=2026-11-21", &["from", "to"]).unwrap();
    let periods = Periods::asked(&query, TimeZone::UTC, 0).unwrap();
    let mut ledger = ledger::document(&account, &periods, None);
    ledger.insert("time_zone".into(), "UTC0".into());
    ledger.insert("spooled".into(), 0.into());
    ledger.insert("ledger".into(), json!([json::total(&total)]));
    check("Ledger", &ledger.into(), true);
    let finding = Finding { fault: Fault::Changed, number: 1, envelope: Some("1".into()) };
    let mut examination = ledger::examination(&Examination { upto: 1, more: true, findings: vec![finding], erased: 1 });
    examination.insert("head".into(), "holds".into());
    check("Examination", &examination.into(), true);
    let rules =
        [Kept::Envelopes, Kept::Texts, Kept::Locations, Kept::Media, Kept::Recordings, Kept::People, Kept::Cases]
            .map(|kind| Rule { kind, days: 1 });
    check("Retention", &privacy::rules_json(&rules), true);
    let counts = Counts { cases: 1, events: 1, envelopes: 1, contacts: 1, notes: 1, replies: 1 };
    let erasure = Erasure { entry: Some("1".into()), references: vec!["1".into()], counts, not_understood: 1 };
    check("Erasure", &privacy::erasure_json(&erasure), true);
    let entry = AuditEntry {
        number: 1,
        id: "1".into(),
        at: 0,
        author: "a".into(),
        action: "erase".into(),
        subject: Some("s".into()),
        counts,
        reason: Some("r".into()),
    };
    check("AuditEntry", &privacy::entry_json(&entry), true);
    check("Removal", &privacy::removal_json(&Removal { removed: 1, more: true, head: Some("1:0".into()) }), true);
}

#[test]
fn a_full_profile_is_described() {
    let text = json!([{"language": "es", "text": "x"}]);
    let full = json!({
        "tenant": "t", "name": "n", "languages": ["es"], "greeting": text, "announcement": text,
        "departments": [{"code": "d", "name": text, "digit": "1", "keywords": text, "phone": "+34910000001", "sip": "sip:a@b.example"}],
        "services": [{"code": "s", "name": text, "description": text, "group": "g", "keywords": ["k"], "department": "d",
            "place_required": true, "attributes": [{"code": "a", "datatype": "singlevaluelist", "required": true,
            "description": text, "datatype_description": "x", "values": [{"key": "k", "name": "n"}]}]}],
        "time_zone": "UTC0", "opening_hours": [{"weekday": 1, "opens": "09:00", "closes": "14:00"}],
        "links": [{"rel": "home", "url": "https://ayuntamiento.example"}], "acknowledge": true,
    });
    let read = parse_profile(&full).unwrap();
    check("Profile", &Value::Object(profile(&read)), true);
}

#[test]
fn every_kind_of_event_is_in_the_document() {
    let document = document();
    let described = document["components"]["schemas"]["Event"]["properties"]["kind"]["enum"].as_array().unwrap();
    for name in described {
        assert!(channel_sdk::json::parse_kind(name.as_str().unwrap()).is_some(), "{name}");
    }
    // 17 kinds in wit/channel/types.wit; the last one is the canary.
    assert_eq!(described.len(), Kind::CallMissed as usize + 1);
}

#[test]
fn a_problem_is_described() {
    let mut answer = crate::answer::Answer::from(crate::answer::invalid("q", "why"));
    check("Problem", &serde_json::from_slice(&std::mem::take(&mut answer.body)).unwrap(), true);
}
