//! The JSON API for staff and scripts, over the store's interfaces. It knows no channel and no connector.
//!
//! Read in this order: `routes` (what is served), `access` (who may), `call` (a request, checked), `cases`, `contacts`, `log`,
//! `ledger` with `periods`, `privacy`, `tenants`, `probes` (what each route does), `answer` (how it is said). The contract for clients is `openapi.json`;
//! a test compares it with the code.

#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "the HTTP shell that calls it is for wasm only"))]

mod access;
mod answer;
mod bindings;
mod call;
mod cases;
mod contacts;
mod json;
mod ledger;
mod log;
mod periods;
mod privacy;
mod probes;
mod routes;
mod spool;
mod tenants;

#[cfg(test)]
mod openapi_test;

use answer::{Answer, Problem};
use call::{Call, Query};
use routes::{Access, Endpoint, Found};
use service_sdk::trace;

/// Largest request body: a tenant's profile with hundreds of services fits many times.
const MAX_BODY: usize = 1 << 20;

/// What the HTTP shell hands over.
struct Inbound {
    method: String,
    path: String,
    query: Option<String>,
    authorization: Option<Vec<u8>>,
    /// The body, or why there is none.
    body: Result<Vec<u8>, Problem>,
    api_tokens: Result<String, String>,
    courier_token: Result<String, String>,
    /// Whether the host asks what is being done.
    traced: bool,
    /// Milliseconds since the epoch.
    now: i64,
}

/// Answers one request.
async fn respond(inbound: Inbound) -> Answer {
    let head = inbound.method == "HEAD";
    let answer = match dispatch(inbound).await {
        Ok(answer) => answer,
        Err(problem) => problem.into(),
    };
    if head { answer.without_body() } else { answer }
}

async fn dispatch(inbound: Inbound) -> Result<Answer, Problem> {
    let method = if inbound.method == "HEAD" { "GET" } else { inbound.method.as_str() };
    let (route, params) = match routes::find(method, &inbound.path) {
        Found::Route(route, params) => (route, params),
        Found::OtherMethods(allowed) => return Err(answer::method_not_allowed(&allowed)),
        Found::Nothing => return Err(answer::no_such_route()),
    };
    let tenant = params.iter().find(|(name, _)| *name == "tenant").map(|(_, value)| value.as_str());
    let given = inbound.authorization.as_deref();
    let grant = match route.access {
        Access::Courier => access::courier(given, inbound.courier_token)?,
        access => access::check(access, route.scope(), tenant, given, inbound.api_tokens, inbound.now)?,
    };
    if let Some(tenant) = tenant.filter(|tenant| grant.opens(tenant)) {
        trace::tenant(inbound.traced, tenant);
    }
    let query = Query::parse(inbound.query.as_deref().unwrap_or_default(), route.parameters)?;
    // Only now: a stranger's body is never looked at.
    let body = if route.reads_body() { inbound.body? } else { Vec::new() };
    let call = Call { params, query, body, grant, now: inbound.now };
    match route.endpoint {
        Endpoint::Health => Ok(probes::health()),
        Endpoint::Ready => probes::ready().await,
        Endpoint::Metrics => probes::metrics(call.now).await,
        Endpoint::Description => Ok(probes::description()),
        Endpoint::Tenants => tenants::list(&call).await,
        Endpoint::Profile => tenants::profile(&call).await,
        Endpoint::PutProfile => tenants::put_profile(&call).await,
        Endpoint::Cases => cases::search(&call).await,
        Endpoint::Case => cases::get(&call).await,
        Endpoint::ChangeCase => cases::change(&call).await,
        Endpoint::AddNote => cases::add_note(&call).await,
        Endpoint::Reply => cases::reply(&call).await,
        Endpoint::CompleteTask => cases::complete_task(&call).await,
        Endpoint::JoinContacts => contacts::join(&call).await,
        Endpoint::SeparateContacts => contacts::separate(&call).await,
        Endpoint::Events => log::events(&call).await,
        Endpoint::Envelopes => log::envelopes(&call).await,
        Endpoint::Envelope => log::envelope(&call).await,
        Endpoint::Ledger => ledger::ledger(&call).await,
        Endpoint::VerifyLedger => ledger::verify(&call).await,
        Endpoint::Seal => ledger::seal(&call).await,
        Endpoint::Retain => privacy::retain(&call).await,
        Endpoint::Retention => privacy::retention(&call).await,
        Endpoint::PutRetention => privacy::put_retention(&call).await,
        Endpoint::Erase => privacy::erase(&call).await,
        Endpoint::Hold => privacy::hold(&call, true).await,
        Endpoint::Release => privacy::hold(&call, false).await,
        Endpoint::Audit => privacy::audit(&call).await,
        Endpoint::Remove => privacy::remove(&call).await,
    }
}

#[cfg(target_family = "wasm")]
mod service {
    //! The HTTP shell: everything here is about bytes on the wire.

    use super::{Inbound, MAX_BODY, answer, respond, trace};
    use http_body_util::{BodyExt, LengthLimitError, Limited};
    use spin_sdk::http::{FullBody, IntoResponse, Request};
    use spin_sdk::http_service;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[http_service]
    async fn handle(request: Request) -> impl IntoResponse {
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => Ok(body.to_bytes().to_vec()),
            Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(answer::too_large(MAX_BODY)),
            Err(error) => Err(answer::unreadable_body(&error.to_string())),
        };
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let inbound = Inbound {
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            authorization: head.headers.get("authorization").map(|value| value.as_bytes().to_vec()),
            body,
            traced: head.headers.contains_key(trace::HEADER),
            api_tokens: spin_sdk::variables::get("api_tokens").await.map_err(|error| error.to_string()),
            courier_token: spin_sdk::variables::get("courier_token").await.map_err(|error| error.to_string()),
            now: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
        };
        let answer = respond(inbound).await;
        let mut response = spin_sdk::http::Response::new(FullBody::new(bytes::Bytes::from(answer.body)));
        *response.status_mut() = spin_sdk::http::StatusCode::from_u16(answer.status).unwrap_or_default();
        for (name, value) in answer.headers {
            if let Ok(value) = spin_sdk::http::HeaderValue::from_str(&value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    /// Answers a request that never gets as far as the store.
    fn ask(method: &str, target: &str, token: Option<&str>, body: Result<Vec<u8>, Problem>) -> Answer {
        let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q.to_owned())));
        let inbound = Inbound {
            method: method.into(),
            path: path.into(),
            query,
            authorization: token.map(|token| format!("Bearer {token}").into_bytes()),
            body,
            api_tokens: Ok(r#"{"madrid": ["sesame"]}"#.into()),
            courier_token: Ok("courier".into()),
            traced: false,
            now: 0,
        };
        let mut future = std::pin::pin!(respond(inbound));
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("reached the store"),
        }
    }

    fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
        answer.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn nothing_of_a_request_without_a_token_is_looked_at() {
        for (method, target) in [
            ("GET", "/api/madrid/cases?statsu=1"),
            ("GET", "/api/madrid/cases/1"),
            ("PUT", "/api/madrid/profile"),
            ("GET", "/api/tenants"),
        ] {
            let answer = ask(method, target, None, Err(answer::too_large(1)));
            assert_eq!(answer.status, 401, "{method} {target}");
            assert!(header(&answer, "www-authenticate").is_some());
        }
    }

    #[test]
    fn a_wrong_token_is_401_and_an_unknown_tenant_404() {
        assert_eq!(ask("GET", "/api/madrid/cases", Some("sesam"), Ok(vec![])).status, 401);
        assert_eq!(ask("GET", "/api/toledo/cases", Some("sesame"), Ok(vec![])).status, 404);
    }

    #[test]
    fn another_method_gets_405_with_what_is_allowed() {
        let answer = ask("DELETE", "/api/madrid/cases", Some("sesame"), Ok(vec![]));
        assert_eq!((answer.status, header(&answer, "allow")), (405, Some("GET, HEAD")));
    }

    #[test]
    fn a_body_over_the_limit_is_413_and_a_broken_one_400() {
        let put = |body| ask("PUT", "/api/madrid/profile", Some("sesame"), body).status;
        assert_eq!(put(Err(answer::too_large(MAX_BODY))), 413);
        assert_eq!(put(Ok(b"{".to_vec())), 400);
        assert_eq!(
            put(Ok(br#"{"tenant": "toledo", "name": "T", "languages": ["es"], "time_zone": "UTC0"}"#.to_vec())),
            400
        );
    }

    #[test]
    fn a_join_needs_the_other_contact() {
        for (body, field) in [("{}", "other"), (r#"{"other": 1}"#, "other"), (r#"{"into": "x"}"#, "into")] {
            for verb in ["join", "separate"] {
                let target = format!("/api/madrid/contacts/c1/{verb}");
                let answer = ask("POST", &target, Some("sesame"), Ok(body.into()));
                let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
                assert_eq!((answer.status, problem["field"].as_str()), (400, Some(field)), "{target} {body}");
            }
        }
    }

    #[test]
    fn nothing_is_erased_or_removed_without_a_reason_and_the_right_words() {
        for (method, target, body, field) in [
            ("POST", "/api/madrid/erasures", r#"{"reason": "asked"}"#, "handle"),
            (
                "POST",
                "/api/madrid/erasures",
                r#"{"handle": "x", "reference": "482-109-3726", "reason": "asked"}"#,
                "handle",
            ),
            ("POST", "/api/madrid/erasures", r#"{"handle": "x"}"#, "reason"),
            ("POST", "/api/madrid/erasures", r#"{"handle": "x", "reason": "asked", "dry_run": "no"}"#, "dry_run"),
            ("POST", "/api/madrid/removal", r#"{"reason": "over"}"#, "confirm"),
            ("POST", "/api/madrid/removal", r#"{"confirm": "sevilla", "reason": "over"}"#, "confirm"),
            ("POST", "/api/madrid/removal", r#"{"confirm": "madrid"}"#, "reason"),
            ("PUT", "/api/madrid/cases/482-109-3726/hold", "{}", "reason"),
            ("PUT", "/api/madrid/retention", "{}", "days"),
        ] {
            let answer = ask(method, target, Some("sesame"), Ok(body.into()));
            let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!((answer.status, problem["field"].as_str()), (400, Some(field)), "{target} {body}");
        }
    }

    #[test]
    fn only_the_courier_seals() {
        for (token, status) in [(None, 401), (Some("sesame"), 401), (Some("couriers"), 401)] {
            assert_eq!(ask("POST", "/api/-/seal", token, Ok(vec![])).status, status, "{token:?}");
        }
        assert_eq!(ask("GET", "/api/-/seal", Some("courier"), Ok(vec![])).status, 405);
        assert_eq!(ask("POST", "/api/-/retain", Some("sesame"), Ok(vec![])).status, 401);
    }

    #[test]
    fn head_is_get_without_a_body() {
        let (get, head) = (ask("GET", "/healthz", None, Ok(vec![])), ask("HEAD", "/healthz", None, Ok(vec![])));
        assert_eq!((get.status, head.status), (200, 200));
        assert!(!get.body.is_empty() && head.body.is_empty());
        assert_eq!(header(&head, "content-length"), Some(get.body.len().to_string().as_str()));
    }

    #[test]
    fn a_bad_parameter_is_named() {
        for (target, field) in [
            ("/api/madrid/cases?status=done", "status"),
            ("/api/madrid/cases?limit=0", "limit"),
            ("/api/madrid/events?connector=acme", "connector"),
            ("/api/madrid/envelopes?disposition=lost", "disposition"),
            ("/api/madrid/cases/482-109-3725", "reference"),
            ("/api/madrid/ledger?from=yesterday", "from"),
            ("/api/madrid/ledger?by=week", "by"),
            ("/api/madrid/ledger?connector=acme", "connector"),
            ("/api/madrid/ledger/verify?after=x", "after"),
            ("/api/madrid/ledger/verify?head=12", "head"),
            ("/api/madrid/envelopes?to=tomorrow", "to"),
        ] {
            let answer = ask("GET", target, Some("sesame"), Ok(vec![]));
            let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!((answer.status, problem["field"].as_str()), (400, Some(field)), "{target}");
        }
    }
}
