//! Puts everything together: from a manifest to something that answers.

use crate::{
    cache::{self, Cache, Key},
    clock::Clock,
    compose, engine,
    http::{
        admission::{Admission, Class},
        dispatch::{Admitted, App, Untraced},
        serve::{self, StopSignal},
    },
    instances::{Function, Shared},
    key_value::Pairs,
    manifest::{Component, Inherit, Manifest, Target},
    metrics::Metrics,
    options::{Options, Progress},
    outbound::{AllowList, Outbound},
    postgres::Pools,
    sqlite::Databases,
    state::{self, Rights, State},
    telemetry::Telemetry,
    variables::Variables,
};
use ::http::{Request, Response};
use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::AtomicUsize, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::sync::Semaphore;
use wasmtime::{Engine, component::Linker};
use wasmtime_wasi_http::p3::bindings::ServicePre;

/// Requests that are told at the same time, by their gateway, that there is no place for them.
const APOLOGIES: usize = 4;

/// A loaded application.
pub struct Host {
    options: Options,
    manifest: Manifest,
    variables: Variables,
    app: Arc<App>,
    functions: Vec<Arc<Function>>,
    databases: Arc<Databases>,
    pairs: Option<Pairs>,
    postgres: Arc<Pools>,
}

/// Puts requests to an application without a socket, also while its host serves. Cheap to clone.
#[derive(Clone)]
pub struct Caller(Arc<App>);

impl Caller {
    /// Answers one request as if it came from 127.0.0.1. Needs a tokio runtime.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>> {
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (parts, body) = self.0.handle(request.map(Full::new), client).await.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }

    /// As [`Caller::call`], for questions a timer asks again and again: they would fill the traces with nothing.
    pub async fn ask(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>> {
        request.extensions_mut().insert(Untraced);
        self.call(request).await
    }
}

impl Host {
    /// Reads the manifest, resolves variables, opens databases, joins and compiles components. Blocks; a warm start takes milliseconds.
    pub fn load(options: Options) -> Result<Self> {
        let manifest = Manifest::load(&options.manifest, options.profile.as_deref())?;
        let variables = Variables::resolve(&manifest, &options)?;
        manifest.check_files()?;
        let router = manifest.router()?;
        let metrics = Arc::new(Metrics::new(manifest.triggers.iter().map(|trigger| {
            let route = trigger.route.as_ref().map_or("private", |route| route.text()).to_owned();
            let target = match &trigger.target {
                Target::Component(id) => id.clone(),
                Target::Static(_) => "static".into(),
            };
            (route, target)
        })));
        let labels: BTreeSet<&str> = manifest
            .components
            .values()
            .filter(|component| may_use(component, &component.sqlite_databases, "sqlite_databases", "sqlite"))
            .flat_map(|component| component.sqlite_databases.iter().map(String::as_str))
            .collect();
        let databases = Arc::new(Databases::open(&options.data_dir, labels, &metrics)?);
        let has_pairs = manifest
            .components
            .values()
            .any(|component| may_use(component, &component.key_value_stores, "key_value_stores", "key-value"));
        let pairs =
            has_pairs.then(|| Pairs::open(&options.data_dir, options.limits.key_value_bytes, &metrics)).transpose()?;
        let postgres = Arc::new(Pools::new(options.limits.postgres.clone(), &metrics));
        let rights = rights(&manifest, &variables, &options, &metrics, (&databases, &pairs, &postgres))?;
        let engine = engine::engine(&options.limits)?;
        let functions = load_components(&manifest, &options, &engine, rights)?;
        let admitted: BTreeMap<&str, Arc<Admitted>> = functions
            .iter()
            .enumerate()
            .map(|(number, (id, function))| {
                let quarantine = manifest.components.get(id).is_some_and(|component| {
                    component.dependencies.keys().any(|key| key.starts_with("ventanilla:channel"))
                });
                let admitted = Admitted { function: Arc::clone(function), number, quarantine };
                (id.as_str(), Arc::new(admitted))
            })
            .collect();
        let targets = manifest
            .triggers
            .iter()
            .map(|trigger| match &trigger.target {
                Target::Component(id) => admitted.get(id.as_str()).cloned(),
                Target::Static(_) => None,
            })
            .collect();
        let telemetry = options.telemetry.clone().map(|settings| Telemetry::start(settings, &metrics)).transpose()?;
        let app = Arc::new(App {
            router,
            triggers: manifest.triggers.clone(),
            targets,
            metrics,
            telemetry,
            limits: options.limits.clone(),
            door: Admission::new(options.limits.clone()),
            apologies: Arc::new(Semaphore::new(APOLOGIES)),
            buffered: AtomicUsize::new(0),
            stopping: false.into(),
            databases: Arc::clone(&databases),
        });
        engine::tick(&engine, &app)?;
        Ok(Self {
            options,
            manifest,
            variables,
            app,
            functions: functions.into_values().collect(),
            databases,
            pairs,
            postgres,
        })
    }

    /// The manifest, with the profile applied.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The application's variables.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Answers one request without a socket, as if it came from 127.0.0.1. Needs a tokio runtime.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>> {
        self.caller().call(request).await
    }

    /// The means to [`Host::call`] while the host serves.
    pub fn caller(&self) -> Caller {
        Caller(Arc::clone(&self.app))
    }

    /// How long a new instance of a component (by its id in the manifest) takes to start. For benchmarks.
    pub async fn time_to_start(&self, component: &str) -> Result<Duration> {
        let function = self.functions.iter().find(|function| &*function.rights.component == component);
        let function = function.with_context(|| format!("the manifest has no component {component}"))?;
        Ok(function.time_to_start().await?)
    }

    /// Listens and serves until SIGTERM or SIGINT. `ready` is told the bound address.
    pub async fn serve(self, ready: impl FnOnce(SocketAddr)) -> Result<()> {
        let stop = StopSignal::install()?;
        self.serve_until(ready, Box::pin(stop.received())).await
    }

    /// As [`Host::serve`], on a socket from [`listen`]: opened before loading, a port in use is found at once.
    pub async fn serve_listener(self, listener: tokio::net::TcpListener) -> Result<()> {
        self.serve_listener_and(listener, StopSignal::install()?, Box::pin(std::future::ready(()))).await
    }

    /// As [`Host::serve_listener`]; what is given runs after the signal and before serving ends.
    pub async fn serve_listener_and(
        self,
        listener: tokio::net::TcpListener,
        signal: StopSignal,
        before_the_end: serve::Stop<'static>,
    ) -> Result<()> {
        let stop = async {
            signal.received().await;
            before_the_end.await;
        };
        self.serve_on(listener, Box::pin(stop)).await
    }

    /// Listens and serves until `stop` resolves; then requests in flight finish and the databases are closed.
    pub async fn serve_until(self, ready: impl FnOnce(SocketAddr), stop: serve::Stop<'_>) -> Result<()> {
        let listener = self.bind().await?;
        ready(listener.local_addr().context("the listening socket has no address")?);
        self.serve_on(listener, stop).await
    }

    /// Opens the listening socket of the options. See [`listen`].
    pub async fn bind(&self) -> Result<tokio::net::TcpListener> {
        serve::bind(&self.options.listen).await
    }

    /// Serves on a socket from [`Host::bind`].
    pub async fn serve_on(self, listener: tokio::net::TcpListener, stop: serve::Stop<'_>) -> Result<()> {
        let reaper = self.start_reaper();
        let served = serve::serve(Arc::clone(&self.app), listener, stop).await;
        reaper.abort();
        self.close().await;
        served
    }

    /// Drops idle instances and closes the databases, their logs written back. `serve` does it; needed only after `call`.
    pub async fn close(self) {
        for function in &self.functions {
            function.reap(Duration::ZERO);
        }
        self.postgres.reap(Duration::ZERO);
        let (databases, pairs) = (self.databases, self.pairs);
        let close = move || {
            databases.close();
            pairs.iter().for_each(Pairs::close);
        };
        if let Err(error) = tokio::task::spawn_blocking(close).await {
            tracing::error!(%error, "closing the databases failed");
        }
        if let Some(telemetry) = &self.app.telemetry {
            telemetry.flush().await;
        }
    }

    fn start_reaper(&self) -> tokio::task::JoinHandle<()> {
        let functions = self.functions.clone();
        let postgres = Arc::clone(&self.postgres);
        let age = self.options.limits.idle_time;
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(age / 4).await;
                functions.iter().for_each(|function| function.reap(age));
                postgres.reap(postgres.idle_time());
            }
        })
    }
}

/// Whether a component can open one of its labels. A file that no profile's store opens would be taken for the one to back up.
fn may_use(component: &Component, labels: &[String], set: &str, interface: &str) -> bool {
    if labels.is_empty() {
        return false;
    }
    component.dependencies.values().any(|dependency| dependency.inherit.has(set))
        || compose::component_imports(&component.source)
            .map_or(true, |imports| imports.iter().any(|import| import.contains(interface)))
}

/// The first of the classes of a component's routes.
fn class_of(manifest: &Manifest, component: &Component) -> Class {
    let its_own = |target: &Target| matches!(target, Target::Component(id) if *id == component.id);
    let routes = manifest
        .triggers
        .iter()
        .filter(|trigger| its_own(&trigger.target))
        .filter_map(|trigger| trigger.route.as_ref());
    routes.map(|route| Class::of(route.text())).min().unwrap_or(Class::Other)
}

/// What each component has, with templates expanded.
fn rights(
    manifest: &Manifest,
    variables: &Variables,
    options: &Options,
    metrics: &Arc<Metrics>,
    (databases, pairs, postgres): (&Arc<Databases>, &Option<Pairs>, &Arc<Pools>),
) -> Result<BTreeMap<String, Arc<Rights>>> {
    let clock = options.clock.map(Clock::starting_at);
    let tls = Arc::new(OnceLock::new());
    manifest
        .components
        .values()
        .map(|component| {
            let at = |what: &str| format!("{}: {what} of component {}", manifest.file.display(), component.id);
            let id: Arc<str> = component.id.as_str().into();
            let own_variables = component
                .variables
                .iter()
                .map(|(name, template)| {
                    let value = variables.expand(template).with_context(|| at(&format!("variable {name}")))?;
                    Ok((name.clone(), value))
                })
                .collect::<Result<_>>()?;
            let hosts = component
                .allowed_outbound_hosts
                .iter()
                .map(|entry| variables.expand(entry).with_context(|| at("allowed_outbound_hosts")))
                .collect::<Result<Vec<String>>>()?;
            let allow = AllowList::parse(hosts.iter().map(String::as_str))
                .map_err(|why| anyhow!(why).context(at("allowed_outbound_hosts")))?;
            let mut environment: Vec<(String, String)> = component.environment.clone().into_iter().collect();
            environment.push(("VENTANILLA_HOST".into(), "1".into()));
            let outbound = Outbound {
                component: Arc::clone(&id),
                class: class_of(manifest, component),
                allow,
                via: options.outbound_via.clone(),
                limits: options.limits.outbound.clone(),
                tls: Arc::clone(&tls),
                metrics: Arc::clone(metrics),
            };
            let rights = Rights {
                component: id,
                variables: own_variables,
                environment,
                databases: Arc::clone(databases),
                allowed_databases: component.sqlite_databases.iter().cloned().collect(),
                pairs: pairs.clone(),
                allowed_stores: component.key_value_stores.iter().cloned().collect(),
                postgres: Arc::clone(postgres),
                outbound: Arc::new(outbound),
                clock,
                memory_bytes: options.limits.memory_bytes,
                cpu: options.limits.cpu,
                cpu_per_mib: options.limits.cpu_per_mib,
                metrics: Arc::clone(metrics),
            };
            Ok((component.id.clone(), Arc::new(rights)))
        })
        .collect()
}

type Digests = BTreeMap<PathBuf, [u8; 32]>;

/// Loads components on all cores. The first error wins.
fn load_components(
    manifest: &Manifest,
    options: &Options,
    engine: &Engine,
    rights: BTreeMap<String, Arc<Rights>>,
) -> Result<BTreeMap<String, Arc<Function>>> {
    let folder = options.cache_dir.clone().unwrap_or_else(|| options.data_dir.join("cache"));
    let cache = Cache::open(folder, engine)?;
    let linker = state::linker(engine)?;
    let shared = Shared::new(options.limits.clone());
    let digests = digests(manifest)?;
    let components: Vec<&Component> = manifest.components.values().collect();
    let next = AtomicUsize::new(0);
    let loaded = Mutex::new(BTreeMap::new());
    let failed: Mutex<Option<anyhow::Error>> = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(component) = components.get(next.fetch_add(1, Relaxed)) {
                    let pre = load_component(component, options, engine, &cache, &linker, &digests);
                    match (pre, rights.get(&component.id)) {
                        (Ok(pre), Some(rights)) => {
                            let function = Function::new(Arc::clone(rights), pre, Arc::clone(&shared));
                            loaded
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .insert(component.id.clone(), function);
                        }
                        (Err(error), _) => {
                            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                            next.store(components.len(), Relaxed);
                        }
                        (Ok(_), None) => {}
                    }
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(loaded.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// Every file once: the gateway and the store are parts of many components.
fn digests(manifest: &Manifest) -> Result<Digests> {
    let mut digests = Digests::new();
    for component in manifest.components.values() {
        let dependencies = component.dependencies.values().map(|dependency| &dependency.source);
        for path in std::iter::once(&component.source).chain(dependencies) {
            if !digests.contains_key(path) {
                digests.insert(path.clone(), cache::digest(&read(path)?));
            }
        }
    }
    Ok(digests)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("can't read {}: run cargo xtask build", path.display()))
}

fn load_component(
    component: &Component,
    options: &Options,
    engine: &Engine,
    cache: &Cache,
    linker: &Linker<State>,
    digests: &Digests,
) -> Result<ServicePre<State>> {
    let id = &component.id;
    let tell = |progress| {
        if let Some(told) = &options.progress {
            told(progress);
        }
    };
    let compiled = cache.get_or_compile(engine, &key(component, cache, digests), || {
        tell(Progress::Compiling { component: id });
        let dependencies =
            component.dependencies.values().map(|dependency| read(&dependency.source)).collect::<Result<Vec<_>>>()?;
        compose::compose(component, &read(&component.source)?, &dependencies)
    });
    let compiled = compiled?;
    let pre = linker.instantiate_pre(&compiled).map_err(anyhow::Error::from).with_context(|| {
        format!("component {id} imports something the embedded host does not have: build it with spin-sdk 7, and leave out what is not supported")
    })?;
    let pre = ServicePre::new(pre).map_err(anyhow::Error::from).with_context(|| {
        format!("component {id} does not export wasi:http/handler@0.3.0: build it with spin-sdk 7 and #[http_service]")
    })?;
    tell(Progress::Loaded { component: id });
    Ok(pre)
}

/// Covers whatever composition and its checks depend on, so that a cached composition need not be checked again.
fn key(component: &Component, cache: &Cache, digests: &Digests) -> Key {
    let mut parts: Vec<Vec<u8>> = vec![compose::POLICY_VERSION.to_le_bytes().to_vec()];
    let digest = |path: &Path| digests.get(path).map(|digest| digest.to_vec()).unwrap_or_default();
    parts.push(digest(&component.source));
    for (key, dependency) in &component.dependencies {
        parts.push(key.clone().into_bytes());
        parts.push(digest(&dependency.source));
        parts.push(dependency.export.clone().unwrap_or_default().into_bytes());
        parts.push(match &dependency.inherit {
            Inherit::All => b"*".to_vec(),
            Inherit::Sets(sets) => sets.iter().cloned().collect::<Vec<_>>().join(",").into_bytes(),
        });
    }
    cache.key(parts.iter().map(Vec::as_slice))
}

/// Opens a listening socket.
///
/// # Errors
///
/// The port is in use, needs a privilege, or the address is not this machine's; with the remedy.
pub async fn listen(address: &str) -> Result<tokio::net::TcpListener> {
    serve::bind(address).await
}
