//! Who may: bearer tokens from the variable `api_tokens` (see [`service_sdk::tokens`]).
//!
//! The tokens under `*` are the operator's: they open every tenant and the list of tenants. `ventanilla up` makes one for
//! its own lifetime to create the demo tenant.

use crate::answer::{self, Problem};
use crate::routes::Access;
use channel_sdk::types::Header;
use service_sdk::access::bearer;
use service_sdk::tokens::{OPERATOR, Scope, Standing, Tokens};

/// What the token given opens.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Every tenant, also ones without a token of their own.
    pub(crate) operator: bool,
    /// Tenants among whose tokens it is.
    pub(crate) tenants: Vec<String>,
}

impl Grant {
    /// Whether a token of this tenant's, or the operator's, was given: not so on a route that is open to everybody.
    pub(crate) fn opens(&self, tenant: &str) -> bool {
        self.operator || self.tenants.iter().any(|own| own == tenant)
    }
}

/// Checks that the request may use a route for `scope` at `now`; `tenant` is the one in the path.
pub(crate) fn check(
    access: Access,
    scope: Scope,
    tenant: Option<&str>,
    authorization: Option<&[u8]>,
    variable: Result<String, String>,
    now: i64,
) -> Result<Grant, Problem> {
    if access == Access::Open {
        return Ok(Grant::default());
    }
    let variable =
        variable.map_err(|error| answer::misconfigured(&format!("variable api_tokens cannot be read: {error}")))?;
    let tokens = Tokens::parse(&variable).map_err(|fault| answer::misconfigured(&fault))?;
    let given = authorization.and_then(bearer);
    let standing = |tenant: &str| given.map_or(Standing::Unknown, |given| tokens.standing(tenant, given, scope, now));
    let operator = standing(OPERATOR);
    let mut best = operator;
    let mut grant = Grant { operator: operator == Standing::Good, tenants: Vec::new() };
    for name in tokens.tenants().filter(|name| tenant.is_none_or(|wanted| wanted == *name)) {
        let standing = standing(name);
        best = best.max(standing);
        if standing == Standing::Good {
            grant.tenants.push(name.to_owned());
        }
    }
    match (best, tenant) {
        (Standing::Good, _) => Ok(grant),
        (Standing::Unknown, Some(tenant)) if !tokens.knows(tenant) => Err(answer::no_such_tenant(tenant)),
        (Standing::Insufficient, _) => Err(answer::insufficient_scope(scope.name())),
        (Standing::Expired, _) => Err(answer::expired()),
        (Standing::Unknown, _) => Err(answer::unauthorized(given.is_some())),
    }
}

/// Checks that the request is of whoever drives deliveries.
pub(crate) fn courier(authorization: Option<&[u8]>, variable: Result<String, String>) -> Result<Grant, Problem> {
    let variable = variable.unwrap_or_default();
    if variable.is_empty() {
        return Err(answer::misconfigured(
            "the variable `courier_token` is empty: give it a long random value, and the same to who calls this",
        ));
    }
    let header = |value: &[u8]| Header { name: "authorization".into(), value: value.to_vec() };
    let headers: Vec<Header> = authorization.map(header).into_iter().collect();
    match service_sdk::access::courier(&variable, &headers) {
        Ok(()) => Ok(Grant::default()),
        Err(_) => Err(answer::not_the_courier()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: &str = r#"{"madrid": ["m1", "m2"], "vilanova": "v1", "empty": [""], "*": ["root"]}"#;

    fn status(access: Access, tenant: Option<&str>, authorization: Option<&str>) -> u16 {
        match check(access, Scope::Read, tenant, authorization.map(str::as_bytes), Ok(TOKENS.into()), 0) {
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
        let problem = check(Access::Tenant, Scope::Read, Some("madrid"), None, Ok(TOKENS.into()), 0).unwrap_err();
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
            let problem = check(Access::Tenant, Scope::Read, Some("madrid"), None, Ok(broken.into()), 0).unwrap_err();
            assert_eq!(problem.status, 500);
            assert!(problem.detail.contains("api_tokens") && !problem.detail.contains("sesame"), "{}", problem.detail);
        }
    }

    /// `printf sesame | sha256sum`
    const HASHED: &str = r#"{"madrid": [{"sha256": "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272",
        "scopes": ["read"], "expires": "2027-01-01T00:00:00Z"}]}"#;

    #[test]
    fn a_token_that_may_only_read_is_told_what_it_lacks_and_one_that_is_over_that_it_is() {
        let at =
            |scope, now| check(Access::Tenant, scope, Some("madrid"), Some(b"Bearer sesame"), Ok(HASHED.into()), now);
        assert_eq!(at(Scope::Read, 0).unwrap(), Grant { operator: false, tenants: vec!["madrid".into()] });
        let problem = at(Scope::Write, 0).unwrap_err();
        assert_eq!(problem.status, 403);
        assert!(problem.detail.contains("`write`"), "{}", problem.detail);
        let challenge = problem.headers.iter().find(|(name, _)| *name == "www-authenticate").unwrap();
        assert!(challenge.1.contains("insufficient_scope"), "{}", challenge.1);
        let problem = at(Scope::Read, 1_900_000_000_000).unwrap_err();
        assert_eq!(problem.status, 401);
        assert!(problem.detail.contains("expired"), "{}", problem.detail);
    }
}
