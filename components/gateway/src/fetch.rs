//! Performs what a connector wants to read: its hosts only, HTTPS only, never a private address, few redirects, bounded.

use channel_sdk::types::{Descriptor, Fetch, Fetched, Header, Part};
pub(crate) use service_sdk::target::Target;

use crate::authenticate::sign;
use crate::ports::{Outbound, Ports};
use crate::settings::Settings;

/// One fetch. Voice providers wait 5 to 15 s for the whole answer.
const FETCH_S: u64 = 5;
const MAX_REDIRECTS: usize = 3;
const MAX_FETCHES: usize = 16;
const MAX_BYTES: u32 = 16 * 1024 * 1024;

/// Performs the requests in order and adds their answers.
pub(crate) async fn all<P: Ports>(
    ports: &P,
    descriptor: &Descriptor,
    settings: &Settings,
    wanted: &[Fetch],
    fetched: &mut Vec<Fetched>,
) {
    for fetch in wanted {
        let answer = if fetched.len() < MAX_FETCHES {
            one(ports, descriptor, settings, fetch).await
        } else {
            Err("too many fetches for one request".into())
        };
        fetched.push(answer.unwrap_or_else(|error| Fetched {
            id: fetch.id.clone(),
            url: fetch.url.clone(),
            status: 0,
            headers: Vec::new(),
            body: Vec::new(),
            error: Some(error),
        }));
    }
}

async fn one<P: Ports>(
    ports: &P,
    descriptor: &Descriptor,
    settings: &Settings,
    fetch: &Fetch,
) -> Result<Fetched, String> {
    if !matches!(fetch.method.as_str(), "GET" | "POST") {
        return Err("only GET and POST are performed".into());
    }
    let mut headers = Vec::new();
    for header in &fetch.headers {
        let (value, secret) = fill(&header.value, settings)?;
        headers.push((header.name.to_ascii_lowercase(), value, secret));
    }
    let mut method = fetch.method.clone();
    let mut target = Target::parse(&fetch.url)?;
    let max_bytes = fetch.max_bytes.min(MAX_BYTES) as usize;
    for _ in 0..=MAX_REDIRECTS {
        target.check(&descriptor.hosts)?;
        let answer = ports
            .send(Outbound {
                method: method.clone(),
                authority: target.authority.clone(),
                path_and_query: target.path_and_query.clone(),
                plain: false,
                body: Vec::new(),
                seconds: FETCH_S,
                headers: headers.iter().map(|(name, value, _)| (name.clone(), value.clone())).collect(),
                max_bytes,
            })
            .await?;
        let location = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("location"));
        if let (301 | 302 | 303 | 307 | 308, Some((_, location))) = (answer.status, location) {
            let location = str::from_utf8(location).map_err(|_| "a redirect leads nowhere")?;
            let next = target.join(location)?;
            if next.authority != target.authority {
                // RFC 9110 §15.4: credentials are for the host they were meant for.
                headers.retain(|(_, _, secret)| !secret);
            }
            if matches!(answer.status, 301..=303) {
                method = "GET".into();
            }
            target = next;
            continue;
        }
        let headers = answer.headers.into_iter().map(|(name, value)| Header { name: name.to_ascii_lowercase(), value });
        return Ok(Fetched {
            id: fetch.id.clone(),
            url: format!("https://{}{}", target.authority, target.path_and_query),
            status: answer.status,
            headers: headers.collect(),
            body: answer.body,
            error: answer.cut.then(|| format!("the answer has more than {max_bytes} bytes")),
        });
    }
    Err("more than three redirects".into())
}

/// Puts secrets where a connector named them. Also says whether there were any.
pub(crate) fn fill(parts: &[Part], settings: &Settings) -> Result<(Vec<u8>, bool), String> {
    let first =
        |name: &str| settings.secret(name).first().ok_or_else(|| format!("the secret setting `{name}` is not there"));
    let mut value = Vec::new();
    let mut secret = false;
    for part in parts {
        secret |= !matches!(part, Part::Literal(_));
        match part {
            Part::Literal(bytes) => value.extend_from_slice(bytes),
            Part::Secret(name) => value.extend_from_slice(first(name)?.as_bytes()),
            Part::Basic((user, name)) => {
                let pair = format!("{user}:{}", first(name)?);
                value.extend_from_slice(b"Basic ");
                value.extend(signatures::encoding::encode(pair.as_bytes(), signatures::Encoding::Base64));
            }
            Part::Signed(signed) => {
                value.extend(sign(signed.scheme, &signed.key, &signed.message, signed.encoding, settings)?);
            }
        }
    }
    Ok((value, secret))
}
