//! `ventanilla ledger`: whether what came in adds up, and whether anything was changed since.

use crate::cli::LedgerOptions;
use crate::client::Client;
use crate::failure::failure;
use crate::output::{Table, items, text, time};
use anyhow::Result;
use serde_json::{Map, Value};

const COLUMNS: &[(&str, usize)] = &[
    ("FROM", 16),
    ("CONNECTOR", 20),
    ("RECEIVED", 8),
    ("ACCEPTED", 8),
    ("QUARANTINED", 11),
    ("PENDING", 7),
    ("REPEATED", 8),
    ("ANSWERED", 8),
    ("EVENTS", 8),
    ("DUPLICATES", 10),
];
const NAMES: [&str; 8] =
    ["received", "accepted", "quarantined", "pending", "repeated", "answered", "events", "duplicates"];

/// Shows it, and fails if it does not add up or the chain does not hold.
pub(crate) fn run(client: &Client, options: &LedgerOptions) -> Result<()> {
    let given = [("from", &options.from), ("to", &options.to), ("by", &options.by), ("connector", &options.connector)];
    let query: Vec<_> = given.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let ledger = client.get("ledger", &query)?;
    let examined = options.verify || options.head.is_some();
    let verified = examined.then(|| verify(client, options.head.as_deref())).transpose()?;
    if options.json {
        let mut all = ledger.clone();
        if let (Some(verified), Some(members)) = (&verified, all.as_object_mut()) {
            members.insert("verified".into(), verified.clone());
        }
        println!("{all}");
    } else {
        table(&ledger);
        if let Some(connector) = options.connector.as_deref().filter(|_| items(&ledger, "/ledger").is_empty()) {
            eprintln!(
                "nothing ever came in by {connector}: without --connector the ledger names all that something came in by"
            );
        }
        if let Some(verified) = &verified {
            told(verified);
        }
    }
    judge(&ledger, verified.as_ref())
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn table(ledger: &Value) {
    let mut table = Table::new(COLUMNS);
    let mut row = |from: &str, connector: &str, line: &Value| {
        let counts = NAMES.map(|name| number(line, name).to_string());
        let mut cells = vec![from, connector];
        cells.extend(counts.iter().map(String::as_str));
        println!("{}", table.row(&cells));
    };
    let lines = items(ledger, "/periods");
    for line in lines {
        let from = time(text(line, "/local_from"));
        row(if from.is_empty() { "-" } else { &from }, text(line, "/connector"), line);
    }
    if lines.len() != 1 {
        row("in all", "", ledger.get("sum").unwrap_or(&Value::Null));
    }
    let head = ledger.get("head").map_or(0, |head| number(head, "number"));
    println!(
        "\n{} envelopes are stored: {} sealed, {} waiting for their seal\n{} were counted as they came, of all time: {} sealed, {} waiting: {}",
        number(ledger, "stored"),
        number(ledger, "sealed"),
        number(ledger, "waiting"),
        number(ledger, "counted"),
        head,
        number(ledger, "unsealed"),
        if adds_up(ledger) { "it adds up" } else { "IT DOES NOT ADD UP" }
    );
    if number(ledger, "spooled") > 0 {
        println!("{} more wait in the spool for the store", number(ledger, "spooled"));
    }
    if head > 0 {
        println!("head {head}:{}", text(ledger, "/head/link"));
    }
}

fn adds_up(ledger: &Value) -> bool {
    ledger.get("adds_up") == Some(&Value::Bool(true))
}

/// Examines the whole chain, part by part: `{"examined", "findings", "head"}`.
fn verify(client: &Client, head: Option<&str>) -> Result<Value> {
    let mut verified = Map::new();
    let (mut findings, mut erased) = (Vec::new(), 0);
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![("limit", "500")];
        match &after {
            Some(after) => query.push(("after", after)),
            None => query.extend(head.map(|head| ("head", head))),
        }
        let part = client.get("ledger/verify", &query)?;
        findings.extend(items(&part, "/findings").iter().cloned());
        erased += number(&part, "erased");
        if let Some(standing) = part.get("head") {
            verified.insert("head".into(), standing.clone());
        }
        match part.get("next").and_then(Value::as_str) {
            Some(next) => after = Some(next.to_owned()),
            None => {
                verified.insert("examined".into(), number(&part, "upto").into());
                verified.insert("findings".into(), findings.into());
                verified.insert("erased".into(), erased.into());
                return Ok(verified.into());
            }
        }
    }
}

fn told(verified: &Value) {
    println!();
    let findings = items(verified, "/findings");
    for finding in findings {
        let (number, envelope) = (number(finding, "number"), text(finding, "/envelope"));
        match text(finding, "/fault") {
            "gap" => println!("number {number}: its seal is gone"),
            "broken" => println!("number {number}: its seal does not follow from the one before (envelope {envelope})"),
            "missing" => println!("number {number}: envelope {envelope} is gone"),
            "changed" => println!("number {number}: envelope {envelope} is not what was sealed"),
            "unrecorded" => {
                println!("number {number}: envelope {envelope} is marked as erased, and the audit does not tell of it")
            }
            "added" => println!("after number {number}: envelope {envelope} was put in later"),
            other => println!("number {number}: {other} (envelope {envelope})"),
        }
    }
    let outcome = if findings.is_empty() {
        "all as they were sealed".to_owned()
    } else {
        format!("FINDINGS: {}", findings.len())
    };
    println!("{} envelopes examined, and the chain over them: {outcome}", number(verified, "examined"));
    if number(verified, "erased") > 0 {
        println!(
            "{} of them were erased, as `ventanilla audit` says; their digests are in the chain",
            number(verified, "erased")
        );
    }
    match text(verified, "/head") {
        "holds" => println!("the head that was kept holds"),
        "differs" => println!("THE HEAD THAT WAS KEPT HAS ANOTHER LINK NOW"),
        "gone" => println!("THE HEAD THAT WAS KEPT IS NOT THERE"),
        _ => {}
    }
}

fn judge(ledger: &Value, verified: Option<&Value>) -> Result<()> {
    let keep = "keep the database as it is and compare it with a backup: docs/ledger.md says what each of them means";
    let findings = verified.map_or(0, |verified| items(verified, "/findings").len());
    if findings > 0 {
        return Err(failure(format!("something was changed after it had been sealed (findings: {findings})"), keep));
    }
    match verified.map_or("", |verified| text(verified, "/head")) {
        "differs" => Err(failure("the head that was kept has another link now: the chain was made anew", keep)),
        "gone" => {
            Err(failure("the head that was kept is not there: the end was cut off, or this is an older copy", keep))
        }
        _ if adds_up(ledger) => Ok(()),
        _ => Err(failure(
            "the ledger does not add up: envelopes or seals were taken away or added by somebody else",
            "see which with `ventanilla ledger --verify`, and keep the database as it is",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_adds_up_and_is_as_it_was_sealed_is_a_success() {
        let good = json!({"adds_up": true});
        let holds = json!({"findings": [], "head": "holds"});
        assert!(judge(&good, None).is_ok() && judge(&good, Some(&holds)).is_ok());
        assert!(judge(&json!({"adds_up": false}), None).is_err());
        assert!(judge(&json!({}), Some(&holds)).is_err());
        for bad in [
            json!({"findings": [{"fault": "gap", "number": 1}]}),
            json!({"findings": [], "head": "differs"}),
            json!({"findings": [], "head": "gone"}),
        ] {
            assert!(judge(&good, Some(&bad)).is_err(), "{bad}");
        }
    }
}
