//! The answer as it leaves: a connector's words, kept within what HTTP and the outcome allow.

use channel_sdk::types::{Outcome, RefusalReason, Response};

use crate::outcome;

const MAX_BODY: usize = 1024 * 1024;
const MAX_HEADERS: usize = 32;
const MAX_VALUE: usize = 8 * 1024;

/// Makes a connector's answer to an outcome safe. `allowed` are the methods for a 405.
pub(crate) fn guard(outcome: &Outcome, mut response: Response, allowed: &[String]) -> Response {
    if !outcome::allows(outcome, response.status) {
        response.status = outcome::status(outcome);
    }
    let mut response = clean(response);
    if let Outcome::Unavailable(seconds) = outcome {
        add(&mut response, "retry-after", || seconds.to_string());
    }
    if let Outcome::Refused(refusal) = outcome {
        if response.status == 401 {
            // RFC 9110 §15.5.2 wants a challenge. No registered scheme stands for a webhook's signature.
            add(&mut response, "www-authenticate", || "Signature realm=\"webhook\"".into());
        }
        if response.status == 405 || refusal.reason == RefusalReason::MethodNotAllowed {
            add(&mut response, "allow", || allowed.join(", "));
        }
    }
    response
}

/// Makes a handshake's answer safe. It echoes what a stranger sent, so it is never something a browser would run, unless the
/// connector has made a page of it: with a policy that lets nothing run which stands in the page. A form shown again because
/// something in it is wrong keeps its 4xx; nothing is stored, so there is no other success than the handshake's own.
pub(crate) fn handshake(mut response: Response) -> Response {
    if !(200..300).contains(&response.status) && !(400..500).contains(&response.status) {
        response.status = 200;
    }
    let mut response = clean(response);
    let is_page =
        response.headers.iter().any(|(name, value)| name == "content-security-policy" && lets_nothing_run(value));
    let harmless = |media_type: &str| {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "text/plain" | "application/json" | "application/octet-stream" => true,
            // RFC 6839 §3.1: data, whatever its vocabulary (JRD, ActivityStreams).
            json if json.starts_with("application/") && json.ends_with("+json") => true,
            "text/html" | "text/css" | "text/javascript" => is_page,
            _ => false,
        }
    };
    response.headers.retain(|(name, value)| name != "content-type" || harmless(value));
    add(&mut response, "content-type", || "text/plain; charset=utf-8".into());
    response
}

/// Whether a Content-Security-Policy (CSP Level 3) forbids what it does not name, and every script but files of this origin.
fn lets_nothing_run(policy: &str) -> bool {
    let is_closed = |directive: &str| {
        let mut words = directive.split_ascii_whitespace();
        let name = words.next().unwrap_or_default().to_ascii_lowercase();
        !name.starts_with("script-src") || words.all(|source| matches!(source, "'self'" | "'none'"))
    };
    policy.starts_with("default-src 'none';") && policy.split(';').all(is_closed)
}

/// Drops what can't be sent, or what the host sets itself (RFC 9110 §7.6.1), and forbids sniffing and caching.
pub(crate) fn clean(response: Response) -> Response {
    const HOP_BY_HOP: [&str; 9] = [
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let Response { status, headers, mut body } = response;
    let mut headers: Vec<_> = headers
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, value)| is_token(name) && is_value(value) && !HOP_BY_HOP.contains(&name.as_str()))
        .take(MAX_HEADERS)
        .collect();
    // RFC 9110 §15.3.5 and §15.4.5: these have no content.
    if body.len() > MAX_BODY || matches!(status, 204 | 304) {
        body.clear();
        headers.retain(|(name, _)| name != "content-type");
    }
    let mut response = Response { status, headers, body };
    add(&mut response, "cache-control", || "no-store".into());
    add(&mut response, "x-content-type-options", || "nosniff".into());
    response
}

fn add(response: &mut Response, name: &str, value: impl FnOnce() -> String) {
    if !response.headers.iter().any(|(known, _)| known == name) {
        response.headers.push((name.to_owned(), value()));
    }
}

/// RFC 9110 §5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// RFC 9110 §5.5, without the obsolete bytes above 127.
fn is_value(value: &str) -> bool {
    value.len() <= MAX_VALUE && value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use channel_sdk::types::Refusal;

    fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Response { status, headers, body: body.to_vec() }
    }

    fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
        response.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn refused(reason: RefusalReason) -> Outcome {
        Outcome::Refused(Refusal { reason, detail: String::new() })
    }

    #[test]
    fn a_connector_that_says_ok_to_a_refusal_is_overruled_and_its_words_are_kept() {
        let spoken = answer(200, &[("content-type", "text/xml")], b"<Response/>");
        let response = guard(&refused(RefusalReason::BadSignature), spoken.clone(), &[]);
        assert_eq!((response.status, response.body.as_slice()), (403, b"<Response/>".as_slice()));
        let response = guard(&Outcome::Unavailable(30), spoken, &[]);
        assert_eq!((response.status, header(&response, "retry-after")), (503, Some("30")));
        assert_eq!(header(&response, "content-type"), Some("text/xml"));
    }

    #[test]
    fn the_providers_own_status_stands_where_it_is_true() {
        assert_eq!(guard(&refused(RefusalReason::BadSignature), answer(406, &[], b""), &[]).status, 406);
        assert_eq!(guard(&Outcome::Accepted(vec![]), answer(202, &[], b""), &[]).status, 202);
        assert_eq!(guard(&Outcome::Accepted(vec![]), answer(303, &[("location", "/x")], b""), &[]).status, 303);
        let own = guard(&Outcome::Unavailable(30), answer(429, &[("Retry-After", "5")], b""), &[]);
        assert_eq!((own.status, header(&own, "retry-after")), (429, Some("5")));
    }

    #[test]
    fn nothing_can_be_smuggled_through_a_header() {
        let response = clean(answer(
            200,
            &[
                ("x-a", "1\r\nset-cookie: x=1"),
                ("x b", "1"),
                ("", "1"),
                ("x-n", "a\0b"),
                ("Content-Length", "9999"),
                ("transfer-encoding", "chunked"),
                ("x-ok", "yes\tindeed"),
            ],
            b"",
        ));
        let names: Vec<_> = response.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x-ok", "cache-control", "x-content-type-options"]);
    }

    #[test]
    fn a_challenge_is_never_echoed_as_a_page() {
        for media_type in
            ["text/html", "TEXT/HTML; charset=utf-8", "image/svg+xml", "application/xhtml+xml", "text/xml"]
        {
            let response = handshake(answer(200, &[("content-type", media_type)], b"<script>"));
            assert_eq!(header(&response, "content-type"), Some("text/plain; charset=utf-8"), "{media_type}");
            assert_eq!(response.body, b"<script>");
        }
        let json = handshake(answer(200, &[("content-type", "application/json")], b"{}"));
        assert_eq!(header(&json, "content-type"), Some("application/json"));
        assert_eq!(handshake(answer(302, &[("location", "//evil")], b"")).status, 200);
    }

    #[test]
    fn a_page_is_shown_if_its_policy_lets_nothing_in_it_run() {
        let page = |status, policy: &str| {
            handshake(answer(
                status,
                &[("content-type", "text/html; charset=utf-8"), ("content-security-policy", policy)],
                b"<form>",
            ))
        };
        let strict = page(422, "default-src 'none'; script-src 'self'; form-action 'self'");
        assert_eq!((strict.status, header(&strict, "content-type")), (422, Some("text/html; charset=utf-8")));
        assert_eq!(page(302, "default-src 'none'; ").status, 200);
        assert_eq!(page(503, "default-src 'none'; ").status, 200);
        for open in [
            "",
            "default-src 'self'",
            "script-src 'self'",
            "default-src 'none'; script-src 'unsafe-inline'",
            "default-src 'none'; script-src *",
            "default-src 'none'; script-src data:",
            "default-src 'none'; script-src-elem 'self' https:",
        ] {
            assert_eq!(header(&page(200, open), "content-type"), Some("text/plain; charset=utf-8"), "{open}");
        }
    }

    #[test]
    fn an_endless_answer_and_one_to_204_have_no_body() {
        assert!(clean(answer(200, &[], &vec![b'x'; MAX_BODY + 1])).body.is_empty());
        assert!(clean(answer(204, &[("content-type", "text/plain")], b"x")).body.is_empty());
    }

    #[test]
    fn refusals_carry_what_http_demands() {
        let response =
            guard(&refused(RefusalReason::MethodNotAllowed), answer(0, &[], b""), &["GET".into(), "POST".into()]);
        assert_eq!((response.status, header(&response, "allow")), (405, Some("GET, POST")));
        let response = guard(&refused(RefusalReason::MissingSignature), answer(401, &[], b""), &[]);
        assert!(header(&response, "www-authenticate").is_some());
    }
}
