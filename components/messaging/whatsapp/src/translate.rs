//! A delivery is `entry[].changes[].value.{messages,statuses,errors}[]`: every element is a fact of its own.

use channel_sdk::batch::Batch;
use channel_sdk::json_access::{Pick, fingerprint, parse, scalar};
use channel_sdk::types::{Event, Kind, Request, Threading, Translation};
use serde_json::Value;

use crate::content;
use crate::wire::{Line, Person, phone};

/// Fields about the account that an operator should see. Others than these and `messages` are nobody's business here.
const OPERATION: [&str; 9] = [
    "account_alerts",
    "account_review_update",
    "account_update",
    "business_capability_update",
    "message_template_status_update",
    "phone_number_name_update",
    "phone_number_quality_update",
    "security",
    "user_id_update",
];

/// What a verified delivery means.
pub(crate) fn translate(request: &Request) -> Translation {
    let mut batch = Batch::new();
    match parse(&request.body) {
        Err(problem) => batch.problem("body", &problem),
        Ok(body) => match body.text("object").as_deref() {
            Some("whatsapp_business_account") => entries(&body, &mut batch),
            _ => batch.problem("object", "is not whatsapp_business_account: subscribe only that product to this URL"),
        },
    }
    batch.finish()
}

fn entries(body: &Value, batch: &mut Batch) {
    if body.at("entry").as_array().is_none() {
        batch.problem("entry", "is not a list");
    }
    for (number, entry) in body.items("entry").iter().enumerate() {
        if entry.at("changes").as_array().is_none() {
            batch.problem(&format!("entry[{number}].changes"), "is not a list");
        }
        for (index, change) in entry.items("changes").iter().enumerate() {
            let place = format!("entry[{number}].changes[{index}]");
            let value = change.at("value");
            match change.text("field").as_deref() {
                Some("messages") if value.is_object() => messages(value, &place, batch),
                Some("messages") => batch.problem(&place, "has no value"),
                // What staff write in the WhatsApp Business app of the same number (coexistence).
                Some("smb_message_echoes") => echoes(value, &place, batch),
                Some(field) if OPERATION.contains(&field) => batch.push(operation(entry, field, value)),
                Some(_) => {}
                None => batch.problem(&place, "has no field"),
            }
        }
    }
}

fn messages(value: &Value, place: &str, batch: &mut Batch) {
    let line = Line::of(value);
    let each = |list: &'static str| {
        value.items(list).iter().enumerate().map(move |(index, item)| (format!("{place}.value.{list}[{index}]"), item))
    };
    for list in ["messages", "statuses", "errors"] {
        if !(value.at(list).is_null() || value.at(list).is_array()) {
            batch.problem(&format!("{place}.value.{list}"), "is not a list");
        }
    }
    for (place, item) in each("messages") {
        match message(item, value, &line) {
            Ok((event, None)) => batch.push(event),
            Ok((event, Some(problem))) => {
                batch.problem(&place, problem);
                batch.push(event);
            }
            Err(problem) => batch.problem(&place, problem),
        }
    }
    for (place, item) in each("statuses") {
        match status(item, &line) {
            Ok(event) => batch.push(event),
            Err(problem) => batch.problem(&place, problem),
        }
    }
    for (_, item) in each("errors") {
        let key = format!("error:{}:{}", line.id.as_deref().unwrap_or_default(), fingerprint(item));
        let mut event = Event::new(Kind::Lifecycle, key);
        event.status = Some("error".into());
        event.recipient = line.number.clone();
        content::errors(std::slice::from_ref(item), &mut event);
        batch.push(event);
    }
}

/// The person of a message, with the contact entry that tells the name. A contact belongs to a message by an id only: in a
/// batch of several people a name must not stray.
fn sender<'a>(message: &Value, value: &'a Value) -> (Person, &'a Value) {
    let (from, from_user) = (message.id("from"), message.id("from_user_id"));
    let contacts = value.items("contacts");
    let same = |contact: &Value| {
        (from.is_some() && contact.id("wa_id") == from) || (from_user.is_some() && contact.id("user_id") == from_user)
    };
    let contact = contacts.iter().find(|contact| same(contact)).or_else(|| match contacts {
        [only] if from.is_none() && from_user.is_none() => Some(only),
        _ => None,
    });
    let contact = contact.unwrap_or(&Value::Null);
    (Person::new(from.or_else(|| contact.id("wa_id")), from_user.or_else(|| contact.id("user_id"))), contact)
}

/// One message; with it, what of it was not understood.
fn message(message: &Value, value: &Value, line: &Line) -> Result<(Event, Option<&'static str>), &'static str> {
    let id = message.id("id").ok_or("has no id")?;
    let (person, contact) = sender(message, value);
    let conversation = line.conversation(&person).ok_or("has neither a number nor a user id of the sender")?;
    let mut event = Event::new(Kind::Message, id.as_str());
    event.message_id = Some(id);
    event.timestamp = message.instant("timestamp");
    event.sender = person.handle();
    event.claimed = person.claimed();
    event.sender_name = contact.at("profile").text("name");
    event.recipient = line.number.clone();
    event.conversation_id = Some(conversation.clone());
    event.threading = Threading::Key(conversation);
    if let Some(username) = contact.at("profile").text("username") {
        event.fields.push(("username".into(), username));
    }
    let understood = content::read(message, &mut event);
    if message.id("from").as_deref().and_then(phone).is_some_and(|from| Some(from) == line.number) {
        echo(&mut event);
    }
    Ok((event, understood.err()))
}

/// Written by ourselves, elsewhere: kept in the history of its case, and never answered.
fn echo(event: &mut Event) {
    event.flags.push("echo".into());
    event.must_not_autorespond = true;
    if let Threading::Key(key) = &event.threading {
        event.threading = Threading::Existing(key.clone());
    }
}

fn echoes(value: &Value, place: &str, batch: &mut Batch) {
    let line = Line::of(value);
    for (index, item) in value.items("message_echoes").iter().enumerate() {
        let place = format!("{place}.value.message_echoes[{index}]");
        let person = Person::new(item.id("to"), item.id("to_user_id"));
        let (Some(id), Some(conversation)) = (item.id("id"), line.conversation(&person)) else {
            batch.problem(&place, "has no id or no recipient");
            continue;
        };
        let mut event = Event::new(Kind::Message, id.as_str());
        event.message_id = Some(id);
        event.timestamp = item.instant("timestamp");
        event.sender = Person::new(item.id("from"), None).handle();
        event.recipient = person.handle().map(|handle| handle.value);
        event.conversation_id = Some(conversation.clone());
        event.threading = Threading::Key(conversation);
        if let Err(problem) = content::read(item, &mut event) {
            batch.problem(&place, problem);
        }
        echo(&mut event);
        batch.push(event);
    }
}

fn status(status: &Value, line: &Line) -> Result<Event, &'static str> {
    let id = status.id("id").ok_or("has no id")?;
    let word = status.text("status").ok_or("has no status")?;
    let person = Person::new(status.id("recipient_id"), status.id("recipient_user_id"));
    let mut event = Event::new(Kind::Status, format!("{id}:{word}"));
    event.message_id = Some(id);
    event.status = Some(word);
    event.timestamp = status.instant("timestamp");
    event.recipient = person.handle().map(|handle| handle.value);
    event.conversation_id = line.conversation(&person);
    event.must_not_autorespond = true;
    if let Some(key) = &event.conversation_id {
        event.threading = Threading::Existing(key.clone());
    }
    let pricing = [("pricing_category", status.at("pricing").text("category"))];
    let origin = [("conversation_origin", status.at("conversation").at("origin").text("type"))];
    // Ours, as given to the API when sending.
    let ours = [("our_id", status.text("biz_opaque_callback_data"))];
    for (name, value) in pricing.into_iter().chain(origin).chain(ours) {
        event.fields.extend(value.map(|value| (name.to_owned(), value)));
    }
    content::errors(status.items("errors"), &mut event);
    Ok(event)
}

/// Something about the account. These carry no id: the entry's time and the content stand for one.
fn operation(entry: &Value, field: &str, value: &Value) -> Event {
    let account = entry.id("id").unwrap_or_default();
    let time = entry.id("time").unwrap_or_default();
    let mut event = Event::new(Kind::Lifecycle, format!("{field}:{account}:{time}:{}", fingerprint(value)));
    event.timestamp = entry.instant("time");
    event.status = Some(field.into());
    event.recipient = value.id("display_phone_number").as_deref().and_then(phone);
    event.must_not_autorespond = true;
    let members = value.as_object().into_iter().flatten();
    event.fields = members.filter_map(|(name, value)| Some((name.clone(), scalar(value)?))).take(40).collect();
    event
}
