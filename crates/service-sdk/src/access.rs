//! Who may: bearer tokens of a tenant, and of who drives deliveries.

use channel_sdk::types::{Header, Response};
use serde_json::Value;

use crate::problem;

/// Lets pass who has one of the tenant's API tokens, of the variable `api_tokens`: a JSON object, tenant to list of tokens.
///
/// # Errors
/// The answer to whoever has none.
pub fn tenant(api_tokens: &str, headers: &[Header], tenant: &str) -> Result<(), Response> {
    let Ok(Value::Object(all)) = serde_json::from_str(api_tokens) else {
        let detail = "the variable `api_tokens` is not a JSON object of tenants and lists of tokens";
        return Err(problem::retry_later("misconfigured", "The API is not configured", detail, 60));
    };
    let refuse = || refuse("send `Authorization: Bearer` with one of the tenant's API tokens");
    let tokens = all.get(tenant).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let Some(claimed) = bearer_of(headers) else { return Err(refuse()) };
    // Every token is compared, so that the time taken does not tell how many there are before the right one.
    let matches = tokens.filter(|token| !token.is_empty() && signatures::equal(token.as_bytes(), claimed)).count();
    if matches > 0 { Ok(()) } else { Err(refuse()) }
}

/// Lets pass who drives deliveries: who has the variable `courier_token`.
///
/// # Errors
/// The answer to whoever has not.
pub fn courier(courier_token: &str, headers: &[Header]) -> Result<(), Response> {
    if courier_token.is_empty() {
        let detail =
            "the variable `courier_token` is empty: give it a long random value, and the same to who calls this";
        return Err(problem::retry_later("misconfigured", "Deliveries are not configured", detail, 60));
    }
    match bearer_of(headers) {
        Some(claimed) if signatures::equal(courier_token.as_bytes(), claimed) => Ok(()),
        _ => Err(refuse("send `Authorization: Bearer` with the courier token")),
    }
}

fn refuse(detail: &str) -> Response {
    let mut answer = problem::problem(401, "unauthorized", "Unauthorized", detail);
    answer.headers.push(("www-authenticate".into(), "Bearer".into()));
    answer
}

/// The bearer token of a request; none if there are several.
fn bearer_of(headers: &[Header]) -> Option<&[u8]> {
    let mut claims = headers.iter().filter(|header| header.name == "authorization");
    let (Some(claim), None) = (claims.next(), claims.next()) else { return None };
    bearer(&claim.value)
}

/// RFC 6750 §2.1; the scheme's case does not matter (RFC 9110 §11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii()).filter(|token| !token.is_empty())
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
