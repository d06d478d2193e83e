//! The results as a page.

use std::fmt::Write as _;

use anyhow::Result;
use bench::figures::{Figures, median, millis};

use crate::channels::Channel;
use crate::fairness::Fairness;

/// Everything measured in one run.
pub(crate) struct Results {
    /// Our host first, the native program second.
    pub(crate) programs: Vec<Row>,
    pub(crate) voice: Figures,
    pub(crate) other: Figures,
    pub(crate) start: f64,
    /// Microseconds.
    pub(crate) instance: f64,
    pub(crate) idle_mib: f64,
    /// Without mapped files.
    pub(crate) idle_own_mib: f64,
    pub(crate) storm_mib: f64,
    pub(crate) components: Vec<(String, u64)>,
    pub(crate) connections: usize,
    pub(crate) fairness: Vec<Fairness>,
    pub(crate) channels: Vec<Channel>,
    /// Connectors whose tests have no request to deliver.
    pub(crate) unmeasured: Vec<String>,
}

/// One program's intake.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) rate: f64,
    /// Of each round.
    pub(crate) rates: Vec<f64>,
    pub(crate) figures: Figures,
    pub(crate) peak_mib: f64,
}

impl Row {
    /// How much of another's rate this one has: the median over rounds, each of which had both.
    fn ratio(&self, other: &Self) -> f64 {
        median(&self.rates.iter().zip(&other.rates).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
    }
}

/// The page.
///
/// # Errors
///
/// None in practice: writing to a string.
pub(crate) fn markdown(results: &Results) -> Result<String> {
    let mut page = String::from(
        "# Performance\n\nWritten by `cargo xtask bench`. Programs under test run in turn, in one run, on one machine; the ratio is what \
         counts. Every call is signed, verified, translated, stored with `fsync` and answered with its reference. \
         The native program is axum with the same crates for signatures, translation, SQL and group commit. The Node program uses \
         the provider's SDK and commits the calls that wait together, too.\n\n",
    );
    let (machine, date) = (machine(), date());
    writeln!(page, "Machine: {machine}. Date: {date}. Closed loop with {} kept connections.\n", results.connections)?;
    writeln!(
        page,
        "| intake, durable | calls/s | p50 ms | p99 ms | refused | highest memory MiB |\n|---|---|---|---|---|---|"
    )?;
    for Row { name, rate, figures, peak_mib, .. } in &results.programs {
        let (median, slow) = (millis(figures.percentile(50.0)), millis(figures.percentile(99.0)));
        writeln!(page, "| {name} | {rate:.0} | {median} | {slow} | {} | {peak_mib:.0} |", figures.failures)?;
    }
    writeln!(page, "\n| budget | wanted | measured | |\n|---|---|---|---|")?;
    let voice = results.voice.percentile(99.0).as_secs_f64() * 1000.0;
    if let Some((ours, rivals)) = results.programs.split_first() {
        for (rival, wanted) in rivals.iter().zip([0.5, 2.0, 2.0]) {
            let ratio = ours.ratio(rival);
            let met = if ratio >= wanted { "met" } else { "**missed**" };
            writeln!(page, "| intake throughput, of: {} | ≥ {wanted} | {ratio:.2} | {met} |", rival.name)?;
        }
    }
    for (what, wanted, measured, met) in [
        (
            "start of an instance: gateway, connector and store composed, p50",
            "< 150 µs",
            format!("{:.0} µs", results.instance),
            results.instance < 150.0,
        ),
        (
            "p99 of a voice answer in the storm (80 voice + 100 messages a second)",
            "< 50 ms",
            format!("{voice:.2} ms"),
            voice < 50.0,
        ),
        (
            "process start, warm cache, to the first accepted call",
            "< 100 ms",
            format!("{:.0} ms", results.start),
            results.start < 100.0,
        ),
        (
            "memory, idle",
            "< 80 MiB",
            format!("{:.0} MiB, {:.0} of them not mapped files", results.idle_mib, results.idle_own_mib),
            results.idle_mib < 80.0,
        ),
        (
            "memory, highest in the storm",
            "< 150 MiB",
            format!("{:.0} MiB", results.storm_mib),
            results.storm_mib < 150.0,
        ),
    ] {
        writeln!(page, "| {what} | {wanted} | {measured} | {} |", if met { "met" } else { "**missed**" })?;
    }
    writeln!(
        page,
        "\nWhy not twice the Node program: compare the native program with it, which has our SQL and no sandbox. An intake here writes \
         more (ledger, handles, contacts with names, lists in several orders, the whole event) and answers from what it wrote; what our host \
         then loses to the native program is the sandbox: HTTP in WebAssembly, and request and profile copied into the connector three \
         times. The memory of Spin is that of its first process alone."
    )?;
    writeln!(
        page,
        "\nNot measured by this program: a cold `cargo xtask up` on two cores, wanted in less than 12 minutes. In the tests' cold run of 22 November 2026, \
         beside other builds, components and program took 14.6 minutes of 38; most of it is the WebAssembly engine and its compiler, optimised as \
         the program needs them."
    )?;
    writeln!(
        page,
        "\nStorm: {} voice answers (p50 {} ms), {} others (p50 {} ms, p99 {} ms); not accepted: {}.\n",
        results.voice.latencies.len(),
        millis(results.voice.percentile(50.0)),
        results.other.latencies.len(),
        millis(results.other.percentile(50.0)),
        millis(results.other.percentile(99.0)),
        results.voice.failures + results.other.failures,
    )?;
    page.push_str(&fairness(&results.fairness)?);
    channels(&mut page, &results.channels, &results.unmeasured)?;
    writeln!(page, "| component | KiB |\n|---|---|")?;
    for (name, bytes) in &results.components {
        writeln!(page, "| {name} | {:.0} |", *bytes as f64 / 1024.0)?;
    }
    Ok(page)
}

/// What a tenant feels of another's flood.
pub(crate) fn fairness(all: &[Fairness]) -> Result<String> {
    let mut page = String::from(
        "## Tenants\n\nTwo tenants with 20 calls a second each; then one of them sends fifty times as many. The other one's answers, \
         by what limits the loud one:\n\n\
         | limit | calm p50 ms | calm p99 ms | flood p50 ms | flood p99 ms | p99, flood of calm | not accepted | of the loud one: accepted/s |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for one in all {
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {:.2} | {} | {:.0} |",
            one.limit,
            millis(one.calm.percentile(50.0)),
            millis(one.calm.percentile(99.0)),
            millis(one.flood.percentile(50.0)),
            millis(one.flood.percentile(99.0)),
            one.ratio,
            one.calm.failures + one.flood.failures,
            one.loud,
        )?;
    }
    page.push_str(
        "\nWanted: that the quiet tenant's p99 changes by less than a tenth (1.1). Shares alone do not reach it on two cores that the load \
         generator shares: nobody waits for a place, but for the processor. A rate does, as far as it keeps the loud one near its usual load.\n\n",
    );
    Ok(page)
}

/// One line per connector.
fn channels(page: &mut String, channels: &[Channel], unmeasured: &[String]) -> Result<()> {
    writeln!(
        page,
        "## Connectors\n\nEach connector's own test requests, as its provider signs them, for many tenants, 16 at a time, through gateway, \
         connector and store in our host, without a network. Requests differ in size and in how many events they give, so lines are not \
         comparable with each other, only with an earlier run.\n"
    )?;
    writeln!(
        page,
        "| connector | different requests | requests/s | events/s | p50 ms | p99 ms | start of an instance µs | KiB |\n|---|---|---|---|---|---|---|---|"
    )?;
    for channel in channels {
        let figures = &channel.figures;
        writeln!(
            page,
            "| {}{} | {} | {:.0} | {:.0} | {} | {} | {:.0} | {:.0} |",
            channel.name,
            if channel.fetches { " (fetches)" } else { "" },
            channel.requests,
            figures.rate(),
            channel.events as f64 / figures.elapsed.as_secs_f64().max(f64::MIN_POSITIVE),
            millis(figures.percentile(50.0)),
            millis(figures.percentile(99.0)),
            channel.start,
            channel.bytes as f64 / 1024.0,
        )?;
    }
    if channels.iter().any(|channel| channel.fetches) {
        writeln!(
            page,
            "\n(fetches): each request has the sender's key fetched first, from a server that the benchmark plays in the same process, and is verified \
             with it; both are in the figures."
        )?;
    }
    if !unmeasured.is_empty() {
        writeln!(page, "\nNot measured, because their tests have no request to deliver: {}.", unmeasured.join(", "))?;
    }
    writeln!(page)?;
    Ok(())
}

/// The connectors' table alone.
pub(crate) fn connectors(measured: &[Channel], unmeasured: &[String]) -> Result<String> {
    let mut page = String::new();
    channels(&mut page, measured, unmeasured)?;
    Ok(page)
}

/// Processor and cores, without anything that names the machine.
fn machine() -> String {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores} cores, {}", model.unwrap_or("processor unknown"))
}

fn date() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(now.as_millis()).unwrap_or_default();
    channel_sdk::json::format_instant(millis).chars().take(10).collect()
}
