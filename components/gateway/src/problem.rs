//! Answers in the gateway's own words.

use channel_sdk::types::Response;
pub(crate) use service_sdk::problem::{json, method_not_allowed, problem, retry_later};

pub(crate) fn no_such_route() -> Response {
    problem(
        404,
        "no-such-route",
        "No such route",
        "no connector answers here; a connector's path is /{channel}/{vendor}/{tenant}",
    )
}

pub(crate) fn no_such_tenant() -> Response {
    problem(
        404,
        "no-such-tenant",
        "No such tenant",
        "this connector has no settings for the tenant; the operator adds them to the connector's settings variable",
    )
}
