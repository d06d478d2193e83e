//! The page after sending: thanks with the reference, the form again with what has to be put right, or why it could not be
//! taken. A server or script that posts JSON gets JSON, errors as problem documents (RFC 9457).

use channel_sdk::phrases::say;
use channel_sdk::types::{Context, Outcome, Receipt, Refusal, RefusalReason, Request, Response};
use channel_sdk::{headers, reference, refusal};
use serde_json::{Value, json};

use crate::authenticate::allow;
use crate::check::{self, Fault};
use crate::form_page::Form;
use crate::page::Site;
use crate::thanks;
use crate::token::Token;
use crate::wire::{self, Encoding, Sent};

/// The answer to a form of which this became.
pub(crate) fn acknowledge(request: &Request, outcome: &Outcome, context: &Context) -> Response {
    let sent = if request.method == "POST" { wire::read(request).ok() } else { None };
    let site = Site::of(request, context, sent.as_ref().and_then(|sent| sent.get(wire::LANG)));
    let is_json = sent.as_ref().map_or_else(
        || headers::media_type(&request.headers) == "application/json",
        |sent| sent.encoding == Encoding::Json,
    );
    if is_json {
        let mut answer = in_json(outcome, sent.as_ref(), &site);
        allow(request, context, &mut answer);
        return answer;
    }
    match outcome {
        Outcome::Accepted(receipts) | Outcome::Quarantined(receipts) => {
            site.respond(200, thanks::page(&site, request, sent.as_ref(), receipts))
        }
        // The form asks nothing of this kind.
        Outcome::Found(_) => site.respond(200, thanks::failure(&site, site.words.not_found)),
        Outcome::Unavailable(seconds) => {
            let mut answer = again(request, &site, sent.as_ref(), 503, site.words.unavailable, true);
            answer.headers.push(("retry-after".into(), seconds.to_string()));
            answer
        }
        Outcome::Refused(refused) => refuse(request, &site, sent.as_ref(), refused),
    }
}

fn refuse(request: &Request, site: &Site<'_>, sent: Option<&Sent<'_>>, refused: &Refusal) -> Response {
    let status = refusal::status(refused.reason);
    let words = site.words;
    let failure = |message: &str| site.respond(status, thanks::failure(site, message));
    match refused.reason {
        RefusalReason::Malformed if sent.is_some() => again(request, site, sent, 422, words.look_again, true),
        RefusalReason::MissingSignature
        | RefusalReason::BadSignature
        | RefusalReason::Stale
        | RefusalReason::Replayed
        | RefusalReason::Unsigned => again(request, site, sent, status, words.not_verified, false),
        RefusalReason::TooLarge => failure(&say(words.too_large, &[&(wire::MAX_BODY >> 20).to_string()])),
        RefusalReason::NotFound => failure(words.not_found),
        RefusalReason::MethodNotAllowed => {
            let mut answer = failure(words.not_found);
            answer.headers.push(("allow".into(), "GET, OPTIONS, POST".into()));
            answer
        }
        RefusalReason::Malformed
        | RefusalReason::UnsupportedMediaType
        | RefusalReason::WindowClosed
        | RefusalReason::Unsupported => failure(words.not_understood),
    }
}

/// The form with what was written in it. With its own seal it can be sent at once; without one it comes back with a fresh one.
fn again(
    request: &Request,
    site: &Site<'_>,
    sent: Option<&Sent<'_>>,
    status: u16,
    notice: &str,
    keep_token: bool,
) -> Response {
    let Some(sent) = sent else { return site.respond(status, thanks::failure(site, notice)) };
    let faults = check::faults(sent, site.context, site.words);
    let token = sent.get(wire::TOKEN).and_then(Token::parse).filter(|token| keep_token && token.is_current(request));
    let form = Form { site, sent: Some(sent), faults: &faults, notice: Some(notice), token: token.as_ref() };
    site.respond(status, form.page())
}

fn in_json(outcome: &Outcome, sent: Option<&Sent<'_>>, site: &Site<'_>) -> Response {
    let stored = |receipts: &[Receipt]| {
        let reference = receipts.iter().find_map(|receipt| receipt.case_reference.as_deref()).map(reference::format);
        let duplicate = receipts.iter().any(|receipt| receipt.duplicate);
        answer(200, "application/json", &json!({"reference": reference, "duplicate": duplicate}))
    };
    match outcome {
        Outcome::Accepted(receipts) | Outcome::Quarantined(receipts) => stored(receipts),
        Outcome::Found(_) => answer(200, "application/json", &json!({})),
        Outcome::Unavailable(seconds) => {
            let mut answer = problem(503, "not-stored", site.words.unavailable, &[]);
            answer.headers.push(("retry-after".into(), seconds.to_string()));
            answer
        }
        Outcome::Refused(refused) => {
            let faults = sent.map(|sent| check::faults(sent, site.context, site.words)).unwrap_or_default();
            match refused.reason {
                RefusalReason::Malformed if !faults.is_empty() => {
                    problem(422, "form-faulty", site.words.errors, &faults)
                }
                // The detail is ours, and for who writes the program.
                reason => problem(refusal::status(reason), "form-refused", &refused.detail, &[]),
            }
        }
    }
}

fn problem(status: u16, slug: &str, detail: &str, faults: &[Fault]) -> Response {
    let errors: Vec<Value> = faults.iter().map(|fault| json!({"field": fault.id, "message": fault.message})).collect();
    let title = match status {
        422 => "The form has to be put right",
        503 => "Not stored",
        _ => "The form was not taken",
    };
    let kind = format!("https://ventanilla.dev/problems/{slug}");
    let mut body = json!({"type": kind, "title": title, "status": status, "detail": detail});
    if let (false, Some(members)) = (errors.is_empty(), body.as_object_mut()) {
        members.insert("errors".into(), errors.into());
    }
    answer(status, "application/problem+json", &body)
}

fn answer(status: u16, content_type: &str, body: &Value) -> Response {
    Response {
        status,
        headers: vec![("content-type".into(), content_type.into()), ("vary".into(), "origin".into())],
        body: body.to_string().into_bytes(),
    }
}
