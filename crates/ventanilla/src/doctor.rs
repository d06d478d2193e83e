//! `ventanilla doctor`: everything that can be asked of a running server, in one look, with what to do about what is wrong.

use crate::cli::{DoctorOptions, TargetOptions};
use crate::client::{Client, Http};
use crate::config;
use crate::failure::{self, failure};
use crate::output::{clean, items, text};
use anyhow::Result;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// Signatures with a time in them are refused when a clock is wrong by minutes; providers allow five.
const CLOCKS: Duration = Duration::from_secs(60);

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Ok,
    /// Somebody should look at it today.
    Warning,
    /// Something is lost, or will be, or citizens are turned away.
    Fault,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "FAULT",
        }
    }
}

/// One thing looked at.
#[derive(Debug)]
struct Finding {
    level: Level,
    what: String,
    remedy: String,
}

fn found(level: Level, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { level, what: what.into(), remedy: remedy.into() }
}

fn fine(what: impl Into<String>) -> Finding {
    found(Level::Ok, what, "")
}

/// Looks at everything, says it, and fails if there is a fault.
pub(crate) fn run(target: &TargetOptions, options: &DoctorOptions) -> Result<()> {
    let client = target.client()?;
    let mut findings = server(&client);
    if findings.iter().all(|finding| finding.level != Level::Fault) {
        findings.extend(tenant(&client));
        findings.push(settings(target, options));
        findings.extend(metrics(&client));
    }
    let faults = findings.iter().filter(|finding| finding.level == Level::Fault).count();
    if options.json {
        let all: Vec<Value> = findings
            .iter()
            .map(|one| json!({"level": one.level.word().to_lowercase(), "what": one.what, "remedy": one.remedy}))
            .collect();
        println!("{:#}", json!({"findings": all, "faults": faults}));
    } else {
        for Finding { level, what, remedy } in &findings {
            println!("{:8} {}", level.word(), clean(what));
            if !remedy.is_empty() {
                println!("         {}", clean(remedy));
            }
        }
    }
    match faults {
        0 => Ok(()),
        _ => Err(failure(
            format!("{faults} fault(s)"),
            "each is named above with its remedy; docs/operators.md has more",
        )),
    }
}

/// Whether it answers, takes calls, and knows what time it is.
fn server(client: &Client) -> Vec<Finding> {
    let url = &client.target.url;
    let health = match Http::new().send("GET", &format!("{url}/healthz"), &[], None) {
        Ok(reply) if reply.status == 200 => reply,
        Ok(reply) => {
            let what = format!("{url}/healthz answers {}: {}", reply.status, reply.detail());
            return vec![found(Level::Fault, what, "is this Ventanilla's address? say where it is with --url")];
        }
        Err(error) => {
            return vec![found(
                Level::Fault,
                format!("{error:#}"),
                "start it with `ventanilla up`, or say where it is with --url",
            )];
        }
    };
    let mut findings = vec![fine(format!("the server answers at {url}"))];
    findings.extend(health.date.map(|theirs| clock(theirs, SystemTime::now())));
    findings.push(match client.raw("GET", "/readyz", None) {
        Ok(reply) if reply.status == 200 => match reply.json().as_ref().map(|said| text(said, "/status").to_owned()) {
            Some(status) if status == "spooling" => found(
                Level::Warning,
                "the store can't be reached: what comes in is spooled",
                "repair the store; the spool is recorded by itself afterwards (docs/spool.md)",
            ),
            _ => fine("it is ready: what comes in is kept"),
        },
        Ok(reply) => found(
            Level::Fault,
            format!("it is not ready ({}): {}", reply.status, reply.detail()),
            "providers are told to come again; repair what is named",
        ),
        Err(error) => found(Level::Fault, format!("{error:#}"), "see the server's log"),
    });
    findings
}

fn clock(theirs: SystemTime, ours: SystemTime) -> Finding {
    let apart = theirs.duration_since(ours).unwrap_or_else(|error| error.duration());
    if apart < CLOCKS {
        return fine("its clock agrees with this machine's");
    }
    let what = format!("its clock and this machine's are {} s apart", apart.as_secs());
    found(
        Level::Fault,
        what,
        "one of them is wrong; signatures that have a time are refused when the server's is: synchronise it (timedatectl)",
    )
}

/// What the tenant's ledger says.
fn tenant(client: &Client) -> Vec<Finding> {
    let tenant = &client.target.tenant;
    let ledger = match client.get("ledger", &[]) {
        Ok(ledger) => ledger,
        Err(error) => {
            let remedy = failure::hint(&error).unwrap_or("see the server's log").to_owned();
            return vec![found(Level::Fault, format!("{error:#}"), remedy)];
        }
    };
    let number = |pointer: &str| ledger.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let mut findings = vec![match ledger.get("adds_up") == Some(&Value::Bool(true)) {
        true => fine(format!(
            "the ledger of {tenant} adds up: {} envelopes, {} of them sealed",
            number("/stored"),
            number("/sealed")
        )),
        false => found(
            Level::Fault,
            format!("the ledger of {tenant} does not add up"),
            "envelopes were taken away or put in by hand: `ventanilla ledger --verify` says which (docs/ledger.md)",
        ),
    }];
    for (pointer, what) in
        [("/sum/quarantined", "in quarantine"), ("/sum/pending", "pending: a component stopped on them")]
    {
        if number(pointer) > 0 {
            let what = format!("{} envelopes of {tenant} are {what}", number(pointer));
            findings.push(found(
                Level::Warning,
                what,
                "look at them with `ventanilla envelopes`, mend their connector, then `ventanilla replay`",
            ));
        }
    }
    if number("/spooled") > 0 {
        let what = format!("{} envelopes of {tenant} wait in the spool", number("/spooled"));
        findings.push(found(
            Level::Warning,
            what,
            "they are recorded when the store is back, by the timer of `ventanilla up` or by `ventanilla deliver`",
        ));
    }
    findings
}

/// What `config check` finds, counted.
fn settings(target: &TargetOptions, options: &DoctorOptions) -> Finding {
    let results = match config::results(target, &options.manifest) {
        Ok(results) => results,
        Err(error) => {
            return found(
                Level::Warning,
                format!("settings were not looked at: {error:#}"),
                "run it where spin.toml is, with a token that has the scope operate",
            );
        }
    };
    let state = |wanted: &str| results.iter().filter(|result| text(result, "/state") == wanted).count();
    let faults: Vec<String> = results
        .iter()
        .flat_map(|result| {
            let name = format!("{} {}", text(result, "/tenant"), text(result, "/connector"));
            items(result, "/faults").iter().filter_map(Value::as_str).map(move |fault| format!("{name}: {fault}"))
        })
        .collect();
    match faults.is_empty() {
        true => {
            fine(format!("{} connectors are ready, {} are not configured", state("ready"), state("not configured")))
        }
        false => found(
            Level::Fault,
            format!("settings: {}", faults.join("; ")),
            "`ventanilla config check` shows all of them",
        ),
    }
}

/// What the process has counted since it started. Reachable from inside only, as a rule.
fn metrics(client: &Client) -> Vec<Finding> {
    let reply = match client.raw("GET", "/metrics", None) {
        Ok(reply) if reply.status == 200 => reply,
        _ => return vec![fine("its metrics can't be seen from here; on the server itself they can")],
    };
    counted(&String::from_utf8_lossy(&reply.body))
}

fn counted(exposition: &str) -> Vec<Finding> {
    let sum = |name: &str| -> f64 {
        let lines = exposition
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' ')));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    let mut findings = Vec::new();
    for (name, level, what, remedy) in [
        (
            "ventanilla_spool_set_aside",
            Level::Fault,
            "envelopes in the spool that neither store nor quarantine would take",
            "they are kept; see docs/spool.md, \"Look and drain\"",
        ),
        (
            "ventanilla_failures_total",
            Level::Warning,
            "times a component stopped since the start",
            "the log says which and why; what was verified is in quarantine",
        ),
        (
            "ventanilla_requests_overloaded_total",
            Level::Warning,
            "requests turned away since the start because there was no place",
            "see docs/sizing.md",
        ),
        (
            "ventanilla_requests_limited_total",
            Level::Warning,
            "requests turned away since the start because their tenant had more than its share",
            "raise --tenant-rate, or find out who sends so much",
        ),
    ] {
        let count = sum(name);
        if count > 0.0 {
            findings.push(found(level, format!("{count} {what}"), remedy));
        }
    }
    if findings.is_empty() {
        findings.push(fine("no component stopped and nobody was turned away since it started"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_minutes_apart_are_a_fault_either_way() {
        let now = SystemTime::now();
        let minutes = Duration::from_secs(300);
        assert_eq!(clock(now, now).level, Level::Ok);
        assert_eq!(clock(now + minutes, now).level, Level::Fault);
        assert_eq!(clock(now, now + minutes).level, Level::Fault);
    }

    #[test]
    fn counters_are_summed_over_their_labels_and_not_over_longer_names() {
        let text = "# TYPE ventanilla_failures_total counter\nventanilla_failures_total{component=\"a b\",kind=\"trap\"} 2\n\
            ventanilla_failures_total{component=\"c\",kind=\"memory\"} 3\nventanilla_failures_total_other 9\nventanilla_spool_set_aside 0\n";
        let findings = counted(text);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].what.starts_with("5 times"), "{findings:?}");
        assert_eq!(counted("")[0].level, Level::Ok);
    }
}
