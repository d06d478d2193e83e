//! Who may: bearer tokens of a tenant, and of who drives deliveries.

use channel_sdk::types::{Header, Response};

use crate::problem;
use crate::tokens::{OPERATOR, Scope, Standing, Tokens};

/// Lets pass who has one of the tenant's API tokens (or the operator's) that is good for `scope` now; see [`Tokens`].
///
/// # Errors
/// The answer to whoever has none.
pub fn tenant(api_tokens: &str, headers: &[Header], tenant: &str, scope: Scope, now: i64) -> Result<(), Response> {
    let tokens = Tokens::parse(api_tokens)
        .map_err(|fault| problem::retry_later("misconfigured", "The API is not configured", &fault, 60))?;
    let claimed = bearer_of(headers);
    let standing = claimed.map_or(Standing::Unknown, |claimed| {
        tokens.standing(tenant, claimed, scope, now).max(tokens.standing(OPERATOR, claimed, scope, now))
    });
    match standing {
        Standing::Good => Ok(()),
        Standing::Insufficient => Err(insufficient(scope)),
        Standing::Expired => Err(refuse("this token has expired: ask the operator for a new one")),
        Standing::Unknown => Err(refuse("send `Authorization: Bearer` with one of the tenant's API tokens")),
    }
}

/// RFC 6750 §3.1: the token is known and may not do this.
fn insufficient(scope: Scope) -> Response {
    let scope = scope.name();
    let detail = format!("this token is not for that: use one with the scope `{scope}`");
    let mut answer = problem::problem(403, "insufficient-scope", "Forbidden", &detail);
    let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
    answer.headers.push(("www-authenticate".into(), challenge));
    answer
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

/// The token of an `Authorization: Bearer` header (RFC 6750 §2.1); the scheme's case does not matter (RFC 9110 §11.1).
pub fn bearer(value: &[u8]) -> Option<&[u8]> {
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
