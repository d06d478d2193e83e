//! A delivery is its author's if the author's own server says that the key it is signed with is the author's.

use channel_sdk::json_access::Pick;
use channel_sdk::json_access::parse;
use channel_sdk::refusal::refusal;
use channel_sdk::types::{
    Authentication, Check, Context, Encoding, Fetched, Handshake, Key, Refusal, RefusalReason, Request, Response,
    Scheme,
};
use serde_json::Value;

use crate::actor;
use crate::documents::{self, Document};
use crate::signature;
use crate::wire::{is_type, only_id, origin, our_actor, same_origin};

/// Names what must hold for a request, or answers what anybody may ask.
pub(crate) fn authenticate(request: &Request, context: &Context, fetched: &[Fetched]) -> Authentication {
    match (request.method.as_str(), request.suffix.as_str()) {
        ("GET", _) => actor::get(request, context),
        ("POST", "/inbox") => inbox(request, context, fetched).unwrap_or_else(Authentication::Refuse),
        ("POST", _) => match actor::get(request, context) {
            Authentication::Refuse(_) => {
                Authentication::Refuse(refusal(RefusalReason::NotFound, "nothing has this path"))
            }
            _ => Authentication::Refuse(refusal(RefusalReason::MethodNotAllowed, "this is only read")),
        },
        _ => Authentication::Refuse(refusal(RefusalReason::MethodNotAllowed, "only GET and POST")),
    }
}

fn inbox(request: &Request, context: &Context, fetched: &[Fetched]) -> Result<Authentication, Refusal> {
    let bad = |detail: String| refusal(RefusalReason::BadSignature, detail);
    let claimed = signature::read(request)?;
    if origin(&claimed.key_id).is_none() {
        return Err(bad("the key is not at an https URL".into()));
    }
    if claimed.key_id.split('#').next() == Some(our_actor(context)) {
        return Err(bad("the key named is our own: what we send does not come back here".into()));
    }
    // What can't be read at all is somebody's all the same, and is kept to be looked at.
    let activity = parse(&request.body).unwrap_or_default();
    let actor = only_id(activity.at("actor"));
    consistent(&activity, actor, &claimed.key_id)?;
    let owner = match documents::owner(&claimed.key_id, fetched, context, request.received_at) {
        Ok(owner) => owner,
        Err(Document::Wanted(fetch)) => return Ok(Authentication::Fetch(vec![*fetch])),
        // An account that is gone takes its key along, and its server tells everybody: there is nothing to prove, and
        // nothing to keep. Other answers would only bring it again.
        Err(Document::Gone) if is_farewell(&activity, actor) => return Ok(nothing_to_do()),
        Err(Document::Gone) => return Err(bad("the key's server has no such document".into())),
        Err(Document::Refused(why)) => return Err(bad(format!("the key's document: {why}"))),
        Err(Document::Found(_)) => return Err(bad("the key's document is of no use".into())),
    };
    if activity.is_object() && actor != Some(owner.actor.as_str()) {
        return Err(bad("the key is not that of the activity's actor".into()));
    }
    Ok(Authentication::Check(vec![Check {
        scheme: Scheme::RsaPkcs1Sha256,
        key: Key::Public(owner.key.into_bytes()),
        message: claimed.message,
        tag: claimed.tag,
        encoding: Encoding::Base64,
        signed_at: Some(claimed.signed_at),
        nonce: claimed.nonce,
        body_digest: Some(claimed.digest),
        credential_header: None,
    }]))
}

/// What can be told without asking anybody: actor, key and activity are of one host.
fn consistent(activity: &Value, actor: Option<&str>, key_id: &str) -> Result<(), Refusal> {
    let bad = |detail: &str| Err(refusal(RefusalReason::BadSignature, detail));
    if !activity.is_object() {
        return Ok(());
    }
    let Some(actor) = actor else { return bad("the activity has not one actor") };
    if !same_origin(actor, key_id) {
        return bad("the key is on another host than the actor");
    }
    // The id is what a redelivery is known by: a foreign one would keep another server's activity out.
    match activity.text("id") {
        Some(id) if !same_origin(&id, actor) => bad("the activity's id is on another host than its actor"),
        _ => Ok(()),
    }
}

fn is_farewell(activity: &Value, actor: Option<&str>) -> bool {
    is_type(activity, "Delete") && actor.is_some() && only_id(activity.at("object")) == actor
}

fn nothing_to_do() -> Authentication {
    let answer = Response { status: 202, headers: vec![], body: vec![] };
    Authentication::Handshake(Handshake { checks: vec![], answer, mac: None })
}
