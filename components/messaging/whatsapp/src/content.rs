//! What a message says, by its `type`.

use channel_sdk::json_access::{Pick, scalar};
use channel_sdk::types::{Attachment, Event, Kind, Location, TextSource, Threading};
use serde_json::Value;

use crate::wire::{phone, sha256_hex};

/// Never more of a list (products, contacts, errors) than this is carried over.
const MANY: usize = 50;

/// Fills in the content of a message.
///
/// # Errors
///
/// What was not understood; what was is in the event all the same.
pub(crate) fn read(message: &Value, event: &mut Event) -> Result<(), &'static str> {
    let kind = message.text("type");
    let part = message.at(kind.as_deref().unwrap_or_default());
    origin(message, event);
    match kind.as_deref() {
        Some("text") => {
            say(event, part.text("body"), TextSource::Plain);
            if event.text.is_none() { Err("is a text without text") } else { Ok(()) }
        }
        Some("image" | "audio" | "video" | "document" | "sticker" | "voice") => media(part, event),
        Some("location") => location(part, event),
        Some("contacts") => {
            contacts(message.items("contacts"), event);
            field(event, "origin", message.text("origin"));
            Ok(())
        }
        Some("interactive") => interactive(part, event),
        Some("button") => {
            event.kind = Kind::Callback;
            say(event, part.text("text"), TextSource::Plain);
            field(event, "payload", part.text("payload"));
            Ok(())
        }
        Some("reaction") => reaction(part, event),
        Some("order") => {
            order(part, event);
            Ok(())
        }
        Some("system") => {
            system(part, event);
            Ok(())
        }
        Some("request_welcome") => {
            existing(event, Kind::Lifecycle, "request_welcome");
            Ok(())
        }
        Some("edit") => edit(part, event),
        Some("revoke") => {
            event.kind = Kind::MessageDeleted;
            event.message_id = part.id("original_message_id");
            keep(event);
            if event.message_id.is_some() { Ok(()) } else { Err("is a deletion of nothing") }
        }
        // Meta's own word for what its API can't carry: somebody wrote, and staff must know.
        Some("unsupported" | "unknown") => {
            event.flags.push("unsupported".into());
            errors(message.items("errors"), event);
            field(event, "unsupported_type", part.text("type"));
            Ok(())
        }
        _ => {
            event.flags.push("unsupported".into());
            field(event, "type", kind);
            errors(message.items("errors"), event);
            Err("has a type that is not known here")
        }
    }
}

/// What surrounds any content: the message it answers, forwarding, the advertisement it came from.
fn origin(message: &Value, event: &mut Event) {
    let context = message.at("context");
    event.in_reply_to = context.id("id");
    for flag in ["forwarded", "frequently_forwarded"] {
        if context.truth(flag) {
            event.flags.push(flag.into());
        }
    }
    let product = context.at("referred_product");
    field(event, "referred_product", product.id("product_retailer_id"));
    let referral = message.at("referral");
    for name in ["source_url", "source_type", "source_id", "headline"] {
        field(event, &format!("referral_{name}"), referral.id(name));
    }
    field(event, "group_id", message.id("group_id"));
}

fn say(event: &mut Event, text: Option<String>, source: TextSource) {
    event.text_source = text.is_some().then_some(source);
    event.text = text;
}

fn field(event: &mut Event, name: &str, value: Option<String>) {
    event.fields.extend(value.map(|value| (name.to_owned(), value)));
}

/// Belongs to the open case if there is one, and opens none.
fn keep(event: &mut Event) {
    event.must_not_autorespond = true;
    if let Threading::Key(key) = &event.threading {
        event.threading = Threading::Existing(key.clone());
    }
}

fn existing(event: &mut Event, kind: Kind, status: &str) {
    event.kind = kind;
    event.status = Some(status.into());
    keep(event);
}

fn media(part: &Value, event: &mut Event) -> Result<(), &'static str> {
    say(event, part.text("caption"), TextSource::Plain);
    let media_id = part.id("id");
    let known = media_id.is_some();
    event.attachments.push(Attachment {
        name: part.text("filename"),
        // `audio/ogg; codecs=opus` as it comes.
        content_type: part.text("mime_type"),
        size: part.whole("file_size").and_then(|size| u64::try_from(size).ok()),
        sha256: part.text("sha256").as_deref().and_then(sha256_hex),
        url: part.text("url"),
        media_id,
        content_id: None,
        disposition: None,
    });
    if part.truth("voice") {
        event.flags.push("voice".into());
    }
    if known { Ok(()) } else { Err("has a medium without id") }
}

fn location(part: &Value, event: &mut Event) -> Result<(), &'static str> {
    field(event, "place", part.text("name"));
    field(event, "place_url", part.text("url"));
    event.address = part.text("address");
    let (Some(lat), Some(long)) = (part.number("latitude"), part.number("longitude")) else {
        return Err("is a location without coordinates");
    };
    if !((-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&long)) {
        return Err("is a location outside the globe");
    }
    event.location = Some(Location { lat, long });
    Ok(())
}

fn contacts(contacts: &[Value], event: &mut Event) {
    for contact in contacts.iter().take(MANY) {
        let number = |phone_entry: &Value| {
            phone_entry.id("wa_id").as_deref().and_then(phone).or_else(|| phone_entry.id("phone"))
        };
        let mut words: Vec<String> = contact.at("name").text("formatted_name").into_iter().collect();
        words.extend(contact.items("phones").iter().take(MANY).filter_map(number));
        words.extend(contact.items("emails").iter().take(MANY).filter_map(|email| email.text("email")));
        if !words.is_empty() {
            event.fields.push(("contact".into(), words.join(" ")));
        }
    }
}

fn interactive(part: &Value, event: &mut Event) -> Result<(), &'static str> {
    let kind = part.text("type");
    let reply = part.at(kind.as_deref().unwrap_or_default());
    match kind.as_deref() {
        Some("button_reply" | "list_reply") => {
            event.kind = Kind::Callback;
            say(event, reply.text("title"), TextSource::Plain);
            field(event, "reply_id", reply.id("id"));
            field(event, "description", reply.text("description"));
            Ok(())
        }
        // A WhatsApp Flow, sent off: its answers are a JSON text.
        Some("nfm_reply") => {
            say(event, reply.text("body"), TextSource::Form);
            field(event, "flow", reply.text("name"));
            let answers = reply.text("response_json").and_then(|text| serde_json::from_str::<Value>(&text).ok());
            for (name, value) in answers.as_ref().and_then(Value::as_object).into_iter().flatten().take(200) {
                let value = scalar(value).or_else(|| (!value.is_null()).then(|| value.to_string()));
                // The token is ours, given with the flow; it is no answer.
                event.attributes.extend(value.filter(|_| name != "flow_token").map(|value| (name.clone(), value)));
            }
            Ok(())
        }
        _ => {
            event.flags.push("unsupported".into());
            field(event, "type", kind);
            Err("has an interactive type that is not known here")
        }
    }
}

fn reaction(part: &Value, event: &mut Event) -> Result<(), &'static str> {
    event.kind = Kind::Reaction;
    keep(event);
    event.in_reply_to = part.id("message_id");
    say(event, part.text("emoji"), TextSource::Plain);
    if event.text.is_none() {
        // An empty or missing emoji takes the reaction back.
        event.status = Some("removed".into());
    }
    if event.in_reply_to.is_some() { Ok(()) } else { Err("is a reaction to nothing") }
}

fn order(part: &Value, event: &mut Event) {
    say(event, part.text("text"), TextSource::Plain);
    field(event, "catalog_id", part.id("catalog_id"));
    for item in part.items("product_items").iter().take(MANY) {
        let words = ["product_retailer_id", "quantity", "item_price", "currency"];
        let words: Vec<String> = words.iter().filter_map(|name| scalar(item.at(name))).collect();
        event.fields.push(("product".into(), words.join(" ")));
    }
}

/// The person changed number or id: what was known of them is known under another one.
fn system(part: &Value, event: &mut Event) {
    let word = part.text("type").unwrap_or_else(|| "system".into());
    existing(event, Kind::Lifecycle, &word);
    say(event, part.text("body"), TextSource::Plain);
    field(event, "new_wa_id", part.id("wa_id").or_else(|| part.id("new_wa_id")));
    field(event, "new_user_id", part.id("user_id"));
}

fn edit(part: &Value, event: &mut Event) -> Result<(), &'static str> {
    event.kind = Kind::MessageEdited;
    event.flags.push("edited".into());
    event.message_id = part.id("original_message_id");
    let message = part.at("message");
    let inner = message.at(message.text("type").as_deref().unwrap_or_default());
    say(event, inner.text("body").or_else(|| inner.text("caption")), TextSource::Plain);
    if event.message_id.is_some() { Ok(()) } else { Err("is an edit of nothing") }
}

/// Error objects as fields.
pub(crate) fn errors(errors: &[Value], event: &mut Event) {
    for error in errors.iter().take(MANY) {
        field(event, "error_code", error.id("code"));
        field(event, "error_title", error.text("title").or_else(|| error.text("message")));
        field(event, "error_details", error.at("error_data").text("details"));
    }
}
