//! An update is `update_id` and ONE of many members, which says what happened.

use channel_sdk::batch::Batch;
use channel_sdk::json_access::{Pick, parse};
use channel_sdk::types::{Event, Kind, Request, TextSource, Threading, Translation};
use serde_json::Value;

use crate::content;
use crate::wire::{Chat, Somebody};

/// What a verified update means.
pub(crate) fn translate(request: &Request) -> Translation {
    let mut batch = Batch::new();
    match parse(&request.body) {
        Err(problem) => batch.problem("body", &problem),
        Ok(update) => match update.id("update_id") {
            Some(id) => happened(&update, &id, &mut batch),
            None => batch.problem("update_id", "is missing or no whole number"),
        },
    }
    batch.finish()
}

fn happened(update: &Value, id: &str, batch: &mut Batch) {
    let members: [(&str, fn(&Value, &str) -> Read); 10] = [
        ("message", |message, id| written(message, id, Kind::Message)),
        ("channel_post", |message, id| written(message, id, Kind::Message)),
        ("business_message", |message, id| written(message, id, Kind::Message)),
        ("edited_message", |message, id| written(message, id, Kind::MessageEdited)),
        ("edited_channel_post", |message, id| written(message, id, Kind::MessageEdited)),
        ("edited_business_message", |message, id| written(message, id, Kind::MessageEdited)),
        ("callback_query", callback),
        ("message_reaction", reaction),
        ("my_chat_member", membership),
        ("business_connection", connection),
    ];
    // Polls, inline queries, payments, boosts and what is invented tomorrow are nobody's business here.
    for (member, read) in members {
        let value = update.at(member);
        if value.is_null() {
            continue;
        }
        match read(value, id) {
            Ok(None) => {}
            Ok(Some((event, problem))) => {
                if let Some(problem) = problem {
                    batch.problem(member, problem);
                }
                batch.push(event);
            }
            Err(problem) => batch.problem(member, problem),
        }
    }
    deleted(update.at("deleted_business_messages"), id, batch);
}

/// An event, if any, and what of it was not understood.
type Read = Result<Option<(Event, Option<&'static str>)>, &'static str>;

fn event(kind: Kind, id: &str) -> Event {
    let mut event = Event::new(kind, id);
    event.event_id = Some(id.into());
    event
}

fn by(event: &mut Event, somebody: Somebody, chat: &Chat) {
    event.conversation_id = Some(chat.conversation());
    event.threading = Threading::Key(chat.thread_key(somebody.handle.as_ref()));
    event.sender = somebody.handle;
    event.sender_name = somebody.name;
    event.language = somebody.language;
    event.fields.extend(somebody.username.map(|name| ("username".to_owned(), name)));
    if chat.kind.as_deref().is_some_and(|kind| kind != "private") {
        event.fields.extend(chat.title.clone().map(|title| ("chat".to_owned(), title)));
        // An automatic answer would show one person's case to everybody there.
        event.must_not_autorespond = true;
    }
    if somebody.is_bot {
        event.flags.push("bot".into());
        event.must_not_autorespond = true;
    }
}

/// Belongs to the open case if there is one, and opens none.
fn keep(event: &mut Event) {
    event.must_not_autorespond = true;
    if let Threading::Key(key) = &event.threading {
        event.threading = Threading::Existing(key.clone());
    }
}

fn written(message: &Value, id: &str, kind: Kind) -> Read {
    let chat = Chat::of(message).ok_or("has no chat")?;
    let mut event = event(kind, id);
    by(&mut event, Somebody::of(message), &chat);
    event.message_id = chat.message_id(message);
    event.timestamp = message.instant("date");
    event.thread_id = chat.topic.clone();
    if kind == Kind::MessageEdited {
        event.flags.push("edited".into());
        event.timestamp = message.instant("edit_date").or(event.timestamp);
    }
    let in_this_chat = |replied: &Value| replied.id("message_id").map(|id| format!("{}:{id}", chat.id));
    event.in_reply_to = in_this_chat(message.at("reply_to_message"));
    let understood = content::read(message, &mut event);
    // What the owner of a business account wrote, and a channel's post copied into its discussion group.
    let is_owner = chat.business.is_some() && event.sender.as_ref().is_some_and(|sender| sender.value != chat.id);
    if is_owner || message.truth("is_automatic_forward") {
        event.flags.push("echo".into());
        keep(&mut event);
    }
    if event.kind == Kind::Lifecycle {
        keep(&mut event);
    }
    let problem = if event.message_id.is_none() { Some("has no message_id") } else { understood.err() };
    Ok(Some((event, problem)))
}

fn callback(query: &Value, id: &str) -> Read {
    let mut event = event(Kind::Callback, id);
    let message = query.at("message");
    let Some(chat) = Chat::of(message) else {
        // Of a message sent by inline mode: there is no chat to answer in.
        let somebody = Somebody::user(query.at("from"));
        event.sender = somebody.handle;
        event.sender_name = somebody.name;
        event.text = query.text("data");
        return Ok(Some((event, None)));
    };
    by(&mut event, Somebody::user(query.at("from")), &chat);
    event.in_reply_to = chat.message_id(message);
    event.text = query.text("data");
    event.text_source = event.text.is_some().then_some(TextSource::Plain);
    let keyboard = message.at("reply_markup").items("inline_keyboard");
    let mut buttons = keyboard.iter().filter_map(Value::as_array).flatten();
    let pressed = buttons.find(|button| event.text.is_some() && button.text("callback_data") == event.text);
    let button = pressed.and_then(|button| button.text("text"));
    event.fields.extend(button.map(|text| ("button".to_owned(), text)));
    event.fields.extend(query.id("id").map(|id| ("callback_query_id".to_owned(), id)));
    Ok(Some((event, None)))
}

fn reaction(reaction: &Value, id: &str) -> Read {
    let chat = Chat::of(reaction).ok_or("has no chat")?;
    let mut event = event(Kind::Reaction, id);
    let actor = reaction.at("actor_chat");
    let somebody = if actor.is_object() { Somebody::chat(actor) } else { Somebody::user(reaction.at("user")) };
    by(&mut event, somebody, &chat);
    keep(&mut event);
    event.timestamp = reaction.instant("date");
    event.in_reply_to = chat.message_id(reaction);
    let words = reaction.items("new_reaction").iter().take(20).filter_map(|reaction| {
        reaction.text("emoji").or_else(|| reaction.id("custom_emoji_id")).or_else(|| reaction.text("type"))
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() {
        event.status = Some("removed".into());
    } else {
        event.text = Some(words.join(" "));
        event.text_source = Some(TextSource::Plain);
    }
    Ok(Some((event, None)))
}

/// The bot was added, removed, blocked (`kicked` in a private chat) or started again.
fn membership(change: &Value, id: &str) -> Read {
    let chat = Chat::of(change).ok_or("has no chat")?;
    let mut event = event(Kind::Lifecycle, id);
    by(&mut event, Somebody::user(change.at("from")), &chat);
    keep(&mut event);
    event.timestamp = change.instant("date");
    event.status = change.at("new_chat_member").text("status");
    let old = change.at("old_chat_member").text("status");
    event.fields.extend(old.map(|status| ("previous_status".to_owned(), status)));
    Ok(Some((event, None)))
}

fn connection(connection: &Value, id: &str) -> Read {
    let mut event = event(Kind::Lifecycle, id);
    let somebody = Somebody::user(connection.at("user"));
    event.sender = somebody.handle;
    event.sender_name = somebody.name;
    event.timestamp = connection.instant("date");
    event.status = Some(if connection.truth("is_enabled") { "connected" } else { "disconnected" }.into());
    event.must_not_autorespond = true;
    Ok(Some((event, None)))
}

/// One update takes back several messages.
fn deleted(deletion: &Value, id: &str, batch: &mut Batch) {
    let Some(chat) = Chat::of(deletion) else { return };
    for message in deletion.items("message_ids").iter().filter_map(Value::as_i64) {
        let mut gone = event(Kind::MessageDeleted, id);
        gone.idempotency_key = format!("{id}:{message}");
        gone.message_id = Some(format!("{}:{message}", chat.id));
        gone.conversation_id = Some(chat.conversation());
        gone.threading = Threading::Existing(chat.conversation());
        gone.must_not_autorespond = true;
        batch.push(gone);
    }
}
