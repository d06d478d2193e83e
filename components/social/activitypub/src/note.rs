//! An object that somebody wrote (Note, Question, Article …) as an event.

use channel_sdk::json_access::{Pick, scalar};
use channel_sdk::time;
use channel_sdk::types::{Attachment, Context, Event, Handle, Kind, TextSource};
use serde_json::Value;

use crate::html;
use crate::wire::{PUBLIC, ids, many, mark, mark_of_ours, only_id, our_actor, same_origin};

/// Who can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visibility {
    Public,
    Unlisted,
    /// Followers of the author, and who is named.
    Followers,
    /// Only who is named.
    Direct,
}

impl Visibility {
    /// Of an object or activity; the activity's addressees count as the object's.
    fn of(addressed: &Addressed<'_>) -> Self {
        let public = |ids: &[&str]| ids.iter().any(|id| PUBLIC.contains(id));
        // ActivityPub names no followers' collection; everybody calls it so.
        let followers = addressed.all().any(|id| id.trim_end_matches('/').ends_with("/followers"));
        if public(&addressed.to) {
            Self::Public
        } else if public(&addressed.cc) {
            Self::Unlisted
        } else if followers {
            Self::Followers
        } else {
            Self::Direct
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Unlisted => "unlisted",
            Self::Followers => "followers",
            Self::Direct => "direct",
        }
    }
}

struct Addressed<'a> {
    to: Vec<&'a str>,
    cc: Vec<&'a str>,
}

impl<'a> Addressed<'a> {
    fn of(object: &'a Value, activity: &'a Value) -> Self {
        let both = |names: &[&str]| -> Vec<&'a str> {
            let members = names.iter().flat_map(|name| [object.at(name), activity.at(name)]);
            members.flat_map(ids).collect()
        };
        Self { to: both(&["to", "bto"]), cc: both(&["cc", "bcc", "audience"]) }
    }

    fn all(&self) -> impl Iterator<Item = &'a str> {
        self.to.iter().chain(&self.cc).copied()
    }
}

/// Whether it is for us: addressed, mentioned, or an answer to what we wrote.
pub(crate) fn concerns_us(object: &Value, activity: &Value, context: &Context) -> bool {
    let us = our_actor(context);
    let mentioned = many(object.at("tag")).iter().any(|tag| tag.at("href").as_str() == Some(us));
    mentioned
        || Addressed::of(object, activity).all().any(|id| id == us)
        || only_id(object.at("inReplyTo")).is_some_and(|id| mark_of_ours(context, id).is_some())
}

/// Whether the object is the actor's own: written by nobody else, and on the actor's host.
pub(crate) fn is_of(object: &Value, actor: &str) -> bool {
    let author = object.at("attributedTo");
    let id = object.text("id");
    let author_fits = author.is_null() || only_id(author) == Some(actor);
    author_fits && id.is_some_and(|id| same_origin(&id, actor))
}

/// The object as an event, without its kind and its place. `mark` of the thread comes with it.
pub(crate) fn event(object: &Value, activity: &Value, key: String, context: &Context) -> (Event, Visibility, String) {
    let visibility = Visibility::of(&Addressed::of(object, activity));
    let kind = if visibility == Visibility::Direct { Kind::Message } else { Kind::Mention };
    let mut event = Event::new(kind, key);
    let id = object.text("id");
    let answered = only_id(object.at("inReplyTo")).map(str::to_owned);
    // Our own note says which thread; else what the author's server calls the conversation; else what it answers; else itself.
    let thread = answered
        .clone()
        .filter(|id| mark_of_ours(context, id).is_some())
        .or_else(|| object.text("conversation"))
        .or_else(|| only_id(object.at("context")).map(str::to_owned))
        .or_else(|| answered.clone())
        .or_else(|| id.clone());
    let mark = thread.as_deref().map(|thread| mark(context, thread)).unwrap_or_default();
    event.message_id = id;
    event.thread_id = thread;
    event.in_reply_to = answered;
    event.timestamp =
        [object, activity].iter().find_map(|value| value.text("published")).as_deref().and_then(time::rfc3339);
    event.recipient = Some(our_actor(context).to_owned());
    event.subject = ["summary", "name"].iter().find_map(|name| object.text(name)).map(|summary| html::text(&summary));
    if let Some((text, source, language)) = words(object) {
        event.text = Some(text);
        event.text_source = Some(source);
        event.language = language;
    }
    event.attachments = many(object.at("attachment")).iter().filter_map(attachment).take(40).collect();
    // In the order of their names, as the public JSON has them.
    let poll = many(object.at("oneOf")).iter().chain(many(object.at("anyOf")));
    let options: Vec<String> = poll.filter_map(|option| option.text("name")).take(20).collect();
    if !options.is_empty() {
        event.fields.push(("options".into(), options.join("\n")));
    }
    event.fields.extend(object.text("url").map(|url| ("url".into(), url)));
    event.fields.push(("visibility".into(), visibility.name().into()));
    if object.truth("sensitive") {
        event.flags.push("sensitive".into());
    }
    // What is answered in public shows a person's reference to everybody.
    event.must_not_autorespond = visibility != Visibility::Direct;
    (event, visibility, mark)
}

/// The text, how it was written, and its language if there is one only.
fn words(object: &Value) -> Option<(String, TextSource, Option<String>)> {
    let map = object.at("contentMap").as_object();
    let only = map.filter(|map| map.len() == 1).and_then(|map| map.iter().next());
    let content = object.text("content").or_else(|| only.and_then(|(_, text)| scalar(text)));
    let language = only.map(|(language, _)| language.clone()).filter(|language| language != "und");
    let content = content?;
    // ActivityStreams §4.1.1: `mediaType` absent means HTML.
    let is_plain = object.text("mediaType").is_some_and(|media| media == "text/plain");
    let (text, source) = if is_plain { (content, TextSource::Plain) } else { (html::text(&content), TextSource::Html) };
    (!text.is_empty()).then_some((text, source, language))
}

fn attachment(value: &Value) -> Option<Attachment> {
    // `url` may be a Link or a list of them.
    let link = value.at("url");
    let link = many(link).first().unwrap_or(link);
    let url = link.as_str().map(str::to_owned).or_else(|| link.text("href")).or_else(|| value.text("href"))?;
    Some(Attachment {
        name: value.text("name"),
        content_type: value.text("mediaType").or_else(|| link.text("mediaType")),
        size: None,
        sha256: None,
        url: Some(url),
        media_id: None,
        content_id: None,
        disposition: Some("attachment".into()),
    })
}

/// A person of the Fediverse.
pub(crate) fn handle(actor: &str) -> Handle {
    Handle { scheme: "activitypub".into(), value: actor.to_owned() }
}
