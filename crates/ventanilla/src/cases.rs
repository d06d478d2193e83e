//! `ventanilla cases` and `ventanilla case`.

use crate::cli::{CaseOptions, CasesOptions};
use crate::client::{Client, percent};
use crate::output::{Table, clean, items, text, time};
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often `--follow` looks.
const EVERY: Duration = Duration::from_secs(1);

const COLUMNS: &[(&str, usize)] = &[
    ("REFERENCE", 12),
    ("STATUS", 8),
    ("UPDATED (UTC)", 19),
    ("CHANNEL", 10),
    ("CONTACT", 22),
    ("DEPARTMENT", 12),
    ("TO DO", 9),
    ("SUBJECT", 50),
];

/// Lists cases; with `--follow`, goes on until interrupted.
pub(crate) fn list(client: &Client, options: &CasesOptions) -> Result<()> {
    let limit = options.limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    for (name, value) in [("status", &options.status), ("channel", &options.channel), ("q", &options.q)] {
        if let Some(value) = value {
            query.push((name, value));
        }
    }
    let mut table = Table::new(COLUMNS);
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let cases = match options.follow {
            true => items(&client.get("cases", &query)?, "/cases").to_vec(),
            false => newest(client, &query, options.limit)?,
        };
        let mut fresh: Vec<&Value> = cases
            .iter()
            .filter(|case| {
                shown.insert(text(case, "/reference").into(), (*case).to_string()) != Some((*case).to_string())
            })
            .collect();
        if options.follow {
            // What is newest stands last, next to what comes.
            fresh.reverse();
        }
        for case in fresh {
            if options.json { println!("{case}") } else { println!("{}", row(&mut table, case)) }
        }
        if !options.follow {
            if cases.is_empty() && !options.json {
                eprintln!("no cases{}", if query.len() > 1 { " match" } else { " yet" });
            }
            return Ok(());
        }
        std::thread::sleep(EVERY);
    }
}

/// The newest cases. A page of a search may have fewer than were asked for, or none, and still not be the last.
fn newest(client: &Client, query: &[(&str, &str)], limit: u32) -> Result<Vec<Value>> {
    let wanted = usize::try_from(limit)?;
    let mut page = client.get("cases", query)?;
    let mut cases = items(&page, "/cases").to_vec();
    while let Some(next) = page.get("next").and_then(Value::as_str).filter(|_| cases.len() < wanted) {
        let rest = (wanted - cases.len()).to_string();
        let mut query: Vec<_> = query.iter().copied().filter(|(name, _)| *name != "limit").collect();
        query.extend([("limit", rest.as_str()), ("after", next)]);
        page = client.get("cases", &query)?;
        cases.extend_from_slice(items(&page, "/cases"));
    }
    Ok(cases)
}

fn row(table: &mut Table, case: &Value) -> String {
    let tasks: Vec<&str> = items(case, "/tasks").iter().map(|task| text(task, "/task")).collect();
    table.row(&[
        text(case, "/reference"),
        text(case, "/status"),
        &time(text(case, "/updated_at")),
        text(case, "/channel"),
        &contact(case),
        text(case, "/department"),
        &tasks.join(","),
        text(case, "/subject"),
    ])
}

/// A name, else a handle, else a dash: withheld numbers are fine.
fn contact(case: &Value) -> String {
    let name = text(case, "/contact/name");
    let handle = items(case, "/contact/handles").first().and_then(Value::as_str).unwrap_or("-");
    if name.is_empty() { handle.to_owned() } else { name.to_owned() }
}

/// Shows one case.
pub(crate) fn show(client: &Client, options: &CaseOptions) -> Result<()> {
    let case = client.get(&format!("cases/{}", percent(&options.reference)), &[])?;
    if options.json {
        println!("{case:#}");
    } else {
        print!("{}", page(&case));
    }
    Ok(())
}

fn page(case: &Value) -> String {
    let mut out = format!("Case {}  {}\n", text(case, "/reference"), text(case, "/status"));
    for (label, pointer) in [
        ("subject", "/subject"),
        ("channel", "/channel"),
        ("department", "/department"),
        ("service", "/service_code"),
        ("assignee", "/assignee"),
    ] {
        line(&mut out, label, text(case, pointer));
    }
    line(&mut out, "contact", &contact(case));
    let handles: Vec<&str> = items(case, "/contact/handles").iter().filter_map(Value::as_str).collect();
    line(&mut out, "handles", &handles.join(", "));
    line(&mut out, "opened", &time(text(case, "/opened_at")));
    line(&mut out, "updated", &time(text(case, "/updated_at")));
    line(&mut out, "answered", &time(text(case, "/first_response_at")));
    section(&mut out, "To do", items(case, "/tasks"), |task| {
        format!("{}  {} {}", time(text(task, "/created_at")), text(task, "/task"), text(task, "/handle"))
    });
    section(&mut out, "Events", items(case, "/events"), event);
    section(&mut out, "Replies", items(case, "/replies"), reply);
    section(&mut out, "Notes", items(case, "/notes"), |note| {
        format!("{}  {}: {}", time(text(note, "/at")), text(note, "/author"), text(note, "/text"))
    });
    section(&mut out, "History", items(case, "/history"), |entry| {
        let before = text(entry, "/before");
        let before = if before.is_empty() { "-" } else { before };
        format!(
            "{}  {}: {} {before} -> {}",
            time(text(entry, "/at")),
            text(entry, "/author"),
            text(entry, "/field"),
            text(entry, "/after")
        )
    });
    out
}

/// One reply on one line: when, what became of it, who wrote what.
fn reply(reply: &Value) -> String {
    let mut line = format!("{}  {:8}", time(text(reply, "/created_at")), text(reply, "/state"));
    let delivery = text(reply, "/delivery/status");
    if !delivery.is_empty() {
        line.push_str(&format!("  {delivery}"));
    }
    let automatic = reply.get("automatic") == Some(&Value::Bool(true));
    line.push_str(&match automatic {
        true => "  automatic acknowledgement".to_owned(),
        false => format!("  {}: {}", text(reply, "/author"), text(reply, "/text")),
    });
    let reason = text(reply, "/reason");
    if !reason.is_empty() {
        line.push_str(&format!("  ({reason})"));
    }
    line
}

/// One event on one line: when, what, and what was said.
pub(crate) fn event(event: &Value) -> String {
    let mut line = format!("{}  {:15}", time(text(event, "/received_at")), text(event, "/kind"));
    for (label, pointer) in [("", "/text"), ("keyed ", "/dtmf"), ("", "/status"), ("recording ", "/recording_id")] {
        let value = text(event, pointer);
        if !value.is_empty() {
            line.push_str(&format!("  {label}{value}"));
        }
    }
    // What they say of themselves and nobody has proved.
    for claimed in items(event, "/claimed") {
        line.push_str(&format!("  also {}", text(claimed, "/value")));
    }
    if let Some(seconds) = event.get("duration_s").and_then(Value::as_u64) {
        line.push_str(&format!("  {seconds} s"));
    }
    line
}

fn line(out: &mut String, label: &str, value: &str) {
    if !value.is_empty() {
        out.push_str(&format!("  {label:11} {}\n", clean(value)));
    }
}

fn section(out: &mut String, title: &str, entries: &[Value], show: impl Fn(&Value) -> String) {
    if !entries.is_empty() {
        out.push_str(&format!("\n{title}\n"));
        entries.iter().for_each(|entry| out.push_str(&format!("  {}\n", clean(show(entry).trim_end()))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_case_page_shows_what_was_said_and_what_is_to_do_and_omits_what_is_absent() {
        let case = json!({
            "reference": "482-109-3726", "status": "new", "channel": "telephony", "opened_at": "2026-11-21T20:00:00Z",
            "updated_at": "2026-11-21T20:00:00Z", "tasks": [{"task": "call_back", "handle": "+34600000001", "created_at": "2026-11-21T20:00:00Z"}],
            "events": [{"kind": "call.input", "received_at": "2026-11-21T20:00:00Z", "text": "una farola\u{1b}[2J", "claimed": [{"scheme": "phone", "value": "+34600000002"}]}],
            "contact": {"name": "Ana", "handles": ["+34600000001", "ana@example.org"]},
        });
        let page = page(&case);
        assert!(page.starts_with("Case 482-109-3726  new\n"), "{page}");
        assert!(
            page.contains("call_back +34600000001") && page.contains("una farola [2J  also +34600000002"),
            "{page}"
        );
        assert!(page.contains("  contact     Ana\n  handles     +34600000001, ana@example.org\n"), "{page}");
        assert!(!page.contains("subject") && !page.contains("Notes") && !page.contains('\u{1b}'), "{page}");
    }

    #[test]
    fn a_reply_shows_what_became_of_it() {
        let sent = json!({"created_at": "2026-11-21T20:00:00Z", "state": "sent", "author": "ana", "text": "ya", "delivery": {"status": "read"}});
        assert_eq!(reply(&sent), "2026-11-21 20:00:00  sent      read  ana: ya");
        let failed =
            json!({"created_at": "2026-11-21T20:00:00Z", "state": "failed", "automatic": true, "reason": "why"});
        assert_eq!(reply(&failed), "2026-11-21 20:00:00  failed    automatic acknowledgement  (why)");
    }

    #[test]
    fn a_withheld_number_is_a_dash() {
        assert_eq!(contact(&json!({})), "-");
        assert_eq!(contact(&json!({"contact": {"handles": ["+34600000001"]}})), "+34600000001");
        assert_eq!(contact(&json!({"contact": {"name": "Ana", "handles": ["+34600000001"]}})), "Ana");
    }
}
