//! Drives deliveries, and seals the ledger, while `up` serves: looks, every so often, whether anything is due, and asks the connectors that have
//! something to send it. Requests go to the application in this process, not over the network.

use super::Connector;
use anyhow::{Result, bail};
use bytes::Bytes;
use serde_json::Value;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use ventanilla_host::Caller;

/// A delivery under way when the server is told to stop gets so long: less than a supervisor's patience, more than one call to
/// a provider takes.
const PATIENCE: Duration = Duration::from_secs(9);

/// Deliveries of webhooks at a time: one waits for whoever is slow, the next one does what the others have leased nobody for.
const WEBHOOK_RUNS: usize = 4;

/// How often every connector is asked to look after the spool, also when nothing waits: it keeps what callers hear while the store is
/// away.
const LOOK_AFTER: Duration = Duration::from_secs(300);
/// How often the rules of retention are applied, which count days.
const RETAIN: Duration = Duration::from_secs(600);
/// Runs of one connector's spool, one after another.
const SPOOL_RUNS: usize = 100;

/// The timer.
pub(crate) struct Courier {
    stop: watch::Sender<bool>,
    timer: JoinHandle<()>,
}

impl Courier {
    /// Starts it.
    pub(crate) fn start(
        caller: Caller,
        connectors: &[Connector],
        webhooks: bool,
        token: String,
        every: Duration,
    ) -> Courier {
        let (stop, stopped) = watch::channel(false);
        let names = connectors.iter().map(|c| format!("{}/{}", c.channel, c.vendor)).collect();
        let timer = Timer {
            stopped: stopped.clone(),
            caller,
            token,
            names,
            webhooks,
            running: HashMap::new(),
            broken: false,
            spool_broken: false,
            looked_after: None,
            retained: None,
        };
        Courier { stop, timer: tokio::spawn(timer.run(every, stopped)) }
    }

    /// Begins nothing more and waits for what is under way.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(PATIENCE, self.timer).await.is_err() {
            tracing::warn!("a delivery did not finish in time; what was not settled is sent again");
        }
    }
}

struct Timer {
    stopped: watch::Receiver<bool>,
    caller: Caller,
    token: String,
    /// `channel/vendor` of every connector.
    names: Vec<String>,
    /// Whether the application has webhooks.
    webhooks: bool,
    /// By connector, or number of the run of webhooks.
    running: HashMap<String, JoinHandle<()>>,
    /// Said already.
    broken: bool,
    spool_broken: bool,
    /// When every connector was asked to look after the spool.
    looked_after: Option<Instant>,
    /// When retention was applied.
    retained: Option<Instant>,
}

impl Timer {
    async fn run(mut self, every: Duration, mut stopped: watch::Receiver<bool>) {
        // The first look is at once: a new destination is told what happens from then on.
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopped.wait_for(|stopped| *stopped) => break,
            }
            pause = every;
            match self.drain().await {
                Ok(()) => self.spool_broken = false,
                Err(error) if !self.spool_broken => {
                    self.spool_broken = true;
                    tracing::warn!("can't see what is in the spool: {error:#}");
                }
                Err(_) => {}
            }
            let told = self.tell().await;
            let told = self.seal().await.and(told);
            self.retain();
            match self.due().await.and_then(|due| told.map(|()| due)) {
                Ok(due) => {
                    self.broken = false;
                    due.into_iter().for_each(|connector| self.begin(connector.clone(), connector));
                }
                Err(error) if !self.broken => {
                    self.broken = true;
                    tracing::warn!("can't see what is to be sent: {error:#}");
                }
                Err(_) => {}
            }
        }
        for (_, running) in self.running {
            drop(running.await);
        }
    }

    /// Envelopes in the spool: those connectors drain theirs that have some, and now and then all of them look after it.
    async fn drain(&mut self) -> Result<()> {
        let Some(first) = self.names.first() else { return Ok(()) };
        let (status, answer) = look(&self.caller, "GET", &format!("/{first}/-/spool"), &self.token).await?;
        if status != 200 {
            bail!("{first} answered {status}: {}", crate::output::text(&answer, "/detail"));
        }
        let all = self.looked_after.is_none_or(|at| at.elapsed() >= LOOK_AFTER);
        if all {
            self.looked_after = Some(Instant::now());
        }
        let waiting = crate::output::items(&answer, "/spool");
        let waits = |name: &String| waiting.iter().any(|depth| crate::output::text(depth, "/connector") == name);
        let names: Vec<(String, bool)> =
            self.names.iter().map(|name| (name.clone(), waits(name))).filter(|(_, waits)| all || *waits).collect();
        for (connector, waits) in names {
            let (name, path) = (format!("spool of {connector}"), format!("/{connector}/-/spool"));
            self.begin_at(name, path, SPOOL_RUNS, waits);
        }
        Ok(())
    }

    /// Webhooks, if there are any to deliver.
    async fn tell(&mut self) -> Result<()> {
        if !self.webhooks {
            return Ok(());
        }
        let (status, answer) = look(&self.caller, "GET", "/webhooks/-/due", &self.token).await?;
        if status != 200 {
            bail!("webhooks answered {status}: {}", crate::output::text(&answer, "/detail"));
        }
        self.running.retain(|_, running| !running.is_finished());
        let free = (0..WEBHOOK_RUNS)
            .map(|number| format!("webhooks {number}"))
            .find(|name| answer.get("due") == Some(&Value::Bool(true)) && !self.running.contains_key(name));
        if let Some(name) = free {
            self.begin(name, "webhooks".into());
        }
        Ok(())
    }

    /// The ledger's seals, for what came in since the last look. What one request leaves is the next one's.
    async fn seal(&self) -> Result<()> {
        let (status, answer) = look(&self.caller, "POST", "/api/-/seal", &self.token).await?;
        match status {
            // An application without our API has no ledger.
            200 | 404 => Ok(()),
            _ => bail!("the ledger answered {status}: {}", crate::output::text(&answer, "/detail")),
        }
    }

    /// Retention, and removals of tenants that were begun, beside everything else.
    fn retain(&mut self) {
        if self.retained.is_none_or(|at| at.elapsed() >= RETAIN) {
            self.retained = Some(Instant::now());
            self.begin_at("retention".into(), "/api/-/retain".into(), SPOOL_RUNS, false);
        }
    }

    /// Connectors of ours with something due: one question for all of them, to any.
    async fn due(&self) -> Result<Vec<String>> {
        let Some(first) = self.names.first() else { return Ok(Vec::new()) };
        let (status, answer) = look(&self.caller, "GET", &format!("/{first}/-/due"), &self.token).await?;
        if status != 200 {
            bail!("{first} answered {status}: {}", crate::output::text(&answer, "/detail"));
        }
        let queues = crate::output::items(&answer, "/queues");
        let due = queues.iter().filter(|queue| queue.get("due") == Some(&Value::Bool(true)));
        let names = due.map(|queue| crate::output::text(queue, "/connector").to_owned());
        Ok(names.filter(|name| self.names.contains(name)).collect())
    }

    /// One delivery per connector at a time: a slow provider holds up only its own.
    fn begin(&mut self, name: String, connector: String) {
        self.begin_at(name, format!("/{connector}/-/deliver"), 1, true);
    }

    /// At most so many runs, while there is more to do; a run that is known to have something to do is worth a trace.
    fn begin_at(&mut self, name: String, path: String, runs: usize, waits: bool) {
        self.running.retain(|_, running| !running.is_finished());
        if self.running.contains_key(&name) {
            return;
        }
        let (caller, token) = (self.caller.clone(), self.token.clone());
        let mut stopped = self.stopped.clone();
        let running = tokio::spawn(async move {
            for _ in 0..runs {
                let answer = if waits {
                    ask(&caller, "POST", &path, &token).await
                } else {
                    look(&caller, "POST", &path, &token).await
                };
                match answer {
                    Ok((200, answer)) if answer.get("more") == Some(&Value::Bool(true)) => {}
                    // An application without our API has no retention.
                    Ok((200 | 404, _)) => break,
                    Ok((status, _)) => return tracing::warn!("{path} answered {status}"),
                    Err(error) => return tracing::warn!("{path}: {error:#}"),
                }
                if *stopped.borrow_and_update() {
                    break;
                }
            }
        });
        self.running.insert(name, running);
    }
}

/// One request that has something to do.
async fn ask(caller: &Caller, method: &str, path: &str, token: &str) -> Result<(u16, Value)> {
    heard(caller.call(request(method, path, token)?).await?)
}

/// One that is made every time, whether there is something to do or not.
async fn look(caller: &Caller, method: &str, path: &str, token: &str) -> Result<(u16, Value)> {
    heard(caller.ask(request(method, path, token)?).await?)
}

fn request(method: &str, path: &str, token: &str) -> Result<http::Request<Bytes>> {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {token}"))
        .body(Bytes::new())?;
    Ok(request)
}

fn heard(answer: http::Response<Bytes>) -> Result<(u16, Value)> {
    Ok((answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default()))
}
