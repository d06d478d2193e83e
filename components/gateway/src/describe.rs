//! `GET …/-/describe`: what the connector is and whether its settings are complete. Names, never values.

use channel_sdk::types::{Descriptor, Header, Response, Stability, Strength};
use serde_json::{Value, json};

use crate::ports::Ports;
use crate::problem;
use crate::settings::{self, Entry, Problem};

/// Lets pass who has one of the tenant's API tokens.
pub(crate) async fn authorize<P: Ports>(ports: &P, headers: &[Header], tenant: &str) -> Result<(), Response> {
    let refuse = || {
        let detail = "send `Authorization: Bearer` with one of the tenant's API tokens";
        let mut answer = problem::problem(401, "unauthorized", "Unauthorized", detail);
        answer.headers.push(("www-authenticate".into(), "Bearer".into()));
        answer
    };
    let all = ports.variable("api_tokens").await.ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let Some(Value::Object(all)) = all else {
        let detail = "the variable `api_tokens` is not a JSON object of tenants and lists of tokens";
        return Err(problem::retry_later("misconfigured", "The API is not configured", detail, 60));
    };
    let tokens = all.get(tenant).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let Some(claimed) = bearer_of(headers) else { return Err(refuse()) };
    // Every token is compared, so that the time taken does not tell how many there are before the right one.
    let matches = tokens.filter(|token| !token.is_empty() && signatures::equal(token.as_bytes(), claimed)).count();
    if matches > 0 { Ok(()) } else { Err(refuse()) }
}

/// The bearer token of a request; none if there are several.
pub(crate) fn bearer_of(headers: &[Header]) -> Option<&[u8]> {
    let mut claims = headers.iter().filter(|header| header.name == "authorization");
    let (Some(claim), None) = (claims.next(), claims.next()) else { return None };
    bearer(&claim.value)
}

/// RFC 6750 §2.1; the scheme's case does not matter (RFC 9110 §11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii()).filter(|token| !token.is_empty())
}

/// The self-test of one tenant's connector.
pub(crate) fn describe(descriptor: &Descriptor, entry: &Entry, tenant: &str) -> Response {
    let url = entry.public_url();
    let fault = match entry.check(tenant, descriptor) {
        Err(Problem::Faulty(why)) => Some(why),
        _ => None,
    };
    let describe =
        |name: &str| descriptor.settings.iter().find(|spec| spec.name == name).map(|spec| spec.description.clone());
    let settings: Vec<Value> = entry
        .status(descriptor)
        .into_iter()
        .map(|status| {
            json!({
                "name": status.name, "secret": status.secret, "required": status.required, "present": status.present,
                "description": describe(&status.name).or_else(|| settings::description(&status.name)),
            })
        })
        .collect();
    let unknown: Vec<Value> = entry
        .unknown(descriptor)
        .into_iter()
        .map(|(name, meant)| json!({ "name": name, "did_you_mean": meant }))
        .collect();
    let routes: Vec<Value> = descriptor
        .routes
        .iter()
        .map(|route| json!({ "methods": route.methods, "suffix": route.suffix, "purpose": route.purpose }))
        .collect();
    let can = &descriptor.capability;
    problem::json(
        200,
        &json!({
            "channel": descriptor.channel,
            "vendor": descriptor.vendor,
            "title": descriptor.title,
            "tenant": tenant,
            "stability": match descriptor.stability {
                Stability::Development => "development",
                Stability::Alpha => "alpha",
                Stability::Beta => "beta",
                Stability::Stable => "stable",
            },
            "strength": match descriptor.strength {
                Strength::Signature => "signature",
                Strength::Credential => "credential",
                Strength::None => "none",
            },
            "max_body": descriptor.max_body,
            "hosts": descriptor.hosts,
            "routes": routes,
            "capability": {
                "reply": can.reply,
                "reply_window_s": can.reply_window_s,
                "max_text": can.max_text,
                "subject": can.subject,
                "can_start": can.can_start,
                "attachments": can.attachments,
            },
            "settings": settings,
            "unknown": unknown,
            "url": url,
            "public_url_ok": url.is_some_and(settings::public_url_ok),
            "fault": fault,
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_read_as_the_rfc_has_it() {
        assert_eq!(bearer(b"Bearer abc"), Some(b"abc".as_slice()));
        assert_eq!(bearer(b"bearer  abc "), Some(b"abc".as_slice()));
        for bad in [&b"Bearer "[..], b"Bearer", b"Basic abc", b"", b"Bearerabc"] {
            assert_eq!(bearer(bad), None);
        }
    }
}
