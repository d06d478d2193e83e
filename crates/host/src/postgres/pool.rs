//! Bounded pools of connections, one per connection string and authority. A place is free again when its connection is clean.

use super::{
    address::Target,
    connection::{Connection, Rows},
    guest::bindings::spin::postgres::postgres::{Error, ParameterValue},
    places::{Place, Places},
    tls,
};
use crate::{
    http::admission::Class,
    metrics::Metrics,
    options::PostgresLimits,
    telemetry::trace::{Value as Attribute, Wait},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, time::timeout};
use tokio_rustls::rustls::ClientConfig;

/// So long a request waits for a connection that others have before there is one more.
const PATIENCE: Duration = Duration::from_millis(25);
/// Pools kept; of more connection strings the one used longest ago is let go.
const POOLS: usize = 16;

/// All pools of a host.
pub struct Pools {
    limits: Arc<PostgresLimits>,
    metrics: Arc<Metrics>,
    by_key: Mutex<HashMap<Key, Arc<Pool>>>,
}

/// The connection string, the authority, and which of its hosts may be at private addresses.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key(String, Option<String>, Vec<bool>);

/// Where the connections of a pool go.
pub(super) struct Endpoint {
    pub(super) target: Target,
    pub(super) tls: Arc<ClientConfig>,
}

struct Pool {
    endpoint: Arc<Endpoint>,
    limits: Arc<PostgresLimits>,
    metrics: Arc<Metrics>,
    places: Arc<Places>,
    /// The one used last is used next.
    idle: Mutex<Vec<Connection>>,
    used: Mutex<Instant>,
}

impl Pools {
    /// No connection yet.
    pub fn new(limits: PostgresLimits, metrics: &Arc<Metrics>) -> Self {
        Self { limits: Arc::new(limits), metrics: Arc::clone(metrics), by_key: Mutex::default() }
    }

    /// A connection of its own for a guest. Waits for a place, no longer than the limit.
    pub(super) async fn lease(
        &self,
        class: Class,
        address: String,
        ca: Option<String>,
        target: Target,
    ) -> Result<Lease, Error> {
        let pool = self.pool(address, ca, target)?;
        let place = pool.place(class).await?;
        pool.lease(place).await
    }

    fn pool(&self, address: String, ca: Option<String>, target: Target) -> Result<Arc<Pool>, Error> {
        let key = Key(address, ca, target.hosts.iter().map(|server| server.anywhere).collect());
        let mut pools = lock(&self.by_key);
        if let Some(pool) = pools.get(&key) {
            *lock(&pool.used) = Instant::now();
            return Ok(Arc::clone(pool));
        }
        if pools.len() >= POOLS
            && let Some(oldest) = pools.iter().min_by_key(|(_, pool)| *lock(&pool.used)).map(|(key, _)| key.clone())
        {
            pools.remove(&oldest);
        }
        let tls = tls::config(key.1.as_deref()).map_err(Error::Other)?;
        let pool = Arc::new(Pool {
            endpoint: Arc::new(Endpoint { target, tls }),
            limits: Arc::clone(&self.limits),
            metrics: Arc::clone(&self.metrics),
            places: Places::new(self.limits.connections),
            idle: Mutex::default(),
            used: Mutex::new(Instant::now()),
        });
        pools.insert(key, Arc::clone(&pool));
        Ok(pool)
    }

    /// Closes connections idle for longer than this.
    pub fn reap(&self, age: Duration) {
        let pools: Vec<Arc<Pool>> = lock(&self.by_key).values().cloned().collect();
        for pool in pools {
            let mut idle = lock(&pool.idle);
            let (old, young) = std::mem::take(&mut *idle).into_iter().partition(|c| c.used.elapsed() >= age);
            *idle = young;
            drop(idle);
            let old: Vec<Connection> = old;
            pool.metrics.postgres_idle.fetch_sub(old.len() as u64, Relaxed);
            pool.places.shrink(old.len());
            for connection in old {
                tokio::spawn(connection.close());
            }
        }
    }

    /// Longest idle time, for whoever calls [`Pools::reap`].
    pub fn idle_time(&self) -> Duration {
        self.limits.idle_time
    }
}

impl Pool {
    async fn place(&self, class: Class) -> Result<Place, Error> {
        if let Some(place) = self.places.now() {
            return Ok(place);
        }
        self.metrics.postgres_waiting.fetch_add(1, Relaxed);
        let _waiting = Waiting(&self.metrics);
        match timeout(self.limits.wait, self.wait(class)).await {
            Ok(Some(place)) => Ok(place),
            _ => {
                let text = format!(
                    "all {} connections to {} are in use and none became free within {} ms: look for slow statements, or allow more (--postgres-connections)",
                    self.limits.connections,
                    self.hosts(),
                    self.limits.wait.as_millis()
                );
                tracing::warn!(target: "ventanilla::postgres", "{text}");
                Err(Error::ConnectionFailed(text))
            }
        }
    }

    async fn wait(&self, class: Class) -> Option<Place> {
        let mut place = std::pin::pin!(self.places.wait(class));
        loop {
            match timeout(PATIENCE, &mut place).await {
                Ok(place) => return place,
                Err(_) => self.places.grow(),
            }
        }
    }

    fn hosts(&self) -> String {
        let hosts: Vec<String> = self.endpoint.target.hosts.iter().map(ToString::to_string).collect();
        format!("postgres://{}", hosts.join(","))
    }

    async fn lease(self: &Arc<Self>, place: Place) -> Result<Lease, Error> {
        loop {
            let Some(idle) = lock(&self.idle).pop() else { break };
            self.metrics.postgres_idle.fetch_sub(1, Relaxed);
            if idle.is_alive().await {
                return Ok(self.leased(idle, place));
            }
            self.metrics.postgres_discarded.fetch_add(1, Relaxed);
            self.places.shrink(1);
            tokio::spawn(idle.close());
        }
        let connection = Connection::open(&self.endpoint, &self.limits).await.map_err(|why| {
            tracing::warn!(target: "ventanilla::postgres", "{why}");
            Error::ConnectionFailed(why)
        })?;
        self.metrics.postgres_opened.fetch_add(1, Relaxed);
        Ok(self.leased(connection, place))
    }

    fn leased(self: &Arc<Self>, connection: Connection, place: Place) -> Lease {
        self.metrics.postgres_in_use.fetch_add(1, Relaxed);
        Lease { held: Some((connection, place)), pool: Arc::clone(self), runtime: Handle::current() }
    }

    /// Cleans a connection and keeps it, or closes it.
    async fn take_back(&self, mut connection: Connection) {
        if connection.clean().await && connection.since.elapsed() < self.limits.lifetime {
            connection.used = Instant::now();
            self.metrics.postgres_idle.fetch_add(1, Relaxed);
            lock(&self.idle).push(connection);
        } else {
            self.metrics.postgres_discarded.fetch_add(1, Relaxed);
            connection.close().await;
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.metrics.postgres_idle.fetch_sub(lock(&self.idle).len() as u64, Relaxed);
    }
}

struct Waiting<'a>(&'a Metrics);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.postgres_waiting.fetch_sub(1, Relaxed);
    }
}

/// A connection while a guest has it. Dropping it, however that comes about, has it cleaned before anybody else gets it.
pub(super) struct Lease {
    held: Option<(Connection, Place)>,
    pool: Arc<Pool>,
    runtime: Handle,
}

impl Lease {
    fn connection(&self) -> Result<&Connection, Error> {
        self.held
            .as_ref()
            .map(|(connection, _)| connection)
            .ok_or_else(|| Error::Other("the connection is gone".into()))
    }

    fn database(&self) -> Option<&str> {
        self.pool.endpoint.target.config.get_dbname()
    }

    pub(super) async fn execute(&self, sql: &str, parameters: &[ParameterValue]) -> Result<u64, Error> {
        traced(Some(sql), self.database(), self.connection()?.execute(sql, parameters, &self.pool.limits)).await
    }

    pub(super) async fn query(&self, sql: &str, parameters: &[ParameterValue]) -> Result<Rows, Error> {
        traced(Some(sql), self.database(), self.connection()?.query(sql, parameters, &self.pool.limits)).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((connection, place)) = self.held.take() else { return };
        let pool = Arc::clone(&self.pool);
        // The guest does not wait for it; the next one gets the place only afterwards.
        self.runtime.spawn(async move {
            pool.take_back(connection).await;
            pool.metrics.postgres_in_use.fetch_sub(1, Relaxed);
            drop(place);
        });
    }
}

/// A statement, or without one the wait for a connection, as a span.
pub(super) async fn traced<T>(
    sql: Option<&str>,
    database: Option<&str>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let name = if sql.is_some() { "postgresql" } else { "postgresql connection" };
    let mut wait = Wait::database(name, "postgresql", sql);
    if let Some(database) = database {
        wait.attribute("db.namespace", || Attribute::configured(database));
    }
    let result = work.await;
    if let Err(error) = &result {
        wait.failed(match error {
            Error::ConnectionFailed(_) => "connection_failed",
            Error::BadParameter(_) => "bad_parameter",
            Error::QueryFailed(_) => "query_failed",
            Error::ValueConversionFailed(_) => "value_conversion_failed",
            Error::Other(_) => "other",
        });
    }
    result
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
