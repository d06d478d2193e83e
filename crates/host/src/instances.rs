//! Instances of one component: reused, but for one request at a time, so that a trap hurts that request alone.

use crate::{
    http::{
        body::{self, OutBody},
        headers,
    },
    options::Limits,
    state::{self, Rights, State},
    telemetry::trace,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, time};
use wasmtime::{Store, component::Accessor, format_err};
use wasmtime_wasi_http::{
    WasiHttpView,
    p3::{
        Request,
        bindings::{Service, ServicePre},
    },
};

/// An answer that ends within this time is sent as one piece, and a trap before its end can still be answered.
const GATHER_TIME: Duration = Duration::from_millis(50);
/// A larger answer is streamed.
const GATHER_BYTES: usize = 256 * 1024;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The component panicked or did something WebAssembly forbids.
    Trap,
    /// It used up its CPU time or its wall time.
    Timeout,
    /// It asked for more memory than an instance may have.
    Memory,
    /// It returned an error instead of an answer.
    Error,
    /// There was no place for another instance.
    Instantiation,
}

impl Failure {
    /// The word in metrics, and of the quarantine header for the first three.
    pub fn word(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Error => "error",
            Self::Instantiation => "instantiation",
        }
    }

    /// Whether the same request may be tried in quarantine mode.
    pub fn is_the_guests(self) -> bool {
        matches!(self, Self::Trap | Self::Timeout | Self::Memory)
    }
}

/// One component of the manifest, ready to run.
pub struct Function {
    /// What it has.
    pub rights: Arc<Rights>,
    pre: ServicePre<State>,
    idle: Mutex<Vec<Instance>>,
    shared: Arc<Shared>,
}

/// What all components share.
pub struct Shared {
    limits: Limits,
    idle_count: AtomicUsize,
}

impl Shared {
    /// Nothing is idle yet.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, idle_count: AtomicUsize::new(0) })
    }
}

struct Instance {
    store: Store<State>,
    service: Service,
    uses: u32,
    idle_since: Instant,
}

type Transmitted = std::pin::Pin<Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>>;
type Reply = oneshot::Sender<Result<http::Response<OutBody>, Failure>>;

impl Function {
    /// From a linked component.
    pub fn new(rights: Arc<Rights>, pre: ServicePre<State>, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { rights, pre, idle: Mutex::default(), shared })
    }

    /// Runs one request. `place` is held until the instance has finished, post-return work included.
    /// The work goes on if the caller goes away: a client that hangs up must not undo half an intake.
    pub async fn call<P: Send + 'static>(
        self: &Arc<Self>,
        request: http::Request<Bytes>,
        fresh: bool,
        place: P,
    ) -> Result<http::Response<OutBody>, Failure> {
        let (reply, answer) = oneshot::channel();
        let function = Arc::clone(self);
        let work = async move {
            let work = trace::Work::begin(&function.rights.component, headers::mode(request.headers()));
            function.run(request, fresh, reply, &work).await;
            drop(place);
        };
        match trace::current() {
            Some(trace) => tokio::spawn(trace::within(trace, Box::pin(work))),
            None => tokio::spawn(work),
        };
        // The sender is dropped unused only if our own code panicked.
        answer.await.unwrap_or(Err(Failure::Trap))
    }

    async fn run(&self, request: http::Request<Bytes>, fresh: bool, reply: Reply, work: &trace::Work) {
        let reused = if fresh { None } else { self.take_idle() };
        let mut instance = match reused {
            Some(instance) => instance,
            None => match time::timeout(self.shared.limits.wall, self.instantiate()).await {
                Ok(Ok(instance)) => instance,
                Ok(Err(error)) => return self.fail(Some(reply), Failure::Instantiation, &error, work),
                Err(_) => {
                    let error = format_err!("instantiation took too long");
                    return self.fail(Some(reply), Failure::Timeout, &error, work);
                }
            },
        };
        instance.uses += 1;
        state::begin_request(&mut instance.store, request.body().len());
        let mut reply = Some(reply);
        let result = {
            let Instance { store, service, .. } = &mut instance;
            let (service, reply) = (&*service, &mut reply);
            let cpu = store.data().cpu.watch();
            let exchange = store
                .run_concurrent(async move |accessor| self.exchange(accessor, service, request, reply, work).await);
            time::timeout(self.shared.limits.wall, cpu.during(exchange)).await
        };
        match result {
            Ok(Ok(Ok(()))) => self.keep(instance),
            Ok(Ok(Err(error)) | Err(error)) => {
                let state = instance.store.data();
                let failure = if state.memory.exceeded {
                    Failure::Memory
                } else if state.cpu.exhausted {
                    Failure::Timeout
                } else {
                    Failure::Trap
                };
                self.fail(reply, failure, &error, work);
            }
            Err(_) => self.fail(reply, Failure::Timeout, &format_err!("the request's wall time is used up"), work),
        }
    }

    /// Logs, counts and answers. The client never sees the text; the stack is for the log level `debug`.
    fn fail(&self, reply: Option<Reply>, failure: Failure, error: &wasmtime::Error, work: &trace::Work) {
        work.failed(failure.word());
        self.rights.metrics.failure(&self.rights.component, failure.word());
        let component = &*self.rights.component;
        tracing::error!(
            component,
            kind = failure.word(),
            answered = reply.is_none(),
            "component failed: {}",
            error.root_cause()
        );
        tracing::debug!(component, "the failure in full: {error:?}");
        if let Some(reply) = reply {
            let _ = reply.send(Err(failure));
        }
    }

    async fn exchange(
        &self,
        accessor: &Accessor<State>,
        service: &Service,
        request: http::Request<Bytes>,
        reply: &mut Option<Reply>,
        work: &trace::Work,
    ) -> wasmtime::Result<()> {
        let (request, transmitted) = accessor.with(|mut access| {
            let (request, transmitted) = Request::from_http(access.data_mut().http().hooks, request.map(Full::new));
            (request, Box::pin(transmitted) as Transmitted)
        });
        match service.handle(accessor, request).await? {
            Ok(response) => {
                let response = accessor.with(|mut access| response.into_http(&mut access, transmitted))?;
                forward(response, reply).await?;
            }
            Err(code) => {
                self.fail(reply.take(), Failure::Error, &format_err!("the handler returned {code:?}"), work);
            }
        }
        // Work the guest goes on with after its answer.
        poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
        Ok(())
    }

    async fn instantiate(&self) -> wasmtime::Result<Instance> {
        match self.try_instantiate().await {
            Err(error) if error.is::<wasmtime::PoolConcurrencyLimitError>() => {
                self.idle().clear();
                self.try_instantiate().await
            }
            other => other,
        }
    }

    async fn try_instantiate(&self) -> wasmtime::Result<Instance> {
        let mut store = state::store(self.pre.engine(), &self.rights);
        state::begin_request(&mut store, 0);
        let service = self.pre.instantiate_async(&mut store).await?;
        Ok(Instance { store, service, uses: 0, idle_since: Instant::now() })
    }

    /// How long a new instance takes; it is dropped at once.
    pub async fn time_to_start(&self) -> wasmtime::Result<Duration> {
        let begin = Instant::now();
        let instance = self.try_instantiate().await?;
        let taken = begin.elapsed();
        drop(instance);
        Ok(taken)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Instance>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one used last: its memory is warm.
    fn take_idle(&self) -> Option<Instance> {
        let instance = self.idle().pop()?;
        self.shared.idle_count.fetch_sub(1, Relaxed);
        Some(instance)
    }

    fn keep(&self, mut instance: Instance) {
        let worn = instance.uses >= self.shared.limits.instance_reuse || instance.store.data().memory.is_big();
        if worn || self.shared.idle_count.load(Relaxed) >= self.shared.limits.idle_instances {
            return;
        }
        instance.idle_since = Instant::now();
        self.idle().push(instance);
        self.shared.idle_count.fetch_add(1, Relaxed);
    }

    /// Drops instances that nobody has needed for a while.
    pub fn reap(&self, older_than: Duration) {
        let old: Vec<Instance> = {
            let mut idle = self.idle();
            let fresh =
                idle.iter().position(|instance| instance.idle_since.elapsed() < older_than).unwrap_or(idle.len());
            idle.drain(..fresh).collect()
        };
        self.shared.idle_count.fetch_sub(old.len(), Relaxed);
    }
}

/// Gathers a short answer; streams a long or slow one.
async fn forward(
    response: http::Response<wasmtime_wasi_http::WasiBody>,
    reply: &mut Option<Reply>,
) -> wasmtime::Result<()> {
    let (parts, mut source) = response.into_parts();
    let deadline = time::Instant::now() + GATHER_TIME;
    let mut gathered = Vec::new();
    loop {
        match time::timeout_at(deadline, source.frame()).await {
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    gathered.extend_from_slice(&data);
                }
                if gathered.len() > GATHER_BYTES {
                    break;
                }
            }
            Ok(Some(Err(error))) => return Err(error.into()),
            Ok(None) => {
                if let Some(reply) = reply.take() {
                    let _ = reply.send(Ok(http::Response::from_parts(parts, body::full(gathered))));
                }
                return Ok(());
            }
            Err(_) => break,
        }
    }
    let (sender, streamed) = body::channel();
    if let Some(reply) = reply.take() {
        let _ = reply.send(Ok(http::Response::from_parts(parts, streamed)));
    }
    // Sending fails when the client is gone; then nobody wants the rest.
    if sender.data(gathered.into()).await.is_err() {
        return Ok(());
    }
    while let Some(frame) = source.frame().await {
        if let Ok(data) = frame?.into_data()
            && sender.data(data).await.is_err()
        {
            return Ok(());
        }
    }
    sender.end().await;
    Ok(())
}
