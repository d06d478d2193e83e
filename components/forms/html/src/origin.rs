//! From which page a browser sends: `Origin`, else `Referer`, else what Fetch Metadata says.
//!
//! There is no cookie here that another site could use; this keeps other sites' pages from sending people's browsers here.

use channel_sdk::headers;
use channel_sdk::types::{Context, Request};

use crate::settings;

/// What the headers say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Our own page, or no browser.
    Own,
    /// A page of a configured site: its origin, for the answer.
    Configured(String),
    /// Somebody else's page.
    Foreign,
}

/// Who sends this.
pub(crate) fn sender(request: &Request, context: &Context) -> Sender {
    let ours = of_url(&context.public_url);
    let header = |name| headers::text(&request.headers, name).map(|value| value.trim().to_ascii_lowercase());
    let origin = match header("origin") {
        Some(origin) if origin != "null" => Some(origin),
        // A page that sends no Referer sends `null` (Fetch §3.2); its browser still says whether it is the same site.
        Some(_) => {
            return if header("sec-fetch-site").as_deref() == Some("same-origin") {
                Sender::Own
            } else {
                Sender::Foreign
            };
        }
        None => header("referer").map(|url| of_url(&url)),
    };
    match origin {
        Some(origin) if origin == ours => Sender::Own,
        Some(origin)
            if settings::origins(context, "origins").iter().any(|known| known.eq_ignore_ascii_case(&origin)) =>
        {
            Sender::Configured(origin)
        }
        Some(_) => Sender::Foreign,
        None => match header("sec-fetch-site").as_deref() {
            None | Some("same-origin" | "none") => Sender::Own,
            Some(_) => Sender::Foreign,
        },
    }
}

/// Scheme, host and port of a URL, in lower case, without the scheme's own port (RFC 6454 §4).
fn of_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return String::new() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let standard = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let authority = authority.strip_suffix(standard).unwrap_or(authority);
    format!("{scheme}://{authority}").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use channel_sdk::types::{Header, Setting};

    fn of(headers: &[(&str, &str)]) -> Sender {
        let profile =
            channel_sdk::json::parse_profile(&serde_json::json!({"tenant": "t", "name": "T", "languages": ["es"]}));
        let context = Context {
            tenant: "t".into(),
            public_url: "https://Desk.example:443/forms/html/t".into(),
            settings: vec![Setting { name: "origins".into(), value: r#"["https://www.town.example/"]"#.into() }],
            secrets: vec![],
            profile: profile.unwrap(),
        };
        let headers =
            headers.iter().map(|(name, value)| Header { name: (*name).into(), value: value.as_bytes().to_vec() });
        let request = Request {
            method: "POST".into(),
            url: context.public_url.clone(),
            suffix: String::new(),
            query: None,
            headers: headers.collect(),
            body: vec![],
            received_at: 0,
        };
        sender(&request, &context)
    }

    #[test]
    fn our_own_page_and_programs_may_send() {
        for headers in [
            vec![("origin", "https://desk.example")],
            vec![("referer", "https://desk.example/forms/html/t?lang=ca")],
            vec![("origin", "null"), ("sec-fetch-site", "same-origin")],
            vec![("sec-fetch-site", "same-origin")],
            vec![],
        ] {
            assert_eq!(of(&headers), Sender::Own, "{headers:?}");
        }
    }

    #[test]
    fn a_configured_site_may_send_and_others_may_not() {
        assert_eq!(
            of(&[("origin", "https://www.town.example")]),
            Sender::Configured("https://www.town.example".into())
        );
        for headers in [
            vec![("origin", "https://desk.example.evil.example")],
            vec![("origin", "http://desk.example")],
            vec![("origin", "https://desk.example:8443")],
            vec![("origin", "null")],
            vec![("origin", "")],
            vec![("referer", "https://evil.example/https://desk.example")],
            vec![("sec-fetch-site", "cross-site")],
        ] {
            assert_eq!(of(&headers), Sender::Foreign, "{headers:?}");
        }
    }
}
