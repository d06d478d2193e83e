//! Mailgun signs a timestamp and a token, never the content: the window is short and a token is taken once.

use channel_sdk::json_access::Pick as _;
use channel_sdk::refusal::refusal;
use channel_sdk::types::{Authentication, Check, Encoding, Key, Refusal, RefusalReason, Request, Scheme, SignedTime};

use crate::wire::{self, Delivery};

/// Of Mailgun's own libraries.
const WINDOW_S: u32 = 900;
const MAX_TOKEN: usize = 128;
const SIGNATURE: usize = 64;

pub(crate) fn authenticate(request: &Request) -> Authentication {
    match check(request) {
        Ok(check) => Authentication::Check(vec![check]),
        Err(refusal) => Authentication::Refuse(refusal),
    }
}

fn check(request: &Request) -> Result<Check, Refusal> {
    if request.method != "POST" {
        return Err(refusal(RefusalReason::MethodNotAllowed, "Mailgun posts"));
    }
    let delivery = wire::read(request).map_err(|problem| refusal(RefusalReason::MissingSignature, problem))?;
    let (timestamp, token, signature) = match &delivery {
        Delivery::Form(fields) => (fields.filled("timestamp"), fields.filled("token"), fields.filled("signature")),
        Delivery::Json(json) => {
            let signed = json.at("signature");
            (signed.id("timestamp"), signed.text("token"), signed.text("signature"))
        }
    };
    let (Some(timestamp), Some(token), Some(signature)) = (timestamp, token, signature) else {
        return Err(refusal(RefusalReason::MissingSignature, "timestamp, token or signature is missing"));
    };
    let bad = |detail: &str| refusal(RefusalReason::BadSignature, detail);
    if token.len() > MAX_TOKEN || signature.len() != SIGNATURE {
        return Err(bad("token or signature has not the length Mailgun's have"));
    }
    let seconds: i64 = Some(timestamp.as_str())
        .filter(|text| text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| bad("the timestamp is not a number of seconds"))?;
    Ok(Check {
        scheme: Scheme::HmacSha256,
        key: Key::Secret("signing_key".into()),
        message: format!("{timestamp}{token}").into_bytes(),
        tag: signature.into_bytes(),
        encoding: Encoding::Hex,
        signed_at: Some(SignedTime { at: seconds.saturating_mul(1_000), window_s: WINDOW_S }),
        nonce: Some(token),
        body_digest: None,
        credential_header: None,
    })
}
