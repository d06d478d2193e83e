//! What people see of their destinations, and what they can do. Of a URL only the host is shown: its path may be a secret.

use channel_sdk::json::format_instant;
use channel_sdk::types::Response;
use serde_json::{Map, Value, json};
use service_sdk::problem;

use crate::bindings::feed::{Command, Condition, DestinationState, Start};
use crate::bindings::log::StoreError;
use crate::config::{self, Config, Destination};
use crate::ports::Ports;

const RETRY_S: u32 = 5;

/// `GET /webhooks/{tenant}`.
pub(crate) async fn list<P: Ports>(ports: &P, tenant: &str) -> Response {
    let config = config::read(&ports.variable("webhooks").await);
    let states = match ports.states(tenant).await {
        Ok(states) => states,
        Err(_) => return unavailable(),
    };
    let of_tenant: Vec<&Destination> = config.destinations.iter().filter(|d| d.tenant == tenant).collect();
    let mut destinations: Vec<Value> = of_tenant
        .iter()
        .map(|destination| {
            let state = states.iter().find(|state| state.destination == destination.name);
            one(&destination.name, Some(destination), state, &config)
        })
        .collect();
    let others = states.iter().filter(|state| !of_tenant.iter().any(|d| d.name == state.destination));
    destinations.extend(others.map(|state| one(&state.destination, None, Some(state), &config)));
    let faults: Vec<Value> = config
        .faults
        .iter()
        .filter(|fault| fault.tenant.is_empty() || fault.tenant == tenant)
        .map(|fault| match &fault.destination {
            Some(destination) => json!({ "destination": destination, "fault": fault.why }),
            None => json!({ "fault": fault.why }),
        })
        .collect();
    let configured = config.tenants.iter().any(|known| known == tenant);
    if !configured && destinations.is_empty() && faults.is_empty() {
        return problem::problem(
            404,
            "no-webhooks",
            "No webhooks",
            "the variable `webhooks` has no destinations for this tenant; the operator adds them there",
        );
    }
    problem::json(200, &json!({ "tenant": tenant, "destinations": destinations, "faults": faults }))
}

/// `POST /webhooks/{tenant}/{destination}/pause` and `…/resume`.
pub(crate) async fn control<P: Ports>(ports: &P, tenant: &str, destination: &str, command: Command) -> Response {
    let key = (tenant.to_owned(), destination.to_owned());
    match ports.control(&key, command, "the operator", ports.now()).await {
        Ok(Some(state)) => {
            let config = config::read(&ports.variable("webhooks").await);
            let own = config.destinations.iter().find(|d| d.tenant == tenant && d.name == destination);
            problem::json(200, &one(destination, own, Some(&state), &config))
        }
        Ok(None) => problem::problem(
            404,
            "no-such-destination",
            "No such destination",
            "nothing has been delivered to a destination of this name yet; see GET /webhooks/{tenant}",
        ),
        Err(StoreError::Unavailable(_)) => unavailable(),
        Err(_) => problem::problem(500, "not-changed", "Not changed", "the store refuses it; see the server's log"),
    }
}

fn one(name: &str, destination: Option<&Destination>, state: Option<&DestinationState>, config: &Config) -> Value {
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    put("name", name.into());
    let condition = state.map(|state| match state.condition {
        Condition::Running => "running",
        Condition::Paused => "paused",
        Condition::Stopped => "stopped",
    });
    if let Some(destination) = destination {
        put("host", destination.target.authority.as_str().into());
        put("events", destination.events().into());
        put("start", if destination.start == Start::Now { "now" } else { "beginning" }.into());
    }
    put("condition", condition.unwrap_or("new").into());
    let faulty = state.is_some_and(|state| {
        config.faults.iter().any(|f| f.tenant == state.tenant && f.destination.as_deref() == Some(name))
    });
    if destination.is_none() {
        let why = if faulty {
            "its settings are faulty, and what it is to be told waits"
        } else {
            "it is not in the variable `webhooks` any more"
        };
        put("remark", why.into());
    }
    if let Some(state) = state {
        put("position", state.position.as_str().into());
        put("waiting", state.waiting.into());
        put("attempts", state.attempts.into());
        for (name, at) in [
            ("due_at", state.due_at),
            ("failing_since", state.failing_since),
            ("delivered_at", state.delivered_at),
            ("created_at", Some(state.created_at)),
        ] {
            if let Some(at) = at {
                put(name, format_instant(at).into());
            }
        }
        if let Some(reason) = &state.reason {
            put("reason", reason.as_str().into());
        }
        put("delivered", state.delivered.into());
    }
    Value::Object(out)
}

fn unavailable() -> Response {
    let detail = "the store does not answer; try again";
    problem::retry_later("store-unavailable", "The store is unavailable", detail, RETRY_S)
}
