//! The store over a database.

use channel_sdk::types::{Event, Instant, Lookup, PublicCase, Receipt, TenantProfile};
use serde_json::Value as Json;
use store_sdk::Store;
use store_sdk::cases::{CaseDetail, CasePage, CaseSummary, Contact, Note, Query, Update};
use store_sdk::database::{Connect, Database as _, DatabaseError, Row, Value};
use store_sdk::feed::{Batch, Command, DestinationState, Queue as FeedQueue, Settlement as FeedSettlement, Start};
use store_sdk::ids::Random;
use store_sdk::ledger::{Account, Examination, Sealing};
use store_sdk::log::{Disposition, Envelope, EnvelopePage, EventPage, Page, StoreError, Total};
use store_sdk::outbox::{Item, Queue, Settlement};
use store_sdk::privacy::{AuditPage, Erasure, Removal, Retaining, Rule, Subject};
use store_sdk::provider::{no_random, row_error};
use store_sdk::{erasing, sealing, text};

use crate::errors::{store_error, what_next};

/// `ventanilla:store` on PostgreSQL.
pub struct PostgresStore<C> {
    connect: C,
    random: Random,
}

impl<C> PostgresStore<C> {
    /// A store on what `connect` opens.
    pub const fn new(connect: C, random: Random) -> Self {
        Self { connect, random }
    }

    pub(crate) fn random(&self) -> Random {
        self.random
    }

    pub(crate) fn id(&self, at: i64) -> Result<String, StoreError> {
        store_sdk::ids::uuid_v7(at, self.random).map_err(no_random)
    }
}

/// Tries of one statement while the database says that it lost against another one.
const TRIES: usize = 8;

/// What is to be done after an error, besides telling it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The same again: another transaction was in the way.
    Again,
    /// Somebody has left a transaction open on this connection: end it, then the same again.
    RollBack,
    /// Nothing.
    Tell,
}

impl<C: Connect> PostgresStore<C> {
    pub(crate) async fn run(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, DatabaseError> {
        let database = self.connect.open().await?;
        let mut tried = 1;
        loop {
            let error = match database.execute(sql, parameters.clone()).await {
                Ok(rows) => return Ok(rows),
                Err(error) => error,
            };
            match what_next(&error) {
                _ if tried == TRIES => return Err(error),
                Next::Tell => return Err(error),
                Next::Again => {}
                Next::RollBack => drop(database.execute("ROLLBACK", Vec::new()).await?),
            }
            tried += 1;
        }
    }

    /// Rows of a function that reads.
    pub(crate) async fn read_rows(&self, function: &str, parameters: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let sql = format!("SELECT * FROM ventanilla.{function}({})", places(parameters.len()));
        self.run(&sql, parameters).await.map_err(|error| store_error(&error))
    }

    /// Calls a procedure that writes and commits: its answer.
    pub(crate) async fn call(&self, procedure: &str, parameters: Vec<Value>) -> Result<Json, StoreError> {
        let comma = if parameters.is_empty() { "" } else { ", " };
        let sql = format!("CALL ventanilla.{procedure}({}{comma}NULL)", places(parameters.len()));
        let rows = self.run(&sql, parameters).await.map_err(|error| store_error(&error))?;
        json(&rows.into_iter().next().unwrap_or_default(), 0)
    }
}

/// `$1, $2, …`
fn places(count: usize) -> String {
    (1..=count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}

/// A text that is no JSON, as a parameter.
pub(crate) fn given(text: &str) -> Value {
    Value::Text(text::storable(text).into_owned())
}

/// [`given`], or NULL.
pub(crate) fn maybe(text: Option<&str>) -> Value {
    text.map_or(Value::Null, given)
}

/// A text that [`given`] or an intake has stored.
pub(crate) fn text(row: &Row, index: usize) -> String {
    row.text(index).map(|text| text::stored(text).into_owned()).unwrap_or_default()
}

/// The JSON in a column.
pub(crate) fn json(row: &Row, index: usize) -> Result<Json, StoreError> {
    serde_json::from_str(&text::stored_json(row.text(index).unwrap_or("null"))).map_err(|error| row_error(error.into()))
}

impl<C: Connect> Store for PostgresStore<C> {
    async fn journal(&self, envelope: Envelope) -> Result<String, StoreError> {
        self.keep(envelope).await
    }
    async fn record(
        &self,
        envelope: Envelope,
        disposition: Disposition,
        events: Vec<Event>,
    ) -> Result<Vec<Receipt>, StoreError> {
        self.take_in_events(envelope, disposition, events).await
    }
    async fn events(&self, tenant: String, connector: Option<String>, page: Page) -> Result<EventPage, StoreError> {
        self.event_page(tenant, connector, page).await
    }
    async fn envelopes(
        &self,
        tenant: String,
        disposition: Option<String>,
        page: Page,
    ) -> Result<EnvelopePage, StoreError> {
        self.envelope_page(tenant, disposition, page).await
    }
    async fn envelope_by_id(&self, tenant: String, id: String) -> Result<Option<Envelope>, StoreError> {
        self.one_envelope(tenant, id).await
    }
    async fn totals(&self, tenant: String) -> Result<Vec<Total>, StoreError> {
        self.ledger(tenant).await
    }
    async fn public_cases(&self, tenant: String, lookup: Lookup) -> Result<Vec<PublicCase>, StoreError> {
        self.find_public(tenant, lookup).await
    }
    async fn ready(&self) -> Result<(), StoreError> {
        self.writable().await
    }

    async fn search(&self, tenant: String, query: Query, page: Page) -> Result<CasePage, StoreError> {
        self.find(tenant, query, page).await
    }
    async fn get(&self, tenant: String, reference: String) -> Result<Option<CaseDetail>, StoreError> {
        self.read(tenant, reference).await
    }
    async fn change(
        &self,
        tenant: String,
        reference: String,
        changes: Update,
        author: String,
        at: Instant,
    ) -> Result<CaseSummary, StoreError> {
        self.update(tenant, reference, changes, author, at).await
    }
    async fn add_note(
        &self,
        tenant: String,
        reference: String,
        text: String,
        author: String,
        at: Instant,
    ) -> Result<Note, StoreError> {
        self.note(tenant, reference, text, author, at).await
    }
    async fn complete_task(
        &self,
        tenant: String,
        reference: String,
        task: String,
        author: String,
        at: Instant,
    ) -> Result<CaseSummary, StoreError> {
        self.finish(tenant, reference, task, author, at).await
    }
    async fn reply(
        &self,
        tenant: String,
        reference: String,
        text: String,
        author: String,
        at: Instant,
    ) -> Result<String, StoreError> {
        self.answer(tenant, reference, text, author, at).await
    }
    async fn join_contacts(
        &self,
        tenant: String,
        into: String,
        other: String,
        author: String,
        at: Instant,
    ) -> Result<Contact, StoreError> {
        self.join("join_1", tenant, into, other, author, at).await
    }
    async fn separate_contacts(
        &self,
        tenant: String,
        into: String,
        other: String,
        author: String,
        at: Instant,
    ) -> Result<Contact, StoreError> {
        self.join("separate_1", tenant, into, other, author, at).await
    }

    async fn profile(&self, tenant: String) -> Result<Option<TenantProfile>, StoreError> {
        self.read_profile(tenant).await
    }
    async fn put_profile(&self, profile: TenantProfile) -> Result<(), StoreError> {
        self.write_profile(profile).await
    }
    async fn tenants(&self) -> Result<Vec<String>, StoreError> {
        self.tenant_codes().await
    }

    async fn claim(
        &self,
        connector: String,
        now: Instant,
        lease_until: Instant,
        limit: u32,
    ) -> Result<Vec<Item>, StoreError> {
        self.lease(connector, now, lease_until, limit).await
    }
    async fn queues(&self) -> Result<Vec<Queue>, StoreError> {
        self.waiting().await
    }
    async fn settle(&self, id: String, at: Instant, settlement: Settlement) -> Result<(), StoreError> {
        self.conclude(id, at, settlement).await
    }

    async fn feed_queues(&self, now: Instant) -> Result<Vec<FeedQueue>, StoreError> {
        self.fed(now).await
    }
    async fn feed_claim(
        &self,
        tenant: String,
        destination: String,
        start: Start,
        now: Instant,
        lease_until: Instant,
        limit: u32,
    ) -> Result<Option<Batch>, StoreError> {
        self.take_batch(tenant, destination, start, now, lease_until, limit).await
    }
    async fn feed_settle(
        &self,
        tenant: String,
        destination: String,
        lease: String,
        at: Instant,
        settlement: FeedSettlement,
    ) -> Result<bool, StoreError> {
        self.settle_batch(tenant, destination, lease, at, settlement).await
    }
    async fn feed_states(&self, tenant: String) -> Result<Vec<DestinationState>, StoreError> {
        self.destinations(tenant).await
    }
    async fn feed_control(
        &self,
        tenant: String,
        destination: String,
        command: Command,
        author: String,
        _at: Instant,
    ) -> Result<Option<DestinationState>, StoreError> {
        self.command(tenant, destination, command, author).await
    }

    async fn add_up(&self, tenant: String, bounds: Vec<Instant>) -> Result<Account, StoreError> {
        self.accounted(tenant, &bounds).await
    }
    async fn seal(&self, at: Instant, limit: u32) -> Result<Sealing, StoreError> {
        sealing::seal(self, at, limit).await
    }
    async fn link(&self, tenant: String, number: u64) -> Result<Option<String>, StoreError> {
        self.link_of(tenant, number).await
    }
    async fn examine(&self, tenant: String, after: u64, limit: u32) -> Result<Examination, StoreError> {
        sealing::examine(self, &tenant, after, limit).await
    }
    async fn received(
        &self,
        tenant: String,
        since: Instant,
        until: Instant,
        disposition: Option<String>,
        page: Page,
    ) -> Result<EnvelopePage, StoreError> {
        self.received_between(tenant, sealing::ids(since, until, &page), disposition.as_deref(), &page).await
    }

    async fn retention(&self, tenant: String) -> Result<Vec<Rule>, StoreError> {
        self.rules_of(tenant).await
    }
    async fn set_retention(
        &self,
        tenant: String,
        rules: Vec<Rule>,
        author: String,
        at: Instant,
    ) -> Result<(), StoreError> {
        self.put_rules(tenant, rules, author, at).await
    }
    async fn retain(&self, at: Instant, limit: u32) -> Result<Retaining, StoreError> {
        erasing::retain(self, at, limit).await
    }
    async fn erase(
        &self,
        tenant: String,
        subject: Subject,
        author: String,
        reason: String,
        at: Instant,
        dry_run: bool,
    ) -> Result<Erasure, StoreError> {
        erasing::erase(self, tenant, subject, &author, &reason, at, dry_run).await
    }
    async fn hold(
        &self,
        tenant: String,
        reference: String,
        reason: Option<String>,
        author: String,
        at: Instant,
    ) -> Result<(), StoreError> {
        self.put_hold(tenant, reference, reason, author, at).await
    }
    async fn audit(&self, tenant: String, page: Page) -> Result<AuditPage, StoreError> {
        self.audit_of(tenant, page).await
    }
    async fn remove_tenant(
        &self,
        tenant: String,
        author: String,
        reason: String,
        at: Instant,
        limit: u32,
    ) -> Result<Removal, StoreError> {
        self.remove(tenant, author, reason, at, limit).await
    }
}
