//! Signed tokens in compact form (RFC 7515, RFC 7519). The algorithm is the caller's, never the token's: the header has to
//! agree with it. `typ` does not matter.

use serde_json::{Map, Value};

use crate::{Encoding, MAX_TAG, Mismatch, encoding, hmac, rsa_pkcs1};

/// What `exp` and `nbf` may be off, because clocks are (RFC 7519 §4.1.4: "a few minutes" at most).
const LEEWAY_S: f64 = 60.0;

pub(crate) fn verify_hs256(token: &[u8], secret: &[u8], now: i64) -> Result<(), Mismatch> {
    verify(token, "HS256", now, |message, tag| hmac::verify_sha256(secret, message, tag))
}

pub(crate) fn verify_rs256(token: &[u8], public: &[u8], now: i64) -> Result<(), Mismatch> {
    verify(token, "RS256", now, |message, tag| rsa_pkcs1::verify_sha256(public, message, tag))
}

fn verify(
    token: &[u8],
    algorithm: &str,
    now: i64,
    check: impl FnOnce(&[u8], &[u8]) -> Result<(), Mismatch>,
) -> Result<(), Mismatch> {
    if token.len() > MAX_TAG {
        return Err(Mismatch::Tag("the token is too long"));
    }
    let mut parts = token.split(|&byte| byte == b'.');
    let (Some(header), Some(payload), Some(tag), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Mismatch::Tag("a token has three parts"));
    };
    let message = token.get(..header.len() + 1 + payload.len()).ok_or(Mismatch::Tag("a token has three parts"))?;
    let head = object(header).ok_or(Mismatch::Tag("the token's header is not a JSON object"))?;
    if head.get("alg").and_then(Value::as_str) != Some(algorithm) {
        return Err(Mismatch::Tag("the token's algorithm is not the one agreed upon"));
    }
    // RFC 7515 §4.1.11: what is critical and not understood makes the token invalid.
    if head.contains_key("crit") {
        return Err(Mismatch::Tag("the token has a critical extension"));
    }
    check(message, &encoding::decode(tag, Encoding::Base64Url)?)?;
    let claims = object(payload).ok_or(Mismatch::Tag("the token's claims are not a JSON object"))?;
    timely(&claims, now)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
fn timely(claims: &Map<String, Value>, now: i64) -> Result<(), Mismatch> {
    let now = now as f64 / 1000.0;
    let date = |name| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(Mismatch::Tag("`exp` or `nbf` of the token is not a number")),
    };
    if date("exp")?.is_some_and(|expires| now >= expires + LEEWAY_S) {
        return Err(Mismatch::Stale("it has expired"));
    }
    if date("nbf")?.is_some_and(|begins| now < begins - LEEWAY_S) {
        return Err(Mismatch::Stale("it is from the future"));
    }
    Ok(())
}

fn object(part: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(&encoding::decode(part, Encoding::Base64Url).ok()?).ok()
}
