//! What we say about ourselves: the actor, its collections, WebFinger (RFC 7033) and NodeInfo. Public, and the same for everybody.

use channel_sdk::forms::Form;
use channel_sdk::refusal::refusal;
use channel_sdk::types::{Authentication, Context, Handshake, RefusalReason, Request, Response};

use crate::html;
use crate::wire::{ACTIVITY_JSON, STREAMS, authority, domain, our_actor, our_key, quoted, setting, username};

/// Answers a question about us.
pub(crate) fn get(request: &Request, context: &Context) -> Authentication {
    match request.suffix.as_str() {
        "" | "/" => document(ACTIVITY_JSON, actor(context)),
        "/outbox" | "/followers" | "/following" => document(ACTIVITY_JSON, collection(&request.suffix, context)),
        "/.well-known/webfinger" => webfinger(request, context),
        "/.well-known/nodeinfo" => document("application/json", nodeinfo_links(context)),
        "/nodeinfo/2.1" => {
            document("application/json; profile=\"http://nodeinfo.diaspora.software/ns/schema/2.1#\"", NODEINFO.into())
        }
        "/inbox" => Authentication::Refuse(refusal(RefusalReason::MethodNotAllowed, "the inbox takes POST")),
        _ => Authentication::Refuse(refusal(RefusalReason::NotFound, "nothing has this path")),
    }
}

/// Nobody is believed and nothing stored: an answer at once.
fn document(content_type: &str, document: String) -> Authentication {
    Authentication::Handshake(Handshake {
        checks: vec![],
        answer: Response {
            status: 200,
            headers: vec![
                ("content-type".into(), content_type.into()),
                // RFC 7033 §5: scripts of other sites may read it, as everybody may.
                ("access-control-allow-origin".into(), "*".into()),
                ("cache-control".into(), "max-age=300".into()),
            ],
            body: document.into_bytes(),
        },
        mac: None,
    })
}

fn actor(context: &Context) -> String {
    let id = our_actor(context);
    let links = &context.profile.links;
    let home = links.iter().find(|link| link.rel == "home").map(|link| link.url.as_str());
    let mut more = String::new();
    if let Some(greeting) = context.profile.greeting.first() {
        more += &format!(",\"summary\":{}", quoted(&html::of(&greeting.text)));
    }
    if let Some(icon) = setting(context, "icon_url") {
        more += &format!(",\"icon\":{{\"type\":\"Image\",\"url\":{}}}", quoted(icon));
    }
    format!(
        "{{\"@context\":[\"{STREAMS}\",\"https://w3id.org/security/v1\"],\"id\":{},\"type\":\"Organization\",\
         \"preferredUsername\":{},\"name\":{},\"url\":{},\"inbox\":{},\"outbox\":{},\"followers\":{},\"following\":{},\
         \"manuallyApprovesFollowers\":false,\"publicKey\":{{\"id\":{},\"owner\":{},\"publicKeyPem\":{}}}{more}}}",
        quoted(id),
        quoted(username(context)),
        quoted(&context.profile.name),
        quoted(home.unwrap_or(id)),
        quoted(&format!("{id}/inbox")),
        quoted(&format!("{id}/outbox")),
        quoted(&format!("{id}/followers")),
        quoted(&format!("{id}/following")),
        quoted(&our_key(context)),
        quoted(id),
        quoted(setting(context, "public_key").unwrap_or_default()),
    )
}

/// Who follows whom, and what we wrote, is not shown: only that there is such a collection.
fn collection(suffix: &str, context: &Context) -> String {
    let id = quoted(&format!("{}{suffix}", our_actor(context)));
    format!("{{\"@context\":\"{STREAMS}\",\"id\":{id},\"type\":\"OrderedCollection\"}}")
}

fn webfinger(request: &Request, context: &Context) -> Authentication {
    let malformed = || Authentication::Refuse(refusal(RefusalReason::Malformed, "the query names no resource"));
    let Ok(query) = Form::parse(request.query.as_deref().unwrap_or_default().as_bytes()) else { return malformed() };
    let Some(resource) = query.filled("resource") else { return malformed() };
    let (name, domain) = (username(context), domain(context));
    let host = authority(&context.public_url).unwrap_or_default();
    // Accounts are compared without case (as Mastodon does), also under the host the actor is at: senders ask there to be sure.
    let account = |host: &str| format!("acct:{name}@{host}");
    let is_account = [&domain, &host].iter().any(|host| resource.eq_ignore_ascii_case(&account(host)));
    if !is_account && resource.trim_end_matches('/') != our_actor(context) {
        return Authentication::Refuse(refusal(RefusalReason::NotFound, "the resource is not this tenant"));
    }
    let (subject, us) = (quoted(&account(&domain)), quoted(our_actor(context)));
    let found = format!(
        "{{\"subject\":{subject},\"aliases\":[{us}],\
         \"links\":[{{\"rel\":\"self\",\"type\":\"{ACTIVITY_JSON}\",\"href\":{us}}}]}}"
    );
    document("application/jrd+json", found)
}

fn nodeinfo_links(context: &Context) -> String {
    let href = quoted(&format!("{}/nodeinfo/2.1", our_actor(context)));
    format!("{{\"links\":[{{\"rel\":\"http://nodeinfo.diaspora.software/ns/schema/2.1\",\"href\":{href}}}]}}")
}

/// How many write to us is nobody's business, so `usage` has no numbers.
const NODEINFO: &str = concat!(
    "{\"version\":\"2.1\",\"software\":{\"name\":\"ventanilla\",\"version\":\"",
    env!("CARGO_PKG_VERSION"),
    "\"},\"protocols\":[\"activitypub\"],\"services\":{\"inbound\":[],\"outbound\":[]},",
    "\"openRegistrations\":false,\"usage\":{\"users\":{}},\"metadata\":{}}"
);
