//! What a store is filled with: calls, mails, chats and public reports, each opening a case, of people who write about three times.

use channel_sdk::types::{Correspondence, Event, Handle, Kind, Threading};
use store_sdk::log::Envelope;

/// Events of one delivery while the store is filled. What is measured afterwards comes one by one.
pub(crate) const TOGETHER: u64 = 20;
/// A word in every tenth case.
pub(crate) const FREQUENT: &str = "fountain";
/// A word in none.
pub(crate) const ABSENT: &str = "crocodile";
/// 2024-10-29T17:00:00Z
const T0: i64 = 1_730_221_200_000;

/// The name of a tenant.
pub(crate) fn tenant(number: u64) -> String {
    format!("tenant-{number:04}")
}

/// When the case of this number came: a second after the one before.
pub(crate) fn at(number: u64) -> i64 {
    T0.saturating_add_unsigned(number * 1000)
}

/// The `turn`th delivery of a tenant, which begins with the case of this number.
pub(crate) fn delivery(whose: u64, turn: u64, first: u64, count: u64) -> (Envelope, Vec<Event>) {
    let (connector, make): (_, fn(u64) -> Event) = match turn % 4 {
        0 => ("telephony/example", call),
        1 => ("email/example", mail),
        2 => ("messaging/example", chat),
        _ => ("open311/example", report),
    };
    (envelope(whose, connector, first), (first..first + count).map(make).collect())
}

/// One incoming call: what intake is measured with.
pub(crate) fn one_call(whose: u64, number: u64) -> (Envelope, Vec<Event>) {
    (envelope(whose, "telephony/example", number), vec![call(number)])
}

fn envelope(whose: u64, connector: &str, number: u64) -> Envelope {
    Envelope {
        id: None,
        tenant: tenant(whose),
        connector: connector.to_owned(),
        method: "POST".to_owned(),
        target: "/voice".to_owned(),
        headers: Vec::new(),
        body: format!("CallSid=CA{number:032}&CallStatus=ringing&From=%2B34600111222&To=%2B34910000000").into_bytes(),
        received_at: at(number),
        verified_by: "hmac-sha1 auth_token".to_owned(),
        nonce: None,
    }
}

fn text(number: u64) -> String {
    let what = ["lamp", "bin", "tree", "bench", "noise", "pavement", "bus", "form", "tax"];
    // Nine words for nine of ten.
    let what = usize::try_from(number % 10).ok().and_then(|place| what.get(place)).copied().unwrap_or(FREQUENT);
    format!("The {what} in front of number {} has been like this for days", number % 997)
}

fn phone(number: u64) -> Option<Handle> {
    Some(Handle { scheme: "phone".to_owned(), value: format!("+346{:08}", number / 3) })
}

fn call(number: u64) -> Event {
    let id = format!("CA{number:032}");
    Event {
        sender: phone(number),
        call_id: Some(id.clone()),
        threading: Threading::Key(id.clone()),
        ..Event::new(Kind::CallStarted, &id)
    }
}

fn mail(number: u64) -> Event {
    let id = format!("<{number}@example.org>");
    Event {
        sender: Some(Handle { scheme: "email".to_owned(), value: format!("person-{}@example.org", number / 3) }),
        message_id: Some(id.clone()),
        subject: Some(text(number)),
        text: Some(text(number)),
        threading: Threading::Correspondence(Correspondence { token: None, message_ids: Vec::new() }),
        ..Event::new(Kind::Message, &id)
    }
}

fn chat(number: u64) -> Event {
    let id = format!("SM{number:032}");
    Event {
        sender: phone(number),
        text: Some(text(number)),
        threading: Threading::Key(id.clone()),
        ..Event::new(Kind::Message, &id)
    }
}

fn report(number: u64) -> Event {
    let id = format!("report-{number}");
    Event {
        text: Some(text(number)),
        service_code: Some(format!("service-{}", number % 12)),
        public: true,
        threading: Threading::Key(id.clone()),
        ..Event::new(Kind::Message, &id)
    }
}
