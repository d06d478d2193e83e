//! Durable intake on PostgreSQL: our host beside a native program with the same SQL, on the same server.

use anyhow::{Context as _, Result};
use bench::figures::{Figures, median};
use bench::postgres;
use bench::process::{self, Server};

use crate::{Arguments, environment, start_host_with, throughput};

/// One program's turns.
pub(crate) struct Turns {
    pub(crate) name: &'static str,
    /// Calls a second, of each round.
    pub(crate) rates: Vec<f64>,
    pub(crate) figures: Figures,
    pub(crate) peak_mib: f64,
    /// Milliseconds of processor time for a call, of each round.
    own: Vec<f64>,
    database: Vec<f64>,
    generator: Vec<f64>,
}

impl Turns {
    fn new(name: &'static str) -> Self {
        let (figures, empty) = (Figures::default(), Vec::new);
        Self { name, rates: empty(), figures, peak_mib: 0.0, own: empty(), database: empty(), generator: empty() }
    }

    /// Milliseconds of processor time for a call: the program's, PostgreSQL's, the load generator's.
    pub(crate) fn costs(&self) -> [f64; 3] {
        [&self.own, &self.database, &self.generator].map(|values| median(values))
    }
}

/// What a component needs to find its database.
pub(crate) fn variables(server: &postgres::Server, address: &str) -> Vec<(&'static str, String)> {
    let mut all = environment();
    all.push(("SPIN_VARIABLE_POSTGRES_URL", address.to_owned()));
    all.push(("SPIN_VARIABLE_POSTGRES_HOST", server.host()));
    all
}

/// Our host on this database.
pub(crate) async fn start_host(
    arguments: &Arguments,
    server: &postgres::Server,
    address: &str,
    folder: &str,
) -> Result<Server> {
    start_host_with(arguments, folder, &["--profile", "postgres"], &variables(server, address)).await
}

/// Our host first, the native program second, a new database for every turn.
pub(crate) async fn measure(arguments: &Arguments, server: &mut postgres::Server) -> Result<[Turns; 2]> {
    let mut all = [Turns::new("our host, PostgreSQL"), Turns::new("native program (axum, tokio-postgres)")];
    for round in 0..arguments.rounds {
        for (place, turns) in all.iter_mut().enumerate() {
            eprintln!("intake on PostgreSQL, round {} of {}: {}", round + 1, arguments.rounds, turns.name);
            let address = server.database().await?;
            let program = if place == 0 {
                start_host(arguments, server, &address, &format!("postgres-{round}")).await?
            } else {
                Server::start(&arguments.native, &[&address], &[]).await.context("the native program")?
            };
            let spent = |program: &Server| -> Result<[f64; 3]> {
                let generator = process::processor_seconds(std::process::id(), false)?;
                Ok([program.processor_seconds()?, server.processor_seconds()?, generator])
            };
            // The warm-up opens the pool's connections and has their plans made; it is in no figure.
            let warm = throughput(arguments, &program, &format!("w{place}{round}"), 1, false).await?;
            drop(warm);
            let before = spent(&program)?;
            let figures = throughput(arguments, &program, &format!("{place}{round}"), arguments.seconds, false).await?;
            let after = spent(&program)?;
            let count = figures.latencies.len().max(1) as f64;
            for (into, (before, after)) in [&mut turns.own, &mut turns.database, &mut turns.generator]
                .into_iter()
                .zip(before.into_iter().zip(after))
            {
                into.push((after - before) * 1000.0 / count);
            }
            turns.rates.push(figures.rate());
            turns.figures.absorb(figures);
            turns.peak_mib = turns.peak_mib.max(program.memory()?.1);
            program.stop().await;
        }
    }
    Ok(all)
}
