//! What a verified activity means. The actor is who signed it (the gateway has seen to that); everything else in it is only
//! what that actor's server says, so nothing is taken from it about objects of another host.

use channel_sdk::json_access::{Pick, fingerprint, parse};
use channel_sdk::time;
use channel_sdk::types::{Context, Correspondence, Event, Fetch, Fetched, Kind, Request, Threading, Translation};
use serde_json::Value;

use crate::documents::{self, Document};
use crate::note::{self, handle};
use crate::wire::{authority, ids, is_type, mark_of_ours, only_id, our_actor, same_origin};

/// What somebody can have written. ActivityStreams has more types, but a profile or a place is no message.
const WRITTEN: [&str; 10] =
    ["Note", "Question", "Article", "Page", "Image", "Video", "Audio", "Document", "Event", "ChatMessage"];

/// What a verified delivery means.
pub(crate) fn translate(request: &Request, context: &Context, fetched: &[Fetched]) -> Translation {
    let activity = match parse(&request.body) {
        Ok(activity) => activity,
        Err(problem) => return Translation::Degraded((vec![], problem)),
    };
    let delivery = Delivery { activity: &activity, request, context, fetched };
    match delivery.event() {
        Ok(event) => Translation::Events(event.into_iter().collect()),
        Err(Stop::Fetch(fetch)) => Translation::Fetch(vec![*fetch]),
        Err(Stop::Problem(place, problem)) => Translation::Degraded((vec![], format!("{place}: {problem}"))),
    }
}

/// Why there is no event yet.
enum Stop {
    Fetch(Box<Fetch>),
    Problem(&'static str, &'static str),
}

struct Delivery<'a> {
    activity: &'a Value,
    request: &'a Request,
    context: &'a Context,
    fetched: &'a [Fetched],
}

impl Delivery<'_> {
    fn event(&self) -> Result<Option<Event>, Stop> {
        let actor = only_id(self.activity.at("actor")).ok_or(Stop::Problem("actor", "is not one id"))?;
        let is = |name| is_type(self.activity, name);
        if is("Create") {
            self.written(actor, false)
        } else if is("Update") {
            self.written(actor, true)
        } else if is("Delete") {
            Ok(self.deleted(actor))
        } else if is("Follow") {
            self.followed(actor)
        } else if is("Undo") {
            Ok(self.undone(actor))
        } else if is("Like") || is("Announce") || is("EmojiReact") || is("Dislike") {
            Ok(self.reaction(self.activity, actor))
        } else if is("Block") && self.names_us(self.activity.at("object")) {
            let mut event = self.new(Kind::Lifecycle, actor);
            event.status = Some("blocked".into());
            Ok(Some(event))
        } else if self.activity.at("type").is_null() {
            Err(Stop::Problem("type", "is missing"))
        } else {
            // Moves, reports, polls' votes, what is not invented yet: counted with the envelope, no event.
            Ok(None)
        }
    }

    /// An event about the activity itself.
    fn new(&self, kind: Kind, actor: &str) -> Event {
        let mut event = Event::new(kind, self.key());
        event.event_id = self.activity.text("id");
        event.timestamp = self.activity.text("published").as_deref().and_then(time::rfc3339);
        event.sender = Some(handle(actor));
        event.recipient = Some(our_actor(self.context).to_owned());
        event.must_not_autorespond = true;
        event
    }

    /// The activity's id, which redeliveries keep. ActivityPub §6 allows none for what need not be kept: then its content.
    fn key(&self) -> String {
        self.activity.text("id").unwrap_or_else(|| format!("without-id:{}", fingerprint(self.activity)))
    }

    fn names_us(&self, value: &Value) -> bool {
        ids(value).contains(&our_actor(self.context))
    }

    /// `Create` and `Update` of what somebody wrote.
    fn written(&self, actor: &str, edited: bool) -> Result<Option<Event>, Stop> {
        let object = self.activity.at("object");
        let known;
        let object = match object.as_str() {
            // By reference: asked for where it is, if that is the actor's host.
            Some(url) if note::concerns_us(&Value::Null, self.activity, self.context) => {
                known = self.fetched_object(url, actor)?;
                &known
            }
            Some(_) => return Ok(None),
            None => object,
        };
        if !WRITTEN.iter().any(|kind| is_type(object, kind)) || !note::concerns_us(object, self.activity, self.context)
        {
            return Ok(None);
        }
        if !note::is_of(object, actor) {
            return Err(Stop::Problem("object", "is not the actor's own"));
        }
        let author = self.actor(actor)?;
        let (mut event, _, mark) = note::event(object, self.activity, self.key(), self.context);
        event.event_id = self.activity.text("id");
        event.sender = Some(handle(actor));
        describe(&mut event, author.as_ref(), actor);
        if edited {
            event.kind = Kind::MessageEdited;
            event.flags.push("edited".into());
            event.must_not_autorespond = true;
            event.timestamp = object.text("updated").as_deref().and_then(time::rfc3339).or(event.timestamp);
            // Where the first version is, of the same author. An edit may mention us for the first time: then it is the first.
            event.threading = Threading::Correspondence(correspondence(event.message_id.as_deref()));
        } else {
            event.threading = Threading::Key(format!("{actor}#{mark}"));
        }
        Ok(Some(event))
    }

    fn fetched_object(&self, url: &str, actor: &str) -> Result<Value, Stop> {
        if !same_origin(url, actor) {
            return Err(Stop::Problem("object", "is on another host than the actor"));
        }
        match documents::get("object", url, self.fetched, self.context, self.request.received_at) {
            Document::Wanted(fetch) => Err(Stop::Fetch(fetch)),
            Document::Found(object) if object.at("id").as_str() == Some(url) => Ok(object),
            Document::Found(_) => Err(Stop::Problem("object", "has another id than was asked for")),
            Document::Gone => Err(Stop::Problem("object", "is gone")),
            Document::Refused(why) => Err(Stop::Problem("object", why)),
        }
    }

    /// The actor's document, for name and inbox. Without it the event is kept all the same; it can't be answered then.
    fn actor(&self, actor: &str) -> Result<Option<Value>, Stop> {
        if let Some(known) = documents::known_actor(actor, self.fetched) {
            return Ok(Some(known));
        }
        match documents::get("actor", actor, self.fetched, self.context, self.request.received_at) {
            Document::Wanted(fetch) => Err(Stop::Fetch(fetch)),
            Document::Found(document) if document.at("id").as_str() == Some(actor) => Ok(Some(document)),
            _ => Ok(None),
        }
    }

    fn deleted(&self, actor: &str) -> Option<Event> {
        let id = only_id(self.activity.at("object"))?;
        if !same_origin(id, actor) {
            return None;
        }
        if id == actor {
            let mut event = self.new(Kind::Lifecycle, actor);
            event.status = Some("account_deleted".into());
            return Some(event);
        }
        let mut event = self.new(Kind::MessageDeleted, actor);
        event.message_id = Some(id.to_owned());
        event.threading = Threading::ExistingCorrespondence(correspondence(Some(id)));
        Some(event)
    }

    fn followed(&self, actor: &str) -> Result<Option<Event>, Stop> {
        if !self.names_us(self.activity.at("object")) {
            return Ok(None);
        }
        let author = self.actor(actor)?;
        let mut event = self.new(Kind::Follow, actor);
        // What an Accept has to name.
        event.message_id = event.event_id.clone();
        event.must_not_autorespond = false;
        event.threading = Threading::Key(follow(actor));
        describe(&mut event, author.as_ref(), actor);
        Ok(Some(event))
    }

    fn undone(&self, actor: &str) -> Option<Event> {
        let undone = self.activity.at("object");
        // Who undoes must be who did.
        if only_id(undone.at("actor")).is_some_and(|other| other != actor) {
            return None;
        }
        if is_type(undone, "Follow") && self.names_us(undone.at("object")) {
            let mut event = self.new(Kind::Lifecycle, actor);
            event.status = Some("unfollowed".into());
            event.in_reply_to = undone.text("id");
            event.threading = Threading::Existing(follow(actor));
            return Some(event);
        }
        let mut event = self.reaction(undone, actor)?;
        event.status = Some(format!("undo_{}", event.status.unwrap_or_default()));
        event.in_reply_to = undone.text("id");
        Some(event)
    }

    /// `Like` and its kin, of something of ours. Others' are nobody's business here.
    fn reaction(&self, activity: &Value, actor: &str) -> Option<Event> {
        let status = [("Like", "like"), ("Announce", "announce"), ("EmojiReact", "emoji"), ("Dislike", "dislike")]
            .into_iter()
            .find(|(name, _)| is_type(activity, name))?
            .1;
        let object = only_id(activity.at("object"))?;
        let ours = mark_of_ours(self.context, object);
        if ours.is_none() && object != our_actor(self.context) {
            return None;
        }
        let mut event = self.new(Kind::Reaction, actor);
        event.status = Some(status.into());
        event.message_id = Some(object.to_owned());
        event.text = activity.text("content");
        if let Some(mark) = ours {
            event.threading = Threading::Existing(format!("{actor}#{mark}"));
        }
        Some(event)
    }
}

/// Requests to follow have a thread of their own, per person.
fn follow(actor: &str) -> String {
    format!("{actor}#follow")
}

fn correspondence(id: Option<&str>) -> Correspondence {
    Correspondence { token: None, message_ids: id.map(str::to_owned).into_iter().collect() }
}

/// Name, account and inbox out of the author's document. `conversation-id` is the inbox: an answer goes there.
fn describe(event: &mut Event, document: Option<&Value>, actor: &str) {
    let Some(document) = document else { return };
    let account = document.text("preferredUsername").zip(authority(actor)).map(|(name, host)| format!("{name}@{host}"));
    event.sender_name = document.text("name").or_else(|| account.clone());
    if let Some(account) = account {
        event.fields.insert(0, ("account".into(), account));
    }
    // An inbox elsewhere would have us deliver, signed, to whom somebody wants to be bothered.
    event.conversation_id = document.text("inbox").filter(|inbox| same_origin(inbox, actor));
    if is_type(document, "Service") || is_type(document, "Application") {
        // Bots answer bots.
        event.flags.push("auto_submitted".into());
        event.must_not_autorespond = true;
    }
}
