//! What has its place at the root of the host (RFC 8615) and so in no tenant's path: `/.well-known/webfinger` names the account
//! it asks about in its query. Every tenant is asked in turn; only a connector that declares the suffix is, and only for what
//! needs no proof and stores nothing.

use channel_sdk::types::{Authentication, Descriptor, Refusal, RefusalReason, Request, Response};

use crate::authenticate::{self, Proof};
use crate::ports::Ports;
use crate::request::{self, Head, Route};
use crate::settings::{self, Settings};
use crate::{problem, response};

/// Answers for the first tenant whose connector has an answer.
pub(crate) async fn serve<P: Ports>(ports: &P, descriptor: &Descriptor, head: &Head) -> Response {
    let (path, query) = request::split(&head.target);
    let declared = descriptor.routes.iter().any(|route| route.suffix == path);
    if !path.starts_with("/.well-known/") || !declared {
        return problem::no_such_route();
    }
    if head.method != "GET" {
        let mut answer = problem::problem(405, "method-not-allowed", "Method not allowed", "use GET here");
        answer.headers.push(("allow".into(), "GET".into()));
        return answer;
    }
    let Ok(variable) = ports.variable("settings").await else {
        return problem::retry_later(
            "misconfigured",
            "The connector is not configured",
            "its settings can't be read",
            60,
        );
    };
    let mut malformed = false;
    for (tenant, entry) in settings::entries(&variable) {
        let Ok(settings) = entry.check(&tenant, descriptor) else { continue };
        let request = at_root(ports, head, &settings, path, query);
        let context = settings.context(settings::neutral_profile(&tenant));
        match ports.authenticate(&request, &context, &[]) {
            // What is to be fetched or proved first has no place here.
            answer @ Authentication::Handshake(_) => {
                if let Proof::Handshake(answer) = authenticate::decide(answer, &settings, &request) {
                    return response::handshake(answer);
                }
            }
            Authentication::Refuse(Refusal { reason: RefusalReason::Malformed, .. }) => malformed = true,
            _ => {}
        }
    }
    if malformed {
        return problem::problem(
            400,
            "malformed-request",
            "Malformed request",
            "the query does not say what is asked for",
        );
    }
    problem::problem(404, "nobody-by-that-name", "Nobody by that name", "no tenant of this host is meant by it")
}

/// The request as the host of the tenant's public URL got it.
fn at_root<P: Ports>(ports: &P, head: &Head, settings: &Settings, path: &str, query: Option<&str>) -> Request {
    let route = Route { tenant: &settings.tenant, suffix: path, query };
    let end = settings.public_url.match_indices('/').nth(2).map_or(settings.public_url.len(), |(at, _)| at);
    let origin = settings.public_url.get(..end).unwrap_or_default();
    head.request(&route, origin, ports.now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, event};
    use channel_sdk::types::{Check, Handshake, Translation};

    /// Two tenants; the connector answers for the name in the query, if it is in the public URL.
    fn world(checks: fn(&Request) -> Vec<Check>) -> Fake {
        let mut world = Fake::new(b"");
        world.settings = ["madrid", "sevilla", "broken"]
            .map(|name| match name {
                "broken" => r#""broken": {"auth_token": "t"}"#.to_owned(),
                _ => format!(
                    r#""{name}": {{"public_url": "https://{name}.example:8443/telephony/acme/{name}", "auth_token": "t"}}"#
                ),
            })
            .join(",");
        world.settings = format!("{{{}}}", world.settings);
        world.authenticate = Box::new(move |request, _| {
            let refuse = |reason| Authentication::Refuse(Refusal { reason, detail: String::new() });
            match request.query.as_deref() {
                None => refuse(RefusalReason::Malformed),
                Some(name) if request.url.contains(&format!("//{name}.")) => Authentication::Handshake(Handshake {
                    checks: checks(request),
                    answer: Response {
                        status: 200,
                        headers: vec![("content-type".into(), "application/jrd+json".into())],
                        body: request.url.clone().into_bytes(),
                    },
                    mac: None,
                }),
                Some(_) => refuse(RefusalReason::NotFound),
            }
        });
        world.translate = Box::new(|_, _| Translation::Events(vec![event("never")]));
        world
    }

    #[test]
    fn the_tenant_that_is_asked_about_answers_as_of_its_own_host() {
        let world = world(|_| vec![]);
        for name in ["madrid", "sevilla"] {
            let answer = world.serve("GET", &format!("/.well-known/who?{name}"), &[]);
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body, format!("https://{name}.example:8443/.well-known/who?{name}").as_bytes());
            assert!(answer.headers.contains(&("content-type".into(), "application/jrd+json".into())));
        }
        assert!(!world.trace().iter().any(|&called| called != "authenticate"), "{:?}", world.trace());
    }

    #[test]
    fn nothing_else_is_answered_at_the_root() {
        let world = world(|_| vec![]);
        for (method, target, status) in [
            ("GET", "/.well-known/who?granada", 404),
            ("GET", "/.well-known/who", 400),
            ("GET", "/.well-known/other?madrid", 404),
            ("GET", "/voice?madrid", 404),
            ("POST", "/.well-known/who?madrid", 405),
        ] {
            assert_eq!(world.serve(method, target, &[]).status, status, "{method} {target}");
        }
    }

    #[test]
    fn a_proof_that_fails_is_no_answer() {
        let world = world(|request| vec![crate::fake::check(request)]);
        assert_eq!(world.serve("GET", "/.well-known/who?madrid", &[]).status, 404);
    }
}
