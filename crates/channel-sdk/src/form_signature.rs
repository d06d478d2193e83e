//! A signature over the public URL followed by the sorted fields of a form: the scheme of the oldest telephony webhooks,
//! which others took over with their interface.
//!
//! The signed text is the URL as it was given to the provider, then, for a form by POST, each different pair of name and
//! value in byte order, decoded, without separators. A body that is no form is covered by `bodySHA256` in the query.

use crate::forms::{Form, TooManyPairs};
use crate::headers;
use crate::refusal::refusal;
use crate::types::{
    Authentication, Check, Context, Digest, DigestAlgorithm, Encoding, Key, Refusal, RefusalReason, Request, Scheme,
};

/// What a provider calls things.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The header with the base64 of HMAC-SHA1, by `secret`.
    pub signature: &'static str,
    /// Name of the secret setting.
    pub secret: &'static str,
    /// Where a header may say `key=<id>,algorithm=HMAC_SHA256`: that header, and the secret setting of such a key.
    pub shared_key: Option<(&'static str, &'static str)>,
}

/// base64 of 32 bytes has 44 characters.
const MAX_SIGNATURE: usize = 64;
const MAX_SETTINGS: usize = 256;

/// Names what must hold for a request to be the provider's.
pub fn authenticate(request: &Request, context: &Context, names: &Names) -> Authentication {
    match checks(request, context, names) {
        Ok(checks) => Authentication::Check(checks),
        Err(refused) => Authentication::Refuse(refused),
    }
}

fn checks(request: &Request, context: &Context, names: &Names) -> Result<Vec<Check>, Refusal> {
    if !matches!(request.method.as_str(), "GET" | "POST") {
        return Err(refusal(RefusalReason::MethodNotAllowed, "webhooks come by GET or POST"));
    }
    let tag = headers::required(&request.headers, names.signature, MAX_SIGNATURE)?;
    let (scheme, secret) = key(request, context, names)?;
    let (fields, body_digest) = covered(request)?;
    let check = |url: String| Check {
        scheme,
        key: Key::Secret(secret.into()),
        message: [url.as_bytes(), fields.as_slice()].concat(),
        tag: tag.to_vec(),
        encoding: Encoding::Base64,
        signed_at: None,
        nonce: None,
        body_digest: body_digest.clone(),
        credential_header: None,
    };
    Ok(spellings(&request.url).into_iter().map(check).collect())
}

fn key(request: &Request, context: &Context, names: &Names) -> Result<(Scheme, &'static str), Refusal> {
    let Some((header, secret)) = names.shared_key else {
        return Ok((Scheme::HmacSha1, names.secret));
    };
    let Some(settings) = headers::single(&request.headers, header, MAX_SETTINGS)? else {
        return Ok((Scheme::HmacSha1, names.secret));
    };
    let settings = String::from_utf8_lossy(settings);
    let is_known = |piece: &str| {
        piece.split_once('=').is_some_and(|(name, value)| (name.trim(), value.trim()) == ("algorithm", "HMAC_SHA256"))
    };
    let bad = |detail: String| Err(refusal(RefusalReason::BadSignature, detail));
    if !settings.split(',').any(is_known) {
        return bad("the shared key's algorithm is not HMAC_SHA256".into());
    }
    if !context.secrets.iter().any(|name| name == secret) {
        return bad(format!(
            "signed with a shared key: put its secret into the setting {secret}, or switch shared keys off"
        ));
    }
    Ok((Scheme::HmacSha256, secret))
}

/// What follows the URL in the signed text, and the digest that stands for a body that is no form.
fn covered(request: &Request) -> Result<(Vec<u8>, Option<Digest>), Refusal> {
    let too_many = |problem: TooManyPairs| refusal(RefusalReason::TooLarge, problem.to_string());
    // Nothing covers the body of a GET: nobody may read it.
    if request.method == "GET" {
        return Ok((Vec::new(), None));
    }
    if is_form(request) {
        return Ok((fields(&Form::parse(&request.body).map_err(too_many)?), None));
    }
    let query = Form::parse(request.query.as_deref().unwrap_or_default().as_bytes()).map_err(too_many)?;
    let mut digests = query.pairs().iter().filter(|pair| pair.name == b"bodySHA256");
    match (digests.next(), digests.next()) {
        (Some(pair), None) if pair.value.len() == 64 => {
            let digest =
                Digest { algorithm: DigestAlgorithm::Sha256, value: pair.value.clone(), encoding: Encoding::Hex };
            Ok((Vec::new(), Some(digest)))
        }
        _ => Err(refusal(RefusalReason::UnsupportedMediaType, "the body is no form, and no bodySHA256 covers it")),
    }
}

/// Whether the body is to be read as a form. An empty one needs no content type.
pub fn is_form(request: &Request) -> bool {
    match headers::media_type(&request.headers).as_str() {
        "application/x-www-form-urlencoded" => true,
        "" => request.body.is_empty(),
        _ => false,
    }
}

/// The fields that were signed: those of the body, or of the query of a GET.
///
/// # Errors
///
/// [`TooManyPairs`].
pub fn signed_form(request: &Request) -> Result<Form, TooManyPairs> {
    match request.method.as_str() {
        "GET" => Form::parse(request.query.as_deref().unwrap_or_default().as_bytes()),
        _ if is_form(request) => Form::parse(&request.body),
        _ => Ok(Form::default()),
    }
}

fn fields(form: &Form) -> Vec<u8> {
    let mut pairs: Vec<_> = form.pairs().iter().map(|pair| (pair.name.as_slice(), pair.value.as_slice())).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs.iter().flat_map(|(name, value)| [*name, *value]).flatten().copied().collect()
}

/// The URL as it is, and with its port taken away or the standard one added: providers' back ends sign one or the other.
fn spellings(url: &str) -> Vec<String> {
    let other = || {
        let (scheme, rest) = url.split_once("://")?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // The colons of an IPv6 address stand in brackets, those of credentials before an `@`.
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
        Some(match port {
            Some(port) => {
                let name = authority.strip_suffix(port)?.strip_suffix(':')?;
                format!("{scheme}://{name}{tail}")
            }
            None => {
                let port = if scheme.eq_ignore_ascii_case("http") { 80 } else { 443 };
                format!("{scheme}://{authority}:{port}{tail}")
            }
        })
    };
    core::iter::once(url.to_owned()).chain(other()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Header;

    const NAMES: Names =
        Names { signature: "x-sig", secret: "token", shared_key: Some(("x-sig-settings", "shared_key")) };

    fn request(method: &str, content_type: &str, query: Option<&str>, body: &str, more: &[(&str, &str)]) -> Request {
        let mut headers = vec![("content-type", content_type), ("x-sig", "c2ln")];
        headers.extend(more);
        Request {
            method: method.into(),
            url: "https://city.example/sms".into(),
            suffix: String::new(),
            query: query.map(str::to_owned),
            headers: headers
                .iter()
                .map(|(name, value)| Header { name: (*name).into(), value: value.as_bytes().to_vec() })
                .collect(),
            body: body.into(),
            received_at: 0,
        }
    }

    fn context(secrets: &[&str]) -> Context {
        let profile = crate::json::parse_profile(&serde_json::json!({"tenant": "t", "name": "T", "languages": ["es"]}));
        Context {
            tenant: "t".into(),
            public_url: "https://city.example/sms".into(),
            settings: vec![],
            secrets: secrets.iter().map(|name| (*name).to_owned()).collect(),
            profile: profile.unwrap(),
        }
    }

    fn named(request: &Request, secrets: &[&str]) -> Result<Vec<Check>, RefusalReason> {
        match authenticate(request, &context(secrets), &NAMES) {
            Authentication::Check(checks) => Ok(checks),
            Authentication::Refuse(refused) => Err(refused.reason),
            other => panic!("{other:?}"),
        }
    }

    const FORM: &str = "application/x-www-form-urlencoded; charset=UTF-8";

    #[test]
    fn fields_are_sorted_decoded_and_told_once() {
        let checks = named(&request("POST", FORM, None, "b=2&a=%2B3+4&b=1&b=2&A=", &[]), &[]).unwrap();
        assert_eq!(String::from_utf8(checks[0].message.clone()).unwrap(), "https://city.example/smsAa+3 4b1b2");
        assert_eq!(String::from_utf8(checks[1].message.clone()).unwrap(), "https://city.example:443/smsAa+3 4b1b2");
        assert_eq!((checks[0].scheme, &checks[0].key), (Scheme::HmacSha1, &Key::Secret("token".into())));
    }

    #[test]
    fn a_get_is_covered_by_its_url_alone_and_its_body_is_not_read() {
        let get = request("GET", FORM, Some("a=1"), "a=2", &[]);
        assert_eq!(named(&get, &[]).unwrap()[0].message, b"https://city.example/sms");
        assert_eq!(signed_form(&get).unwrap().get("a").as_deref(), Some("1"));
    }

    #[test]
    fn a_body_that_is_no_form_needs_its_digest_in_the_url() {
        let digest = format!("bodySHA256={}", "0a".repeat(32));
        let checks = named(&request("POST", "application/json", Some(&digest), "{}", &[]), &[]).unwrap();
        assert_eq!(checks[0].body_digest.as_ref().unwrap().value, "0a".repeat(32).as_bytes());
        let json = |query| named(&request("POST", "application/json", query, "{}", &[]), &[]);
        assert_eq!(json(None), Err(RefusalReason::UnsupportedMediaType));
        assert_eq!(json(Some("bodySHA256=")), Err(RefusalReason::UnsupportedMediaType));
        assert_eq!(json(Some(&format!("{digest}&{digest}"))), Err(RefusalReason::UnsupportedMediaType));
    }

    #[test]
    fn a_shared_key_is_used_when_there_is_one_and_its_algorithm_is_known() {
        let settings = |value: &'static str| request("POST", FORM, None, "a=1", &[("x-sig-settings", value)]);
        let checks = named(&settings("key=SK1, algorithm=HMAC_SHA256"), &["shared_key"]).unwrap();
        assert_eq!((checks[0].scheme, &checks[0].key), (Scheme::HmacSha256, &Key::Secret("shared_key".into())));
        assert_eq!(named(&settings("key=SK1,algorithm=HMAC_SHA256"), &[]), Err(RefusalReason::BadSignature));
        assert_eq!(named(&settings("key=SK1,algorithm=NONE"), &["shared_key"]), Err(RefusalReason::BadSignature));
    }

    #[test]
    fn a_missing_or_repeated_signature_is_refused() {
        let mut none = request("POST", FORM, None, "a=1", &[]);
        none.headers.retain(|header| header.name != "x-sig");
        assert_eq!(named(&none, &[]), Err(RefusalReason::MissingSignature));
        assert_eq!(named(&request("POST", FORM, None, "", &[("x-sig", "b")]), &[]), Err(RefusalReason::BadSignature));
        assert_eq!(named(&request("PUT", FORM, None, "", &[]), &[]), Err(RefusalReason::MethodNotAllowed));
        let many = "a&".repeat(crate::forms::MAX_PAIRS + 1);
        assert_eq!(named(&request("POST", FORM, None, &many, &[]), &[]), Err(RefusalReason::TooLarge));
    }

    #[test]
    fn a_url_is_spelled_with_and_without_its_port() {
        for (url, other) in [
            ("https://city.example/a?b=%2b", "https://city.example:443/a?b=%2b"),
            ("https://city.example:443/a", "https://city.example/a"),
            ("http://city.example?x=1:2", "http://city.example:80?x=1:2"),
            ("https://user:pass@city.example/", "https://user:pass@city.example:443/"),
            ("https://user:pass@city.example:8443/", "https://user:pass@city.example/"),
            ("https://[2001:db8::1]/v", "https://[2001:db8::1]:443/v"),
            ("https://[2001:db8::1]:8443/v", "https://[2001:db8::1]/v"),
        ] {
            assert_eq!(spellings(url), [url, other]);
        }
        assert_eq!(spellings("no url"), ["no url"]);
    }
}
