//! Drives deliveries while `up` serves: looks, every so often, whether anything is due, and asks the connectors that have
//! something to send it. Requests go to the application in this process, not over the network.

use super::Connector;
use anyhow::{Result, bail};
use bytes::Bytes;
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use ventanilla_host::Caller;

/// A delivery under way when the server is told to stop gets so long: less than a supervisor's patience, more than one call to
/// a provider takes.
const PATIENCE: Duration = Duration::from_secs(9);

/// Deliveries of webhooks at a time: one waits for whoever is slow, the next one does what the others have leased nobody for.
const WEBHOOK_RUNS: usize = 4;

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
        let timer = Timer { caller, token, names, webhooks, running: HashMap::new(), broken: false };
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
            let told = self.tell().await;
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

    /// Webhooks, if there are any to deliver.
    async fn tell(&mut self) -> Result<()> {
        if !self.webhooks {
            return Ok(());
        }
        let (status, answer) = ask(&self.caller, "GET", "/webhooks/-/due", &self.token).await?;
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

    /// Connectors of ours with something due: one question for all of them, to any.
    async fn due(&self) -> Result<Vec<String>> {
        let Some(first) = self.names.first() else { return Ok(Vec::new()) };
        let (status, answer) = ask(&self.caller, "GET", &format!("/{first}/-/due"), &self.token).await?;
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
        self.running.retain(|_, running| !running.is_finished());
        if self.running.contains_key(&name) {
            return;
        }
        let (caller, token, path) = (self.caller.clone(), self.token.clone(), format!("/{connector}/-/deliver"));
        let running = tokio::spawn(async move {
            match ask(&caller, "POST", &path, &token).await {
                Ok((200, _)) => {}
                Ok((status, _)) => tracing::warn!("{path} answered {status}"),
                Err(error) => tracing::warn!("{path}: {error:#}"),
            }
        });
        self.running.insert(name, running);
    }
}

async fn ask(caller: &Caller, method: &str, path: &str, token: &str) -> Result<(u16, Value)> {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {token}"))
        .body(Bytes::new())?;
    let answer = caller.call(request).await?;
    Ok((answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default()))
}
