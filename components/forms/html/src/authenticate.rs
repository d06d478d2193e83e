//! Hands out the form, sealed, and says what must hold for one that comes back: its seal, or the key of a server.
//!
//! What can be said without the secret is said here, so that the form comes back with what was written in it and a fresh
//! seal: too old, sent faster than anybody writes, without a seal at all.

use channel_sdk::refusal::refusal;
use channel_sdk::types::{
    AttributeDatatype, Authentication, Check, Context, Encoding, Handshake, Key, RefusalReason, Request, Response,
    Scheme,
};
use channel_sdk::{headers, language};
use serde_json::{Value, json};

use crate::form_page::Form;
use crate::origin::{self, Sender};
use crate::page::{self, Site};
use crate::token::Token;
use crate::wire::{self, Identity, Sent};
use crate::{check, settings};

/// Answers a reader, or names what must hold for a sender.
pub(crate) fn authenticate(request: &Request, context: &Context) -> Authentication {
    let refuse = |reason, detail: &str| Authentication::Refuse(refusal(reason, detail));
    match (request.method.as_str(), request.suffix.as_str()) {
        ("GET", "" | "/") => hand_out(request, context),
        ("POST", "" | "/") => posted(request, context),
        ("OPTIONS", "" | "/") => preflight(request, context),
        ("GET", suffix) => match page::file(suffix, context) {
            Some(answer) => Authentication::Handshake(Handshake { checks: Vec::new(), answer, mac: None }),
            None => refuse(RefusalReason::NotFound, "the form has no such page"),
        },
        (_, "" | "/" | wire::STYLE | wire::SCRIPT) => {
            refuse(RefusalReason::MethodNotAllowed, "a form is read with GET and sent with POST")
        }
        _ => refuse(RefusalReason::NotFound, "the form has no such page"),
    }
}

fn sealed(answer: Response, token: &Token, context: &Context) -> Authentication {
    Authentication::Handshake(Handshake { checks: Vec::new(), answer, mac: Some(token.mac(context)) })
}

fn hand_out(request: &Request, context: &Context) -> Authentication {
    let token = Token::new(request);
    let accepts = headers::text(&request.headers, "accept").unwrap_or_default();
    if accepts.contains("application/json") && !accepts.contains("text/html") {
        return sealed(described(request, context, &token), &token, context);
    }
    let site = Site::of(request, context, None);
    let form = Form { site: &site, sent: None, faults: &[], notice: None, token: Some(&token) };
    sealed(site.respond(200, form.page()), &token, context)
}

/// What a page of another site needs to show a form of its own.
fn described(request: &Request, context: &Context, token: &Token) -> Response {
    let site = Site::of(request, context, None);
    let said = |texts| language::pick(texts, site.words.tag).map(|text| text.text.clone());
    let services: Vec<Value> = context.profile.services.iter().map(|service| {
        let attributes: Vec<Value> = service.attributes.iter().map(|attribute| {
            json!({
                "code": attribute.code, "required": attribute.required, "question": check::question(attribute, site.words),
                "datatype": datatype(attribute.datatype), "values": attribute.values,
            })
        }).collect();
        json!({
            "code": service.code, "name": said(&service.name), "description": said(&service.description),
            "place_required": service.place_required, "attributes": attributes,
        })
    }).collect();
    let body = json!({
        "token": token.text(), "language": site.words.tag, "min_seconds": settings::min_fill(context) / 1000,
        "work": {"bits": settings::work_bits(context), "challenge": token.challenge()}, "services": services,
    });
    let mut answer = Response {
        status: 200,
        headers: vec![("content-type".into(), "application/json".into()), ("vary".into(), "accept, origin".into())],
        body: body.to_string().into_bytes(),
    };
    allow(request, context, &mut answer);
    answer
}

/// GeoReport v2's names.
fn datatype(datatype: AttributeDatatype) -> &'static str {
    match datatype {
        AttributeDatatype::StringValue => "string",
        AttributeDatatype::Number => "number",
        AttributeDatatype::Datetime => "datetime",
        AttributeDatatype::Text => "text",
        AttributeDatatype::SingleValueList => "singlevaluelist",
        AttributeDatatype::MultiValueList => "multivaluelist",
    }
}

/// Lets a configured site's page read the answer (Fetch §3.2.2).
pub(crate) fn allow(request: &Request, context: &Context, answer: &mut Response) {
    if let Sender::Configured(origin) = origin::sender(request, context) {
        answer.headers.push(("access-control-allow-origin".into(), origin));
    }
}

fn preflight(request: &Request, context: &Context) -> Authentication {
    let mut answer = Response { status: 204, headers: vec![("vary".into(), "origin".into())], body: Vec::new() };
    allow(request, context, &mut answer);
    if answer.headers.len() > 1 {
        answer.headers.push(("access-control-allow-methods".into(), "GET, POST".into()));
        answer.headers.push(("access-control-allow-headers".into(), "content-type".into()));
    } else {
        answer.status = 403;
    }
    Authentication::Handshake(Handshake { checks: Vec::new(), answer, mac: None })
}

fn posted(request: &Request, context: &Context) -> Authentication {
    let refuse = |reason, detail: &str| Authentication::Refuse(refusal(reason, detail));
    let sent = match wire::read(request) {
        Ok(sent) => sent,
        Err(why) => return Authentication::Refuse(why),
    };
    let site = Site::of(request, context, sent.get(wire::LANG));
    let checked = match (wire::identity(request, &sent), wire::bearer(request)) {
        (Some(Identity::Token(token)), _) => {
            if origin::sender(request, context) == Sender::Foreign {
                let detail = "a page of another site sent it; if that site may, add its origin to `origins`";
                return refuse(RefusalReason::BadSignature, detail);
            }
            match timely(request, context, &site, &sent, &token) {
                Some(answer) => return answer,
                None => token.check(context),
            }
        }
        (Some(Identity::Named(_)), Some(credential)) => keyed(credential),
        (None, Some(_)) => {
            let detail = "a server names what it posts: the header Idempotency-Key, or the member `id`";
            return refuse(RefusalReason::Malformed, detail);
        }
        (_, None) if sent.encoding == wire::Encoding::Json => {
            let detail = "JSON needs a `token` of this form or an API key";
            return refuse(RefusalReason::MissingSignature, detail);
        }
        (_, None) => return again(request, context, &site, &sent, site.words.look_again, Vec::new()),
    };
    if !check::faults(&sent, context, site.words).is_empty() {
        return refuse(RefusalReason::Malformed, "something in the form has to be put right");
    }
    Authentication::Check(vec![checked])
}

/// The key of a server that posts for others.
fn keyed(credential: Vec<u8>) -> Check {
    Check {
        scheme: Scheme::Bearer,
        key: Key::Secret("api_key".into()),
        message: Vec::new(),
        tag: credential,
        encoding: Encoding::Raw,
        signed_at: None,
        nonce: None,
        body_digest: None,
        credential_header: Some("authorization".into()),
    }
}

/// What is answered at once although the seal may be right.
fn timely(
    request: &Request,
    context: &Context,
    site: &Site<'_>,
    sent: &Sent<'_>,
    token: &Token,
) -> Option<Authentication> {
    let is_page = sent.encoding == wire::Encoding::Page;
    if !token.is_current(request) {
        // Without a page to show again the gateway says it.
        return is_page.then(|| again(request, context, site, sent, site.words.open_too_long, Vec::new()));
    }
    if is_page && sent.get(wire::STEP) == Some(wire::SERVICE) {
        let form = Form { site, sent: Some(sent), faults: &[], notice: None, token: Some(token) };
        let answer = site.respond(200, form.page());
        return Some(Authentication::Handshake(Handshake { checks: Vec::new(), answer, mac: None }));
    }
    if token.age(request) < settings::min_fill(context) {
        if is_page {
            return Some(again(request, context, site, sent, site.words.look_again, vec![token.check(context)]));
        }
        let detail = "sent sooner than `min_seconds` after the form was handed out";
        return Some(Authentication::Refuse(refusal(RefusalReason::Stale, detail)));
    }
    None
}

/// The form with what was written in it and a fresh seal, if these hold.
fn again(
    request: &Request,
    context: &Context,
    site: &Site<'_>,
    sent: &Sent<'_>,
    notice: &str,
    checks: Vec<Check>,
) -> Authentication {
    let token = Token::new(request);
    let faults = check::faults(sent, context, site.words);
    let form = Form { site, sent: Some(sent), faults: &faults, notice: Some(notice), token: Some(&token) };
    let answer = site.respond(422, form.page());
    Authentication::Handshake(Handshake { checks, answer, mac: Some(token.mac(context)) })
}
