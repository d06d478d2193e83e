//! Says what messages mean, one JSON line each: for comparing with other mail libraries (`tests/mail-reading/run.py`).
//! Standard input: a length in decimal and a line feed, then that many bytes; again and again.

use std::io::{Read as _, Write as _};

use channel_sdk::json;
use channel_sdk::mail::{self, Envelope, Letter};
use channel_sdk::types::{Context, TenantProfile, Translation};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input)?;
    let profile = TenantProfile {
        tenant: "t".into(),
        name: "T".into(),
        languages: vec![],
        greeting: vec![],
        announcement: vec![],
        departments: vec![],
        services: vec![],
        time_zone: String::new(),
        opening_hours: vec![],
        links: vec![],
        acknowledge: false,
    };
    let context = Context { tenant: "t".into(), public_url: String::new(), settings: vec![], secrets: vec![], profile };
    let mut output = std::io::stdout().lock();
    let mut rest = input.as_slice();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (length, after) = rest.split_at(end);
        let length: usize = std::str::from_utf8(length)?.trim().parse()?;
        let after = after.get(1..).unwrap_or_default();
        let message = after.get(..length).ok_or("a message is cut short")?;
        rest = after.get(length..).unwrap_or_default();
        let (events, degraded) = match mail::translation(&Letter::from_mime(message), &Envelope::default(), &context) {
            Translation::Events(events) => (events, None),
            Translation::Degraded((events, why)) => (events, Some(why)),
            Translation::Fetch(_) => return Err("mail fetches nothing".into()),
        };
        let events: Vec<_> = events.iter().map(|event| serde_json::Value::Object(json::event(event))).collect();
        writeln!(output, "{}", serde_json::json!({ "events": events, "degraded": degraded }))?;
    }
    Ok(())
}
