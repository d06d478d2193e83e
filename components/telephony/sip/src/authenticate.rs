//! A proxy can't compute a MAC: it shows a secret, over TLS or on the same machine.

use channel_sdk::headers;
use channel_sdk::refusal::refusal;
use channel_sdk::types::{Authentication, Check, Encoding, Key, Refusal, RefusalReason, Request, Scheme};

const HEADER: &str = "x-ventanilla-secret";
const MAX_SECRET: usize = 256;

pub(crate) fn authenticate(request: &Request) -> Authentication {
    match check(request) {
        Ok(check) => Authentication::Check(vec![check]),
        Err(refusal) => Authentication::Refuse(refusal),
    }
}

fn check(request: &Request) -> Result<Check, Refusal> {
    if request.method != "POST" {
        return Err(refusal(RefusalReason::MethodNotAllowed, "reports come by POST"));
    }
    let tag = headers::required(&request.headers, HEADER, MAX_SECRET)?.to_vec();
    let media = headers::media_type(&request.headers);
    if media != "application/json" {
        return Err(refusal(RefusalReason::UnsupportedMediaType, "reports are application/json"));
    }
    Ok(Check {
        scheme: Scheme::SharedSecret,
        key: Key::Secret("shared_secret".into()),
        message: Vec::new(),
        tag,
        encoding: Encoding::Raw,
        signed_at: None,
        nonce: None,
        body_digest: None,
        credential_header: Some(HEADER.into()),
    })
}
