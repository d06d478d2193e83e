//! Documents of other servers: which ones are wanted, and when what came may be believed. A document speaks for the host it
//! came from and for no other, and only if that host says that it is ActivityStreams: a page or an upload of a user is none.

use channel_sdk::headers;
use channel_sdk::json_access::{Pick, parse};
use channel_sdk::types::{CallHeader, Context, Encoding, Fetch, Fetched, Instant, Key, Part, Scheme, SignedPart};
use serde_json::Value;

use crate::wire::{
    ACTIVITY_JSON, LD_JSON, authority, http_date, literal, many, our_key, same_origin, target, without_fragment,
};

/// An actor's document is a few KiB; a long note's is not much more.
const MAX_BYTES: u32 = 512 * 1024;

/// The secret setting with our key.
pub(crate) const PRIVATE_KEY: &str = "private_key";

/// What is known of a document.
#[derive(Debug)]
pub(crate) enum Document {
    /// Ask for this first.
    Wanted(Box<Fetch>),
    /// It is there.
    Found(Value),
    /// Its server says that there is none (any more).
    Gone,
    /// It can't be had, or not be believed: why.
    Refused(&'static str),
}

/// Finds a document among what was fetched. `role` tells apart what is fetched for one request.
pub(crate) fn get(role: &str, url: &str, fetched: &[Fetched], context: &Context, now: Instant) -> Document {
    let url = without_fragment(url);
    let of = |id: &str| fetched.iter().find(|fetched| fetched.id == id);
    let Some(plain) = of(role) else { return Document::Wanted(Box::new(fetch(role, url, None))) };
    let can_sign = context.secrets.iter().any(|name| name == PRIVATE_KEY);
    // "Authorized fetch": some servers show nothing to those who don't sign. Signing costs, so they are asked twice.
    let answer = if matches!(plain.status, 401 | 403) && plain.error.is_none() && can_sign {
        let role = format!("{role}, signed");
        match of(&role) {
            Some(signed) => signed,
            None => return Document::Wanted(Box::new(fetch(&role, url, Some((context, now))))),
        }
    } else {
        plain
    };
    read(answer, url)
}

fn read(answer: &Fetched, url: &str) -> Document {
    if answer.error.is_some() || answer.status == 0 {
        return Document::Refused("it could not be fetched");
    }
    if !same_origin(&answer.url, url) {
        return Document::Refused("its URL leads to another host");
    }
    match answer.status {
        200 => {}
        404 | 410 => return Document::Gone,
        _ => return Document::Refused("its server does not give it"),
    }
    let media_type = headers::media_type(&answer.headers);
    let full = headers::text(&answer.headers, "content-type").unwrap_or_default();
    let is_activity = media_type == ACTIVITY_JSON
        || (media_type == "application/ld+json" && full.contains("https://www.w3.org/ns/activitystreams"));
    if !is_activity {
        return Document::Refused("it is not served as ActivityStreams");
    }
    match parse(&answer.body) {
        Ok(value) if value.is_object() => Document::Found(value),
        _ => Document::Refused("it is not a JSON object"),
    }
}

fn fetch(role: &str, url: &str, signed: Option<(&Context, Instant)>) -> Fetch {
    let header = |name: &str, value: Vec<Part>| CallHeader { name: name.into(), value };
    let mut headers = vec![
        header("accept", vec![literal(&format!("{ACTIVITY_JSON}, {LD_JSON}"))]),
        header("user-agent", vec![literal("Ventanilla (ActivityPub)")]),
    ];
    if let Some((context, now)) = signed {
        let date = http_date(now);
        let host = authority(url).unwrap_or_default();
        let message = format!("(request-target): get {}\nhost: {host}\ndate: {date}", target(url));
        headers.push(header("date", vec![literal(&date)]));
        headers.push(header("signature", signature(context, "(request-target) host date", &message)));
    }
    Fetch { id: role.into(), method: "GET".into(), url: url.into(), headers, max_bytes: MAX_BYTES }
}

/// The value of a `signature` header (draft-cavage-http-signatures-12 §4.1) made with our key.
pub(crate) fn signature(context: &Context, covered: &str, message: &str) -> Vec<Part> {
    vec![
        literal(&format!("keyId=\"{}\",algorithm=\"rsa-sha256\",headers=\"{covered}\",signature=\"", our_key(context))),
        Part::Signed(SignedPart {
            scheme: Scheme::RsaPkcs1Sha256,
            key: Key::Secret(PRIVATE_KEY.into()),
            message: message.as_bytes().to_vec(),
            encoding: Encoding::Base64,
        }),
        literal("\""),
    ]
}

/// Whose key it is, by both: the actor's document that lists it.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) actor: String,
    /// PEM.
    pub(crate) key: String,
}

/// Looks a key up. Its id leads to the actor that lists it, to the key alone, or to a stub of the actor (GoToSocial); in the
/// last two cases the owner that they name is asked whether it is so. `Err` is what is wanted first, or why not.
pub(crate) fn owner(key_id: &str, fetched: &[Fetched], context: &Context, now: Instant) -> Result<Owner, Document> {
    let document = found(get("key", key_id, fetched, context, now))?;
    let id = document.text("id").ok_or(Document::Refused("it has no id"))?;
    if id == without_fragment(key_id)
        && let Some(owner) = listed(&document, key_id)
    {
        return Ok(owner);
    }
    // A key by itself names its owner; a stub of an actor has the actor's id.
    let named = if id == key_id && document.text("publicKeyPem").is_some() {
        document.text("owner").or_else(|| document.text("controller"))
    } else {
        listed(&document, key_id).map(|owner| owner.actor)
    };
    let named = named.ok_or(Document::Refused("it is not the key's, nor its owner's"))?;
    if !same_origin(&named, key_id) {
        return Err(Document::Refused("it names an owner on another host"));
    }
    let actor = found(get("owner", &named, fetched, context, now))?;
    if actor.text("id").as_deref() != Some(named.as_str()) {
        return Err(Document::Refused("the owner's document has another id"));
    }
    listed(&actor, key_id).ok_or(Document::Refused("the owner does not list the key"))
}

fn found(document: Document) -> Result<Value, Document> {
    match document {
        Document::Found(value) => Ok(value),
        other => Err(other),
    }
}

/// The key of this id in an actor's document, if the document says that it is the actor's own.
fn listed(actor: &Value, key_id: &str) -> Option<Owner> {
    let id = actor.text("id")?;
    let key = many(actor.at("publicKey")).iter().find(|key| key.text("id").as_deref() == Some(key_id))?;
    (key.text("owner").as_deref() == Some(id.as_str())).then_some(())?;
    Some(Owner { key: key.text("publicKeyPem")?, actor: id })
}

/// The document of an actor among those fetched to prove the request.
pub(crate) fn known_actor(actor: &str, fetched: &[Fetched]) -> Option<Value> {
    fetched.iter().find_map(|answer| match read(answer, actor) {
        Document::Found(value) if value.text("id").as_deref() == Some(actor) && value.text("inbox").is_some() => {
            Some(value)
        }
        _ => None,
    })
}
