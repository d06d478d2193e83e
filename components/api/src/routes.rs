//! What is served: one table, read by the dispatcher and by the test that checks `openapi.json`.

use service_sdk::tokens::Scope;

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Health,
    Ready,
    Metrics,
    Description,
    Tenants,
    Profile,
    PutProfile,
    Cases,
    Case,
    ChangeCase,
    AddNote,
    Reply,
    CompleteTask,
    JoinContacts,
    SeparateContacts,
    Events,
    Envelopes,
    Envelope,
    Ledger,
    VerifyLedger,
    Seal,
    Retain,
    Retention,
    PutRetention,
    Erase,
    Hold,
    Release,
    Audit,
    Remove,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody who reaches the port; nothing personal is told.
    Open,
    /// Whoever has any token.
    AnyToken,
    /// Whoever has a token of the tenant in the path.
    Tenant,
    /// Whoever drives deliveries: the variable courier_token.
    Courier,
}

/// One method of one path.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// As in OpenAPI: `{name}` takes one segment.
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    /// Query parameters it takes; others are refused by name.
    pub(crate) parameters: &'static [&'static str],
    pub(crate) endpoint: Endpoint,
}

impl Route {
    /// What a token must be good for.
    pub(crate) fn scope(&self) -> Scope {
        match (self.method, self.endpoint) {
            ("GET", _) => Scope::Read,
            (
                _,
                Endpoint::PutProfile
                | Endpoint::PutRetention
                | Endpoint::Erase
                | Endpoint::Hold
                | Endpoint::Release
                | Endpoint::Remove,
            ) => Scope::Operate,
            _ => Scope::Write,
        }
    }

    /// Whether the request's body means something here.
    pub(crate) fn reads_body(&self) -> bool {
        self.method != "GET" && !matches!(self.endpoint, Endpoint::Seal | Endpoint::Retain)
    }
}

const fn route(
    method: &'static str,
    path: &'static str,
    access: Access,
    parameters: &'static [&'static str],
    endpoint: Endpoint,
) -> Route {
    Route { method, path, access, parameters, endpoint }
}

/// Every route. A fixed segment stands before a `{name}` at the same place, since the first match wins.
#[rustfmt::skip]
pub(crate) const ROUTES: &[Route] = &[
    route("GET",   "/healthz",                                         Access::Open,     &[], Endpoint::Health),
    route("GET",   "/readyz",                                          Access::Open,     &[], Endpoint::Ready),
    route("GET",   "/metrics",                                         Access::Open,     &[], Endpoint::Metrics),
    route("GET",   "/api/openapi.json",                                Access::Open,     &[], Endpoint::Description),
    route("GET",   "/api/tenants",                                     Access::AnyToken, &[], Endpoint::Tenants),
    route("POST",  "/api/-/seal",                                      Access::Courier,  &[], Endpoint::Seal),
    route("POST",  "/api/-/retain",                                    Access::Courier,  &[], Endpoint::Retain),
    route("GET",   "/api/{tenant}/profile",                            Access::Tenant,   &[], Endpoint::Profile),
    route("PUT",   "/api/{tenant}/profile",                            Access::Tenant,   &[], Endpoint::PutProfile),
    route("GET",   "/api/{tenant}/cases",                              Access::Tenant,   &["status", "channel", "q", "after", "limit"], Endpoint::Cases),
    route("GET",   "/api/{tenant}/cases/{reference}",                  Access::Tenant,   &[], Endpoint::Case),
    route("PATCH", "/api/{tenant}/cases/{reference}",                  Access::Tenant,   &[], Endpoint::ChangeCase),
    route("POST",  "/api/{tenant}/cases/{reference}/notes",            Access::Tenant,   &[], Endpoint::AddNote),
    route("PUT",   "/api/{tenant}/cases/{reference}/hold",             Access::Tenant,   &[], Endpoint::Hold),
    route("DELETE", "/api/{tenant}/cases/{reference}/hold",            Access::Tenant,   &[], Endpoint::Release),
    route("POST",  "/api/{tenant}/cases/{reference}/replies",          Access::Tenant,   &[], Endpoint::Reply),
    route("POST",  "/api/{tenant}/cases/{reference}/tasks/{task}/complete", Access::Tenant, &[], Endpoint::CompleteTask),
    route("POST",  "/api/{tenant}/contacts/{contact}/join",            Access::Tenant,   &[], Endpoint::JoinContacts),
    route("POST",  "/api/{tenant}/contacts/{contact}/separate",        Access::Tenant,   &[], Endpoint::SeparateContacts),
    route("GET",   "/api/{tenant}/events",                             Access::Tenant,   &["connector", "after", "limit"], Endpoint::Events),
    route("GET",   "/api/{tenant}/envelopes",                          Access::Tenant,   &["disposition", "from", "to", "after", "limit"], Endpoint::Envelopes),
    route("GET",   "/api/{tenant}/envelopes/{envelope}",               Access::Tenant,   &[], Endpoint::Envelope),
    route("GET",   "/api/{tenant}/ledger",                             Access::Tenant,   &["from", "to", "by", "connector"], Endpoint::Ledger),
    route("GET",   "/api/{tenant}/ledger/verify",                      Access::Tenant,   &["after", "limit", "head"], Endpoint::VerifyLedger),
    route("GET",   "/api/{tenant}/retention",                          Access::Tenant,   &[], Endpoint::Retention),
    route("PUT",   "/api/{tenant}/retention",                          Access::Tenant,   &[], Endpoint::PutRetention),
    route("POST",  "/api/{tenant}/erasures",                           Access::Tenant,   &[], Endpoint::Erase),
    route("GET",   "/api/{tenant}/audit",                              Access::Tenant,   &["after", "limit"], Endpoint::Audit),
    route("POST",  "/api/{tenant}/removal",                            Access::Tenant,   &[], Endpoint::Remove),
];

/// Values of the `{name}` segments.
pub(crate) type Params = Vec<(&'static str, String)>;

/// What a path leads to.
pub(crate) enum Found {
    Route(&'static Route, Params),
    /// The path is served, but not with this method; these are.
    OtherMethods(Vec<&'static str>),
    Nothing,
}

/// Finds the route of a request.
pub(crate) fn find(method: &str, path: &str) -> Found {
    let mut others = Vec::new();
    for route in ROUTES {
        if let Some(params) = matches(route.path, path) {
            if route.method == method {
                return Found::Route(route, params);
            }
            others.push(route.method);
        }
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others) }
}

fn matches(template: &'static str, path: &str) -> Option<Params> {
    let mut params = Params::new();
    let mut given = path.split('/');
    for wanted in template.split('/') {
        let segment = given.next()?;
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => params.push((name, segment.to_owned())),
            None if wanted == segment => {}
            _ => return None,
        }
    }
    given.next().is_none().then_some(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(method: &str, path: &str) -> Option<(Endpoint, Params)> {
        match find(method, path) {
            Found::Route(route, params) => Some((route.endpoint, params)),
            _ => None,
        }
    }

    #[test]
    fn a_path_gives_its_segments_by_name() {
        let (found, params) = endpoint("POST", "/api/madrid/cases/482-109-3726/tasks/t1/complete").unwrap();
        assert_eq!(found, Endpoint::CompleteTask);
        assert_eq!(params, [("tenant", "madrid".into()), ("reference", "482-109-3726".into()), ("task", "t1".into())]);
    }

    #[test]
    fn a_fixed_path_wins_over_a_tenant_of_that_name() {
        assert_eq!(endpoint("GET", "/api/tenants").unwrap().0, Endpoint::Tenants);
        assert_eq!(endpoint("GET", "/api/openapi.json").unwrap().0, Endpoint::Description);
        assert_eq!(endpoint("GET", "/api/tenants/cases").unwrap().0, Endpoint::Cases);
    }

    #[test]
    fn empty_segments_and_trailing_slashes_lead_nowhere() {
        for path in ["/api//cases", "/api/madrid/cases/", "/api/madrid", "/api", "/", "", "/api/madrid/cases/1/2"] {
            assert!(matches!(find("GET", path), Found::Nothing), "{path}");
        }
    }

    #[test]
    fn another_method_is_told_which_ones_are_taken() {
        let Found::OtherMethods(methods) = find("DELETE", "/api/madrid/profile") else { panic!("found") };
        assert_eq!(methods, ["GET", "PUT"]);
    }
}
