//! Durable intake on SQLite: our host beside programs that do the same.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bench::calls;
use bench::figures::{Figures, median};
use bench::process::Server;

use crate::{Arguments, environment, start_host, throughput};

/// A program whose intake is measured.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// Calls a second, of each round.
    pub(crate) rates: Vec<f64>,
    pub(crate) figures: Figures,
    pub(crate) peak_mib: f64,
    /// Milliseconds of processor time for a call, of each round. None of Spin, which works in a process of its process.
    costs: Vec<f64>,
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
        Self { name, rates: Vec::new(), figures: Figures::default(), peak_mib: 0.0, costs: Vec::new(), run }
    }

    /// Milliseconds of processor time for a call, as text.
    pub(crate) fn cost(&self) -> String {
        if self.costs.is_empty() { "–".to_owned() } else { format!("{:.2}", median(&self.costs)) }
    }

    async fn start(&self, arguments: &Arguments, folder: &str) -> Result<Server> {
        match &self.run {
            Run::Host => start_host(arguments, folder).await,
            Run::Native => native(arguments, folder).await,
            Run::Node(modules) => node(arguments, modules, folder).await,
            Run::Spin(program) => spin(arguments, program, folder).await,
        }
    }
}

/// Our host first, the native program second, then those that were given.
pub(crate) async fn measure(arguments: &Arguments) -> Result<Vec<Program>> {
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
            let before = server.processor_seconds()?;
            let figures =
                throughput(arguments, &server, &format!("{place}{round}"), arguments.seconds, may_refuse).await?;
            let spent = server.processor_seconds()? - before;
            if !matches!(program.run, Run::Spin(_)) {
                program.costs.push(spent * 1000.0 / figures.latencies.len().max(1) as f64);
            }
            program.rates.push(figures.rate());
            program.figures.absorb(figures);
            program.peak_mib = program.peak_mib.max(server.memory()?.1);
            server.stop().await;
        }
    }
    Ok(programs)
}

async fn native(arguments: &Arguments, folder: &str) -> Result<Server> {
    let data = arguments.data.join(folder);
    let data = data.to_str().context("the data folder's name is not UTF-8")?;
    Server::start(&arguments.native, &[data], &[]).await
}

async fn node(arguments: &Arguments, modules: &Path, folder: &str) -> Result<Server> {
    let data = arguments.data.join(folder);
    std::fs::create_dir_all(&data)?;
    // A module is looked for beside the program that imports it.
    let program = modules.join("intake.mjs");
    std::fs::write(&program, include_str!("../rival/intake.mjs"))?;
    let words = [program.as_os_str(), data.as_os_str(), calls::AUTH_TOKEN.as_ref(), calls::PUBLIC_URL.as_ref()];
    let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    Server::start(Path::new("node"), &words.context("a folder's name is not UTF-8")?, &[]).await
}

async fn spin(arguments: &Arguments, spin: &Path, folder: &str) -> Result<Server> {
    let data = std::path::absolute(arguments.data.join(folder))?;
    std::fs::create_dir_all(&data)?;
    let data = data.to_str().context("the data folder's name is not UTF-8")?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let listen = format!("127.0.0.1:{port}");
    let words = ["up", "--from", "spin.toml", "--listen", &listen, "--state-dir", data, "--quiet"];
    Server::start_silent(spin, &words, &environment(), listen.parse()?).await
}
