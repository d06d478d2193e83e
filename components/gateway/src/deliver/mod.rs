//! Sends what is queued for this connector, of all tenants: `POST /{channel}/{vendor}/-/deliver`, authorised by the variable
//! `courier_token`. `GET …/-/due` says which connectors have something queued.
//!
//! # What is promised
//!
//! * **At least once.** An item is leased, sent, then settled. Between the last two a crash makes the lease run out, and the item
//!   is sent again; connectors give the provider an id of ours where it takes one. What is settled is never sent again.
//! * **Of a message of several calls**, those that are done are not made again: the store keeps how many there are. Only a crash
//!   between a call and its settlement repeats that one.
//! * **An item that kills its instance** (a trap while it is rendered) does not hold up the others: from its second try on, its
//!   next try is written down before it is touched, further away each time, until it is given up.

mod answer;
mod item;
mod pace;

use std::collections::BTreeMap;

use channel_sdk::json::format_instant;
use channel_sdk::types::{Descriptor, Response};
use serde_json::{Value, json};
use service_sdk::access;

use crate::bindings::log::StoreError;
use crate::bindings::outbox::{Item, Settlement};
use crate::outcome::RETRY_S;
use crate::pipeline::connector;
use crate::ports::Ports;
use crate::problem;
use crate::request::Head;
use crate::spool;

/// Items leased at once.
const BATCH: u32 = 8;
/// Longer than a run can take: our host ends a request after 30 s.
pub(crate) const LEASE_MS: i64 = 60_000;
/// No item is begun after this time of a run; the next run goes on.
const RUN_MS: i64 = 10_000;
/// No call is begun after this time of a run.
pub(crate) const LAST_CALL_MS: i64 = 18_000;

/// Tenants whose provider wants to be left alone, and until when.
type Paused = BTreeMap<String, i64>;

/// What became of the items of one run.
#[derive(Default)]
struct Counts {
    sent: u32,
    retry: u32,
    failed: u32,
}

/// Serves the routes of who drives deliveries: our host's timer, or a scheduled job elsewhere.
pub(crate) async fn serve<P: Ports>(ports: &P, descriptor: &Descriptor, head: &Head, suffix: &str) -> Response {
    let method = match suffix {
        "/deliver" => "POST",
        "/due" => "GET",
        "/spool" if head.method == "POST" => "POST",
        "/spool" => "GET",
        _ => return problem::no_such_route(),
    };
    if let Err(answer) = authorize(ports, head).await {
        return answer;
    }
    if head.method != method {
        return problem::method_not_allowed(method);
    }
    if suffix == "/spool" {
        return match method {
            "GET" => spool::drain::status(ports).await,
            _ => {
                let fault = head.quarantine.as_deref().filter(|_| ports.host_retries());
                spool::drain::drain(ports, descriptor, fault).await
            }
        };
    }
    if method == "GET" {
        return due(ports).await;
    }
    if let Some(fault) = head.quarantine.as_deref().filter(|_| ports.host_retries()) {
        // The host has given the request to a fresh instance. What was leased comes again by itself.
        ports.log(&format!("gateway: a delivery was interrupted connector={} {fault}", connector(descriptor)));
        return report(&Counts::default(), true);
    }
    drain(ports, descriptor).await
}

async fn authorize<P: Ports>(ports: &P, head: &Head) -> Result<(), Response> {
    access::courier(&ports.variable("courier_token").await.unwrap_or_default(), &head.headers)
}

async fn due<P: Ports>(ports: &P) -> Response {
    let now = ports.now();
    match ports.queues().await {
        Err(_) => unavailable(),
        Ok(queues) => {
            let queues: Vec<Value> = queues
                .iter()
                .map(|queue| {
                    json!({
                        "connector": queue.connector, "items": queue.items, "due_at": format_instant(queue.due_at),
                        "due": queue.due_at <= now,
                    })
                })
                .collect();
            problem::json(200, &json!({ "queues": queues }))
        }
    }
}

async fn drain<P: Ports>(ports: &P, descriptor: &Descriptor) -> Response {
    let (mut counts, mut paused) = (Counts::default(), Paused::new());
    let started = ports.now();
    let more = loop {
        let now = ports.now();
        if now - started >= RUN_MS {
            break true;
        }
        match ports.claim(&connector(descriptor), now, now + LEASE_MS, BATCH).await {
            Ok(items) if items.is_empty() => break false,
            Ok(items) => {
                for item in items {
                    deliver(ports, descriptor, item, started, &mut paused, &mut counts).await;
                }
            }
            Err(_) if counts.sent + counts.retry + counts.failed == 0 => return unavailable(),
            Err(_) => break true,
        }
    };
    if counts.sent + counts.retry + counts.failed > 0 {
        let Counts { sent, retry, failed } = counts;
        ports.log(&format!(
            "gateway: delivered connector={} sent={sent} retry={retry} failed={failed}",
            connector(descriptor)
        ));
    }
    report(&counts, more)
}

async fn deliver<P: Ports>(
    ports: &P,
    descriptor: &Descriptor,
    item: Item,
    started: i64,
    paused: &mut Paused,
    counts: &mut Counts,
) {
    let id = item.id.clone();
    let now = ports.now();
    let settlement = if now - started >= RUN_MS {
        Settlement::Retry((now, "not tried yet: the ones before it took long".into()))
    } else if let Some(until) = paused.get(&item.tenant).filter(|until| **until > now) {
        Settlement::Retry((*until, "not tried yet: the provider wants to be left alone for a while".into()))
    } else {
        let suspect = item.attempt > 0;
        if suspect {
            let at = now + pace::back_off(item.attempt).max(LEASE_MS);
            let begun = Settlement::Retry((at, "the last try did not come to an end".into()));
            if ports.settle(&id, now, begun).await.is_err() {
                return;
            }
        }
        let tenant = item.tenant.clone();
        let (settlement, pause) = item::send(ports, descriptor, item, started + LAST_CALL_MS).await;
        paused.extend(pause.map(|until| (tenant, until)));
        settlement
    };
    match &settlement {
        Settlement::Sent(_) => counts.sent += 1,
        Settlement::Retry(_) | Settlement::Resume(_) => counts.retry += 1,
        Settlement::Failed(_) => counts.failed += 1,
    }
    // Sent but not settled would be sent again: a store that is busy for a moment is asked once more.
    for _ in 0..3 {
        match ports.settle(&id, ports.now(), settlement.clone()).await {
            Err(StoreError::Unavailable(_)) => {}
            Ok(()) | Err(_) => return,
        }
    }
    ports.log(&format!("gateway: not settled connector={} item={id}: it comes again", connector(descriptor)));
}

fn report(counts: &Counts, more: bool) -> Response {
    problem::json(200, &json!({ "sent": counts.sent, "retry": counts.retry, "failed": counts.failed, "more": more }))
}

fn unavailable() -> Response {
    let detail = "the store does not answer; try again";
    problem::retry_later("store-unavailable", "The store is unavailable", detail, RETRY_S)
}

#[cfg(test)]
mod tests;
