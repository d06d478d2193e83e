//! The storm: 80 voice webhooks and 100 messages a second, and up to ten times as many.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bench::figures::Figures;
use bench::process::Server;
use bench::{calls, load, postgres};

use crate::{Arguments, on_postgres, start_host};

/// Voice webhooks a second.
pub(crate) const VOICE: f64 = 80.0;
/// Messages a second.
pub(crate) const MESSAGES: f64 = 100.0;
/// How many times as much, one after the other.
const TIMES: [usize; 4] = [1, 2, 5, 10];

/// On one store.
pub(crate) struct Storm {
    pub(crate) store: &'static str,
    pub(crate) steps: Vec<Step>,
    /// Highest memory after the first step, and after all.
    pub(crate) mib: [f64; 2],
}

/// So many times the profile.
pub(crate) struct Step {
    pub(crate) times: usize,
    pub(crate) voice: Figures,
    pub(crate) messages: Figures,
}

/// On SQLite, then on PostgreSQL.
pub(crate) async fn measure(arguments: &Arguments, server: &mut postgres::Server) -> Result<Vec<Storm>> {
    let sqlite = start_host(arguments, "storm").await?;
    let mut all = vec![steps(arguments, sqlite, "SQLite").await?];
    let address = server.database().await?;
    let host = on_postgres::start_host(arguments, server, &address, "storm-postgres").await?;
    all.push(steps(arguments, host, "PostgreSQL").await?);
    Ok(all)
}

async fn steps(arguments: &Arguments, server: Server, store: &'static str) -> Result<Storm> {
    let mut storm = Storm { store, steps: Vec::new(), mib: [0.0; 2] };
    for (number, times) in TIMES.into_iter().enumerate() {
        let seconds = if times == 1 { arguments.storm_seconds } else { arguments.storm_seconds.div_ceil(2) };
        eprintln!("storm on {store}: ×{times} for {seconds} s");
        let (voice, messages) = (VOICE * times as f64, MESSAGES * times as f64);
        let count = |rate: f64| rate as usize * seconds;
        let calls = Arc::new(calls::incoming(&format!("v{number}"), count(voice))?);
        let texts = Arc::new(calls::messages(&format!("m{number}"), count(messages))?);
        let address = server.address;
        let (voice, messages) =
            tokio::try_join!(load::open(address, calls, voice), load::open(address, texts, messages))?;
        storm.steps.push(Step { times, voice, messages });
        let [first, all] = &mut storm.mib;
        *all = server.memory()?.1;
        if number == 0 {
            *first = *all;
        }
        // What was still being worked on is no part of the next step.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    server.stop().await;
    Ok(storm)
}
