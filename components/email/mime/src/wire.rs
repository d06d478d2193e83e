//! The envelope, which a message's bytes do not hold.

use channel_sdk::forms::{self, Form};
use channel_sdk::mail::Envelope;
use channel_sdk::types::Request;

/// Headers first, then the query (`?from=…&to=…`), for senders that can't set headers.
pub(crate) fn envelope(request: &Request) -> Envelope {
    let header = |name: &str| -> Vec<String> {
        request
            .headers
            .iter()
            .filter(|header| header.name == name)
            .take(50)
            .map(|header| forms::text(&header.value))
            .collect()
    };
    let query = Form::parse(request.query.as_deref().unwrap_or_default().as_bytes()).unwrap_or_default();
    let parameter = |name: &str| -> Vec<String> {
        query
            .pairs()
            .iter()
            .filter(|pair| pair.name == name.as_bytes())
            .take(50)
            .map(|pair| forms::text(&pair.value))
            .collect()
    };
    let either = |name: &str, query: &str| {
        Some(header(name)).filter(|values| !values.is_empty()).unwrap_or_else(|| parameter(query))
    };
    let from = either("x-envelope-from", "from");
    Envelope::new(from.first().map(String::as_str), &either("x-envelope-to", "to"))
}
