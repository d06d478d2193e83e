//! What one tenant's flood does to another tenant on the same two cores.

use std::sync::Arc;

use anyhow::Result;
use bench::figures::{Figures, median};
use bench::{calls, load};

use crate::{Arguments, environment, start_host_with};

/// Calls a second of each tenant on other days.
const RATE: f64 = 20.0;
/// How many times as many the loud one sends.
const TIMES: f64 = 50.0;
/// Seconds of each half of a round.
const SECONDS: usize = 10;

/// Of the quiet tenant.
pub(crate) struct Fairness {
    pub(crate) limit: &'static str,
    /// While the other one sends as much as on other days.
    pub(crate) calm: Figures,
    /// While the other one sends fifty times as much.
    pub(crate) flood: Figures,
    /// p99 in the flood of p99 in the calm, median of the rounds.
    pub(crate) ratio: f64,
    /// What the loud one still gets, calls a second.
    pub(crate) loud: f64,
}

/// Without a rate, where only the tenants' shares hold, and with one of five times what a tenant sends on other days.
pub(crate) async fn measure(arguments: &Arguments) -> Result<Vec<Fairness>> {
    let mut all = Vec::new();
    for (limit, more) in [("shares alone", [].as_slice()), ("--tenant-rate 100", ["--tenant-rate", "100"].as_slice())] {
        eprintln!("two tenants, one of them loud: {limit}");
        let mut found = Fairness { limit, calm: Figures::default(), flood: Figures::default(), ratio: 0.0, loud: 0.0 };
        let mut ratios = Vec::new();
        let server = start_host_with(arguments, &format!("fairness-{}", more.len()), more, &environment()).await?;
        for round in 0..arguments.rounds {
            let mut slow = [0.0; 2];
            for (half, times) in [1.0, TIMES].into_iter().enumerate() {
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
                    found.loud += loud.rate() / arguments.rounds as f64;
                }
            }
            let [calm, flood] = slow;
            ratios.push(flood / calm);
        }
        server.stop().await;
        found.ratio = median(&ratios);
        all.push(found);
    }
    Ok(all)
}
