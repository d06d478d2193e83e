//! The built component of a provider as a [`World`]: the suite runs through the sandbox, in the file that is deployed.
//!
//! `tests/store-probe` hands the store's functions over HTTP; the embedded host composes it with the provider's file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use channel_sdk::types::{Event, Instant, Lookup, PublicCase, Receipt, TenantProfile};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store_sdk::Store;
use store_sdk::cases::{CaseDetail, CasePage, CaseSummary, Contact, Note, Query, Update};
use store_sdk::feed::{
    Batch, Command as FeedCommand, DestinationState, Queue as FeedQueue, Settlement as FeedSettlement, Start,
};
use store_sdk::ledger::{Account, Examination, Sealing};
use store_sdk::log::{Disposition, Envelope, EnvelopePage, EventPage, Page, StoreError, Total};
use store_sdk::outbox::{Item, Queue, Settlement};
use store_sdk::privacy::{AuditPage, Erasure, Removal, Retaining, Rule, Subject};
use ventanilla_host::{Host, Options};

use super::World;

/// An empty database and a host around the provider's file.
pub struct Built {
    folder: PathBuf,
    process: Arc<Process>,
}

struct Process {
    host: Host,
    runtime: tokio::runtime::Runtime,
}

impl Built {
    /// `provider` is the file's name in target/components, `stanza` the lines of `[component.probe]` that give it its database
    /// (`sqlite_databases = ["default"]`), `inherits` the names in its `inherit_configuration`.
    ///
    /// # Panics
    ///
    /// When something is not there, with what to do.
    pub fn new(provider: &str, stanza: &str, inherits: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let folder = std::env::temp_dir().join(format!("store-built-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        let provider = workspace().join("target/components").join(provider);
        assert!(provider.exists(), "{} is missing: run cargo xtask build", provider.display());
        let manifest = folder.join("spin.toml");
        let text = format!(
            "spin_manifest_version = 2\n[application]\nname = \"store-suite\"\n\
             [[trigger.http]]\nroute = \"/...\"\ncomponent = \"probe\"\n\
             [component.probe]\nsource = {:?}\n{stanza}\n[component.probe.dependencies]\n\
             \"ventanilla:store@1.0.0\" = {{ path = {provider:?}, inherit_configuration = {inherits:?} }}\n",
            probe()
        );
        std::fs::write(&manifest, text).expect("the manifest can be written");
        let mut options = Options::new(manifest);
        options.data_dir = folder.join("data");
        // Compiled once for all cases.
        options.cache_dir = Some(workspace().join("target/store-suite-cache"));
        // Arguments are JSON here, and a body as JSON numbers is four times its size: that is the probe's cost, not the store's.
        options.limits.cpu = Duration::from_secs(60);
        options.limits.body_bytes = 256 << 20;
        options.limits.buffered_bytes = 512 << 20;
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let host = {
            let _inside = runtime.enter();
            Host::load(options).expect("the host loads the provider")
        };
        Self { folder, process: Arc::new(Process { host, runtime }) }
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The probe, built once per test program.
fn probe() -> &'static Path {
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    PROBE.get_or_init(|| {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--profile", "component", "--target", "wasm32-wasip2", "-p", "store-probe"])
            .current_dir(workspace())
            .env_remove("RUSTFLAGS")
            .status()
            .expect("cargo runs");
        assert!(
            status.success(),
            "tests/store-probe does not compile: is the target there? rustup target add wasm32-wasip2"
        );
        workspace().join("target/wasm32-wasip2/component/store_probe.wasm")
    })
}

impl World for Built {
    type Store = BuiltStore;

    fn open(&self) -> BuiltStore {
        BuiltStore(Arc::clone(&self.process))
    }
}

/// The provider's functions through the probe.
pub struct BuiltStore(Arc<Process>);

impl BuiltStore {
    /// Calls `interface/function`. A trap, or arguments that don't fit, is a panic of the test.
    fn call<R: DeserializeOwned>(&self, function: &str, arguments: &impl Serialize) -> R {
        let body = serde_json::to_vec(arguments).expect("arguments are JSON");
        let request = http::Request::post(format!("/{function}")).body(body.into()).expect("a request");
        let answer = self.0.runtime.handle().block_on(self.0.host.call(request)).expect("the host answers");
        let text = String::from_utf8_lossy(answer.body());
        assert_eq!(answer.status().as_u16(), 200, "{function}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{function} answers {text}: {error}"))
    }
}

impl Store for BuiltStore {
    async fn journal(&self, envelope: Envelope) -> Result<String, StoreError> {
        self.call("log/journal", &(envelope,))
    }
    async fn record(
        &self,
        envelope: Envelope,
        disposition: Disposition,
        events: Vec<Event>,
    ) -> Result<Vec<Receipt>, StoreError> {
        self.call("log/record", &(envelope, disposition, events))
    }
    async fn events(&self, tenant: String, connector: Option<String>, page: Page) -> Result<EventPage, StoreError> {
        self.call("log/events", &(tenant, connector, page))
    }
    async fn envelopes(
        &self,
        tenant: String,
        disposition: Option<String>,
        page: Page,
    ) -> Result<EnvelopePage, StoreError> {
        self.call("log/envelopes", &(tenant, disposition, page))
    }
    async fn envelope_by_id(&self, tenant: String, id: String) -> Result<Option<Envelope>, StoreError> {
        self.call("log/envelope_by_id", &(tenant, id))
    }
    async fn totals(&self, tenant: String) -> Result<Vec<Total>, StoreError> {
        self.call("log/totals", &(tenant,))
    }
    async fn public_cases(&self, tenant: String, lookup: Lookup) -> Result<Vec<PublicCase>, StoreError> {
        self.call("log/public_cases", &(tenant, lookup))
    }
    async fn ready(&self) -> Result<(), StoreError> {
        self.call("log/ready", &())
    }

    async fn search(&self, tenant: String, query: Query, page: Page) -> Result<CasePage, StoreError> {
        self.call("cases/search", &(tenant, query, page))
    }
    async fn get(&self, tenant: String, reference: String) -> Result<Option<CaseDetail>, StoreError> {
        self.call("cases/get", &(tenant, reference))
    }
    async fn change(
        &self,
        tenant: String,
        reference: String,
        changes: Update,
        author: String,
        at: Instant,
    ) -> Result<CaseSummary, StoreError> {
        self.call("cases/change", &(tenant, reference, changes, author, at))
    }
    async fn add_note(
        &self,
        tenant: String,
        reference: String,
        text: String,
        author: String,
        at: Instant,
    ) -> Result<Note, StoreError> {
        self.call("cases/add_note", &(tenant, reference, text, author, at))
    }
    async fn complete_task(
        &self,
        tenant: String,
        reference: String,
        task: String,
        author: String,
        at: Instant,
    ) -> Result<CaseSummary, StoreError> {
        self.call("cases/complete_task", &(tenant, reference, task, author, at))
    }
    async fn reply(
        &self,
        tenant: String,
        reference: String,
        text: String,
        author: String,
        at: Instant,
    ) -> Result<String, StoreError> {
        self.call("cases/reply", &(tenant, reference, text, author, at))
    }
    async fn join_contacts(
        &self,
        tenant: String,
        into: String,
        other: String,
        author: String,
        at: Instant,
    ) -> Result<Contact, StoreError> {
        self.call("cases/join_contacts", &(tenant, into, other, author, at))
    }
    async fn separate_contacts(
        &self,
        tenant: String,
        into: String,
        other: String,
        author: String,
        at: Instant,
    ) -> Result<Contact, StoreError> {
        self.call("cases/separate_contacts", &(tenant, into, other, author, at))
    }

    async fn profile(&self, tenant: String) -> Result<Option<TenantProfile>, StoreError> {
        self.call("directory/profile", &(tenant,))
    }
    async fn put_profile(&self, profile: TenantProfile) -> Result<(), StoreError> {
        self.call("directory/put_profile", &(profile,))
    }
    async fn tenants(&self) -> Result<Vec<String>, StoreError> {
        self.call("directory/tenants", &())
    }

    async fn claim(
        &self,
        connector: String,
        now: Instant,
        lease_until: Instant,
        limit: u32,
    ) -> Result<Vec<Item>, StoreError> {
        self.call("outbox/claim", &(connector, now, lease_until, limit))
    }
    async fn queues(&self) -> Result<Vec<Queue>, StoreError> {
        self.call("outbox/queues", &())
    }
    async fn settle(&self, id: String, at: Instant, settlement: Settlement) -> Result<(), StoreError> {
        self.call("outbox/settle", &(id, at, settlement))
    }

    async fn feed_queues(&self, now: Instant) -> Result<Vec<FeedQueue>, StoreError> {
        self.call("feed/queues", &(now,))
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
        self.call("feed/claim", &(tenant, destination, start, now, lease_until, limit))
    }
    async fn feed_settle(
        &self,
        tenant: String,
        destination: String,
        lease: String,
        at: Instant,
        settlement: FeedSettlement,
    ) -> Result<bool, StoreError> {
        self.call("feed/settle", &(tenant, destination, lease, at, settlement))
    }
    async fn feed_states(&self, tenant: String) -> Result<Vec<DestinationState>, StoreError> {
        self.call("feed/states", &(tenant,))
    }
    async fn feed_control(
        &self,
        tenant: String,
        destination: String,
        command: FeedCommand,
        author: String,
        at: Instant,
    ) -> Result<Option<DestinationState>, StoreError> {
        self.call("feed/control", &(tenant, destination, command, author, at))
    }

    async fn add_up(&self, tenant: String, bounds: Vec<Instant>) -> Result<Account, StoreError> {
        self.call("ledger/add_up", &(tenant, bounds))
    }
    async fn seal(&self, at: Instant, limit: u32) -> Result<Sealing, StoreError> {
        self.call("ledger/seal", &(at, limit))
    }
    async fn link(&self, tenant: String, number: u64) -> Result<Option<String>, StoreError> {
        self.call("ledger/link", &(tenant, number))
    }
    async fn examine(&self, tenant: String, after: u64, limit: u32) -> Result<Examination, StoreError> {
        self.call("ledger/examine", &(tenant, after, limit))
    }
    async fn received(
        &self,
        tenant: String,
        since: Instant,
        until: Instant,
        disposition: Option<String>,
        page: Page,
    ) -> Result<EnvelopePage, StoreError> {
        self.call("ledger/received", &(tenant, since, until, disposition, page))
    }

    async fn retention(&self, tenant: String) -> Result<Vec<Rule>, StoreError> {
        self.call("privacy/retention", &(tenant,))
    }
    async fn set_retention(
        &self,
        tenant: String,
        rules: Vec<Rule>,
        author: String,
        at: Instant,
    ) -> Result<(), StoreError> {
        self.call("privacy/set_retention", &(tenant, rules, author, at))
    }
    async fn retain(&self, at: Instant, limit: u32) -> Result<Retaining, StoreError> {
        self.call("privacy/retain", &(at, limit))
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
        self.call("privacy/erase", &(tenant, subject, author, reason, at, dry_run))
    }
    async fn hold(
        &self,
        tenant: String,
        reference: String,
        reason: Option<String>,
        author: String,
        at: Instant,
    ) -> Result<(), StoreError> {
        self.call("privacy/hold", &(tenant, reference, reason, author, at))
    }
    async fn audit(&self, tenant: String, page: Page) -> Result<AuditPage, StoreError> {
        self.call("privacy/audit", &(tenant, page))
    }
    async fn remove_tenant(
        &self,
        tenant: String,
        author: String,
        reason: String,
        at: Instant,
        limit: u32,
    ) -> Result<Removal, StoreError> {
        self.call("privacy/remove_tenant", &(tenant, author, reason, at, limit))
    }
}
