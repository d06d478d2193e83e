//! `ventanilla retention`, `erase`, `hold` and `audit`: what is kept of people, for how long, and what was done about it.

use crate::cli::{AuditOptions, EraseOptions, HoldOptions, RetentionCommand};
use crate::client::{Client, percent};
use crate::failure::failure;
use crate::output::{Table, clean, items, text, time};
use anyhow::Result;
use serde_json::{Map, Value, json};

const COLUMNS: &[(&str, usize)] = &[("WHEN", 19), ("WHO", 12), ("WHAT", 8), ("WHOM", 44), ("COUNTS", 40), ("WHY", 60)];

/// Shows or sets the rules.
pub(crate) fn retention(client: &Client, command: Option<&RetentionCommand>) -> Result<()> {
    let rules = match command {
        None | Some(RetentionCommand::Show) => client.get("retention", &[])?,
        Some(RetentionCommand::Set { rules, author }) => {
            client.send("PUT", "retention", &json!({"days": days(rules)?, "author": author}))?
        }
    };
    let none = Map::new();
    let days = rules.get("days").and_then(Value::as_object).unwrap_or(&none);
    for (kind, days) in days {
        println!("{kind}: {days} days after the case is finished");
    }
    if days.is_empty() {
        println!("everything is kept: there is no rule");
    }
    Ok(())
}

fn days(rules: &[String]) -> Result<Value> {
    let one = |rule: &String| {
        let parts = rule.split_once('=').and_then(|(kind, days)| Some((kind.to_owned(), days.parse::<u32>().ok()?)));
        parts.ok_or_else(|| failure(format!("{rule:?} is no rule"), "write KIND=DAYS, like texts=365"))
    };
    let mut all = Map::new();
    for rule in rules {
        let (kind, days) = one(rule)?;
        if all.insert(kind.clone(), days.into()).is_some() {
            return Err(failure(format!("{kind} is there twice"), "give one rule for each kind"));
        }
    }
    Ok(all.into())
}

/// Erases, or says what would be.
pub(crate) fn erase(client: &Client, options: &EraseOptions) -> Result<()> {
    let mut body = json!({"reason": options.reason, "author": options.author, "dry_run": options.dry_run});
    if let Some(members) = body.as_object_mut() {
        match (&options.contact, &options.case) {
            (Some(handle), _) => {
                let (scheme, value) = handle_of(handle);
                members.insert("handle".into(), value.into());
                members.extend(scheme.map(|scheme| ("scheme".to_owned(), scheme.into())));
            }
            (None, reference) => members.extend(reference.as_deref().map(|text| ("reference".to_owned(), text.into()))),
        }
    }
    let erasure = client.send("POST", "erasures", &body)?;
    if options.json {
        println!("{erasure}");
        return Ok(());
    }
    let verb = if options.dry_run { "would erase" } else { "erased" };
    println!("{verb} {}", counted(erasure.get("counts").unwrap_or(&Value::Null)));
    for reference in items(&erasure, "/references").iter().filter_map(Value::as_str) {
        println!("  case {}", clean(reference));
    }
    match erasure.get("not_understood").and_then(Value::as_u64) {
        Some(count) if count > 0 => {
            println!(
                "{count} envelopes wait in quarantine: nobody knows whom they are about; replay them, and look again"
            );
        }
        _ => {}
    }
    if !options.dry_run {
        println!(
            "audit entry {}; backups and the providers have copies of their own: docs/privacy.md",
            text(&erasure, "/entry")
        );
    }
    Ok(())
}

/// `phone:+34…` has a scheme; a URL or an address with a colon further on has none.
fn handle_of(handle: &str) -> (Option<&str>, &str) {
    match handle.split_once(':') {
        Some((scheme, value))
            if !scheme.is_empty()
                && !value.starts_with("//")
                && scheme.bytes().all(|byte| byte.is_ascii_lowercase()) =>
        {
            (Some(scheme), value)
        }
        _ => (None, handle),
    }
}

fn counted(counts: &Value) -> String {
    let names = ["cases", "events", "envelopes", "contacts", "notes", "replies"];
    let count = |name: &&str| {
        counts.get(name).and_then(Value::as_u64).filter(|count| *count > 0).map(|count| format!("{count} {name}"))
    };
    let parts: Vec<String> = names.iter().filter_map(count).collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

/// Holds a case, or releases it.
pub(crate) fn hold(client: &Client, options: &HoldOptions) -> Result<()> {
    let path = format!("cases/{}/hold", percent(&options.reference));
    let mut body = json!({"author": options.author});
    if let (Some(reason), Some(members)) = (&options.reason, body.as_object_mut()) {
        members.insert("reason".into(), reason.as_str().into());
    }
    client.send(if options.release { "DELETE" } else { "PUT" }, &path, &body)?;
    let outcome = if options.release { "is not on hold any more" } else { "is on hold: nothing of it is erased" };
    println!("case {} {outcome}", clean(&options.reference));
    Ok(())
}

/// The newest entries of the audit.
pub(crate) fn audit(client: &Client, options: &AuditOptions) -> Result<()> {
    let mut entries = Vec::new();
    let mut after: Option<String> = None;
    while entries.len() < options.limit {
        let mut query = vec![("limit", "500")];
        query.extend(after.iter().map(|after| ("after", after.as_str())));
        let page = client.get("audit", &query)?;
        entries.extend(items(&page, "/entries").iter().cloned());
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    entries.truncate(options.limit);
    if options.json {
        println!("{}", json!({"entries": entries}));
        return Ok(());
    }
    let mut table = Table::new(COLUMNS);
    for entry in &entries {
        let counts = match text(entry, "/action") {
            "erase" | "retain" | "remove" => counted(entry.get("counts").unwrap_or(&Value::Null)),
            _ => String::new(),
        };
        let when = time(text(entry, "/at"));
        let cells = [
            &when,
            text(entry, "/author"),
            text(entry, "/action"),
            text(entry, "/subject"),
            &counts,
            text(entry, "/reason"),
        ];
        println!("{}", table.row(&cells));
    }
    if entries.is_empty() {
        println!("nothing was erased, held or removed, and no rule was set");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_may_be_given_with_its_scheme() {
        for (text, parts) in [
            ("+34600111222", (None, "+34600111222")),
            ("phone:+34600111222", (Some("phone"), "+34600111222")),
            ("ana@example.org", (None, "ana@example.org")),
            ("https://social.example/@ana", (None, "https://social.example/@ana")),
            ("@ana:server.example", (None, "@ana:server.example")),
        ] {
            assert_eq!(handle_of(text), parts, "{text}");
        }
    }

    #[test]
    fn a_rule_is_a_kind_and_days() {
        let read = |rules: &[&str]| days(&rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&["texts=30", "envelopes=1"]).unwrap(), json!({"texts": 30, "envelopes": 1}));
        for bad in [&["texts"][..], &["texts=x"], &["texts=-1"], &["texts=1", "texts=2"]] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
