//! A reply as `POST …/Messages.json`.

use channel_sdk::forms::encode;
use channel_sdk::refusal::refusal;
use channel_sdk::types::{Call, CallHeader, Context, Outgoing, Part, Refusal, RefusalReason};

use crate::wire::{HOST, MAX_TEXT, Network, WHATSAPP_WINDOW_MS, address};

/// Puts an answer into Twilio's words.
pub(crate) fn render(message: &Outgoing, context: &Context) -> Result<Vec<Call>, Refusal> {
    let unsupported = |detail: &str| refusal(RefusalReason::Unsupported, detail);
    if message.text.trim().is_empty() {
        return Err(unsupported("there is no text to send"));
    }
    if message.text.chars().count() > MAX_TEXT as usize {
        return Err(refusal(RefusalReason::TooLarge, format!("the text is longer than {MAX_TEXT} characters")));
    }
    let setting = |name: &str| {
        let found = context.settings.iter().find(|setting| setting.name == name).map(|setting| setting.value.as_str());
        found.filter(|value| !value.is_empty())
    };
    let account = setting("account_sid")
        .filter(|sid| sid.starts_with("AC") && sid.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        .ok_or_else(|| unsupported("no account to send from: set account_sid (AC…) for this tenant"))?;
    let (ours, theirs) = match message.conversation_id.as_deref().and_then(|id| id.split_once('|')) {
        Some((ours, theirs)) => (Some(ours.to_owned()), theirs.to_owned()),
        None => (None, recipient(message).ok_or_else(|| unsupported("the recipient is no telephone number"))?),
    };
    if address(&theirs).0 == Network::WhatsApp && !window_is_open(message) {
        let detail = "the person's last message by WhatsApp is more than 24 hours old: only an approved template or another channel reaches them now";
        return Err(refusal(RefusalReason::WindowClosed, detail));
    }
    let sender = match (&ours, setting("messaging_service_sid"), setting("from")) {
        (Some(ours), ..) if !ours.is_empty() => ("From", ours.as_str()),
        (_, Some(service), _) => ("MessagingServiceSid", service),
        (_, None, Some(from)) => ("From", from),
        (_, None, None) => return Err(unsupported("no sender: set from or messaging_service_sid for this tenant")),
    };
    let callback = format!("{}/status", context.public_url);
    let form = encode(&[("To", &theirs), sender, ("Body", &message.text), ("StatusCallback", &callback)]);
    // An API key can be taken back without touching the token that signs webhooks.
    let credentials = match setting("api_key") {
        Some(key) => Part::Basic((key.to_owned(), "api_key_secret".into())),
        None => Part::Basic((account.to_owned(), "auth_token".into())),
    };
    let literal = |text: &str| Part::Literal(text.as_bytes().to_vec());
    let header = |name: &str, value: Part| CallHeader { name: name.into(), value: vec![value] };
    Ok(vec![Call {
        method: "POST".into(),
        url: vec![literal(&format!("https://{HOST}/2010-04-01/Accounts/{account}/Messages.json"))],
        headers: vec![
            header("authorization", credentials),
            header("content-type", literal("application/x-www-form-urlencoded")),
        ],
        body: vec![literal(&form)],
        message_id_pointer: Some("/sid".into()),
    }])
}

fn recipient(message: &Outgoing) -> Option<String> {
    let value = message.recipient.value.as_str();
    match message.recipient.scheme.as_str() {
        "phone" if value.strip_prefix('+').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) => {
            Some(value.to_owned())
        }
        "whatsapp" => Some(format!("whatsapp:{value}")),
        _ => None,
    }
}

fn window_is_open(message: &Outgoing) -> bool {
    let age = message.last_inbound_at.and_then(|last| message.now.checked_sub(last));
    age.is_some_and(|age| age < WHATSAPP_WINDOW_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use channel_sdk::forms::Form;
    use channel_sdk::json::parse_profile;
    use channel_sdk::types::{Handle, Setting};

    const NOW: i64 = 1_795_255_200_000;

    fn sent(settings: &[(&str, &str)], change: impl FnOnce(&mut Outgoing)) -> Result<(Call, Form), RefusalReason> {
        let mut message = Outgoing {
            id: "out-1".into(),
            case_reference: None,
            recipient: Handle { scheme: "phone".into(), value: "+34600111222".into() },
            sender: None,
            subject: None,
            text: "Fet & arreglat + net".into(),
            language: None,
            in_reply_to: None,
            conversation_id: Some("+34930000100|+34600111222".into()),
            thread_id: None,
            references: vec![],
            last_inbound_at: None,
            automatic: false,
            answers: None,
            now: NOW,
        };
        change(&mut message);
        let profile = r#"{"tenant": "t", "name": "T", "languages": ["es"]}"#;
        let context = Context {
            tenant: "t".into(),
            public_url: "https://city.example/messaging/twilio/t".into(),
            settings: settings
                .iter()
                .map(|(name, value)| Setting { name: (*name).into(), value: (*value).into() })
                .collect(),
            secrets: vec![],
            profile: parse_profile(&channel_sdk::json_access::parse(profile.as_bytes()).unwrap()).unwrap(),
        };
        let call = render(&message, &context).map_err(|refusal| refusal.reason)?.remove(0);
        let Some(Part::Literal(body)) = call.body.first() else { panic!("{:?}", call.body) };
        let form = Form::parse(body).unwrap();
        Ok((call, form))
    }

    const ACCOUNT: (&str, &str) = ("account_sid", "AC0123");

    #[test]
    fn a_reply_leaves_by_the_number_written_to_and_asks_for_its_status() {
        let (call, form) = sent(&[ACCOUNT], |_| {}).unwrap();
        assert_eq!(call.headers[0].value[0], Part::Basic(("AC0123".into(), "auth_token".into())));
        assert_eq!(form.get("From").as_deref(), Some("+34930000100"));
        assert_eq!(form.get("To").as_deref(), Some("+34600111222"));
        assert_eq!(form.get("Body").as_deref(), Some("Fet & arreglat + net"));
        assert_eq!(form.get("StatusCallback").as_deref(), Some("https://city.example/messaging/twilio/t/status"));
    }

    #[test]
    fn an_api_key_is_used_when_there_is_one() {
        let (call, _) = sent(&[ACCOUNT, ("api_key", "SK9")], |_| {}).unwrap();
        assert_eq!(call.headers[0].value[0], Part::Basic(("SK9".into(), "api_key_secret".into())));
    }

    #[test]
    fn a_first_message_needs_a_sender() {
        let first = |message: &mut Outgoing| message.conversation_id = None;
        assert_eq!(sent(&[ACCOUNT], first).unwrap_err(), RefusalReason::Unsupported);
        let (_, form) = sent(&[ACCOUNT, ("messaging_service_sid", "MG1")], first).unwrap();
        assert_eq!(form.get("MessagingServiceSid").as_deref(), Some("MG1"));
        let (_, form) = sent(&[ACCOUNT, ("from", "+34930000100")], first).unwrap();
        assert_eq!(form.get("From").as_deref(), Some("+34930000100"));
    }

    #[test]
    fn whatsapp_keeps_its_window_and_sms_has_none() {
        let chat = |last: Option<i64>| {
            move |message: &mut Outgoing| {
                message.conversation_id = Some("whatsapp:+34930000100|whatsapp:+34600111222".into());
                message.last_inbound_at = last;
            }
        };
        assert!(sent(&[ACCOUNT], chat(Some(NOW - 86_399_999))).is_ok());
        assert_eq!(sent(&[ACCOUNT], chat(Some(NOW - 86_400_000))).unwrap_err(), RefusalReason::WindowClosed);
        assert_eq!(sent(&[ACCOUNT], chat(None)).unwrap_err(), RefusalReason::WindowClosed);
        assert!(sent(&[ACCOUNT], |message| message.last_inbound_at = Some(0)).is_ok());
    }

    #[test]
    fn what_can_not_be_sent_is_refused() {
        assert_eq!(sent(&[], |_| {}).unwrap_err(), RefusalReason::Unsupported);
        assert_eq!(sent(&[("account_sid", "AC/../x")], |_| {}).unwrap_err(), RefusalReason::Unsupported);
        assert_eq!(sent(&[ACCOUNT], |message| message.text = "x".repeat(1601)).unwrap_err(), RefusalReason::TooLarge);
        let by_mail = |message: &mut Outgoing| {
            message.conversation_id = None;
            message.recipient.scheme = "email".into();
        };
        assert_eq!(sent(&[ACCOUNT, ("from", "+1")], by_mail).unwrap_err(), RefusalReason::Unsupported);
    }
}
