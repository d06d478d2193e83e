//! The suite's requests as a provider sends them, for a benchmark: those that give events and need nothing fetched; of a connector
//! that has none of these (each request's key is fetched first), those that do, with what is answered to it.

use std::path::Path;

use channel_sdk::types::Fetched;
use serde_json::{Map, Value, json};

use super::story::{self, Story};

/// One request with whom it is for.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The story's name.
    pub name: String,
    /// In capitals.
    pub method: String,
    /// What follows the connector's base: suffix and query.
    pub target: String,
    /// As received.
    pub headers: Vec<(String, Vec<u8>)>,
    /// As received.
    pub body: Vec<u8>,
    /// When, in milliseconds since the epoch.
    pub received_at: i64,
}

/// What a connector's tests have.
#[derive(Debug, Clone)]
pub struct Deliveries {
    /// In the order of their names.
    pub deliveries: Vec<Delivery>,
    /// The gateway's settings of the tests' tenant, with the tests' secrets.
    pub settings: Value,
    /// Its profile, as the API takes it.
    pub profile: Value,
    /// What others answer to the gateway, if these deliveries need it.
    pub answers: Vec<Answer>,
}

/// What is answered to a `GET` of the gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// All of it, with its scheme.
    pub url: String,
    /// HTTP's.
    pub status: u16,
    /// As sent.
    pub headers: Vec<(String, Vec<u8>)>,
    /// As sent.
    pub body: Vec<u8>,
}

/// Reads `testdata` of a connector's folder.
///
/// # Errors
///
/// Any fault in it, with the file's name.
pub fn deliveries(connector: &Path) -> Result<Deliveries, String> {
    let stories = story::read(connector)?;
    let text = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let path = connector.join("testdata/context.json");
    let shared: Map<String, Value> =
        serde_json::from_slice(&text(&path)?).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut settings = shared.get("settings").and_then(Value::as_object).cloned().unwrap_or_default();
    settings.insert("public_url".into(), stories.context.public_url.as_str().into());
    settings.extend(stories.secrets.iter().map(|(name, keys)| (name.clone(), json!(keys))));
    let mut deliveries = Vec::new();
    let mut fetching: Vec<(Delivery, Vec<Answer>)> = Vec::new();
    for story in &stories.stories {
        let expected = std::fs::read(story.folder.join("expected.json")).unwrap_or_default();
        let expected: Value = serde_json::from_slice(&expected).unwrap_or_default();
        let events = expected.get("events").and_then(Value::as_array).is_some_and(|events| !events.is_empty());
        // One of another tenant is no plain delivery.
        let plain = !story.folder.join("context.json").exists() && !story.is_resent();
        if !events || !plain || expected.get("degraded").is_some() {
            continue;
        }
        let request = &story.request;
        let query = request.query.as_ref().map_or(String::new(), |query| format!("?{query}"));
        let delivery = Delivery {
            name: story.name.clone(),
            method: request.method.clone(),
            target: format!("{}{query}", request.suffix),
            headers: request.headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect(),
            body: request.body.clone(),
            received_at: request.received_at,
        };
        if story.fetched.is_empty() {
            deliveries.push(delivery);
        } else {
            fetching.push((delivery, answers_of(story)));
        }
    }
    let mut answers: Vec<Answer> = Vec::new();
    if deliveries.is_empty() {
        for (delivery, wanted) in fetching {
            // Stories may have the same address answered in different ways: one of them is played.
            let other = |new: &Answer| answers.iter().any(|known| known.url == new.url && known != new);
            if !wanted.iter().any(other) {
                answers.extend(wanted);
                deliveries.push(delivery);
            }
        }
    }
    let profile = shared.get("profile").cloned().unwrap_or_default();
    Ok(Deliveries { deliveries, settings: settings.into(), profile, answers })
}

fn answers_of(story: &Story) -> Vec<Answer> {
    let headers = |fetched: &Fetched| -> Vec<_> {
        fetched.headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect()
    };
    let answer = |fetched: &Fetched| Answer {
        url: fetched.url.clone(),
        status: fetched.status,
        headers: headers(fetched),
        body: fetched.body.clone(),
    };
    story.fetched.iter().map(answer).collect()
}
