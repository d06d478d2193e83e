//! What one tenant's flood does to another tenant on the same two cores.

use std::sync::Arc;

use anyhow::Result;
use bench::figures::Figures;
use bench::{calls, load};

use crate::{Arguments, environment, start_host_with};

/// Calls a second of each tenant on other days.
const RATE: f64 = 20.0;
/// How many times as many the loud one sends.
const TIMES: f64 = 50.0;
/// Seconds of each half of a round.
const SECONDS: usize = 10;
/// Rounds at least: of 200 calls the p99 is the second slowest, which says more about the disk than about the other tenant.
const ROUNDS: usize = 6;

/// Of the quiet tenant.
pub(crate) struct Fairness {
    pub(crate) limit: &'static str,
    /// While the other one sends as much as on other days.
    pub(crate) calm: Figures,
    /// While the other one sends fifty times as much.
    pub(crate) flood: Figures,
    /// p99 in the flood of p99 in the calm, all rounds together.
    pub(crate) ratio: f64,
    /// The same of each round, lowest and highest.
    pub(crate) rounds: (f64, f64),
    /// What the loud one still gets, calls a second.
    pub(crate) loud: f64,
}

/// Without a rate, where only the tenants' shares hold, and with one of five times what a tenant sends on other days.
pub(crate) async fn measure(arguments: &Arguments) -> Result<Vec<Fairness>> {
    let mut all = Vec::new();
    let rounds = arguments.rounds.max(ROUNDS);
    for (limit, more) in [("shares alone", [].as_slice()), ("--tenant-rate 100", ["--tenant-rate", "100"].as_slice())] {
        eprintln!("two tenants, one of them loud: {limit}");
        let mut found = Fairness {
            limit,
            calm: Figures::default(),
            flood: Figures::default(),
            ratio: 0.0,
            rounds: (f64::INFINITY, 0.0),
            loud: 0.0,
        };
        let server = start_host_with(arguments, &format!("fairness-{}", more.len()), more, &environment()).await?;
        for round in 0..rounds {
            let mut slow = [0.0; 2];
            // In turn, so that neither half always has the younger database.
            for half in [round % 2, 1 - round % 2] {
                let times = if half == 0 { 1.0 } else { TIMES };
                let count = SECONDS * RATE as usize;
                let quiet = calls::incoming(&format!("q{half}{round}"), count)?;
                let loud = calls::incoming_of(calls::LOUD, &format!("l{half}{round}"), count * times as usize)?;
                let (quiet, loud) = tokio::try_join!(
                    load::open(server.address, Arc::new(quiet), RATE),
                    load::open(server.address, Arc::new(loud), RATE * times),
                )?;
                slow[half] = quiet.percentile(99.0).as_secs_f64();
                if half == 0 {
                    found.calm.absorb(quiet);
                } else {
                    found.flood.absorb(quiet);
                    found.loud += loud.rate() / rounds as f64;
                }
            }
            let ratio = slow[1] / slow[0];
            found.rounds = (found.rounds.0.min(ratio), found.rounds.1.max(ratio));
        }
        server.stop().await;
        let p99 = |figures: &Figures| figures.percentile(99.0).as_secs_f64();
        found.ratio = p99(&found.flood) / p99(&found.calm);
        all.push(found);
    }
    Ok(all)
}
