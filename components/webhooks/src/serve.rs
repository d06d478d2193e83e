//! Routes, and who may: the courier drives deliveries, a tenant's API tokens open what people see.

use channel_sdk::types::{Header, Response};
use service_sdk::tokens::Scope;
use service_sdk::{access, problem};

use crate::bindings::feed::Command;
use crate::ports::Ports;
use crate::{deliver, desk};

/// Answers one request. `target` is path and query; `headers` have names in lower case.
pub(crate) async fn serve<P: Ports>(ports: &P, method: &str, target: &str, headers: &[Header]) -> Response {
    let mut answer = route(ports, method, target, headers).await;
    answer.headers.push(("cache-control".into(), "no-store".into()));
    answer.headers.push(("x-content-type-options".into(), "nosniff".into()));
    answer
}

async fn route<P: Ports>(ports: &P, method: &str, target: &str, headers: &[Header]) -> Response {
    let path = target.split('?').next().unwrap_or_default();
    let Some(rest) = path.strip_prefix("/webhooks/") else { return no_such_route() };
    let segments: Vec<&str> = rest.split('/').collect();
    let (wanted, allowed) = match segments.as_slice() {
        ["-", name @ ("due" | "deliver")] => {
            let allowed = access::courier(&ports.variable("courier_token").await, headers);
            (if *name == "due" { "GET" } else { "POST" }, allowed)
        }
        ["-", ..] | [""] => return no_such_route(),
        [tenant] => ("GET", allowed(ports, headers, tenant, Scope::Read).await),
        [tenant, name, "pause" | "resume"] if !name.is_empty() => {
            ("POST", allowed(ports, headers, tenant, Scope::Operate).await)
        }
        _ => return no_such_route(),
    };
    if let Err(answer) = allowed {
        return answer;
    }
    if method != wanted && !(wanted == "GET" && method == "HEAD") {
        return problem::method_not_allowed(wanted);
    }
    match segments.as_slice() {
        ["-", "due"] => deliver::look(ports).await,
        ["-", "deliver"] => deliver::run(ports).await,
        [tenant] => desk::list(ports, tenant).await,
        [tenant, name, "pause"] => desk::control(ports, tenant, name, Command::Pause).await,
        [tenant, name, ..] => desk::control(ports, tenant, name, Command::Resume).await,
        [] => no_such_route(),
    }
}

async fn allowed<P: Ports>(ports: &P, headers: &[Header], tenant: &str, scope: Scope) -> Result<(), Response> {
    access::tenant(&ports.variable("api_tokens").await, headers, tenant, scope, ports.now())
}

fn no_such_route() -> Response {
    problem::problem(
        404,
        "no-such-route",
        "No such route",
        "there are GET /webhooks/{tenant} and POST /webhooks/{tenant}/{destination}/pause and …/resume",
    )
}
