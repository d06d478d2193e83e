//! What a message says: text or one medium, and what it carries besides.

use channel_sdk::json_access::{Pick, scalar};
use channel_sdk::types::{Attachment, Event, Handle, Kind, Location, TextSource};
use serde_json::Value;

use crate::wire::{covered, phone};

/// Members that are a file with `file_id`. `animation` comes with a `document` that is the same file.
const FILES: [&str; 8] = ["animation", "audio", "document", "live_photo", "sticker", "video", "video_note", "voice"];

/// Members of service messages: nobody wrote them.
const SERVICE: [&str; 24] = [
    "new_chat_members",
    "left_chat_member",
    "new_chat_title",
    "new_chat_photo",
    "delete_chat_photo",
    "group_chat_created",
    "supergroup_chat_created",
    "channel_chat_created",
    "message_auto_delete_timer_changed",
    "migrate_to_chat_id",
    "migrate_from_chat_id",
    "pinned_message",
    "connected_website",
    "write_access_allowed",
    "boost_added",
    "chat_background_set",
    "forum_topic_created",
    "forum_topic_edited",
    "forum_topic_closed",
    "forum_topic_reopened",
    "video_chat_scheduled",
    "video_chat_started",
    "video_chat_ended",
    "video_chat_participants_invited",
];

/// Fills in the content of a message.
///
/// # Errors
///
/// What was not understood; what was is in the event all the same.
pub(crate) fn read(message: &Value, event: &mut Event) -> Result<(), &'static str> {
    let (text, entities) = match message.text("text") {
        Some(text) => (Some(text), message.items("entities")),
        None => (message.text("caption"), message.items("caption_entities")),
    };
    if let Some(text) = &text {
        marks(text, entities, event);
    }
    let mut known = text.is_some();
    event.text_source = known.then_some(TextSource::Plain);
    event.text = text;
    surroundings(message, event);
    known |= files(message, event);
    known |= place(message, event)?;
    known |= contact(message.at("contact"), event);
    known |= poll(message.at("poll"), event);
    let dice = message.at("dice");
    if dice.is_object() {
        known = true;
        field(
            event,
            "dice",
            Some([dice.text("emoji"), dice.id("value")].into_iter().flatten().collect::<Vec<_>>().join(" ")),
        );
    }
    if known {
        return Ok(());
    }
    if let Some(service) = SERVICE.iter().find(|member| !message.at(member).is_null()) {
        event.kind = Kind::Lifecycle;
        event.status = Some((*service).into());
        field(event, service, scalar(message.at(service)));
        return Ok(());
    }
    // Somebody wrote, and staff must know, even if it can't be shown.
    event.flags.push("unsupported".into());
    Err("has content that is not known here")
}

fn field(event: &mut Event, name: &str, value: Option<String>) {
    event.fields.extend(value.filter(|value| !value.is_empty()).map(|value| (name.to_owned(), value)));
}

/// Marks that carry more than their text: hidden links, commands.
fn marks(text: &str, entities: &[Value], event: &mut Event) {
    for entity in entities.iter().take(100) {
        match entity.text("type").as_deref() {
            Some("text_link") => field(event, "link", entity.text("url")),
            Some("bot_command") => field(event, "command", covered(text, entity).map(str::to_owned)),
            _ => {}
        }
    }
}

fn surroundings(message: &Value, event: &mut Event) {
    field(event, "media_group_id", message.id("media_group_id"));
    field(event, "author_signature", message.text("author_signature"));
    field(event, "quote", message.at("quote").text("text"));
    let origin = message.at("forward_origin");
    if origin.is_object() || !message.at("forward_date").is_null() {
        event.flags.push("forwarded".into());
        let user = origin.at("sender_user");
        let name = [origin.text("sender_user_name"), user.text("first_name")].into_iter().flatten().next();
        let chat = origin.at("sender_chat").text("title").or_else(|| origin.at("chat").text("title"));
        field(event, "forwarded_from", name.or(chat));
    }
}

fn files(message: &Value, event: &mut Event) -> bool {
    let is_animation = message.at("animation").is_object();
    for member in FILES {
        let file = message.at(member);
        if !file.is_object() || (member == "document" && is_animation) {
            continue;
        }
        event.attachments.push(attachment(file));
        match member {
            "voice" => event.flags.push("voice".into()),
            "sticker" => field(event, "sticker", file.text("emoji")),
            _ => {}
        }
    }
    // Sizes of one picture; the largest is the picture.
    let area = |size: &&Value| size.whole("width").unwrap_or(0).saturating_mul(size.whole("height").unwrap_or(0));
    if let Some(largest) = message.items("photo").iter().max_by_key(area) {
        event.attachments.push(attachment(largest));
    }
    !event.attachments.is_empty()
}

fn attachment(file: &Value) -> Attachment {
    Attachment {
        name: file.text("file_name"),
        content_type: file.text("mime_type"),
        size: file.whole("file_size").and_then(|size| u64::try_from(size).ok()),
        sha256: None,
        url: None,
        media_id: file.id("file_id"),
        content_id: None,
        disposition: None,
    }
}

fn place(message: &Value, event: &mut Event) -> Result<bool, &'static str> {
    let venue = message.at("venue");
    field(event, "place", venue.text("title"));
    event.address = venue.text("address");
    let location = if venue.is_object() { venue.at("location") } else { message.at("location") };
    if !location.is_object() {
        return Ok(venue.is_object());
    }
    let (Some(lat), Some(long)) = (location.number("latitude"), location.number("longitude")) else {
        return Err("is a location without coordinates");
    };
    if !((-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&long)) {
        return Err("is a location outside the globe");
    }
    event.location = Some(Location { lat, long });
    field(event, "accuracy_m", location.number("horizontal_accuracy").map(|metres| metres.to_string()));
    if location.whole("live_period").is_some() {
        event.flags.push("live_location".into());
    }
    Ok(true)
}

fn contact(contact: &Value, event: &mut Event) -> bool {
    if !contact.is_object() {
        return false;
    }
    let number = contact.text("phone_number").as_deref().and_then(phone).or_else(|| contact.text("phone_number"));
    let words = [contact.text("first_name"), contact.text("last_name"), number.clone()];
    field(event, "contact", Some(words.into_iter().flatten().collect::<Vec<_>>().join(" ")));
    // The button "share my number" gives a contact whose user is the sender: Telegram knows that number to be theirs.
    let own = contact.id("user_id").is_some_and(|id| event.sender.as_ref().is_some_and(|sender| sender.value == id));
    if let Some(number) = number.filter(|number| own && number.starts_with('+')) {
        event.claimed.push(Handle { scheme: "phone".into(), value: number });
    }
    true
}

fn poll(poll: &Value, event: &mut Event) -> bool {
    if !poll.is_object() {
        return false;
    }
    event.text = poll.text("question");
    event.text_source = event.text.is_some().then_some(TextSource::Plain);
    for option in poll.items("options").iter().take(50) {
        field(event, "option", option.text("text"));
    }
    true
}
