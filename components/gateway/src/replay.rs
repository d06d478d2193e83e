//! `POST …/-/replay/{envelope-id}`: translates a stored envelope again, after a connector has been repaired. It was verified
//! when it came, so it is not verified again: its secrets may have changed and its timestamp is old by now.

use channel_sdk::types::{Descriptor, Outcome, Request, Response};
use serde_json::{Value, json};

use crate::bindings::log::{Envelope, StoreError};
use crate::outcome::RETRY_S;
use crate::pipeline::{Intake, connector};
use crate::ports::Ports;
use crate::settings::{self, Settings};
use crate::{problem, request};

pub(crate) async fn replay<P: Ports>(
    ports: &P,
    descriptor: &Descriptor,
    settings: &Settings,
    id: &str,
    trapped: bool,
) -> Response {
    if trapped {
        let detail = "a component stopped on this envelope again; it stays as it was, repair the connector first";
        return problem::problem(500, "replay-failed", "The replay failed", detail);
    }
    let envelope = match ports.envelope(&settings.tenant, id).await {
        Ok(Some(envelope)) if envelope.connector == connector(descriptor) => envelope,
        // The store has it, and nothing in it.
        Err(StoreError::Invalid(why)) => return problem::problem(410, "erased", "Erased", &why),
        Ok(_) | Err(StoreError::Replayed) => {
            let detail = "this connector of the tenant has no envelope with this id";
            return problem::problem(404, "no-such-envelope", "No such envelope", detail);
        }
        Err(StoreError::Unavailable(_)) => return unavailable(),
    };
    let profile = match ports.profile(&settings.tenant).await {
        Ok(profile) => profile.unwrap_or_else(|| settings::neutral_profile(&settings.tenant)),
        Err(_) => return unavailable(),
    };
    let context = settings.context(profile);
    let request = request(&envelope, &settings.public_url);
    let intake = Intake { ports, descriptor, settings, context: &context, request: &request };
    let (events, reason) = intake.translate(Vec::new()).await;
    match intake.record(envelope, events, reason.clone()).await {
        Outcome::Accepted(receipts) => answer(id, "accepted", None, &receipts),
        Outcome::Quarantined(receipts) => answer(id, "quarantined", reason.as_deref(), &receipts),
        Outcome::Unavailable(_) => unavailable(),
        Outcome::Refused(_) | Outcome::Found(_) => {
            let detail = "the envelope's single-use value belongs to another request";
            problem::problem(409, "replay-failed", "The replay failed", detail)
        }
    }
}

/// A kept envelope as the request it was.
pub(crate) fn request(envelope: &Envelope, public_url: &str) -> Request {
    let (suffix, query) = request::split(&envelope.target);
    Request {
        method: envelope.method.clone(),
        url: request::url(public_url, suffix, query),
        suffix: suffix.to_owned(),
        query: query.map(str::to_owned),
        headers: envelope.headers.clone(),
        body: envelope.body.clone(),
        received_at: envelope.received_at,
    }
}

fn answer(id: &str, disposition: &str, reason: Option<&str>, receipts: &[channel_sdk::types::Receipt]) -> Response {
    let events: Vec<Value> = receipts
        .iter()
        .map(|receipt| {
            let mut event = json!({
                "id": receipt.event_id,
                "idempotency_key": receipt.idempotency_key,
                "duplicate": receipt.duplicate,
                "opened": receipt.opened,
            });
            if let (Some(case), Some(event)) = (&receipt.case_reference, event.as_object_mut()) {
                event.insert("case".into(), json!({ "reference": case }));
            }
            event
        })
        .collect();
    let mut body = json!({ "envelope": id, "disposition": disposition, "events": events });
    if let (Some(reason), Some(body)) = (reason, body.as_object_mut()) {
        body.insert("reason".into(), reason.into());
    }
    problem::json(200, &body)
}

fn unavailable() -> Response {
    problem::retry_later(
        "store-unavailable",
        "The store is unavailable",
        "the case store does not answer; try again",
        RETRY_S,
    )
}
