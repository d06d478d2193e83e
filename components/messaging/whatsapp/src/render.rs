//! A reply as a call of `POST /{phone_number_id}/messages`.

use channel_sdk::refusal::refusal;
use channel_sdk::types::{Call, CallHeader, Context, Outgoing, Part, Refusal, RefusalReason};
use serde_json::{Value, json};

use crate::wire::{HOST, MAX_TEXT, WINDOW_S};

/// Puts an answer into the Cloud API's words.
pub(crate) fn render(message: &Outgoing, context: &Context) -> Result<Vec<Call>, Refusal> {
    let unsupported = |detail: &str| refusal(RefusalReason::Unsupported, detail);
    if message.text.trim().is_empty() {
        return Err(unsupported("there is no text to send"));
    }
    if message.text.encode_utf16().count() > MAX_TEXT as usize {
        return Err(refusal(RefusalReason::TooLarge, format!("the text is longer than {MAX_TEXT} characters")));
    }
    if !window_is_open(message) {
        let detail = "the person's last message is more than 24 hours old: only an approved template or another channel reaches them now";
        return Err(refusal(RefusalReason::WindowClosed, detail));
    }
    let line = line(message, context)
        .ok_or_else(|| unsupported("no telephone number to send from: set phone_number_id for this tenant"))?;
    let mut body =
        address(message).ok_or_else(|| unsupported("the recipient is no telephone number and no WhatsApp id"))?;
    body["messaging_product"] = "whatsapp".into();
    body["recipient_type"] = "individual".into();
    body["type"] = "text".into();
    body["text"] = json!({"body": message.text, "preview_url": false});
    // Comes back with every status: it is ours even if the answer to this call was lost.
    body["biz_opaque_callback_data"] = message.id.as_str().into();
    if let Some(id) = message.in_reply_to.as_deref().filter(|id| id.starts_with("wamid.")) {
        body["context"] = json!({"message_id": id});
    }
    Ok(vec![call(&line, &body, context)])
}

fn call(line: &str, body: &Value, context: &Context) -> Call {
    let setting = |name: &str| context.settings.iter().find(|setting| setting.name == name);
    let version = setting("graph_version").map(|setting| setting.value.as_str()).filter(|version| is_version(version));
    let url = format!("https://{HOST}/{}/{line}/messages", version.unwrap_or("v25.0"));
    let mut url = vec![literal(&url)];
    if context.secrets.iter().any(|name| name == "appsecret_proof") {
        url.extend([literal("?appsecret_proof="), Part::Secret("appsecret_proof".into())]);
    }
    let header = |name: &str, value| CallHeader { name: name.into(), value };
    Call {
        method: "POST".into(),
        url,
        headers: vec![
            header("authorization", vec![literal("Bearer "), Part::Secret("access_token".into())]),
            header("content-type", vec![literal("application/json")]),
        ],
        body: vec![literal(&body.to_string())],
        message_id_pointer: Some("/messages/0/id".into()),
    }
}

fn literal(text: &str) -> Part {
    Part::Literal(text.as_bytes().to_vec())
}

fn is_version(version: &str) -> bool {
    version.starts_with('v') && version.bytes().skip(1).all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Nothing heard is as good as a closed window: a conversation the administration begins needs a template.
fn window_is_open(message: &Outgoing) -> bool {
    let window = i64::from(WINDOW_S) * 1000;
    message.last_inbound_at.is_some_and(|last| message.now.checked_sub(last).is_some_and(|age| age < window))
}

/// The number the person wrote to, so that the answer comes in the same chat.
fn line(message: &Outgoing, context: &Context) -> Option<String> {
    let of_conversation = message.conversation_id.as_deref().and_then(|id| id.split_once(':')).map(|(line, _)| line);
    let of_settings =
        context.settings.iter().find(|setting| setting.name == "phone_number_id").map(|setting| setting.value.as_str());
    let is_id = |id: &&str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    of_conversation.filter(is_id).or(of_settings.filter(is_id)).map(str::to_owned)
}

/// `to` takes digits. A BSUID there is accepted and silently dropped: it goes into `recipient`.
fn address(message: &Outgoing) -> Option<Value> {
    let value = message.recipient.value.as_str();
    let digits = value.strip_prefix('+').unwrap_or(value);
    if (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let known = matches!(message.recipient.scheme.as_str(), "phone" | "whatsapp");
        return known.then(|| json!({"to": digits}));
    }
    let is_user_id = value.contains('.') && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    (message.recipient.scheme == "whatsapp" && is_user_id).then(|| json!({"recipient": value}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use channel_sdk::json::parse_profile;
    use channel_sdk::types::{Handle, Setting};

    const NOW: i64 = 1_795_255_200_000;

    fn context() -> Context {
        Context {
            tenant: "t".into(),
            public_url: "https://city.example/messaging/whatsapp/t".into(),
            settings: vec![Setting { name: "phone_number_id".into(), value: "777".into() }],
            secrets: vec!["app_secret".into(), "access_token".into()],
            profile: parse_profile(&json!({"tenant": "t", "name": "T", "languages": ["es"]})).unwrap(),
        }
    }

    fn outgoing(scheme: &str, value: &str) -> Outgoing {
        Outgoing {
            id: "out-1".into(),
            case_reference: None,
            recipient: Handle { scheme: scheme.into(), value: value.into() },
            sender: None,
            subject: None,
            text: "Su caso est\u{e1} resuelto".into(),
            language: None,
            in_reply_to: Some("wamid.A1".into()),
            conversation_id: Some("106540352242922:ES.42".into()),
            thread_id: None,
            references: vec![],
            last_inbound_at: Some(NOW - 1000),
            automatic: false,
            answers: None,
            now: NOW,
        }
    }

    fn sent(message: &Outgoing, context: &Context) -> (String, Value) {
        let calls = render(message, context).unwrap();
        let [call] = calls.as_slice() else { panic!("one call") };
        let text = |parts: &[Part]| {
            parts.iter().fold(String::new(), |text, part| match part {
                Part::Literal(bytes) => text + std::str::from_utf8(bytes).unwrap(),
                Part::Secret(name) => text + "<" + name + ">",
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(text(&call.headers[0].value), "Bearer <access_token>");
        (text(&call.url), serde_json::from_str(&text(&call.body)).unwrap())
    }

    #[test]
    fn a_reply_quotes_the_message_and_leaves_by_the_number_written_to() {
        let (url, body) = sent(&outgoing("phone", "+34600111222"), &context());
        assert_eq!(url, "https://graph.facebook.com/v25.0/106540352242922/messages");
        assert_eq!(body["to"], "34600111222");
        assert_eq!(body["context"]["message_id"], "wamid.A1");
        assert_eq!(body["text"]["body"], "Su caso est\u{e1} resuelto");
    }

    #[test]
    fn a_person_without_a_number_is_addressed_as_recipient_not_to() {
        let (_, body) = sent(&outgoing("whatsapp", "ES.13491208655302741918"), &context());
        assert_eq!(body["recipient"], "ES.13491208655302741918");
        assert_eq!(body.get("to"), None);
    }

    #[test]
    fn a_window_of_24_hours_is_closed_after_24_hours() {
        let reason = |last| {
            let message = Outgoing { last_inbound_at: last, ..outgoing("phone", "+34600111222") };
            render(&message, &context()).map(|_| ()).map_err(|refusal| refusal.reason)
        };
        assert_eq!(reason(Some(NOW - 86_399_999)), Ok(()));
        assert_eq!(reason(Some(NOW - 86_400_000)), Err(RefusalReason::WindowClosed));
        assert_eq!(reason(Some(i64::MIN)), Err(RefusalReason::WindowClosed));
        assert_eq!(reason(None), Err(RefusalReason::WindowClosed));
    }

    #[test]
    fn what_can_not_be_sent_is_refused() {
        let reason = |message: Outgoing| render(&message, &context()).unwrap_err().reason;
        assert_eq!(reason(outgoing("email", "a@example.org")), RefusalReason::Unsupported);
        assert_eq!(reason(outgoing("whatsapp", "ES.42/../x")), RefusalReason::Unsupported);
        let long = Outgoing { text: "\u{1f600}".repeat(2049), ..outgoing("phone", "+34600111222") };
        assert_eq!(reason(long), RefusalReason::TooLarge);
        let empty = Outgoing { text: " ".into(), ..outgoing("phone", "+34600111222") };
        assert_eq!(reason(empty), RefusalReason::Unsupported);
    }

    #[test]
    fn a_conversation_that_is_no_number_never_reaches_the_path() {
        let message = Outgoing { conversation_id: Some("../me:x".into()), ..outgoing("phone", "+34600111222") };
        assert_eq!(sent(&message, &context()).0, "https://graph.facebook.com/v25.0/777/messages");
        let context = Context { settings: vec![], ..context() };
        assert_eq!(render(&message, &context).unwrap_err().reason, RefusalReason::Unsupported);
    }

    #[test]
    fn the_proof_of_the_app_secret_is_sent_when_the_operator_has_set_it() {
        let mut context = context();
        context.secrets.push("appsecret_proof".into());
        let (url, _) = sent(&outgoing("phone", "+34600111222"), &context);
        assert!(url.ends_with("/messages?appsecret_proof=<appsecret_proof>"), "{url}");
    }
}
