//! Replies: a complete message, posted to a submission relay.

use channel_sdk::mail;
use channel_sdk::refusal::refusal;
use channel_sdk::types::{Call, CallHeader, Context, Outgoing, Part, Refusal, RefusalReason};

/// In characters: far below what mail servers take.
pub(crate) const MAX_TEXT: u32 = 100_000;

pub(crate) fn render(message: &Outgoing, context: &Context) -> Result<Vec<Call>, Refusal> {
    let setting = |name: &str| {
        context
            .settings
            .iter()
            .find(|setting| setting.name == name)
            .map(|setting| setting.value.trim())
            .filter(|value| !value.is_empty())
    };
    let unsupported = |detail: &str| refusal(RefusalReason::Unsupported, detail);
    let url = setting("submit_url")
        .ok_or_else(|| unsupported("replies are not set up: set `submit_url` to the submission relay, and `from`"))?;
    if !(url.starts_with("https://") || url.starts_with("http://"))
        || url.contains(|c: char| c.is_whitespace() || c.is_control())
    {
        return Err(unsupported("`submit_url` is no http or https URL"));
    }
    if message.text.chars().count() > MAX_TEXT as usize {
        return Err(unsupported("the text is longer than 100000 characters"));
    }
    let from = setting("from").or(message.sender.as_deref()).unwrap_or_default();
    let composed = mail::compose(message, from, setting("from_name").unwrap_or(&context.profile.name))?;
    let header = |name: &str, value: &str| CallHeader {
        name: name.into(),
        value: vec![Part::Literal(value.as_bytes().to_vec())],
    };
    let mut headers = vec![
        header("content-type", "message/rfc822"),
        header("x-envelope-from", if composed.envelope_from.is_empty() { "<>" } else { &composed.envelope_from }),
        header("x-envelope-to", &composed.envelope_to),
        // The relay sends one id once, however often we ask.
        header("idempotency-key", &composed.message_id),
    ];
    if context.secrets.iter().any(|name| name == "submit_token") {
        headers.push(CallHeader {
            name: "authorization".into(),
            value: vec![Part::Literal(b"Bearer ".to_vec()), Part::Secret("submit_token".into())],
        });
    }
    Ok(vec![Call {
        method: "POST".into(),
        url: vec![Part::Literal(url.as_bytes().to_vec())],
        headers,
        body: vec![Part::Literal(composed.raw)],
        message_id_pointer: Some("/message_id".into()),
    }])
}
