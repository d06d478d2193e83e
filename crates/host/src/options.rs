//! What the caller decides: where things are, who may be reached, how much a request may use.

use crate::telemetry;
use std::{path::PathBuf, sync::Arc, time::Duration, time::SystemTime};

/// Everything needed to load an application.
#[derive(Clone)]
pub struct Options {
    /// The `spin.toml`.
    pub manifest: PathBuf,
    /// `address:port`; port 0 takes a free one.
    pub listen: String,
    /// Databases and the ahead-of-time cache live here. Created when absent.
    pub data_dir: PathBuf,
    /// Where compiled components are kept; `<data_dir>/cache` when absent.
    pub cache_dir: Option<PathBuf>,
    /// Name of a `[component.X.profile.NAME]`; components without it keep their base form.
    pub profile: Option<String>,
    /// A file of `SPIN_VARIABLE_NAME=value` lines. A missing file is an error only if it was named.
    pub env_file: Option<PathBuf>,
    /// `--variable name=value`; wins over the environment and the file.
    pub variables: Vec<(String, String)>,
    /// The wall clock components see starts here and runs on.
    pub clock: Option<SystemTime>,
    /// `host:port`: every outbound request goes there, absolute form, without TLS. The allow-list still applies.
    pub outbound_via: Option<String>,
    /// Where traces go; `None`: nothing is traced.
    pub telemetry: Option<telemetry::Settings>,
    /// Bounds of one request and of the whole process.
    pub limits: Limits,
    /// Told about each component while loading.
    pub progress: Option<Arc<dyn Fn(Progress<'_>) + Send + Sync>>,
}

impl Options {
    /// Defaults for a manifest: loopback, port 3000, `.ventanilla`.
    pub fn new(manifest: impl Into<PathBuf>) -> Self {
        Self {
            manifest: manifest.into(),
            listen: "127.0.0.1:3000".into(),
            data_dir: ".ventanilla".into(),
            cache_dir: None,
            profile: None,
            env_file: None,
            variables: Vec::new(),
            clock: None,
            outbound_via: None,
            telemetry: None,
            limits: Limits::default(),
            progress: None,
        }
    }
}

/// What loading is doing.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// Not in the cache: compiling takes about a second per component.
    Compiling {
        /// The component's id.
        component: &'a str,
    },
    /// Ready to serve.
    Loaded {
        /// The component's id.
        component: &'a str,
    },
}

/// Bounds. The defaults suit a municipality on two cores.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests inside components at the same time.
    pub concurrent_requests: usize,
    /// Share of `concurrent_requests` one component may hold, in percent, so that one channel's storm leaves room for the others.
    pub component_share_percent: usize,
    /// Share of them that one tenant may hold in one component, in percent. What it sends beyond waits in a queue of its own.
    pub tenant_share_percent: usize,
    /// Requests a second of one tenant to one component; beyond it 429 with `Retry-After`. None: no limit but its share.
    pub tenant_rate: Option<u32>,
    /// Requests waiting for a place; beyond it 503 with `Retry-After`.
    pub queued_requests: usize,
    /// Longest wait for a place.
    pub queue_wait: Duration,
    /// Open client connections.
    pub connections: usize,
    /// Longest time for a request's headers to arrive.
    pub header_wait: Duration,
    /// Largest request head.
    pub header_bytes: usize,
    /// Largest request body; beyond it 413.
    pub body_bytes: usize,
    /// Longest time for a request's body to arrive; beyond it 408.
    pub body_wait: Duration,
    /// All request bodies held at the same time; beyond it 503.
    pub buffered_bytes: usize,
    /// Time guest code of one request may run. Counted in epochs of 10 ms of wall time while guest code runs, so be generous.
    pub cpu: Duration,
    /// And as much more for every MiB of the request's body: a large mail may take its time, a telephone call may not.
    pub cpu_per_mib: Duration,
    /// Longest time from dispatch to the end of the response, waiting included.
    pub wall: Duration,
    /// Linear memory of one instance, all its core memories together.
    pub memory_bytes: usize,
    /// Requests one instance serves, one after another.
    pub instance_reuse: u32,
    /// Idle instances kept, all components together.
    pub idle_instances: usize,
    /// An instance idle for longer is dropped.
    pub idle_time: Duration,
    /// How long requests in flight get when the process is told to stop.
    pub drain: Duration,
    /// Bounds of what components fetch.
    pub outbound: OutboundLimits,
    /// Bounds of what components do in PostgreSQL.
    pub postgres: PostgresLimits,
    /// Size of the file of `spin:key-value`, where the spool is; beyond it a `set` fails.
    pub key_value_bytes: u64,
}

/// Bounds of one outbound request.
#[derive(Clone, Debug)]
pub struct OutboundLimits {
    /// Name resolution, TCP and TLS together.
    pub connect: Duration,
    /// From the end of the request to the first byte of the answer.
    pub first_byte: Duration,
    /// Between two parts of the answer.
    pub between_bytes: Duration,
    /// Largest answer.
    pub body_bytes: u64,
}

/// Bounds of connections to PostgreSQL.
#[derive(Clone, Debug)]
pub struct PostgresLimits {
    /// Connections per connection string. The server's `max_connections` is 100 unless changed, for all processes together.
    pub connections: usize,
    /// Longest wait for one of them.
    pub wait: Duration,
    /// Name resolution, TCP, TLS and authentication together, per server.
    pub connect: Duration,
    /// Longest time of a statement; it is then cancelled.
    pub statement: Duration,
    /// Rows of one result.
    pub rows: usize,
    /// Bytes of one result.
    pub bytes: usize,
    /// A connection idle for longer is closed.
    pub idle_time: Duration,
    /// An older connection is not used again, so that changes of addresses and roles are noticed.
    pub lifetime: Duration,
}

impl Limits {
    /// So many percent of the places, but one at least.
    pub(crate) fn share(&self, percent: usize) -> usize {
        (self.concurrent_requests * percent / 100).max(1)
    }

    /// Requests of one tenant waiting for one component: half of the queue.
    pub(crate) fn queued_of_tenant(&self) -> usize {
        (self.queued_requests / 2).max(1)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrent_requests: 128,
            component_share_percent: 75,
            tenant_share_percent: 25,
            tenant_rate: None,
            queued_requests: 1024,
            queue_wait: Duration::from_secs(5),
            connections: 4096,
            header_wait: Duration::from_secs(10),
            header_bytes: 64 * 1024,
            body_bytes: 32 << 20,
            body_wait: Duration::from_secs(60),
            buffered_bytes: 256 << 20,
            cpu: Duration::from_secs(1),
            cpu_per_mib: Duration::from_millis(250),
            wall: Duration::from_secs(30),
            memory_bytes: 256 << 20,
            instance_reuse: 128,
            idle_instances: 64,
            idle_time: Duration::from_secs(20),
            drain: Duration::from_secs(10),
            outbound: OutboundLimits {
                connect: Duration::from_secs(5),
                first_byte: Duration::from_secs(10),
                between_bytes: Duration::from_secs(10),
                body_bytes: 32 << 20,
            },
            postgres: PostgresLimits {
                connections: 32,
                wait: Duration::from_secs(5),
                connect: Duration::from_secs(5),
                statement: Duration::from_secs(10),
                rows: 100_000,
                bytes: 64 << 20,
                idle_time: Duration::from_secs(120),
                lifetime: Duration::from_secs(1800),
            },
            key_value_bytes: 8 << 30,
        }
    }
}
