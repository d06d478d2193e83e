//! Measures the budgets of the design beside a native program that does the same work, and writes `docs/performance.md`.

mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench::figures::{Figures, median};
use bench::process::Server;
use bench::{calls, load};
use clap::Parser;

/// Measures intake beside a native program, in one run.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program under test.
    #[arg(long, default_value = "target/release/ventanilla")]
    ventanilla: PathBuf,
    /// The native rival.
    #[arg(long, default_value = "target/release/native-intake")]
    native: PathBuf,
    /// Rounds, in each of which every program has its turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of load per program and round.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Kept connections of the closed loop.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Seconds of the storm profile (80 voice webhooks and 100 further messages a second).
    #[arg(long, default_value_t = 20)]
    storm_seconds: usize,
    /// Where the results go; `-` is standard output.
    #[arg(long, default_value = "docs/performance.md")]
    output: PathBuf,
    /// Where databases are made: on the disk whose `fsync` is to count.
    #[arg(long, default_value = "target/bench")]
    data: PathBuf,
}

/// Measured of one program.
#[derive(Default)]
struct Measured {
    rates: Vec<f64>,
    all: Figures,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.data.exists() {
        std::fs::remove_dir_all(&arguments.data)?;
    }
    std::fs::create_dir_all(&arguments.data)?;

    eprintln!("start: cold cache, then warm");
    drop(start_host(&arguments, "start").await?.stop().await);
    let mut starts = Vec::new();
    for round in 0..5 {
        starts.push(first_call(&arguments, round).await?);
    }
    let server = start_host(&arguments, "idle").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (idle, _) = server.memory()?;
    server.stop().await;

    let (mut host, mut native) = (Measured::default(), Measured::default());
    for round in 0..arguments.rounds {
        eprintln!("intake, round {} of {}: our host", round + 1, arguments.rounds);
        let server = start_host(&arguments, &format!("intake-{round}")).await?;
        throughput(&arguments, &server, &format!("h{round:01}"), &mut host).await?;
        server.stop().await;
        eprintln!("intake, round {} of {}: native program", round + 1, arguments.rounds);
        let server = start_native(&arguments, &format!("native-{round}")).await?;
        throughput(&arguments, &server, &format!("n{round:01}"), &mut native).await?;
        server.stop().await;
    }

    eprintln!("storm: 80 voice webhooks/s and 100 messages/s for {} s", arguments.storm_seconds);
    let server = start_host(&arguments, "storm").await?;
    let voice = Arc::new(calls::incoming("sv", 80 * arguments.storm_seconds)?);
    let other = Arc::new(calls::statuses("so", 100 * arguments.storm_seconds)?);
    let (voice, other) =
        tokio::try_join!(load::open(server.address, voice, 80.0), load::open(server.address, other, 100.0))?;
    let (_, storm_memory) = server.memory()?;
    server.stop().await;

    let results = report::Results {
        ratio: median(&host.rates.iter().zip(&native.rates).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>()),
        host_rate: median(&host.rates),
        native_rate: median(&native.rates),
        host: host.all,
        native: native.all,
        voice,
        other,
        start: median(&starts),
        idle_mib: idle,
        storm_mib: storm_memory,
        components: components(Path::new("target/components"))?,
        connections: arguments.connections,
    };
    let text = report::markdown(&results)?;
    if arguments.output == Path::new("-") {
        println!("{text}");
    } else {
        std::fs::write(&arguments.output, &text).with_context(|| format!("writing {}", arguments.output.display()))?;
        println!("{text}\nwritten to {}", arguments.output.display());
    }
    Ok(())
}

async fn throughput(arguments: &Arguments, server: &Server, run: &str, into: &mut Measured) -> Result<()> {
    let warm = Arc::new(calls::incoming(&format!("w{run}"), 2_000)?);
    load::closed(server.address, warm, arguments.connections, Duration::from_secs(1)).await?;
    // More than any program here answers in that time.
    let work = usize::try_from(arguments.seconds)?.saturating_mul(60_000);
    let work = Arc::new(calls::incoming(run, work)?);
    let figures =
        load::closed(server.address, work, arguments.connections, Duration::from_secs(arguments.seconds)).await?;
    ensure!(figures.failures == 0, "{} calls were not accepted", figures.failures);
    into.rates.push(figures.rate());
    into.all.absorb(figures);
    Ok(())
}

/// Milliseconds from the start of the process, with a warm cache, to the first accepted call.
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

async fn start_host(arguments: &Arguments, folder: &str) -> Result<Server> {
    let data = arguments.data.join(folder);
    let environment = [
        ("SPIN_VARIABLE_TELEPHONY_TWILIO", calls::settings()),
        ("SPIN_VARIABLE_API_TOKENS", "{\"bench\":[\"t\"]}".to_owned()),
    ];
    let data = data.to_str().context("the data folder's name is not UTF-8")?;
    Server::start(&arguments.ventanilla, &["up", "--json", "--listen", "127.0.0.1:0", "--data", data], &environment)
        .await
}

async fn start_native(arguments: &Arguments, folder: &str) -> Result<Server> {
    let data = arguments.data.join(folder);
    let data = data.to_str().context("the data folder's name is not UTF-8")?;
    Server::start(&arguments.native, &[data], &[]).await
}

/// Name and size in bytes of every component.
fn components(folder: &Path) -> Result<Vec<(String, u64)>> {
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str().and_then(|name| name.strip_suffix(".wasm")) {
            sizes.push((name.to_owned(), entry.metadata()?.len()));
        }
    }
    sizes.sort();
    Ok(sizes)
}
