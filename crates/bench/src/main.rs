//! Measures the budgets of the design beside a native program that does the same work, and writes `docs/performance.md`.

mod channels;
mod fairness;
mod growth;
mod intake;
mod on_postgres;
mod plot;
mod report;
mod rest;
mod storm;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench::figures::Figures;
use bench::process::Server;
use bench::{calls, load, postgres};
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
    /// A folder with the Node rival's packages (`crates/bench/rival/package.json`).
    #[arg(long)]
    node: Option<PathBuf>,
    /// A `spin` program, 4.1 or newer.
    #[arg(long)]
    spin: Option<PathBuf>,
    /// Rounds, in each of which every program has its turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of load per program and round.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Kept connections of the closed loop.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Seconds of the storm profile (80 voice webhooks and 100 messages a second); half of it for each of its multiples.
    #[arg(long, default_value_t = 20)]
    storm_seconds: usize,
    /// Only this part; the others stay on the page as they were measured last.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Growth: cases of one tenant, ascending; 0 for none.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000,1000000")]
    cases: Vec<u64>,
    /// Growth: numbers of tenants, each with a store of its own; 0 for none.
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000")]
    tenants: Vec<u64>,
    /// Growth: cases that so many tenants share.
    #[arg(long, default_value_t = 100_000)]
    tenant_cases: u64,
    /// Growth: on which stores.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "sqlite,postgres")]
    stores: Vec<Kind>,
    /// Where the results go; `-` is standard output.
    #[arg(long, default_value = "docs/performance.md")]
    output: PathBuf,
    /// Where databases are made: on the disk whose `fsync` is to count.
    #[arg(long, default_value = "target/bench")]
    data: PathBuf,
}

/// A part of the page that can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Intake on SQLite beside a native program, and one for Node and Spin if they are given.
    Intake,
    /// How soon it starts, and what it takes while nobody calls.
    Rest,
    /// Intake on PostgreSQL beside a native program.
    Postgres,
    /// The storm and its multiples.
    Storm,
    /// What a call of the store costs as it grows. Takes long, and is part of nothing else.
    Growth,
    /// Whether one tenant's flood is felt by another.
    Tenants,
    /// Every connector with the requests of its tests.
    Connectors,
}

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// On SQLite.
    Sqlite,
    /// On PostgreSQL.
    Postgres,
}

/// The folder whose cache is filled first.
const COLD: &str = "cold";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.data.exists() {
        std::fs::remove_dir_all(&arguments.data)?;
    }
    std::fs::create_dir_all(&arguments.data)?;

    let mut server = postgres::Server::start(&arguments.data.join("postgres"), &arguments.ventanilla).await?;
    if arguments.only == Some(Part::Growth) {
        let plots = arguments.output.parent().unwrap_or(Path::new("docs")).join("plots");
        let points = growth::points::merge(&plots, growth::measure(&arguments, &mut server).await?)?;
        let part = growth::points::tell(&points, &plots, &report::measured())?;
        return publish(&arguments, &[part]);
    }
    eprintln!("start: cold cache, then warm");
    start_host(&arguments, COLD).await?.stop().await;
    let cache = arguments.data.join(COLD).join("cache");
    if matches!(arguments.only, None | Some(Part::Postgres | Part::Storm)) {
        let address = server.database().await?;
        on_postgres::start_host(&arguments, &server, &address, COLD).await?.stop().await;
    }
    let part = match arguments.only {
        None => return everything(&arguments, &mut server, &cache).await,
        Some(Part::Intake) => report::intake(&intake::measure(&arguments).await?, arguments.connections)?,
        Some(Part::Rest) => report::rest(&rest::measure(&arguments).await?)?,
        Some(Part::Postgres) => report::postgres(&on_postgres::measure(&arguments, &mut server).await?)?,
        Some(Part::Storm) => report::storm(&storm::measure(&arguments, &mut server).await?)?,
        Some(Part::Growth) => return Ok(()),
        Some(Part::Tenants) => report::fairness(&fairness::measure(&arguments).await?)?,
        Some(Part::Connectors) => {
            let (channels, unmeasured) = channels::measure(&arguments.data, &cache).await?;
            report::connectors(&channels, &unmeasured)?
        }
    };
    publish(&arguments, &[part])
}

/// Replaces parts of the page.
fn publish(arguments: &Arguments, parts: &[String]) -> Result<()> {
    let output = &arguments.output;
    let standard = output == Path::new("-");
    let page = if standard { String::new() } else { std::fs::read_to_string(output).unwrap_or_default() };
    let text = report::page(&page, parts);
    if standard {
        println!("{text}");
    } else {
        std::fs::write(output, &text).with_context(|| format!("writing {}", output.display()))?;
        println!("{}\nwritten to {}", parts.join("\n"), output.display());
    }
    Ok(())
}

async fn everything(arguments: &Arguments, server: &mut postgres::Server, cache: &Path) -> Result<()> {
    let on_postgres = on_postgres::measure(arguments, server).await?;
    let storms = storm::measure(arguments, server).await?;
    let rest = rest::measure(arguments).await?;
    let intake = intake::measure(arguments).await?;
    let fairness = fairness::measure(arguments).await?;
    let (channels, unmeasured) = channels::measure(&arguments.data, cache).await?;
    let parts = [
        report::intake(&intake, arguments.connections)?,
        report::rest(&rest)?,
        report::postgres(&on_postgres)?,
        report::storm(&storms)?,
        report::fairness(&fairness)?,
        report::connectors(&channels, &unmeasured)?,
        report::components(&components(Path::new("target/components"))?)?,
    ];
    publish(arguments, &parts)
}

/// Calls as fast as they are answered, each another one.
async fn throughput(
    arguments: &Arguments,
    server: &Server,
    run: &str,
    seconds: u64,
    may_refuse: bool,
) -> Result<Figures> {
    // More than any program here answers in that time.
    let work = usize::try_from(seconds)?.saturating_mul(60_000);
    let work = Arc::new(calls::incoming(run, work)?);
    let figures = load::closed(server.address, work, arguments.connections, Duration::from_secs(seconds)).await?;
    ensure!(may_refuse || figures.failures == 0, "{} calls were not accepted", figures.failures);
    Ok(figures)
}

async fn start_host(arguments: &Arguments, folder: &str) -> Result<Server> {
    start_host_with(arguments, folder, &[], &environment()).await
}

async fn start_host_with(
    arguments: &Arguments,
    folder: &str,
    more: &[&str],
    environment: &[(&'static str, String)],
) -> Result<Server> {
    let data = arguments.data.join(folder);
    let data = data.to_str().context("the data folder's name is not UTF-8")?;
    // Compiled once, at the first start; every server has a database of its own.
    if folder != COLD {
        let (cold, cache) = (arguments.data.join(COLD).join("cache"), arguments.data.join(folder).join("cache"));
        if !cache.exists() {
            std::fs::create_dir_all(&cache)?;
            for file in std::fs::read_dir(&cold)? {
                let file = file?;
                std::fs::hard_link(file.path(), cache.join(file.file_name()))?;
            }
        }
    }
    let mut words = vec!["up", "--json", "--listen", "127.0.0.1:0", "--data", data];
    words.extend_from_slice(more);
    Server::start(&arguments.ventanilla, &words, environment).await
}

fn environment() -> Vec<(&'static str, String)> {
    vec![
        ("SPIN_VARIABLE_TELEPHONY_TWILIO", calls::settings()),
        ("SPIN_VARIABLE_MESSAGING_TWILIO", calls::message_settings()),
        ("SPIN_VARIABLE_API_TOKENS", "{\"bench\":[\"t\"]}".to_owned()),
    ]
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
