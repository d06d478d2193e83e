//! What a request claims about its signature, in the two forms the Fediverse has: draft-cavage-http-signatures-12 (what most
//! servers send) and RFC 9421 with RFC 9530 digests (what newer ones begin with). Neither is believed here: the result is the
//! bytes that the gateway checks.

use channel_sdk::headers::{required, single};
use channel_sdk::refusal::refusal;
use channel_sdk::time;
use channel_sdk::types::{
    Digest, DigestAlgorithm, Encoding, Header, Instant, Refusal, RefusalReason, Request, SignedTime,
};

use crate::wire::{authority, target};

/// Mastodon's window. A delivery is a duplicate by its activity's id however often it comes, so what a narrower one would keep
/// out is only citizens whose server's clock is wrong.
const WINDOW_S: u32 = 12 * 3600;
const MAX_HEADER: usize = 8 * 1024;

/// A signature as claimed.
#[derive(Debug)]
pub(crate) struct Claimed {
    /// URL of the key.
    pub(crate) key_id: String,
    /// The bytes signed.
    pub(crate) message: Vec<u8>,
    /// In base64.
    pub(crate) tag: Vec<u8>,
    pub(crate) signed_at: SignedTime,
    pub(crate) digest: Digest,
    /// A single-use value (RFC 9421 `nonce`).
    pub(crate) nonce: Option<String>,
}

fn bad(detail: &str) -> Refusal {
    refusal(RefusalReason::BadSignature, detail)
}

/// Reads the claim. What does not cover method, target, host, time and body is none.
pub(crate) fn read(request: &Request) -> Result<Claimed, Refusal> {
    let claimed = match single(&request.headers, "signature-input", MAX_HEADER)? {
        Some(input) => rfc9421(request, text(input)?)?,
        None => cavage(request, text(required(&request.headers, "signature", MAX_HEADER)?)?)?,
    };
    // Before anything is fetched for it.
    let age = request.received_at.abs_diff(claimed.signed_at.at);
    if age > u64::from(claimed.signed_at.window_s) * 1000 {
        return Err(refusal(RefusalReason::Stale, "signed more than 12 hours away from now by our clock"));
    }
    Ok(claimed)
}

fn text(value: &[u8]) -> Result<&str, Refusal> {
    str::from_utf8(value).map_err(|_| bad("the signature header is not text"))
}

/// RFC 9110 §5.3: several lines of one header are one list.
fn combined(headers: &[Header], name: &str) -> Result<Vec<u8>, Refusal> {
    let values: Vec<&[u8]> =
        headers.iter().filter(|header| header.name == name).map(|header| header.value.trim_ascii()).collect();
    if values.is_empty() {
        return Err(bad("the signature covers a header that is not there"));
    }
    Ok(values.join(&b", "[..]))
}

/// `expires` in seconds: a signature may end before its window does.
fn unexpired(expires: Option<&str>, request: &Request) -> Result<(), Refusal> {
    let Some(expires) = expires else { return Ok(()) };
    // Fedify writes whole seconds; others a fraction, which makes no difference.
    let whole = expires.split('.').next().unwrap_or_default();
    let expires = seconds(Some(whole)).ok_or_else(|| bad("`expires` is no number"))?;
    if request.received_at > expires.saturating_add(1000) {
        Err(refusal(RefusalReason::Stale, "the signature has expired"))
    } else {
        Ok(())
    }
}

fn seconds(value: Option<&str>) -> Option<Instant> {
    let seconds: i64 = value?.parse().ok()?;
    seconds.checked_mul(1000)
}

// ---------------------------------------------------------------- draft-cavage-http-signatures-12

fn cavage(request: &Request, header: &str) -> Result<Claimed, Refusal> {
    let parameters = parameters(header).ok_or_else(|| bad("the signature header can't be read"))?;
    let get = |name: &str| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    // §2.1.3: `hs2019` says nothing; the key's kind does.
    if !matches!(get("algorithm").map(str::to_ascii_lowercase).as_deref(), None | Some("rsa-sha256" | "hs2019")) {
        return Err(bad("the algorithm is not rsa-sha256"));
    }
    let covered = get("headers").unwrap_or_default().to_ascii_lowercase();
    let covered: Vec<&str> = covered.split_ascii_whitespace().collect();
    if !["(request-target)", "host", "digest"].iter().all(|name| covered.contains(name)) {
        return Err(bad("the signature must cover (request-target), host, digest and date"));
    }
    let created = seconds(get("created")).filter(|_| covered.contains(&"(created)"));
    let signed_at = match single(&request.headers, "date", 64)? {
        Some(date) if covered.contains(&"date") => time::rfc2822(text(date)?),
        _ => created,
    };
    unexpired(get("expires"), request)?;
    let mut message = Vec::new();
    for name in &covered {
        if !message.is_empty() {
            message.push(b'\n');
        }
        message.extend_from_slice(name.as_bytes());
        message.extend_from_slice(b": ");
        match *name {
            "(request-target)" => {
                message.extend(format!("{} {}", request.method.to_ascii_lowercase(), target(&request.url)).into_bytes())
            }
            // The host that the sender was given, not the one a proxy or a stranger names.
            "host" => message.extend(authority(&request.url).unwrap_or_default().into_bytes()),
            "(created)" | "(expires)" => {
                let value = get(name.trim_matches(['(', ')'])).ok_or_else(|| bad("a time it covers is not there"))?;
                message.extend_from_slice(value.as_bytes());
            }
            name => message.extend(combined(&request.headers, name)?),
        }
    }
    Ok(Claimed {
        key_id: get("keyid").ok_or_else(|| bad("the signature names no key"))?.to_owned(),
        message,
        tag: get("signature").ok_or_else(|| bad("there is no signature in its header"))?.as_bytes().to_vec(),
        signed_at: SignedTime {
            at: signed_at.ok_or_else(|| bad("the signature covers no time that can be read: a date must be there"))?,
            window_s: WINDOW_S,
        },
        digest: digest(text(required(&request.headers, "digest", 512)?)?)?,
        nonce: None,
    })
}

/// `name="value",name=number`. Names are lower-cased by comparison; a name twice is not readable.
fn parameters(header: &str) -> Option<Vec<(&'static str, &str)>> {
    const KNOWN: [&str; 6] = ["keyid", "algorithm", "headers", "signature", "created", "expires"];
    let mut found: Vec<(&'static str, &str)> = Vec::new();
    let mut rest = header.trim();
    // Some write the scheme of an Authorization header before it.
    if let Some((first, after)) = rest.split_once(' ')
        && first.eq_ignore_ascii_case("signature")
    {
        rest = after.trim_start();
    }
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                after.split_at_checked(end).map(|(value, after)| (value.trim(), after))?
            }
        };
        if let Some(known) = KNOWN.iter().find(|known| known.eq_ignore_ascii_case(name.trim())) {
            if found.iter().any(|(name, _)| name == known) {
                return None;
            }
            found.push((known, value));
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(found)
}

/// RFC 3230: `SHA-256=<base64>`, the name in any case; others may stand beside it.
fn digest(header: &str) -> Result<Digest, Refusal> {
    let mut values = header.split(',').filter_map(|member| {
        let (algorithm, value) = member.trim().split_once('=')?;
        let algorithm = match algorithm.to_ascii_lowercase().as_str() {
            "sha-256" => DigestAlgorithm::Sha256,
            "sha-512" => DigestAlgorithm::Sha512,
            _ => return None,
        };
        Some(Digest { algorithm, value: value.as_bytes().to_vec(), encoding: Encoding::Base64 })
    });
    values.next().ok_or_else(|| bad("the body's digest is neither SHA-256 nor SHA-512"))
}

// ---------------------------------------------------------------- RFC 9421

fn rfc9421(request: &Request, input: &str) -> Result<Claimed, Refusal> {
    let (label, value) = input.split_once('=').ok_or_else(|| bad("Signature-Input can't be read"))?;
    let label = label.trim();
    let input = Input::parse(value.trim()).ok_or_else(|| bad("Signature-Input does not hold one signature"))?;
    let signature = text(required(&request.headers, "signature", MAX_HEADER)?)?;
    let tag = signature
        .split_once('=')
        .filter(|(name, _)| name.trim() == label)
        .and_then(|(_, value)| value.trim().strip_prefix(':')?.strip_suffix(':'))
        .filter(|tag| !tag.contains(':'))
        .ok_or_else(|| bad("there is no signature with the label of Signature-Input"))?;
    if !matches!(input.get("alg"), None | Some("rsa-v1_5-sha256")) {
        return Err(bad("the algorithm is not rsa-v1_5-sha256"));
    }
    let covers = |name: &str| input.components.contains(&name);
    let whole_target =
        covers("@target-uri") || (covers("@authority") && (covers("@request-target") || covers("@path")));
    // With @path alone the query is free; we give no URL that has one.
    let has_query = request.query.is_some() && covers("@path") && !covers("@query");
    if !covers("@method") || !covers("content-digest") || !whole_target || (has_query && !covers("@target-uri")) {
        return Err(bad("the signature must cover @method, @target-uri and content-digest"));
    }
    unexpired(input.get("expires"), request)?;
    let mut message = Vec::new();
    for name in &input.components {
        message.extend(format!("\"{name}\": ").into_bytes());
        message.extend(component(request, name)?);
        message.push(b'\n');
    }
    message.extend(format!("\"@signature-params\": {}", input.raw).into_bytes());
    let created = seconds(input.get("created")).ok_or_else(|| bad("the signature has no `created`"))?;
    Ok(Claimed {
        key_id: input.get("keyid").ok_or_else(|| bad("the signature names no key"))?.to_owned(),
        message,
        tag: tag.as_bytes().to_vec(),
        signed_at: SignedTime { at: created, window_s: WINDOW_S },
        digest: content_digest(text(required(&request.headers, "content-digest", 512)?)?)?,
        nonce: input.get("nonce").map(|nonce| format!("{} {nonce}", input.get("keyid").unwrap_or_default())),
    })
}

/// §2.2: what a derived component or a header is in this request.
fn component(request: &Request, name: &str) -> Result<Vec<u8>, Refusal> {
    let url = request.url.as_str();
    let path_and_query = target(url);
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    Ok(match name {
        "@method" => request.method.clone().into_bytes(),
        "@target-uri" => url.as_bytes().to_vec(),
        "@authority" | "host" => authority(url).unwrap_or_default().into_bytes(),
        "@scheme" => url.split("://").next().unwrap_or_default().to_ascii_lowercase().into_bytes(),
        "@request-target" => path_and_query.as_bytes().to_vec(),
        "@path" => path.as_bytes().to_vec(),
        "@query" => format!("?{query}").into_bytes(),
        derived if derived.starts_with('@') => return Err(bad("the signature covers a component we don't know")),
        header => combined(&request.headers, header)?,
    })
}

/// One member of `Signature-Input` (§4.1).
struct Input<'a> {
    components: Vec<&'a str>,
    parameters: Vec<(&'a str, &'a str)>,
    /// As it came: §2.3 wants it in its canonical form, which is what is sent.
    raw: &'a str,
}

impl<'a> Input<'a> {
    fn parse(raw: &'a str) -> Option<Self> {
        let (list, mut rest) = raw.strip_prefix('(')?.split_once(')')?;
        let mut components = Vec::new();
        for item in list.split_ascii_whitespace() {
            let name = item.strip_prefix('"')?.strip_suffix('"')?;
            let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"@-_".contains(&byte);
            // §2.5: each once. Parameters (`;sf`, `;req`) change what is signed: nobody sends them here.
            if name.is_empty() || !name.bytes().all(is_name) || components.contains(&name) {
                return None;
            }
            components.push(name);
        }
        let mut parameters: Vec<(&str, &str)> = Vec::new();
        while let Some(parameter) = rest.strip_prefix(';') {
            let (name, after) = parameter.split_once('=')?;
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').filter(|(value, _)| !value.contains('\\'))?,
                None => after.split_at_checked(after.find([';', ',', ' ']).unwrap_or(after.len()))?,
            };
            let name = name.trim();
            if parameters.iter().any(|(known, _)| *known == name) {
                return None;
            }
            parameters.push((name, value));
            rest = after;
        }
        // What follows would be a second signature.
        rest.is_empty().then_some(Self { components, parameters, raw })
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// RFC 9530 §2: `sha-256=:<base64>:`.
fn content_digest(header: &str) -> Result<Digest, Refusal> {
    let mut values = header.split(',').filter_map(|member| {
        let (algorithm, value) = member.trim().split_once('=')?;
        let algorithm = match algorithm {
            "sha-256" => DigestAlgorithm::Sha256,
            "sha-512" => DigestAlgorithm::Sha512,
            _ => return None,
        };
        let value = value.strip_prefix(':')?.strip_suffix(':')?;
        Some(Digest { algorithm, value: value.as_bytes().to_vec(), encoding: Encoding::Base64 })
    });
    values.next().ok_or_else(|| bad("the body's digest is neither sha-256 nor sha-512"))
}
