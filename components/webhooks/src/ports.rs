//! What a run reaches outside itself. It is written against this, so that what is delivered when, and what is not, is tested without
//! a sandbox.

use service_sdk::edge::{Inbound, Outbound};

use crate::bindings::feed::{Batch, Command, DestinationState, Queue, Settlement, Start};
use crate::bindings::log::StoreError;

/// Which destination: tenant and name.
pub(crate) type Key = (String, String);

/// The world of one request.
pub(crate) trait Ports {
    async fn queues(&self, now: i64) -> Result<Vec<Queue>, StoreError>;
    async fn claim(
        &self,
        key: &Key,
        start: Start,
        now: i64,
        until: i64,
        limit: u32,
    ) -> Result<Option<Batch>, StoreError>;
    async fn settle(&self, key: &Key, lease: &str, at: i64, settlement: Settlement) -> Result<bool, StoreError>;
    async fn states(&self, tenant: &str) -> Result<Vec<DestinationState>, StoreError>;
    async fn control(
        &self,
        key: &Key,
        command: Command,
        author: &str,
        at: i64,
    ) -> Result<Option<DestinationState>, StoreError>;
    /// A variable of this component; empty if it can't be had.
    async fn variable(&self, name: &str) -> String;
    async fn send(&self, request: Outbound) -> Result<Inbound, String>;
    /// Milliseconds since 1970.
    fn now(&self) -> i64;
    fn log(&self, line: &str);
}
