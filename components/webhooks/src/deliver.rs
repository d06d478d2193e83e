//! A run: `POST /webhooks/-/deliver`. Every destination with something to be told gets a turn of one batch, several at once, again and
//! again while there is time; one that hangs holds up its own turn only, and the next run passes it by while its lease lasts.
//!
//! # What is promised
//!
//! * **At least once, in order, per destination.** A batch is leased, sent one after another, then settled; the first that is not taken
//!   ends it. A crash in between makes what was not settled come again, with the same ids.
//! * **Nothing is lost.** A receiver that fails for days, or wants no more, is stopped, and its position stays.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

use channel_sdk::types::Response;
use serde_json::json;
use service_sdk::edge::Outbound;
use service_sdk::problem;

use crate::answer::{self, Verdict};
use crate::bindings::feed::{Batch, Entry, Outlook, Settlement};
use crate::bindings::log::StoreError;
use crate::cloud_event;
use crate::config::{self, Config, Destination};
use crate::ports::{Key, Ports};
use crate::sign;

/// Entries leased at once.
const BATCH: u32 = 20;
/// Destinations that have their turn at once.
const AT_ONCE: usize = 8;
/// One try. Standard Webhooks 1.0 asks senders to wait 15 to 30 s; our host ends a whole run after 30 s.
const TRY_S: u64 = 10;
/// No batch is begun after this time of a run; the next run goes on.
const RUN_MS: i64 = 10_000;
/// No try is begun after this time of a run.
const LAST_TRY_MS: i64 = 18_000;
/// Longer than a run can take.
const LEASE_MS: i64 = 60_000;
/// Progress is written down after so long: a crash repeats no more than that.
const SAVE_MS: i64 = 1000;
/// Of a receiver's answer. It means nothing, but a connection is closed cleanly only when it has been read.
const MAX_ANSWER: usize = 16 * 1024;
const RETRY_S: u32 = 5;

/// What became of a run.
#[derive(Default)]
struct Counts {
    sent: Cell<u32>,
    retry: Cell<u32>,
    stopped: Cell<u32>,
    more: Cell<bool>,
    unavailable: Cell<bool>,
}

fn add(count: &Cell<u32>, number: u32) {
    count.set(count.get().saturating_add(number));
}

/// Destinations that have something to be told, the first of every tenant before the second of any.
async fn due<'a, P: Ports>(ports: &P, config: &'a Config) -> Result<Vec<&'a Destination>, StoreError> {
    let known: BTreeMap<Key, bool> = ports
        .queues(ports.now())
        .await?
        .into_iter()
        .map(|queue| ((queue.tenant, queue.destination), queue.due))
        .collect();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut due: Vec<(usize, &Destination)> = Vec::new();
    for destination in &config.destinations {
        // One that the store has not seen begins with its first claim.
        if known.get(&key(destination)).copied().unwrap_or(true) {
            let place = places.entry(&destination.tenant).or_default();
            due.push((*place, destination));
            *place += 1;
        }
    }
    due.sort_by_key(|(place, _)| *place);
    Ok(due.into_iter().map(|(_, destination)| destination).collect())
}

fn key(destination: &Destination) -> Key {
    (destination.tenant.clone(), destination.name.clone())
}

/// `GET /webhooks/-/due`: whether a run would have something to do.
pub(crate) async fn look<P: Ports>(ports: &P) -> Response {
    let config = config::read(&ports.variable("webhooks").await);
    if config.destinations.is_empty() {
        return problem::json(200, &json!({ "due": false, "destinations": 0 }));
    }
    match due(ports, &config).await {
        Ok(due) => problem::json(200, &json!({ "due": !due.is_empty(), "destinations": config.destinations.len() })),
        Err(_) => unavailable(),
    }
}

/// `POST /webhooks/-/deliver`.
pub(crate) async fn run<P: Ports>(ports: &P) -> Response {
    let config = config::read(&ports.variable("webhooks").await);
    let started = ports.now();
    let waiting: VecDeque<&Destination> = match due(ports, &config).await {
        Ok(due) => due.into(),
        Err(_) => return unavailable(),
    };
    let counts = Counts::default();
    let waiting = RefCell::new(waiting);
    let workers = (0..AT_ONCE).map(|_| work(ports, &waiting, &counts, started)).collect();
    all(workers).await;
    let (sent, retry, stopped) = (counts.sent.get(), counts.retry.get(), counts.stopped.get());
    if sent + retry + stopped > 0 {
        ports.log(&format!("webhooks: delivered sent={sent} retry={retry} stopped={stopped}"));
    }
    if counts.unavailable.get() && sent + retry + stopped == 0 {
        return unavailable();
    }
    problem::json(200, &json!({ "sent": sent, "retry": retry, "stopped": stopped, "more": counts.more.get() }))
}

/// Takes the one that has waited longest, gives it a turn, and puts it to the end again if it has more.
async fn work<P: Ports>(ports: &P, waiting: &RefCell<VecDeque<&Destination>>, counts: &Counts, started: i64) {
    loop {
        let next = waiting.borrow_mut().pop_front();
        let Some(destination) = next else { return };
        let now = ports.now();
        if now - started >= RUN_MS {
            counts.more.set(true);
            return;
        }
        match ports.claim(&key(destination), destination.start, now, now + LEASE_MS, BATCH).await {
            Ok(None) => {}
            Ok(Some(batch)) => {
                if turn(ports, destination, &batch, counts, started).await {
                    waiting.borrow_mut().push_back(destination);
                }
            }
            Err(_) => {
                counts.unavailable.set(true);
                counts.more.set(true);
                return;
            }
        }
    }
}

/// Delivers a batch. Whether there may be more.
async fn turn<P: Ports>(ports: &P, destination: &Destination, batch: &Batch, counts: &Counts, started: i64) -> bool {
    let mut progress = Progress { delivered: None, count: 0, any: false };
    let mut saved = ports.now();
    for entry in &batch.entries {
        let now = ports.now();
        if now - started >= LAST_TRY_MS {
            counts.more.set(true);
            settle(ports, destination, batch, progress.settlement(Outlook::Ready)).await;
            return false;
        }
        if !destination.wants(cloud_event::kind(entry)) {
            progress.passed(entry, 0);
            continue;
        }
        if progress.count > 0 && now - saved >= SAVE_MS {
            if !settle(ports, destination, batch, progress.settlement(Outlook::Keep(now + LEASE_MS))).await {
                return false;
            }
            saved = now;
        }
        let outlook = match attempt(ports, destination, entry).await {
            Verdict::Done => {
                progress.passed(entry, 1);
                add(&counts.sent, 1);
                continue;
            }
            Verdict::Later(at, reason) => {
                let now = ports.now();
                let (attempts, since) =
                    if progress.any { (0, now) } else { (batch.attempts, batch.failing_since.unwrap_or(now)) };
                if now - since >= answer::GIVE_UP {
                    let days = answer::GIVE_UP / 86_400_000;
                    Outlook::Stop(format!("given up after {days} days, resume it when it is mended: {reason}"))
                } else {
                    Outlook::Retry((at.unwrap_or_else(|| now + answer::back_off(attempts, &batch.lease)), reason))
                }
            }
            Verdict::Gone(reason) => Outlook::Stop(reason),
        };
        match &outlook {
            Outlook::Stop(reason) => {
                add(&counts.stopped, 1);
                // The reason is ours: nothing of what was sent or answered is in it.
                ports.log(&format!(
                    "webhooks: stopped tenant={} destination={}: {reason}",
                    destination.tenant, destination.name
                ));
            }
            _ => add(&counts.retry, 1),
        }
        settle(ports, destination, batch, progress.settlement(outlook)).await;
        return false;
    }
    settle(ports, destination, batch, progress.settlement(Outlook::Ready)).await
}

struct Progress {
    delivered: Option<String>,
    count: u32,
    /// Whether anything of this batch is done with: the failures before are over.
    any: bool,
}

impl Progress {
    fn passed(&mut self, entry: &Entry, count: u32) {
        self.delivered = Some(entry.position.clone());
        self.count += count;
        self.any = true;
    }

    /// What is new since the last settlement.
    fn settlement(&mut self, outlook: Outlook) -> Settlement {
        Settlement { delivered: self.delivered.take(), count: core::mem::take(&mut self.count), outlook }
    }
}

/// Whether the lease is still ours. Sent but not settled would be sent again: a store that is busy for a moment is asked once more.
async fn settle<P: Ports>(ports: &P, destination: &Destination, batch: &Batch, settlement: Settlement) -> bool {
    for _ in 0..3 {
        match ports.settle(&key(destination), &batch.lease, ports.now(), settlement.clone()).await {
            Ok(ours) => return ours,
            Err(StoreError::Unavailable(_)) => {}
            Err(_) => break,
        }
    }
    let Destination { tenant, name, .. } = destination;
    ports.log(&format!("webhooks: not settled tenant={tenant} destination={name}: it comes again"));
    false
}

async fn attempt<P: Ports>(ports: &P, destination: &Destination, entry: &Entry) -> Verdict {
    let body = cloud_event::body(entry, &destination.tenant, &destination.source);
    let headers = match sign::headers(&entry.id, ports.now(), &body, &destination.secrets) {
        Ok(headers) => headers,
        Err(why) => return Verdict::Later(None, format!("it can't be signed: {why}")),
    };
    let request = Outbound {
        method: "POST".into(),
        authority: destination.target.authority.clone(),
        path_and_query: destination.target.path_and_query.clone(),
        headers,
        plain: destination.plain,
        body,
        max_bytes: MAX_ANSWER,
        seconds: TRY_S,
    };
    match ports.send(request).await {
        Ok(answer) => answer::read(Ok(&answer), ports.now()),
        Err(why) => answer::read(Err(&why), ports.now()),
    }
}

/// Runs a few futures to their end. Each wake asks all that are not done: they are few.
async fn all<'a, F: Future<Output = ()> + 'a>(futures: Vec<F>) {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    poll_fn(|context| {
        running.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn unavailable() -> Response {
    let detail = "the store does not answer; try again";
    problem::retry_later("store-unavailable", "The store is unavailable", detail, RETRY_S)
}

#[cfg(test)]
mod tests;
