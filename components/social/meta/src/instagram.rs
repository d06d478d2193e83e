//! Instagram comments and mentions. A mention comes as ids only: what was said has to be asked for.

use channel_sdk::json_access::{Pick, parse};
use channel_sdk::types::{CallHeader, Context, Event, Fetch, Fetched, Kind, Part, TextSource, Threading};
use serde_json::Value;

use crate::translate::{Entry, Read};
use crate::wire::{Conversation, Surface, base, handle, has_secret, is_id, literal};

/// Fields of an Instagram account that are facts for us.
pub(crate) const FIELDS: &[&str] = &["comments", "live_comments", "mentions"];

/// What has to be known beyond what came.
pub(crate) enum Lookup {
    /// Ask this.
    Ask(Box<Fetch>),
    /// It can't be asked, and why.
    Impossible(&'static str),
}

/// What to ask for a change, if it has only ids.
pub(crate) fn lookup(entry: Entry<'_>, field: &str, value: &Value, context: &Context) -> Option<Lookup> {
    let comment = value.id("comment_id").or_else(|| value.id("id").filter(|_| field != "mentions"));
    let media = value.id("media_id");
    let (id, path) = if field == "mentions" {
        let fields = "id,text,username,timestamp";
        match (comment, media) {
            (Some(comment), _) if is_id(&comment) => {
                let fields = format!("mentioned_comment.comment_id({comment}){{{fields}}}");
                (format!("comment:{comment}"), query(entry.id, &fields))
            }
            (None, Some(media)) if is_id(&media) => {
                let fields = "id,caption,username,timestamp,permalink,media_type";
                let fields = format!("mentioned_media.media_id({media}){{{fields}}}");
                (format!("media:{media}"), query(entry.id, &fields))
            }
            _ => return Some(Lookup::Impossible("is a mention without usable ids")),
        }
    } else {
        // Comments carry their text; one without it is asked for.
        let comment = comment.filter(|comment| value.text("text").is_none() && is_id(comment))?;
        (format!("comment:{comment}"), query(&comment, "id,text,username,timestamp,parent_id"))
    };
    if !is_id(entry.id) {
        return Some(Lookup::Impossible("has an account id that is none"));
    }
    if !has_secret(context, "access_token") {
        return Some(Lookup::Impossible("has only ids: set access_token, so that what was said can be fetched"));
    }
    let value = vec![literal("Bearer "), Part::Secret("access_token".into())];
    Some(Lookup::Ask(Box::new(Fetch {
        id,
        method: "GET".into(),
        url: format!("{}{path}", base(context)),
        headers: vec![CallHeader { name: "authorization".into(), value }],
        max_bytes: 65_536,
    })))
}

/// Braces and commas of a field expansion are not URL characters everywhere.
fn query(node: &str, fields: &str) -> String {
    let fields = fields.replace('{', "%7B").replace('}', "%7D").replace(',', "%2C");
    format!("{node}?fields={fields}")
}

/// The document asked for, or why there is none.
pub(crate) fn answer(fetched: &Fetched) -> Result<Value, String> {
    if fetched.error.is_some() || fetched.status != 200 {
        return Err(format!("has only ids, and what they stand for could not be fetched (status {})", fetched.status));
    }
    let document = parse(&fetched.body).ok().filter(Value::is_object);
    let document = document.ok_or("has only ids, and the answer to what they stand for is not JSON")?;
    for wrapper in ["mentioned_comment", "mentioned_media"] {
        if document.at(wrapper).is_object() {
            return Ok(document.at(wrapper).clone());
        }
    }
    let is_comment = document.text("text").is_some() || document.text("caption").is_some();
    if is_comment { Ok(document) } else { Err("has only ids, and the answer says nothing of them".into()) }
}

/// One change, with the document asked for where there is one.
pub(crate) fn read(entry: Entry<'_>, field: &str, value: &Value, document: Option<&Value>) -> Read {
    let document = document.unwrap_or(&Value::Null);
    if field == "mentions" { mention(entry, value, document) } else { comment(entry, field, value, document) }
}

fn comment(entry: Entry<'_>, field: &str, value: &Value, document: &Value) -> Read {
    let id = value.id("id").or_else(|| value.id("comment_id")).ok_or("is a comment without id")?;
    let text = value.text("text").or_else(|| document.text("text"));
    let mut event = Event::new(Kind::Message, key(&id, text.is_some()));
    let from = value.at("from");
    event.sender = from.id("id").map(|id| handle("instagram", id));
    event.sender_name = from.text("username").or_else(|| document.text("username"));
    said(entry, text, document, &mut event);
    event.in_reply_to = value.id("parent_id").or_else(|| document.id("parent_id"));
    event.message_id = Some(id.clone());
    if field == "live_comments" {
        event.flags.push("live".into());
    }
    let media = value.at("media");
    event.thread_id = media.id("id");
    let field = |name: &str, value: Option<String>| value.map(|value| (name.to_owned(), value));
    event.fields.extend(field("media_product_type", media.text("media_product_type")));
    event.fields.extend(field("ad_id", media.id("ad_id")));
    let place = event.thread_id.clone().unwrap_or(id);
    Conversation::new(Surface::InstagramComment, entry.id, &place).hold(&mut event);
    // Our own comments come back with our account's id, or our own scoped one.
    let own = from.id("id").as_deref() == Some(entry.id) || from.id("self_ig_scoped_id").is_some();
    if own {
        event.flags.push("echo".into());
        event.must_not_autorespond = true;
        event.threading = Threading::Detached;
    }
    Ok(Some(event))
}

fn mention(entry: Entry<'_>, value: &Value, document: &Value) -> Read {
    let known = |name: &str| value.id(name).filter(|id| is_id(id));
    let (comment, media) = (known("comment_id"), known("media_id"));
    let id = comment.clone().or_else(|| media.clone()).ok_or("is a mention without ids")?;
    let text = document.text("text").or_else(|| document.text("caption"));
    let name = format!("mention:{}:{}", media.as_deref().unwrap_or_default(), comment.as_deref().unwrap_or_default());
    let mut event = Event::new(Kind::Mention, key(&name, document.is_object()));
    // Only the name is told, no id.
    event.sender_name = document.text("username");
    event.sender = event.sender_name.clone().map(|name| handle("instagram", name));
    said(entry, text, document, &mut event);
    event.message_id = Some(id.clone());
    event.thread_id = media.clone();
    event.fields.extend(document.text("permalink").map(|url| ("permalink".to_owned(), url)));
    // A caption is answered with the medium's id alone, a comment with both.
    event.in_reply_to = media.clone().filter(|media| *media != id);
    Conversation::new(Surface::InstagramMention, entry.id, media.as_deref().unwrap_or(&id)).hold(&mut event);
    Ok(Some(event))
}

/// What could not be fetched has a key of its own: replayed later, with its text, it is told again.
fn key(id: &str, whole: bool) -> String {
    if whole { id.to_owned() } else { format!("{id}:incomplete") }
}

fn said(entry: Entry<'_>, text: Option<String>, document: &Value, event: &mut Event) {
    let written = document.text("timestamp").as_deref().and_then(timestamp);
    event.timestamp = written.or_else(|| entry.value.instant("time"));
    event.recipient = Some(entry.id.into());
    event.text_source = text.is_some().then_some(TextSource::Plain);
    if text.is_none() {
        event.flags.push("incomplete".into());
    }
    event.text = text;
}

/// `2026-11-21T09:59:30+0000`: ISO 8601, and not RFC 3339 for want of a colon.
fn timestamp(text: &str) -> Option<i64> {
    let (time, zone) = text.split_at_checked(text.len().checked_sub(2)?)?;
    channel_sdk::time::rfc3339(text).or_else(|| channel_sdk::time::rfc3339(&format!("{time}:{zone}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(status: u16, body: &str, error: Option<&str>) -> Fetched {
        Fetched {
            id: "comment:1".into(),
            url: String::new(),
            status,
            headers: vec![],
            body: body.into(),
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn an_answer_is_the_comment_or_a_reason() {
        let comment = answer(&fetched(200, r#"{"mentioned_comment":{"id":"1","text":"@vila"},"id":"2"}"#, None));
        assert_eq!(comment.unwrap().text("text").as_deref(), Some("@vila"));
        for (status, body, error) in [
            (0, "", Some("no answer")),
            (400, r#"{"error":{"message":"(#10)","code":10}}"#, None),
            (200, "<!doctype html><p>Log in</p>", None),
            (200, "{}", None),
            (200, "[]", None),
            (200, r#"{"mentioned_comment":{"text":"cut"#, Some("the answer has more than 65536 bytes")),
        ] {
            assert!(answer(&fetched(status, body, error)).is_err(), "{status} {body}");
        }
    }

    #[test]
    fn times_without_a_colon_in_their_zone_are_times() {
        assert_eq!(timestamp("2026-11-21T09:59:30+0000"), Some(1_795_255_170_000));
        assert_eq!(timestamp("2026-11-21T10:59:30+01:00"), Some(1_795_255_170_000));
        for text in ["", "x", "é", "2026-11-21"] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }
}
