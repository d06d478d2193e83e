//! What the suite's cases are made of.

use channel_sdk::types::{Correspondence, Event, Handle, Kind, Receipt, TenantProfile, Threading};
use store_sdk::Store;
use store_sdk::cases::{CaseDetail, Query};
use store_sdk::log::{Disposition, Envelope, Page, StoreError, StoredEvent};

use super::block_on;

/// The tenant of most cases.
pub const TENANT: &str = "madrid";
/// A telephone.
pub const VOICE: &str = "telephony/example";
/// A mailbox.
pub const MAIL: &str = "email/example";
/// 2024-10-29T17:00:00Z
pub const T0: i64 = 1_730_221_200_000;

/// What is known of [`TENANT`]: nothing but what must be.
pub fn profile() -> TenantProfile {
    TenantProfile {
        tenant: TENANT.into(),
        name: "Madrid".into(),
        languages: vec!["es".into()],
        greeting: Vec::new(),
        announcement: Vec::new(),
        departments: Vec::new(),
        services: Vec::new(),
        time_zone: "UTC0".into(),
        opening_hours: Vec::new(),
        links: Vec::new(),
        acknowledge: false,
    }
}

/// An envelope as the gateway makes it.
pub fn envelope(tenant: &str, connector: &str) -> Envelope {
    Envelope {
        id: None,
        tenant: tenant.into(),
        connector: connector.into(),
        method: "POST".into(),
        target: "/voice?language=ca".into(),
        headers: Vec::new(),
        body: b"CallSid=CA1".to_vec(),
        received_at: T0,
        verified_by: "hmac-sha1 auth_token".into(),
        nonce: None,
    }
}

/// A handle.
pub fn handle(scheme: &str, value: &str) -> Handle {
    Handle { scheme: scheme.into(), value: value.into() }
}

/// An event of a call.
pub fn call(kind: Kind, key: &str, call: &str) -> Event {
    Event {
        sender: Some(handle("phone", "+34600111222")),
        call_id: Some(call.into()),
        threading: Threading::Key(call.into()),
        ..Event::new(kind, key)
    }
}

/// A mail.
pub fn mail(key: &str, from: &str, answers: &[&str]) -> Event {
    Event {
        sender: Some(handle("email", from)),
        message_id: Some(key.into()),
        subject: Some("The street lamp".into()),
        text: Some("It is dark.".into()),
        threading: Threading::Correspondence(Correspondence {
            token: None,
            message_ids: answers.iter().map(|id| (*id).to_owned()).collect(),
        }),
        ..Event::new(Kind::Message, key)
    }
}

/// A message of a chat.
pub fn chat(key: &str, conversation: &str) -> Event {
    Event {
        sender: Some(handle("messenger", conversation)),
        conversation_id: Some(conversation.into()),
        text: Some("hello".into()),
        threading: Threading::Key(conversation.into()),
        ..Event::new(Kind::Message, key)
    }
}

/// Records one event and gives its receipt.
pub fn record<S: Store>(store: &S, connector: &str, event: Event) -> Receipt {
    record_for(store, TENANT, connector, event)
}

/// [`record`] for a tenant.
pub fn record_for<S: Store>(store: &S, tenant: &str, connector: &str, event: Event) -> Receipt {
    let mut receipts = record_all(store, tenant, connector, vec![event]);
    assert_eq!(receipts.len(), 1, "one receipt per event");
    receipts.remove(0)
}

/// Records events of one delivery, as a provider delivers: what was unavailable comes again.
pub fn record_all<S: Store>(store: &S, tenant: &str, connector: &str, events: Vec<Event>) -> Vec<Receipt> {
    again(|| block_on(store.record(envelope(tenant, connector), Disposition::Accepted, events.clone())))
}

/// Tries again while the store is unavailable, within reason: a hundred writers on a busy disk may wait longer than a database does.
pub fn again<T>(mut work: impl FnMut() -> Result<T, StoreError>) -> T {
    for _ in 0..20 {
        match work() {
            Err(StoreError::Unavailable(_)) => {}
            other => return other.expect("done"),
        }
    }
    work().expect("available at last")
}

/// The reference of the case in a receipt.
pub fn reference(receipt: &Receipt) -> String {
    receipt.case_reference.clone().expect("a case")
}

/// A case by its reference.
pub fn case<S: Store>(store: &S, reference: &str) -> CaseDetail {
    block_on(store.get(TENANT.into(), reference.into())).expect("read").expect("there is such a case")
}

/// The first page of 500.
pub fn first() -> Page {
    Page { after: None, limit: 500 }
}

/// All events of a tenant.
pub fn all_events<S: Store>(store: &S, tenant: &str) -> Vec<StoredEvent> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = block_on(store.events(tenant.into(), None, Page { after, limit: 500 })).expect("events");
        all.extend(page.events);
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

/// Kinds of a case's events, in order.
pub fn kinds(case: &CaseDetail) -> Vec<&'static str> {
    case.events.iter().map(|stored| channel_sdk::json::kind_name(stored.event.kind)).collect()
}

/// A search for nothing in particular.
pub fn anything() -> Query {
    Query { status: None, channel: None, q: None }
}

/// A search for words.
pub fn by(q: &str) -> Query {
    Query { q: Some(q.into()), ..anything() }
}

/// References found, in order.
pub fn found<S: Store>(store: &S, tenant: &str, query: Query) -> Vec<String> {
    let page = block_on(store.search(tenant.into(), query, first())).expect("searched");
    page.cases.into_iter().map(|case| case.reference).collect()
}
