//! Who may: bearer tokens from the variable `api_tokens`, a JSON object tenant → token or list of tokens.
//!
//! The tokens under `*` are the operator's: they open every tenant and the list of tenants. `ventanilla up` makes one for
//! its own lifetime to create the demo tenant.

use crate::answer::{self, Problem};
use crate::routes::Access;
use serde_json::{Map, Value};
use subtle::{Choice, ConstantTimeEq};

/// Under this key are the operator's tokens. It can't be a tenant: tenants are lower-case words.
const OPERATOR: &str = "*";

/// What the token given opens.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Every tenant, also ones without a token of their own.
    pub(crate) operator: bool,
    /// Tenants among whose tokens it is.
    pub(crate) tenants: Vec<String>,
}

/// Checks that the request may use a route; `tenant` is the one in the path.
pub(crate) fn check(
    access: Access,
    tenant: Option<&str>,
    authorization: Option<&[u8]>,
    variable: Result<String, String>,
) -> Result<Grant, Problem> {
    if access == Access::Open {
        return Ok(Grant::default());
    }
    let tokens = parse(variable)?;
    let given = authorization.and_then(bearer);
    let grant = given.map(|given| granted(&tokens, given)).unwrap_or_default();
    match (access, tenant) {
        (Access::Tenant, Some(tenant)) => {
            if grant.operator || grant.tenants.iter().any(|t| t == tenant) {
                return Ok(grant);
            }
            if !tokens.contains_key(tenant) || tenant == OPERATOR {
                return Err(answer::no_such_tenant(tenant));
            }
        }
        _ => {
            if grant.operator || !grant.tenants.is_empty() {
                return Ok(grant);
            }
        }
    }
    Err(answer::unauthorized(given.is_some()))
}

fn parse(variable: Result<String, String>) -> Result<Map<String, Value>, Problem> {
    let text =
        variable.map_err(|error| answer::misconfigured(&format!("variable api_tokens cannot be read: {error}")))?;
    // The parser's message would quote what it found, and that may be a token.
    match serde_json::from_str(&text) {
        Ok(Value::Object(tokens)) => Ok(tokens),
        Ok(_) | Err(_) => Err(answer::misconfigured(
            "variable api_tokens is not a JSON object like {\"tenant\": [\"token\"]}: correct SPIN_VARIABLE_API_TOKENS and restart",
        )),
    }
}

/// The token of an `Authorization: Bearer` header. The scheme's case does not matter (RFC 9110 §11.1).
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = header.split_at_checked(7)?;
    let token = rest.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

/// Every known token is compared, in constant time, whatever matched before.
fn granted(tokens: &Map<String, Value>, given: &[u8]) -> Grant {
    let mut grant = Grant::default();
    for (tenant, value) in tokens {
        let known: &[Value] = match value {
            Value::Array(list) => list,
            single => std::slice::from_ref(single),
        };
        let mut found = Choice::from(0);
        for token in known.iter().filter_map(Value::as_str).filter(|token| !token.is_empty()) {
            found |= token.as_bytes().ct_eq(given);
        }
        if bool::from(found) {
            match tenant.as_str() {
                OPERATOR => grant.operator = true,
                tenant => grant.tenants.push(tenant.to_owned()),
            }
        }
    }
    grant
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: &str = r#"{"madrid": ["m1", "m2"], "vilanova": "v1", "empty": [""], "*": ["root"]}"#;

    fn status(access: Access, tenant: Option<&str>, authorization: Option<&str>) -> u16 {
        match check(access, tenant, authorization.map(str::as_bytes), Ok(TOKENS.into())) {
            Ok(_) => 200,
            Err(problem) => problem.status,
        }
    }

    #[test]
    fn a_token_opens_its_own_tenant_only() {
        for (tenant, token, expected) in [
            ("madrid", "Bearer m1", 200),
            ("madrid", "bearer m2", 200),
            ("madrid", "Bearer v1", 401),
            ("madrid", "Bearer m", 401),
            ("madrid", "Bearer m11", 401),
            ("madrid", "Basic m1", 401),
            ("madrid", "m1", 401),
            ("madrid", "Bearer ", 401),
            ("vilanova", "Bearer v1", 200),
            ("empty", "Bearer ", 401),
            ("toledo", "Bearer m1", 404),
            ("toledo", "Bearer root", 200),
            ("*", "Bearer m1", 404),
        ] {
            assert_eq!(status(Access::Tenant, Some(tenant), Some(token)), expected, "{tenant} {token}");
        }
    }

    #[test]
    fn without_a_token_a_tenant_is_closed_and_the_answer_says_how_to_authenticate() {
        let problem = check(Access::Tenant, Some("madrid"), None, Ok(TOKENS.into())).unwrap_err();
        assert_eq!(problem.status, 401);
        assert!(
            problem.headers.iter().any(|(name, value)| *name == "www-authenticate" && value.starts_with("Bearer "))
        );
    }

    #[test]
    fn the_list_of_tenants_needs_some_token() {
        assert_eq!(status(Access::AnyToken, None, Some("Bearer m1")), 200);
        assert_eq!(status(Access::AnyToken, None, Some("Bearer x")), 401);
        assert_eq!(status(Access::AnyToken, None, None), 401);
        assert_eq!(status(Access::Open, None, None), 200);
    }

    #[test]
    fn a_broken_variable_is_the_operators_problem_and_its_value_is_not_shown() {
        for broken in ["{\"madrid\": [\"sesame", "[\"sesame\"]", "sesame"] {
            let problem = check(Access::Tenant, Some("madrid"), None, Ok(broken.into())).unwrap_err();
            assert_eq!(problem.status, 500);
            assert!(problem.detail.contains("api_tokens") && !problem.detail.contains("sesame"), "{}", problem.detail);
        }
    }
}
