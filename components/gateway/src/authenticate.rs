//! Does what a connector's `authenticate` names: the crypto, the clock window, the digest, the handshake. Nothing passes by
//! default: no check, an absent secret, an undecodable tag and a fifth round are refusals.

use channel_sdk::types::{
    Authentication, Check, Context, Descriptor, Digest, DigestAlgorithm, Encoding, Fetched, Handshake, Key, Lookup,
    Mac, Refusal, RefusalReason, Request, Response, Scheme,
};
use signatures::{Claim, Mismatch};

use crate::fetch;
use crate::ports::Ports;
use crate::settings::Settings;

/// How often a connector may ask for more before it has to decide.
pub(crate) const MAX_ROUNDS: usize = 4;
const MAX_CHECKS: usize = 16;

/// What is known about a request now.
#[derive(Debug)]
pub(crate) enum Proof {
    Genuine(Genuine),
    Handshake(Response),
    /// Nothing needs proof: what is asked for is public.
    Lookup(Lookup),
    Refused(Refusal),
}

/// A request that may be believed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Genuine {
    /// Scheme and key name.
    pub(crate) verified_by: String,
    pub(crate) nonce: Option<String>,
    /// Headers whose values stay out of the store.
    pub(crate) credentials: Vec<String>,
    /// What was fetched to prove it: `translate` need not ask for it again.
    pub(crate) fetched: Vec<Fetched>,
}

/// Asks the connector what to check, and checks it.
pub(crate) async fn prove<P: Ports>(
    ports: &P,
    descriptor: &Descriptor,
    settings: &Settings,
    request: &Request,
    context: &Context,
) -> Proof {
    let mut fetched = Vec::new();
    for _ in 0..=MAX_ROUNDS {
        match ports.authenticate(request, context, &fetched) {
            Authentication::Fetch(wanted) if !wanted.is_empty() => {
                fetch::all(ports, descriptor, settings, &wanted, &mut fetched).await;
            }
            Authentication::Fetch(_) => return refused(RefusalReason::BadSignature, "the connector asked for nothing"),
            answer => {
                let mut proof = decide(answer, settings, request);
                if let Proof::Genuine(genuine) = &mut proof {
                    genuine.fetched = fetched;
                }
                return proof;
            }
        }
    }
    refused(RefusalReason::BadSignature, "what proves the request could not be fetched in four rounds")
}

/// Everything that needs no more bytes.
pub(crate) fn decide(answer: Authentication, settings: &Settings, request: &Request) -> Proof {
    match answer {
        Authentication::Check(checks) => match any(&checks, settings, request) {
            Ok(genuine) => Proof::Genuine(genuine),
            Err(refusal) => Proof::Refused(refusal),
        },
        Authentication::Handshake(handshake) => match shake(handshake, settings, request) {
            Ok(answer) => Proof::Handshake(answer),
            Err(refusal) => Proof::Refused(refusal),
        },
        Authentication::Refuse(refusal) => Proof::Refused(refusal),
        Authentication::Unsigned(_) if settings.allow_unsigned => {
            Proof::Genuine(Genuine { verified_by: "unsigned".into(), ..Genuine::default() })
        }
        Authentication::Unsigned(why) => refused(
            RefusalReason::Unsigned,
            &format!("no proof is possible ({why}); the setting `allow_unsigned` accepts such requests"),
        ),
        // RFC 9110 §9.2.1: reading is what GET is for. Whatever wants to change something has to be stored to be accepted.
        Authentication::Lookup(lookup) if request.method == "GET" => Proof::Lookup(limited(lookup)),
        Authentication::Lookup(_) => refused(RefusalReason::MethodNotAllowed, "public look-ups are made with GET"),
        Authentication::Fetch(_) => refused(RefusalReason::BadSignature, "the connector asked for more"),
    }
}

fn limited(mut lookup: Lookup) -> Lookup {
    const MAX: u32 = 1000;
    lookup.limit = lookup.limit.clamp(1, MAX);
    lookup.references.truncate(MAX as usize);
    lookup.service_codes.truncate(MAX as usize);
    lookup.statuses.truncate(MAX as usize);
    for text in lookup.references.iter_mut().chain(&mut lookup.service_codes) {
        text.retain(|c| c != '\0');
    }
    lookup
}

/// One check that passes suffices. Of several failures the most telling is reported.
fn any(checks: &[Check], settings: &Settings, request: &Request) -> Result<Genuine, Refusal> {
    let mut worst: Option<(u8, Refusal)> = None;
    for check in checks.iter().take(MAX_CHECKS) {
        match one(check, settings, request) {
            Ok(verified_by) => {
                return Ok(Genuine {
                    verified_by,
                    nonce: check.nonce.clone().filter(|nonce| !nonce.is_empty()),
                    // Of every check: a header that carries a credential does so whichever check passed.
                    credentials: checks.iter().filter_map(|check| check.credential_header.clone()).collect(),
                    fetched: Vec::new(),
                });
            }
            Err((rank, refusal)) if worst.as_ref().is_none_or(|(known, _)| rank > *known) => {
                worst = Some((rank, refusal))
            }
            Err(_) => {}
        }
    }
    Err(worst.map_or_else(
        || Refusal {
            reason: RefusalReason::MissingSignature,
            detail: "the request carries nothing that could be checked".into(),
        },
        |(_, refusal)| refusal,
    ))
}

/// A failure and how much it tells: the further a check came, the more.
type Failed = (u8, Refusal);

fn one(check: &Check, settings: &Settings, request: &Request) -> Result<String, Failed> {
    let fail = |rank, reason, detail: String| (rank, Refusal { reason, detail });
    let scheme = scheme(check.scheme);
    if check.tag.is_empty() && !matches!(check.scheme, Scheme::JwtHs256 | Scheme::JwtRs256) {
        return Err(fail(1, RefusalReason::MissingSignature, "the signature or credential is empty".into()));
    }
    let claim = Claim { scheme, message: &check.message, tag: &check.tag, encoding: encoding(check.encoding) };
    let (keys, key_name) = keys(&check.key, settings).map_err(|why| fail(0, RefusalReason::BadSignature, why))?;

    let mut mismatch = Mismatch::Wrong;
    let mut passed = false;
    // Every key is tried, so that the time taken does not tell which one it was.
    for key in &keys {
        match signatures::verify(&claim, key.as_key(), request.received_at) {
            Ok(_) => passed = true,
            Err(why) => mismatch = why,
        }
    }
    if !passed {
        let reason =
            if matches!(mismatch, Mismatch::Stale(_)) { RefusalReason::Stale } else { RefusalReason::BadSignature };
        return Err(fail(2, reason, format!("{} with {key_name}: {mismatch}", scheme.name())));
    }
    if let Some(signed) = &check.signed_at
        && !signatures::window::contains(request.received_at, signed.at, signed.window_s)
    {
        let detail =
            format!("signed outside the window of {} s; if it is always so, a clock is wrong", signed.window_s);
        return Err(fail(4, RefusalReason::Stale, detail));
    }
    if let Some(claimed) = &check.body_digest {
        let right = digest(claimed, &request.body);
        right.map_err(|why| fail(3, RefusalReason::BadSignature, format!("the body's digest: {why}")))?;
    }
    Ok(format!("{} {key_name}", scheme.name()))
}

fn digest(claimed: &Digest, body: &[u8]) -> Result<(), Mismatch> {
    let algorithm = match claimed.algorithm {
        DigestAlgorithm::Sha256 => signatures::digest::Algorithm::Sha256,
        DigestAlgorithm::Sha512 => signatures::digest::Algorithm::Sha512,
    };
    signatures::digest::verify(algorithm, body, &claimed.value, encoding(claimed.encoding)).map(|_| ())
}

/// ALL checks of a handshake must hold: it has no store behind it that would refuse a repetition.
fn shake(handshake: Handshake, settings: &Settings, request: &Request) -> Result<Response, Refusal> {
    for check in handshake.checks.iter().take(MAX_CHECKS + 1) {
        one(check, settings, request).map_err(|(_, refusal)| refusal)?;
    }
    let mut answer = handshake.answer;
    if let Some(mac) = &handshake.mac {
        let value =
            make_mac(mac, settings).map_err(|detail| Refusal { reason: RefusalReason::BadSignature, detail })?;
        answer.body = replace(&answer.body, mac.placeholder.as_bytes(), &value);
    }
    Ok(answer)
}

fn make_mac(mac: &Mac, settings: &Settings) -> Result<Vec<u8>, String> {
    if mac.placeholder.is_empty() {
        return Err("the connector named no placeholder for the MAC".into());
    }
    sign(mac.scheme, &mac.key, &mac.message, mac.encoding, settings)
}

/// A MAC or signature with the first, that is newest, value of a secret.
pub(crate) fn sign(
    with: Scheme,
    key: &Key,
    message: &[u8],
    written: Encoding,
    settings: &Settings,
) -> Result<Vec<u8>, String> {
    let (keys, name) = keys(key, settings)?;
    match keys.first() {
        Some(Material::Secret(secret)) => {
            let tag = signatures::sign(scheme(with), secret, message)
                .map_err(|why| format!("a signature with {name}: {why}"))?;
            Ok(signatures::encoding::encode(&tag, encoding(written)))
        }
        _ => Err("a signature needs a secret".into()),
    }
}

enum Material {
    Secret(Vec<u8>),
    Public(Vec<u8>),
}

impl Material {
    fn as_key(&self) -> signatures::Key<'_> {
        match self {
            Self::Secret(bytes) => signatures::Key::Secret(bytes),
            Self::Public(bytes) => signatures::Key::Public(bytes),
        }
    }
}

/// Key material and a name for it that may be logged.
fn keys(key: &Key, settings: &Settings) -> Result<(Vec<Material>, String), String> {
    let values = |name: &str| match settings.secret(name) {
        [] => Err(format!("the secret setting `{name}` is not there")),
        values => Ok(values.iter()),
    };
    match key {
        Key::Secret(name) => {
            Ok((values(name)?.map(|value| Material::Secret(value.as_bytes().to_vec())).collect(), name.clone()))
        }
        Key::SecretBase64(name) => {
            let decoded: Result<_, _> = values(name)?
                .map(|value| signatures::encoding::secret_base64(value.as_bytes()).map(Material::Secret))
                .collect();
            Ok((decoded.map_err(|why| format!("the secret setting `{name}`: {why}"))?, name.clone()))
        }
        Key::Public(bytes) => Ok((vec![Material::Public(bytes.clone())], "a public key".into())),
    }
}

fn replace(text: &[u8], placeholder: &[u8], value: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len() + value.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(placeholder) {
            replaced.extend_from_slice(value);
            rest = after;
        } else {
            replaced.push(first);
            rest = after;
        }
    }
    replaced
}

fn refused(reason: RefusalReason, detail: &str) -> Proof {
    Proof::Refused(Refusal { reason, detail: detail.to_owned() })
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

fn encoding(encoding: Encoding) -> signatures::Encoding {
    match encoding {
        Encoding::Raw => signatures::Encoding::Raw,
        Encoding::Hex => signatures::Encoding::Hex,
        Encoding::Base64 => signatures::Encoding::Base64,
        Encoding::Base64url => signatures::Encoding::Base64Url,
    }
}

#[cfg(test)]
mod tests;
