//! An event as JSON.

use serde_json::{Map, Value, json};

use super::read::{JsonError, Reader, type_name};
use super::{format_instant, parse_instant, parse_task, task_name};
use crate::types::{Attachment, Correspondence, Event, Handle, Kind, Location, TextSource, Threading};

const KINDS: [(Kind, &str); 17] = [
    (Kind::Message, "message"),
    (Kind::MessageEdited, "message.edited"),
    (Kind::MessageDeleted, "message.deleted"),
    (Kind::Mention, "mention"),
    (Kind::Reaction, "reaction"),
    (Kind::Status, "status"),
    (Kind::Callback, "callback"),
    (Kind::Follow, "follow"),
    (Kind::Request, "request"),
    (Kind::MailPointer, "mail.pointer"),
    (Kind::Lifecycle, "lifecycle"),
    (Kind::CallStarted, "call.started"),
    (Kind::CallInput, "call.input"),
    (Kind::CallTranscript, "call.transcript"),
    (Kind::CallRecording, "call.recording"),
    (Kind::CallEnded, "call.ended"),
    (Kind::CallMissed, "call.missed"),
];

const SOURCES: [(TextSource, &str); 5] = [
    (TextSource::Plain, "plain"),
    (TextSource::Html, "html"),
    (TextSource::Dtmf, "dtmf"),
    (TextSource::Speech, "speech"),
    (TextSource::Form, "form"),
];

/// The kind's name: `call.started`.
pub fn kind_name(kind: Kind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("message", |(_, name)| name)
}

/// Every kind's name.
pub fn kind_names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(_, name)| *name)
}

/// The kind of a name; none if there is no such kind.
pub fn parse_kind(name: &str) -> Option<Kind> {
    KINDS.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
}

/// What is public of an event. The store adds `id`, `tenant`, `channel`, `connector`, `received_at` and `case`.
pub fn event(event: &Event) -> Map<String, Value> {
    let mut out = Out(Map::new());
    out.text("kind", Some(kind_name(event.kind)));
    out.text("idempotency_key", Some(&event.idempotency_key));
    out.owned("timestamp", event.timestamp.map(|at| format_instant(at).into()));
    out.text("sender", event.sender.as_ref().map(|handle| handle.value.as_str()));
    out.text("sender_name", event.sender_name.as_deref());
    out.text("recipient", event.recipient.as_deref());
    out.text("subject", event.subject.as_deref());
    out.text("text", event.text.as_deref());
    let source = |wanted| SOURCES.iter().find(|(source, _)| *source == wanted).map(|(_, name)| *name);
    out.text("text_source", event.text_source.and_then(source));
    out.text("message_id", event.message_id.as_deref());
    out.text("thread_id", event.thread_id.as_deref());
    out.text("in_reply_to", event.in_reply_to.as_deref());
    out.list("references", event.references.iter().map(|id| id.as_str().into()));
    out.text("call_id", event.call_id.as_deref());
    out.text("conversation_id", event.conversation_id.as_deref());
    out.text("event_id", event.event_id.as_deref());
    out.text("dtmf", event.dtmf.as_deref());
    out.owned("confidence", event.confidence.filter(|number| number.is_finite()).map(Value::from));
    out.text("language", event.language.as_deref());
    out.text("status", event.status.as_deref());
    out.owned("duration_s", event.duration_s.map(Value::from));
    out.text("recording_id", event.recording_id.as_deref());
    let finite = |at: &Location| at.lat.is_finite() && at.long.is_finite();
    out.owned("location", event.location.filter(finite).map(|at| json!({"lat": at.lat, "long": at.long})));
    out.text("address", event.address.as_deref());
    out.text("service_code", event.service_code.as_deref());
    out.pairs("attributes", &event.attributes);
    out.pairs("fields", &event.fields);
    out.list("flags", event.flags.iter().map(|flag| flag.as_str().into()));
    out.owned("must_not_autorespond", Some(event.must_not_autorespond.into()));
    out.list("attachments", event.attachments.iter().map(attachment));
    out.0
}

/// What only the intake needs: how the event finds its case, for whom it is, what has to be done.
pub fn intake(event: &Event) -> Map<String, Value> {
    let mut out = Out(Map::new());
    out.text("sender_scheme", event.sender.as_ref().map(|handle| handle.scheme.as_str()));
    out.list("claimed", event.claimed.iter().map(|handle| json!({"scheme": handle.scheme, "value": handle.value})));
    out.owned(
        "threading",
        match &event.threading {
            Threading::Detached => None,
            Threading::Key(key) => Some(json!({"key": key})),
            Threading::Existing(key) => Some(json!({"existing": key})),
            Threading::Correspondence(letters) => Some(json!({"correspondence": correspondence(letters)})),
            Threading::ExistingCorrespondence(letters) => {
                Some(json!({"existing_correspondence": correspondence(letters)}))
            }
            Threading::PublicCase(reference) => Some(json!({"public_case": reference})),
        },
    );
    out.text("department", event.department.as_deref());
    out.text("task", event.task.map(task_name));
    out.text("asks_about", event.asks_about.as_deref());
    out.owned("public", event.public.then_some(Value::Bool(true)));
    out.0
}

/// Reads what [`event()`] and, in the same object, [`intake`] wrote. Members the store adds are ignored.
///
/// # Errors
///
/// A member that is unknown, missing or ill-typed, by its path.
pub fn parse_event(value: &Value) -> Result<Event, JsonError> {
    let mut members = Reader::new("", value)?;
    members.ignore(&["id", "tenant", "channel", "connector", "received_at", "case"]);
    let kind = members.required("kind")?;
    let kind = parse_kind(&kind).ok_or_else(|| members.error("kind", format!("there is no kind {kind:?}")))?;
    let scheme = members.string("sender_scheme")?;
    let sender =
        members.string("sender")?.map(|value| Handle { scheme: scheme.unwrap_or_else(|| "unknown".to_owned()), value });
    let timestamp = match members.string("timestamp")? {
        None => None,
        Some(text) => Some(
            parse_instant(&text)
                .ok_or_else(|| members.error("timestamp", format!("is not an RFC 3339 time: {text:?}")))?,
        ),
    };
    let text_source = match members.string("text_source")? {
        None => None,
        Some(name) => {
            let source = SOURCES.iter().find(|(_, known)| *known == name).map(|(source, _)| *source);
            Some(source.ok_or_else(|| members.error("text_source", format!("there is no source {name:?}")))?)
        }
    };
    let task = match members.string("task")? {
        None => None,
        Some(name) => {
            Some(parse_task(&name).ok_or_else(|| members.error("task", format!("there is no task {name:?}")))?)
        }
    };
    let location = match members.take("location") {
        None => None,
        Some(value) => {
            let mut at = Reader::new(members.path("location"), &value)?;
            let (lat, long) = (at.number("lat")?, at.number("long")?);
            at.finish()?;
            match (lat, long) {
                (Some(lat), Some(long)) => Some(Location { lat, long }),
                _ => return Err(members.error("location", "needs lat and long")),
            }
        }
    };
    let threading = match members.take("threading") {
        None => Threading::Detached,
        Some(value) => threading(members.path("threading"), &value)?,
    };
    let event = Event {
        kind,
        idempotency_key: members.required("idempotency_key")?,
        timestamp,
        sender,
        sender_name: members.string("sender_name")?,
        claimed: members.list("claimed", |path, value| {
            let mut handle = Reader::new(path, value)?;
            let read = Handle { scheme: handle.required("scheme")?, value: handle.required("value")? };
            handle.finish()?;
            Ok(read)
        })?,
        recipient: members.string("recipient")?,
        subject: members.string("subject")?,
        text: members.string("text")?,
        text_source,
        message_id: members.string("message_id")?,
        thread_id: members.string("thread_id")?,
        in_reply_to: members.string("in_reply_to")?,
        references: members.strings("references")?,
        call_id: members.string("call_id")?,
        conversation_id: members.string("conversation_id")?,
        event_id: members.string("event_id")?,
        dtmf: members.string("dtmf")?,
        confidence: members.number("confidence")?,
        language: members.string("language")?,
        status: members.string("status")?,
        duration_s: members.whole("duration_s")?,
        recording_id: members.string("recording_id")?,
        location,
        address: members.string("address")?,
        service_code: members.string("service_code")?,
        attributes: pairs(&mut members, "attributes")?,
        fields: pairs(&mut members, "fields")?,
        flags: members.strings("flags")?,
        must_not_autorespond: members.boolean("must_not_autorespond")?,
        attachments: members.list("attachments", parse_attachment)?,
        threading,
        department: members.string("department")?,
        task,
        asks_about: members.string("asks_about")?,
        public: members.boolean("public")?,
    };
    members.finish()?;
    Ok(event)
}

fn correspondence(letters: &Correspondence) -> Value {
    let mut out = Out(Map::new());
    out.text("token", letters.token.as_deref());
    out.list("message_ids", letters.message_ids.iter().map(|id| id.as_str().into()));
    Value::Object(out.0)
}

fn parse_correspondence(path: String, value: &Value) -> Result<Correspondence, JsonError> {
    let mut members = Reader::new(path, value)?;
    let read = Correspondence { token: members.string("token")?, message_ids: members.strings("message_ids")? };
    members.finish()?;
    Ok(read)
}

fn threading(path: String, value: &Value) -> Result<Threading, JsonError> {
    let mut members = Reader::new(path, value)?;
    let read = if let Some(key) = members.string("key")? {
        Threading::Key(key)
    } else if let Some(key) = members.string("existing")? {
        Threading::Existing(key)
    } else if let Some(value) = members.take("correspondence") {
        Threading::Correspondence(parse_correspondence(members.path("correspondence"), &value)?)
    } else if let Some(value) = members.take("existing_correspondence") {
        Threading::ExistingCorrespondence(parse_correspondence(members.path("existing_correspondence"), &value)?)
    } else if let Some(reference) = members.string("public_case")? {
        Threading::PublicCase(reference)
    } else {
        Threading::Detached
    };
    members.finish()?;
    Ok(read)
}

fn attachment(attachment: &Attachment) -> Value {
    let mut out = Out(Map::new());
    out.text("name", attachment.name.as_deref());
    out.text("content_type", attachment.content_type.as_deref());
    out.owned("size", attachment.size.map(Value::from));
    out.text("sha256", attachment.sha256.as_deref());
    out.text("url", attachment.url.as_deref());
    out.text("media_id", attachment.media_id.as_deref());
    out.text("content_id", attachment.content_id.as_deref());
    out.text("disposition", attachment.disposition.as_deref());
    Value::Object(out.0)
}

fn parse_attachment(path: String, value: &Value) -> Result<Attachment, JsonError> {
    let mut members = Reader::new(path, value)?;
    let read = Attachment {
        name: members.string("name")?,
        content_type: members.string("content_type")?,
        size: members.whole("size")?,
        sha256: members.string("sha256")?,
        url: members.string("url")?,
        media_id: members.string("media_id")?,
        content_id: members.string("content_id")?,
        disposition: members.string("disposition")?,
    };
    members.finish()?;
    Ok(read)
}

/// Reads an object of strings or arrays of strings.
fn pairs(members: &mut Reader, member: &'static str) -> Result<Vec<(String, String)>, JsonError> {
    let mut read = Vec::new();
    let Some(value) = members.take(member) else { return Ok(read) };
    let Value::Object(entries) = value else {
        return Err(members.error(member, format!("must be an object, is {}", type_name(&value))));
    };
    for (name, value) in entries {
        let values = match value {
            Value::Array(values) => values,
            single => vec![single],
        };
        for value in values {
            match value {
                Value::String(text) => read.push((name.clone(), text)),
                other => {
                    return Err(members.error(member, format!("{name:?} must be a string, is {}", type_name(&other))));
                }
            }
        }
    }
    Ok(read)
}

/// An object under construction in which absent stays absent.
struct Out(Map<String, Value>);

impl Out {
    fn owned(&mut self, name: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value);
        }
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        self.owned(name, value.map(Value::from));
    }

    fn list(&mut self, name: &str, values: impl Iterator<Item = Value>) {
        let values: Vec<_> = values.collect();
        self.owned(name, (!values.is_empty()).then_some(Value::Array(values)));
    }

    /// Pairs as an object; a name that comes several times has an array.
    fn pairs(&mut self, name: &str, pairs: &[(String, String)]) {
        let mut object = Map::new();
        for (key, value) in pairs {
            match object.get_mut(key) {
                None => {
                    object.insert(key.clone(), value.as_str().into());
                }
                Some(Value::Array(values)) => values.push(value.as_str().into()),
                Some(single) => *single = json!([single.take(), value]),
            }
        }
        self.owned(name, (!object.is_empty()).then_some(Value::Object(object)));
    }
}

impl Event {
    /// An event of this kind and key with everything else absent: connectors fill in what they know.
    pub fn new(kind: Kind, idempotency_key: impl Into<String>) -> Self {
        Self {
            kind,
            idempotency_key: idempotency_key.into(),
            timestamp: None,
            sender: None,
            sender_name: None,
            claimed: Vec::new(),
            recipient: None,
            subject: None,
            text: None,
            text_source: None,
            message_id: None,
            thread_id: None,
            in_reply_to: None,
            references: Vec::new(),
            call_id: None,
            conversation_id: None,
            event_id: None,
            dtmf: None,
            confidence: None,
            language: None,
            status: None,
            duration_s: None,
            recording_id: None,
            location: None,
            address: None,
            service_code: None,
            attributes: Vec::new(),
            fields: Vec::new(),
            flags: Vec::new(),
            must_not_autorespond: false,
            attachments: Vec::new(),
            threading: Threading::Detached,
            department: None,
            task: None,
            asks_about: None,
            public: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Task;

    fn full() -> Event {
        let text = |text: &str| Some(text.to_owned());
        Event {
            timestamp: Some(1_730_221_200_000),
            sender: Some(Handle { scheme: "phone".into(), value: "+34600000000".into() }),
            sender_name: text("Ana"),
            claimed: vec![Handle { scheme: "email".into(), value: "a@example.org".into() }],
            recipient: text("+34910000000"),
            subject: text("s"),
            text: text("línea\u{0}\u{10FFFF}"),
            text_source: Some(TextSource::Speech),
            message_id: text("m"),
            thread_id: text("t"),
            in_reply_to: text("r"),
            references: vec!["1".into(), "2".into()],
            call_id: text("CA1"),
            conversation_id: text("c"),
            event_id: text("9007199254740993"),
            dtmf: text("01"),
            confidence: Some(0.5),
            language: text("ca"),
            status: text("busy"),
            duration_s: Some(7),
            recording_id: text("RE1"),
            location: Some(Location { lat: 39.47, long: -0.376 }),
            address: text("a"),
            service_code: text("001"),
            attributes: vec![("a".into(), "1".into()), ("a".into(), "2".into()), ("b".into(), "3".into())],
            fields: vec![("x".into(), "y".into())],
            flags: vec!["edited".into()],
            must_not_autorespond: true,
            attachments: vec![Attachment {
                name: text("n"),
                content_type: text("image/png"),
                size: Some(u64::MAX),
                sha256: text("00"),
                url: text("https://example.org"),
                media_id: text("1"),
                content_id: text("2"),
                disposition: text("inline"),
            }],
            threading: Threading::Correspondence(Correspondence { token: text("k"), message_ids: vec!["1".into()] }),
            department: text("waste"),
            task: Some(Task::CallBack),
            asks_about: text("0000000000"),
            public: true,
            ..Event::new(Kind::CallMissed, "CA1#missed")
        }
    }

    fn both(of: &Event) -> Value {
        let mut members = event(of);
        members.extend(intake(of));
        Value::Object(members)
    }

    #[test]
    fn a_full_event_survives_the_way_there_and_back() {
        assert_eq!(parse_event(&both(&full())), Ok(full()));
        let letters = Correspondence { token: None, message_ids: vec!["1".into()] };
        for threading in [
            Threading::Detached,
            Threading::Key("k".into()),
            Threading::Existing("k".into()),
            Threading::ExistingCorrespondence(letters),
            Threading::PublicCase("482-109-3726".into()),
        ] {
            let event = Event { threading, ..full() };
            assert_eq!(parse_event(&both(&event)), Ok(event));
        }
    }

    #[test]
    fn absent_stays_absent() {
        let bare = Event::new(Kind::Message, "1");
        assert_eq!(
            Value::Object(event(&bare)),
            json!({"kind": "message", "idempotency_key": "1", "must_not_autorespond": false})
        );
        assert_eq!(parse_event(&both(&bare)), Ok(bare));
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for (kind, name) in KINDS {
            assert_eq!(kind_name(kind), name);
            assert_eq!(parse_kind(name), Some(kind));
        }
    }

    #[test]
    fn a_misspelt_member_is_named() {
        let error = parse_event(&json!({"kind": "message", "idempotency_key": "1", "sendr": "x"})).unwrap_err();
        assert_eq!(error.path, "sendr");
        let error = parse_event(&json!({"kind": "massage", "idempotency_key": "1"})).unwrap_err();
        assert_eq!(error.to_string(), "kind: there is no kind \"massage\"");
    }
}
