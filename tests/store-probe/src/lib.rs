//! A component for tests alone: it hands every function of the store it is composed with to whoever asks over HTTP, so that the
//! store suite runs against the very file that is deployed, in our host and on Spin.
//!
//! `POST /{interface}/{function}` with a JSON array of the arguments (`null` where there are none) answers with what the function gives, in serde's shape of the
//! bindings: `{"Ok": …}` or `{"Err": …}` where it is a result.

#![cfg(target_family = "wasm")]
#![allow(missing_docs, unreachable_pub, reason = "generated code; the WIT is its documentation")]

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use spin_sdk::http::{IntoResponse, Request, Response, StatusCode};
use spin_sdk::http_service;

spin_sdk::wit_bindgen::generate!({
    path: ["../../wit/channel", "../../wit/store"],
    inline: "package ventanilla:probe; world probe {
        import ventanilla:store/log@1.0.0;
        import ventanilla:store/cases@1.0.0;
        import ventanilla:store/directory@1.0.0;
        import ventanilla:store/outbox@1.0.0;
        import ventanilla:store/feed@1.0.0;
        import ventanilla:store/ledger@1.0.0;
        import ventanilla:store/privacy@1.0.0;
    }",
    world: "ventanilla:probe/probe",
    runtime_path: "::spin_sdk::wit_bindgen::rt",
    with: { "ventanilla:channel/types@1.0.0": channel_sdk::types },
    additional_derives: [serde::Serialize, serde::Deserialize],
    generate_all,
});

use ventanilla::store::{cases, directory, feed, ledger, log, outbox, privacy};

/// Calls a function with the arguments of an array.
macro_rules! functions {
    ($name:expr, $arguments:expr; $($interface:ident: $($function:ident($($argument:ident),*))+;)+) => {
        match $name {
            $($(concat!(stringify!($interface), "/", stringify!($function)) => {
                let ($($argument,)*) = serde_json::from_slice($arguments)?;
                serde_json::to_value($interface::$function($($argument),*).await)
            })+)+
            other => Ok(Value::from(format!("the probe has no function {other}"))),
        }
    };
}

async fn call(name: &str, arguments: &[u8]) -> Result<Value, serde_json::Error> {
    functions! { name, arguments;
        log: journal(envelope) record(envelope, disposition, events) events(tenant, connector, page)
            envelopes(tenant, disposition, page) envelope_by_id(tenant, id) totals(tenant) public_cases(tenant, lookup) ready();
        cases: search(tenant, query, page) get(tenant, reference) change(tenant, reference, changes, author, at)
            add_note(tenant, reference, text, author, at) complete_task(tenant, reference, task, author, at)
            reply(tenant, reference, text, author, at) join_contacts(tenant, into, other, author, at)
            separate_contacts(tenant, into, other, author, at);
        directory: profile(tenant) put_profile(profile) tenants();
        outbox: claim(connector, now, lease_until, limit) queues() settle(id, at, settlement);
        feed: queues(now) claim(tenant, destination, start, now, lease_until, limit)
            settle(tenant, destination, lease, at, settlement) states(tenant) control(tenant, destination, command, author, at);
        ledger: add_up(tenant, bounds) seal(at, limit) link(tenant, number) examine(tenant, after, limit)
            received(tenant, since, until, disposition, page);
        privacy: retention(tenant) set_retention(tenant, rules, author, at) retain(at, limit)
            erase(tenant, subject, author, reason, at, dry_run) hold(tenant, reference, reason, author, at) audit(tenant, page)
            remove_tenant(tenant, author, reason, at, limit);
    }
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let (head, body) = request.into_parts();
    let answer = match body.collect().await {
        Ok(body) => call(head.uri.path().trim_start_matches('/'), &body.to_bytes()).await,
        Err(error) => Ok(Value::from(format!("the body ended too early: {error}"))),
    };
    let (status, text) = match answer {
        Ok(value) => (StatusCode::OK, value.to_string()),
        Err(error) => (StatusCode::BAD_REQUEST, format!("the arguments don't fit: {error}")),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
}
