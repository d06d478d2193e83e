//! A filed request is one event, public, that opens a case; what is added to one is an event of its case.
//!
//! The standard has no id of a request before we give one, and clients post again when they got no answer. Two requests are the
//! same if everything in them is: service, place, words, attributes, contact data, media. Within ten minutes that is one
//! event. Later it is a second event, of the same case while that is open, and of a new one when it is closed: nothing filed is
//! lost, and nothing is two cases. A client that knows better sends `Idempotency-Key`
//! (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>).

use channel_sdk::e164;
use channel_sdk::headers;
use channel_sdk::photo;
use channel_sdk::types::{Attachment, Context, Event, Handle, Kind, Request, Task, TextSource, Threading, Translation};

use crate::filing::{self, Filing};
use crate::update::Update;
use crate::wire::{self, Ask, Parameters};

/// How long an equal request is the same one sent again, in milliseconds.
const WINDOW: i64 = 600_000;
/// Parameters that have a place of their own in an event.
const KNOWN: [&str; 13] = [
    "address_string",
    "description",
    "device_id",
    "email",
    "first_name",
    "last_name",
    "lat",
    "long",
    "media_url",
    "phone",
    "account_id",
    "requested_datetime",
    "service_code",
];

const KNOWN_OF_UPDATES: [&str; 11] = [
    "description",
    "device_id",
    "email",
    "first_name",
    "last_name",
    "media_url",
    "phone",
    "account_id",
    "service_request_id",
    "status",
    "update_id",
];

/// What a verified request means.
pub(crate) fn translate(request: &Request, context: &Context) -> Translation {
    match wire::read(request, context) {
        Ok(Ask::Filing(filing)) => Translation::Events(vec![event(request, &filing)]),
        Ok(Ask::Update(update)) => Translation::Events(vec![added(&update)]),
        // Neither comes here verified; but what was verified once may be replayed when the services have changed.
        Ok(Ask::Question(_)) => Translation::Events(Vec::new()),
        Err(faults) => Translation::Degraded((Vec::new(), faults.first.description)),
    }
}

fn event(request: &Request, filing: &Filing<'_>) -> Event {
    let given = |name: &str| filing.parameters.first(name);
    let hashes: Vec<String> = filing.parameters.files.iter().map(|file| photo::sha256(file.body)).collect();
    let content = photo::sha256(&filing::content(&filing.parameters, &hashes));
    let mut event = Event::new(Kind::Request, key(request, &content));
    event.public = true;
    event.timestamp = filing.requested;
    name(&filing.parameters, &mut event);
    event.subject = filing.service_name.clone();
    event.text = given("description").map(filing::lines);
    event.text_source = event.text.is_some().then_some(TextSource::Form);
    event.location = filing.location;
    event.address = given("address_string").map(str::to_owned);
    event.service_code = Some(filing.service_code.clone());
    event.department = filing.department.clone();
    event.attributes = filing.attributes.clone();
    event.fields = fields(&filing.parameters, &KNOWN);
    attach(&filing.media_urls, &filing.parameters, hashes, &mut event);
    event.threading = Threading::Key(content);
    event
}

/// Something added to a request is one event, of the public case it names and of no other. What the client says the status is now
/// (FixMyStreet lets reporters say "fixed") is kept as their word; staff look at it, and they alone change the case.
fn added(update: &Update<'_>) -> Event {
    let parameters = &update.parameters;
    let given = |name: &str| parameters.first(name);
    let hashes: Vec<String> = parameters.files.iter().map(|file| photo::sha256(file.body)).collect();
    // Two clients may count from 1. Not what it says: the status is that of the moment at which it is sent, and sent again.
    let key = format!("update:{}:{}:{}", client(parameters), update.reference, update.id);
    let mut event = Event::new(Kind::Message, key);
    event.timestamp = update.updated;
    name(parameters, &mut event);
    event.text = given("description").map(filing::lines);
    event.text_source = event.text.is_some().then_some(TextSource::Form);
    event.event_id = Some(update.id.clone());
    event.status = given("status").map(str::to_owned);
    let mut known = KNOWN_OF_UPDATES.to_vec();
    if update.updated.is_some() {
        known.push("updated_datetime");
    }
    event.fields = fields(parameters, &known);
    attach(&update.media_urls, parameters, hashes, &mut event);
    event.threading = Threading::PublicCase(update.reference.clone());
    event.task = Some(Task::Review);
    event
}

/// Whoever it is, in the client's words.
fn name(parameters: &Parameters<'_>, event: &mut Event) {
    let mut handles = handles(parameters).into_iter();
    event.sender = handles.next();
    event.claimed = handles.collect();
    let names = [parameters.first("first_name"), parameters.first("last_name")];
    let names: Vec<&str> = names.into_iter().flatten().collect();
    event.sender_name = (!names.is_empty()).then(|| names.join(" "));
}

/// Longer is cut by the gateway anyway: no client makes such keys.
const MAX_KEY: usize = 255;

fn key(request: &Request, content: &str) -> String {
    match headers::text(&request.headers, "idempotency-key").map(|key| key.trim().to_owned()) {
        // Two clients may count from 1: a key is not believed for other content.
        Some(key) if !key.is_empty() && key.len() <= MAX_KEY => format!("{content}:key:{key}"),
        _ => format!("{content}:{}", request.received_at.div_euclid(WINDOW)),
    }
}

/// Whoever files it may name themselves. Claims of the client, all of them; the first is whom staff would write to.
fn handles(parameters: &Parameters<'_>) -> Vec<Handle> {
    let given = |name: &str| parameters.first(name);
    let handle = |scheme: &str, value: Option<String>| value.map(|value| Handle { scheme: scheme.into(), value });
    // An account is one of the client's, and several clients may count from 1.
    let client = client(parameters);
    [
        handle("email", given("email").filter(|text| is_mailbox(text)).map(str::to_owned)),
        handle("phone", given("phone").filter(|text| !e164::is_withheld(text)).and_then(e164::number_of)),
        handle("account", given("account_id").map(|id| format!("{client}/{id}"))),
        handle("device", given("device_id").map(str::to_owned)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Tells clients apart without their keys.
fn client(parameters: &Parameters<'_>) -> String {
    let key = parameters.first("api_key").map(|key| photo::sha256(key.as_bytes()));
    key.as_deref().and_then(|hash| hash.get(..8)).unwrap_or("open").to_owned()
}

fn is_mailbox(text: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>,;()\"\\".contains(c);
    text.len() <= 320
        && !text.contains(odd)
        && text.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

/// What else the client said that staff may want; and contact data that could not be read as such.
fn fields(parameters: &Parameters<'_>, known: &[&str]) -> Vec<(String, String)> {
    let given = |name: &str| parameters.first(name);
    let unreadable = |name: &str| match name {
        "email" => given("email").is_some_and(|text| !is_mailbox(text)),
        "phone" => given("phone").is_some_and(|text| e164::number_of(text).is_none()),
        _ => false,
    };
    let fields = parameters
        .pairs
        .iter()
        .filter(|(name, _)| {
            let bare = name.strip_suffix("[]").unwrap_or(name);
            let is_attribute = name.starts_with("attribute[");
            !is_attribute && !filing::is_about_the_client(bare) && (!known.contains(&bare) || unreadable(bare))
        })
        .cloned()
        .collect();
    filing::in_order(fields)
}

/// Media by address are published with the request; what is uploaded stays in the envelope, for staff.
fn attach(media_urls: &[String], parameters: &Parameters<'_>, hashes: Vec<String>, event: &mut Event) {
    let attachment = |url: Option<String>| Attachment {
        name: None,
        content_type: None,
        size: None,
        sha256: None,
        url,
        media_id: None,
        content_id: None,
        disposition: Some("attachment".into()),
    };
    event.attachments = media_urls.iter().map(|url| attachment(Some(url.clone()))).collect();
    for (file, hash) in parameters.files.iter().zip(hashes) {
        let kind = photo::kind(file.body);
        if kind.is_none() && !event.flags.iter().any(|flag| flag == "not_a_picture") {
            event.flags.push("not_a_picture".into());
        }
        event.attachments.push(Attachment {
            name: file.file_name.clone().filter(|name| !name.is_empty()),
            // What it says it is counts only if it claims to be no picture.
            content_type: kind.map(|kind| kind.media_type().to_owned()).or_else(|| {
                let claimed = file.content_type.clone().unwrap_or_default();
                let media_type = claimed.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                (!media_type.is_empty() && !media_type.starts_with("image/")).then_some(media_type)
            }),
            size: u64::try_from(file.body.len()).ok(),
            sha256: Some(hash),
            ..attachment(None)
        });
    }
}
