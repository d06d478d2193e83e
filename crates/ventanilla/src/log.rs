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

/// Replays the envelopes named, those of a period, or all that are quarantined or were left behind by a connector that stopped.
pub(crate) fn replay(client: &Client, options: &ReplayOptions) -> Result<()> {
    let period = options.from.is_some() || options.to.is_some();
    let wanted = match options.envelopes.as_slice() {
        [] if period => received(client, options)?,
        [] => unfinished(client)?,
        ids => named(client, ids)?,
    };
    if wanted.is_empty() && !options.json {
        let why = if period { "no envelope was received then" } else { "no envelope is quarantined" };
        eprintln!("nothing to replay: {why}");
    }
    let (mut failed, total) = (0, wanted.len());
    let (mut events, mut new, mut opened) = (0, 0, 0);
    for (number, (id, connector)) in wanted.into_iter().enumerate() {
        let path = format!("/{connector}/{}/-/replay/{}", percent(&client.target.tenant), percent(&id));
        let reply = client.raw("POST", &path, Some(b""))?;
        let answer = reply.json().unwrap_or_default();
        let disposition = text(&answer, "/disposition");
        let fine = reply.status == 200 && disposition == "accepted";
        failed += usize::from(!fine);
        for event in items(&answer, "/events") {
            let is = |name: &str| event.get(name) == Some(&Value::Bool(true));
            events += 1;
            new += usize::from(!is("duplicate"));
            opened += usize::from(!is("duplicate") && is("opened"));
        }
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
    if options.json {
        println!(
            "{}",
            json!({"replayed": total, "failed": failed, "events": events, "new_events": new, "new_cases": opened})
        );
    } else if total > 0 {
        println!("{total} replayed: {events} events, {} known already, {new} new; {opened} new cases", events - new);
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
    let mut found = list(client, &[("disposition", "pending")])?;
    found.extend(list(client, &[("disposition", "quarantined")])?);
    Ok(found)
}

/// Every envelope that was received in a time.
fn received(client: &Client, options: &ReplayOptions) -> Result<Vec<(String, String)>> {
    let edges = [("from", &options.from), ("to", &options.to)];
    let query: Vec<_> = edges.iter().filter_map(|(name, at)| Some((*name, at.as_deref()?))).collect();
    list(client, &query)
}

/// Ids and connectors of envelopes, oldest first, as they came.
fn list(client: &Client, wanted: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![("limit", "500")];
        query.extend_from_slice(wanted);
        query.extend(after.as_deref().map(|after| ("after", after)));
        let page = client.get("envelopes", &query)?;
        let entry = |e: &Value| (text(e, "/id").to_owned(), text(e, "/connector").to_owned());
        found.extend(items(&page, "/envelopes").iter().map(entry));
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
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
