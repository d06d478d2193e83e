//! The [`Store`] trait and the macro that exports one as a component.

use channel_sdk::types::{Event, Instant, Lookup, PublicCase, Receipt, TenantProfile};

use crate::cases::{CaseDetail, CasePage, CaseSummary, Contact, Note, Query, Update};
use crate::feed::{Batch, Command, DestinationState, Queue as FeedQueue, Settlement as FeedSettlement, Start};
use crate::ledger::{Account, Examination, Sealing};
use crate::log::{Disposition, Envelope, EnvelopePage, EventPage, Page, StoreError, Total};
use crate::outbox::{Item, Queue, Settlement};
use crate::privacy::{AuditPage, Erasure, Removal, Retaining, Rule, Subject};

/// Every function of `ventanilla:store`, as documented in `wit/store`. What is written once against it (the store suite)
/// runs natively and against a component.
#[expect(async_fn_in_trait, reason = "a component's futures stay on one thread; callers here are generic")]
#[expect(missing_docs, reason = "the WIT is the documentation")]
pub trait Store {
    async fn journal(&self, envelope: Envelope) -> Result<String, StoreError>;
    async fn record(
        &self,
        envelope: Envelope,
        disposition: Disposition,
        events: Vec<Event>,
    ) -> Result<Vec<Receipt>, StoreError>;
    async fn events(&self, tenant: String, connector: Option<String>, page: Page) -> Result<EventPage, StoreError>;
    async fn envelopes(
        &self,
        tenant: String,
        disposition: Option<String>,
        page: Page,
    ) -> Result<EnvelopePage, StoreError>;
    async fn envelope_by_id(&self, tenant: String, id: String) -> Result<Option<Envelope>, StoreError>;
    async fn totals(&self, tenant: String) -> Result<Vec<Total>, StoreError>;
    async fn public_cases(&self, tenant: String, lookup: Lookup) -> Result<Vec<PublicCase>, StoreError>;
    async fn ready(&self) -> Result<(), StoreError>;

    async fn search(&self, tenant: String, query: Query, page: Page) -> Result<CasePage, StoreError>;
    async fn get(&self, tenant: String, reference: String) -> Result<Option<CaseDetail>, StoreError>;
    async fn change(
        &self,
        tenant: String,
        reference: String,
        changes: Update,
        author: String,
        at: Instant,
    ) -> Result<CaseSummary, StoreError>;
    async fn add_note(
        &self,
        tenant: String,
        reference: String,
        text: String,
        author: String,
        at: Instant,
    ) -> Result<Note, StoreError>;
    async fn complete_task(
        &self,
        tenant: String,
        reference: String,
        task: String,
        author: String,
        at: Instant,
    ) -> Result<CaseSummary, StoreError>;
    async fn reply(
        &self,
        tenant: String,
        reference: String,
        text: String,
        author: String,
        at: Instant,
    ) -> Result<String, StoreError>;
    async fn join_contacts(
        &self,
        tenant: String,
        into: String,
        other: String,
        author: String,
        at: Instant,
    ) -> Result<Contact, StoreError>;
    async fn separate_contacts(
        &self,
        tenant: String,
        into: String,
        other: String,
        author: String,
        at: Instant,
    ) -> Result<Contact, StoreError>;

    async fn profile(&self, tenant: String) -> Result<Option<TenantProfile>, StoreError>;
    async fn put_profile(&self, profile: TenantProfile) -> Result<(), StoreError>;
    async fn tenants(&self) -> Result<Vec<String>, StoreError>;

    async fn claim(
        &self,
        connector: String,
        now: Instant,
        lease_until: Instant,
        limit: u32,
    ) -> Result<Vec<Item>, StoreError>;
    async fn queues(&self) -> Result<Vec<Queue>, StoreError>;
    async fn settle(&self, id: String, at: Instant, settlement: Settlement) -> Result<(), StoreError>;

    async fn feed_queues(&self, now: Instant) -> Result<Vec<FeedQueue>, StoreError>;
    async fn feed_claim(
        &self,
        tenant: String,
        destination: String,
        start: Start,
        now: Instant,
        lease_until: Instant,
        limit: u32,
    ) -> Result<Option<Batch>, StoreError>;
    async fn feed_settle(
        &self,
        tenant: String,
        destination: String,
        lease: String,
        at: Instant,
        settlement: FeedSettlement,
    ) -> Result<bool, StoreError>;
    async fn feed_states(&self, tenant: String) -> Result<Vec<DestinationState>, StoreError>;
    async fn feed_control(
        &self,
        tenant: String,
        destination: String,
        command: Command,
        author: String,
        at: Instant,
    ) -> Result<Option<DestinationState>, StoreError>;

    async fn add_up(&self, tenant: String, bounds: Vec<Instant>) -> Result<Account, StoreError>;
    async fn seal(&self, at: Instant, limit: u32) -> Result<Sealing, StoreError>;
    async fn link(&self, tenant: String, number: u64) -> Result<Option<String>, StoreError>;
    async fn examine(&self, tenant: String, after: u64, limit: u32) -> Result<Examination, StoreError>;
    async fn received(
        &self,
        tenant: String,
        since: Instant,
        until: Instant,
        disposition: Option<String>,
        page: Page,
    ) -> Result<EnvelopePage, StoreError>;

    async fn retention(&self, tenant: String) -> Result<Vec<Rule>, StoreError>;
    async fn set_retention(
        &self,
        tenant: String,
        rules: Vec<Rule>,
        author: String,
        at: Instant,
    ) -> Result<(), StoreError>;
    async fn retain(&self, at: Instant, limit: u32) -> Result<Retaining, StoreError>;
    async fn erase(
        &self,
        tenant: String,
        subject: Subject,
        author: String,
        reason: String,
        at: Instant,
        dry_run: bool,
    ) -> Result<Erasure, StoreError>;
    async fn hold(
        &self,
        tenant: String,
        reference: String,
        reason: Option<String>,
        author: String,
        at: Instant,
    ) -> Result<(), StoreError>;
    async fn audit(&self, tenant: String, page: Page) -> Result<AuditPage, StoreError>;
    async fn remove_tenant(
        &self,
        tenant: String,
        author: String,
        reason: String,
        at: Instant,
        limit: u32,
    ) -> Result<Removal, StoreError>;
}

/// Exports a `static` [`Store`] as the component's `ventanilla:store` interfaces. Native builds get nothing from it.
#[macro_export]
macro_rules! export_store {
    ($store:path) => {
        #[cfg(target_family = "wasm")]
        #[expect(unsafe_code, reason = "export glue generated by wit-bindgen")]
        mod export {
            use $crate::Store as _;
            use $crate::cases::{CaseDetail, CasePage, CaseSummary, Contact, Note, Query, Update};
            use $crate::log::{
                Disposition, Envelope, EnvelopePage, Event, EventPage, Instant, Lookup, Page, PublicCase, Receipt, StoreError,
                Total,
            };
            use $crate::feed::{Batch, Command, DestinationState, Queue as FeedQueue, Settlement as FeedSettlement, Start};
            use $crate::ledger::{Account, Examination, Sealing};
            use $crate::outbox::{Item, Queue, Settlement};
            use $crate::directory::TenantProfile;
            use $crate::privacy::{AuditPage, Erasure, Removal, Retaining, Rule, Subject};

            struct Provider;

            impl $crate::log::Guest for Provider {
                async fn journal(envelope: Envelope) -> Result<String, StoreError> {
                    $store.journal(envelope).await
                }
                async fn record(
                    envelope: Envelope,
                    disposition: Disposition,
                    events: Vec<Event>,
                ) -> Result<Vec<Receipt>, StoreError> {
                    $store.record(envelope, disposition, events).await
                }
                async fn events(
                    tenant: String,
                    connector: Option<String>,
                    page: Page,
                ) -> Result<EventPage, StoreError> {
                    $store.events(tenant, connector, page).await
                }
                async fn envelopes(
                    tenant: String,
                    disposition: Option<String>,
                    page: Page,
                ) -> Result<EnvelopePage, StoreError> {
                    $store.envelopes(tenant, disposition, page).await
                }
                async fn envelope_by_id(tenant: String, id: String) -> Result<Option<Envelope>, StoreError> {
                    $store.envelope_by_id(tenant, id).await
                }
                async fn totals(tenant: String) -> Result<Vec<Total>, StoreError> {
                    $store.totals(tenant).await
                }
                async fn public_cases(tenant: String, lookup: Lookup) -> Result<Vec<PublicCase>, StoreError> {
                    $store.public_cases(tenant, lookup).await
                }
                async fn ready() -> Result<(), StoreError> {
                    $store.ready().await
                }
            }

            impl $crate::cases::Guest for Provider {
                async fn search(tenant: String, query: Query, page: Page) -> Result<CasePage, StoreError> {
                    $store.search(tenant, query, page).await
                }
                async fn get(tenant: String, reference: String) -> Result<Option<CaseDetail>, StoreError> {
                    $store.get(tenant, reference).await
                }
                async fn change(
                    tenant: String,
                    reference: String,
                    changes: Update,
                    author: String,
                    at: Instant,
                ) -> Result<CaseSummary, StoreError> {
                    $store.change(tenant, reference, changes, author, at).await
                }
                async fn add_note(
                    tenant: String,
                    reference: String,
                    text: String,
                    author: String,
                    at: Instant,
                ) -> Result<Note, StoreError> {
                    $store.add_note(tenant, reference, text, author, at).await
                }
                async fn complete_task(
                    tenant: String,
                    reference: String,
                    task: String,
                    author: String,
                    at: Instant,
                ) -> Result<CaseSummary, StoreError> {
                    $store.complete_task(tenant, reference, task, author, at).await
                }
                async fn reply(
                    tenant: String,
                    reference: String,
                    text: String,
                    author: String,
                    at: Instant,
                ) -> Result<String, StoreError> {
                    $store.reply(tenant, reference, text, author, at).await
                }
                async fn join_contacts(
                    tenant: String,
                    into: String,
                    other: String,
                    author: String,
                    at: Instant,
                ) -> Result<Contact, StoreError> {
                    $store.join_contacts(tenant, into, other, author, at).await
                }
                async fn separate_contacts(
                    tenant: String,
                    into: String,
                    other: String,
                    author: String,
                    at: Instant,
                ) -> Result<Contact, StoreError> {
                    $store.separate_contacts(tenant, into, other, author, at).await
                }
            }

            impl $crate::directory::Guest for Provider {
                async fn profile(tenant: String) -> Result<Option<TenantProfile>, StoreError> {
                    $store.profile(tenant).await
                }
                async fn put_profile(profile: TenantProfile) -> Result<(), StoreError> {
                    $store.put_profile(profile).await
                }
                async fn tenants() -> Result<Vec<String>, StoreError> {
                    $store.tenants().await
                }
            }

            impl $crate::outbox::Guest for Provider {
                async fn claim(
                    connector: String,
                    now: Instant,
                    lease_until: Instant,
                    limit: u32,
                ) -> Result<Vec<Item>, StoreError> {
                    $store.claim(connector, now, lease_until, limit).await
                }
                async fn queues() -> Result<Vec<Queue>, StoreError> {
                    $store.queues().await
                }
                async fn settle(id: String, at: Instant, settlement: Settlement) -> Result<(), StoreError> {
                    $store.settle(id, at, settlement).await
                }
            }

            impl $crate::feed::Guest for Provider {
                async fn queues(now: Instant) -> Result<Vec<FeedQueue>, StoreError> {
                    $store.feed_queues(now).await
                }
                async fn claim(
                    tenant: String,
                    destination: String,
                    start: Start,
                    now: Instant,
                    lease_until: Instant,
                    limit: u32,
                ) -> Result<Option<Batch>, StoreError> {
                    $store.feed_claim(tenant, destination, start, now, lease_until, limit).await
                }
                async fn settle(
                    tenant: String,
                    destination: String,
                    lease: String,
                    at: Instant,
                    settlement: FeedSettlement,
                ) -> Result<bool, StoreError> {
                    $store.feed_settle(tenant, destination, lease, at, settlement).await
                }
                async fn states(tenant: String) -> Result<Vec<DestinationState>, StoreError> {
                    $store.feed_states(tenant).await
                }
                async fn control(
                    tenant: String,
                    destination: String,
                    command: Command,
                    author: String,
                    at: Instant,
                ) -> Result<Option<DestinationState>, StoreError> {
                    $store.feed_control(tenant, destination, command, author, at).await
                }
            }

            impl $crate::ledger::Guest for Provider {
                async fn add_up(tenant: String, bounds: Vec<Instant>) -> Result<Account, StoreError> {
                    $store.add_up(tenant, bounds).await
                }
                async fn seal(at: Instant, limit: u32) -> Result<Sealing, StoreError> {
                    $store.seal(at, limit).await
                }
                async fn link(tenant: String, number: u64) -> Result<Option<String>, StoreError> {
                    $store.link(tenant, number).await
                }
                async fn examine(tenant: String, after: u64, limit: u32) -> Result<Examination, StoreError> {
                    $store.examine(tenant, after, limit).await
                }
                async fn received(
                    tenant: String,
                    since: Instant,
                    until: Instant,
                    disposition: Option<String>,
                    page: Page,
                ) -> Result<EnvelopePage, StoreError> {
                    $store.received(tenant, since, until, disposition, page).await
                }
            }

            impl $crate::privacy::Guest for Provider {
                async fn retention(tenant: String) -> Result<Vec<Rule>, StoreError> {
                    $store.retention(tenant).await
                }
                async fn set_retention(
                    tenant: String,
                    rules: Vec<Rule>,
                    author: String,
                    at: Instant,
                ) -> Result<(), StoreError> {
                    $store.set_retention(tenant, rules, author, at).await
                }
                async fn retain(at: Instant, limit: u32) -> Result<Retaining, StoreError> {
                    $store.retain(at, limit).await
                }
                async fn erase(
                    tenant: String,
                    subject: Subject,
                    author: String,
                    reason: String,
                    at: Instant,
                    dry_run: bool,
                ) -> Result<Erasure, StoreError> {
                    $store.erase(tenant, subject, author, reason, at, dry_run).await
                }
                async fn hold(
                    tenant: String,
                    reference: String,
                    reason: Option<String>,
                    author: String,
                    at: Instant,
                ) -> Result<(), StoreError> {
                    $store.hold(tenant, reference, reason, author, at).await
                }
                async fn audit(tenant: String, page: Page) -> Result<AuditPage, StoreError> {
                    $store.audit(tenant, page).await
                }
                async fn remove_tenant(
                    tenant: String,
                    author: String,
                    reason: String,
                    at: Instant,
                    limit: u32,
                ) -> Result<Removal, StoreError> {
                    $store.remove_tenant(tenant, author, reason, at, limit).await
                }
            }

            $crate::__export_store!(Provider with_types_in $crate::bindings);
        }
    };
}
