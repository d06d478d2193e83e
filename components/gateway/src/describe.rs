//! `GET …/-/describe`: what the connector is and whether its settings are complete. Names, never values.

use channel_sdk::types::{Descriptor, Header, Response, Stability, Strength};
use serde_json::{Value, json};
use service_sdk::access;
use service_sdk::tokens::Scope;

use crate::ports::Ports;
use crate::problem;
use crate::settings::{self, Entry, Problem};

/// Lets pass who may operate the tenant's connectors.
pub(crate) async fn authorize<P: Ports>(ports: &P, headers: &[Header], tenant: &str) -> Result<(), Response> {
    let tokens = ports.variable("api_tokens").await.unwrap_or_default();
    access::tenant(&tokens, headers, tenant, Scope::Operate, ports.now())
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
