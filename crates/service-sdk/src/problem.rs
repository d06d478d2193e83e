//! Answers in a service's own words: problem documents (RFC 9457) and JSON for operators.

use channel_sdk::types::Response;
use serde_json::{Value, json};

/// A problem document. `detail` says what failed, why, and what to do; never a secret, never request data.
pub fn problem(status: u16, slug: &str, title: &str, detail: &str) -> Response {
    let body = json!({
        "type": format!("https://ventanilla.dev/problems/{slug}"),
        "title": title,
        "status": status,
        "detail": detail,
    });
    response(status, "application/problem+json", &body)
}

/// A problem that goes away when the operator has acted.
pub fn retry_later(slug: &str, title: &str, detail: &str, seconds: u32) -> Response {
    let mut response = problem(503, slug, title, detail);
    response.headers.push(("retry-after".into(), seconds.to_string()));
    response
}

/// A JSON answer.
pub fn json(status: u16, body: &Value) -> Response {
    response(status, "application/json", body)
}

fn response(status: u16, content_type: &str, body: &Value) -> Response {
    Response {
        status,
        headers: vec![("content-type".into(), content_type.into())],
        body: body.to_string().into_bytes(),
    }
}

/// Another method than the one there is.
pub fn method_not_allowed(method: &str) -> Response {
    let mut answer = problem(405, "method-not-allowed", "Method not allowed", &format!("use {method} here"));
    answer.headers.push(("allow".into(), method.into()));
    answer
}
