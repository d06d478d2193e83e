//! One connection: how it is made, runs statements within bounds, and is cleaned for the next guest.

use super::{
    address::Server,
    errors,
    guest::bindings::spin::postgres::postgres::{Column, DbValue, Error, ParameterValue, QueryError},
    pool::Endpoint,
    tls::Connector,
    transaction::{Effect, effect},
    values,
};
use crate::{options::PostgresLimits, outbound};
use futures::StreamExt;
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_postgres::{Client, SimpleQueryMessage, Statement, config::TargetSessionAttrs};

/// Prepared statements kept per connection; the oldest goes first.
const STATEMENTS: usize = 256;
/// A longer text is prepared each time.
const STATEMENT_BYTES: usize = 64 * 1024;
/// What `DISCARD ALL` stands for (PostgreSQL, "DISCARD"), less plans and our prepared statements, which are kept on purpose. A guest that
/// prepared one by SQL could have put it in the place of ours: its connection is not used again.
const RESET: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
                     SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES; \
                     SELECT count(*) FROM pg_prepared_statements WHERE from_sql";
/// A connection idle for longer is asked for a sign of life before it is used.
const ASK_AFTER: Duration = Duration::from_secs(15);
/// For a sign of life, a cancellation, a good-bye.
const SHORT: Duration = Duration::from_secs(2);

/// What came of a statement.
pub(super) struct Rows {
    pub(super) touched: u64,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<DbValue>>,
}

/// A connection to a server.
pub(super) struct Connection {
    client: Client,
    driver: Option<tokio::task::JoinHandle<()>>,
    statements: Mutex<Statements>,
    peer: SocketAddr,
    server: Server,
    endpoint: Arc<Endpoint>,
    /// When it was made.
    pub(super) since: Instant,
    /// When it was last used.
    pub(super) used: Instant,
    /// A transaction may be open.
    in_transaction: AtomicBool,
    /// A statement was given up while the server works on it, or may have been.
    abandoned: AtomicBool,
    /// Not to be used again.
    broken: AtomicBool,
}

#[derive(Default)]
struct Statements {
    by_text: HashMap<Arc<str>, Statement>,
    order: VecDeque<Arc<str>>,
}

impl Connection {
    /// Tries the servers of the endpoint in their order. The error is for the guest.
    pub(super) async fn open(endpoint: &Arc<Endpoint>, limits: &PostgresLimits) -> Result<Self, String> {
        let mut last = String::new();
        for server in &endpoint.target.hosts {
            match timeout(limits.connect, Self::open_one(endpoint, server)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => last = error,
                Err(_) => {
                    last = format!(
                        "can't connect to postgres://{server}: no answer within {} ms",
                        limits.connect.as_millis()
                    );
                }
            }
        }
        Err(last)
    }

    async fn open_one(endpoint: &Arc<Endpoint>, server: &Server) -> Result<Self, String> {
        let stream = connect(server).await?;
        let peer = stream.peer_addr().map_err(|error| format!("can't connect to postgres://{server}: {error}"))?;
        let config = &endpoint.target.config;
        let connector = endpoint.connector(server);
        let (client, driver) =
            config.connect_raw(stream, connector).await.map_err(|error| errors::connecting(server, &error))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(target: "ventanilla::postgres", error = errors::chain(&error), "a connection ended");
            }
        });
        let connection = Self {
            client,
            driver: Some(driver),
            statements: Mutex::default(),
            peer,
            server: server.clone(),
            endpoint: Arc::clone(endpoint),
            since: Instant::now(),
            used: Instant::now(),
            in_transaction: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        };
        connection.check_role(config.get_target_session_attrs()).await?;
        Ok(connection)
    }

    /// `target_session_attrs` of several hosts: the one that may write is the primary.
    async fn check_role(&self, wanted: TargetSessionAttrs) -> Result<(), String> {
        let wanted = match wanted {
            TargetSessionAttrs::ReadWrite => "off",
            TargetSessionAttrs::ReadOnly => "on",
            _ => return Ok(()),
        };
        let server = &self.server;
        let row = self.client.query_one("SHOW transaction_read_only", &[]).await;
        let found: String = row.and_then(|row| row.try_get(0)).map_err(|error| errors::connecting(server, &error))?;
        if found == wanted {
            return Ok(());
        }
        Err(format!(
            "postgres://{server} is not what target_session_attrs asks for (its transaction_read_only is {found})"
        ))
    }

    /// Runs a statement for the number of rows it touched.
    pub(super) async fn execute(
        &self,
        sql: &str,
        parameters: &[ParameterValue],
        limits: &PostgresLimits,
    ) -> Result<u64, Error> {
        self.bounded(sql, limits, self.prepared(sql, parameters, None)).await.map(|rows| rows.touched)
    }

    /// Runs a statement for its rows, all of them, within bounds.
    pub(super) async fn query(
        &self,
        sql: &str,
        parameters: &[ParameterValue],
        limits: &PostgresLimits,
    ) -> Result<Rows, Error> {
        self.bounded(sql, limits, self.prepared(sql, parameters, Some(limits))).await
    }

    /// Without limits no rows are wanted.
    async fn run(
        &self,
        statement: &Statement,
        parameters: &[ParameterValue],
        limits: Option<&PostgresLimits>,
    ) -> Result<Rows, Failure> {
        let encoded = values::encode_all(parameters, statement).map_err(Failure::Guest)?;
        let Some(limits) = limits else {
            let touched = self.client.execute_raw(statement, encoded).await.map_err(Failure::Server)?;
            return Ok(Rows { touched, columns: Vec::new(), rows: Vec::new() });
        };
        let stream = self.client.query_raw(statement, encoded).await.map_err(Failure::Server)?;
        let mut stream = pin!(stream);
        let (mut rows, mut bytes) = (Vec::new(), 0_usize);
        while let Some(row) = stream.next().await {
            let row = row.map_err(Failure::Server)?;
            let (values, size) = values::decode_row(&row).map_err(Failure::Guest)?;
            bytes = bytes.saturating_add(size);
            if rows.len() >= limits.rows || bytes > limits.bytes {
                // The server goes on sending what nobody wants.
                self.abandoned.store(true, Relaxed);
                return Err(Failure::Guest(Error::QueryFailed(QueryError::Text(format!(
                    "the result is larger than {} rows or {} bytes: ask for less, e.g. with LIMIT",
                    limits.rows, limits.bytes
                )))));
            }
            rows.push(values);
        }
        Ok(Rows { touched: 0, columns: values::columns(statement), rows })
    }

    /// Time, transaction status and state of the connection around a statement.
    async fn bounded(
        &self,
        sql: &str,
        limits: &PostgresLimits,
        run: impl Future<Output = Result<Rows, Failure>>,
    ) -> Result<Rows, Error> {
        if self.abandoned.load(Relaxed) || self.broken.load(Relaxed) {
            return Err(Error::ConnectionFailed(
                "this connection was closed after an earlier error or time-out: open another".into(),
            ));
        }
        let effect = effect(sql);
        match effect {
            Effect::Copy => {
                return Err(Error::QueryFailed(QueryError::Text(
                    "COPY is not supported through this interface: use INSERT or SELECT".into(),
                )));
            }
            Effect::Opens => self.in_transaction.store(true, Relaxed),
            Effect::None | Effect::Closes => {}
        }
        // A guest that traps, or a request that runs out of time, drops this future where it waits.
        let running = Running(&self.abandoned);
        let result = timeout(limits.statement, run).await;
        match result {
            Ok(Ok(value)) => {
                running.done();
                if effect == Effect::Closes {
                    self.in_transaction.store(false, Relaxed);
                }
                Ok(value)
            }
            Ok(Err(Failure::Guest(error))) => {
                running.done();
                Err(error)
            }
            Ok(Err(Failure::Server(error))) => {
                running.done();
                if errors::is_final(&error) {
                    self.broken.store(true, Relaxed);
                }
                let code = error.code().map_or("none", |code| code.code());
                tracing::debug!(target: "ventanilla::postgres", code, "a statement failed");
                Err(errors::statement(&error))
            }
            Err(_) => {
                tracing::warn!(
                    target: "ventanilla::postgres", server = %self.server,
                    "a statement took longer than {} ms and was cancelled", limits.statement.as_millis()
                );
                Err(Error::QueryFailed(QueryError::Text(format!(
                    "the statement took longer than {} ms and was cancelled: it may or may not have been carried out",
                    limits.statement.as_millis()
                ))))
            }
        }
    }

    /// With the statement prepared; once more if it was prepared for tables that have changed since.
    async fn prepared(
        &self,
        sql: &str,
        parameters: &[ParameterValue],
        limits: Option<&PostgresLimits>,
    ) -> Result<Rows, Failure> {
        let kept = self.statements().by_text.get(sql).cloned();
        if let Some(statement) = kept {
            match self.run(&statement, parameters, limits).await {
                Err(Failure::Server(error)) if errors::is_stale(&error) => {
                    self.statements().forget(sql);
                    // The error has ended a transaction, and a second try would only hide that.
                    if self.in_transaction.load(Relaxed) {
                        return Err(Failure::Server(error));
                    }
                }
                other => return other,
            }
        }
        let statement = self.client.prepare(sql).await.map_err(Failure::Server)?;
        self.statements().keep(sql, &statement);
        self.run(&statement, parameters, limits).await
    }

    fn statements(&self) -> std::sync::MutexGuard<'_, Statements> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it may be given to a guest; asks the server if it was idle for long.
    pub(super) async fn is_alive(&self) -> bool {
        if self.client.is_closed() || self.broken.load(Relaxed) || self.abandoned.load(Relaxed) {
            return false;
        }
        self.used.elapsed() < ASK_AFTER || matches!(timeout(SHORT, self.client.check_connection()).await, Ok(Ok(())))
    }

    /// Undoes what the last guest left: its transaction, settings, locks and temporary tables. False: close it.
    pub(super) async fn clean(&self) -> bool {
        if self.client.is_closed() || self.broken.load(Relaxed) || self.abandoned.load(Relaxed) {
            return false;
        }
        // Only if one may be open: without one the server writes a warning to its log.
        let rollback = if self.in_transaction.load(Relaxed) { "ROLLBACK; " } else { "" };
        let answer = timeout(SHORT, self.client.simple_query(&format!("{rollback}{RESET}"))).await;
        self.in_transaction.store(false, Relaxed);
        let Ok(Ok(messages)) = answer else { return false };
        let last = messages.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0)),
            _ => None,
        });
        last.flatten() == Some("0")
    }

    /// Closes it; a statement that still runs is cancelled first.
    pub(super) async fn close(mut self) {
        if self.abandoned.load(Relaxed) && !self.client.is_closed() {
            let cancel = async {
                let stream = TcpStream::connect(self.peer).await.ok()?;
                let connector = self.endpoint.connector(&self.server);
                self.client.cancel_token().cancel_query_raw(stream, connector).await.ok()
            };
            if timeout(SHORT, cancel).await.ok().flatten().is_none() {
                tracing::warn!(target: "ventanilla::postgres", server = %self.server, "a statement could not be cancelled");
            }
        }
        let driver = self.driver.take();
        // Without its client the driver says good-bye and ends, if the server listens.
        drop(self);
        if let Some(mut driver) = driver
            && timeout(SHORT, &mut driver).await.is_err()
        {
            driver.abort();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.abort();
        }
    }
}

enum Failure {
    /// Told to the guest as it is.
    Guest(Error),
    Server(tokio_postgres::Error),
}

/// Marks the connection as abandoned unless it is told that the statement is done.
struct Running<'a>(&'a AtomicBool);

impl Running<'_> {
    fn done(self) {
        std::mem::forget(self);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Statements {
    fn keep(&mut self, sql: &str, statement: &Statement) {
        if sql.len() > STATEMENT_BYTES {
            return;
        }
        let text: Arc<str> = sql.into();
        if self.by_text.insert(Arc::clone(&text), statement.clone()).is_none() {
            self.order.push_back(text);
        }
        if self.by_text.len() > STATEMENTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_text.remove(&oldest);
        }
    }

    fn forget(&mut self, sql: &str) {
        self.by_text.remove(sql);
        self.order.retain(|kept| **kept != *sql);
    }
}

/// The first address of the server that answers and may be reached. Peers that vanish are noticed within half a minute.
async fn connect(server: &Server) -> Result<TcpStream, String> {
    let fail = |why: String| format!("can't connect to postgres://{server}: {why}");
    let stream = outbound::connect_to(&server.host, server.port, server.anywhere)
        .await
        .map_err(|error| fail(error.to_string()))?;
    let socket = socket2::SockRef::from(&stream);
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive).map_err(|error| fail(error.to_string()))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(30))).map_err(|error| fail(error.to_string()))?;
    Ok(stream)
}

impl Endpoint {
    fn connector(&self, server: &Server) -> Connector {
        Connector { config: Arc::clone(&self.tls), host: server.host.clone() }
    }
}
