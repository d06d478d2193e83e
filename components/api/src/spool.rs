//! What machines are told of the spool (docs/spool.md): whether it takes in what the store can't, and how much waits there.

use crate::probes::label;
use service_sdk::edge::{SECOND, within};
use service_sdk::spool::{self, Contents};

/// A key-value store that is not done by then is as good as none.
const PATIENCE_NS: u64 = 2 * SECOND;
/// What is written to see whether it can be.
const PROBE: &str = "ventanilla:probe";

/// Whether what comes in while the store is away is kept. Not before the store was seen once: what has never worked is not ready.
pub(crate) async fn takes_in() -> bool {
    let variable = spin_sdk::variables::get("spool").await.unwrap_or_default();
    let ours = std::env::var_os("VENTANILLA_HOST").is_some_and(|value| value == "1");
    if !spool::is_on(&variable, ours) {
        return false;
    }
    let written = within(PATIENCE_NS, async {
        let seen = spool::get(spool::SEEN).await?.is_some();
        if seen {
            spool::set(PROBE, b"").await?;
        }
        Ok::<bool, String>(seen)
    });
    matches!(written.await, Some(Ok(true)))
}

/// How many envelopes of a tenant wait for the store, of one connector or all; none if nobody can tell.
pub(crate) async fn waiting(tenant: &str, connector: Option<&str>) -> Option<u64> {
    let contents = within(PATIENCE_NS, spool::contents()).await?.ok()?;
    let key = spool::profile(tenant);
    let tenant = key.rsplit(':').next()?;
    let theirs = contents.waiting.iter().filter(|entry| entry.tenant == tenant);
    let count = theirs.filter(|entry| connector.is_none_or(|wanted| wanted == entry.connector)).count();
    u64::try_from(count).ok()
}

/// In Prometheus' text format.
pub(crate) async fn metrics(now: i64) -> String {
    exposition(within(PATIENCE_NS, spool::contents()).await.and_then(Result::ok).as_ref(), now)
}

fn exposition(contents: Option<&Contents>, now: i64) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, lines: Vec<String>| {
        text.push_str(&format!("# HELP ventanilla_spool_{name} {help}\n# TYPE ventanilla_spool_{name} gauge\n"));
        for line in lines {
            text.push_str(&format!("ventanilla_spool_{name}{line}\n"));
        }
    };
    gauge("up", "Whether the key-value store answers.", vec![format!(" {}", u8::from(contents.is_some()))]);
    let Some(contents) = contents else { return text };
    let depths = contents.depths();
    let labels =
        |tenant: &str, connector: &str| format!("{{tenant=\"{}\",connector=\"{}\"}}", label(tenant), label(connector));
    gauge(
        "envelopes",
        "Envelopes that wait for the store.",
        depths.iter().map(|d| format!("{} {}", labels(&d.tenant, &d.connector), d.envelopes)).collect(),
    );
    gauge(
        "oldest_age_seconds",
        "Age of the oldest envelope that waits; 0 if none does.",
        vec![format!(" {}", contents.waiting.first().map_or(0, |entry| (now - entry.at()).max(0) / 1000))],
    );
    gauge(
        "set_aside",
        "Envelopes that could not be drained and wait for a person.",
        vec![format!(" {}", contents.refused.len())],
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_counted_by_tenant_and_connector_and_the_oldest_has_an_age() {
        let mut contents = Contents::default();
        for at in [5_000, 3_000] {
            contents.add(spool::waiting(&spool::id(at, [1; 10]), "telephony/acme", "madrid"));
        }
        let text = exposition(Some(&contents.sorted()), 64_500);
        for line in [
            "ventanilla_spool_up 1",
            "ventanilla_spool_envelopes{tenant=\"madrid\",connector=\"telephony/acme\"} 2",
            "ventanilla_spool_oldest_age_seconds 61",
            "ventanilla_spool_set_aside 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} not in\n{text}");
        }
        assert!(exposition(Some(&Contents::default()), 0).contains("oldest_age_seconds 0\n"));
        assert!(exposition(None, 0).contains("ventanilla_spool_up 0\n"));
    }
}
