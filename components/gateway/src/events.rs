//! Makes a connector's events fit for the store, so that a write fails for the store's reasons only: bounded, without NUL
//! (which a text column of PostgreSQL can't hold, nor `json_each` of SQLite pass on), with the keys that uniqueness needs.
//! What had to be changed is flagged or quarantined; the envelope still has the bytes.

use channel_sdk::types::{Attachment, Correspondence, Event, Handle, Request, Threading};

use crate::settings::Settings;

/// Events of one request.
pub(crate) const MAX_EVENTS: usize = 1000;
const MAX_TEXT: usize = 256 * 1024;
const MAX_SHORT: usize = 8 * 1024;
const MAX_KEY: usize = 512;
const MAX_LIST: usize = 256;

/// Events that can be stored, and why the envelope should be looked at, if it should.
pub(crate) fn fit(mut events: Vec<Event>, settings: &Settings, request: &Request) -> (Vec<Event>, Option<String>) {
    let mut reason = None;
    let mut complain = |why: &str| {
        reason.get_or_insert_with(|| why.to_owned());
    };
    if events.len() > MAX_EVENTS {
        complain("the connector gave more than 1000 events; those after are in the envelope only");
        events.truncate(MAX_EVENTS);
    }
    for (index, event) in events.iter_mut().enumerate() {
        let changes = tidy(event);
        if changes.nul {
            flag(event, "nul_removed");
        }
        if changes.cut {
            flag(event, "truncated");
        }
        if event.idempotency_key.is_empty() {
            // The envelope's own content is as stable over a redelivery as anything.
            event.idempotency_key = format!("envelope:{}:{index}", fingerprint(request));
            complain("an event had no idempotency key");
        } else if event.idempotency_key.len() > MAX_KEY {
            let digest = signatures::digest::sha256(event.idempotency_key.as_bytes());
            event.idempotency_key = format!("sha256:{}", signatures::encoding::to_hex(&digest));
        }
        if !thread(event, settings) {
            complain("an event had an empty threading key");
        }
    }
    (events, reason)
}

/// A digest of what makes a request the same request.
fn fingerprint(request: &Request) -> String {
    let mut all = format!("{}\n{}\n{}\n", request.method, request.suffix, request.query.as_deref().unwrap_or_default())
        .into_bytes();
    all.extend_from_slice(&request.body);
    signatures::encoding::to_hex(&signatures::digest::sha256(&all))
}

/// Threading is a privacy decision: an empty key matches nothing, and only our own token is believed.
fn thread(event: &mut Event, settings: &Settings) -> bool {
    match &mut event.threading {
        // What is no reference finds nothing; the store looks.
        Threading::Detached | Threading::PublicCase(_) => true,
        Threading::Key(key) | Threading::Existing(key) => {
            if key.len() > MAX_KEY {
                *key = format!("sha256:{}", signatures::encoding::to_hex(&signatures::digest::sha256(key.as_bytes())));
            }
            let fine = !key.is_empty();
            if !fine {
                event.threading = Threading::Detached;
            }
            fine
        }
        Threading::Correspondence(by) | Threading::ExistingCorrespondence(by) => {
            open_token(by, settings);
            by.message_ids.retain(|id| !id.trim().is_empty());
            true
        }
    }
}

/// What remains is the token's payload, the case's reference: the store needs no secret to use it.
fn open_token(by: &mut Correspondence, settings: &Settings) {
    by.token = by.token.take().and_then(|token| {
        let secrets = settings.secret("thread_secret");
        secrets.iter().find_map(|secret| signatures::token::open(secret.as_bytes(), &settings.tenant, &token).ok())
    });
}

fn flag(event: &mut Event, name: &str) {
    if !event.flags.iter().any(|known| known == name) {
        event.flags.push(name.to_owned());
    }
}

#[derive(Default)]
struct Changes {
    nul: bool,
    cut: bool,
}

impl Changes {
    fn text(&mut self, text: &mut String, limit: usize) {
        if text.contains('\0') {
            text.retain(|c| c != '\0');
            self.nul = true;
        }
        if text.len() > limit {
            text.truncate(text.floor_char_boundary(limit));
            self.cut = true;
        }
    }

    fn list<T>(&mut self, list: &mut Vec<T>) {
        if list.len() > MAX_LIST {
            list.truncate(MAX_LIST);
            self.cut = true;
        }
    }

    fn handle(&mut self, handle: &mut Handle) {
        self.text(&mut handle.scheme, MAX_KEY);
        self.text(&mut handle.value, MAX_SHORT);
    }

    fn attachment(&mut self, attachment: &mut Attachment) {
        let Attachment { name, content_type, size: _, sha256, url, media_id, content_id, disposition } = attachment;
        for text in [name, content_type, sha256, url, media_id, content_id, disposition].into_iter().flatten() {
            self.text(text, MAX_SHORT);
        }
    }

    fn correspondence(&mut self, by: &mut Correspondence) {
        self.list(&mut by.message_ids);
        for id in by.token.iter_mut().chain(&mut by.message_ids) {
            self.text(id, MAX_SHORT);
        }
    }
}

/// Destructured, so that a member added to `event` is a compile error here and not an unbounded text in the store.
fn tidy(event: &mut Event) -> Changes {
    let mut changes = Changes::default();
    let Event {
        kind: _,
        idempotency_key,
        timestamp: _,
        sender,
        sender_name,
        claimed,
        recipient,
        subject,
        text,
        text_source: _,
        message_id,
        thread_id,
        in_reply_to,
        references,
        call_id,
        conversation_id,
        event_id,
        dtmf,
        confidence,
        language,
        status,
        duration_s: _,
        recording_id,
        location,
        address,
        service_code,
        attributes,
        fields,
        flags,
        must_not_autorespond: _,
        attachments,
        threading,
        department,
        task: _,
        asks_about,
        public: _,
    } = event;
    changes.text(idempotency_key, MAX_TEXT);
    if let Some(text) = text {
        changes.text(text, MAX_TEXT);
    }
    let short = [
        sender_name,
        recipient,
        subject,
        message_id,
        thread_id,
        in_reply_to,
        call_id,
        conversation_id,
        event_id,
        dtmf,
        language,
        status,
        recording_id,
        address,
        service_code,
        department,
        asks_about,
    ];
    for text in short.into_iter().flatten() {
        changes.text(text, MAX_SHORT);
    }
    changes.list(claimed);
    changes.list(references);
    changes.list(attributes);
    changes.list(fields);
    changes.list(flags);
    changes.list(attachments);
    for text in references.iter_mut().chain(flags) {
        changes.text(text, MAX_SHORT);
    }
    for (name, value) in attributes.iter_mut().chain(fields) {
        changes.text(name, MAX_KEY);
        changes.text(value, MAX_TEXT);
    }
    for handle in sender.iter_mut().chain(claimed) {
        changes.handle(handle);
    }
    for attachment in attachments {
        changes.attachment(attachment);
    }
    match threading {
        Threading::Detached => {}
        Threading::Key(key) | Threading::Existing(key) => changes.text(key, MAX_TEXT),
        Threading::PublicCase(reference) => changes.text(reference, MAX_KEY),
        Threading::Correspondence(by) | Threading::ExistingCorrespondence(by) => changes.correspondence(by),
    }
    // Not a number is not a value: JSON has no word for it.
    *confidence = confidence.filter(|confidence| (0.0..=1.0).contains(confidence));
    *location = location.take().filter(|place| place.lat.abs() <= 90.0 && place.long.abs() <= 180.0);
    changes
}

#[cfg(test)]
mod tests;
