//! HMAC-SHA256 of the body. Say here what the provider's page says it signs.

use channel_sdk::headers;
use channel_sdk::refusal::refusal;
use channel_sdk::types::{Authentication, Check, Encoding, Key, Refusal, RefusalReason, Request, Scheme};

use crate::wire::SIGNATURE;

/// Hexadecimal digits of SHA-256.
const DIGITS: usize = 64;

/// Names what must hold for a request to be the provider's. The gateway checks it.
pub(crate) fn authenticate(request: &Request) -> Authentication {
    match check(request) {
        Ok(check) => Authentication::Check(vec![check]),
        Err(refusal) => Authentication::Refuse(refusal),
    }
}

fn check(request: &Request) -> Result<Check, Refusal> {
    if request.method != "POST" {
        return Err(refusal(RefusalReason::MethodNotAllowed, "events come by POST"));
    }
    Ok(Check {
        scheme: Scheme::HmacSha256,
        key: Key::Secret("signing_secret".into()),
        message: request.body.clone(),
        tag: headers::required(&request.headers, SIGNATURE, DIGITS)?.to_vec(),
        encoding: Encoding::Hex,
        // If a time is signed: refused outside the window, so that an old request can't be sent again.
        signed_at: None,
        nonce: None,
        body_digest: None,
        credential_header: None,
    })
}
