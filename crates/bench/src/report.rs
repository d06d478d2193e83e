//! The results as a page.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use bench::figures::{Figures, median, millis};

use crate::channels::Channel;
use crate::fairness::Fairness;
use crate::intake::Program;
use crate::on_postgres::Turns;
use crate::rest::Rest;
use crate::storm::Storm;

/// What stands before the parts.
const HEAD: &str = "# Performance\n\n\
    Written by `cargo xtask bench`; `cargo xtask bench -- --only storm` (`intake`, `rest`, `postgres`, `growth`, `tenants`, `connectors`) writes one part anew; \
    growth takes most of an hour and is measured only so. Programs under test run in turn, in one run, on one machine; the ratio is what counts. Every call is \
    signed, verified, translated, stored with `fsync` and answered with its reference.\n\n\
    Not measured by this program: a cold `cargo xtask up` on two cores, wanted in less than 12 minutes; newcomers' of 22 November 2026 served after 15.5 and 14.9, and on a machine of half that speed after 19.6. Most of \
    it is the WebAssembly engine and its compiler, optimised as the program needs them.";

/// Parts of the page, in its order.
const PARTS: [&str; 8] =
    ["Intake", "Start and rest", "PostgreSQL", "Storm", "Growth", "Tenants", "Connectors", "Components"];

/// The page with some parts put in the place of those it has.
pub(crate) fn page(old: &str, parts: &[String]) -> String {
    let kept: Vec<String> = old.split("\n## ").skip(1).map(|part| format!("## {part}")).collect();
    let mut page = HEAD.to_owned();
    for name in PARTS {
        let is_it = |part: &&String| part.lines().next() == Some(&format!("## {name}"));
        if let Some(part) = parts.iter().find(is_it).or_else(|| kept.iter().find(is_it)) {
            page.push_str("\n\n");
            page.push_str(part.trim_end());
        }
    }
    page.push('\n');
    page
}

/// The table of budgets: what, wanted, measured, whether it is met.
fn budgets(page: &mut String, rows: &[(String, &str, String, bool)]) -> Result<()> {
    writeln!(page, "\n| budget | wanted | measured | |\n|---|---|---|---|")?;
    for (what, wanted, measured, met) in rows {
        writeln!(page, "| {what} | {wanted} | {measured} | {} |", if *met { "met" } else { "**missed**" })?;
    }
    Ok(())
}

/// `0.52`, the median over rounds, each of which had both.
fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(&ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
}

/// Where and when a part was measured: each can be measured alone.
pub(crate) fn measured() -> String {
    format!("Measured {} on {}.", date(), machine())
}

/// Intake on SQLite, our host first.
pub(crate) fn intake(programs: &[Program], connections: usize) -> Result<String> {
    let mut page = format!(
        "## Intake\n\n{} On SQLite, a closed loop with {connections} kept connections. The native program is axum with the same crates for signatures, \
         translation, SQL and group commit. The Node program uses the provider's SDK and commits the calls that wait together, too. The load generator shares the \
         cores. The memory of Spin is that of its first process alone.\n\n\
         | intake, durable | calls/s | p50 ms | p99 ms | refused | processor ms a call | highest memory MiB |\n|---|---|---|---|---|---|---|\n",
        measured(),
    );
    for program in programs {
        let figures = &program.figures;
        writeln!(
            page,
            "| {} | {:.0} | {} | {} | {} | {} | {:.0} |",
            program.name,
            median(&program.rates),
            millis(figures.percentile(50.0)),
            millis(figures.percentile(99.0)),
            figures.failures,
            program.cost(),
            program.peak_mib,
        )?;
    }
    let Some((ours, rivals)) = programs.split_first() else { return Ok(page) };
    let rows: Vec<_> = rivals
        .iter()
        .map(|rival| {
            let wanted = if rival.name.starts_with("native") { 0.5 } else { 2.0 };
            let ratio = ratio(&ours.rates, &rival.rates);
            let wants = if wanted < 1.0 { "≥ 0.5" } else { "≥ 2" };
            (format!("intake throughput, of: {}", rival.name), wants, format!("{ratio:.2}"), ratio >= wanted)
        })
        .collect();
    budgets(&mut page, &rows)?;
    writeln!(
        page,
        "\nWhy not twice the Node program: compare the native program with it, which has our SQL and no sandbox. An intake here writes \
         more (ledger, handles, contacts with names, lists in several orders, an index of words, the whole event) and answers from what it wrote; what our host \
         then loses to the native program is the sandbox: HTTP in WebAssembly, and request and profile copied into the connector three times."
    )?;
    Ok(page)
}

/// How soon it starts and what it takes.
pub(crate) fn rest(rest: &Rest) -> Result<String> {
    let mut page = format!("## Start and rest\n\n{}\n", measured());
    budgets(
        &mut page,
        &[
            (
                "start of an instance: gateway, connector and store composed, p50".into(),
                "< 150 µs",
                format!("{:.0} µs", rest.instance),
                rest.instance < 150.0,
            ),
            (
                "process start, warm cache, to the first accepted call".into(),
                "< 100 ms",
                format!("{:.0} ms", rest.start),
                rest.start < 100.0,
            ),
            (
                "memory, idle".into(),
                "< 80 MiB",
                format!("{:.0} MiB, {:.0} of them not mapped files", rest.mib, rest.own_mib),
                rest.mib < 80.0,
            ),
        ],
    )?;
    // Seen in smaps (FilePmdMapped) on Linux 6.18 with ext4.
    writeln!(
        page,
        "\nMapped files are the program and the compiled components. Where Linux keeps a file in pieces of 2 MiB it maps the whole piece when a page of it is \
         used: that is memory of its page cache, which it takes back when it needs it."
    )?;
    Ok(page)
}

/// Size of every component.
pub(crate) fn components(sizes: &[(String, u64)]) -> Result<String> {
    let mut page = String::from("## Components\n\n| component | KiB |\n|---|---|\n");
    for (name, bytes) in sizes {
        writeln!(page, "| {name} | {:.0} |", *bytes as f64 / 1024.0)?;
    }
    Ok(page)
}

/// Intake on PostgreSQL.
pub(crate) fn postgres([ours, native]: &[Turns; 2]) -> Result<String> {
    let mut page = format!(
        "## PostgreSQL\n\n{} The same calls, the same SQL, 32 connections each, on one PostgreSQL server with its own defaults for what is durable \
         (`fsync`, `synchronous_commit`), a new database for every turn. PostgreSQL and the load generator share the cores with the program under test.\n\n\
         | intake, durable | calls/s | p50 ms | p99 ms | processor ms a call: program | PostgreSQL | load generator | highest memory MiB |\n\
         |---|---|---|---|---|---|---|---|\n",
        measured(),
    );
    for turns in [ours, native] {
        let (figures, [own, database, generator]) = (&turns.figures, turns.costs());
        writeln!(
            page,
            "| {} | {:.0} | {} | {} | {own:.2} | {database:.2} | {generator:.2} | {:.0} |",
            turns.name,
            median(&turns.rates),
            millis(figures.percentile(50.0)),
            millis(figures.percentile(99.0)),
            turns.peak_mib,
        )?;
    }
    let ratio = ratio(&ours.rates, &native.rates);
    let [[own, database, _], [native_own, native_database, _]] = [ours.costs(), native.costs()];
    budgets(
        &mut page,
        &[(format!("intake throughput, of: {}", native.name), "≥ 0.5", format!("{ratio:.2}"), ratio >= 0.5)],
    )?;
    writeln!(
        page,
        "\nWhat a call costs more here than there: {:.2} ms in our program (the sandbox), {:.2} ms in PostgreSQL (a connection is cleaned before anybody else \
         gets it). The limit of both is PostgreSQL's processor time.",
        own - native_own,
        database - native_database,
    )?;
    Ok(page)
}

/// The storm, step by step.
pub(crate) fn storm(storms: &[Storm]) -> Result<String> {
    let mut page = format!(
        "## Storm\n\n{} ×1 is 80 voice webhooks and 100 text messages a second, each a new call or a new sender, sent when they are due whether or not earlier ones have been \
         answered; latency counts from when they were due. *Told to come again*: 429 or 503 with `Retry-After`; *heard*: of the refused calls those that \
         got a document in the provider's words. The load generator, and PostgreSQL, share the cores.\n\n\
         | store | | voice/s accepted | told to come again | heard | p50 ms | p99 ms | messages/s accepted | told to come again | p99 ms | anything else |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
        measured(),
    );
    for storm in storms {
        for step in &storm.steps {
            let (voice, messages) = (&step.voice, &step.messages);
            let other = voice.failures + messages.failures - voice.refused - messages.refused;
            writeln!(
                page,
                "| {} | ×{} | {:.0} | {} | {} | {} | {} | {:.0} | {} | {} | {other} |",
                storm.store,
                step.times,
                voice.rate(),
                share(voice.refused, voice),
                if voice.refused == 0 {
                    "–".to_owned()
                } else {
                    format!("{:.0} %", voice.spoken as f64 * 100.0 / voice.refused as f64)
                },
                millis(voice.percentile(50.0)),
                millis(voice.percentile(99.0)),
                messages.rate(),
                share(messages.refused, messages),
                millis(messages.percentile(99.0)),
            )?;
        }
    }
    let mut rows = Vec::new();
    for Storm { store, steps, mib } in storms {
        if let Some(calm) = steps.first() {
            let voice = calm.voice.percentile(99.0);
            let what = format!("p99 of a voice answer at ×1 on {store}");
            rows.push((what, "< 50 ms", format!("{} ms", millis(voice)), voice < Duration::from_millis(50)));
        }
        let what = format!("highest memory at ×1 on {store}");
        rows.push((what, "< 150 MiB", format!("{:.0} MiB; {:.0} MiB in all", mib[0], mib[1]), mib[0] < 150.0));
    }
    budgets(&mut page, &rows)?;
    Ok(page)
}

/// How many of all, in percent.
fn share(count: usize, of: &Figures) -> String {
    if count == 0 {
        "0".to_owned()
    } else {
        format!("{:.0} %", count as f64 * 100.0 / (of.latencies.len() + of.failures) as f64)
    }
}

/// What a tenant feels of another's flood.
pub(crate) fn fairness(all: &[Fairness]) -> Result<String> {
    let mut page = String::from(
        "## Tenants\n\nTwo tenants with 20 calls a second each; then one of them sends fifty times as many. The other one's answers, \
         by what limits the loud one:\n\n\
         | limit | calm p50 ms | calm p99 ms | flood p50 ms | flood p99 ms | p99, flood of calm | of single rounds | not accepted | of the loud one: accepted/s |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for one in all {
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {:.2} | {:.2} to {:.2} | {} | {:.0} |",
            one.limit,
            millis(one.calm.percentile(50.0)),
            millis(one.calm.percentile(99.0)),
            millis(one.flood.percentile(50.0)),
            millis(one.flood.percentile(99.0)),
            one.ratio,
            one.rounds.0,
            one.rounds.1,
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

#[cfg(test)]
mod tests {
    use super::{HEAD, page};

    #[test]
    fn a_part_measured_alone_replaces_itself_and_leaves_the_others_as_they_were() {
        let old = "# Performance\n\nan older head\n\n## Storm\n\nold storm\n\n## Connectors\n\nold connectors\n";
        let found = page(old, &["## Growth\n\n### a\n\nnew\n".into(), "## Storm\n\nnew storm\n".into()]);
        let parts = "\n\n## Storm\n\nnew storm\n\n## Growth\n\n### a\n\nnew\n\n## Connectors\n\nold connectors\n";
        assert_eq!(found, format!("{HEAD}{parts}"));
        assert_eq!(page(&found, &[]), found);
    }
}
