//! A form as one event. A form opens one case: sent again as it was it is the same event, and sent again with changes (back,
//! corrected, sent) it is another event of the same case, so that nothing somebody wrote is lost and nothing is counted twice.

use channel_sdk::photo;
use channel_sdk::types::{Attachment, Context, Event, Handle, Kind, Request, TextSource, Threading, Translation};

use crate::check;
use crate::settings;
use crate::token;
use crate::wire::{self, Identity, Photo, Sent};
use crate::words;

/// What a form means.
pub(crate) fn translate(request: &Request, context: &Context) -> Translation {
    let sent = match wire::read(request) {
        Ok(sent) => sent,
        Err(why) => return Translation::Degraded((Vec::new(), why.detail)),
    };
    let Some(identity) = wire::identity(request, &sent) else {
        return Translation::Degraded((Vec::new(), "the form names neither a token nor an id".into()));
    };
    let mut event = event(context, &sent, &identity);
    if sent.get(wire::TRAP).is_some() {
        // Kept for a person to look at; a thousand of them must not be a thousand cases.
        event.flags.push("suspected_spam".into());
        event.threading = Threading::Detached;
        return Translation::Degraded((
            vec![event],
            "a field that nobody sees is filled in: probably by a program".into(),
        ));
    }
    let bits = settings::work_bits(context);
    let is_unproven = match &identity {
        Identity::Token(token) => !token::is_proven(token, sent.get(wire::WORK), bits),
        Identity::Named(_) => false,
    };
    if is_unproven {
        event.flags.push("unproven".into());
        return Translation::Degraded((vec![event], "without the proof of work that browsers with scripts do".into()));
    }
    Translation::Events(vec![event])
}

fn event(context: &Context, sent: &Sent<'_>, identity: &Identity) -> Event {
    let profile = &context.profile;
    let service = check::service(sent, profile);
    let text = |name: &str| sent.get(name).map(str::to_owned);
    let email = sent.get(wire::EMAIL).filter(|email| check::is_email(email));
    let email = email.map(|email| Handle { scheme: "email".into(), value: email.to_ascii_lowercase() });
    let phone = sent.get(wire::PHONE).and_then(check::telephone);
    let phone = phone.map(|number| Handle { scheme: "phone".into(), value: number });
    let mut handles = email.into_iter().chain(phone);
    let (key, case) = keys(sent, identity);
    let mut flags = Vec::new();
    let told = check::coordinates(sent).ok().flatten();
    let of_photo = check::place_of_photos(sent);
    if of_photo.is_some() {
        flags.push("location_from_photo".to_owned());
    }
    if sent.repaired {
        flags.push("text_repaired".to_owned());
    }
    let default = profile.languages.first().map(String::as_str).unwrap_or_default();
    let tag = words::wanted(profile, sent.get(wire::LANG), None).tag;
    Event {
        kind: Kind::Request,
        idempotency_key: key,
        timestamp: None,
        sender: handles.next(),
        sender_name: text(wire::NAME),
        claimed: handles.collect(),
        recipient: None,
        // For staff, so in the administration's language.
        subject: service
            .and_then(|service| channel_sdk::language::pick(&service.name, default))
            .map(|name| name.text.clone()),
        text: text(wire::TEXT),
        text_source: sent.get(wire::TEXT).map(|_| TextSource::Form),
        message_id: None,
        thread_id: None,
        in_reply_to: None,
        references: Vec::new(),
        call_id: None,
        conversation_id: None,
        event_id: Some(case.clone()),
        dtmf: None,
        confidence: None,
        language: sent.get(wire::LANG).map(|_| tag.to_owned()),
        status: None,
        duration_s: None,
        recording_id: None,
        location: told.or(of_photo),
        address: text(wire::ADDRESS),
        service_code: service.map(|service| service.code.clone()),
        attributes: attributes(sent, service.map(|service| service.attributes.as_slice()).unwrap_or_default()),
        fields: fields(sent, service.map(|service| service.attributes.as_slice()).unwrap_or_default()),
        flags,
        // The page that thanks has said all an automatic answer could, and the address is only claimed: whoever types another's
        // must not make us write to it.
        must_not_autorespond: true,
        attachments: sent.photos.iter().map(attachment).collect(),
        threading: Threading::Key(case),
        department: service.and_then(|service| service.department.clone()),
        task: None,
        asks_about: None,
        public: false,
    }
}

/// What is the same if the same was sent, and what is the same if the same form was.
fn keys(sent: &Sent<'_>, identity: &Identity) -> (String, String) {
    match identity {
        Identity::Named(id) => (format!("id:{id}"), format!("id:{id}")),
        Identity::Token(token) => {
            // What the browser adds differs from one sending to the next.
            let mut all = String::new();
            let changes = [wire::TOKEN, wire::WORK, wire::STEP, wire::LANG];
            for (name, value) in sent.fields().iter().filter(|(name, _)| !changes.contains(&name.as_str())) {
                all.push_str(&format!("{}:{name}={}:{value};", name.len(), value.len()));
            }
            for file in &sent.photos {
                all.push_str(&photo::sha256(file.content));
            }
            let mut digest = photo::sha256(all.as_bytes());
            digest.truncate(32);
            (format!("form:{}:{digest}", token.id), format!("form:{}", token.id))
        }
    }
}

fn attachment(file: &Photo<'_>) -> Attachment {
    Attachment {
        name: Some(file.name.clone()).filter(|name| !name.is_empty()),
        content_type: photo::kind(file.content).map(|kind| kind.media_type().to_owned()),
        size: u64::try_from(file.content.len()).ok(),
        sha256: Some(photo::sha256(file.content)),
        url: None,
        media_id: None,
        content_id: None,
        disposition: Some("attachment".into()),
    }
}

type Question = channel_sdk::types::ServiceAttribute;

fn attributes(sent: &Sent<'_>, questions: &[Question]) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    for question in questions {
        let name = wire::attribute(&question.code);
        sent.all(&name).for_each(|answer| put(&mut attributes, &question.code, answer.to_owned()));
    }
    attributes
}

/// Where it stands in JSON: by name, values of one name in order.
fn put(pairs: &mut Vec<(String, String)>, name: &str, value: String) {
    let place = pairs.partition_point(|(known, _)| known.as_str() <= name);
    pairs.insert(place, (name.to_owned(), value));
}

/// What has no place of its own, and what is to be known before a photo is published.
fn fields(sent: &Sent<'_>, questions: &[Question]) -> Vec<(String, String)> {
    let is_own = |name: &str| {
        wire::OWN.contains(&name) || questions.iter().any(|question| wire::attribute(&question.code) == name)
    };
    let mut fields = Vec::new();
    for (name, value) in sent.fields().iter().filter(|(name, value)| !is_own(name) && !value.is_empty()) {
        put(&mut fields, name, value.clone());
    }
    for (index, file) in sent.photos.iter().enumerate() {
        let number = index + 1;
        if let Some(clean) = photo::published(file.content) {
            put(&mut fields, &format!("photo_{number}_published_sha256"), photo::sha256(&clean));
        }
        if let Some(turn) = photo::orientation(file.content) {
            put(&mut fields, &format!("photo_{number}_orientation"), turn.to_string());
        }
    }
    fields
}
