//! What we say: a Note to one person, or that somebody may follow us. Delivered to the person's own inbox, signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use channel_sdk::json;
use channel_sdk::refusal::refusal;
use channel_sdk::types::{Call, CallHeader, Context, Kind, Outgoing, Part, Refusal, RefusalReason};
use sha2::{Digest as _, Sha256};

use crate::documents::signature;
use crate::html;
use crate::wire::{
    ACTIVITY_JSON, MAX_TEXT, STREAMS, authority, http_date, literal, mark, origin, our_actor, our_note, quoted,
    same_origin, target,
};

/// Puts an answer into an activity.
pub(crate) fn render(message: &Outgoing, context: &Context) -> Result<Vec<Call>, Refusal> {
    let unsupported = |detail: &str| refusal(RefusalReason::Unsupported, detail);
    let to = message.recipient.value.as_str();
    if message.recipient.scheme != "activitypub" || origin(to).is_none() {
        return Err(unsupported("the recipient is no actor of the Fediverse"));
    }
    let inbox = message
        .conversation_id
        .as_deref()
        .filter(|inbox| same_origin(inbox, to))
        .ok_or_else(|| unsupported("the person's inbox is not known: nobody can be written to first"))?;
    let activity = if message.answers == Some(Kind::Follow) && message.text.trim().is_empty() {
        accept(message, to, context).ok_or_else(|| unsupported("the request to follow has no id to be accepted by"))?
    } else {
        if message.text.trim().is_empty() {
            return Err(unsupported("there is no text to send"));
        }
        if message.text.chars().count() > MAX_TEXT as usize {
            return Err(refusal(RefusalReason::TooLarge, format!("the text is longer than {MAX_TEXT} characters")));
        }
        create(message, to, context)
    };
    Ok(vec![deliver(inbox, activity, message.now, context)])
}

/// ActivityPub §7.5. The Follow stands in it whole, since some servers know it by its parts.
fn accept(message: &Outgoing, to: &str, context: &Context) -> Option<String> {
    let us = our_actor(context);
    let follow = message.in_reply_to.as_deref().filter(|id| !id.is_empty())?;
    let (id, us, to) = (quoted(&format!("{us}/accepts/{}", message.id)), quoted(us), quoted(to));
    let follow = format!("{{\"id\":{},\"type\":\"Follow\",\"actor\":{to},\"object\":{us}}}", quoted(follow));
    Some(format!(
        "{{\"@context\":\"{STREAMS}\",\"id\":{id},\"type\":\"Accept\",\"actor\":{us},\"to\":[{to}],\"object\":{follow}}}"
    ))
}

/// To the one person, and to nobody else, also when the person wrote in public: what the administration answers is theirs.
fn create(message: &Outgoing, to: &str, context: &Context) -> String {
    let us = our_actor(context);
    let thread = message.thread_id.as_deref().or(message.in_reply_to.as_deref()).unwrap_or(to);
    // The same on every try: a delivery that came twice is one note.
    let id = our_note(context, &mark(context, thread), &message.id);
    let published = quoted(&json::format_instant(message.now));
    let mut more = String::new();
    if let Some(answered) = message.in_reply_to.as_deref().filter(|id| origin(id).is_some()) {
        more += &format!(",\"inReplyTo\":{}", quoted(answered));
    }
    let content = quoted(&html::of(&message.text));
    if let Some(language) = &message.language {
        more += &format!(",\"contentMap\":{{{}:{content}}}", quoted(language));
    }
    let (create, id, us, to) = (quoted(&format!("{id}#create")), quoted(&id), quoted(us), quoted(to));
    // Without the mention Mastodon would show it to nobody.
    let note = format!(
        "{{\"id\":{id},\"type\":\"Note\",\"attributedTo\":{us},\"content\":{content},\"to\":[{to}],\"cc\":[],\
         \"tag\":[{{\"type\":\"Mention\",\"href\":{to}}}],\"published\":{published}{more}}}"
    );
    format!(
        "{{\"@context\":\"{STREAMS}\",\"id\":{create},\"type\":\"Create\",\"actor\":{us},\"to\":[{to}],\"cc\":[],\
         \"published\":{published},\"object\":{note}}}"
    )
}

fn deliver(inbox: &str, body: String, now: i64, context: &Context) -> Call {
    let digest = format!("SHA-256={}", STANDARD.encode(Sha256::digest(body.as_bytes())));
    let date = http_date(now);
    let host = authority(inbox).unwrap_or_default();
    let message = format!(
        "(request-target): post {}\nhost: {host}\ndate: {date}\ndigest: {digest}\ncontent-type: {ACTIVITY_JSON}",
        target(inbox)
    );
    let header = |name: &str, value: Vec<Part>| CallHeader { name: name.into(), value };
    Call {
        method: "POST".into(),
        url: vec![literal(inbox)],
        headers: vec![
            header("content-type", vec![literal(ACTIVITY_JSON)]),
            header("accept", vec![literal(ACTIVITY_JSON)]),
            header("user-agent", vec![literal("Ventanilla (ActivityPub)")]),
            header("date", vec![literal(&date)]),
            header("digest", vec![literal(&digest)]),
            header("signature", signature(context, "(request-target) host date digest content-type", &message)),
        ],
        body: vec![literal(&body)],
        message_id_pointer: None,
    }
}
