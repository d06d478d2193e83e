//! Refusals, and what they are in HTTP where the provider has no words of its own.

use crate::types::{Refusal, RefusalReason, Response};

/// A refusal for the operator's log: say what is wrong and how to put it right, never what was sent.
pub fn refusal(reason: RefusalReason, detail: impl Into<String>) -> Refusal {
    Refusal { reason, detail: detail.into() }
}

/// The status a refusal has in HTTP (RFC 9110 §15.5).
pub fn status(reason: RefusalReason) -> u16 {
    match reason {
        RefusalReason::MissingSignature
        | RefusalReason::BadSignature
        | RefusalReason::Stale
        | RefusalReason::Replayed
        | RefusalReason::Unsigned => 403,
        RefusalReason::MethodNotAllowed => 405,
        RefusalReason::NotFound => 404,
        RefusalReason::TooLarge => 413,
        RefusalReason::UnsupportedMediaType => 415,
        RefusalReason::Malformed => 400,
        RefusalReason::WindowClosed | RefusalReason::Unsupported => 422,
    }
}

/// A short plain text for a refusal. It says no more than the status: the detail is the operator's.
pub fn response(refusal: &Refusal, methods: &str) -> Response {
    let status = status(refusal.reason);
    let mut headers = vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())];
    if status == 405 {
        headers.push(("allow".into(), methods.into()));
    }
    let text = match status {
        403 => "The request could not be verified.\n",
        404 => "There is nothing here.\n",
        405 => "This method is not taken here.\n",
        413 => "The request is too large.\n",
        415 => "This content type is not taken here.\n",
        _ => "The request could not be understood.\n",
    };
    Response { status, headers, body: text.as_bytes().to_vec() }
}
