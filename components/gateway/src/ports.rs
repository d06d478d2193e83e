//! What the gateway reaches outside itself. The pipeline is written against this, so that its order (nothing translated
//! before it is checked, nothing acknowledged before it is stored) is tested without a sandbox.

use channel_sdk::types::{
    Authentication, Call, Context, Descriptor, Event, Fetched, Lookup, Outcome, Outgoing, PublicCase, Receipt, Refusal,
    Request, Response, TenantProfile, Translation,
};

pub(crate) use service_sdk::edge::{BodyError, Inbound, Outbound};
use service_sdk::spool::Contents;
use service_sdk::trace::Step;

use crate::bindings::log::{Disposition, Envelope, StoreError};
use crate::bindings::outbox::{Item, Queue, Settlement};

/// A text that can't be had. For the log: no secret, no request data.
pub(crate) type Failure = String;

/// The world of one request.
pub(crate) trait Ports {
    /// The connector, as it describes itself.
    fn describe(&self) -> Descriptor;
    fn authenticate(&self, request: &Request, context: &Context, fetched: &[Fetched]) -> Authentication;
    fn translate(&self, request: &Request, context: &Context, fetched: &[Fetched]) -> Translation;
    fn render(&self, message: &Outgoing, context: &Context) -> Result<Vec<Call>, Refusal>;
    fn acknowledge(&self, request: &Request, outcome: &Outcome, context: &Context) -> Response;

    async fn profile(&self, tenant: &str) -> Result<Option<TenantProfile>, StoreError>;
    async fn journal(&self, envelope: Envelope) -> Result<String, StoreError>;
    async fn record(
        &self,
        envelope: Envelope,
        disposition: Disposition,
        events: Vec<Event>,
    ) -> Result<Vec<Receipt>, StoreError>;
    async fn envelope(&self, tenant: &str, id: &str) -> Result<Option<Envelope>, StoreError>;

    async fn public_cases(&self, tenant: &str, lookup: Lookup) -> Result<Vec<PublicCase>, StoreError>;

    async fn claim(&self, connector: &str, now: i64, until: i64, limit: u32) -> Result<Vec<Item>, StoreError>;
    async fn queues(&self) -> Result<Vec<Queue>, StoreError>;
    async fn settle(&self, id: &str, at: i64, settlement: Settlement) -> Result<(), StoreError>;

    /// Whether the store takes writes.
    async fn ready(&self) -> Result<(), StoreError>;

    /// Of the key-value store, which is not the case store's: a value, kept durably, or forgotten.
    async fn kept(&self, key: &str) -> Result<Option<Vec<u8>>, Failure>;
    async fn keep(&self, key: &str, value: &[u8]) -> Result<(), Failure>;
    async fn forget(&self, key: &str) -> Result<(), Failure>;
    /// What waits there.
    async fn contents(&self) -> Result<Contents, Failure>;
    /// Random bytes.
    fn chance(&self) -> Result<[u8; 10], Failure>;

    /// A variable of the component.
    async fn variable(&self, name: &str) -> Result<String, Failure>;
    /// The body of the request being served. Once.
    async fn body(&self, limit: usize) -> Result<Vec<u8>, BodyError>;
    async fn send(&self, request: Outbound) -> Result<Inbound, Failure>;
    /// Milliseconds since 1970.
    fn now(&self) -> i64;
    /// Whether the host dispatches a request once more when a component traps.
    fn host_retries(&self) -> bool;
    /// One line for the operator.
    fn log(&self, line: &str);
    /// A step of the way, for a host that traces the request.
    fn step(&self, name: &'static str) -> Step {
        Step::begin(false, name)
    }
    /// Whose request it is, for the same host. Only once the settings have it.
    fn tenant(&self, _: &str) {}
}
