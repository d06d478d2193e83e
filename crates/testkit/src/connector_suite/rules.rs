//! What must hold for any output of a connector, whatever it was given. Each rule gives the list of its breaches.

use std::fmt::Write as _;

use channel_sdk::json;
use channel_sdk::types::{
    CaseState, CaseStatus, Check, Context, Descriptor, Event, Header, Outcome, Receipt, Refusal, RefusalReason,
    Request, Response, Strength, Threading,
};
use serde_json::Value;

use super::flow::{Ending, Run, is_credential};
use super::story::{Secrets, Stories};
use super::subject::{Subject, Trap};

/// Rules of the events themselves.
pub(super) fn events(events: &[Event]) -> Vec<String> {
    let mut breaches = Vec::new();
    for event in events {
        if event.idempotency_key.is_empty() {
            breaches.push("an event's idempotency key is empty".into());
        }
        if let Threading::Key(key) | Threading::Existing(key) = &event.threading
            && key.is_empty()
        {
            breaches.push("an event's thread key is empty".into());
        }
        if let Some(confidence) = event.confidence
            && !(0.0..=1.0).contains(&confidence)
        {
            breaches.push(format!("confidence is not within 0 to 1: {confidence}"));
        }
        let mut written = json::event(event);
        written.extend(json::intake(event));
        match json::parse_event(&Value::Object(written)) {
            Ok(read) if read == *event => {}
            Ok(_) => breaches.push("the event's JSON reads back as another event".into()),
            Err(error) => breaches.push(format!("the event's JSON does not read back: {error}")),
        }
    }
    breaches
}

/// Every outcome the gateway can report, with receipts as for these events.
pub(super) fn outcomes(receipts: &[Receipt]) -> Vec<Outcome> {
    let again = receipts.iter().map(|receipt| Receipt { duplicate: true, opened: false, ..receipt.clone() }).collect();
    let mut outcomes = vec![
        Outcome::Accepted(receipts.to_vec()),
        Outcome::Accepted(again),
        Outcome::Accepted(Vec::new()),
        Outcome::Quarantined(receipts.to_vec()),
        Outcome::Quarantined(Vec::new()),
        Outcome::Unavailable(5),
        Outcome::Unavailable(0),
    ];
    outcomes.extend(
        reasons()
            .into_iter()
            .map(|reason| Outcome::Refused(Refusal { reason, detail: "detail <&\"'> of the refusal".into() })),
    );
    outcomes
}

/// All of them: the compiler says here when one is added.
fn reasons() -> Vec<RefusalReason> {
    use RefusalReason as R;
    let all = [
        R::MissingSignature,
        R::BadSignature,
        R::Stale,
        R::Replayed,
        R::Unsigned,
        R::MethodNotAllowed,
        R::NotFound,
        R::TooLarge,
        R::UnsupportedMediaType,
        R::Malformed,
        R::WindowClosed,
        R::Unsupported,
    ];
    for reason in all {
        match reason {
            R::MissingSignature
            | R::BadSignature
            | R::Stale
            | R::Replayed
            | R::Unsigned
            | R::MethodNotAllowed
            | R::NotFound
            | R::TooLarge
            | R::UnsupportedMediaType
            | R::Malformed
            | R::WindowClosed
            | R::Unsupported => {}
        }
    }
    all.to_vec()
}

/// Rules of an acknowledgement: the status says what became of it, and the body is what its content type says.
pub(super) fn answer(outcome: &Outcome, answer: &Response) -> Vec<String> {
    let mut breaches = Vec::new();
    let status = answer.status;
    let header = |name: &str| {
        answer.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    };
    let nowhere =
        |receipts: &[Receipt]| !receipts.is_empty() && receipts.iter().all(|receipt| receipt.case_reference.is_none());
    let fits = match outcome {
        // Stored, but what it is about is not there, and the sender is to know (`threading.public-case`).
        Outcome::Accepted(receipts) if status == 404 => nowhere(receipts),
        Outcome::Accepted(_) | Outcome::Quarantined(_) | Outcome::Found(_) => (200..300).contains(&status),
        Outcome::Refused(_) => (400..500).contains(&status),
        Outcome::Unavailable(_) => status == 503,
    };
    if !fits {
        breaches.push(format!("status {status} does not fit {outcome:?}"));
    }
    if let Outcome::Unavailable(seconds) = outcome {
        match header("retry-after").map(str::parse::<u32>) {
            Some(Ok(after)) if after >= *seconds => {}
            other => {
                breaches.push(format!("unavailable({seconds}) needs Retry-After of that many seconds, not {other:?}"))
            }
        }
    }
    breaches.extend(form(answer));
    breaches
}

/// Rules of any response.
pub(super) fn form(answer: &Response) -> Vec<String> {
    let mut breaches = Vec::new();
    for (name, value) in &answer.headers {
        // RFC 9110 §5.6.2 token; §5.5 field value.
        let token = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        if !token || value.bytes().any(|byte| byte < 0x20 && byte != b'\t' || byte == 0x7f) {
            breaches.push(format!("header {name:?}: {value:?} can't be sent"));
        }
    }
    if answer.body.is_empty() {
        return breaches;
    }
    let content_type = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let Some((_, content_type)) = content_type else {
        breaches.push("there is a body and no content-type".into());
        return breaches;
    };
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Ok(text) = std::str::from_utf8(&answer.body) else {
        breaches.push(format!("the {media} body is not UTF-8"));
        return breaches;
    };
    if media.ends_with("/xml") || media.ends_with("+xml") {
        if let Err(error) = roxmltree::Document::parse(text) {
            breaches.push(format!("the XML is not well-formed: {error}"));
        }
    } else if (media.ends_with("/json") || media.ends_with("+json"))
        && let Err(error) = serde_json::from_str::<Value>(text)
    {
        breaches.push(format!("the JSON is not well-formed: {error}"));
    }
    breaches
}

/// Acknowledges everything the gateway can report, for this request, and applies the rules.
pub(super) fn acknowledgements(
    subject: &mut dyn Subject,
    request: &Request,
    context: &Context,
    receipts: &[Receipt],
    secrets: &Secrets,
) -> Result<Vec<String>, Trap> {
    let mut breaches = Vec::new();
    for outcome in outcomes(receipts) {
        let given = subject.acknowledge(request, &outcome, context)?;
        breaches.extend(answer(&outcome, &given));
        breaches.extend(secrecy(&[], &given, secrets, &[]));
    }
    Ok(breaches)
}

/// A context whose every text is meant to break out of XML, JSON and a header.
pub(super) fn hostile(context: &Context) -> Context {
    let evil = "]]></Say><Hangup/><!--\u{0}\u{1}\u{b}\u{fffe}\u{202e}&bogus;\"'\r\nx: y\\";
    let mut context = context.clone();
    context.profile.name = evil.into();
    let texts = context
        .profile
        .languages
        .iter()
        .map(|language| channel_sdk::types::Localized { language: language.clone(), text: evil.into() });
    let texts: Vec<_> = texts.collect();
    context.profile.greeting = texts.clone();
    context.profile.announcement = texts.clone();
    for department in &mut context.profile.departments {
        department.name = texts.clone();
        department.sip = department.sip.as_ref().map(|_| evil.into());
        department.phone = department.phone.as_ref().map(|_| evil.into());
    }
    for link in &mut context.profile.links {
        link.url = evil.into();
    }
    context
}

/// A case in every state, as an answer to a question about it.
pub(super) fn asked(receipt: &Receipt) -> Vec<Receipt> {
    use CaseStatus as S;
    let mut all: Vec<Receipt> = [S::New, S::Open, S::Pending, S::Resolved, S::Closed]
        .into_iter()
        .map(|status| CaseState {
            reference: "482-109-3726".into(),
            status,
            department: None,
            opened_at: i64::MIN,
            updated_at: i64::MAX,
        })
        .map(|state| Receipt { asked: Some(state), ..receipt.clone() })
        .collect();
    all.push(Receipt { asked: None, case_reference: None, ..receipt.clone() });
    all
}

/// No secret's value is shown, and no credential of the request is carried on.
pub(super) fn secrecy(events: &[Event], answer: &Response, secrets: &Secrets, headers: &[Header]) -> Vec<String> {
    let mut shown = format!("{events:?}");
    for event in events {
        let mut written = json::event(event);
        written.extend(json::intake(event));
        let _ = write!(shown, "{}", Value::Object(written));
    }
    let _ = write!(shown, "{answer:?}{}", String::from_utf8_lossy(&answer.body));
    let mut breaches = leaks(&shown, secrets);
    for header in headers.iter().filter(|header| header.name == "authorization") {
        if shown.contains(&*String::from_utf8_lossy(&header.value)) {
            breaches.push("the authorization header is shown in an event or answer".into());
        }
    }
    breaches
}

/// Which secrets occur in this text.
pub(super) fn leaks(shown: &str, secrets: &Secrets) -> Vec<String> {
    let values = secrets.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    let found = values.filter(|(_, value)| !value.is_empty() && shown.contains(value.as_str()));
    found.map(|(name, _)| format!("the secret {name} is shown")).collect()
}

/// No secret in anything a run gave, Debug of its checks included (a credential's tag is the secret: that one is the caller's).
pub(super) fn secrecy_of(run: &Run, request: &Request, secrets: &Secrets) -> Vec<String> {
    let events: &[Event] = match &run.ending {
        Ending::Events(events, _) => events,
        Ending::Handshake(_) | Ending::Lookup(_) | Ending::Refused(_) => &[],
    };
    let mut breaches = secrecy(events, &run.answer, secrets, &request.headers);
    let shown = |check: &Check| {
        if is_credential(check.scheme) { String::new() } else { String::from_utf8_lossy(&check.message).into_owned() }
    };
    for check in &run.checks {
        breaches.extend(leaks(&shown(check), secrets));
    }
    if let Ending::Refused(refusal) = &run.ending {
        breaches.extend(leaks(&refusal.detail, secrets));
    }
    breaches
}

/// What a connector says about itself.
pub(super) fn descriptor(descriptor: &Descriptor, channel: &str, vendor: &str, data: &Stories) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut say = |holds: bool, problem: String| {
        if !holds {
            breaches.push(problem);
        }
    };
    say(descriptor.channel == channel, format!("channel is {:?}, the folder says {channel:?}", descriptor.channel));
    say(descriptor.vendor == vendor, format!("vendor is {:?}, the folder says {vendor:?}", descriptor.vendor));
    say(!descriptor.title.is_empty(), "title is empty".into());
    say((1..=32 << 20).contains(&descriptor.max_body), format!("max-body is {}", descriptor.max_body));
    say(!descriptor.routes.is_empty(), "there is no route: nobody could be told a URL".into());
    for route in &descriptor.routes {
        say(!route.purpose.is_empty(), format!("route {:?} has no purpose", route.suffix));
        say(
            route.suffix.is_empty() || route.suffix.starts_with('/'),
            format!("route {:?} must begin with /", route.suffix),
        );
        say(!route.suffix.starts_with("/-/"), format!("route {:?}: /-/ is the gateway's own", route.suffix));
        say(!route.methods.is_empty(), format!("route {:?} has no method", route.suffix));
    }
    for (index, setting) in descriptor.settings.iter().enumerate() {
        let name = &setting.name;
        let code = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        say(!name.is_empty() && code, format!("setting {name:?} must be lower case with _"));
        say(!setting.description.is_empty(), format!("setting {name:?} is not described"));
        say(
            !descriptor.settings[..index].iter().any(|other| other.name == *name),
            format!("setting {name:?} is described twice"),
        );
    }
    let secret =
        |name: &str| descriptor.settings.iter().find(|setting| setting.name == name).map(|setting| setting.secret);
    for name in data.secrets.keys() {
        say(
            secret(name) == Some(true),
            format!("testdata/secrets.json has {name}, which is not described as a secret setting"),
        );
    }
    for setting in &data.context.settings {
        let known =
            matches!(setting.name.as_str(), "public_url" | "allow_unsigned") || secret(&setting.name) == Some(false);
        say(known, format!("testdata/context.json has {}, which is not described as a public setting", setting.name));
    }
    let needs_key = descriptor.strength == Strength::Credential;
    say(
        !needs_key || descriptor.settings.iter().any(|setting| setting.secret),
        "strength is credential and no setting is secret".into(),
    );
    breaches
}
