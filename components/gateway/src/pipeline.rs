//! The way of one request: route, settings, body, proof, meaning, store, answer. In this order and no other: nothing is
//! translated before it is checked, and nothing is acknowledged before it is stored.

use channel_sdk::types::{
    Context, Descriptor, Event, Fetched, Header, Lookup, Outcome, Receipt, Refusal, RefusalReason, Request, Response,
    Translation,
};

use crate::authenticate::{self, Genuine, Proof};
use crate::bindings::log::{Disposition, Envelope, StoreError};
use crate::outcome::{BUSY_S, RETRY_S};
use crate::ports::{BodyError, Ports};
use crate::request::{self, Head, Route};
use crate::settings::{self, Entry, Problem, Settings};
use crate::spool::{self, Spooled};
use crate::{deliver, describe, events, fetch, problem, replay, response, well_known};

/// Seconds after which a fault of the configuration may have been repaired.
const REPAIR_S: u32 = 60;

/// Serves one request.
pub(crate) async fn serve<P: Ports>(ports: &P, head: &Head) -> Response {
    let descriptor = ports.describe();
    let Some(route) = request::route(&head.target, &descriptor) else {
        return response::clean(well_known::serve(ports, &descriptor, head).await);
    };
    if route.tenant == "-" {
        return response::clean(deliver::serve(ports, &descriptor, head, route.suffix).await);
    }
    let variable = match ports.variable("settings").await {
        Ok(variable) => variable,
        Err(why) => return misconfigured(ports, &descriptor, &why),
    };
    let entry = match settings::entry(&variable, route.tenant) {
        Ok(entry) => entry,
        Err(Problem::UnknownTenant) => return problem::no_such_tenant(),
        Err(Problem::Faulty(why)) => return misconfigured(ports, &descriptor, &why),
    };
    ports.tenant(route.tenant);
    let answer = match route.suffix.strip_prefix("/-/") {
        Some(name) => operator(ports, &descriptor, &entry, head, &route, name).await,
        None => provider(ports, &descriptor, &entry, head, &route).await,
    };
    response::clean(answer)
}

/// What the gateway answers itself, to whoever has one of the tenant's API tokens.
async fn operator<P: Ports>(
    ports: &P,
    descriptor: &Descriptor,
    entry: &Entry,
    head: &Head,
    route: &Route<'_>,
    name: &str,
) -> Response {
    let (method, id) = match name.split_once('/') {
        None if name == "describe" => ("GET", None),
        Some(("replay", id)) if !id.is_empty() => ("POST", Some(id)),
        _ => return problem::no_such_route(),
    };
    if let Err(answer) = describe::authorize(ports, &head.headers, route.tenant).await {
        return answer;
    }
    if head.method != method {
        return problem::method_not_allowed(method);
    }
    let Some(id) = id else { return describe::describe(descriptor, entry, route.tenant) };
    let settings = match entry.check(route.tenant, descriptor) {
        Ok(settings) => settings,
        Err(problem) => return faulty(ports, descriptor, problem),
    };
    replay::replay(ports, descriptor, &settings, id, head.quarantine.is_some() && ports.host_retries()).await
}

async fn provider<P: Ports>(
    ports: &P,
    descriptor: &Descriptor,
    entry: &Entry,
    head: &Head,
    route: &Route<'_>,
) -> Response {
    let settings = match entry.check(route.tenant, descriptor) {
        Ok(settings) => settings,
        Err(problem) => return faulty(ports, descriptor, problem),
    };
    let methods = request::methods(descriptor, route.suffix);
    if let Some(answer) = about_methods(&head.method, &methods) {
        return answer;
    }
    if head.busy && ports.host_retries() {
        return busy(ports, descriptor, &settings, head, route, &methods).await;
    }
    // The answer to a provider may be spoken, so a profile is wanted even for a refusal.
    let (profile, store_error) = match ports.profile(route.tenant).await {
        Ok(profile) => (profile, None),
        // It was removed: whoever still sends for it is told as if it had never been.
        Err(StoreError::Invalid(_)) => return problem::no_such_tenant(),
        // The one it had when the store was last asked.
        Err(error) => (spool::profile(ports, route.tenant).await, Some(error)),
    };
    let context = settings.context(profile.unwrap_or_else(|| settings::neutral_profile(route.tenant)));
    let mut request = head.request(route, &settings.public_url, ports.now());

    let outcome = match read(ports, head, descriptor.max_body).await {
        Err(Unread::Malformed(why)) => return problem::problem(400, "malformed-request", "Malformed request", why),
        Err(Unread::Refused(refusal)) => Outcome::Refused(refusal),
        Ok(body) => {
            request.body = body;
            request.received_at = ports.now();
            let step = ports.step("authenticate");
            let proof = authenticate::prove(ports, descriptor, &settings, &request, &context).await;
            drop(step);
            let intake = Intake { ports, descriptor, settings: &settings, context: &context, request: &request };
            match (proof, store_error) {
                (Proof::Handshake(answer), _) => return response::handshake(answer),
                (Proof::Refused(refusal), _) => Outcome::Refused(refusal),
                (Proof::Genuine(genuine), Some(error)) => intake.keep(head, genuine, &error).await,
                (Proof::Lookup(_), Some(error)) => intake.failed(&error),
                (Proof::Lookup(lookup), None) => intake.look_up(lookup).await,
                (Proof::Genuine(genuine), None) => intake.take_in(head, genuine).await,
            }
        }
    };
    if let Outcome::Refused(refusal) = &outcome {
        let detail = format!("reason={} {}", crate::outcome::reason(refusal.reason), refusal.detail);
        log(ports, descriptor, route.tenant, "refused", &detail);
    }
    let answer = ports.acknowledge(&request, &outcome, &context);
    response::guard(&outcome, answer, &methods)
}

/// Nothing is looked at: whoever sent it is told in the provider's own words to come again. The store is not asked either.
async fn busy<P: Ports>(
    ports: &P,
    descriptor: &Descriptor,
    settings: &Settings,
    head: &Head,
    route: &Route<'_>,
    methods: &[String],
) -> Response {
    let context = settings.context(settings::neutral_profile(route.tenant));
    let mut request = head.request(route, &settings.public_url, ports.now());
    if let Ok(body) = read(ports, head, descriptor.max_body).await {
        request.body = body;
    }
    let outcome = Outcome::Unavailable(BUSY_S);
    let answer = ports.acknowledge(&request, &outcome, &context);
    response::guard(&outcome, answer, methods)
}

/// `OPTIONS` and `HEAD` change nothing and prove nothing, so unless the connector takes them they are answered here.
/// `CONNECT` and `TRACE` are nobody's.
fn about_methods(method: &str, methods: &[String]) -> Option<Response> {
    let ours = matches!(method, "OPTIONS" | "HEAD") && !methods.iter().any(|known| known == method);
    if !ours && !matches!(method, "CONNECT" | "TRACE") {
        return None;
    }
    let allow = ("allow".to_owned(), methods.join(", "));
    let status = if method == "OPTIONS" { 204 } else { 405 };
    Some(Response { status, headers: vec![allow], body: Vec::new() })
}

enum Unread {
    Malformed(&'static str),
    Refused(Refusal),
}

async fn read<P: Ports>(ports: &P, head: &Head, limit: u32) -> Result<Vec<u8>, Unread> {
    let too = |slow| {
        let (reason, detail) = request::body_refusal(limit, slow);
        Err(Unread::Refused(Refusal { reason, detail }))
    };
    match head.content_length() {
        Err(()) => return Err(Unread::Malformed("the Content-Length is not one number")),
        Ok(Some(length)) if length > u64::from(limit) => return too(false),
        Ok(_) => {}
    }
    match ports.body(limit as usize).await {
        Ok(body) => Ok(body),
        Err(BodyError::TooLarge) => too(false),
        Err(BodyError::TooSlow) => too(true),
        Err(BodyError::Broken) => Err(Unread::Malformed("the body ended before it was complete")),
    }
}

/// A genuine request on its way into the store.
pub(crate) struct Intake<'a, P> {
    pub(crate) ports: &'a P,
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) settings: &'a Settings,
    pub(crate) context: &'a Context,
    pub(crate) request: &'a Request,
}

impl<P: Ports> Intake<'_, P> {
    async fn take_in(&self, head: &Head, mut genuine: Genuine) -> Outcome {
        let fetched = core::mem::take(&mut genuine.fetched);
        let mut envelope = self.envelope(genuine);
        if self.ports.host_retries() {
            // The host has thrown away the instance in which a component trapped, and gives the request to this fresh one.
            // Whatever did it is not called again: the envelope is kept as it came.
            if let Some(reason) = self.stopped(head) {
                let spooled = Spooled { envelope, reason: Some(reason.clone()) };
                return self.record_or_spool(spooled, Vec::new(), Some(reason)).await;
            }
        } else {
            // Nobody will come back for a trapped request on this host, so the envelope goes first: two writes.
            match self.ports.journal(envelope.clone()).await {
                Ok(id) => envelope.id = Some(id),
                Err(error) => return self.spool(Spooled { envelope, reason: None }, &error).await,
            }
        }
        let (events, reason) = self.translate(fetched).await;
        // From the spool it is translated anew.
        self.record_or_spool(Spooled { envelope, reason: None }, events, reason).await
    }

    /// Why the envelope is not to be translated: the host has seen a component trap on it.
    fn stopped(&self, head: &Head) -> Option<String> {
        let why = head.quarantine.as_deref().filter(|_| self.ports.host_retries())?;
        Some(format!("a component stopped while it worked on this ({why})"))
    }

    /// The store has just failed: the envelope is kept as it came, and translated when it is drained.
    async fn keep(&self, head: &Head, genuine: Genuine, error: &StoreError) -> Outcome {
        let spooled = Spooled { envelope: self.envelope(genuine), reason: self.stopped(head) };
        self.spool(spooled, error).await
    }

    /// Keeps what the store can't take now. What it refuses is not kept: it would be refused again.
    async fn spool(&self, spooled: Spooled, error: &StoreError) -> Outcome {
        if !matches!(error, StoreError::Unavailable(_)) || !spool::is_on(self.ports).await {
            return self.failed(error);
        }
        match spool::put(self.ports, &spooled).await {
            Ok(()) => {
                log(self.ports, self.descriptor, &self.context.tenant, "spooled", "the store does not take writes now");
                Outcome::Quarantined(Vec::new())
            }
            Err(why) => {
                log(self.ports, self.descriptor, &self.context.tenant, "not spooled", &why);
                self.failed(error)
            }
        }
    }

    async fn record_or_spool(&self, spooled: Spooled, events: Vec<Event>, reason: Option<String>) -> Outcome {
        match write(self.ports, spooled.envelope.clone(), events, reason).await {
            Ok((receipts, reason)) => self.stored(receipts, reason),
            Err(error) => self.spool(spooled, &error).await,
        }
    }

    async fn look_up(&self, lookup: Lookup) -> Outcome {
        match self.ports.public_cases(&self.context.tenant, lookup).await {
            Ok(cases) => Outcome::Found(cases),
            Err(StoreError::Invalid(_) | StoreError::Replayed) => {
                let detail = "the store can't look for that".into();
                Outcome::Refused(Refusal { reason: RefusalReason::Malformed, detail })
            }
            Err(error) => self.failed(&error),
        }
    }

    /// What the request means, fit for the store; and why it is not fully understood, if so.
    pub(crate) async fn translate(&self, mut fetched: Vec<Fetched>) -> (Vec<Event>, Option<String>) {
        let _step = self.ports.step("translate");
        for _ in 0..=authenticate::MAX_ROUNDS {
            match self.ports.translate(self.request, self.context, &fetched) {
                Translation::Events(events) => return events::fit(events, self.settings, self.request),
                Translation::Degraded((events, reason)) => {
                    return (events::fit(events, self.settings, self.request).0, Some(reason));
                }
                Translation::Fetch(wanted) if !wanted.is_empty() => {
                    fetch::all(self.ports, self.descriptor, self.settings, &wanted, &mut fetched).await;
                }
                Translation::Fetch(_) => break,
            }
        }
        (Vec::new(), Some("the connector did not come to an end with what it fetched".into()))
    }

    /// See [`write`].
    pub(crate) async fn record(&self, envelope: Envelope, events: Vec<Event>, reason: Option<String>) -> Outcome {
        match write(self.ports, envelope, events, reason).await {
            Ok((receipts, reason)) => self.stored(receipts, reason),
            Err(error) => self.failed(&error),
        }
    }

    fn stored(&self, receipts: Vec<Receipt>, reason: Option<String>) -> Outcome {
        match reason {
            None => Outcome::Accepted(receipts),
            Some(reason) => {
                log(self.ports, self.descriptor, &self.context.tenant, "quarantined", &reason);
                Outcome::Quarantined(receipts)
            }
        }
    }

    fn failed(&self, error: &StoreError) -> Outcome {
        let detail = match error {
            StoreError::Replayed => {
                let detail = "a single-use value came again with another request".into();
                return Outcome::Refused(Refusal { reason: RefusalReason::Replayed, detail });
            }
            // An error of the store that is not about the events can pass; a provider that comes again loses nothing.
            StoreError::Invalid(_) => "the store says the envelope is invalid",
            StoreError::Unavailable(_) => "the store does not take writes now",
        };
        log(self.ports, self.descriptor, &self.context.tenant, "unavailable", detail);
        Outcome::Unavailable(RETRY_S)
    }

    fn envelope(&self, genuine: Genuine) -> Envelope {
        let Request { method, suffix, query, headers, body, received_at, .. } = self.request;
        let kept = headers.iter().map(|header| {
            let blank = request::is_credential(&header.name, &genuine.credentials);
            Header { name: header.name.clone(), value: if blank { Vec::new() } else { header.value.clone() } }
        });
        Envelope {
            id: None,
            tenant: self.context.tenant.clone(),
            connector: connector(self.descriptor),
            method: method.clone(),
            target: request::url("", suffix, query.as_deref()),
            headers: kept.collect(),
            body: body.clone(),
            received_at: *received_at,
            verified_by: genuine.verified_by,
            nonce: genuine.nonce,
        }
    }
}

/// One atomic write, and a second one if the store can't take the events: then the envelope alone. Gives the receipts, and why the
/// envelope is quarantined, if it is.
pub(crate) async fn write<P: Ports>(
    ports: &P,
    envelope: Envelope,
    events: Vec<Event>,
    reason: Option<String>,
) -> Result<(Vec<Receipt>, Option<String>), StoreError> {
    let disposition = |reason: &Option<String>| match reason {
        None => Disposition::Accepted,
        Some(reason) => Disposition::Quarantined(bounded(reason)),
    };
    let bare = (!events.is_empty()).then(|| envelope.clone());
    match (ports.record(envelope, disposition(&reason), events).await, bare) {
        (Ok(receipts), _) => Ok((receipts, reason)),
        (Err(StoreError::Invalid(why)), Some(envelope)) => {
            let reason = Some(format!("the store could not take the events: {why}"));
            let receipts = ports.record(envelope, disposition(&reason), Vec::new()).await?;
            Ok((receipts, Some("the store could not take the events".into())))
        }
        (Err(error), _) => Err(error),
    }
}

/// `{channel}/{vendor}`.
pub(crate) fn connector(descriptor: &Descriptor) -> String {
    format!("{}/{}", descriptor.channel, descriptor.vendor)
}

fn faulty<P: Ports>(ports: &P, descriptor: &Descriptor, problem: Problem) -> Response {
    match problem {
        Problem::UnknownTenant => problem::no_such_tenant(),
        Problem::Faulty(why) => misconfigured(ports, descriptor, &why),
    }
}

fn misconfigured<P: Ports>(ports: &P, descriptor: &Descriptor, why: &str) -> Response {
    log(ports, descriptor, "-", "misconfigured", why);
    problem::retry_later("misconfigured", "The connector is not configured", why, REPAIR_S)
}

/// One line, in which nothing of the request stands: tenants are configured names, details are the connector's own words.
fn log<P: Ports>(ports: &P, descriptor: &Descriptor, tenant: &str, what: &str, detail: &str) {
    ports.log(&format!("gateway: {what} tenant={tenant} connector={} {}", connector(descriptor), bounded(detail)));
}

fn bounded(text: &str) -> String {
    text.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
