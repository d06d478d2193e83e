//! `ventanilla deliver`: drives deliveries of a server that has no timer of its own, by cron or a scheduled job.

use crate::cli::{DeliverOptions, TargetOptions};
use crate::client::{Http, Reply};
use crate::failure::failure;
use crate::output::{items, text};
use anyhow::Result;
use serde_json::{Value, json};
use std::time::Duration;
use ventanilla_host::manifest::Manifest;

/// Every so many turns of `--every` all connectors look after the spool, also when nothing waits.
const LOOK_AFTER: u64 = 60;
/// Runs of one connector, one after another, before the next has its turn.
const RUNS: usize = 100;

/// Once, or until interrupted.
pub(crate) fn run(target: &TargetOptions, options: &DeliverOptions) -> Result<()> {
    let every = options.every.as_deref().map(duration).transpose()?;
    // Who names connectors wants these only, and needs no manifest.
    let manifest = match options.connectors.as_slice() {
        [] => Some(Manifest::load(&options.manifest, None)?),
        _ => None,
    };
    let courier = Courier {
        url: target.target()?.url,
        token: options.courier_token.clone().ok_or_else(|| {
            failure(
                "the courier's token is not given",
                "give the server's variable courier_token as VENTANILLA_COURIER_TOKEN or --courier-token",
            )
        })?,
        webhooks: manifest.as_ref().is_some_and(crate::up::has_webhooks),
        whole: manifest.is_some(),
        connectors: match &manifest {
            Some(manifest) => crate::up::connectors(manifest)
                .into_iter()
                .map(|connector| format!("{}/{}", connector.channel, connector.vendor))
                .collect(),
            None => options.connectors.clone(),
        },
        http: Http::new(),
        json: options.json,
    };
    let Some(every) = every else { return courier.deliver(true) };
    for turn in 0_u64.. {
        // A server that is being restarted is asked again.
        if let Err(error) = courier.deliver(turn % LOOK_AFTER == 0) {
            crate::failure::report(&error);
        }
        std::thread::sleep(every);
    }
    Ok(())
}

struct Courier {
    url: String,
    token: String,
    connectors: Vec<String>,
    webhooks: bool,
    /// Not some connectors only.
    whole: bool,
    http: Http,
    json: bool,
}

impl Courier {
    fn deliver(&self, look_after: bool) -> Result<()> {
        // A spool that can't be used is no reason to send nothing.
        let spool = self.empty_spool(look_after);
        self.reply()?;
        if self.webhooks && self.ask("GET", "/webhooks/-/due")?.get("due") == Some(&Value::Bool(true)) {
            self.drain("webhooks", ["sent", "retry", "stopped"], "stopped")?;
        }
        let sealed = if self.whole { self.rounds("/api/-/seal") } else { Ok(()) };
        let retained = if self.whole && look_after { self.rounds("/api/-/retain") } else { Ok(()) };
        spool.and(sealed).and(retained)
    }

    /// The ledger's seals for what came in since, and, seldom, retention. Nobody waits for them, so nothing is said of them.
    fn rounds(&self, path: &str) -> Result<()> {
        for _ in 0..RUNS {
            if self.ask("POST", path)?.get("more") != Some(&Value::Bool(true)) {
                break;
            }
        }
        Ok(())
    }

    /// What waits in the spool, connector by connector; of all of them with `all`, so that they keep what callers hear while the store is
    /// away.
    fn empty_spool(&self, all: bool) -> Result<()> {
        let Some(first) = self.connectors.first() else { return Ok(()) };
        let found = self.ask("GET", &format!("/{first}/-/spool"))?;
        // A spool that is not to be used is left alone.
        let all = all && found.get("on") == Some(&Value::Bool(true));
        let waiting = items(&found, "/spool");
        let waits = |name: &String| waiting.iter().any(|depth| text(depth, "/connector") == name);
        for connector in self.connectors.iter().filter(|name| all || waits(name)) {
            let (counts, last) =
                self.runs(&format!("/{connector}/-/spool"), ["recorded", "quarantined", "set_aside"])?;
            let [recorded, quarantined, set_aside] = counts;
            // Whoever looks after it wants to know why nothing leaves the spool.
            let store = text(&last, "/store");
            if counts == [0; 3] && store.is_empty() {
                continue;
            }
            if self.json {
                let mut counts = json!({"recorded": recorded, "quarantined": quarantined, "set_aside": set_aside});
                if let (false, Some(members)) = (store.is_empty(), counts.as_object_mut()) {
                    members.insert("left".into(), last.get("left").cloned().unwrap_or_default());
                    members.insert("store".into(), store.into());
                }
                println!("{}", json!({"connector": connector, "spool": counts}));
                continue;
            }
            if !store.is_empty() {
                let left = last.get("left").and_then(Value::as_u64).unwrap_or(0);
                eprintln!("{connector}: {left} wait in the spool, the store does not take them: {store}");
            }
            if counts != [0; 3] {
                println!(
                    "{connector}: {recorded} recorded from the spool, {quarantined} quarantined, {set_aside} set aside"
                );
            }
        }
        Ok(())
    }

    /// What is queued for people.
    fn reply(&self) -> Result<()> {
        let Some(first) = self.connectors.first() else {
            return Err(failure("no connector is named", "give the server's manifest, or --connector channel/vendor"));
        };
        let due = self.ask("GET", &format!("/{first}/-/due"))?;
        let queues = items(&due, "/queues").iter().filter(|queue| queue.get("due") == Some(&Value::Bool(true)));
        for connector in
            queues.map(|queue| text(queue, "/connector")).filter(|name| self.connectors.iter().any(|c| c == name))
        {
            self.drain(connector, ["sent", "retry", "failed"], "failed")?;
        }
        Ok(())
    }

    /// Runs of one, one after another, until there is nothing more; says what became of it.
    fn drain(&self, what: &str, names: [&str; 3], ended: &str) -> Result<()> {
        let ([sent, retry, failed], _) = self.runs(&format!("/{what}/-/deliver"), names)?;
        if self.json {
            println!("{}", json!({"connector": what, "sent": sent, "retry": retry, ended: failed}));
        } else {
            println!("{what}: {sent} sent, {retry} to be tried again, {failed} {ended}");
        }
        Ok(())
    }

    /// The sums of these numbers, and the last answer.
    fn runs(&self, path: &str, names: [&str; 3]) -> Result<([u64; 3], Value)> {
        let mut counts = [0_u64; 3];
        let mut answer = Value::Null;
        for _ in 0..RUNS {
            answer = self.ask("POST", path)?;
            for (count, name) in counts.iter_mut().zip(names) {
                *count += answer.get(name).and_then(Value::as_u64).unwrap_or(0);
            }
            if answer.get("more") != Some(&Value::Bool(true)) {
                break;
            }
        }
        Ok((counts, answer))
    }

    fn ask(&self, method: &str, path: &str) -> Result<Value> {
        let authorization = format!("Bearer {}", self.token);
        let headers = [("accept", "application/json"), ("authorization", authorization.as_str())];
        let body: Option<&[u8]> = (method == "POST").then_some(&[]);
        let reply: Reply = self.http.send(method, &format!("{}{path}", self.url), &headers, body)?;
        let what = format!("{method} {path}: {} ({})", reply.detail(), reply.status);
        match reply.status {
            200 => Ok(reply.json().unwrap_or_default()),
            401 => Err(failure(what, "the courier's token is not the server's; give its variable courier_token")),
            404 => Err(failure(what, "the server does not serve this connector; name those it does with --connector")),
            _ => Err(failure(what, "see the server's log")),
        }
    }
}

/// `5s`, `500ms`, `2m` or `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let unit = match unit {
        "ms" => Some(1),
        "s" | "" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let millis = number.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| failure(format!("{text:?} is not a length of time"), "write it like 5s, 500ms or 2m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_with_their_unit() {
        for (text, millis) in [("5s", 5000), ("5", 5000), ("500ms", 500), ("2m", 120_000), ("0s", 0)] {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for bad in ["", "s", "-1s", "1.5s", "1 d", "99999999999999999999h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
