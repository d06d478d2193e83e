//! A reply as `sendMessage`. The bot's token is part of the URL: it is named there, never written.

use channel_sdk::refusal::refusal;
use channel_sdk::types::{Call, CallHeader, Context, Outgoing, Part, Refusal, RefusalReason};
use serde_json::{Value, json};

use crate::wire::{HOST, MAX_TEXT};

/// Puts an answer into the Bot API's words.
pub(crate) fn render(message: &Outgoing, _: &Context) -> Result<Vec<Call>, Refusal> {
    if message.text.trim().is_empty() {
        return Err(refusal(RefusalReason::Unsupported, "there is no text to send"));
    }
    if message.text.encode_utf16().count() > MAX_TEXT as usize {
        return Err(refusal(RefusalReason::TooLarge, format!("the text is longer than {MAX_TEXT} characters")));
    }
    let mut body = address(message).ok_or_else(|| {
        refusal(RefusalReason::Unsupported, "there is no Telegram chat to answer in: a bot can't begin a conversation")
    })?;
    body["text"] = message.text.as_str().into();
    body["link_preview_options"] = json!({"is_disabled": true});
    let literal = |text: &str| Part::Literal(text.as_bytes().to_vec());
    Ok(vec![Call {
        method: "POST".into(),
        url: vec![literal(&format!("https://{HOST}/bot")), Part::Secret("bot_token".into()), literal("/sendMessage")],
        headers: vec![CallHeader { name: "content-type".into(), value: vec![literal("application/json")] }],
        body: vec![literal(&body.to_string())],
        message_id_pointer: Some("/result/message_id".into()),
    }])
}

/// Chat, topic, connection and the message answered, from what is stored. A private chat has the id of its user.
fn address(message: &Outgoing) -> Option<Value> {
    let own = (message.recipient.scheme == "telegram").then_some(message.recipient.value.as_str());
    let conversation = message.conversation_id.as_deref().or(own)?;
    let (place, business) = match conversation.split_once('@') {
        Some((place, business)) => (place, Some(business)),
        None => (conversation, None),
    };
    let (chat, topic) = match place.split_once('/') {
        Some((chat, topic)) => (chat, Some(topic)),
        None => (place, None),
    };
    let chat: i64 = chat.parse().ok()?;
    let mut body = json!({"chat_id": chat});
    if let Some(topic) = topic.and_then(|topic| topic.parse::<i64>().ok()) {
        body["message_thread_id"] = topic.into();
    }
    if let Some(business) = business {
        body["business_connection_id"] = business.into();
    }
    let answered = message.in_reply_to.as_deref().and_then(|id| id.split_once(':'));
    if let Some((of, id)) = answered
        && of.parse() == Ok(chat)
        && let Ok(id) = id.parse::<i64>()
    {
        // The answer goes out even if the person has deleted the question.
        body["reply_parameters"] = json!({"message_id": id, "allow_sending_without_reply": true});
    }
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use channel_sdk::json::parse_profile;
    use channel_sdk::types::Handle;

    fn sent(change: impl FnOnce(&mut Outgoing)) -> Result<(Vec<Part>, Value), RefusalReason> {
        let mut message = Outgoing {
            id: "out-1".into(),
            case_reference: None,
            recipient: Handle { scheme: "telegram".into(), value: "4503599627370497".into() },
            sender: None,
            subject: None,
            text: "Ja est\u{e0} arreglat".into(),
            language: None,
            in_reply_to: None,
            conversation_id: None,
            thread_id: None,
            references: vec![],
            last_inbound_at: None,
            automatic: false,
            answers: None,
            now: 0,
        };
        change(&mut message);
        let context = Context {
            tenant: "t".into(),
            public_url: String::new(),
            settings: vec![],
            secrets: vec![],
            profile: parse_profile(&json!({"tenant": "t", "name": "T", "languages": ["es"]})).unwrap(),
        };
        let call = render(&message, &context).map_err(|refusal| refusal.reason)?.remove(0);
        let Some(Part::Literal(body)) = call.body.first() else { panic!("{:?}", call.body) };
        Ok((call.url, serde_json::from_slice(body).unwrap()))
    }

    #[test]
    fn the_token_is_named_in_the_url_and_the_chat_keeps_every_digit() {
        let (url, body) = sent(|_| {}).unwrap();
        assert_eq!(url.get(1), Some(&Part::Secret("bot_token".into())));
        assert_eq!(body["chat_id"].to_string(), "4503599627370497");
        assert_eq!(body["text"], "Ja est\u{e0} arreglat");
    }

    #[test]
    fn an_answer_in_a_group_goes_to_its_topic_and_quotes_the_question() {
        let (_, body) = sent(|message| {
            message.conversation_id = Some("-1001234567890/9@bc-1".into());
            message.in_reply_to = Some("-1001234567890:42".into());
        })
        .unwrap();
        assert_eq!(body["chat_id"].to_string(), "-1001234567890");
        assert_eq!(body["message_thread_id"], 9);
        assert_eq!(body["business_connection_id"], "bc-1");
        assert_eq!(body["reply_parameters"]["message_id"], 42);
    }

    #[test]
    fn a_message_of_another_chat_is_not_quoted() {
        let (_, body) = sent(|message| message.in_reply_to = Some("-5:42".into())).unwrap();
        assert_eq!(body.get("reply_parameters"), None);
    }

    #[test]
    fn what_can_not_be_sent_is_refused() {
        assert_eq!(sent(|message| message.recipient.scheme = "phone".into()).unwrap_err(), RefusalReason::Unsupported);
        assert_eq!(sent(|message| message.text = " ".into()).unwrap_err(), RefusalReason::Unsupported);
        assert_eq!(sent(|message| message.text = "\u{1f600}".repeat(2049)).unwrap_err(), RefusalReason::TooLarge);
    }
}
