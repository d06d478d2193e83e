//! Answers in the gateway's own words: problem documents (RFC 9457) and JSON for operators.

use channel_sdk::types::Response;
use serde_json::{Value, json};

/// A problem document. `detail` says what failed, why, and what to do; never a secret, never request data.
pub(crate) fn problem(status: u16, slug: &str, title: &str, detail: &str) -> Response {
    let body = json!({
        "type": format!("https://ventanilla.dev/problems/{slug}"),
        "title": title,
        "status": status,
        "detail": detail,
    });
    response(status, "application/problem+json", &body)
}

/// A problem that goes away when the operator has acted.
pub(crate) fn retry_later(slug: &str, title: &str, detail: &str, seconds: u32) -> Response {
    let mut response = problem(503, slug, title, detail);
    response.headers.push(("retry-after".into(), seconds.to_string()));
    response
}

/// A JSON answer.
pub(crate) fn json(status: u16, body: &Value) -> Response {
    response(status, "application/json", body)
}

fn response(status: u16, content_type: &str, body: &Value) -> Response {
    Response {
        status,
        headers: vec![("content-type".into(), content_type.into())],
        body: body.to_string().into_bytes(),
    }
}

pub(crate) fn no_such_route() -> Response {
    problem(
        404,
        "no-such-route",
        "No such route",
        "no connector answers here; a connector's path is /{channel}/{vendor}/{tenant}",
    )
}

pub(crate) fn no_such_tenant() -> Response {
    problem(
        404,
        "no-such-tenant",
        "No such tenant",
        "this connector has no settings for the tenant; the operator adds them to the connector's settings variable",
    )
}
