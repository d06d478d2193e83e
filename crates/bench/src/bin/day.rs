//! A simulation of the region-wide day: twenty times an ordinary busy hour, within minutes, on measured service times. Its table is
//! part of `docs/sizing.md`, which has the assumptions; `cargo run --release -p bench --bin day` prints it. The same numbers every time.
//!
//! Stations in a row, each first come first served: a core of a pod, a connection of that pod, a core of PostgreSQL, the commit. Pods
//! are added as `infra/kubernetes/components/hpa` and `keda` say.

use std::collections::VecDeque;
use std::fmt::Write as _;

/// Seconds of processor time that one request takes (measured): in the host, and in PostgreSQL.
struct Times {
    host: f64,
    statement: f64,
    /// Connections of a pod.
    connections: usize,
}

const OWN: Times = Times { host: 0.000_82, statement: 0.002_9, connections: 32 };
const SPIN: Times = Times { host: 0.002_7, statement: 0.003_7, connections: 64 };
/// From the end of the statement to a commit that a standby has, too (assumed).
const COMMIT: f64 = 0.005;
/// Webhooks of one contact: a call has about six, a message two (assumed).
const REQUESTS: f64 = 4.0;
/// Cores of one pod, and how long a request waits at most (`components/own-host`, `Limits`).
const CORES: usize = 2;
const LONGEST_WAIT: f64 = 5.0;
/// Cores in use per pod at which another is added; how often that is looked at; how long a pod takes to serve.
const TARGET: f64 = 0.6;
const LOOK: f64 = 15.0;
const START: f64 = 30.0;
/// Seconds for which the most pods wanted is kept, and between two pods taken away.
const CALM: f64 = 600.0;

/// One line of the table.
struct Case {
    name: &'static str,
    /// Contacts in an ordinary busy hour.
    contacts: f64,
    times: Times,
    cores_of_postgres: usize,
    most_pods: usize,
}

const CASES: [Case; 5] = [
    Case { name: "municipality", contacts: 500.0, times: OWN, cores_of_postgres: 2, most_pods: 6 },
    Case { name: "province", contacts: 3_000.0, times: OWN, cores_of_postgres: 8, most_pods: 12 },
    Case { name: "region", contacts: 30_000.0, times: OWN, cores_of_postgres: 8, most_pods: 12 },
    Case { name: "region, on Spin", contacts: 30_000.0, times: SPIN, cores_of_postgres: 8, most_pods: 12 },
    Case { name: "region, PostgreSQL too small", contacts: 30_000.0, times: OWN, cores_of_postgres: 2, most_pods: 12 },
];

/// What came of it.
#[derive(Debug, PartialEq)]
struct Outcome {
    requests: u64,
    refused: u64,
    most_pods: usize,
    most_connections: usize,
    waits: Waits,
    load_of_postgres: f64,
}

/// Waiting for anything, in milliseconds, in the busiest hour.
#[derive(Debug, PartialEq)]
struct Waits {
    p50: f64,
    p99: f64,
    longest: f64,
}

/// Xorshift: numbers that look random and are the same every time.
struct Random(u64);

impl Random {
    /// Between 0 and 1, never 0.
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let number = ((self.0 >> 11) + 1) as f64;
        number / (1_u64 << 53) as f64
    }

    /// Exponential, by von Neumann's comparisons: a logarithm need not be the same to the last bit on every machine.
    fn exponential(&mut self, mean: f64) -> f64 {
        let mut whole = 0.0;
        loop {
            let first = self.uniform();
            let (mut last, mut odd) = (first, true);
            loop {
                let next = self.uniform();
                if next >= last {
                    break;
                }
                (last, odd) = (next, !odd);
            }
            if odd {
                return mean * (whole + first);
            }
            whole += 1.0;
        }
    }

    /// Half of it always, the other half by chance.
    fn around(&mut self, mean: f64) -> f64 {
        mean / 2.0 + self.exponential(mean / 2.0)
    }
}

/// Places that are free again at a time.
struct Places(Vec<f64>);

impl Places {
    fn new(count: usize) -> Self {
        Self(vec![0.0; count])
    }

    /// The place that is free first, and when.
    fn first(&self) -> (usize, f64) {
        let mut best = (0, f64::INFINITY);
        for (index, free) in self.0.iter().enumerate() {
            if *free < best.1 {
                best = (index, *free);
            }
        }
        best
    }

    fn take(&mut self, place: usize, until: f64) {
        if let Some(free) = self.0.get_mut(place) {
            *free = until;
        }
    }

    fn busy(&self, now: f64) -> usize {
        self.0.iter().filter(|free| **free > now).count()
    }
}

struct Pod {
    serves_from: f64,
    cores: Places,
    connections: Places,
}

/// How many times an ordinary hour, at a second of the simulation: half an hour as ever, ten minutes of growth, an hour, half an hour less.
fn factor(second: f64) -> f64 {
    match second {
        s if s < 1_800.0 => 1.0,
        s if s < 2_400.0 => 1.0 + 19.0 * (s - 1_800.0) / 600.0,
        s if s < 6_000.0 => 20.0,
        s => 1.0 + 19.0 * ((7_800.0 - s) / 1_800.0).max(0.0),
    }
}

fn simulate(case: &Case) -> Outcome {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let pod =
        |serves_from| Pod { serves_from, cores: Places::new(CORES), connections: Places::new(case.times.connections) };
    let mut pods = vec![pod(0.0), pod(0.0)];
    let mut postgres = Places::new(case.cores_of_postgres);
    let mut wanted: VecDeque<(f64, usize)> = VecDeque::new();
    let (mut requests, mut refused, mut most_pods, mut most_connections) = (0, 0, 2, 0);
    let (mut used, mut of_postgres, mut next_look, mut last_less) = (0.0, 0.0, LOOK, 0.0);
    let mut waits = Vec::new();
    let mut now = 0.0;
    let mut turn = 0_usize;
    let ordinary = case.contacts * REQUESTS / 3_600.0;
    loop {
        now += random.exponential(1.0 / (ordinary * factor(now)));
        if now >= 7_800.0 {
            break;
        }
        while now >= next_look {
            scale(&mut pods, &mut wanted, next_look, used / LOOK, case.most_pods, &mut last_less, &pod);
            used = 0.0;
            most_pods = most_pods.max(pods.len());
            let held: usize = pods.iter().map(|pod| pod.connections.busy(next_look)).sum();
            most_connections = most_connections.max(held);
            next_look += LOOK;
        }
        requests += 1;
        // The service gives each pod that serves its turn.
        let serving = pods.iter().filter(|pod| pod.serves_from <= now).count().max(1);
        turn = (turn + 1) % serving;
        let Some(pod) = pods.iter_mut().filter(|pod| pod.serves_from <= now).nth(turn) else { continue };
        let (core, free) = pod.cores.first();
        let (place, connected) = pod.connections.first();
        let (core_of_postgres, free_of_postgres) = postgres.first();
        let begun = now.max(free);
        let translated = begun + random.around(case.times.host);
        let connected = translated.max(connected);
        let executed = connected.max(free_of_postgres);
        let waited = (begun - now) + (executed - translated);
        let in_the_hour = (2_400.0..6_000.0).contains(&now);
        if waited > LONGEST_WAIT {
            refused += 1;
            continue;
        }
        let statement = random.around(case.times.statement);
        pod.cores.take(core, translated);
        postgres.take(core_of_postgres, executed + statement);
        pod.connections.take(place, executed + statement + random.around(COMMIT));
        used += case.times.host;
        if in_the_hour {
            of_postgres += statement;
            waits.push(waited * 1_000.0);
        }
    }
    waits.sort_by(f64::total_cmp);
    let rank = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank"
        )]
        let index = (waits.len() as f64 * share) as usize;
        waits.get(index.min(waits.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    #[expect(clippy::cast_precision_loss, reason = "a handful of cores")]
    let load_of_postgres = of_postgres / 3_600.0 / case.cores_of_postgres as f64;
    let waits = Waits { p50: rank(0.5), p99: rank(0.99), longest: rank(1.0) };
    Outcome { requests, refused, most_pods, most_connections, waits, load_of_postgres }
}

/// What the autoscaler does: up at once, twice as many or four more; down by one a minute, and not below what was wanted in ten minutes.
fn scale(
    pods: &mut Vec<Pod>,
    wanted: &mut VecDeque<(f64, usize)>,
    now: f64,
    cores_used: f64,
    most: usize,
    last_less: &mut f64,
    pod: &dyn Fn(f64) -> Pod,
) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a handful of pods")]
    let desired = ((cores_used / TARGET).ceil() as usize).clamp(2, most);
    wanted.push_back((now, desired));
    while wanted.front().is_some_and(|(then, _)| *then < now - CALM) {
        wanted.pop_front();
    }
    let at_most = (pods.len() * 2).max(pods.len() + 4);
    while pods.len() < desired.min(at_most) {
        pods.push(pod(now + START));
    }
    let needed = wanted.iter().map(|(_, count)| *count).max().unwrap_or(2);
    if pods.len() > needed && now - *last_less >= 60.0 {
        pods.pop();
        *last_less = now;
    }
}

fn table() -> String {
    let mut text = String::from(
        "| | contacts in the busy hour | requests/s at ×20 | pods | connections in use, most | PostgreSQL | waiting p50, p99, longest | told to come again |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for case in &CASES {
        let outcome = simulate(case);
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.0} | {} of {} | {} of {} | {} cores, {:.0} % busy | {:.1}, {:.1}, {:.0} ms | {} of {} |",
            case.name,
            case.contacts,
            case.contacts * REQUESTS * 20.0 / 3_600.0,
            outcome.most_pods,
            case.most_pods,
            outcome.most_connections,
            outcome.most_pods * case.times.connections,
            case.cores_of_postgres,
            outcome.load_of_postgres * 100.0,
            outcome.waits.p50,
            outcome.waits.p99,
            outcome.waits.longest,
            outcome.refused,
            outcome.requests,
        );
    }
    text
}

fn main() {
    print!("{}", table());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_sizing_guide_is_what_the_simulation_gives() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sizing.md");
        let page = std::fs::read_to_string(page).expect("docs/sizing.md");
        assert!(page.contains(&table()), "docs/sizing.md is stale; its table is:\n{}", table());
    }

    #[test]
    fn it_is_the_same_every_time_and_more_contacts_never_wait_less() {
        let [municipality, _, region, ..] = CASES;
        assert_eq!(simulate(&municipality), simulate(&municipality));
        assert!(simulate(&municipality).waits.p99 <= simulate(&region).waits.p99);
    }

    #[test]
    fn a_station_that_has_too_little_refuses_what_waits_too_long() {
        let outcome = simulate(&Case { name: "", contacts: 30_000.0, times: OWN, cores_of_postgres: 1, most_pods: 12 });
        assert!(outcome.refused > 0 && outcome.waits.longest <= LONGEST_WAIT * 1_000.0, "{outcome:?}");
        assert!(outcome.load_of_postgres > 0.98, "{outcome:?}");
    }
}
