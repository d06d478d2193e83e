//! What machines ask: is it alive, is it ready, how much has it done, what does it offer.

use crate::answer::{self, Answer, Problem};
use crate::bindings::log::{self as store, Total};
use serde_json::json;

/// The contract for clients.
pub(crate) const DESCRIPTION: &str = include_str!("../openapi.json");

/// `GET /healthz`: the process serves.
pub(crate) fn health() -> Answer {
    Answer::json(200, &json!({"status": "ok"}))
}

/// `GET /readyz`: the store takes writes.
pub(crate) async fn ready() -> Result<Answer, Problem> {
    store::ready().await.map_err(|e| answer::store(e, "store"))?;
    Ok(Answer::json(200, &json!({"status": "ready"})))
}

/// `GET /api/openapi.json`
pub(crate) fn description() -> Answer {
    Answer::new(200, "application/json", DESCRIPTION.as_bytes().to_vec())
}

/// `GET /metrics`: the ledger in Prometheus' text format 0.0.4. Gauges, since an envelope changes its disposition. Counts per tenant and connector; nothing personal.
pub(crate) async fn metrics() -> Result<Answer, Problem> {
    let totals = store::totals(String::new()).await.map_err(|e| answer::store(e, "store"))?;
    Ok(Answer::new(200, "text/plain; version=0.0.4; charset=utf-8", exposition(&totals).into_bytes()))
}

fn exposition(totals: &[Total]) -> String {
    let mut text = String::new();
    let metrics: [(&str, &str, fn(&Total) -> u64); 2] = [
        ("ventanilla_stored_envelopes", "Envelopes stored, by what became of them.", |t| t.envelopes),
        ("ventanilla_stored_events", "Events stored; duplicates count once.", |t| t.events),
    ];
    for (name, help, value) in metrics {
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
        for total in totals {
            text.push_str(&format!(
                "{name}{{tenant=\"{}\",connector=\"{}\",disposition=\"{}\"}} {}\n",
                label(&total.tenant),
                label(&total.connector),
                label(&total.disposition),
                value(total)
            ));
        }
    }
    text
}

/// Escapes a label's value.
fn label(value: &str) -> String {
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
        };
        let text = exposition(&[total]);
        let labels = r#"{tenant="ma\"d\nrid\\",connector="telephony/acme",disposition="accepted"}"#;
        assert!(text.contains(&format!("ventanilla_stored_envelopes{labels} 7\n")), "{text}");
        assert!(text.contains(&format!("ventanilla_stored_events{labels} 9\n")), "{text}");
        assert_eq!(text.matches("# TYPE").count(), 2);
    }
}
