//! `ventanilla events`, `envelopes` and `replay`.

use crate::cli::{EnvelopesOptions, EventsOptions, ReplayOptions};
use crate::client::{Client, percent};
use crate::failure::failure;
use crate::output::{Table, clean, items, text, time};
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often `--follow` looks.
const EVERY: Duration = Duration::from_secs(1);

/// Lists events from the first to the last; with `--follow`, goes on until interrupted.
pub(crate) fn events(client: &Client, options: &EventsOptions) -> Result<()> {
    let mut after: Option<String> = None;
    // The last page has no cursor, so it is asked for again while following: these of it were shown.
    let mut shown = BTreeSet::new();
    loop {
        let mut query = vec![("limit", "500")];
        query.extend(options.connector.as_deref().map(|connector| ("connector", connector)));
        query.extend(after.as_deref().map(|after| ("after", after)));
        let page = client.get("events", &query)?;
        for event in items(&page, "/events") {
            if !shown.insert(text(event, "/id").to_owned()) {
                continue;
            }
            if options.json {
                println!("{event}");
            } else {
                let reference = text(event, "/case/reference");
                let reference = if reference.is_empty() { "-" } else { reference };
                println!("{}", clean(&format!("{reference:12}  {}", crate::cases::event(event))));
            }
        }
        match page.get("next").and_then(Value::as_str) {
            Some(next) => {
                after = Some(next.to_owned());
                shown.clear();
            }
            None if options.follow => std::thread::sleep(EVERY),
            None => return Ok(()),
        }
    }
}

const COLUMNS: &[(&str, usize)] = &[
    ("ENVELOPE", 36),
    ("RECEIVED (UTC)", 19),
    ("CONNECTOR", 20),
    ("BYTES", 8),
    ("EVENTS", 6),
    ("DISPOSITION", 11),
    ("TARGET / REASON", 60),
];

/// Lists envelopes.
pub(crate) fn envelopes(client: &Client, options: &EnvelopesOptions) -> Result<()> {
    let limit = options.limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(options.disposition.as_deref().map(|disposition| ("disposition", disposition)));
    let page = client.get("envelopes", &query)?;
    let mut table = Table::new(COLUMNS);
    for envelope in items(&page, "/envelopes") {
        if options.json {
            println!("{envelope}");
            continue;
        }
        let number = |name: &str| envelope.get(name).and_then(Value::as_u64).unwrap_or_default().to_string();
        let reason = text(envelope, "/reason");
        let row = table.row(&[
            text(envelope, "/id"),
            &time(text(envelope, "/received_at")),
            text(envelope, "/connector"),
            &number("body_bytes"),
            &number("events"),
            text(envelope, "/disposition"),
            if reason.is_empty() { text(envelope, "/target") } else { reason },
        ]);
        println!("{row}");
    }
    if items(&page, "/envelopes").is_empty() && !options.json {
        eprintln!("no envelopes");
    }
    Ok(())
}

/// Replays the envelopes named, or all that are quarantined or were left behind by a connector that stopped.
pub(crate) fn replay(client: &Client, options: &ReplayOptions) -> Result<()> {
    let wanted = if options.envelopes.is_empty() { unfinished(client)? } else { named(client, &options.envelopes)? };
    if wanted.is_empty() && !options.json {
        eprintln!("nothing to replay: no envelope is quarantined");
    }
    let (mut failed, total) = (0, wanted.len());
    for (number, (id, connector)) in wanted.into_iter().enumerate() {
        let path = format!("/{connector}/{}/-/replay/{}", percent(&client.target.tenant), percent(&id));
        let reply = client.raw("POST", &path, Some(b""))?;
        let answer = reply.json().unwrap_or_default();
        let disposition = text(&answer, "/disposition");
        let fine = reply.status == 200 && disposition == "accepted";
        failed += usize::from(!fine);
        if options.json {
            println!("{}", json!({"envelope": id, "status": reply.status, "answer": answer}));
        } else {
            let outcome = if reply.status == 200 { disposition.to_owned() } else { reply.detail() };
            let reason = text(&answer, "/reason");
            println!(
                "{}",
                clean(&format!("{}/{total}  {id}  {connector}  {outcome}  {reason}", number + 1)).trim_end()
            );
        }
    }
    if failed > 0 {
        return Err(failure(
            format!("{failed} of {total} envelopes are still not understood"),
            "they stay stored; repair the connector (its reason is above) and replay again",
        ));
    }
    Ok(())
}

/// Every envelope that is quarantined, or still pending because its connector stopped.
fn unfinished(client: &Client) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for disposition in ["quarantined", "pending"] {
        let mut after: Option<String> = None;
        loop {
            let mut query = vec![("limit", "500"), ("disposition", disposition)];
            query.extend(after.as_deref().map(|after| ("after", after)));
            let page = client.get("envelopes", &query)?;
            let entry = |e: &Value| (text(e, "/id").to_owned(), text(e, "/connector").to_owned());
            found.extend(items(&page, "/envelopes").iter().map(entry));
            match page.get("next").and_then(Value::as_str) {
                Some(next) => after = Some(next.to_owned()),
                None => break,
            }
        }
    }
    // Oldest first, as they came.
    found.reverse();
    Ok(found)
}

fn named(client: &Client, ids: &[String]) -> Result<Vec<(String, String)>> {
    ids.iter()
        .map(|id| {
            let envelope = client.get(&format!("envelopes/{}", percent(id)), &[])?;
            Ok((id.clone(), text(&envelope, "/connector").to_owned()))
        })
        .collect()
}
