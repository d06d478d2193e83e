//! Compares a run with the story's folder, or rewrites the folder.

use std::fmt::Write as _;
use std::path::Path;

use channel_sdk::json;
use channel_sdk::types::{Check, RefusalReason, Response};
use serde_json::{Map, Value, json};

use super::flow::{Ending, Run};
use super::story::Story;

/// What the folder should hold: file name, and its text, or that it should not be there.
fn files(run: &Run) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let (expected, error) = match &run.ending {
        Ending::Refused(refusal) => {
            (None, Some(format!("{}: {}\n", reason_name(refusal.reason), refusal.detail).into_bytes()))
        }
        Ending::Events(events, degraded) => {
            let events = events.iter().map(|event| {
                let mut written = json::event(event);
                written.extend(json::intake(event));
                Value::Object(written)
            });
            let mut document = Map::from_iter([("events".to_owned(), events.collect::<Vec<_>>().into())]);
            if let Some(reason) = degraded {
                document.insert("degraded".into(), reason.as_str().into());
            }
            (Some(pretty(&Value::Object(document))), None)
        }
        Ending::Lookup(lookup) => {
            let lookup = serde_json::to_value(lookup).unwrap_or_default();
            (Some(pretty(&json!({"lookup": lookup}))), None)
        }
        Ending::Handshake(handshake) => {
            let checks: Vec<Value> = handshake.checks.iter().map(check).collect();
            (Some(pretty(&json!({"handshake": {"checks": checks, "mac": handshake.mac.is_some()}}))), None)
        }
    };
    vec![("expected.json", expected), ("error.txt", error), ("answer.http", Some(response(&run.answer)))]
}

fn check(check: &Check) -> Value {
    json!({"scheme": format!("{:?}", check.scheme), "message": String::from_utf8_lossy(&check.message)})
}

fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

fn response(response: &Response) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {}\n", response.status);
    for (name, value) in &response.headers {
        let _ = writeln!(head, "{name}: {value}");
    }
    let mut bytes = head.into_bytes();
    bytes.push(b'\n');
    bytes.extend(&response.body);
    if !response.body.is_empty() {
        bytes.push(b'\n');
    }
    bytes
}

/// The reason's name as in the WIT.
fn reason_name(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::MissingSignature => "missing-signature",
        RefusalReason::BadSignature => "bad-signature",
        RefusalReason::Stale => "stale",
        RefusalReason::Replayed => "replayed",
        RefusalReason::Unsigned => "unsigned",
        RefusalReason::MethodNotAllowed => "method-not-allowed",
        RefusalReason::NotFound => "not-found",
        RefusalReason::TooLarge => "too-large",
        RefusalReason::UnsupportedMediaType => "unsupported-media-type",
        RefusalReason::Malformed => "malformed",
        RefusalReason::WindowClosed => "window-closed",
        RefusalReason::Unsupported => "unsupported",
    }
}

/// Differences between a run and its folder; with `bless` the folder is made to agree and there are none.
pub(super) fn compare(story: &Story, run: &Run, bless: bool) -> Vec<String> {
    let mut breaches = Vec::new();
    for (name, wanted) in files(run) {
        let path = story.folder.join(name);
        let found = std::fs::read(&path).ok();
        // The order of a JSON object's members is the serialiser's, not the connector's.
        let value =
            |bytes: &Option<Vec<u8>>| bytes.as_deref().and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
        let same_json = name.ends_with(".json") && value(&found).is_some_and(|found| Some(found) == value(&wanted));
        if found == wanted || same_json {
            continue;
        }
        if bless {
            if let Err(error) = write(&path, wanted.as_deref()) {
                breaches.push(format!("{}/{name} can't be written: {error}", story.name));
            }
            continue;
        }
        let text = |bytes: &Option<Vec<u8>>| {
            bytes.as_ref().map_or("(no such file)".into(), |bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        breaches.push(format!(
            "{}/{name} says:\n{}\nthe connector gives:\n{}",
            story.name,
            text(&found),
            text(&wanted)
        ));
    }
    breaches
}

fn write(path: &Path, wanted: Option<&[u8]>) -> std::io::Result<()> {
    match wanted {
        Some(bytes) => std::fs::write(path, bytes),
        None => std::fs::remove_file(path),
    }
}
