//! `/api/{tenant}/events` and `/envelopes`: what came in.

use crate::answer::{self, Answer, Problem};
use crate::bindings::ledger;
use crate::bindings::log::{self as store, StoreError};
use crate::call::Call;
use crate::{json, periods};
use channel_sdk::time_zone::TimeZone;

/// Names of dispositions, as in the store's contract.
const DISPOSITIONS: [&str; 3] = ["pending", "accepted", "quarantined"];

/// `GET /api/{tenant}/events`
pub(crate) async fn events(call: &Call) -> Result<Answer, Problem> {
    let connector = call.query.get("connector").map(connector).transpose()?;
    let page = store::events(call.tenant(), connector, call.page()?).await.map_err(|e| answer::store(e, "after"))?;
    let items = page.events.iter().map(json::event).collect();
    Ok(Answer::json(200, &json::list("events", items, page.next)))
}

/// `GET /api/{tenant}/envelopes`
pub(crate) async fn envelopes(call: &Call) -> Result<Answer, Problem> {
    let disposition = call.query.get("disposition").map(disposition).transpose()?;
    let page = match between(call).await? {
        None => store::envelopes(call.tenant(), disposition, call.page()?).await,
        Some((since, until)) => ledger::received(call.tenant(), since, until, disposition, call.page()?).await,
    };
    let page = page.map_err(|e| answer::store(e, "after"))?;
    let items = page.envelopes.iter().map(json::envelope_summary).collect();
    Ok(Answer::json(200, &json::list("envelopes", items, page.next)))
}

/// `GET /api/{tenant}/envelopes/{envelope}`
pub(crate) async fn envelope(call: &Call) -> Result<Answer, Problem> {
    let id = call.param("envelope");
    match store::envelope_by_id(call.tenant(), id.clone()).await {
        Ok(Some(envelope)) => Ok(Answer::json(200, &json::envelope(&id, &envelope))),
        Ok(None) => Err(answer::not_found("no-such-envelope", "this tenant has no envelope of that id")),
        // The store has an envelope and nothing in it.
        Err(StoreError::Invalid(why)) => Err(answer::gone(why)),
        Err(error) => Err(answer::store(error, "envelope")),
    }
}

/// The time in which they were received, if one is asked for.
async fn between(call: &Call) -> Result<Option<(i64, i64)>, Problem> {
    if let (None, None) = periods::edges(&call.query, TimeZone::UTC)? {
        return Ok(None);
    }
    let (_, zone) = crate::ledger::time_zone(call).await?;
    let (from, to) = periods::edges(&call.query, zone)?;
    Ok(Some((from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX))))
}

pub(crate) fn connector(name: &str) -> Result<String, Problem> {
    match name.split_once('/') {
        Some((channel, vendor)) if !channel.is_empty() && !vendor.is_empty() => Ok(name.to_owned()),
        _ => Err(answer::invalid(
            "connector",
            format!("connector must be channel/vendor, as in the routes; is {name:?}"),
        )),
    }
}

fn disposition(name: &str) -> Result<String, Problem> {
    if DISPOSITIONS.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(answer::invalid(
        "disposition",
        format!("there is no disposition {name:?}; there are {}", DISPOSITIONS.join(", ")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_can_match_nothing_are_refused() {
        assert_eq!(connector("telephony/acme").unwrap(), "telephony/acme");
        for name in ["acme", "/acme", "telephony/"] {
            assert_eq!(connector(name).unwrap_err().field.as_deref(), Some("connector"), "{name}");
        }
        assert_eq!(disposition("quarantined").unwrap(), "quarantined");
        assert_eq!(disposition("rejected").unwrap_err().field.as_deref(), Some("disposition"));
    }
}
