//! How soon the program and an instance start, and what the program takes while nobody calls.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use bench::figures::median;
use bench::{calls, load};

use crate::{Arguments, COLD, start_host};

/// How often the program is started.
const STARTS: usize = 5;
/// How often an instance is.
const INSTANCES: usize = 2_000;

/// What was found.
pub(crate) struct Rest {
    /// Milliseconds from the start of the process, with a warm cache, to the first accepted call; the median.
    pub(crate) start: f64,
    /// Microseconds that a new instance of gateway, connector and store, composed, takes to start; the median.
    pub(crate) instance: f64,
    /// Resident memory.
    pub(crate) mib: f64,
    /// Without mapped files.
    pub(crate) own_mib: f64,
}

/// All of it, one after the other.
pub(crate) async fn measure(arguments: &Arguments) -> Result<Rest> {
    eprintln!("start of the program");
    let mut starts = Vec::new();
    for round in 0..STARTS {
        starts.push(first_call(arguments, round).await?);
    }
    let server = start_host(arguments, "idle").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ((mib, _), own_mib) = (server.memory()?, server.own_memory()?);
    server.stop().await;
    Ok(Rest { start: median(&starts), instance: instance(arguments).await?, mib, own_mib })
}

async fn first_call(arguments: &Arguments, round: usize) -> Result<f64> {
    let begin = std::time::Instant::now();
    let server = start_host(arguments, "start").await?;
    let call = Arc::new(calls::incoming(&format!("f{round}"), 1)?);
    let figures = load::closed(server.address, call, 1, Duration::from_secs(10)).await?;
    let elapsed = begin.elapsed().as_secs_f64() * 1000.0;
    ensure!(figures.failures == 0, "the first call was not accepted");
    server.stop().await;
    Ok(elapsed)
}

async fn instance(arguments: &Arguments) -> Result<f64> {
    eprintln!("start of an instance");
    let mut options = ventanilla_host::Options::new("spin.toml");
    options.data_dir = arguments.data.join("instances");
    options.cache_dir = Some(arguments.data.join(COLD).join("cache"));
    let host = tokio::task::spawn_blocking(move || ventanilla_host::Host::load(options)).await??;
    let mut times = Vec::new();
    for _ in 0..INSTANCES {
        times.push(host.time_to_start("telephony-twilio").await?.as_secs_f64() * 1e6);
    }
    host.close().await;
    Ok(median(&times))
}
