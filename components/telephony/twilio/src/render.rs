//! An answer to a citizen by telephone: a call that says it.

use channel_sdk::forms;
use channel_sdk::phrases::Phrases;
use channel_sdk::refusal::refusal;
use channel_sdk::types::{Call, CallHeader, Context, Outgoing, Part, Refusal, RefusalReason};

use crate::twiml::{Script, setting};

/// Twilio takes 4,000 characters of TwiML in `Twiml`, and the text is said twice.
pub(crate) const MAX_TEXT: u32 = 1_500;
const MAX_TWIML: usize = 4_000;

pub(crate) const API_HOST: &str = "api.twilio.com";

/// The call to make.
pub(crate) fn render(message: &Outgoing, context: &Context) -> Result<Vec<Call>, Refusal> {
    let unsupported = |detail: &str| refusal(RefusalReason::Unsupported, detail);
    let account = setting(context, "account_sid")
        .ok_or_else(|| unsupported("setting account_sid is missing: calls out need it"))?;
    let from = setting(context, "caller_id")
        .ok_or_else(|| unsupported("setting caller_id is missing: calls out need a number of yours"))?;
    if message.recipient.scheme != "phone" || !message.recipient.value.starts_with('+') {
        return Err(unsupported("the recipient is no telephone number with its country code"));
    }
    let language =
        message.language.as_deref().unwrap_or_else(|| channel_sdk::language::of_tenant(&context.profile, None));
    let tag = Phrases::exactly(language).map_or(language, |phrases| phrases.tag);
    let mut script = Script::new(context, language);
    for _ in 0..2 {
        script.say_in(tag, &message.text);
    }
    if let Some(reference) = &message.case_reference {
        script.reference(reference);
    }
    script.goodbye();
    let twiml = script.finish();
    if twiml.chars().count() > MAX_TWIML {
        return Err(refusal(
            RefusalReason::TooLarge,
            format!("the text is too long to be said; {MAX_TEXT} characters fit"),
        ));
    }
    let status = format!("{}/status", context.public_url);
    let body = forms::encode(&[
        ("To", message.recipient.value.as_str()),
        ("From", from),
        ("Twiml", &twiml),
        ("StatusCallback", &status),
        ("StatusCallbackMethod", "POST"),
    ]);
    // An API key may be used in place of the account's own token.
    let credentials = match setting(context, "api_key_sid") {
        Some(key) => (key.to_owned(), "api_key_secret".to_owned()),
        None => (account.to_owned(), "auth_token".to_owned()),
    };
    let literal = |text: String| vec![Part::Literal(text.into_bytes())];
    Ok(vec![Call {
        method: "POST".into(),
        url: literal(format!("https://{API_HOST}/2010-04-01/Accounts/{}/Calls.json", forms::encode_component(account))),
        headers: vec![
            CallHeader { name: "content-type".into(), value: literal("application/x-www-form-urlencoded".into()) },
            CallHeader { name: "authorization".into(), value: vec![Part::Basic(credentials)] },
        ],
        body: literal(body),
        message_id_pointer: Some("/sid".into()),
    }])
}
