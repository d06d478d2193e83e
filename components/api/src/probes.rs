//! What machines ask: is it alive, is it ready, how much has it done, what does it offer.

use crate::answer::{self, Answer, Problem};
use crate::bindings::log::{self as store, Total};
use crate::spool;
use serde_json::json;

/// The contract for clients.
pub(crate) const DESCRIPTION: &str = include_str!("../openapi.json");

/// `GET /healthz`: the process serves.
pub(crate) fn health() -> Answer {
    Answer::json(200, &json!({"status": "ok"}))
}

/// `GET /readyz`: what comes in is kept. The store takes writes; or it did before, and the spool does. Providers sent away then would
/// come again later, or never.
pub(crate) async fn ready() -> Result<Answer, Problem> {
    match store::ready().await {
        Ok(()) => Ok(Answer::json(200, &json!({"status": "ready"}))),
        Err(_) if spool::takes_in().await => Ok(Answer::json(200, &json!({"status": "spooling"}))),
        Err(error) => Err(answer::store(error, "store")),
    }
}

/// `GET /api/openapi.json`
pub(crate) fn description() -> Answer {
    Answer::new(200, "application/json", DESCRIPTION.as_bytes().to_vec())
}

/// `GET /metrics`: the ledger in Prometheus' text format 0.0.4. Gauges, since an envelope changes its disposition. Counts per tenant and connector; nothing personal.
pub(crate) async fn metrics(now: i64) -> Result<Answer, Problem> {
    let totals = store::totals(String::new()).await;
    let mut text = format!(
        "# HELP ventanilla_store_up Whether the store answers.\n# TYPE ventanilla_store_up gauge\nventanilla_store_up {}\n",
        u8::from(totals.is_ok())
    );
    text.push_str(&exposition(&totals.unwrap_or_default(), now));
    text.push_str(&spool::metrics(now).await);
    Ok(Answer::new(200, "text/plain; version=0.0.4; charset=utf-8", text.into_bytes()))
}

/// What a series tells of a line of the ledger, at a moment in milliseconds. Absent: nothing.
type Reading = fn(&Total, i64) -> Option<u64>;

fn exposition(totals: &[Total], now: i64) -> String {
    let mut text = String::new();
    let metrics: [(&str, &str, Reading); 3] = [
        ("ventanilla_stored_envelopes", "Envelopes stored, by what became of them.", |t, _| Some(t.envelopes)),
        ("ventanilla_stored_events", "Events stored; duplicates count once.", |t, _| Some(t.events)),
        (
            "ventanilla_waiting_oldest_age_seconds",
            "Age of the oldest envelope that is quarantined or pending.",
            |t, now| {
                // A clock that was set back makes nothing older.
                t.oldest.map(|at| u64::try_from(now.saturating_sub(at) / 1000).unwrap_or(0))
            },
        ),
    ];
    for (name, help, value) in metrics {
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
        for total in totals {
            let Some(value) = value(total, now) else { continue };
            text.push_str(&format!(
                "{name}{{tenant=\"{}\",connector=\"{}\",disposition=\"{}\"}} {value}\n",
                label(&total.tenant),
                label(&total.connector),
                label(&total.disposition),
            ));
        }
    }
    text
}

/// Escapes a label's value.
pub(crate) fn label(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_prometheus_text_with_escaped_labels() {
        let total = Total {
            tenant: "ma\"d\nrid\\".into(),
            connector: "telephony/acme".into(),
            disposition: "accepted".into(),
            envelopes: 7,
            events: 9,
            oldest: None,
        };
        let waiting = Total { disposition: "quarantined".into(), oldest: Some(1_000), ..total.clone() };
        let text = exposition(&[total, waiting], 91_999);
        let labels = r#"{tenant="ma\"d\nrid\\",connector="telephony/acme",disposition="accepted"}"#;
        assert!(text.contains(&format!("ventanilla_stored_envelopes{labels} 7\n")), "{text}");
        assert!(text.contains(&format!("ventanilla_stored_events{labels} 9\n")), "{text}");
        assert_eq!(text.matches("# TYPE").count(), 3);
        let ages: Vec<&str> =
            text.lines().filter(|line| line.starts_with("ventanilla_waiting_oldest_age_seconds{")).collect();
        assert!(matches!(ages[..], [age] if age.ends_with("disposition=\"quarantined\"} 90")), "{text}");
    }
}
