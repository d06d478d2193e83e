//! From a letter to events.

use crate::types::{Context, Correspondence, Event, Handle, Kind, Threading, Translation};

use super::{Envelope, Letter, fields, loops, quote, report, words};

/// Ids that may tie a message to its case.
const MAX_CANDIDATES: usize = 50;

/// The tenant's own mailboxes by the setting `addresses`: a list, as JSON or separated by commas.
pub fn own_addresses(context: &Context) -> Vec<String> {
    let value = context
        .settings
        .iter()
        .find(|setting| setting.name == "addresses")
        .map(|setting| setting.value.as_str())
        .unwrap_or_default();
    value.split([',', '[', ']', '"', ' ', '\n']).filter_map(fields::address).collect()
}

/// What a letter means: one event for each recipient of its envelope.
pub fn translation(letter: &Letter<'_>, envelope: &Envelope, context: &Context) -> Translation {
    let mut recipients: Vec<Option<String>> = envelope.to.iter().cloned().map(Some).collect();
    if recipients.is_empty() {
        recipients.push(recipient_of_header(letter));
    }
    let events = recipients.iter().map(|recipient| event(letter, envelope, context, recipient.as_deref())).collect();
    if letter.faults.is_empty() {
        Translation::Events(events)
    } else {
        Translation::Degraded((events, format!("the message was not read completely: {}", letter.faults.join(", "))))
    }
}

fn recipient_of_header(letter: &Letter<'_>) -> Option<String> {
    ["delivered-to", "x-original-to", "to", "cc"]
        .iter()
        .find_map(|name| letter.fields.mailboxes(name).into_iter().next())
        .map(|mailbox| mailbox.address)
}

fn event(letter: &Letter<'_>, envelope: &Envelope, context: &Context, recipient: Option<&str>) -> Event {
    let header = &letter.fields;
    let message_id = header.ids("message-id").into_iter().next();
    let identity = message_id.clone().unwrap_or_else(|| format!("sha256:{}", letter.hash));
    let key = match recipient {
        Some(recipient) => format!("{identity} {}", recipient.to_ascii_lowercase()),
        None => identity,
    };
    let report = report::read(letter, envelope);
    let mut event = Event::new(if report.is_some() { Kind::Status } else { Kind::Message }, key);

    let from = header.mailboxes("from").into_iter().next().or_else(|| header.mailboxes("sender").into_iter().next());
    let envelope_from = envelope.from.clone().filter(|from| !from.is_empty());
    event.sender = from
        .as_ref()
        .map(|from| from.address.clone())
        .or(envelope_from)
        .map(|value| Handle { scheme: "email".into(), value });
    event.sender_name = from.and_then(|from| from.name);
    event.recipient = recipient.map(str::to_owned);
    event.subject = header.text("subject");
    event.timestamp = header.date();
    if !letter.body.text.trim().is_empty() {
        event.text = Some(letter.body.text.clone());
        event.text_source = letter.body.source;
    }
    event.language = header
        .keyword("content-language")
        .filter(|tag| tag.len() <= 35 && tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
    event.message_id = message_id.clone();
    event.references = header.ids("references");
    event.in_reply_to = header.ids("in-reply-to").into_iter().next();
    event.attachments = letter.attachments.clone();

    let candidates = candidates(letter, message_id.as_deref());
    let token = token(letter, recipient);
    fields_of(&mut event, letter, context);
    event.flags =
        loops::flags(letter, envelope, &own_addresses(context), recipient).into_iter().map(str::to_owned).collect();
    match report {
        Some(report) => {
            event.flags.insert(0, "dsn".into());
            event.in_reply_to = report.original_id.clone().or(event.in_reply_to);
            event.status = Some(report.status);
            let mut put =
                |name: &str, value: Option<String>| event.fields.extend(value.map(|value| (name.to_owned(), value)));
            put("final_recipient", report.final_recipient);
            put("status_code", report.code);
            put("diagnostic", report.diagnostic);
            let message_ids = report.original_id.into_iter().chain(candidates).collect();
            event.threading =
                Threading::ExistingCorrespondence(Correspondence { token, message_ids: distinct(message_ids) });
        }
        None => event.threading = Threading::Correspondence(Correspondence { token, message_ids: candidates }),
    }
    // The public JSON has them as members of an object, in this order.
    event.fields.sort();
    event.must_not_autorespond = !event.flags.is_empty();
    // What the content is says nothing about who may be answered.
    event.flags.extend(letter.flags.iter().map(|flag| (*flag).to_owned()));
    if letter.body.guessed {
        event.flags.push("charset_guessed".into());
    }
    event.department = recipient.and_then(|recipient| department(recipient, context));
    event
}

fn fields_of(event: &mut Event, letter: &Letter<'_>, context: &Context) {
    let header = &letter.fields;
    let list =
        |name: &str| header.mailboxes(name).into_iter().map(|mailbox| mailbox.address).collect::<Vec<_>>().join(", ");
    let sender = event.sender.as_ref().map(|sender| sender.value.clone()).unwrap_or_default();
    let mut put = |name: &str, value: String| {
        if !value.is_empty() {
            event.fields.push((name.to_owned(), value));
        }
    };
    put("to", list("to"));
    put("cc", list("cc"));
    let reply_to = list("reply-to");
    put("reply_to", if reply_to.eq_ignore_ascii_case(&sender) { String::new() } else { reply_to });
    put("quoted_from_line", quote::begins_at(&letter.body.text).map(|line| line.to_string()).unwrap_or_default());
    put("authentication_results", authentication_results(letter, context).unwrap_or_default());
}

/// RFC 8601 §5: only what our own border wrote counts, and of that the topmost.
fn authentication_results(letter: &Letter<'_>, context: &Context) -> Option<String> {
    let ours = &context
        .settings
        .iter()
        .find(|setting| setting.name == "authserv_id")
        .filter(|setting| !setting.value.is_empty())?
        .value;
    let results = letter.fields.all("authentication-results");
    let text = results
        .iter()
        .map(|value| words::decode(value))
        .find(|text| text.split([';', ' ']).next().is_some_and(|id| id.eq_ignore_ascii_case(ours)))?;
    Some(text.split_once(';').map(|(_, methods)| methods.trim().to_owned()).unwrap_or_default())
}

/// What may tie it to a case, most specific first: In-Reply-To, then References from the last to the first (RFC 5322 §3.6.4).
fn candidates(letter: &Letter<'_>, own: Option<&str>) -> Vec<String> {
    let replies = letter.fields.ids("in-reply-to");
    let references = letter.fields.ids("references");
    let all = replies.into_iter().chain(references.into_iter().rev()).filter(|id| Some(id.as_str()) != own);
    distinct(all.collect())
}

fn distinct(ids: Vec<String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for id in ids {
        if !found.contains(&id) && found.len() < MAX_CANDIDATES {
            found.push(id);
        }
    }
    found
}

/// Our token as it travels in a plus address or in our header. Whether it is ours is the gateway's to check.
fn token(letter: &Letter<'_>, recipient: Option<&str>) -> Option<String> {
    let header = |name: &str| letter.fields.mailboxes(name).into_iter().map(|mailbox| mailbox.address);
    let addresses = recipient
        .map(str::to_owned)
        .into_iter()
        .chain(["delivered-to", "x-original-to", "to", "cc", "reply-to"].into_iter().flat_map(header));
    let in_address = addresses.into_iter().find_map(|address| {
        let local = address.rsplit_once('@')?.0.to_ascii_lowercase();
        local.split_once('+').map(|(_, suffix)| suffix.to_owned()).filter(|suffix| is_token(suffix))
    });
    in_address.or_else(|| {
        letter
            .fields
            .text("x-ventanilla-thread")
            .map(|value| value.to_ascii_lowercase())
            .filter(|value| is_token(value))
    })
}

/// Payload, hyphen, sixteen characters of base32: what `signatures::token` issues.
fn is_token(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(payload, seal)| {
        (1..=64).contains(&payload.len())
            && payload.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && seal.len() == 16
            && seal.bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte))
    })
}

/// The department whose code is the mailbox: `waste@…`, `waste+anything@…`.
fn department(recipient: &str, context: &Context) -> Option<String> {
    let local = loops::bare(recipient).rsplit_once('@')?.0.to_owned();
    context
        .profile
        .departments
        .iter()
        .find(|department| department.code == local)
        .map(|department| department.code.clone())
}
