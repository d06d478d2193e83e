//! `messaging[]`: one person and one page (or Instagram account), and what passed between them.

use channel_sdk::json_access::{Pick, fingerprint};
use channel_sdk::types::{Attachment, Event, Kind, Location, TextSource};
use serde_json::Value;

use crate::translate::{Entry, Read};
use crate::wire::{Conversation, Surface, handle, keep};

/// Fields whose changes are the same as an element of `messaging[]`.
pub(crate) const FIELDS: &[&str] = &[
    "message_deliveries",
    "message_echoes",
    "message_edit",
    "message_reactions",
    "message_reads",
    "messages",
    "messaging_handover",
    "messaging_optins",
    "messaging_postbacks",
    "messaging_referrals",
    "messaging_seen",
    "standby",
];

/// More of one list in one element is not carried over.
const MANY: usize = 100;

struct Talk<'a> {
    entry: Entry<'a>,
    item: &'a Value,
    /// The person.
    theirs: String,
    /// From us to the person.
    ours: bool,
    standby: bool,
}

/// One element: a message, or many receipts.
pub(crate) fn read(entry: Entry<'_>, item: &Value, standby: bool) -> Vec<Read> {
    let (Some(sender), Some(recipient)) = (item.at("sender").id("id"), item.at("recipient").id("id")) else {
        return vec![Err("has no sender or recipient id")];
    };
    let message = item.at("message");
    let ours = message.truth("is_echo") || sender == entry.id;
    let theirs = if ours { recipient } else { sender };
    let talk = Talk { entry, item, theirs, ours, standby };
    if message.is_object() {
        vec![talk.message(message)]
    } else if item.at("message_edit").is_object() {
        vec![talk.edit(item.at("message_edit"))]
    } else if item.at("postback").is_object() {
        vec![talk.postback(item.at("postback"))]
    } else if item.at("reaction").is_object() {
        vec![talk.reaction(item.at("reaction"))]
    } else if item.at("delivery").is_object() {
        talk.delivery(item.at("delivery"))
    } else if item.at("read").is_object() {
        vec![talk.read(item.at("read"))]
    } else {
        vec![talk.other()]
    }
}

impl Talk<'_> {
    fn event(&self, kind: Kind, key: String) -> Event {
        let scheme = if self.entry.instagram { "instagram" } else { "messenger" };
        let mut event = Event::new(kind, key);
        event.timestamp = self.item.instant("timestamp").or_else(|| self.entry.value.instant("time"));
        let (from, to) = if self.ours { (self.entry.id, &*self.theirs) } else { (&*self.theirs, self.entry.id) };
        event.sender = Some(handle(scheme, from.into()));
        event.recipient = Some(to.into());
        let surface = if self.entry.instagram { Surface::InstagramDirect } else { Surface::Messenger };
        Conversation::new(surface, self.entry.id, &self.theirs).hold(&mut event);
        if self.ours {
            // What our own staff or app wrote comes back.
            event.flags.push("echo".into());
            keep(&mut event);
        }
        if self.standby {
            // Another app answers this person at the moment.
            event.flags.push("standby".into());
            event.must_not_autorespond = true;
        }
        event
    }

    fn message(&self, message: &Value) -> Read {
        let mid = message.id("mid").ok_or("has no mid")?;
        if message.truth("is_deleted") {
            let mut event = self.event(Kind::MessageDeleted, format!("{mid}:deleted"));
            event.message_id = Some(mid);
            keep(&mut event);
            return Ok(Some(event));
        }
        let mut event = self.event(Kind::Message, mid.clone());
        event.message_id = Some(mid);
        event.text = message.text("text");
        event.text_source = event.text.is_some().then_some(TextSource::Plain);
        event.in_reply_to = message.at("reply_to").id("mid");
        let story = message.at("reply_to").at("story");
        event.fields.extend(story.text("url").map(|url| ("story".to_owned(), url)));
        let quick = message.at("quick_reply");
        if quick.is_object() {
            event.kind = Kind::Callback;
            event.fields.extend(quick.text("payload").map(|payload| ("payload".to_owned(), payload)));
        }
        event.fields.extend(message.id("app_id").map(|id| ("app_id".to_owned(), id)));
        for attachment in message.items("attachments").iter().take(MANY) {
            attached(attachment, &mut event);
        }
        if message.truth("is_unsupported") || (event.text.is_none() && message.items("attachments").is_empty()) {
            event.flags.push("unsupported".into());
        }
        Ok(Some(event))
    }

    fn edit(&self, edit: &Value) -> Read {
        let mid = edit.id("mid").ok_or("has no mid")?;
        let number = edit.id("num_edit").unwrap_or_else(|| fingerprint(edit));
        let mut event = self.event(Kind::MessageEdited, format!("{mid}:edited:{number}"));
        event.message_id = Some(mid);
        event.text = edit.text("text");
        event.text_source = event.text.is_some().then_some(TextSource::Plain);
        event.flags.push("edited".into());
        Ok(Some(event))
    }

    fn postback(&self, postback: &Value) -> Read {
        let time = self.item.id("timestamp").unwrap_or_default();
        let unnamed = || format!("postback:{}:{time}:{}", self.theirs, fingerprint(postback));
        let mid = postback.id("mid");
        let mut event = self.event(Kind::Callback, mid.clone().unwrap_or_else(unnamed));
        event.message_id = mid;
        event.text = postback.text("title");
        event.text_source = event.text.is_some().then_some(TextSource::Plain);
        event.fields.extend(postback.text("payload").map(|payload| ("payload".to_owned(), payload)));
        let reference = postback.at("referral").text("ref");
        event.fields.extend(reference.map(|reference| ("referral".to_owned(), reference)));
        Ok(Some(event))
    }

    fn reaction(&self, reaction: &Value) -> Read {
        let mid = reaction.id("mid").ok_or("is a reaction to nothing")?;
        let time = self.item.id("timestamp").unwrap_or_default();
        let action = reaction.text("action").unwrap_or_else(|| "react".into());
        let mut event = self.event(Kind::Reaction, format!("reaction:{mid}:{}:{action}:{time}", self.theirs));
        event.in_reply_to = Some(mid);
        event.text = reaction.text("emoji").or_else(|| reaction.text("reaction"));
        event.text_source = event.text.is_some().then_some(TextSource::Plain);
        event.status = (action == "unreact").then(|| "removed".into());
        keep(&mut event);
        Ok(Some(event))
    }

    /// About messages of ours: the person is the recipient.
    fn status(&self, word: &str, key: String) -> Event {
        let mut event = self.event(Kind::Status, key);
        event.sender = None;
        event.recipient = Some(self.theirs.clone());
        event.status = Some(word.into());
        keep(&mut event);
        event
    }

    fn delivery(&self, delivery: &Value) -> Vec<Read> {
        let watermark = delivery.instant("watermark");
        let mids: Vec<&str> = delivery.items("mids").iter().filter_map(Value::as_str).take(MANY).collect();
        if mids.is_empty() {
            let Some(mark) = delivery.id("watermark") else { return vec![Err("is a delivery of nothing")] };
            let mut event = self.status("delivered", format!("delivered:{}:{mark}", self.theirs));
            event.timestamp = watermark.or(event.timestamp);
            return vec![Ok(Some(event))];
        }
        let each = mids.iter().map(|mid| {
            let mut event = self.status("delivered", format!("{mid}:delivered"));
            event.message_id = Some((*mid).into());
            event.timestamp = watermark.or(event.timestamp);
            Ok(Some(event))
        });
        each.collect()
    }

    /// Messenger says until when everything is read, Instagram which message.
    fn read(&self, read: &Value) -> Read {
        let mid = read.id("mid");
        let mark = mid.clone().or_else(|| read.id("watermark")).ok_or("is a reading of nothing")?;
        let mut event = self.status("read", format!("read:{}:{mark}", self.theirs));
        event.message_id = mid;
        event.timestamp = read.instant("watermark").or(event.timestamp);
        Ok(Some(event))
    }

    /// Opt-ins, referrals, handover: about the conversation, not in it.
    fn other(&self) -> Read {
        let known = ["optin", "referral", "pass_thread_control", "take_thread_control", "request_thread_control"];
        let Some(name) = known.iter().find(|name| self.item.at(name).is_object()) else { return Ok(None) };
        let value = self.item.at(name);
        let time = self.item.id("timestamp").unwrap_or_default();
        let mut event = self.event(Kind::Lifecycle, format!("{name}:{}:{time}:{}", self.theirs, fingerprint(value)));
        event.status = Some((*name).into());
        event.fields.extend(value.text("ref").map(|reference| ("referral".to_owned(), reference)));
        keep(&mut event);
        Ok(Some(event))
    }
}

fn attached(attachment: &Value, event: &mut Event) {
    let payload = attachment.at("payload");
    let kind = attachment.text("type").unwrap_or_default();
    let coordinates = payload.at("coordinates");
    let place = (coordinates.number("lat"), coordinates.number("long"));
    if let (Some(lat), Some(long)) = place
        && (-90.0..=90.0).contains(&lat)
        && (-180.0..=180.0).contains(&long)
    {
        event.location = Some(Location { lat, long });
    }
    let url = payload.text("url").or_else(|| attachment.text("url"));
    match kind.as_str() {
        // A link with a preview, and other people's posts passed on.
        "fallback" | "share" | "template" => event.fields.extend(url.map(|url| ("link".to_owned(), url))),
        "location" => {}
        _ => {
            if kind == "story_mention" {
                event.kind = Kind::Mention;
            }
            event.fields.extend((!kind.is_empty()).then(|| ("attachment".to_owned(), kind)));
            event.attachments.push(Attachment {
                name: payload.text("title"),
                content_type: None,
                size: None,
                sha256: None,
                url,
                media_id: payload.id("attachment_id").or_else(|| payload.id("sticker_id")),
                content_id: None,
                disposition: None,
            });
        }
    }
}
