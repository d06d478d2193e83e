//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>): ids, `traceparent` and `tracestate`.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::{self, Display, Write};

/// The header with the ids.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header with what tracing systems add for themselves.
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// §3.3.1.5: what has to be passed on; more is not taken over.
const STATE_BYTES: usize = 512;
/// §3.3.1.1
const STATE_MEMBERS: usize = 32;

/// Of a trace. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceId(pub(super) [u8; 16]);

/// Of a span. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanId(pub(super) [u8; 8]);

impl TraceId {
    /// A new one.
    pub(super) fn random() -> Self {
        Self(random())
    }

    /// The part a ratio is taken of, as OpenTelemetry's own libraries do it, so that two that sample one trace agree.
    pub(super) fn chance(self) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1
    }
}

impl SpanId {
    /// A new one.
    pub(super) fn random() -> Self {
        Self(random())
    }
}

/// Ids need to be different, not secret: where the system has no randomness, time is different enough.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if getrandom::fill(&mut bytes).is_err() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        bytes.iter_mut().zip(now.to_le_bytes()).for_each(|(byte, part)| *byte = part);
    }
    if bytes == [0; N] {
        bytes = [1; N];
    }
    bytes
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

/// What came with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Incoming {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) sampled: bool,
    /// Empty if there was none, or none that may be passed on.
    pub(super) state: String,
}

impl Incoming {
    /// The context of a request's headers. What is not valid is as if it were not there (§3.2.2).
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = parents.next()?.to_str().ok()?;
        if parents.next().is_some() {
            return None;
        }
        let (trace, span, sampled) = parse(parent)?;
        Some(Self { trace, span, sampled, state: state(headers).unwrap_or_default() })
    }
}

fn parse(parent: &str) -> Option<(TraceId, SpanId, bool)> {
    let mut parts = parent.split('-');
    let [version] = unhex::<1>(parts.next()?)?;
    let trace = unhex::<16>(parts.next()?)?;
    let span = unhex::<8>(parts.next()?)?;
    let [flags] = unhex::<1>(parts.next()?)?;
    // Later versions may have more parts; of this one there are four (§3.2.2.4).
    let ends = version != 0 || parts.next().is_none();
    let valid = version != 0xff && ends && trace != [0; 16] && span != [0; 8];
    valid.then_some((TraceId(trace), SpanId(span), flags & 1 == 1))
}

/// Lower case alone (§3.2.2.3).
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn state(headers: &HeaderMap) -> Option<String> {
    let mut all = String::new();
    for value in headers.get_all(TRACESTATE) {
        let value = value.to_str().ok()?.trim();
        if !value.is_empty() {
            let comma = if all.is_empty() { "" } else { "," };
            write!(all, "{comma}{value}").ok()?;
        }
    }
    let is_member = |member: &str| {
        let member = member.trim();
        member.is_empty() || member.split_once('=').is_some_and(|(key, value)| !key.is_empty() && !value.is_empty())
    };
    let valid = all.len() <= STATE_BYTES && all.split(',').count() <= STATE_MEMBERS && all.split(',').all(is_member);
    valid.then_some(all)
}

/// Says it in a request to somebody else.
pub(super) fn inject(headers: &mut HeaderMap, trace: TraceId, span: SpanId, sampled: bool, state: &str) {
    let parent = format!("00-{trace}-{span}-{:02x}", u8::from(sampled));
    headers.remove(TRACESTATE);
    if let Ok(parent) = HeaderValue::try_from(parent) {
        headers.insert(TRACEPARENT, parent);
    }
    if !state.is_empty()
        && let Ok(state) = HeaderValue::from_str(state)
    {
        headers.insert(TRACESTATE, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_traceparent_is_read_as_the_specification_says() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let good = format!("00-{trace}-b7ad6b7169203331-01");
        let found =
            Incoming::of(&headers(&[("traceparent", &good), ("tracestate", "a=1, b=2"), ("tracestate", "c=3")]));
        let found = found.unwrap();
        assert_eq!((found.trace.to_string(), found.span.to_string()), (trace.into(), "b7ad6b7169203331".into()));
        assert!(found.sampled);
        assert_eq!(found.state, "a=1, b=2,c=3");
        // A later version may have more to say.
        assert!(Incoming::of(&headers(&[("traceparent", &format!("cc-{trace}-b7ad6b7169203331-00-what"))])).is_some());
        for bad in [
            "",
            "00",
            &format!("ff-{trace}-b7ad6b7169203331-01"),
            &format!("00-{trace}-b7ad6b7169203331-01-more"),
            &format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            &format!("00-{trace}-0000000000000000-01"),
            &format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
            &format!("00-{trace}-b7ad6b716920333-01"),
            &format!("00-{trace}-b7ad6b7169203331-1"),
            &format!("0-{trace}-b7ad6b7169203331-01"),
        ] {
            assert_eq!(Incoming::of(&headers(&[("traceparent", bad)])), None, "{bad}");
        }
        assert_eq!(Incoming::of(&headers(&[("traceparent", &good), ("traceparent", &good)])), None, "two of them");
    }

    #[test]
    fn a_tracestate_that_may_not_be_passed_on_is_not() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for bad in ["novalue", "=1", "a=", &"a=1,".repeat(40), &format!("a={}", "x".repeat(600))] {
            let found = Incoming::of(&headers(&[("traceparent", parent), ("tracestate", bad)])).unwrap();
            assert_eq!(found.state, "", "{bad}");
        }
    }

    #[test]
    fn what_is_sent_on_is_read_again() {
        let (trace, span) = (TraceId::random(), SpanId::random());
        let mut sent = headers(&[("traceparent", "the guest's own"), ("tracestate", "the=guests")]);
        inject(&mut sent, trace, span, true, "a=1");
        assert_eq!(Incoming::of(&sent), Some(Incoming { trace, span, sampled: true, state: "a=1".into() }));
        inject(&mut sent, trace, span, false, "");
        assert_eq!(Incoming::of(&sent), Some(Incoming { trace, span, sampled: false, state: String::new() }));
    }
}
