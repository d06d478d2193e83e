//! Evaluates what a connector names to be checked, with the crate the gateway uses.

use channel_sdk::types::{Check, DigestAlgorithm, Encoding, Key, Request, Scheme};
use signatures::{Claim, digest, encoding, verify, window};

use super::story::Secrets;

/// Whether the check passes for a request: the tag, the window, and the body's digest where that is what was signed.
pub(super) fn passes(check: &Check, request: &Request, secrets: &Secrets) -> bool {
    let in_time =
        check.signed_at.is_none_or(|signed| window::contains(request.received_at, signed.at, signed.window_s));
    let digested = check.body_digest.as_ref().is_none_or(|claimed| {
        let algorithm = match claimed.algorithm {
            DigestAlgorithm::Sha256 => digest::Algorithm::Sha256,
            DigestAlgorithm::Sha512 => digest::Algorithm::Sha512,
        };
        digest::verify(algorithm, &request.body, &claimed.value, written(claimed.encoding)).is_ok()
    });
    let claim = Claim {
        scheme: scheme(check.scheme),
        message: &check.message,
        tag: &check.tag,
        encoding: written(check.encoding),
    };
    let proven = |key: signatures::Key<'_>| verify(&claim, key, request.received_at).is_ok();
    let values = |name: &String| secrets.get(name).cloned().unwrap_or_default();
    in_time
        && digested
        && match &check.key {
            Key::Secret(name) => values(name).iter().any(|value| proven(signatures::Key::Secret(value.as_bytes()))),
            Key::SecretBase64(name) => values(name)
                .iter()
                .filter_map(|value| encoding::secret_base64(value.as_bytes()).ok())
                .any(|value| proven(signatures::Key::Secret(&value))),
            Key::Public(bytes) => proven(signatures::Key::Public(bytes)),
        }
}

/// Whether two tags are one tag in two spellings: hexadecimal in the other case.
pub(super) fn same_tag(one: &Check, other: &Check) -> bool {
    one.encoding == Encoding::Hex && one.tag.eq_ignore_ascii_case(&other.tag)
}

/// Whether the check's key is this secret.
pub(super) fn names(check: &Check, secret: &str) -> bool {
    matches!(&check.key, Key::Secret(name) | Key::SecretBase64(name) if name == secret)
}

fn written(encoding: Encoding) -> signatures::Encoding {
    match encoding {
        Encoding::Raw => signatures::Encoding::Raw,
        Encoding::Hex => signatures::Encoding::Hex,
        Encoding::Base64 => signatures::Encoding::Base64,
        Encoding::Base64url => signatures::Encoding::Base64Url,
    }
}

fn scheme(scheme: Scheme) -> signatures::Scheme {
    match scheme {
        Scheme::HmacSha1 => signatures::Scheme::HmacSha1,
        Scheme::HmacSha256 => signatures::Scheme::HmacSha256,
        Scheme::HmacSha512 => signatures::Scheme::HmacSha512,
        Scheme::Ed25519 => signatures::Scheme::Ed25519,
        Scheme::EcdsaP256Sha256 => signatures::Scheme::EcdsaP256Sha256,
        Scheme::RsaPkcs1Sha256 => signatures::Scheme::RsaPkcs1Sha256,
        Scheme::RsaPkcs1Sha1 => signatures::Scheme::RsaPkcs1Sha1,
        Scheme::JwtHs256 => signatures::Scheme::JwtHs256,
        Scheme::JwtRs256 => signatures::Scheme::JwtRs256,
        Scheme::SharedSecret => signatures::Scheme::SharedSecret,
        Scheme::Basic => signatures::Scheme::Basic,
        Scheme::Bearer => signatures::Scheme::Bearer,
    }
}
