//! Headers the host owns: what a client sends under their names is dropped before ours are set.

use crate::manifest::{Match, Route};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, uri};
use std::net::SocketAddr;

/// Prefixes no client may use.
const OWNED: [&str; 2] = ["spin-", "ventanilla-"];

/// Says that a request is the second try of one whose component failed.
pub const QUARANTINE: HeaderName = HeaderName::from_static("ventanilla-quarantine");

/// Says that there is no place for a request, and that whoever sent it is only to be told so.
pub const BUSY: HeaderName = HeaderName::from_static("ventanilla-busy");

/// Why a component is given a request otherwise than usual, if it is.
pub fn mode(headers: &HeaderMap) -> Option<&'static str> {
    if headers.contains_key(QUARANTINE) {
        return Some("quarantine");
    }
    headers.contains_key(BUSY).then_some("busy")
}

/// Drops what only the host may say. Spin keeps it and appends its own; a guest that reads the first value is then fooled.
pub fn strip(headers: &mut HeaderMap) {
    let spoofed: Vec<HeaderName> =
        headers.keys().filter(|name| OWNED.iter().any(|prefix| name.as_str().starts_with(prefix))).cloned().collect();
    for name in spoofed {
        headers.remove(name);
    }
    headers.remove(header::CONNECTION);
}

/// The URI with scheme and authority, from the Host header. `None`: the Host header is not valid.
pub fn absolute(uri: Uri, headers: &HeaderMap) -> Option<Uri> {
    let mut parts = uri.into_parts();
    if parts.authority.is_none() {
        parts.authority = Some(match headers.get(header::HOST) {
            Some(host) => uri::Authority::try_from(host.as_bytes()).ok()?,
            None => uri::Authority::from_static("localhost"),
        });
    }
    parts.scheme.get_or_insert(uri::Scheme::HTTP);
    parts.path_and_query.get_or_insert(uri::PathAndQuery::from_static("/"));
    Uri::from_parts(parts).ok()
}

/// Spin's headers, as Spin sets them.
pub fn set(headers: &mut HeaderMap, uri: &Uri, route: &Route, found: &Match, client: SocketAddr) {
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("spin-path-info", &found.path_info);
    put("spin-full-url", &uri.to_string());
    put("spin-matched-route", route.text());
    put("spin-base-path", "/");
    put("spin-raw-component-route", route.text());
    put("spin-component-route", route.prefix());
    put("spin-client-addr", &client.to_string());
    for (name, value) in &found.params {
        let name = format!("spin-path-match-{}", name.to_ascii_lowercase().replace('_', "-"));
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_can_not_speak_for_the_host() {
        let mut headers = HeaderMap::new();
        for name in ["spin-client-addr", "Spin-Full-Url", "ventanilla-quarantine", "x-other", "connection"] {
            headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_static("spoofed"));
        }
        headers.append("spin-client-addr", HeaderValue::from_static("again"));
        strip(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-other"]);
    }

    #[test]
    fn the_uri_gets_scheme_and_authority_from_host() {
        let mut headers = HeaderMap::new();
        let absolute =
            |headers: &HeaderMap| super::absolute("/a?b".parse().unwrap(), headers).map(|uri| uri.to_string());
        assert_eq!(absolute(&headers).as_deref(), Some("http://localhost/a?b"));
        headers.insert(header::HOST, HeaderValue::from_static("example.org:8080"));
        assert_eq!(absolute(&headers).as_deref(), Some("http://example.org:8080/a?b"));
        headers.insert(header::HOST, HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(absolute(&headers), None);
    }
}
