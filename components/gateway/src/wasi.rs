//! The edge to WASI and to the composed components.

use core::future::Future;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;

use channel_sdk::types::{
    Authentication, Call, Context, Descriptor, Event, Fetched, Lookup, Outcome, Outgoing, PublicCase, Receipt, Refusal,
    Request, Response, TenantProfile, Translation,
};
use futures_channel::oneshot;
use service_sdk::edge::{self, SECOND, within};
use service_sdk::spool::{self as keys, Contents};
use service_sdk::trace::{self, Step};
use spin_sdk::wasip3::clocks::monotonic_clock;
use spin_sdk::wasip3::http::types::{self as http, ErrorCode};
use spin_sdk::wasip3::spawn;

use crate::bindings::log::{self, Disposition, Envelope, StoreError};
use crate::bindings::outbox::{self, Item, Queue, Settlement};
use crate::bindings::{connector, directory};
use crate::pipeline;
use crate::ports::{BodyError, Failure, Inbound, Outbound, Ports};
use crate::request::Head;
use crate::spool;

/// A body that has not ended by then is given up. Providers hang up after 5 to 30 s.
const BODY_NS: u64 = 30 * SECOND;
/// What a voice provider's caller hears silence for, at most, when the store does not answer (`design.md` §8: 3 s in all).
const STORE_VOICE_NS: u64 = 2 * SECOND;
/// One call of the store for everybody else. What is not taken by then goes to the spool.
const STORE_NS: u64 = 5 * SECOND;
/// After so long it is asked whether the store is known not to answer. It answers within a few milliseconds.
const STORE_LATE_NS: u64 = SECOND * 3 / 20;
/// A store that did not answer in time is given up early for so long, in milliseconds; then one request waits for it again.
const DOWN_MS: i64 = 5000;
/// All that a voice provider's caller hears silence for, the key-value store included.
const VOICE_NS: u64 = SECOND * 14 / 5;
/// One call of the key-value store, of voice and of everybody else.
const KEEP_VOICE_NS: u64 = SECOND * 7 / 10;
const KEEP_NS: u64 = 5 * SECOND;
/// How long configuration is believed, in milliseconds.
const FRESH_MS: i64 = 1000;
/// How long it is believed when the store can't be asked.
const STALE_MS: i64 = 3_600_000;

struct Gateway;
spin_sdk::wasip3::http::service::export!(Gateway);

impl spin_sdk::wasip3::exports::http::handler::Guest for Gateway {
    async fn handle(request: http::Request) -> Result<http::Response, ErrorCode> {
        let method = edge::method_name(&request.get_method());
        let target = request.get_path_with_query().unwrap_or_else(|| "/".into());
        let headers = request.get_headers().copy_all();
        let head = Head::new(&method, target, headers);
        let bodiless = head.method == "HEAD";
        let ports = Wasi {
            request: Cell::new(Some(request)),
            // Who drives deliveries waits; a caller does not.
            operator: head.target.contains("/-/"),
            started: monotonic_clock::now(),
            traced: head.traced && host_retries(),
        };
        let answer = pipeline::serve(&ports, &head).await;
        edge::respond(answer, bodiless)
    }
}

/// Configuration that instances keep between requests: nothing in here comes from a request, and nothing of one is kept.
/// It is keyed by what the operator has configured, so it does not grow with traffic.
#[derive(Default)]
struct Cache {
    descriptor: OnceCell<Descriptor>,
    profiles: RefCell<BTreeMap<String, (i64, Option<TenantProfile>)>>,
    variables: RefCell<BTreeMap<String, (i64, String)>>,
}

thread_local! {
    static CACHE: Cache = Cache::default();
}

struct Wasi {
    request: Cell<Option<http::Request>>,
    operator: bool,
    started: u64,
    traced: bool,
}

impl Ports for Wasi {
    fn describe(&self) -> Descriptor {
        CACHE.with(|cache| cache.descriptor.get_or_init(connector::describe).clone())
    }

    fn authenticate(&self, request: &Request, context: &Context, fetched: &[Fetched]) -> Authentication {
        connector::authenticate(request, context, fetched)
    }

    fn translate(&self, request: &Request, context: &Context, fetched: &[Fetched]) -> Translation {
        connector::translate(request, context, fetched)
    }

    fn render(&self, message: &Outgoing, context: &Context) -> Result<Vec<Call>, Refusal> {
        let _step = self.step("render");
        connector::render(message, context)
    }

    fn acknowledge(&self, request: &Request, outcome: &Outcome, context: &Context) -> Response {
        let _step = self.step("acknowledge");
        connector::acknowledge(request, outcome, context)
    }

    async fn profile(&self, tenant: &str) -> Result<Option<TenantProfile>, StoreError> {
        let now = self.now();
        let known = CACHE.with(|cache| cache.profiles.borrow().get(tenant).cloned());
        if let Some((at, profile)) = &known
            && is_within(now, *at, FRESH_MS)
        {
            return Ok(profile.clone());
        }
        let _step = self.step("profile");
        match self.store(directory::profile(tenant.to_owned())).await {
            Ok(profile) => {
                // A tenant without one is asked for again each time: it was set up a moment ago, and its first profile is in force at once.
                CACHE.with(|cache| match &profile {
                    Some(_) => cache.profiles.borrow_mut().insert(tenant.to_owned(), (now, profile.clone())),
                    None => cache.profiles.borrow_mut().remove(tenant),
                });
                Ok(profile)
            }
            // The tenant was removed.
            Err(error @ StoreError::Invalid(_)) => {
                CACHE.with(|cache| cache.profiles.borrow_mut().remove(tenant));
                Err(error)
            }
            // An old profile speaks the tenant's language; whether anything is stored is for `record` to say.
            Err(error) => match known {
                Some((at, profile)) if is_within(now, at, STALE_MS) => Ok(profile),
                _ => Err(error),
            },
        }
    }

    async fn journal(&self, envelope: Envelope) -> Result<String, StoreError> {
        self.store(log::journal(envelope)).await
    }

    async fn record(
        &self,
        envelope: Envelope,
        disposition: Disposition,
        events: Vec<Event>,
    ) -> Result<Vec<Receipt>, StoreError> {
        let _step = self.step("record");
        self.store(log::record(envelope, disposition, events)).await
    }

    async fn envelope(&self, tenant: &str, id: &str) -> Result<Option<Envelope>, StoreError> {
        self.store(log::envelope_by_id(tenant.to_owned(), id.to_owned())).await
    }

    async fn public_cases(&self, tenant: &str, lookup: Lookup) -> Result<Vec<PublicCase>, StoreError> {
        let _step = self.step("look_up");
        self.store(log::public_cases(tenant.to_owned(), lookup)).await
    }

    async fn claim(&self, connector: &str, now: i64, until: i64, limit: u32) -> Result<Vec<Item>, StoreError> {
        let _step = self.step("claim");
        outbox::claim(connector.to_owned(), now, until, limit).await
    }

    async fn queues(&self) -> Result<Vec<Queue>, StoreError> {
        outbox::queues().await
    }

    async fn settle(&self, id: &str, at: i64, settlement: Settlement) -> Result<(), StoreError> {
        let _step = self.step("settle");
        outbox::settle(id.to_owned(), at, settlement).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.store(log::ready()).await
    }

    async fn kept(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.keeper(keys::get(key)).await
    }

    async fn keep(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        let _step = self.step("keep");
        self.keeper(keys::set(key, value)).await
    }

    async fn forget(&self, key: &str) -> Result<(), Failure> {
        self.keeper(keys::delete(key)).await
    }

    async fn contents(&self) -> Result<Contents, Failure> {
        self.keeper(keys::contents()).await
    }

    fn chance(&self) -> Result<[u8; 10], Failure> {
        let mut bytes = [0; 10];
        getrandom::fill(&mut bytes).map_err(|_| "there is no randomness to be had")?;
        Ok(bytes)
    }

    async fn variable(&self, name: &str) -> Result<String, Failure> {
        let now = self.now();
        let known = CACHE.with(|cache| cache.variables.borrow().get(name).cloned());
        if let Some((at, value)) = known
            && is_within(now, at, FRESH_MS)
        {
            return Ok(value);
        }
        let value = spin_sdk::variables::get(name)
            .await
            .map_err(|_| format!("the component's variable `{name}` can't be read; declare it in the manifest"))?;
        CACHE.with(|cache| cache.variables.borrow_mut().insert(name.to_owned(), (now, value.clone())));
        Ok(value)
    }

    async fn body(&self, limit: usize) -> Result<Vec<u8>, BodyError> {
        let request = self.request.take().ok_or(BodyError::Broken)?;
        edge::body(request, limit, BODY_NS).await
    }

    async fn send(&self, request: Outbound) -> Result<Inbound, Failure> {
        edge::send(request).await
    }

    fn now(&self) -> i64 {
        edge::now()
    }

    fn host_retries(&self) -> bool {
        host_retries()
    }

    fn log(&self, line: &str) {
        eprintln!("{line}");
    }

    fn step(&self, name: &'static str) -> Step {
        Step::begin(self.traced, name)
    }

    fn tenant(&self, code: &str) {
        trace::tenant(self.traced, code);
    }
}

impl Wasi {
    /// Waits for the store, within bounds. What it was asked to do goes on when nobody waits any more: an intake is not
    /// cut off in its middle, and the provider's redelivery finds it done.
    async fn store<T: 'static>(
        &self,
        call: impl Future<Output = Result<T, StoreError>> + 'static,
    ) -> Result<T, StoreError> {
        let (sender, mut answer) = oneshot::channel();
        spawn(async move {
            let result = call.await;
            // Nobody waits any more: the time was over.
            _ = sender.send(result);
        });
        let too_late = || Err(StoreError::Unavailable("the store does not answer in time".into()));
        if let Some(result) = within(STORE_LATE_NS, &mut answer).await {
            return result.unwrap_or_else(|_| too_late());
        }
        // Only here, and when it fails, does an intake touch the key-value store.
        let watched = spool::is_on(self).await;
        let noted = watched && self.noted_down().await?;
        match within(self.at_most(STORE_VOICE_NS, STORE_NS) - STORE_LATE_NS, answer).await {
            Some(result) => {
                if noted {
                    spawn(async { _ = keys::delete(keys::DOWN).await });
                }
                result.unwrap_or_else(|_| too_late())
            }
            None => {
                if watched {
                    self.note_down();
                }
                too_late()
            }
        }
    }

    /// Whether it is noted that the store did not answer in time. Freshly: an error, nobody need wait for it. A while ago: it is
    /// noted anew, so that the others go on, and this request waits and sees.
    async fn noted_down(&self) -> Result<bool, StoreError> {
        // Without a note everybody waits for themselves.
        let note = self.kept(keys::DOWN).await.ok().flatten();
        let Some(at) = note.and_then(|text| String::from_utf8(text).ok()?.parse::<i64>().ok()) else {
            return Ok(false);
        };
        let now = self.now();
        if is_within(now, at, DOWN_MS) {
            return Err(StoreError::Unavailable("the store did not answer in time just before".into()));
        }
        self.note_down();
        Ok(true)
    }

    /// Nobody waits for that.
    fn note_down(&self) {
        let now = self.now().to_string();
        spawn(async move { _ = keys::set(keys::DOWN, now.as_bytes()).await });
    }

    async fn keeper<T>(&self, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        within(self.at_most(KEEP_VOICE_NS, KEEP_NS), call)
            .await
            .unwrap_or_else(|| Err("the key-value store does not answer in time".into()))
    }

    /// How long one call may take: of voice, not longer than there is left of the time of all calls.
    fn at_most(&self, voice: u64, others: u64) -> u64 {
        if self.operator || self.describe().channel != "telephony" {
            return others;
        }
        let left = VOICE_NS.saturating_sub(monotonic_clock::now().saturating_sub(self.started));
        left.clamp(2 * STORE_LATE_NS, voice)
    }
}

/// Whether this is our host.
fn host_retries() -> bool {
    std::env::var_os("VENTANILLA_HOST").is_some_and(|value| value == "1")
}

/// Whether something of `at` is still good. A clock that went back makes nothing fresh.
fn is_within(now: i64, at: i64, limit: i64) -> bool {
    (0..limit).contains(&now.saturating_sub(at))
}
