//! Measures the budgets of the design beside a native program that does the same work, and writes `docs/performance.md`.

mod channels;
mod fairness;
mod growth;
mod on_postgres;
mod plot;
mod report;
mod storm;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench::figures::{Figures, median};
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

/// A program whose intake is measured.
struct Program {
    name: &'static str,
    rates: Vec<f64>,
    all: Figures,
    peak_mib: f64,
    run: Run,
}

/// How it is started.
enum Run {
    Host,
    Native,
    Node(PathBuf),
    Spin(PathBuf),
}

impl Program {
    fn new(name: &'static str, run: Run) -> Self {
        Self { name, rates: Vec::new(), all: Figures::default(), peak_mib: 0.0, run }
    }

    async fn start(&self, arguments: &Arguments, folder: &str) -> Result<Server> {
        match &self.run {
            Run::Host => start_host(arguments, folder).await,
            Run::Native => start_native(arguments, folder).await,
            Run::Node(modules) => start_node(arguments, modules, folder).await,
            Run::Spin(spin) => start_spin(arguments, spin, folder).await,
        }
    }
}

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
        return publish(&arguments, None, &[part]);
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
        Some(Part::Postgres) => report::postgres(&on_postgres::measure(&arguments, &mut server).await?)?,
        Some(Part::Storm) => report::storm(&storm::measure(&arguments, &mut server).await?)?,
        Some(Part::Growth) => return Ok(()),
        Some(Part::Tenants) => report::fairness(&fairness::measure(&arguments).await?)?,
        Some(Part::Connectors) => {
            let (channels, unmeasured) = channels::measure(&arguments.data, &cache).await?;
            report::connectors(&channels, &unmeasured)?
        }
    };
    publish(&arguments, None, &[part])
}

/// Replaces parts of the page, and with `head` what stands before them.
fn publish(arguments: &Arguments, head: Option<String>, parts: &[String]) -> Result<()> {
    let output = &arguments.output;
    let standard = output == Path::new("-");
    let page = if standard { String::new() } else { std::fs::read_to_string(output).unwrap_or_default() };
    let text = report::page(&page, head, parts);
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
    let mut starts = Vec::new();
    for round in 0..5 {
        starts.push(first_call(arguments, round).await?);
    }
    let server = start_host(arguments, "idle").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ((idle, _), idle_own) = (server.memory()?, server.own_memory()?);
    server.stop().await;
    let instance = instance_start(arguments).await?;

    let mut programs =
        vec![Program::new("our host", Run::Host), Program::new("native program (axum, rusqlite)", Run::Native)];
    programs.extend(
        arguments.node.clone().map(|modules| Program::new("Node, official SDK, better-sqlite3", Run::Node(modules))),
    );
    programs.extend(arguments.spin.clone().map(|spin| Program::new("the same components on Spin", Run::Spin(spin))));
    for round in 0..arguments.rounds {
        for (place, program) in programs.iter_mut().enumerate() {
            eprintln!("intake, round {} of {}: {}", round + 1, arguments.rounds, program.name);
            let server = program.start(arguments, &format!("intake-{place}-{round}")).await?;
            // Spin's SQLite makes writers wait for one another, and refuses who waited too long: its provider would come again.
            let may_refuse = matches!(program.run, Run::Spin(_));
            throughput(arguments, &server, &format!("w{place}{round}"), 1, may_refuse).await?;
            let figures =
                throughput(arguments, &server, &format!("{place}{round}"), arguments.seconds, may_refuse).await?;
            program.rates.push(figures.rate());
            program.all.absorb(figures);
            program.peak_mib = program.peak_mib.max(server.memory()?.1);
            server.stop().await;
        }
    }
    let fairness = fairness::measure(arguments).await?;
    let (channels, unmeasured) = channels::measure(&arguments.data, cache).await?;
    let results = report::Results {
        programs: programs
            .into_iter()
            .map(|program| report::Row {
                name: program.name,
                rate: median(&program.rates),
                rates: program.rates,
                figures: program.all,
                peak_mib: program.peak_mib,
            })
            .collect(),
        storm: storms.first(),
        start: median(&starts),
        instance,
        idle_mib: idle,
        idle_own_mib: idle_own,
        components: components(Path::new("target/components"))?,
        connections: arguments.connections,
    };
    let parts = [
        report::postgres(&on_postgres)?,
        report::storm(&storms)?,
        report::fairness(&fairness)?,
        report::connectors(&channels, &unmeasured)?,
        report::components(&results.components)?,
    ];
    publish(arguments, Some(report::head(&results)?), &parts)
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

async fn start_native(arguments: &Arguments, folder: &str) -> Result<Server> {
    let data = arguments.data.join(folder);
    let data = data.to_str().context("the data folder's name is not UTF-8")?;
    Server::start(&arguments.native, &[data], &[]).await
}

async fn start_node(arguments: &Arguments, modules: &Path, folder: &str) -> Result<Server> {
    let data = arguments.data.join(folder);
    std::fs::create_dir_all(&data)?;
    // A module is looked for beside the program that imports it.
    let program = modules.join("intake.mjs");
    std::fs::write(&program, include_str!("../rival/intake.mjs"))?;
    let words = [program.as_os_str(), data.as_os_str(), calls::AUTH_TOKEN.as_ref(), calls::PUBLIC_URL.as_ref()];
    let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    Server::start(Path::new("node"), &words.context("a folder's name is not UTF-8")?, &[]).await
}

async fn start_spin(arguments: &Arguments, spin: &Path, folder: &str) -> Result<Server> {
    let data = std::path::absolute(arguments.data.join(folder))?;
    std::fs::create_dir_all(&data)?;
    let data = data.to_str().context("the data folder's name is not UTF-8")?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let listen = format!("127.0.0.1:{port}");
    let words = ["up", "--from", "spin.toml", "--listen", &listen, "--state-dir", data, "--quiet"];
    Server::start_silent(spin, &words, &environment(), listen.parse()?).await
}

fn environment() -> Vec<(&'static str, String)> {
    vec![
        ("SPIN_VARIABLE_TELEPHONY_TWILIO", calls::settings()),
        ("SPIN_VARIABLE_MESSAGING_TWILIO", calls::message_settings()),
        ("SPIN_VARIABLE_API_TOKENS", "{\"bench\":[\"t\"]}".to_owned()),
    ]
}

/// The median time a new instance of gateway, connector and store, composed, takes to start, in microseconds.
async fn instance_start(arguments: &Arguments) -> Result<f64> {
    eprintln!("start of an instance");
    let mut options = ventanilla_host::Options::new("spin.toml");
    options.data_dir = arguments.data.join("instances");
    options.cache_dir = Some(arguments.data.join(COLD).join("cache"));
    let host = tokio::task::spawn_blocking(move || ventanilla_host::Host::load(options)).await??;
    let mut times = Vec::new();
    for _ in 0..2_000 {
        times.push(host.time_to_start("telephony-twilio").await?.as_secs_f64() * 1e6);
    }
    host.close().await;
    Ok(median(&times))
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
