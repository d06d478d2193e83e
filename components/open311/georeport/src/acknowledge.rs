//! The one place for answers: documents of the standard, in the format of the address, also when something is wrong.
//!
//! | outcome | answer |
//! |---|---|
//! | accepted | 200, `service_requests` with the `service_request_id`; of an update, `service_request_updates` with our `update_id` |
//! | accepted, an update of no public request | 404, `errors` |
//! | quarantined | 200, with a token: staff will look, there is no id yet |
//! | refused | 400, 403, 404 (405, 413 where HTTP wants them), `errors` |
//! | unavailable | 503, `errors`: file it again |
//! | found | 200 and the document asked for; 404 when what was named is not there |

use channel_sdk::forms;
use channel_sdk::headers;
use channel_sdk::language;
use channel_sdk::photo;
use channel_sdk::refusal;
use channel_sdk::types::{Context, Outcome, PublicCase, Receipt, Refusal, RefusalReason, Request, Response};

use crate::answers;
use crate::document;
use crate::fault::{Fault, Faults};
use crate::question::Question;
use crate::update;
use crate::wire::{self, Ask, Format, Resource};

/// What the gateway sends at most, less the head.
const MAX_DOCUMENT: usize = 1_000_000;

pub(crate) fn acknowledge(request: &Request, outcome: &Outcome, context: &Context) -> Response {
    let format = wire::format(&request.suffix);
    match outcome {
        Outcome::Accepted(receipts) | Outcome::Quarantined(receipts)
            if wire::resource(&request.suffix) == Some(Resource::Updates) =>
        {
            added(request, receipts, matches!(outcome, Outcome::Accepted(_)), format)
        }
        Outcome::Accepted(receipts) | Outcome::Quarantined(receipts) => filed(request, receipts, format),
        Outcome::Refused(refused) => failed(&faults(request, refused, context), format),
        Outcome::Unavailable(seconds) => {
            let fault = match request.method.as_str() {
                "GET" => Fault::new(503, "nothing can be looked up now; ask again a little later"),
                _ => Fault::new(503, "the request is not stored; file it again a little later"),
            };
            let mut response = failed(&fault.into(), format);
            response.headers.push(("retry-after".into(), seconds.to_string()));
            response
        }
        Outcome::Found(cases) => match wire::read(request, context) {
            Ok(Ask::Question(question)) => found(request, &question, cases, context, format),
            Ok(_) => failed(&Fault::new(405, "use GET here").into(), format),
            Err(faults) => failed(&faults, format),
        },
    }
}

fn answer(status: u16, format: Format, body: Vec<u8>) -> Response {
    let headers = vec![
        ("content-type".into(), document::content_type(format).into()),
        // Apps in a browser are clients, too; nothing here depends on who asks.
        ("access-control-allow-origin".into(), "*".into()),
    ];
    Response { status, headers, body }
}

fn failed(faults: &Faults, format: Format) -> Response {
    answer(faults.first.status, format, document::write(format, "errors", &answers::errors(faults)))
}

/// What was wrong, in the client's words where it is about what they sent.
fn faults(request: &Request, refused: &Refusal, context: &Context) -> Faults {
    match refused.reason {
        RefusalReason::MissingSignature
        | RefusalReason::Malformed
        | RefusalReason::NotFound
        | RefusalReason::MethodNotAllowed => {
            if let Err(faults) = wire::read(request, context) {
                return faults;
            }
        }
        _ => {}
    }
    let status = refusal::status(refused.reason);
    Faults::from(match status {
        403 => Fault::key(),
        413 => Fault::new(413, "the request is too large; upload fewer or smaller media"),
        status => Fault::new(status, "the request could not be understood"),
    })
}

fn filed(request: &Request, receipts: &[Receipt], format: Format) -> Response {
    let reference = receipts.iter().find_map(|receipt| receipt.case_reference.as_deref());
    let notice = reference.is_none().then_some("The request is kept and will be looked at; it has no number yet.");
    let node = answers::filed(reference, &token(request), notice);
    answer(200, format, document::write(format, "service_requests", &node))
}

/// Names nothing that can be asked for; the standard wants it where there is no id.
fn token(request: &Request) -> String {
    let mut token = photo::sha256(&request.body);
    token.truncate(16);
    token
}

/// An update that found no public case is stored and belongs to none, and the client is told as if nothing had the id: whether
/// there is a case that is not public is nobody's business, and whoever wrote it must not believe that it is with the request.
///
/// What was not understood yet may find one still.
fn added(request: &Request, receipts: &[Receipt], understood: bool, format: Format) -> Response {
    let joined = receipts.iter().find(|receipt| receipt.case_reference.is_some());
    if joined.is_none() && understood && !receipts.is_empty() {
        return failed(&update::unknown().into(), format);
    }
    let node = answers::added(joined.map(|receipt| receipt.event_id.as_str()), &token(request));
    answer(200, format, document::write(format, "service_request_updates", &node))
}

fn found(request: &Request, question: &Question, cases: &[PublicCase], context: &Context, format: Format) -> Response {
    let profile = &context.profile;
    let language = language(request, context);
    let written = |root, node| answer(200, format, document::write(format, root, &node));
    if question.by_name && cases.is_empty() {
        let what = if question.lookup.references.is_empty() { "service_code" } else { "service_request_id" };
        return failed(&Fault::unknown(format!("{what} is not known")).into(), format);
    }
    match &question.resource {
        Resource::Discovery => written("discovery", answers::discovery(context)),
        Resource::Services => written("services", answers::services(profile, language)),
        Resource::Service(code) => match profile.services.iter().find(|service| service.code == *code) {
            Some(service) => written("service_definition", answers::definition(service, language)),
            None => failed(&Fault::unknown("service_code is not known").into(), format),
        },
        Resource::Token(token) => match cases.first() {
            Some(case) => written("service_requests", answers::token(token, case)),
            None => failed(&Fault::unknown("the token is not known").into(), format),
        },
        Resource::Request(_) => written("service_requests", answers::requests(cases, profile, language)),
        Resource::Requests => list(question, cases, format, request, |cases| {
            document::write(format, "service_requests", &answers::requests(cases, profile, language))
        }),
        Resource::Updates => updates(question, cases, format),
    }
}

/// One page. What does not fit is on the next one, which a `Link` (RFC 8288) names: nothing is left out silently.
fn list(
    question: &Question,
    cases: &[PublicCase],
    format: Format,
    request: &Request,
    write: impl Fn(&[PublicCase]) -> Vec<u8>,
) -> Response {
    let page = question.page;
    let (skipped, size) = if question.by_name { (0, cases.len()) } else { (page.skipped(), page.size as usize) };
    let rest = cases.get(skipped..).unwrap_or_default();
    let mut shown = rest.get(..size).unwrap_or(rest);
    let mut body = write(shown);
    while body.len() > MAX_DOCUMENT && shown.len() > 1 {
        if page.chosen || skipped > 0 || question.by_name {
            return failed(&Fault::bad("the answer would be too large; ask for fewer at once").into(), format);
        }
        let fitting = shown.len().saturating_mul(MAX_DOCUMENT) / body.len();
        shown = shown.get(..fitting.clamp(1, shown.len() - 1)).unwrap_or_default();
        body = write(shown);
    }
    let mut response = answer(200, format, body);
    if shown.len() < rest.len() && !question.by_name {
        let (number, size) = if shown.len() == size { (page.number + 1, size) } else { (2, shown.len()) };
        response.headers.push(("link".into(), format!("<{}>; rel=\"next\"", with_page(request, number, size))));
    }
    response
}

fn with_page(request: &Request, number: u32, size: usize) -> String {
    let others = request.query.as_deref().unwrap_or_default().split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        !pair.is_empty() && name != "page" && name != "page_size"
    });
    let pages = [format!("page={number}"), format!("page_size={size}")];
    let query: Vec<&str> = others.chain(pages.iter().map(String::as_str)).collect();
    let address = request.url.split('?').next().unwrap_or_default();
    // What a URL can't hold (RFC 3986 §2) can't be in a header either.
    let safe = |c: char| {
        if c.is_ascii_graphic() && !"<>\"".contains(c) {
            c.to_string()
        } else {
            forms::encode_component(&c.to_string())
        }
    };
    format!("{address}?{}", query.join("&")).chars().map(safe).collect()
}

/// The extension has no pages: what is too much for one answer is asked for in pieces.
fn updates(question: &Question, cases: &[PublicCase], format: Format) -> Response {
    let body = document::write(format, "service_request_updates", &answers::updates(cases, question));
    if question.is_full(cases.len()) || body.len() > MAX_DOCUMENT {
        let fault = Fault::bad("too many requests have changed since then; ask with a later start_date");
        return failed(&fault.into(), format);
    }
    answer(200, format, body)
}

/// The administration's language, or another it offers that the client prefers (RFC 9110 §12.5.4, in the order given).
fn language<'a>(request: &Request, context: &'a Context) -> &'a str {
    let wanted = headers::text(&request.headers, "accept-language").unwrap_or_default();
    let mut wanted = wanted.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    wanted
        .find_map(|range| language::matching(&context.profile.languages, range))
        .unwrap_or_else(|| language::of_tenant(&context.profile, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(outcome: &Outcome) -> (u16, String) {
        let request = Request {
            method: "POST".into(),
            url: "https://city.example/open311/georeport/t/requests.json".into(),
            suffix: "/requests.json".into(),
            query: None,
            headers: Vec::new(),
            body: b"service_code=x".to_vec(),
            received_at: 0,
        };
        let profile = serde_json::json!({"tenant": "t", "name": "T", "languages": ["es"]});
        let profile = channel_sdk::json::parse_profile(&profile).unwrap();
        let public_url = "https://city.example/open311/georeport/t".into();
        let context = Context { tenant: "t".into(), public_url, settings: Vec::new(), secrets: Vec::new(), profile };
        let answer = acknowledge(&request, outcome, &context);
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    #[test]
    fn what_is_kept_without_a_case_has_a_token_in_place_of_an_id() {
        let (status, body) = answered(&Outcome::Quarantined(Vec::new()));
        assert_eq!(status, 200);
        assert!(body.contains("\"token\":\"") && !body.contains("service_request_id"), "{body}");
    }

    #[test]
    fn what_is_not_stored_is_an_error_in_the_standards_form() {
        let (status, body) = answered(&Outcome::Unavailable(30));
        assert_eq!(status, 503);
        assert!(body.starts_with("[{\"code\":503,"), "{body}");
    }
}
