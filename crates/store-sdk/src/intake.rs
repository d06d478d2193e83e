//! One intake as JSON, so that a database can write it in one statement.
//!
//! Everything that needs a random number or a decision about one event alone is here; what needs to know what is stored
//! already (duplicates, threads, contacts) is the database's.
//!
//! # When a call was abandoned
//!
//! A `call.ended` gives a `call.missed` with flag `abandoned` when its call has a case and no event of that case, from this
//! or an earlier intake, [`settles`] it: somebody of the administration was reached, or the caller left something, or the
//! call is missed already. Keys pressed and words spoken to the menu settle nothing, unless the caller asked about a case
//! that exists and so heard its state. If such an event arrives later (recordings do), the call-back task of the
//! abandoned call is withdrawn; the `call.missed` stays, because it may have been read.

use channel_sdk::json;
use channel_sdk::reference;
use channel_sdk::types::{Correspondence, Event, Handle, Kind, Task, Threading};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

use crate::ids::{self, Random};
use crate::log::{Disposition, Envelope};
use crate::text::{escape, hex};
use crate::words;

/// One intake.
#[derive(Debug, Clone)]
pub struct Intake {
    /// The envelope without its body: `id`, `known`, `tenant`, `connector`, `channel`, `method`, `target`, `headers`, `received_at`,
    /// `verified_by`, `nonce`, `binding`, `disposition`, `reason`.
    pub envelope: Value,
    /// Per event what the database needs to place it, and the event itself as `json`.
    pub events: Vec<Value>,
    /// The envelope's digest ([`crate::chain::digest`]); empty if it was journalled, since then it has one.
    pub digest: String,
    /// The envelope's body, beside the rest because it need not be text.
    pub body: Vec<u8>,
}

impl Intake {
    /// Everything but the body as one JSON document: `{"envelope": {…}, "events": […]}`.
    pub fn document(&self) -> String {
        json!({"envelope": self.envelope, "events": self.events}).to_string()
    }

    /// The events as a JSON array.
    pub fn events_json(&self) -> String {
        serde_json::to_string(&self.events).unwrap_or_default()
    }

    /// The idempotency key of its event, if it has one event.
    pub fn only_key(&self) -> Option<&str> {
        if let [event] = self.events.as_slice() { event.get("key")?.as_str() } else { None }
    }

    /// Whether one of its events would join a public case: then the database gives each that has a `public_case` a `token` of it, in
    /// the same statement and if there is such a case that is public, before anything else looks at them.
    pub fn seeks_a_public_case(&self) -> bool {
        self.events.iter().any(|event| event.get(PUBLIC_CASE).is_some())
    }

    /// Whether one of its events ends a call.
    pub fn ended(&self) -> bool {
        self.events.iter().any(|event| event.get("missed").is_some())
    }
}

/// Why an intake can't even be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntakeError {
    /// The same again fails again.
    Invalid(String),
    /// No random bytes.
    Random(String),
}

/// The name and reason of a disposition, as columns.
pub fn disposition(disposition: &Disposition) -> (&'static str, Option<&str>) {
    match disposition {
        Disposition::Pending => ("pending", None),
        Disposition::Accepted => ("accepted", None),
        Disposition::Quarantined(reason) => ("quarantined", Some(reason)),
    }
}

/// Headers as JSON: `[["name", "text"], ["name", {"hex": "ff"}]]`.
pub fn headers(envelope: &Envelope) -> Value {
    let value = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({"hex": hex(bytes)}),
    };
    envelope.headers.iter().map(|header| json!([header.name, value(&header.value)])).collect()
}

/// What a nonce is bound to: SHA-256 of method, target and body, each with its length.
pub fn binding(envelope: &Envelope) -> String {
    let mut hash = Sha256::new();
    for part in [envelope.method.as_bytes(), envelope.target.as_bytes(), &envelope.body] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// Members of a stored event that keep the order of its pairs, where it is not the alphabet's.
pub(crate) const FIELDS: &str = "fields_in_order";
pub(crate) const ATTRIBUTES: &str = "attributes_in_order";

/// The member of an entry with the reference of the public case it would join: see [`Intake::seeks_a_public_case`].
const PUBLIC_CASE: &str = "public_case";

/// Makes an intake.
///
/// # Errors
///
/// [`IntakeError`], before the database is asked.
pub fn intake(
    envelope: Envelope,
    outcome: &Disposition,
    events: &[Event],
    random: Random,
) -> Result<Intake, IntakeError> {
    if [&envelope.tenant, &envelope.connector].iter().any(|code| code.is_empty() || code.contains('\0')) {
        return Err(IntakeError::Invalid("an envelope needs a tenant and a connector, without NUL in them".into()));
    }
    let channel = envelope.connector.split('/').next().unwrap_or_default();
    let (name, reason) = disposition(outcome);
    let nonce = envelope.nonce.as_deref().filter(|nonce| !nonce.is_empty());
    let id = match &envelope.id {
        Some(id) => id.clone(),
        None => ids::uuid_v7(envelope.received_at, random).map_err(IntakeError::Random)?,
    };
    let head = json!({
        "id": id.as_str(),
        "known": envelope.id.is_some(),
        "tenant": envelope.tenant,
        "connector": envelope.connector,
        "channel": channel,
        "method": escape(&envelope.method),
        "target": escape(&envelope.target),
        "headers": headers(&envelope),
        "received_at": envelope.received_at,
        "verified_by": escape(&envelope.verified_by),
        "nonce": nonce.map(escape),
        "binding": nonce.map(|_| binding(&envelope)),
        "disposition": name,
        "reason": reason.map(escape),
    });
    let events: Result<Vec<Value>, _> =
        events.iter().map(|event| entry(event, channel, envelope.received_at, random)).collect();
    let digest = if envelope.id.is_some() { String::new() } else { crate::chain::digest(&id, &envelope) };
    Ok(Intake { envelope: head, events: events?, digest, body: envelope.body })
}

/// The handle of the person who wrote or called: none if withheld, empty, or if it was the administration itself.
pub fn sender(event: &Event) -> Option<&Handle> {
    let known = |handle: &&Handle| !handle.scheme.is_empty() && !handle.value.trim().is_empty();
    let hidden = |flag: &String| flag == "withheld" || flag == "echo";
    if event.flags.iter().any(hidden) { None } else { event.sender.as_ref().filter(known) }
}

/// What a handle is known by. Of an address the case of letters tells no two people apart: of the domain by RFC 5321 §2.4, of the
/// rest by every service that gives addresses to people. Programs write it as it was once typed; the event keeps it so.
fn compared(handle: &Handle) -> Cow<'_, str> {
    if handle.scheme == "email" { handle.value.trim().to_lowercase().into() } else { handle.value.as_str().into() }
}

/// Whether after this event the caller can't be said to have reached nobody and left nothing.
pub fn settles(event: &Event) -> bool {
    let left = matches!(
        event.kind,
        Kind::CallRecording | Kind::CallTranscript | Kind::CallMissed | Kind::Message | Kind::Callback | Kind::Request
    );
    let reached = event.status.as_deref() == Some("answered") || event.flags.iter().any(|flag| flag == "answered");
    left || reached || event.task.is_some()
}

/// Whether somebody has written or left something that staff must see, so that a case that rests is opened again.
pub fn wakes(event: &Event) -> bool {
    let content =
        [Kind::Message, Kind::Mention, Kind::Callback, Kind::Request, Kind::CallRecording].contains(&event.kind);
    content && !adds_to_a_public_case(event) && !event.flags.iter().any(|flag| flag == "echo")
}

/// Whether it is from somebody who need not have to do with its case: a person writes about what everybody can see. It changes nothing of
/// the case, and nobody takes part in one by it.
fn adds_to_a_public_case(event: &Event) -> bool {
    matches!(event.threading, Threading::PublicCase(_))
}

/// Whether a machine may answer it (RFC 3834 §2): somebody wrote to us alone, and nothing says that a machine wrote or that no
/// machine is to answer. Telephones, forms and Open311 are answered at once.
pub fn acknowledgeable(event: &Event, channel: &str) -> bool {
    const MACHINES: [&str; 9] = [
        "auto_submitted",
        "bulk",
        "suppress",
        "dsn",
        "echo",
        "null_return_path",
        "daemon_sender",
        "own_address",
        "not_addressed",
    ];
    event.kind == Kind::Message
        && !["telephony", "forms", "open311"].contains(&channel)
        && !event.must_not_autorespond
        && !event.flags.iter().any(|flag| MACHINES.contains(&flag.as_str()))
        && matches!(event.threading, Threading::Key(_) | Threading::Correspondence(_))
        && sender(event).is_some()
}

/// Whether it is a request to follow, which is answered by accepting it, whatever the profile says: until then the other server
/// shows it as open.
fn follows(event: &Event) -> bool {
    event.kind == Kind::Follow && matches!(event.threading, Threading::Key(_)) && sender(event).is_some()
}

/// An id of a message that can identify one: not blank, not `<>`.
fn identifies(id: &str) -> bool {
    !id.trim_matches(|character: char| character.is_whitespace() || "<>\0".contains(character)).is_empty()
}

fn entry(event: &Event, channel: &str, received_at: i64, random: Random) -> Result<Value, IntakeError> {
    if event.idempotency_key.is_empty() {
        return Err(IntakeError::Invalid(
            "an event has an empty idempotency key: the connector must give each a stable one".into(),
        ));
    }
    let id = || ids::uuid_v7(received_at, random).map_err(IntakeError::Random);
    let adds = adds_to_a_public_case(event);
    let sender = sender(event).filter(|_| !adds);
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            out.insert(name.to_owned(), value);
        }
    };
    put("id", id()?.into());
    let key = escape(&event.idempotency_key);
    put("hash", crate::erasing::key_hash(&key).into());
    put("key", key.into());
    put("kind", json::kind_name(event.kind).into());
    put("name", event.sender_name.as_deref().filter(|_| sender.is_some()).map(escape).into());
    if let Some(handle) = sender {
        put("scheme", escape(&handle.scheme).into());
        put("handle", escape(&compared(handle)).into());
        put("contact", id()?.into());
    }
    let (thread, key, letters) = threading(&event.threading)?;
    put("thread", thread.into());
    put("thread_key", key.map(escape).into());
    if let Threading::PublicCase(public) = &event.threading {
        put(PUBLIC_CASE, reference::parse(public).ok().into());
    }
    if let Some(letters) = letters {
        put("token", letters.token.as_deref().and_then(token).into());
        put(
            "message_ids",
            letters.message_ids.iter().filter(|id| identifies(id)).map(|id| Value::from(escape(id))).collect(),
        );
    }
    put("refs", ids::references(random).map_err(IntakeError::Random)?.into());
    put("message_id", event.message_id.as_deref().filter(|id| identifies(id)).map(escape).into());
    put("call_id", event.call_id.as_deref().map(escape).into());
    for (name, text) in
        [("subject", &event.subject), ("department", &event.department), ("service_code", &event.service_code)]
    {
        put(name, text.as_deref().filter(|_| !adds).map(escape).into());
    }
    put("asks", event.asks_about.as_deref().and_then(|asked| reference::parse(asked).ok()).into());
    put("public", i32::from(event.public).into());
    put("settles", i32::from(settles(event) && !adds).into());
    put("wakes", i32::from(wakes(event)).into());
    if let Some(task) = event.task {
        put("task", json::task_name(task).into());
        put("task_id", id()?.into());
        if let Some(handle) = reachable(event, task) {
            put("task_scheme", escape(&handle.scheme).into());
            put("task_handle", escape(&handle.value).into());
        }
    }
    if acknowledgeable(event, channel) {
        put("acknowledgement", id()?.into());
    }
    if follows(event) {
        put("acceptance", id()?.into());
    }
    put("search", search(event).into());
    if event.kind == Kind::CallEnded {
        put("missed", missed(event, id()?, id()?));
    }
    put("json", stored(event));
    Ok(Value::Object(out))
}

/// The event as it is stored: the public JSON and, in the same object, what only the intake needs.
fn stored(event: &Event) -> Value {
    let mut members = json::event(event);
    members.extend(json::intake(event));
    // Objects have no order; the contract's pairs do.
    for (name, pairs) in [(FIELDS, &event.fields), (ATTRIBUTES, &event.attributes)] {
        if !pairs.is_sorted_by_key(|(key, _)| key) {
            members.insert(name.to_owned(), json!(pairs));
        }
    }
    Value::Object(members)
}

fn search(event: &Event) -> String {
    let handles = sender(event).into_iter().chain(&event.claimed).map(|handle| handle.value.as_str());
    let texts = [&event.subject, &event.sender_name, &event.text].into_iter().flatten().map(String::as_str);
    words::kept(handles.chain(texts))
}

/// Whom a task concerns. A number given to be called back at is preferred to the one the call came from.
fn reachable(event: &Event, task: Task) -> Option<&Handle> {
    let given = event.claimed.iter().find(|handle| handle.scheme == "phone" && !handle.value.is_empty());
    match task {
        Task::CallBack => given.or_else(|| sender(event)),
        Task::Review => sender(event),
    }
}

/// The event to store beside a `call.ended` if the call turns out to be abandoned.
fn missed(ended: &Event, id: String, task: String) -> Value {
    let event = Event {
        kind: Kind::CallMissed,
        idempotency_key: format!("abandoned:{}", ended.idempotency_key),
        flags: vec!["abandoned".to_owned()],
        status: None,
        task: Some(Task::CallBack),
        ..ended.clone()
    };
    json!({"id": id, "task_id": task, "key": escape(&event.idempotency_key), "search": search(&event), "json": stored(&event)})
}

type Thread<'a> = (&'static str, Option<&'a str>, Option<&'a Correspondence>);

fn threading(threading: &Threading) -> Result<Thread<'_>, IntakeError> {
    let key = |name, key: &'_ str| -> Result<(), IntakeError> {
        if key.is_empty() {
            return Err(IntakeError::Invalid(format!(
                "an event has an empty thread key ({name}): the connector must give one or detach the event"
            )));
        }
        Ok(())
    };
    Ok(match threading {
        Threading::Detached => ("detached", None, None),
        Threading::Key(text) => {
            key("key", text)?;
            ("key", Some(text), None)
        }
        Threading::Existing(text) => {
            key("existing", text)?;
            ("existing", Some(text), None)
        }
        Threading::Correspondence(letters) => ("correspondence", None, Some(letters)),
        Threading::ExistingCorrespondence(letters) => ("existing_correspondence", None, Some(letters)),
        // The database puts the reference where the token is, if there is a public case with it.
        Threading::PublicCase(_) => ("existing_correspondence", None, None),
    })
}

/// The reference a token of ours carries: the gateway has checked its seal, which may still be there.
fn token(token: &str) -> Option<String> {
    let payload = token.trim();
    reference::parse(payload).or_else(|_| reference::parse(payload.split('-').next().unwrap_or_default())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_case_with_and_without_its_seal() {
        let bare = reference::from_number(482_109_372);
        assert_eq!(token(&bare), Some(bare.clone()));
        assert_eq!(token(&format!("{bare}-abcdefghijklmnop")), Some(bare.clone()));
        assert_eq!(token(&reference::format(&bare)), Some(bare));
        assert_eq!(token("hello-abcdefghijklmnop"), None);
        assert_eq!(token(""), None);
    }

    #[test]
    fn an_id_of_nothing_identifies_nothing() {
        for id in ["", " ", "<>", "< >", "\0", "\t<\n>"] {
            assert!(!identifies(id), "{id:?}");
        }
        assert!(identifies("<a@b>"));
    }
}
