//! A Page's feed, and mentions of the Page elsewhere.

use channel_sdk::json_access::{Pick, fingerprint, scalar};
use channel_sdk::types::{Attachment, Event, Kind, TextSource, Threading};
use serde_json::Value;

use crate::translate::{Entry, Read};
use crate::wire::{Conversation, Surface, handle, keep};

/// Fields of a Page that are facts for us.
pub(crate) const FIELDS: &[&str] = &["feed", "mention"];

/// Items that are something people wrote or showed, besides `comment`.
const POSTS: [&str; 8] = ["album", "event", "link", "photo", "post", "share", "status", "video"];

/// One change of a Page.
pub(crate) fn read(entry: Entry<'_>, field: &str, value: &Value) -> Read {
    let item = value.text("item").ok_or("has no item")?;
    let verb = value.text("verb").unwrap_or_else(|| "add".into());
    match item.as_str() {
        "reaction" | "like" => reaction(entry, value, &verb),
        "comment" => written(entry, field, value, &verb, value.id("comment_id").ok_or("is a comment without id")?),
        item if POSTS.contains(&item) => {
            let id = value.id("post_id").or_else(|| value.id("photo_id")).or_else(|| value.id("video_id"));
            written(entry, field, value, &verb, id.ok_or("is a post without id")?)
        }
        // Coupons, milestones, notes: nobody writes to the administration by these.
        _ => Ok(None),
    }
}

/// A comment or post, new, changed, hidden or gone.
fn written(entry: Entry<'_>, field: &str, value: &Value, verb: &str, id: String) -> Read {
    let is_mention = field == "mention";
    let kind = match verb {
        "add" | "unhide" if is_mention => Kind::Mention,
        "add" => Kind::Message,
        "edited" | "edit" | "update" => Kind::MessageEdited,
        "remove" | "delete" => Kind::MessageDeleted,
        // `hide` and `unhide` are acts of our own staff.
        "hide" | "unhide" => Kind::Lifecycle,
        _ => return Ok(None),
    };
    let prefix = if is_mention { "mention:" } else { "" };
    let mut key = format!("{prefix}{id}:{verb}");
    if kind == Kind::MessageEdited {
        // One may be changed often, and back again: the time tells these apart, the content those of one second.
        key = format!("{key}:{}:{}", entry.value.id("time").unwrap_or_default(), fingerprint(value));
    }
    let mut event = Event::new(kind, key);
    event.timestamp = match kind {
        Kind::Message | Kind::Mention => value.instant("created_time").or_else(|| entry.value.instant("time")),
        _ => entry.value.instant("time"),
    };
    who(value, &mut event);
    event.recipient = Some(entry.id.into());
    event.text = value.text("message");
    event.text_source = event.text.is_some().then_some(TextSource::Plain);
    let post = value.id("post_id").unwrap_or_else(|| id.clone());
    event.in_reply_to = value.id("parent_id").or_else(|| Some(post.clone())).filter(|parent| *parent != id);
    event.message_id = Some(id);
    event.thread_id = Some(post.clone());
    if kind == Kind::MessageEdited {
        event.flags.push("edited".into());
    }
    if kind == Kind::Lifecycle {
        event.status = Some(verb.into());
    }
    media(value, &mut event);
    let surface = if is_mention { Surface::Mention } else { Surface::Feed };
    Conversation::new(surface, entry.id, &post).hold(&mut event);
    if matches!(kind, Kind::MessageDeleted | Kind::Lifecycle) {
        keep(&mut event);
    }
    ours(entry, &mut event);
    Ok(Some(event))
}

/// `from` of a feed, `sender_id` of a mention. Absent where the person has not allowed the app to know.
fn who(value: &Value, event: &mut Event) {
    let from = value.at("from");
    event.sender = from.id("id").or_else(|| value.id("sender_id")).map(|id| handle("facebook", id));
    event.sender_name = from.text("name").or_else(|| value.text("sender_name"));
}

/// What our own Page says comes back: kept, never answered, never a case.
fn ours(entry: Entry<'_>, event: &mut Event) {
    if event.sender.as_ref().is_some_and(|sender| sender.value == entry.id) {
        event.flags.push("echo".into());
        event.must_not_autorespond = true;
        event.threading = Threading::Detached;
    }
}

fn media(value: &Value, event: &mut Event) {
    let field = |name: &str, value: Option<String>| value.map(|value| (name.to_owned(), value));
    event.fields.extend(field("item", value.text("item")));
    event
        .fields
        .extend(field("permalink", value.at("post").text("permalink_url").or_else(|| value.text("permalink_url"))));
    let is_medium = matches!(value.text("item").as_deref(), Some("photo" | "video"));
    let link = value.text("link");
    let single = [value.text("photo"), value.text("video"), link.clone().filter(|_| is_medium)];
    let several = value.items("photos").iter().filter_map(scalar);
    for url in single.into_iter().flatten().chain(several).filter(|url| url.starts_with("https://")).take(50) {
        if event.attachments.iter().any(|known| known.url.as_ref() == Some(&url)) {
            continue;
        }
        event.attachments.push(Attachment {
            name: None,
            content_type: None,
            size: None,
            sha256: None,
            url: Some(url),
            media_id: None,
            content_id: None,
            disposition: None,
        });
    }
    event.fields.extend(field("link", link.filter(|_| !is_medium)));
}

fn reaction(entry: Entry<'_>, value: &Value, verb: &str) -> Read {
    let target = value.id("comment_id").or_else(|| value.id("post_id")).ok_or("is a reaction to nothing")?;
    let word = value.text("reaction_type").unwrap_or_else(|| "like".into());
    let time = value.id("created_time").or_else(|| entry.value.id("time")).unwrap_or_default();
    let who_id = value.at("from").id("id").unwrap_or_default();
    let mut event = Event::new(Kind::Reaction, format!("reaction:{target}:{who_id}:{verb}:{word}:{time}"));
    event.timestamp = value.instant("created_time").or_else(|| entry.value.instant("time"));
    who(value, &mut event);
    event.recipient = Some(entry.id.into());
    event.in_reply_to = Some(target);
    event.status = matches!(verb, "remove" | "delete").then(|| "removed".into());
    event.text = Some(word);
    event.text_source = Some(TextSource::Plain);
    event.thread_id = value.id("post_id");
    if let Some(post) = event.thread_id.clone() {
        Conversation::new(Surface::Feed, entry.id, &post).hold(&mut event);
    }
    keep(&mut event);
    ours(entry, &mut event);
    Ok(Some(event))
}
