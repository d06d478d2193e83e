//! Forwarded mail is mail, however it is packed; event webhooks are what became of ours.

use channel_sdk::json_access::Pick as _;
use channel_sdk::mail::{self, Body, Envelope, Fields as Header, Letter};
use channel_sdk::types::{Attachment, Context, Correspondence, Event, Handle, Kind, Request, Threading, Translation};
use serde_json::Value;

use crate::wire::{self, Delivery, Fields};

pub(crate) fn translate(request: &Request, context: &Context) -> Translation {
    match wire::read(request) {
        Ok(Delivery::Json(json)) => webhook(&json),
        Ok(Delivery::Form(fields)) => forwarded(&fields, context),
        Err(problem) => Translation::Degraded((Vec::new(), problem)),
    }
}

fn forwarded(fields: &Fields<'_>, context: &Context) -> Translation {
    let sender = fields.text("sender");
    let to: Vec<String> = fields.filled("recipient").into_iter().collect();
    let envelope = Envelope::new(sender.as_deref(), &to);
    if let Some(mime) = fields.bytes("body-mime") {
        return mail::translation(&Letter::from_mime(mime), &envelope, context);
    }
    if let Some(file) = fields.files.iter().find(|file| file.name.as_deref() == Some("body-mime")) {
        return mail::translation(&Letter::from_mime(file.body), &envelope, context);
    }
    let has = |names: &[&str]| names.iter().any(|name| fields.bytes(name).is_some());
    if !has(&["body-plain", "body-html", "message-headers", "from", "From"]) {
        // Webhooks of before 2018 and notifications nobody needs.
        return if has(&["event"]) {
            Translation::Events(Vec::new())
        } else {
            Translation::Degraded((Vec::new(), "the form holds no message".into()))
        };
    }
    mail::translation(&letter(fields), &envelope, context)
}

/// A message from the parts Mailgun made of it.
fn letter(fields: &Fields<'_>) -> Letter<'static> {
    let plain = fields.text("body-plain").map(|text| Body::of_plain(&text)).filter(|body| body.source.is_some());
    let html = || fields.text("body-html").map(|text| Body::of_html(&text));
    let mut letter = Letter::from_fields(header(fields), plain.or_else(html).unwrap_or_default(), hash(fields));
    let ids: Value =
        fields.text("content-id-map").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let content_id = |part: &str| {
        let entry = ids.as_object()?.iter().find(|(_, name)| name.as_str() == Some(part))?;
        Some(entry.0.trim_matches(['<', '>', ' ']).to_owned()).filter(|id| !id.is_empty())
    };
    for file in &fields.files {
        let name = file.file_name.clone().filter(|name| !name.is_empty());
        letter.add_file(file.body, name, file.content_type.as_deref(), file.name.as_deref().and_then(content_id));
    }
    // Route action store(): the files stay at Mailgun.
    let stored: Value =
        fields.text("attachments").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    for file in stored.as_array().into_iter().flatten().take(500) {
        letter.attachments.push(Attachment {
            name: file.text("name"),
            content_type: file.text("content-type"),
            size: file.whole("size").and_then(|size| u64::try_from(size).ok()),
            sha256: None,
            url: file.text("url"),
            media_id: None,
            content_id: None,
            disposition: Some("attachment".into()),
        });
    }
    let said = fields.filled("attachment-count").and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
    if said > letter.attachments.len() {
        letter.faults.push("attachment-count is higher than the number of files that came");
    }
    letter
}

/// `message-headers` has the whole header in order; the fields beside it are a selection.
fn header(fields: &Fields<'_>) -> Header<'static> {
    let list: Vec<(String, String)> = fields
        .text("message-headers")
        .and_then(|text| serde_json::from_str::<Value>(&text).ok())
        .and_then(|json| {
            let pairs = json
                .as_array()?
                .iter()
                .filter_map(|pair| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned())));
            Some(pairs.collect())
        })
        .unwrap_or_default();
    if !list.is_empty() {
        return Header::from_pairs(list);
    }
    let own = [
        "sender",
        "recipient",
        "timestamp",
        "token",
        "signature",
        "domain",
        "attachment-count",
        "content-id-map",
        "message-headers",
        "attachments",
        "message-url",
    ];
    let is_header = |name: &str| {
        !own.contains(&name)
            && !name.starts_with("body-")
            && !name.starts_with("stripped-")
            && !name.starts_with("attachment-")
    };
    Header::from_pairs(
        fields
            .pairs
            .iter()
            .filter(|(name, _)| is_header(name))
            .map(|(name, value)| (name.clone(), channel_sdk::forms::text(value))),
    )
}

/// Of everything but what differs between deliveries of one message.
fn hash(fields: &Fields<'_>) -> String {
    let mut content = Vec::new();
    let mut put = |bytes: &[u8]| {
        content.extend_from_slice(bytes.len().to_string().as_bytes());
        content.push(b':');
        content.extend_from_slice(bytes);
    };
    for (name, value) in fields
        .pairs
        .iter()
        .filter(|(name, _)| !["timestamp", "token", "signature", "recipient"].contains(&name.as_str()))
    {
        put(name.as_bytes());
        put(value);
    }
    for file in &fields.files {
        put(file.body);
    }
    mail::sha256(&content)
}

/// `event-data` of an event webhook.
fn webhook(json: &Value) -> Translation {
    let data = json.at("event-data");
    let (Some(id), Some(name)) = (data.id("id"), data.text("event")) else {
        return if json.is_object() {
            Translation::Events(Vec::new())
        } else {
            Translation::Degraded((Vec::new(), "the JSON is no webhook".into()))
        };
    };
    // Without brackets in Mailgun's JSON.
    let message = data
        .at("message")
        .at("headers")
        .text("message-id")
        .and_then(|id| mail::message_ids(id.as_bytes()).into_iter().next());
    let mut event = Event::new(Kind::Status, id.clone());
    event.event_id = Some(id);
    event.status = Some(name);
    event.timestamp = data.number("timestamp").filter(|seconds| (0.0..2.5e11).contains(seconds)).map(milliseconds);
    event.recipient = data.text("recipient");
    event.sender = data
        .text("recipient")
        .and_then(|address| mail::address(&address))
        .map(|value| Handle { scheme: "email".into(), value });
    event.in_reply_to = message.clone();
    event.must_not_autorespond = true;
    let delivery = data.at("delivery-status");
    let details = [
        ("severity", data.text("severity")),
        ("reason", data.text("reason")),
        ("status_code", delivery.text("enhanced-code").or_else(|| delivery.id("code"))),
        ("diagnostic", delivery.text("message").or_else(|| delivery.text("description"))),
    ];
    event.fields = details.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    event.fields.sort();
    event.threading =
        Threading::ExistingCorrespondence(Correspondence { token: None, message_ids: message.into_iter().collect() });
    Translation::Events(vec![event])
}

/// Seconds with a fraction.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked by the caller")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}
