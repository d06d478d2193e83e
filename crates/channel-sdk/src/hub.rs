//! Authenticity as PubSubHubbub 0.4 has it, in the form providers use today: a `hub.challenge` handshake by GET and an
//! HMAC-SHA256 of the raw body in `X-Hub-Signature-256`.

use crate::forms::Form;
use crate::headers;
use crate::refusal::refusal;
use crate::types::{
    Authentication, Check, Encoding, Handshake, Key, Refusal, RefusalReason, Request, Response, Scheme,
};

/// The header with the signature.
pub const SIGNATURE: &str = "x-hub-signature-256";

/// Longer than any challenge seen; what is longer is not echoed.
const MAX_CHALLENGE: usize = 512;

/// Says what to check: `verify_token` and `app_secret` are names of secret settings.
pub fn authenticate(request: &Request, verify_token: &str, app_secret: &str) -> Authentication {
    let read = match request.method.as_str() {
        "GET" => handshake(request, verify_token).map(Authentication::Handshake),
        "POST" => signature(request, app_secret).map(|check| Authentication::Check(vec![check])),
        _ => Err(refusal(RefusalReason::MethodNotAllowed, "only GET (subscription challenge) and POST are taken")),
    };
    read.unwrap_or_else(Authentication::Refuse)
}

fn handshake(request: &Request, verify_token: &str) -> Result<Handshake, Refusal> {
    let malformed = |detail: String| refusal(RefusalReason::Malformed, detail);
    let form = Form::parse(request.query.as_deref().unwrap_or_default().as_bytes())
        .map_err(|error| malformed(error.to_string()))?;
    // Two parties might each read another one of two: once, or not at all.
    let once = |name: &str| -> Result<Vec<u8>, Refusal> {
        let mut values = form.pairs().iter().filter(|pair| pair.name == name.as_bytes());
        match (values.next(), values.next()) {
            (Some(pair), None) if !pair.value.is_empty() => Ok(pair.value.clone()),
            _ => Err(malformed(format!("a subscription challenge has {name} exactly once, not empty"))),
        }
    };
    if once("hub.mode")? != b"subscribe" {
        return Err(malformed("hub.mode is not subscribe".into()));
    }
    let challenge = once("hub.challenge")?;
    if challenge.len() > MAX_CHALLENGE {
        return Err(malformed(format!("hub.challenge is longer than {MAX_CHALLENGE} bytes")));
    }
    // It is answered as text of that encoding.
    if std::str::from_utf8(&challenge).is_err() {
        return Err(malformed("hub.challenge is not UTF-8".into()));
    }
    let token = once("hub.verify_token")?;
    let check = Check {
        scheme: Scheme::SharedSecret,
        key: Key::Secret(verify_token.into()),
        message: Vec::new(),
        tag: token,
        encoding: Encoding::Raw,
        signed_at: None,
        nonce: None,
        body_digest: None,
        credential_header: None,
    };
    // The challenge is the caller's text: it must never be taken for HTML.
    let headers = [("content-type", "text/plain; charset=utf-8"), ("x-content-type-options", "nosniff")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Ok(Handshake { checks: vec![check], answer: Response { status: 200, headers, body: challenge }, mac: None })
}

fn signature(request: &Request, app_secret: &str) -> Result<Check, Refusal> {
    let header = headers::required(&request.headers, SIGNATURE, 128).map_err(|mut refused| {
        let sha1 = request.headers.iter().any(|header| header.name.eq_ignore_ascii_case("x-hub-signature"));
        if refused.reason == RefusalReason::MissingSignature && sha1 {
            refused.detail.push_str("; x-hub-signature (SHA-1) alone is not accepted");
        }
        refused
    })?;
    let hex = header.strip_prefix(b"sha256=").filter(|hex| hex.len() == 64 && hex.iter().all(u8::is_ascii_hexdigit));
    let Some(hex) = hex else {
        return Err(refusal(
            RefusalReason::BadSignature,
            format!("header {SIGNATURE} is not `sha256=` and 64 hex digits"),
        ));
    };
    Ok(Check {
        scheme: Scheme::HmacSha256,
        key: Key::Secret(app_secret.into()),
        message: request.body.clone(),
        tag: hex.to_vec(),
        encoding: Encoding::Hex,
        signed_at: None,
        nonce: None,
        body_digest: None,
        credential_header: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Header;

    fn request(method: &str, query: Option<&str>, signature: &[(&str, &str)]) -> Request {
        Request {
            method: method.into(),
            url: String::new(),
            suffix: String::new(),
            query: query.map(str::to_owned),
            headers: signature
                .iter()
                .map(|(name, value)| Header { name: (*name).into(), value: value.as_bytes().to_vec() })
                .collect(),
            body: b"{}\n".to_vec(),
            received_at: 0,
        }
    }

    fn refused(method: &str, query: Option<&str>, headers: &[(&str, &str)]) -> Refusal {
        match authenticate(&request(method, query, headers), "verify_token", "app_secret") {
            Authentication::Refuse(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn the_challenge_is_echoed_byte_for_byte_as_plain_text_once_the_token_is_right() {
        let query = "hub.mode=subscribe&hub.challenge=%3Cb%3E1158201444%2B&hub.verify_token=t%20k";
        let read = authenticate(&request("GET", Some(query), &[]), "verify_token", "app_secret");
        let Authentication::Handshake(handshake) = read else { panic!("{read:?}") };
        assert_eq!(handshake.answer.body, b"<b>1158201444+");
        assert!(handshake.answer.headers.contains(&("content-type".into(), "text/plain; charset=utf-8".into())));
        let [check] = handshake.checks.as_slice() else { panic!("one check") };
        assert_eq!(
            (check.scheme, &check.key, check.tag.as_slice()),
            (Scheme::SharedSecret, &Key::Secret("verify_token".into()), b"t k".as_slice())
        );
    }

    #[test]
    fn half_a_challenge_is_malformed() {
        for query in [
            None,
            Some("hub.mode=subscribe&hub.challenge=1"),
            Some("hub.mode=subscribe&hub.verify_token=t"),
            Some("hub.mode=subscribe&hub.challenge=1&hub.verify_token="),
            Some("hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=t"),
            Some("hub.mode=subscribe&hub.challenge=1&hub.verify_token=a&hub.verify_token=b"),
            Some("hub.mode=subscribe&hub.challenge=%ad&hub.verify_token=t"),
        ] {
            assert_eq!(refused("GET", query, &[]).reason, RefusalReason::Malformed, "{query:?}");
        }
        let long = format!("hub.mode=subscribe&hub.challenge={}&hub.verify_token=t", "1".repeat(513));
        assert_eq!(refused("GET", Some(&long), &[]).reason, RefusalReason::Malformed);
    }

    #[test]
    fn the_signature_covers_the_raw_body() {
        let tag = "0f".repeat(32);
        let signed = request("POST", None, &[("x-hub-signature-256", &format!("sha256={tag}"))]);
        let Authentication::Check(checks) = authenticate(&signed, "verify_token", "app_secret") else { panic!() };
        let [check] = checks.as_slice() else { panic!("one check") };
        assert_eq!((check.message.as_slice(), check.tag.as_slice()), (b"{}\n".as_slice(), tag.as_bytes()));
        assert_eq!((check.scheme, check.encoding), (Scheme::HmacSha256, Encoding::Hex));
    }

    #[test]
    fn anything_but_one_sha_256_signature_is_refused() {
        let good = format!("sha256={}", "0f".repeat(32));
        let name = SIGNATURE;
        assert_eq!(refused("POST", None, &[]).reason, RefusalReason::MissingSignature);
        assert_eq!(refused("POST", None, &[(name, "")]).reason, RefusalReason::MissingSignature);
        assert_eq!(refused("POST", None, &[(name, "sha256=abc")]).reason, RefusalReason::BadSignature);
        assert_eq!(refused("POST", None, &[(name, &good.replace('f', "g"))]).reason, RefusalReason::BadSignature);
        assert_eq!(refused("POST", None, &[(name, &good), (name, &good)]).reason, RefusalReason::BadSignature);
        let sha1 = refused("POST", None, &[("x-hub-signature", "sha1=00")]);
        assert_eq!(sha1.reason, RefusalReason::MissingSignature);
        assert!(sha1.detail.contains("SHA-1"), "{}", sha1.detail);
        assert_eq!(refused("PUT", None, &[(name, &good)]).reason, RefusalReason::MethodNotAllowed);
    }
}
