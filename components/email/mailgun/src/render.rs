//! Replies by the messages API.

use channel_sdk::forms;
use channel_sdk::mail;
use channel_sdk::refusal::refusal;
use channel_sdk::types::{Call, CallHeader, Context, Outgoing, Part, Refusal, RefusalReason};

pub(crate) const US: &str = "api.mailgun.net";
pub(crate) const EU: &str = "api.eu.mailgun.net";
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
    let domain =
        setting("domain").ok_or_else(|| unsupported("replies are not set up: set `domain`, `from` and `api_key`"))?;
    if !context.secrets.iter().any(|name| name == "api_key") {
        return Err(unsupported("replies are not set up: set `api_key`"));
    }
    if message.text.chars().count() > MAX_TEXT as usize {
        return Err(unsupported("the text is longer than 100000 characters"));
    }
    let headers = mail::reply_headers(message, setting("from").or(message.sender.as_deref()).unwrap_or_default())?;
    let name = setting("from_name").unwrap_or(&context.profile.name);
    let shown: String = name.chars().filter(|c| !c.is_control() && !"\"\\<>".contains(*c)).collect();
    let mut pairs: Vec<(String, String)> = vec![
        ("from".into(), format!("\"{shown}\" <{}>", headers.from)),
        ("to".into(), headers.to),
        ("subject".into(), headers.subject),
        ("text".into(), message.text.clone()),
        ("h:Message-Id".into(), headers.message_id),
    ];
    pairs.extend(headers.others.into_iter().map(|(name, value)| (format!("h:{name}"), value)));
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let host = if setting("region").is_some_and(|region| region.eq_ignore_ascii_case("eu")) { EU } else { US };
    let header = |name: &str, part: Part| CallHeader { name: name.into(), value: vec![part] };
    let literal = |text: String| Part::Literal(text.into_bytes());
    Ok(vec![Call {
        method: "POST".into(),
        url: vec![literal(format!("https://{host}/v3/{}/messages", forms::encode_component(domain)))],
        headers: vec![
            header("content-type", literal("application/x-www-form-urlencoded".into())),
            header("authorization", Part::Basic(("api".into(), "api_key".into()))),
        ],
        body: vec![literal(forms::encode(&pairs))],
        message_id_pointer: Some("/id".into()),
    }])
}
