//! What a provider's answer means, in words that staff may read: without secrets and without what the citizen wrote.

use channel_sdk::types::{Call, Outgoing};
use serde_json::Value;

use super::pace;
use crate::ports::Inbound;
use crate::settings::Settings;

const MAX_REASON: usize = 200;
const MAX_ID: usize = 512;

/// What became of one call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Taken; the provider's id of the message, if this call gave it.
    Done(Option<String>),
    /// Not now. The provider may have said when.
    Later(Option<i64>, String),
    /// The same again fails again.
    Never(String),
}

/// Reads an answer.
pub(super) fn read(answer: &Inbound, call: &Call, message: &Outgoing, settings: &Settings, now: i64) -> Verdict {
    let header = |wanted: &str| answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    match answer.status {
        200..=299 => {
            let id = match call.message_id_pointer.as_deref() {
                None => None,
                Some(pointer) => match pointer.strip_prefix("header:") {
                    Some(name) => header(name).and_then(|(_, value)| String::from_utf8(value.clone()).ok()),
                    None => in_body(&answer.body, pointer),
                },
            };
            Verdict::Done(id.map(|id| id.trim().replace('\0', "")).filter(|id| !id.is_empty() && id.len() <= MAX_ID))
        }
        408 | 425 | 429 | 500..=599 => {
            let at = header("retry-after").and_then(|(_, value)| pace::retry_after(value, now));
            Verdict::Later(at, said("the provider can't take it now", answer, message, settings))
        }
        300..=399 => Verdict::Never(said("the provider redirects, which is not followed", answer, message, settings)),
        401 | 403 => {
            let what = "the provider refuses the credentials or the permission; check the connector's settings";
            Verdict::Never(said(what, answer, message, settings))
        }
        _ => Verdict::Never(said("the provider refused it", answer, message, settings)),
    }
}

/// A text or a number: ids of 64 bits keep every digit.
fn in_body(body: &[u8], pointer: &str) -> Option<String> {
    match serde_json::from_slice::<Value>(body).ok()?.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Our words, the status, and the provider's reason made harmless.
fn said(what: &str, answer: &Inbound, message: &Outgoing, settings: &Settings) -> String {
    let mut out = format!("{what} ({}", answer.status);
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let find = |pointers: &[&str]| pointers.iter().find_map(|pointer| body.as_ref()?.pointer(pointer).cloned());
    // Where interfaces usually have them; RFC 9457 among them.
    let code = find(&["/error/code", "/code", "/error_code", "/errors/0/code"]);
    if let Some(code) = code.map(|code| code.as_str().map_or_else(|| code.to_string(), str::to_owned))
        && code.len() <= 40
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    {
        out.push_str(&format!(", code {code}"));
    }
    out.push(')');
    let texts = [
        "/error/message",
        "/message",
        "/description",
        "/error_description",
        "/detail",
        "/errors/0/message",
        "/error",
        "/title",
    ];
    if let Some(text) = find(&texts).as_ref().and_then(Value::as_str) {
        let harmless = scrub(text, message, settings);
        if !harmless.is_empty() {
            out.push_str(": ");
            out.push_str(&harmless);
        }
    }
    out
}

/// Providers like to quote what they were given.
fn scrub(text: &str, message: &Outgoing, settings: &Settings) -> String {
    let mut text = text.to_owned();
    let ours = [message.text.as_str(), message.recipient.value.as_str()];
    let others = [&message.sender, &message.subject, &message.conversation_id].into_iter().flatten();
    for known in settings.secrets().chain(ours).chain(others.map(String::as_str)).filter(|known| known.len() >= 4) {
        text = text.replace(known, "…");
    }
    let harmless = |word: &&str| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        !(digits >= 7 || word.contains('@') || word.contains("://") || word.chars().count() > 40)
    };
    let words: Vec<&str> = text.split_whitespace().map(|word| if harmless(&word) { word } else { "…" }).collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{SECRET, descriptor, outgoing};
    use crate::settings;

    fn verdict(status: u16, headers: &[(&str, &str)], body: &str, pointer: &str) -> Verdict {
        let settings = settings::entry(&crate::fake::Fake::new(b"").settings, "madrid").unwrap();
        let settings = settings.check("madrid", &descriptor()).unwrap();
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        let answer = Inbound { status, headers, body: body.as_bytes().to_vec(), cut: false };
        let call = Call {
            method: "POST".into(),
            url: vec![],
            headers: vec![],
            body: vec![],
            message_id_pointer: Some(pointer.into()),
        };
        read(&answer, &call, &outgoing(), &settings, 0)
    }

    #[test]
    fn the_message_id_is_found_where_the_connector_says() {
        let done = |id: &str| Verdict::Done(Some(id.into()));
        assert_eq!(verdict(201, &[], r#"{"messages":[{"id":"m1"}]}"#, "/messages/0/id"), done("m1"));
        assert_eq!(verdict(200, &[], r#"{"id":9223372036854775807}"#, "/id"), done("9223372036854775807"));
        assert_eq!(verdict(202, &[("Location", "https://x/1")], "", "header:location"), done("https://x/1"));
        for (body, pointer) in
            [("{}", "/id"), ("<html>", "/id"), (r#"{"id":""}"#, "/id"), (r#"{"id":[]}"#, "/id"), ("", "header:x")]
        {
            assert_eq!(verdict(200, &[], body, pointer), Verdict::Done(None), "{body}");
        }
    }

    #[test]
    fn busy_is_told_from_refused() {
        for status in [408, 425, 429, 500, 502, 503, 599] {
            assert!(matches!(verdict(status, &[], "", ""), Verdict::Later(None, _)), "{status}");
        }
        assert!(matches!(verdict(429, &[("retry-after", "7")], "", ""), Verdict::Later(Some(7000), _)));
        for status in [301, 400, 401, 403, 404, 410, 422] {
            assert!(matches!(verdict(status, &[], "", ""), Verdict::Never(_)), "{status}");
        }
    }

    #[test]
    fn a_provider_s_reason_is_kept_without_secrets_numbers_or_the_citizen_s_words() {
        let message = outgoing();
        let body = serde_json::json!({
            "code": 21211,
            "message": format!("Invalid 'To' +34600111222 a@b.example \"{}\" {SECRET} https://x.example/y {}", message.text, "z".repeat(60)),
        });
        let Verdict::Never(why) = verdict(400, &[], &body.to_string(), "") else { panic!() };
        assert_eq!(why, "the provider refused it (400, code 21211): Invalid 'To' … … \"…\" … … …");
        let Verdict::Never(why) =
            verdict(400, &[], r#"{"error":{"code":131047,"message":"Re-engagement\nmessage"}}"#, "")
        else {
            panic!()
        };
        assert_eq!(why, "the provider refused it (400, code 131047): Re-engagement message");
        let Verdict::Later(_, why) = verdict(503, &[], "<html>s3cr3t</html>", "") else { panic!() };
        assert_eq!(why, "the provider can't take it now (503)");
    }
}
