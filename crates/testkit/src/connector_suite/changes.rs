//! Requests that differ from a good one in one place.

use channel_sdk::types::{Header, Request};

use super::story::{Story, url};

/// A place of a request where bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The path after the tenant.
    Suffix,
    /// After the `?`.
    Query,
    /// A header's value, by its index.
    Header(usize),
    /// The body.
    Body,
}

/// A changed request, and how it was changed.
pub(super) struct Changed {
    /// For the message of a failure.
    pub(super) how: String,
    /// The request.
    pub(super) request: Request,
}

/// All places of a request.
pub(super) fn places(request: &Request) -> Vec<Place> {
    let headers = (0..request.headers.len()).map(Place::Header);
    [Place::Suffix, Place::Query, Place::Body].into_iter().chain(headers).collect()
}

/// The bytes at a place.
pub(super) fn bytes(request: &Request, place: Place) -> &[u8] {
    match place {
        Place::Suffix => request.suffix.as_bytes(),
        Place::Query => request.query.as_deref().unwrap_or_default().as_bytes(),
        Place::Header(index) => request.headers.get(index).map(|header| header.value.as_slice()).unwrap_or_default(),
        Place::Body => &request.body,
    }
}

/// The request with other bytes at a place; none if the place can't hold them (a target is visible ASCII by the time we see it).
pub(super) fn with(story: &Story, place: Place, bytes: Vec<u8>) -> Option<Request> {
    let mut request = story.request.clone();
    let target = |bytes: Vec<u8>| {
        let fits = bytes.iter().all(|byte| (0x21..0x7f).contains(byte) && *byte != b'#');
        fits.then(|| String::from_utf8(bytes).ok()).flatten()
    };
    match place {
        Place::Suffix => {
            request.suffix = target(bytes)
                .filter(|suffix| (suffix.is_empty() || suffix.starts_with('/')) && !suffix.contains('?'))?
        }
        Place::Query => request.query = Some(target(bytes)?),
        Place::Header(index) => request.headers.get_mut(index)?.value = bytes,
        Place::Body => request.body = bytes,
    }
    request.url = url(&story.context, &request.suffix, request.query.as_deref());
    Some(request)
}

/// Cut short anywhere.
pub(super) fn prefixes(story: &Story) -> impl Iterator<Item = Changed> + '_ {
    places(&story.request).into_iter().flat_map(move |place| {
        (0..bytes(&story.request, place).len()).filter_map(move |length| {
            let cut = bytes(&story.request, place)[..length].to_vec();
            Some(Changed { how: format!("{place:?} cut to {length} bytes"), request: with(story, place, cut)? })
        })
    })
}

/// What parsers of forms, JSON, XML, MIME and headers look for, and what is no character at all.
const TELLING: &[u8] = b"\0\t\n\r \"#%&'+,-./:;<=>?@[\\]{|}\x7f\x80\xc0\xc3\xed\xf0\xff";

/// One byte made another: all that differ by one bit or tell a parser something, and of the rest every `step`th value,
/// beginning elsewhere at each place.
pub(super) fn changed_bytes(story: &Story, step: usize) -> impl Iterator<Item = Changed> + '_ {
    places(&story.request).into_iter().flat_map(move |place| {
        let good = bytes(&story.request, place);
        (0..good.len()).flat_map(move |at| {
            (1..=255_u8).filter_map(move |difference| {
                let value = bytes(&story.request, place)[at] ^ difference;
                let chosen = difference.is_power_of_two()
                    || TELLING.contains(&value)
                    || (at + usize::from(difference)) % step == 0;
                if !chosen {
                    return None;
                }
                let mut changed = bytes(&story.request, place).to_vec();
                changed[at] = value;
                let how = format!("{place:?} byte {at} made {value:#04x}");
                Some(Changed { how, request: with(story, place, changed)? })
            })
        })
    })
}

/// One bit of these places turned over.
pub(super) fn flipped_bits(story: &Story, places: Vec<Place>) -> impl Iterator<Item = Changed> + '_ {
    places.into_iter().flat_map(move |place| {
        (0..bytes(&story.request, place).len() * 8).filter_map(move |bit| {
            let mut changed = bytes(&story.request, place).to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            Some(Changed { how: format!("{place:?} bit {bit} flipped"), request: with(story, place, changed)? })
        })
    })
}

/// What no single byte makes: other methods, headers gone or doubled, bodies that are empty, doubled, huge, deep or of another kind.
pub(super) fn misshapen(story: &Story, max_body: usize) -> Vec<Changed> {
    let good = &story.request;
    let mut all = Vec::new();
    let mut add = |how: &str, request: Request| all.push(Changed { how: how.into(), request });
    for method in ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "", "get", "\u{fffd}"] {
        add("another method", Request { method: method.into(), ..good.clone() });
    }
    for index in 0..good.headers.len() {
        let mut fewer = good.clone();
        let header = fewer.headers.remove(index);
        add(&format!("header {} gone", header.name), fewer);
        let mut more = good.clone();
        more.headers.push(header.clone());
        add(&format!("header {} twice", header.name), more);
        let mut long = good.clone();
        long.headers[index].value = header.value.repeat(5_000);
        add(&format!("header {} very long", header.name), long);
    }
    let kinds: [&[u8]; 9] = [
        b"",
        b"text/plain",
        b"application/json",
        b"application/x-www-form-urlencoded; charset=utf-16",
        b"multipart/form-data",
        b"multipart/form-data; boundary=x",
        b"application/xml",
        b"\xff\xfe",
        b";;;=",
    ];
    for kind in kinds {
        let mut other = good.clone();
        other.headers.retain(|header| header.name != "content-type");
        other.headers.push(Header { name: "content-type".into(), value: kind.to_vec() });
        add("another content type", other);
    }
    let pair = [good.body.as_slice(), b"&", good.body.as_slice()].concat();
    let bodies: [(&str, Vec<u8>); 12] = [
        ("empty body", Vec::new()),
        ("body twice", pair),
        (
            "body of the largest size",
            b"a=".iter().copied().chain(std::iter::repeat_n(b'x', max_body.saturating_sub(2))).collect(),
        ),
        ("body with very many fields", b"a=b&".repeat(max_body / 4)),
        ("body of ampersands", b"&".repeat(max_body)),
        ("body of percent signs", b"%".repeat(max_body)),
        ("body of NUL", vec![0; 1_000]),
        ("body that is not UTF-8", vec![0xff; 1_000]),
        ("deep JSON", b"[".repeat(max_body.min(200_000))),
        ("JSON null", b"null".to_vec()),
        ("overlong UTF-8", b"Body=\xc0\xaf%c0%af%ed%a0%80".to_vec()),
        ("a lone surrogate in JSON", br#"{"a":"\ud800"}"#.to_vec()),
    ];
    for (how, body) in bodies {
        add(how, Request { body, ..good.clone() });
    }
    add("no header at all", Request { headers: Vec::new(), ..good.clone() });
    for received_at in [i64::MIN, 0, i64::MAX] {
        add("another time", Request { received_at, ..good.clone() });
    }
    all
}
