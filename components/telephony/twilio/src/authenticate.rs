//! `X-Twilio-Signature`: what it covers, and in which spellings of the URL.

use channel_sdk::forms::Form;
use channel_sdk::headers;
use channel_sdk::refusal::refusal;
use channel_sdk::types::{
    Authentication, Check, Context, Digest, DigestAlgorithm, Encoding, Key, Refusal, RefusalReason, Request, Scheme,
};

use crate::wire;

const SIGNATURE: &str = "x-twilio-signature";
const SIGNATURE_SETTINGS: &str = "x-twilio-webhooks-signature-settings";
/// base64 of 32 bytes has 44 characters.
const MAX_SIGNATURE: usize = 64;
const MAX_SIGNATURE_SETTINGS: usize = 256;

/// Names what must hold for a request to be Twilio's.
pub(crate) fn authenticate(request: &Request, context: &Context) -> Authentication {
    match checks(request, context) {
        Ok(checks) => Authentication::Check(checks),
        Err(refusal) => Authentication::Refuse(refusal),
    }
}

fn checks(request: &Request, context: &Context) -> Result<Vec<Check>, Refusal> {
    if request.method != "POST" && request.method != "GET" {
        return Err(refusal(RefusalReason::MethodNotAllowed, "webhooks come by GET or POST"));
    }
    let tag = headers::required(&request.headers, SIGNATURE, MAX_SIGNATURE)?.to_vec();
    let (scheme, key) = scheme_and_key(request, context)?;
    let (parameters, body_digest) = signed_parameters(request)?;
    let checks = spellings(&request.url).into_iter().map(|url| {
        let mut message = url.into_bytes();
        message.extend_from_slice(&parameters);
        Check {
            scheme,
            key: Key::Secret(key.to_owned()),
            message,
            tag: tag.clone(),
            encoding: Encoding::Base64,
            signed_at: None,
            nonce: None,
            body_digest: body_digest.clone(),
            credential_header: None,
        }
    });
    Ok(checks.collect())
}

/// SharedKeys (public beta since September 2026): `key=<id>,algorithm=HMAC_SHA256`. Without the header it is the AuthToken and SHA-1.
fn scheme_and_key(request: &Request, context: &Context) -> Result<(Scheme, &'static str), Refusal> {
    let Some(value) = headers::single(&request.headers, SIGNATURE_SETTINGS, MAX_SIGNATURE_SETTINGS)? else {
        return Ok((Scheme::HmacSha1, "auth_token"));
    };
    let value = String::from_utf8_lossy(value);
    let algorithm =
        value.split(',').filter_map(|piece| piece.split_once('=')).find(|(name, _)| name.trim() == "algorithm");
    if algorithm.map(|(_, algorithm)| algorithm.trim()) != Some("HMAC_SHA256") {
        return Err(refusal(RefusalReason::BadSignature, "the shared key's algorithm is not HMAC_SHA256"));
    }
    if !context.secrets.iter().any(|name| name == "shared_key") {
        let detail =
            "signed with a shared key: put its secret into the setting shared_key, or switch shared keys off at Twilio";
        return Err(refusal(RefusalReason::BadSignature, detail));
    }
    Ok((Scheme::HmacSha256, "shared_key"))
}

/// The part of the signed string that follows the URL, and the digest that stands for a body that is not a form.
fn signed_parameters(request: &Request) -> Result<(Vec<u8>, Option<Digest>), Refusal> {
    if request.method == "GET" {
        // Nothing covers the body of a GET, and nothing reads it.
        return Ok((Vec::new(), None));
    }
    if !wire::is_form(request) {
        return body_digest(request).map(|digest| (Vec::new(), Some(digest)));
    }
    let form = Form::parse(&request.body).map_err(|problem| refusal(RefusalReason::TooLarge, problem.to_string()))?;
    // Names in byte order; of one name every different value, in byte order.
    let mut pairs: Vec<(&[u8], &[u8])> =
        form.pairs().iter().map(|pair| (pair.name.as_slice(), pair.value.as_slice())).collect();
    pairs.sort_unstable();
    pairs.dedup();
    let mut parameters = Vec::with_capacity(request.body.len());
    for (name, value) in pairs {
        parameters.extend_from_slice(name);
        parameters.extend_from_slice(value);
    }
    Ok((parameters, None))
}

fn body_digest(request: &Request) -> Result<Digest, Refusal> {
    let query = Form::parse(request.query.as_deref().unwrap_or_default().as_bytes())
        .map_err(|problem| refusal(RefusalReason::TooLarge, problem.to_string()))?;
    let mut values = query.pairs().iter().filter(|pair| pair.name == b"bodySHA256");
    match (values.next(), values.next()) {
        (Some(pair), None) if pair.value.len() == 64 => {
            Ok(Digest { algorithm: DigestAlgorithm::Sha256, value: pair.value.clone(), encoding: Encoding::Hex })
        }
        _ => Err(refusal(RefusalReason::UnsupportedMediaType, "the body is no form, and no bodySHA256 covers it")),
    }
}

/// The URL as given, without a port, and with the standard one: the SDKs try these because the back end signs either.
fn spellings(url: &str) -> Vec<String> {
    let mut spellings = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else {
        return spellings;
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (format!("{user}@"), host),
        None => (String::new(), authority),
    };
    // The colons of an IPv6 address stand in brackets.
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => {
            (name, Some(port))
        }
        _ => (host, None),
    };
    match port {
        Some(_) => spellings.push(format!("{scheme}://{user}{name}{tail}")),
        None => {
            let standard = if scheme.eq_ignore_ascii_case("http") { 80 } else { 443 };
            spellings.push(format!("{scheme}://{user}{name}:{standard}{tail}"));
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_spelled_with_and_without_its_port() {
        for (url, other) in [
            ("https://city.example/voice?a=%2b", "https://city.example:443/voice?a=%2b"),
            ("https://city.example:443/voice", "https://city.example/voice"),
            ("https://city.example:8443", "https://city.example"),
            ("http://city.example?x=1:2", "http://city.example:80?x=1:2"),
            ("https://user:pass@city.example/", "https://user:pass@city.example:443/"),
            ("https://[2001:db8::1]/v", "https://[2001:db8::1]:443/v"),
            ("https://[2001:db8::1]:8443/v", "https://[2001:db8::1]/v"),
        ] {
            assert_eq!(spellings(url), [url, other]);
        }
    }
}
