//! The request as received: target, headers, route. Nothing is decoded, re-ordered or normalised, because providers sign
//! the bytes they sent.

use channel_sdk::types::{Descriptor, Header, RefusalReason, Request};
use service_sdk::trace;

/// Method, target and headers, before the body is read.
pub(crate) struct Head {
    /// Upper case.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: Vec<Header>,
    /// Set by our host when a component trapped on this request.
    pub(crate) quarantine: Option<String>,
    /// Set by our host when it has no place for this request and it is only to be told so.
    pub(crate) busy: bool,
    /// Set by our host when it traces the request.
    pub(crate) traced: bool,
}

/// Where a target leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route<'a> {
    pub(crate) tenant: &'a str,
    /// Empty, or beginning with `/`.
    pub(crate) suffix: &'a str,
    pub(crate) query: Option<&'a str>,
}

const CLIENT_ADDRESS: &str = "spin-client-addr";
const QUARANTINE: &str = "ventanilla-quarantine";
const BUSY: &str = "ventanilla-busy";

impl Head {
    /// Takes what the host hands over. `spin-*` and `ventanilla-*` are the hosts' own header names: Spin 4.1 appends its
    /// value after one that the client sent, so only the LAST `spin-client-addr` is kept, and nothing else of them.
    pub(crate) fn new(method: &str, target: String, received: Vec<(String, Vec<u8>)>) -> Self {
        let mut headers = Vec::with_capacity(received.len());
        let (mut address, mut quarantine, mut busy, mut traced) = (None, None, false, false);
        for (mut name, value) in received {
            name.make_ascii_lowercase();
            if name == CLIENT_ADDRESS {
                address = Some(Header { name, value });
            } else if name == QUARANTINE {
                quarantine = String::from_utf8(value).ok().filter(|reason| reason.len() <= 64);
            } else if name == BUSY {
                busy = true;
            } else if name == trace::HEADER {
                traced = true;
            } else if !name.starts_with("spin-") && !name.starts_with("ventanilla-") {
                headers.push(Header { name, value });
            }
        }
        headers.extend(address);
        Self { method: method.to_ascii_uppercase(), target, headers, quarantine, busy, traced }
    }

    /// The declared length. `Err` when it is no number: RFC 9110 §8.6 lets us refuse that.
    pub(crate) fn content_length(&self) -> Result<Option<u64>, ()> {
        let mut lengths = self.headers.iter().filter(|header| header.name == "content-length");
        let Some(first) = lengths.next() else { return Ok(None) };
        if lengths.any(|other| other.value != first.value) || !first.value.iter().all(u8::is_ascii_digit) {
            return Err(());
        }
        str::from_utf8(&first.value).ok().and_then(|text| text.parse().ok()).map(Some).ok_or(())
    }

    /// The connector's view, without a body.
    pub(crate) fn request(&self, route: &Route<'_>, public_url: &str, now: i64) -> Request {
        Request {
            method: self.method.clone(),
            url: url(public_url, route.suffix, route.query),
            suffix: route.suffix.to_owned(),
            query: route.query.map(str::to_owned),
            headers: self.headers.clone(),
            body: Vec::new(),
            received_at: now,
        }
    }
}

/// The URL the provider was given.
pub(crate) fn url(public_url: &str, suffix: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{public_url}{suffix}?{query}"),
        None => format!("{public_url}{suffix}"),
    }
}

/// Suffix and query of a stored target.
pub(crate) fn split(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// `/{channel}/{vendor}/{tenant}{suffix}?{query}`, if it is this connector's.
pub(crate) fn route<'a>(target: &'a str, descriptor: &Descriptor) -> Option<Route<'a>> {
    let (path, query) = split(target);
    let rest = path.strip_prefix('/')?.strip_prefix(descriptor.channel.as_str())?;
    let rest = rest.strip_prefix('/')?.strip_prefix(descriptor.vendor.as_str())?.strip_prefix('/')?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (tenant, suffix) = rest.split_at_checked(end)?;
    (!tenant.is_empty()).then_some(Route { tenant, suffix, query })
}

/// Methods that a suffix takes, as the connector describes them; those of all its routes when it describes none for it.
pub(crate) fn methods(descriptor: &Descriptor, suffix: &str) -> Vec<String> {
    let matching: Vec<_> = descriptor.routes.iter().filter(|route| route.suffix == suffix).collect();
    let routes = if matching.is_empty() { descriptor.routes.iter().collect() } else { matching };
    let mut methods: Vec<String> = routes.into_iter().flat_map(|route| &route.methods).cloned().collect();
    methods.sort();
    methods.dedup();
    methods
}

/// Whether a header's value is kept out of the store: it lets whoever reads it do something.
pub(crate) fn is_credential(name: &str, named_by_check: &[String]) -> bool {
    matches!(name, "authorization" | "proxy-authorization" | "cookie")
        || named_by_check.iter().any(|credential| credential.eq_ignore_ascii_case(name))
}

/// What a missing body means to a connector.
pub(crate) fn body_refusal(limit: u32, slow: bool) -> (RefusalReason, String) {
    let detail =
        if slow { "the body did not end in time".to_owned() } else { format!("the body is larger than {limit} bytes") };
    (RefusalReason::TooLarge, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::descriptor;

    fn head(headers: &[(&str, &str)]) -> Head {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        Head::new("post", "/telephony/acme/madrid".into(), headers)
    }

    #[test]
    fn a_target_is_split_without_touching_a_byte() {
        let target = "/telephony/acme/madrid/a%2Fb//c%20d?x=%7e&y=+&x=?&";
        let route = route(target, &descriptor()).unwrap();
        assert_eq!(route, Route { tenant: "madrid", suffix: "/a%2Fb//c%20d", query: Some("x=%7e&y=+&x=?&") });
        assert_eq!(
            url("https://desk.example/telephony/acme/madrid", route.suffix, route.query),
            "https://desk.example/telephony/acme/madrid/a%2Fb//c%20d?x=%7e&y=+&x=?&"
        );
    }

    #[test]
    fn an_empty_suffix_and_an_empty_query_stay_what_they_are() {
        let parts = |target| route(target, &descriptor()).map(|route| (route.tenant, route.suffix, route.query));
        assert_eq!(parts("/telephony/acme/madrid"), Some(("madrid", "", None)));
        assert_eq!(parts("/telephony/acme/madrid?"), Some(("madrid", "", Some(""))));
        assert_eq!(parts("/telephony/acme/madrid/?q"), Some(("madrid", "/", Some("q"))));
    }

    #[test]
    fn other_connectors_paths_are_not_ours() {
        for target in [
            "",
            "/",
            "telephony/acme/madrid",
            "/telephony/acme",
            "/telephony/acme/",
            "/telephony/acme//voice",
            "/telephony/acme2/madrid",
            "/telephony//acme/madrid",
            "/Telephony/acme/madrid",
            "/x/telephony/acme/madrid",
            "/telephony/acme?/madrid",
        ] {
            assert_eq!(route(target, &descriptor()), None, "{target}");
        }
    }

    #[test]
    fn the_hosts_own_headers_can_not_be_sent_by_a_client() {
        let head = head(&[
            ("Spin-Client-Addr", "6.6.6.6:1"),
            ("spin-full-url", "http://evil"),
            ("ventanilla-verified", "yes"),
            ("X-A", "1"),
            ("spin-client-addr", "10.0.0.1:2"),
        ]);
        let seen: Vec<_> = head.headers.iter().map(|header| (header.name.as_str(), header.value.as_slice())).collect();
        assert_eq!(seen, [("x-a", b"1".as_slice()), ("spin-client-addr", b"10.0.0.1:2")]);
        assert_eq!(head.method, "POST");
    }

    #[test]
    fn a_content_length_that_is_no_number_is_no_content_length() {
        assert_eq!(head(&[]).content_length(), Ok(None));
        assert_eq!(head(&[("content-length", "12")]).content_length(), Ok(Some(12)));
        for bad in ["", "+1", "-1", "1, 1", "99999999999999999999999"] {
            assert_eq!(head(&[("content-length", bad)]).content_length(), Err(()), "{bad}");
        }
        assert_eq!(head(&[("content-length", "1"), ("content-length", "2")]).content_length(), Err(()));
    }

    #[test]
    fn credentials_are_recognised_in_any_case() {
        assert!(is_credential("authorization", &[]));
        assert!(is_credential("cookie", &[]));
        assert!(is_credential("x-secret-token", &["X-Secret-Token".into()]));
        assert!(!is_credential("x-signature", &["X-Secret-Token".into()]));
    }
}
