//! How it is said: JSON, problem documents (RFC 9457), and the one place that maps the store's errors to statuses.

use crate::bindings::log::StoreError;
use serde_json::{Value, json};

/// What goes back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A JSON document.
    pub(crate) fn json(status: u16, value: &Value) -> Answer {
        Answer::new(status, "application/json", value.to_string().into_bytes())
    }

    /// Any body. Answers are about people: nothing between here and the client keeps them.
    pub(crate) fn new(status: u16, content_type: &str, body: Vec<u8>) -> Answer {
        let headers = vec![
            ("content-type", content_type.to_owned()),
            ("cache-control", "no-store".to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
        ];
        Answer { status, headers, body }
    }

    /// The answer to `HEAD`: what `GET` would say of its length, and no body (RFC 9110 §9.3.2).
    pub(crate) fn without_body(mut self) -> Answer {
        self.headers.push(("content-length", self.body.len().to_string()));
        self.body.clear();
        self
    }
}

/// Why not, for people and programs.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    /// Last part of the `type` URI.
    pub(crate) slug: &'static str,
    pub(crate) title: &'static str,
    /// What failed, why, and the remedy.
    pub(crate) detail: String,
    /// The parameter or member at fault.
    pub(crate) field: Option<String>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Problem {
    fn new(status: u16, slug: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, slug, title, detail: detail.into(), field: None, headers: Vec::new() }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Problem {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Answer {
        let mut document = json!({
            "type": format!("https://ventanilla.dev/problems/{}", problem.slug),
            "title": problem.title,
            "status": problem.status,
            "detail": problem.detail,
        });
        if let (Some(field), Some(members)) = (problem.field, document.as_object_mut()) {
            members.insert("field".into(), field.into());
        }
        let mut answer = Answer::new(problem.status, "application/problem+json", document.to_string().into_bytes());
        answer.headers.extend(problem.headers);
        answer
    }
}

/// The store's fates (see `store-error` in wit/store/log.wit). `field` is what the caller got wrong if the store
/// calls its input invalid.
pub(crate) fn store(error: StoreError, field: &str) -> Problem {
    match error {
        // Retry may help.
        StoreError::Unavailable(why) => Problem::new(
            503,
            "store-unavailable",
            "The store is not available",
            format!("the store did not answer; try again in a few seconds: {why}"),
        )
        .header("retry-after", "5"),
        // The same again fails again.
        StoreError::Invalid(why) => invalid(field, why),
        // Only intake has single-use values.
        StoreError::Replayed => {
            Problem::new(409, "replayed", "Replayed", "the store has seen this value with another request")
        }
    }
}

/// A parameter or member that can't be used.
pub(crate) fn invalid(field: &str, detail: impl Into<String>) -> Problem {
    let mut problem = Problem::new(400, "invalid-request", "Invalid request", detail);
    problem.field = Some(field.to_owned());
    problem
}

/// A thing that isn't there.
pub(crate) fn not_found(what: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(404, what, "Not found", detail)
}

/// What was here was erased.
pub(crate) fn gone(detail: String) -> Problem {
    Problem::new(410, "erased", "Erased", detail)
}

/// Nobody serves this path.
pub(crate) fn no_such_route() -> Problem {
    not_found("no-such-route", "the API has no such path; GET /api/openapi.json lists all of them")
}

/// No tenant of that code has a token here.
pub(crate) fn no_such_tenant(tenant: &str) -> Problem {
    not_found(
        "no-such-tenant",
        format!(
            "there is no tenant {tenant:?}; tenants are the names in the variable api_tokens (SPIN_VARIABLE_API_TOKENS)"
        ),
    )
}

/// The path is right, the method isn't.
pub(crate) fn method_not_allowed(allowed: &[&str]) -> Problem {
    let mut allowed = allowed.to_vec();
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    let allowed = allowed.join(", ");
    Problem::new(405, "method-not-allowed", "Method not allowed", format!("this path takes {allowed}"))
        .header("allow", allowed)
}

/// No token, or one that opens nothing here (RFC 6750 §3).
pub(crate) fn unauthorized(given: bool) -> Problem {
    let (detail, challenge) = if given {
        (
            "this token does not open this tenant; tokens are in the variable api_tokens",
            "Bearer realm=\"ventanilla\", error=\"invalid_token\"",
        )
    } else {
        ("send a token of this tenant: Authorization: Bearer <token>", "Bearer realm=\"ventanilla\"")
    };
    Problem::new(401, "unauthorized", "Unauthorized", detail).header("www-authenticate", challenge)
}

/// Who drives deliveries has a token of its own.
pub(crate) fn not_the_courier() -> Problem {
    let detail = "send the courier's token: Authorization: Bearer <variable courier_token>";
    Problem::new(401, "unauthorized", "Unauthorized", detail).header("www-authenticate", "Bearer realm=\"ventanilla\"")
}

/// A token whose time is over (RFC 6750 §3.1).
pub(crate) fn expired() -> Problem {
    Problem::new(401, "unauthorized", "Unauthorized", "this token has expired: ask the operator for a new one")
        .header("www-authenticate", "Bearer realm=\"ventanilla\", error=\"invalid_token\"")
}

/// A token that may do other things (RFC 6750 §3.1).
pub(crate) fn insufficient_scope(scope: &str) -> Problem {
    let detail = format!("this token is not for that: use one with the scope `{scope}`");
    let challenge = format!("Bearer realm=\"ventanilla\", error=\"insufficient_scope\", scope=\"{scope}\"");
    Problem::new(403, "insufficient-scope", "Forbidden", detail).header("www-authenticate", challenge)
}

/// The operator has to correct something.
pub(crate) fn misconfigured(detail: &str) -> Problem {
    Problem::new(500, "misconfigured", "The server is not configured", detail)
}

/// The body is over the limit.
pub(crate) fn too_large(limit: usize) -> Problem {
    Problem::new(413, "too-large", "Content too large", format!("the body is over {limit} bytes; send less"))
}

/// The body broke off.
pub(crate) fn unreadable_body(why: &str) -> Problem {
    Problem::new(400, "unreadable-body", "Body not readable", format!("the body could not be read to its end: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(answer: &Answer) -> Value {
        serde_json::from_slice(&answer.body).unwrap()
    }

    #[test]
    fn a_problem_is_an_rfc_9457_document_that_names_the_field() {
        let answer = Answer::from(invalid("limit", "limit must be 1 to 500"));
        assert_eq!(answer.status, 400);
        assert!(answer.headers.contains(&("content-type", "application/problem+json".into())));
        let expected = json!({
            "type": "https://ventanilla.dev/problems/invalid-request", "title": "Invalid request", "status": 400,
            "detail": "limit must be 1 to 500", "field": "limit",
        });
        assert_eq!(document(&answer), expected);
    }

    #[test]
    fn only_a_store_that_is_away_asks_the_client_to_come_again() {
        let retry = |error| Answer::from(store(error, "after")).headers.iter().any(|(name, _)| *name == "retry-after");
        assert!(retry(StoreError::Unavailable("locked".into())));
        assert!(!retry(StoreError::Invalid("no such cursor".into())));
    }

    #[test]
    fn head_tells_the_length_and_has_no_body() {
        let answer = Answer::json(200, &json!({})).without_body();
        assert!(answer.body.is_empty());
        assert!(answer.headers.contains(&("content-length", "2".into())));
    }

    #[test]
    fn nothing_may_be_cached() {
        for answer in [Answer::json(200, &json!({})), no_such_route().into()] {
            assert!(answer.headers.contains(&("cache-control", "no-store".into())));
        }
    }
}
