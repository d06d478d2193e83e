//! A reply where the person wrote: under a comment, in Messenger, on Instagram.

use channel_sdk::refusal::refusal;
use channel_sdk::types::{Call, CallHeader, Context, Outgoing, Part, Refusal, RefusalReason};
use serde_json::{Value, json};

use crate::wire::{Conversation, MAX_TEXT, Surface, WINDOW_S, base, has_secret, is_id, literal};

/// Puts an answer into the Graph API's words.
pub(crate) fn render(message: &Outgoing, context: &Context) -> Result<Vec<Call>, Refusal> {
    let unsupported = |detail: &str| refusal(RefusalReason::Unsupported, detail);
    if message.text.trim().is_empty() {
        return Err(unsupported("there is no text to send"));
    }
    let conversation = message
        .conversation_id
        .as_deref()
        .and_then(Conversation::parse)
        .ok_or_else(|| unsupported("there is no conversation to answer in: a page can't begin one"))?;
    let limit = match conversation.surface {
        // Counted in bytes there.
        Surface::InstagramDirect => (message.text.len(), 1000, "bytes"),
        Surface::Messenger => (message.text.encode_utf16().count(), MAX_TEXT as usize, "characters"),
        Surface::InstagramComment | Surface::InstagramMention => {
            (message.text.encode_utf16().count(), 2200, "characters")
        }
        Surface::Feed | Surface::Mention => (message.text.encode_utf16().count(), 8000, "characters"),
    };
    if limit.0 > limit.1 {
        return Err(refusal(RefusalReason::TooLarge, format!("the text is longer than {} {}", limit.1, limit.2)));
    }
    if conversation.is_private() && !window_is_open(message) {
        let detail =
            "the person's last message is more than 24 hours old: answer by another channel, or in the page's inbox";
        return Err(refusal(RefusalReason::WindowClosed, detail));
    }
    let answered = message.in_reply_to.as_deref();
    let comment = answered.filter(|id| is_id(id));
    let text = message.text.as_str();
    let (node, edge, body, pointer) = match conversation.surface {
        Surface::Messenger | Surface::InstagramDirect => {
            let mut body = json!({"recipient": {"id": conversation.theirs}, "message": {"text": text}});
            if conversation.surface == Surface::Messenger {
                body["messaging_type"] = "RESPONSE".into();
            }
            if let Some(mid) = answered.filter(|mid| !mid.is_empty()) {
                body["reply_to"] = json!({"mid": mid});
            }
            (conversation.ours, "messages", body, "/message_id")
        }
        Surface::Feed | Surface::Mention => {
            (comment.map_or(conversation.theirs, str::to_owned), "comments", json!({"message": text}), "/id")
        }
        Surface::InstagramComment => {
            let comment = comment.ok_or_else(|| unsupported("there is no comment to answer"))?;
            (comment.to_owned(), "replies", json!({"message": text}), "/id")
        }
        Surface::InstagramMention => {
            let mut body = json!({"media_id": conversation.theirs, "message": text});
            if let Some(comment) = comment.filter(|comment| *comment != conversation.theirs) {
                body["comment_id"] = comment.into();
            }
            (conversation.ours, "mentions", body, "/id")
        }
    };
    Ok(vec![call(&format!("{}{node}/{edge}", base(context)), &body, pointer, context)])
}

fn call(url: &str, body: &Value, pointer: &str, context: &Context) -> Call {
    let mut url = vec![literal(url)];
    if has_secret(context, "appsecret_proof") {
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
        message_id_pointer: Some(pointer.into()),
    }
}

fn window_is_open(message: &Outgoing) -> bool {
    let age = message.last_inbound_at.and_then(|last| message.now.checked_sub(last));
    age.is_some_and(|age| age < i64::from(WINDOW_S) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use channel_sdk::json::parse_profile;
    use channel_sdk::types::Handle;

    const NOW: i64 = 1_795_255_200_000;

    fn sent(
        conversation: &str,
        answered: &str,
        change: impl FnOnce(&mut Outgoing),
    ) -> Result<(String, Value), RefusalReason> {
        let mut message = Outgoing {
            id: "out-1".into(),
            case_reference: None,
            recipient: Handle { scheme: "messenger".into(), value: "777".into() },
            sender: None,
            subject: None,
            text: "Gr\u{e0}cies".into(),
            language: None,
            in_reply_to: Some(answered.into()),
            conversation_id: Some(conversation.into()),
            thread_id: None,
            references: vec![],
            last_inbound_at: Some(NOW - 86_399_999),
            automatic: false,
            answers: None,
            now: NOW,
        };
        change(&mut message);
        let context = Context {
            tenant: "t".into(),
            public_url: String::new(),
            settings: vec![],
            secrets: vec!["access_token".into(), "appsecret_proof".into()],
            profile: parse_profile(&json!({"tenant": "t", "name": "T", "languages": ["es"]})).unwrap(),
        };
        let call = render(&message, &context).map_err(|refusal| refusal.reason)?.remove(0);
        assert_eq!(call.headers[0].value[1], Part::Secret("access_token".into()));
        let [Part::Literal(url), Part::Literal(_), Part::Secret(proof)] = call.url.as_slice() else { panic!() };
        assert_eq!(proof, "appsecret_proof");
        let Some(Part::Literal(body)) = call.body.first() else { panic!("{:?}", call.body) };
        Ok((String::from_utf8(url.clone()).unwrap(), serde_json::from_slice(body).unwrap()))
    }

    #[test]
    fn every_surface_is_answered_where_the_person_wrote() {
        let text = "Gr\u{e0}cies";
        for (conversation, answered, path, body) in [
            ("feed/1/1_2", "2_3", "2_3/comments", json!({"message": text})),
            ("feed/1/1_2", "", "1_2/comments", json!({"message": text})),
            ("mention/1/9_2", "2_3", "2_3/comments", json!({"message": text})),
            (
                "messenger/1/777",
                "m_A",
                "1/messages",
                json!({"recipient": {"id": "777"}, "message": {"text": text}, "messaging_type": "RESPONSE", "reply_to": {"mid": "m_A"}}),
            ),
            (
                "instagram-direct/5/777",
                "",
                "5/messages",
                json!({"recipient": {"id": "777"}, "message": {"text": text}}),
            ),
            ("instagram-comment/5/6", "17", "17/replies", json!({"message": text})),
            (
                "instagram-mention/5/6",
                "17",
                "5/mentions",
                json!({"media_id": "6", "comment_id": "17", "message": text}),
            ),
            ("instagram-mention/5/6", "6", "5/mentions", json!({"media_id": "6", "message": text})),
        ] {
            let (url, sent) = sent(conversation, answered, |_| {}).unwrap();
            assert_eq!(url, format!("https://graph.facebook.com/v25.0/{path}"), "{conversation}");
            assert_eq!(sent, body, "{conversation}");
        }
    }

    #[test]
    fn messages_keep_their_window_and_comments_have_none() {
        let late = |message: &mut Outgoing| message.last_inbound_at = Some(NOW - 86_400_000);
        let unknown = |message: &mut Outgoing| message.last_inbound_at = None;
        assert_eq!(sent("messenger/1/777", "", late).unwrap_err(), RefusalReason::WindowClosed);
        assert_eq!(sent("instagram-direct/1/777", "", unknown).unwrap_err(), RefusalReason::WindowClosed);
        assert!(sent("feed/1/1_2", "2_3", late).is_ok());
        assert!(sent("instagram-comment/5/6", "17", unknown).is_ok());
    }

    #[test]
    fn what_can_not_be_sent_is_refused() {
        for conversation in ["", "feed/../x", "whatever/1/2"] {
            assert_eq!(sent(conversation, "1", |_| {}).unwrap_err(), RefusalReason::Unsupported, "{conversation}");
        }
        assert_eq!(sent("instagram-comment/5/6", "../me", |_| {}).unwrap_err(), RefusalReason::Unsupported);
        let long = |message: &mut Outgoing| message.text = "\u{e0}".repeat(501);
        assert_eq!(sent("instagram-direct/5/6", "", long).unwrap_err(), RefusalReason::TooLarge);
        assert!(sent("messenger/5/6", "", |message| message.text = "\u{e0}".repeat(2000)).is_ok());
    }
}
