//! `/api/{tenant}/retention`, `…/erasures`, `…/cases/{reference}/hold`, `…/audit`, `…/removal`: what is kept of people, and for how long.

use crate::answer::{self, Answer, Problem};
use crate::bindings::privacy::{self as store, AuditEntry, Counts, Erasure, Kind, Removal, Rule, Subject};
use crate::call::Call;
use crate::json;
use channel_sdk::json::format_instant;
use channel_sdk::types::Handle;
use serde_json::{Map, Value, json};

/// Kinds by name.
const KINDS: [(Kind, &str); 7] = [
    (Kind::Envelopes, "envelopes"),
    (Kind::Texts, "texts"),
    (Kind::Locations, "locations"),
    (Kind::Media, "media"),
    (Kind::Recordings, "recordings"),
    (Kind::People, "people"),
    (Kind::Cases, "cases"),
];
/// Cases in one request of the timer, so that others wait for none of them for long.
const STEP: u32 = 100;
/// Rows of a tenant that is removed, in one request.
const ROWS: u32 = 2000;
/// Longest reason, in bytes.
const MAX_REASON: usize = 1000;

/// `GET /api/{tenant}/retention`
pub(crate) async fn retention(call: &Call) -> Result<Answer, Problem> {
    let rules = store::retention(call.tenant()).await.map_err(|e| answer::store(e, "tenant"))?;
    Ok(Answer::json(200, &rules_json(&rules)))
}

/// `PUT /api/{tenant}/retention`
pub(crate) async fn put_retention(call: &Call) -> Result<Answer, Problem> {
    let members = call.members(&["days", "author"])?;
    let rules = match members.get("days").and_then(Value::as_object) {
        Some(days) => rules(days)?,
        None => {
            return Err(answer::invalid("days", "days must be an object: {\"envelopes\": 30, …}; {} keeps everything"));
        }
    };
    store::set_retention(call.tenant(), rules.clone(), members.author()?, call.now)
        .await
        .map_err(|e| answer::store(e, "days"))?;
    Ok(Answer::json(200, &rules_json(&rules)))
}

fn rules(days: &Map<String, Value>) -> Result<Vec<Rule>, Problem> {
    let rule = |(name, days): (&String, &Value)| {
        let kind = KINDS.iter().find(|(_, known)| known == name).map(|(kind, _)| *kind).ok_or_else(|| {
            let known = KINDS.map(|(_, name)| name).join(", ");
            answer::invalid("days", format!("there is no kind {name:?}; there are {known}"))
        })?;
        let days = days.as_u64().and_then(|days| u32::try_from(days).ok()).ok_or_else(|| {
            answer::invalid(
                "days",
                format!("the days of {name} must be a whole number, 0 or more; leave it out to keep them"),
            )
        })?;
        Ok(Rule { kind, days })
    };
    days.iter().map(rule).collect()
}

pub(crate) fn rules_json(rules: &[Rule]) -> Value {
    let name = |wanted| KINDS.iter().find(|(kind, _)| *kind == wanted).map_or("", |(_, name)| name);
    let days: Map<String, Value> = rules.iter().map(|rule| (name(rule.kind).to_owned(), rule.days.into())).collect();
    json!({"days": days})
}

/// `POST /api/{tenant}/erasures`
pub(crate) async fn erase(call: &Call) -> Result<Answer, Problem> {
    let members = call.members(&["handle", "scheme", "reference", "reason", "author", "dry_run"])?;
    let subject = match (members.text("handle")?, members.text("reference")?) {
        (Some(value), None) => Subject::Contact(Handle { scheme: members.text("scheme")?.unwrap_or_default(), value }),
        (None, Some(reference)) => Subject::CaseReference(reference),
        _ => return Err(answer::invalid("handle", "say whose data: give a handle, or the reference of a case")),
    };
    let dry_run = match members.get("dry_run") {
        None => false,
        Some(value) => value.as_bool().ok_or_else(|| answer::invalid("dry_run", "dry_run must be true or false"))?,
    };
    let reason = members.needed("reason", MAX_REASON)?;
    let erasure = store::erase(call.tenant(), subject, members.author()?, reason, call.now, dry_run)
        .await
        .map_err(|e| answer::store(e, "handle"))?;
    Ok(Answer::json(200, &erasure_json(&erasure)))
}

/// `PUT` and `DELETE /api/{tenant}/cases/{reference}/hold`
pub(crate) async fn hold(call: &Call, held: bool) -> Result<Answer, Problem> {
    let members = call.members(if held { &["reason", "author"] } else { &["author"] })?;
    let reason = if held { Some(members.needed("reason", MAX_REASON)?) } else { None };
    let reference = call.reference()?;
    store::hold(call.tenant(), reference, reason, members.author()?, call.now)
        .await
        .map_err(|e| answer::store(e, "reference"))?;
    Ok(Answer::json(200, &json!({"held": held})))
}

/// `GET /api/{tenant}/audit`
pub(crate) async fn audit(call: &Call) -> Result<Answer, Problem> {
    let page = store::audit(call.tenant(), call.page()?).await.map_err(|e| answer::store(e, "after"))?;
    Ok(Answer::json(200, &json::list("entries", page.entries.iter().map(entry_json).collect(), page.next)))
}

/// `POST /api/{tenant}/removal`: begins, or goes on.
pub(crate) async fn remove(call: &Call) -> Result<Answer, Problem> {
    let members = call.members(&["confirm", "reason", "author"])?;
    if members.text("confirm")?.as_deref() != Some(call.tenant().as_str()) {
        let detail = "everything of the tenant would be removed, for good: repeat its code in `confirm`";
        return Err(answer::invalid("confirm", detail));
    }
    let reason = members.needed("reason", MAX_REASON)?;
    let removal = store::remove_tenant(call.tenant(), members.author()?, reason, call.now, ROWS)
        .await
        .map_err(|e| answer::store(e, "tenant"))?;
    Ok(Answer::json(200, &removal_json(&removal)))
}

/// `POST /api/-/retain`: the timer's.
pub(crate) async fn retain(call: &Call) -> Result<Answer, Problem> {
    let done = store::retain(call.now, STEP).await.map_err(|e| answer::store(e, "limit"))?;
    Ok(Answer::json(200, &json!({"changed": done.changed, "more": done.more})))
}

fn counts_json(counts: &Counts) -> Value {
    json!({
        "cases": counts.cases, "events": counts.events, "envelopes": counts.envelopes, "contacts": counts.contacts, "notes": counts.notes,
        "replies": counts.replies,
    })
}

pub(crate) fn erasure_json(erasure: &Erasure) -> Value {
    let mut document = json!({
        "references": erasure.references, "counts": counts_json(&erasure.counts), "not_understood": erasure.not_understood,
        "dry_run": erasure.entry.is_none(),
    });
    if let (Some(entry), Some(members)) = (&erasure.entry, document.as_object_mut()) {
        members.insert("entry".into(), entry.as_str().into());
    }
    document
}

pub(crate) fn entry_json(entry: &AuditEntry) -> Value {
    let mut document = json!({
        "number": entry.number, "id": entry.id, "at": format_instant(entry.at), "author": entry.author, "action": entry.action,
        "counts": counts_json(&entry.counts),
    });
    if let Some(members) = document.as_object_mut() {
        for (name, text) in [("subject", &entry.subject), ("reason", &entry.reason)] {
            members.extend(text.as_ref().map(|text| (name.to_owned(), text.as_str().into())));
        }
    }
    document
}

pub(crate) fn removal_json(removal: &Removal) -> Value {
    let mut document = json!({"removed": removal.removed, "more": removal.more});
    if let (Some(head), Some(members)) = (&removal.head, document.as_object_mut()) {
        members.insert("head".into(), head.as_str().into());
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_is_none_and_days_that_are_none_are_refused_by_name() {
        let read = |text: &str| rules(serde_json::from_str::<Value>(text).unwrap().as_object().unwrap());
        assert_eq!(read(r#"{"texts": 30}"#).unwrap().len(), 1);
        for bad in
            [r#"{"text": 30}"#, r#"{"texts": -1}"#, r#"{"texts": "30"}"#, r#"{"texts": 1.5}"#, r#"{"texts": null}"#]
        {
            assert_eq!(read(bad).unwrap_err().field.as_deref(), Some("days"), "{bad}");
        }
    }
}
