//! Retention, erasure, holds, removal, and what stays: the audit and the ledger.

use std::sync::atomic::{AtomicU32, Ordering};

use channel_sdk::types::{Attachment, CaseStatus, Event, Kind as EventKind, Location, Threading};
use store_sdk::Store;
use store_sdk::cases::{ReplyState, Update};
use store_sdk::feed::{Fact, Start};
use store_sdk::log::{Disposition, Envelope, Page, StoreError};
use store_sdk::outbox::{Item, Settlement};
use store_sdk::privacy::{AuditEntry, Counts, Erasure, Kind, Rule, Subject};

use super::make::*;
use super::{World, block_on, together};

const DAY: i64 = 86_400_000;
const OTHER: &str = "sevilla";
/// In everything that is personal in these cases, and in nothing else.
const SECRET: &str = "zarzaparrilla";
const PHONE: &str = "+34600999zarzaparrilla";
const ADDRESS: &str = "zarzaparrilla@example.org";

fn secret() -> Option<String> {
    Some(format!("my {SECRET}"))
}

/// An event that is full of personal data.
fn personal(event: Event) -> Event {
    let key = format!("{SECRET}/{}", event.idempotency_key);
    Event {
        sender_name: secret(),
        subject: secret(),
        text: secret(),
        dtmf: secret(),
        address: secret(),
        location: Some(Location { lat: 40.416_775, long: -3.703_79 }),
        recording_id: secret(),
        recipient: secret(),
        fields: vec![("z".into(), SECRET.into()), ("a".into(), SECRET.into())],
        attributes: vec![("hole".into(), SECRET.into())],
        attachments: vec![Attachment {
            name: secret(),
            content_type: Some("image/jpeg".into()),
            size: Some(9),
            sha256: None,
            url: secret(),
            media_id: secret(),
            content_id: None,
            disposition: None,
        }],
        language: Some("es".into()),
        idempotency_key: key,
        ..event
    }
}

fn written(key: &str) -> Event {
    let message = chat(key, PHONE);
    personal(Event { sender: Some(handle("device", PHONE)), message_id: Some(format!("{SECRET}-{key}")), ..message })
}

fn mailed(key: &str, answers: &[&str]) -> Event {
    let mail = mail(key, ADDRESS, answers);
    personal(Event { message_id: Some(format!("<{SECRET}-{key}@example.org>")), ..mail })
}

fn raw(tenant: &str, connector: &str, at: i64) -> Envelope {
    Envelope {
        target: format!("/in?from={SECRET}"),
        headers: vec![channel_sdk::types::Header { name: "x-from".into(), value: SECRET.into() }],
        body: format!("body of {SECRET}").into_bytes(),
        received_at: at,
        ..envelope(tenant, connector)
    }
}

fn take_for<S: Store>(store: &S, tenant: &str, connector: &str, at: i64, events: Vec<Event>) -> Vec<String> {
    let receipts = again(|| block_on(store.record(raw(tenant, connector, at), Disposition::Accepted, events.clone())));
    receipts.into_iter().map(|receipt| receipt.case_reference.unwrap_or_default()).collect()
}

fn take<S: Store>(store: &S, connector: &str, at: i64, event: Event) -> String {
    take_for(store, TENANT, connector, at, vec![event]).remove(0)
}

fn who(scheme: &str, value: &str) -> Subject {
    Subject::Contact(handle(scheme, value))
}

fn try_erase<S: Store>(store: &S, subject: Subject, dry_run: bool) -> Result<Erasure, StoreError> {
    block_on(store.erase(TENANT.into(), subject, "ana".into(), "asked for it".into(), T0, dry_run))
}

fn erase<S: Store>(store: &S, subject: Subject) -> Erasure {
    try_erase(store, subject, false).expect("erased")
}

fn trail<S: Store>(store: &S, tenant: &str) -> Vec<AuditEntry> {
    block_on(store.audit(tenant.into(), first())).expect("audit").entries
}

fn rules<S: Store>(store: &S, tenant: &str, rules: &[(Kind, u32)]) {
    let rules = rules.iter().map(|(kind, days)| Rule { kind: *kind, days: *days }).collect();
    block_on(store.set_retention(tenant.into(), rules, "dpo".into(), T0)).expect("rules");
}

fn retain<S: Store>(store: &S, at: i64) -> u32 {
    let mut changed = 0;
    for _ in 0..1000 {
        let step = again(|| block_on(store.retain(at, 100)));
        changed += step.changed;
        if !step.more {
            return changed;
        }
    }
    panic!("retention does not come to an end");
}

fn status<S: Store>(store: &S, reference: &str, status: CaseStatus, at: i64) {
    let update = Update { status: Some(status), department: None, assignee: None, priority: None };
    block_on(store.change(TENANT.into(), reference.into(), update, "ana".into(), at)).expect("changed");
}

fn seal<S: Store>(store: &S) {
    while again(|| block_on(store.seal(T0, 1000))).sealed > 0 {}
}

/// The chain as a whole: how many were erased; whatever is found fails.
fn erased<S: Store>(store: &S, tenant: &str) -> u64 {
    seal(store);
    let (mut after, mut erased) = (0, 0);
    loop {
        let part = block_on(store.examine(tenant.into(), after, 500)).expect("examined");
        assert_eq!(part.findings, []);
        erased += part.erased;
        if !part.more {
            return erased;
        }
        after = part.upto;
    }
}

/// Everything that the store tells about a tenant, as text.
fn everything<S: Store>(store: &S, tenant: &str) -> String {
    let mut all = format!("{:?}", all_events(store, tenant));
    for reference in found(store, tenant, anything()) {
        all += &format!("{:?}", block_on(store.get(tenant.into(), reference)).expect("read"));
    }
    let envelopes = block_on(store.envelopes(tenant.into(), None, first())).expect("envelopes").envelopes;
    for summary in envelopes {
        let whole = match block_on(store.envelope_by_id(tenant.into(), summary.id.clone())) {
            Ok(Some(whole)) => format!("{whole:?}{}", String::from_utf8_lossy(&whole.body)),
            other => format!("{other:?}"),
        };
        all += &format!("{summary:?}{whole}");
    }
    // A reader of its own each time: nothing is settled, and a lease has a name of its own.
    static READERS: AtomicU32 = AtomicU32::new(0);
    let reader = format!("reader-{}", READERS.fetch_add(1, Ordering::Relaxed));
    let feed = block_on(store.feed_claim(tenant.into(), reader, Start::Beginning, T0, T0 + 1, 500)).expect("feed");
    all += &format!("{:?}{:?}", feed.map(|batch| batch.entries), trail(store, tenant));
    all.to_lowercase()
}

fn nothing_left<S: Store>(store: &S, tenant: &str) {
    let all = everything(store, tenant);
    if let Some(at) = all.find(SECRET) {
        let from = at.saturating_sub(300);
        panic!("left: …{}…", &all.get(from..at + 40).unwrap_or(&all));
    }
    assert!(!all.contains("40.416"), "a place is left");
    assert!(found(store, tenant, by(SECRET)).is_empty(), "it is found by a word that is left");
}

/// Over several channels, with two handles that were joined, notes, replies, and a redelivery.
pub fn what_is_erased_is_gone_from_every_answer<W: World>(world: &W) {
    let store = world.open();
    let chatted = take(&store, "messaging/example", T0, written("m1"));
    take(&store, "messaging/example", T0, written("m2"));
    take(&store, "messaging/example", T0 + 5, written("m1"));
    let letter = take(&store, MAIL, T0, mailed("l1", &[]));
    let neighbour = reference(&record(&store, MAIL, mail("n1", "neighbour@example.org", &[])));
    block_on(store.add_note(TENANT.into(), chatted.clone(), format!("she said {SECRET}"), "ana".into(), T0))
        .expect("note");
    for case in [&chatted, &letter] {
        block_on(store.reply(TENANT.into(), case.clone(), format!("dear {SECRET}"), "ana".into(), T0)).expect("reply");
    }
    let contact = |reference: &str| case(&store, reference).summary.contact.expect("a contact").id;
    let (one, two) = (contact(&chatted), contact(&letter));
    block_on(store.join_contacts(TENANT.into(), one, two, "ana".into(), T0)).expect("joined");
    take_for(&store, OTHER, MAIL, T0, vec![mailed("l1", &[])]);
    seal(&store);
    let before = everything(&store, OTHER);

    let told = try_erase(&store, who("", ADDRESS), true).expect("a dry run");
    assert_eq!(told.entry, None);
    assert!(everything(&store, TENANT).contains(SECRET), "a dry run erases nothing");
    assert_eq!(found(&store, TENANT, by(SECRET)), [letter.clone(), chatted.clone()]);
    let erasure = erase(&store, who("email", &ADDRESS.to_uppercase()));
    let mut references = [chatted.clone(), letter.clone()];
    references.sort();
    let mut said = erasure.references.clone();
    said.sort();
    assert_eq!(said, references);
    let counts = Counts { cases: 2, events: 3, envelopes: 4, contacts: 2, notes: 1, replies: 2 };
    assert_eq!((&erasure.counts, &told.counts), (&counts, &counts));
    nothing_left(&store, TENANT);

    // What stays: references, times, kinds, the neighbour, the ledger.
    let rest = case(&store, &chatted);
    assert_eq!((rest.summary.status, &rest.summary.contact), (CaseStatus::Closed, &None));
    assert_eq!(kinds(&rest), ["message", "message"]);
    assert_eq!(rest.events[0].event.language.as_deref(), Some("es"));
    assert_eq!((rest.replies[0].state, rest.replies[0].reason.as_deref()), (ReplyState::Failed, Some("erased")));
    assert!(again(|| block_on(store.claim("messaging/example".into(), T0 + DAY, T0 + 2 * DAY, 10))).is_empty());
    assert_eq!(case(&store, &neighbour).events[0].event.text.as_deref(), Some("It is dark."));
    assert_eq!(everything(&store, OTHER), before);
    assert_eq!((erased(&store, TENANT), erased(&store, OTHER)), (4, 0));
    let account = block_on(store.add_up(TENANT.into(), Vec::new())).expect("account");
    assert_eq!((account.stored, account.counted, account.sealed), (5, 5, 5));
    let entry = trail(&store, TENANT).remove(0);
    assert_eq!((entry.number, entry.action.as_str(), entry.author.as_str()), (1, "erase", "ana"));
    assert_eq!((entry.reason.as_deref(), Some(entry.id), entry.counts), (Some("asked for it"), erasure.entry, counts));
    assert!(entry.subject.expect("a subject").starts_with("contact "));
    assert_eq!(trail(&store, OTHER), []);
    // Once more there is nobody.
    assert!(matches!(try_erase(&store, who("email", ADDRESS), false), Err(StoreError::Invalid(_))));
}

/// No redelivery, no thread, no message id, no token brings anything back.
pub fn nothing_comes_back_after_an_erasure<W: World>(world: &W) {
    let store = world.open();
    let chatted = take(&store, "messaging/example", T0, written("m1"));
    let letter = take(&store, MAIL, T0, mailed("l1", &[]));
    erase(&store, who("device", PHONE));
    erase(&store, Subject::CaseReference(letter.clone()));
    // Whose only case it was is nobody any more.
    assert!(matches!(try_erase(&store, who("email", ADDRESS), true), Err(StoreError::Invalid(_))));
    // The provider sends again what was erased: it is known still.
    let redelivered = |event: Event| {
        let receipts =
            again(|| block_on(store.record(envelope(TENANT, MAIL), Disposition::Accepted, vec![event.clone()])));
        (receipts[0].duplicate, receipts[0].case_reference.clone())
    };
    assert_eq!(redelivered(mailed("l1", &[])), (true, Some(letter.clone())));
    nothing_left(&store, TENANT);
    // The same person writes again, in the same conversation, to the same message, with the old token.
    let new = take(&store, "messaging/example", T0, written("m2"));
    assert_ne!(new, chatted);
    let old = format!("<{SECRET}-l1@example.org>");
    let answer = take(&store, MAIL, T0, mailed("l2", &[&old]));
    assert_ne!(answer, letter);
    let mut tokened = mailed("l3", &[]);
    tokened.threading = Threading::Correspondence(channel_sdk::types::Correspondence {
        token: Some(letter.clone()),
        message_ids: vec![old],
    });
    let third = take(&store, MAIL, T0, tokened);
    assert!(third != letter && !third.is_empty());
    assert_eq!((case(&store, &letter).events.len(), case(&store, &chatted).events.len()), (1, 1));
    assert_eq!(case(&store, &new).summary.contact.expect("a new contact").handles.len(), 1);
    let reported = Event { threading: Threading::Existing(PHONE.into()), ..Event::new(EventKind::Status, "s1") };
    assert_eq!(take(&store, "messaging/example", T0, reported), new);
}

/// The law may oblige to keep what somebody wants erased.
pub fn a_case_on_hold_is_kept<W: World>(world: &W) {
    let store = world.open();
    let held = take(&store, "messaging/example", T0, written("m1"));
    let hold = |reason: Option<&str>| {
        block_on(store.hold(TENANT.into(), held.clone(), reason.map(str::to_owned), "ana".into(), T0))
    };
    hold(Some("court")).expect("on hold");
    hold(Some("court")).expect("the same again is nothing new");
    assert!(hold(Some(" ")).is_err());
    for subject in [who("device", PHONE), Subject::CaseReference(held.clone())] {
        match try_erase(&store, subject, false) {
            Err(StoreError::Invalid(why)) => assert!(why.contains(&held) && why.contains("hold"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    status(&store, &held, CaseStatus::Closed, T0);
    rules(&store, TENANT, &[(Kind::Cases, 0)]);
    assert_eq!(retain(&store, T0 + DAY), 0);
    let gone = block_on(store.remove_tenant(TENANT.into(), "root".into(), "over".into(), T0, 100));
    // Without a profile, but with rows, it is a tenant all the same.
    assert!(matches!(gone, Err(StoreError::Invalid(_))), "{gone:?}");
    assert!(everything(&store, TENANT).contains(SECRET));
    hold(None).expect("released");
    assert_eq!(retain(&store, T0 + DAY), 1);
    nothing_left(&store, TENANT);
    let actions: Vec<String> = trail(&store, TENANT).into_iter().rev().map(|entry| entry.action).collect();
    assert_eq!(actions, ["hold", "policy", "release", "retain"]);
    assert!(block_on(store.hold(TENANT.into(), "000-000-0000".into(), None, "ana".into(), T0)).is_err());
}

/// Each kind takes its own, from finished cases only, when its time has come.
pub fn retention_takes_each_kind_in_its_time<W: World>(world: &W) {
    let store = world.open();
    let finished = take(&store, "messaging/example", T0, written("m1"));
    let open = take(&store, MAIL, T0, mailed("l1", &[]));
    let call = personal(call(EventKind::CallRecording, "r1", "CA1"));
    let called = take(&store, VOICE, T0, Event { sender: Some(handle("phone", PHONE)), ..call });
    block_on(store.add_note(TENANT.into(), finished.clone(), SECRET.into(), "ana".into(), T0)).expect("note");
    let kinds = [
        (Kind::Envelopes, 1),
        (Kind::Media, 2),
        (Kind::Locations, 3),
        (Kind::Recordings, 4),
        (Kind::Texts, 5),
        (Kind::People, 6),
    ];
    rules(&store, TENANT, &kinds);
    for reference in [&finished, &called] {
        status(&store, reference, CaseStatus::Closed, T0 + 10);
    }
    assert_eq!(retain(&store, T0 + 10 + DAY - 1), 0);
    assert_eq!(retain(&store, T0 + 10 + DAY), 2);
    assert_eq!(retain(&store, T0 + 10 + DAY), 0, "once");
    assert_eq!(erased(&store, TENANT), 2);
    let of = |reference: &str| case(&store, reference).events.remove(0).event;
    let has = |event: &Event| {
        (event.attachments.len(), event.location.is_some(), event.text.is_some(), event.sender.is_some())
    };
    assert_eq!(has(&of(&finished)), (1, true, true, true));
    retain(&store, T0 + 10 + 2 * DAY);
    assert_eq!((has(&of(&finished)).0, has(&of(&called)).0), (0, 1), "recordings have their own time");
    retain(&store, T0 + 10 + 3 * DAY);
    assert_eq!(has(&of(&finished)), (0, false, true, true));
    retain(&store, T0 + 10 + 4 * DAY);
    assert_eq!(has(&of(&called)).0, 0);
    retain(&store, T0 + 10 + 5 * DAY);
    assert_eq!(has(&of(&finished)), (0, false, false, true));
    assert_eq!((case(&store, &finished).notes[0].text.as_str(), case(&store, &finished).summary.subject), ("", None));
    retain(&store, T0 + 10 + 6 * DAY);
    assert_eq!(has(&of(&finished)), (0, false, false, false));
    assert_eq!(case(&store, &finished).summary.contact, None);
    // The open case has everything.
    assert_eq!(has(&of(&open)), (1, true, true, true));
    assert!(everything(&store, TENANT).contains(ADDRESS));
    // Who has nothing left here is nobody: writing again makes a new contact.
    assert!(matches!(try_erase(&store, who("device", PHONE), true), Err(StoreError::Invalid(_))));
    assert!(trail(&store, TENANT).iter().filter(|entry| entry.action == "retain").count() >= 6);
}

/// What comes to a finished case is looked at again; what has no case counts from its receipt; what waits for somebody is kept.
pub fn retention_sees_what_comes_late_and_what_has_no_case<W: World>(world: &W) {
    let store = world.open();
    rules(&store, TENANT, &[(Kind::Cases, 10), (Kind::Envelopes, 1), (Kind::Texts, 1)]);
    let call = |key: &str| personal(call(EventKind::CallTranscript, key, "CA1"));
    let reference = take(&store, VOICE, T0, call("t1"));
    status(&store, &reference, CaseStatus::Closed, T0);
    assert_eq!(retain(&store, T0 + DAY), 2);
    take(&store, VOICE, T0 + 2 * DAY, call("t2"));
    assert_eq!(retain(&store, T0 + 2 * DAY), 0);
    assert_eq!(case(&store, &reference).events[1].event.text, secret());
    assert_eq!(retain(&store, T0 + 3 * DAY), 2);
    assert_eq!(case(&store, &reference).events[1].event.text, None);
    // Without a case, and without an event.
    let alone = Event { threading: Threading::Detached, ..personal(Event::new(EventKind::Mention, "x1")) };
    take(&store, MAIL, T0 + 3 * DAY, alone);
    take_for(&store, TENANT, MAIL, T0 + 3 * DAY, Vec::new());
    let waits = Disposition::Quarantined("not understood".into());
    again(|| block_on(store.record(raw(TENANT, MAIL, T0), waits.clone(), Vec::new())));
    again(|| block_on(store.journal(raw(TENANT, MAIL, T0))));
    assert!(retain(&store, T0 + 4 * DAY) > 0);
    assert_eq!(retain(&store, T0 + 4 * DAY), 0);
    for summary in block_on(store.envelopes(TENANT.into(), None, first())).expect("envelopes").envelopes {
        let whole = block_on(store.envelope_by_id(TENANT.into(), summary.id));
        assert_eq!(whole.is_ok(), summary.disposition != Disposition::Accepted);
    }
    assert!(retain(&store, T0 + 20 * DAY) > 0);
    assert_eq!(erased(&store, TENANT), 4);
    assert_eq!(block_on(store.retention(TENANT.into())).expect("rules").len(), 3);
    let bad = vec![Rule { kind: Kind::Texts, days: 1 }];
    assert!(matches!(block_on(store.set_retention(TENANT.into(), bad, "dpo".into(), T0)), Err(StoreError::Invalid(_))));
    rules(&store, TENANT, &[]);
    assert_eq!(block_on(store.retention(TENANT.into())), Ok(Vec::new()));
}

/// A request with messages of two people stays until both are due.
pub fn a_shared_envelope_goes_with_the_last_of_its_cases<W: World>(world: &W) {
    let store = world.open();
    let others = Event { sender: Some(handle("messenger", "b")), ..chat("k2", "b") };
    let references = take_for(&store, TENANT, "messaging/example", T0, vec![written("m1"), others]);
    rules(&store, TENANT, &[(Kind::Envelopes, 0)]);
    status(&store, &references[0], CaseStatus::Closed, T0);
    retain(&store, T0 + DAY);
    assert_eq!(erased(&store, TENANT), 0);
    // A hold of the other one protects the request from an erasure, too.
    let hold = |reason: Option<String>| {
        block_on(store.hold(TENANT.into(), references[1].clone(), reason, "ana".into(), T0)).expect("hold");
    };
    hold(Some("court".into()));
    assert!(matches!(try_erase(&store, who("device", PHONE), false), Err(StoreError::Invalid(_))));
    hold(None);
    status(&store, &references[1], CaseStatus::Resolved, T0);
    retain(&store, T0 + DAY);
    assert_eq!(erased(&store, TENANT), 1);
    assert_eq!(case(&store, &references[1]).events[0].event.text.as_deref(), Some("hello"));
}

/// Several processes have the timer.
pub fn several_that_retain_at_once_do_it_once<W: World>(world: &W) {
    let store = world.open();
    for number in 0..120 {
        let event = Event {
            sender: Some(handle("messenger", &number.to_string())),
            ..chat(&format!("k{number}"), &number.to_string())
        };
        let reference = take(&store, "messaging/example", T0, personal(event));
        status(&store, &reference, CaseStatus::Closed, T0);
    }
    rules(&store, TENANT, &[(Kind::Cases, 1)]);
    together(world, 4, |_, store| retain(&store, T0 + DAY));
    assert_eq!(retain(&store, T0 + DAY), 0);
    nothing_left(&store, TENANT);
    let counted: u64 = trail(&store, TENANT).iter().map(|entry| entry.counts.cases).sum();
    assert_eq!((counted, erased(&store, TENANT)), (120, 120));
    let numbers: Vec<u64> = trail(&store, TENANT).iter().rev().map(|entry| entry.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

/// Intakes of the same person come in while they are erased: what was there before is gone, and nothing is half done.
pub fn an_erasure_under_way_loses_no_intake<W: World>(world: &W) {
    let store = world.open();
    take(&store, "messaging/example", T0, written("first"));
    let made = together(world, 4, |index, store| {
        if index == 0 {
            for _ in 0..5 {
                match try_erase(&store, who("device", PHONE), false) {
                    Ok(_) | Err(StoreError::Invalid(_) | StoreError::Unavailable(_)) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
            return Vec::new();
        }
        (0..10).map(|number| take(&store, "messaging/example", T0, written(&format!("{index}-{number}")))).collect()
    });
    assert_eq!(made.into_iter().flatten().filter(|reference| !reference.is_empty()).count(), 30);
    assert_eq!(all_events(&store, TENANT).len(), 31);
    drop(try_erase(&store, who("device", PHONE), false));
    nothing_left(&store, TENANT);
    assert_eq!(erased(&store, TENANT), 31);
}

/// Those who are told of changes erase theirs too.
pub fn the_feed_tells_of_an_erasure<W: World>(world: &W) {
    let store = world.open();
    let reference = take(&store, "messaging/example", T0, written("m1"));
    let entry = erase(&store, Subject::CaseReference(reference.clone())).entry.expect("an entry");
    let batch =
        block_on(store.feed_claim(TENANT.into(), "crm".into(), Start::Beginning, T0, T0 + 1, 10)).expect("feed");
    let told: Vec<(String, Option<String>)> = batch
        .expect("entries")
        .entries
        .into_iter()
        .filter_map(|entry| match entry.fact {
            Fact::Changed(changed) if changed.case_reference == reference => {
                Some((changed.change.field, changed.change.after))
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [("status".to_owned(), Some("closed".to_owned())), ("erased".to_owned(), Some(entry))]);
}

fn claim<S: Store>(store: &S, at: i64) -> Vec<Item> {
    again(|| block_on(store.claim("messaging/example".into(), at, at + 5, 10)))
}

fn answer<S: Store>(store: &S, reference: &str) {
    block_on(store.reply(TENANT.into(), reference.into(), format!("dear {SECRET}"), "ana".into(), T0)).expect("reply");
}

/// The courier had it before the erasure: what it says afterwards brings nothing back, and holds up nobody else's.
pub fn what_was_being_sent_when_it_was_erased_is_not_sent_again<W: World>(world: &W) {
    let store = world.open();
    let settlements = [
        (Settlement::Retry((T0 + 20, "busy".into())), ReplyState::Failed),
        (Settlement::Failed(format!("no such {SECRET}")), ReplyState::Failed),
        (Settlement::Sent(Some(format!("<{SECRET}-out@example.org>"))), ReplyState::Sent),
    ];
    for (number, (settlement, state)) in settlements.into_iter().enumerate() {
        let reference = take(&store, "messaging/example", T0, written(&format!("m{number}")));
        answer(&store, &reference);
        let items = claim(&store, T0);
        assert_eq!(items.len(), 1, "{number}");
        erase(&store, who("device", PHONE));
        block_on(store.settle(items[0].id.clone(), T0 + 10, settlement)).expect("settled");
        assert_eq!(case(&store, &reference).replies[0].state, state, "{number}");
        assert!(claim(&store, T0 + 30).is_empty(), "{number}");
        nothing_left(&store, TENANT);
    }
    assert_eq!(block_on(store.queues()), Ok(Vec::new()));
}

/// A reply that waits longer than the rules keep whom it is for.
pub fn whose_name_is_due_before_the_reply_left_gets_none<W: World>(world: &W) {
    let store = world.open();
    let late = take(&store, "messaging/example", T0, written("m1"));
    answer(&store, &late);
    status(&store, &late, CaseStatus::Closed, T0);
    rules(&store, TENANT, &[(Kind::Envelopes, 1), (Kind::People, 1)]);
    assert!(retain(&store, T0 + DAY) > 0);
    let other = Event { sender: Some(handle("messenger", "b")), ..chat("k2", "b") };
    let open = reference(&record(&store, "messaging/example", other));
    answer(&store, &open);
    let cases: Vec<_> = claim(&store, T0 + DAY).into_iter().map(|item| item.message.case_reference).collect();
    assert_eq!(cases, [Some(open)]);
    let reply = case(&store, &late).replies.remove(0);
    assert_eq!((reply.state, reply.reason.as_deref()), (ReplyState::Failed, Some("erased")));
}

/// Bounded steps; the audit and the neighbour stay; nothing is taken in until there is a profile again, and then the chain begins anew.
pub fn a_removed_tenant_leaves_its_audit_and_nothing_else<W: World>(world: &W) {
    let store = world.open();
    for number in 0..30 {
        take(&store, "messaging/example", T0, written(&format!("m{number}")));
        take_for(&store, OTHER, MAIL, T0, vec![mailed(&format!("l{number}"), &[])]);
    }
    let neighbour = everything(&store, OTHER);
    seal(&store);
    let head = block_on(store.link(TENANT.into(), 30)).expect("link").expect("sealed");
    let remove =
        |limit| block_on(store.remove_tenant(TENANT.into(), "root".into(), "the contract is over".into(), T0, limit));
    let first_step = remove(20).expect("begun");
    assert!(first_step.more && (1..=40).contains(&first_step.removed), "{first_step:?}");
    assert_eq!(first_step.head, Some(format!("30:{head}")));
    let refused = block_on(store.record(raw(TENANT, MAIL, T0), Disposition::Accepted, vec![mailed("late", &[])]));
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    // The timer goes on with it, or the next call does.
    retain(&store, T0);
    assert_eq!(remove(10_000).map(|step| step.more), Ok(false));
    assert_eq!(everything(&store, OTHER), neighbour);
    assert_eq!(all_events(&store, TENANT).len(), 0);
    let account = block_on(store.add_up(TENANT.into(), Vec::new())).expect("account");
    assert_eq!((account.stored, account.counted, account.sealed, account.waiting), (0, 0, 0, 0));
    let entries = trail(&store, TENANT);
    assert_eq!(entries.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>(), ["removed", "remove"]);
    assert_eq!((entries[1].counts.envelopes, entries[1].counts.cases), (30, 1));
    assert!(entries[1].reason.as_deref().is_some_and(|reason| reason.contains(&head)));
    assert!(block_on(store.record(raw(TENANT, MAIL, T0), Disposition::Accepted, Vec::new())).is_err());
    // Whoever serves it is told, unlike of one that never had a profile.
    assert!(matches!(block_on(store.profile(TENANT.into())), Err(StoreError::Invalid(_))));
    assert_eq!(block_on(store.profile("toledo".into())), Ok(None));
    let nobody = block_on(store.remove_tenant("toledo".into(), "root".into(), "x".into(), T0, 10));
    assert!(matches!(nobody, Err(StoreError::Invalid(_))));
    block_on(store.put_profile(profile())).expect("a profile again");
    take(&store, MAIL, T0, mailed("new", &[]));
    assert_eq!((erased(&store, TENANT), trail(&store, TENANT).len()), (0, 2));
}

/// Pages, and limits that are none.
pub fn the_audit_is_read_newest_first_in_pages<W: World>(world: &W) {
    let store = world.open();
    for days in 0..5 {
        rules(&store, TENANT, &[(Kind::Cases, days)]);
    }
    let page = |after| block_on(store.audit(TENANT.into(), Page { after, limit: 2 })).expect("audit");
    let (mut numbers, mut after) = (Vec::new(), None);
    loop {
        let part = page(after);
        numbers.extend(part.entries.iter().map(|entry| entry.number));
        match part.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(numbers, [5, 4, 3, 2, 1]);
    assert_eq!(page(None).entries[0].reason.as_deref(), Some("cases 4"));
    for limit in [0, 501] {
        assert!(matches!(block_on(store.retain(T0, limit)), Err(StoreError::Invalid(_))));
    }
    let unnamed = block_on(store.erase(TENANT.into(), who("", "x"), " ".into(), "why".into(), T0, true));
    assert!(matches!(unnamed, Err(StoreError::Invalid(_))));
}
