//! The results as a page.

use std::fmt::Write as _;

use anyhow::Result;
use bench::figures::{Figures, millis};

/// Everything measured in one run.
pub(crate) struct Results {
    pub(crate) ratio: f64,
    pub(crate) host_rate: f64,
    pub(crate) native_rate: f64,
    pub(crate) host: Figures,
    pub(crate) native: Figures,
    pub(crate) voice: Figures,
    pub(crate) other: Figures,
    pub(crate) start: f64,
    pub(crate) idle_mib: f64,
    pub(crate) storm_mib: f64,
    pub(crate) components: Vec<(String, u64)>,
    pub(crate) connections: usize,
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
         The native program is axum with the same crates for signatures, translation, SQL and group commit.\n\n",
    );
    let (machine, date) = (machine(), date());
    writeln!(page, "Machine: {machine}. Date: {date}. Closed loop with {} kept connections.\n", results.connections)?;
    writeln!(page, "| intake, durable | calls/s | p50 ms | p99 ms |\n|---|---|---|---|")?;
    for (name, rate, figures) in
        [("our host", results.host_rate, &results.host), ("native program", results.native_rate, &results.native)]
    {
        let (median, slow) = (millis(figures.percentile(50.0)), millis(figures.percentile(99.0)));
        writeln!(page, "| {name} | {rate:.0} | {median} | {slow} |")?;
    }
    writeln!(page, "\n| budget | wanted | measured | |\n|---|---|---|---|")?;
    let voice = results.voice.percentile(99.0).as_secs_f64() * 1000.0;
    for (what, wanted, measured, met) in [
        ("intake throughput, of the native program's", "≥ 0.5", format!("{:.2}", results.ratio), results.ratio >= 0.5),
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
        ("memory, idle", "< 80 MiB", format!("{:.0} MiB", results.idle_mib), results.idle_mib < 80.0),
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
        "\nStorm: {} voice answers (p50 {} ms), {} others (p50 {} ms, p99 {} ms); not accepted: {}.\n",
        results.voice.latencies.len(),
        millis(results.voice.percentile(50.0)),
        results.other.latencies.len(),
        millis(results.other.percentile(50.0)),
        millis(results.other.percentile(99.0)),
        results.voice.failures + results.other.failures,
    )?;
    writeln!(page, "| component | KiB |\n|---|---|")?;
    for (name, bytes) in &results.components {
        writeln!(page, "| {name} | {:.0} |", *bytes as f64 / 1024.0)?;
    }
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
