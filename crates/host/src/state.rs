//! What one instance owns: its WASI context, its rights, and the meters of its CPU time and memory.

use crate::{
    clock::Clock,
    engine::{self, EPOCH},
    key_value::{self, KeyValueView, Pairs},
    logs::GuestStream,
    metrics::Metrics,
    outbound::{Hooks, Outbound},
    postgres::{self, Pools, PostgresView},
    sqlite::{self, Databases, SqliteView},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use wasmtime::{
    Engine, ResourceLimiter, Store, UpdateDeadline,
    component::{Accessor, HasData, Linker, ResourceTable},
    format_err,
};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// What a component of the manifest has. Shared by its instances.
pub struct Rights {
    /// Its id.
    pub component: Arc<str>,
    /// Its own variables, expanded.
    pub variables: BTreeMap<String, String>,
    /// Its environment, and `VENTANILLA_HOST`.
    pub environment: Vec<(String, String)>,
    /// All databases.
    pub databases: Arc<Databases>,
    /// Labels it may open.
    pub allowed_databases: BTreeSet<String>,
    /// The key-value pairs, if some component has them.
    pub pairs: Option<Pairs>,
    /// Labels of key-value stores it may open.
    pub allowed_stores: BTreeSet<String>,
    /// Connections to PostgreSQL of the whole application.
    pub postgres: Arc<Pools>,
    /// What it may send and where it may connect.
    pub outbound: Arc<Outbound>,
    /// A chosen wall clock.
    pub clock: Option<Clock>,
    /// Bytes of linear memory per instance.
    pub memory_bytes: usize,
    /// CPU time per request.
    pub cpu: Duration,
    /// And for each MiB of its body.
    pub cpu_per_mib: Duration,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// The data of a store.
pub struct State {
    rights: Arc<Rights>,
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    /// See [`Memory`].
    pub memory: Memory,
    /// See [`Cpu`].
    pub cpu: Cpu,
}

/// Linear memory of an instance, all its memories together.
pub struct Memory {
    used: usize,
    limit: usize,
    /// Set when it asked for more than the limit.
    pub exceeded: bool,
}

impl Memory {
    /// A reused instance never shrinks; a big one is not worth keeping.
    pub fn is_big(&self) -> bool {
        self.used > self.limit / 4
    }
}

/// Epochs that passed while guest code ran for the current request.
pub struct Cpu {
    ticks: u64,
    limit: u64,
    /// The epoch in which guest code last began to run, or was last counted.
    running_since: Arc<AtomicU64>,
    /// Set when the limit was reached.
    pub exhausted: bool,
}

impl Cpu {
    /// For whoever polls guest code.
    pub fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.running_since))
    }

    /// Whether an epoch has passed since guest code began to run.
    fn has_run(&self) -> bool {
        let now = engine::epochs();
        self.running_since.swap(now, Relaxed) < now
    }
}

/// Notes when guest code begins to run, so that epochs in which it only waits are not counted as its work: a request that waits a hundred
/// times for a slow database uses no CPU time by that.
pub struct Watch(Arc<AtomicU64>);

impl Watch {
    /// Polls guest code.
    pub async fn during<F: Future>(self, guest: F) -> F::Output {
        let mut guest = std::pin::pin!(guest);
        std::future::poll_fn(|context| {
            self.0.store(engine::epochs(), Relaxed);
            guest.as_mut().poll(context)
        })
        .await
    }
}

/// A store with a fresh state.
pub fn store(engine: &Engine, rights: &Arc<Rights>) -> Store<State> {
    let mut wasi = WasiCtxBuilder::new();
    wasi.envs(&rights.environment)
        .stdout(GuestStream::new(&rights.component, "stdout"))
        .stderr(GuestStream::new(&rights.component, "stderr"))
        .allow_tcp(false)
        .allow_udp(false);
    if let Some(clock) = rights.clock {
        wasi.wall_clock(clock);
    }
    rights.metrics.instances.fetch_add(1, Relaxed);
    rights.metrics.instances_created.fetch_add(1, Relaxed);
    let state = State {
        rights: Arc::clone(rights),
        table: ResourceTable::new(),
        wasi: wasi.build(),
        http: WasiHttpCtx::new(),
        hooks: Hooks(Arc::clone(&rights.outbound)),
        memory: Memory { used: 0, limit: rights.memory_bytes, exceeded: false },
        cpu: Cpu { ticks: 0, limit: 1, running_since: Arc::default(), exhausted: false },
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.memory);
    store.epoch_deadline_callback(|mut store| {
        let cpu = &mut store.data_mut().cpu;
        if !cpu.has_run() {
            return Ok(UpdateDeadline::Continue(1));
        }
        cpu.ticks += 1;
        if cpu.ticks > cpu.limit {
            cpu.exhausted = true;
            return Err(format_err!("the request's CPU time is used up"));
        }
        // A plain Yield starved other requests in a trial; tokio's own yield goes to the back of the queue.
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    store
}

/// Prepares the store for its next request, whose body has so many bytes.
pub fn begin_request(store: &mut Store<State>, body: usize) {
    let state = store.data_mut();
    let mebibytes = u32::try_from(body >> 20).unwrap_or(u32::MAX);
    let time = state.rights.cpu.saturating_add(state.rights.cpu_per_mib.saturating_mul(mebibytes));
    state.cpu.ticks = 0;
    state.cpu.running_since.store(engine::epochs(), Relaxed);
    state.cpu.limit = u64::try_from(time.as_millis() / EPOCH.as_millis()).unwrap_or(u64::MAX).max(1);
    store.set_epoch_deadline(1);
}

impl Drop for State {
    fn drop(&mut self) {
        self.rights.metrics.instances.fetch_sub(1, Relaxed);
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            self.exceeded = true;
            return Err(format_err!("the instance's memory limit of {} bytes is reached", self.limit));
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 20_000)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Everything a component may import. Sockets are there, and refuse.
pub fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    sqlite::add_to_linker(&mut linker, |state: &mut State| SqliteView {
        table: &mut state.table,
        databases: &state.rights.databases,
        allowed: &state.rights.allowed_databases,
    })?;
    key_value::add_to_linker(&mut linker, |state: &mut State| KeyValueView {
        table: &mut state.table,
        pairs: state.rights.pairs.as_ref(),
        allowed: &state.rights.allowed_stores,
    })?;
    postgres::add_to_linker(&mut linker, |state: &mut State| PostgresView {
        table: &mut state.table,
        pools: &state.rights.postgres,
        outbound: &state.rights.outbound,
    })?;
    variables::add_to_linker::<State, Variables>(&mut linker, |state| &state.rights)?;
    Ok(linker)
}

/// Generated from wit/.
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        inline: "package ventanilla:host-variables; world variables-host { import spin:variables/variables@3.0.0; }",
        imports: { default: async | trappable },
    });
}

use bindings::spin::variables::variables;

struct Variables;

impl HasData for Variables {
    type Data<'a> = &'a Arc<Rights>;
}

impl variables::Host for &Arc<Rights> {}

impl<T: Send + 'static> variables::HostWithStore<T> for Variables {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> wasmtime::Result<Result<String, variables::Error>> {
        Ok(accessor.with(|mut access| match access.get().variables.get(&name) {
            Some(value) => Ok(value.clone()),
            None => Err(variables::Error::Undefined(format!("no variable named {name:?} for this component"))),
        }))
    }
}
