//! Deliveries: stored once, whole, in order, by the right tenant, byte for byte.

use channel_sdk::types::{Attachment, Event, Header, Kind, Localized, Location, Task, TenantProfile, Threading};
use store_sdk::Store;
use store_sdk::log::{Disposition, Page, StoreError, Total};

use super::make::*;
use super::{World, block_on, together};

/// A first look.
pub fn a_new_store_is_ready_and_empty<W: World>(world: &W) {
    let store = world.open();
    block_on(store.ready()).expect("ready");
    assert!(all_events(&store, TENANT).is_empty());
    assert!(found(&store, TENANT, anything()).is_empty());
    assert!(block_on(store.tenants()).expect("tenants").is_empty());
    assert!(block_on(store.totals(String::new())).expect("totals").is_empty());
    assert_eq!(block_on(store.profile(TENANT.into())), Ok(None));
    assert_eq!(block_on(store.envelope_by_id(TENANT.into(), "nothing".into())), Ok(None));
}

fn everything() -> Event {
    let text = |text: &str| Some(text.to_owned());
    Event {
        timestamp: Some(T0 - 1500),
        sender: Some(handle("phone", "+34600111222")),
        sender_name: text("Núria"),
        claimed: vec![handle("email", "nuria@example.org")],
        recipient: text("+34900100100"),
        subject: text("Farola"),
        text: text("No se ve nada"),
        message_id: text("m1"),
        thread_id: text("t1"),
        in_reply_to: text("m0"),
        references: vec!["m0".into(), "m-1".into()],
        call_id: text("CA1"),
        conversation_id: text("c1"),
        event_id: text("e1"),
        dtmf: text("42"),
        confidence: Some(0.875),
        language: text("ca"),
        status: text("completed"),
        duration_s: Some(61),
        recording_id: text("RE1"),
        location: Some(Location { lat: 40.416_775, long: -3.703_79 }),
        address: text("Calle Mayor 1"),
        service_code: text("lamp"),
        attributes: vec![("pole".into(), "1".into()), ("pole".into(), "2".into())],
        fields: vec![("z".into(), "1".into()), ("a".into(), "2".into())],
        flags: vec!["bulk".into()],
        must_not_autorespond: true,
        attachments: vec![Attachment {
            name: text("a.jpg"),
            content_type: text("image/jpeg"),
            size: Some(u64::from(u32::MAX) + 1),
            sha256: text("00"),
            url: text("https://example.org/a.jpg"),
            media_id: text("ME1"),
            content_id: text("cid"),
            disposition: text("inline"),
        }],
        threading: Threading::Key("CA1".into()),
        department: text("lighting"),
        task: Some(Task::Review),
        asks_about: text("0000000000"),
        ..Event::new(Kind::CallRecording, "k1")
    }
}

/// Nothing is invented or lost.
pub fn an_event_comes_back_as_it_was_recorded<W: World>(world: &W) {
    let store = world.open();
    let receipt = record(&store, VOICE, everything());
    assert!(!receipt.duplicate && receipt.opened);
    assert_eq!(receipt.idempotency_key, "k1");
    let stored = all_events(&store, TENANT).remove(0);
    assert_eq!(stored.event, everything());
    assert_eq!(
        (stored.tenant.as_str(), stored.channel.as_str(), stored.connector.as_str()),
        (TENANT, "telephony", VOICE)
    );
    assert_eq!(stored.received_at, T0);
    assert_eq!(stored.id, receipt.event_id);
    assert_eq!(stored.case_reference, receipt.case_reference);
    let case = case(&store, &reference(&receipt));
    assert_eq!(case.events, [stored]);
    let summary = case.summary;
    assert_eq!(summary.status, channel_sdk::types::CaseStatus::New);
    assert_eq!(summary.department.as_deref(), Some("lighting"));
    assert_eq!(summary.service_code.as_deref(), Some("lamp"));
    assert_eq!(summary.subject.as_deref(), Some("Farola"));
    assert_eq!((summary.opened_at, summary.updated_at, summary.first_response_at), (T0, T0, None));
    assert_eq!((summary.priority, summary.assignee), (None, None));
    let contact = summary.contact.expect("a contact");
    assert_eq!(contact.name.as_deref(), Some("Núria"));
    // What the sender claims is no handle of his.
    assert_eq!(contact.handles, [handle("phone", "+34600111222")]);
}

/// A duplicate is a success.
pub fn a_redelivery_gives_the_first_receipt_and_changes_nothing<W: World>(world: &W) {
    let store = world.open();
    let first = record(&store, VOICE, everything());
    let mut changed = everything();
    changed.text = Some("something else".into());
    changed.sender = Some(handle("phone", "+34999999999"));
    changed.threading = Threading::Key("another".into());
    for again in [everything(), changed] {
        let second = record(&world.open(), VOICE, again);
        assert!(second.duplicate);
        assert_eq!(
            (&second.event_id, &second.case_reference, second.opened),
            (&first.event_id, &first.case_reference, first.opened)
        );
    }
    assert_eq!(all_events(&store, TENANT).len(), 1);
    assert_eq!(found(&store, TENANT, anything()).len(), 1);
    assert_eq!(case(&store, &reference(&first)).summary.open_tasks.len(), 1);
    let nobody = store_sdk::cases::Query { q: Some("+34999999999".into()), ..anything() };
    assert!(found(&store, TENANT, nobody).is_empty());
}

/// Two mailboxes get the same mail: two events.
pub fn a_key_is_unique_per_connector_and_tenant_only<W: World>(world: &W) {
    let store = world.open();
    let receipts = [
        record_for(&store, TENANT, VOICE, chat("k", "c")),
        record_for(&store, TENANT, MAIL, chat("k", "c")),
        record_for(&store, "sevilla", VOICE, chat("k", "c")),
    ];
    assert!(receipts.iter().all(|receipt| !receipt.duplicate && receipt.opened));
}

/// A provider that repeats itself inside one delivery.
pub fn the_same_key_twice_in_one_delivery_is_stored_once<W: World>(world: &W) {
    let store = world.open();
    let receipts = record_all(&store, TENANT, VOICE, vec![chat("k", "c"), chat("other", "c"), chat("k", "c")]);
    assert_eq!(receipts.iter().map(|receipt| receipt.duplicate).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(receipts[0].event_id, receipts[2].event_id);
    assert_eq!(receipts.iter().map(|receipt| receipt.opened).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(all_events(&store, TENANT).len(), 2);
}

/// No lock and no cache decides: the constraint does.
pub fn a_hundred_concurrent_deliveries_of_one_event_store_it_once<W: World>(world: &W) {
    drop(world.open());
    let receipts = together(world, 100, |_, store| record(&store, VOICE, everything()));
    assert_eq!(receipts.iter().filter(|receipt| !receipt.duplicate).count(), 1);
    for receipt in &receipts {
        assert_eq!((&receipt.event_id, &receipt.case_reference), (&receipts[0].event_id, &receipts[0].case_reference));
    }
    let store = world.open();
    assert_eq!(all_events(&store, TENANT).len(), 1);
    assert_eq!(found(&store, TENANT, anything()).len(), 1);
}

/// Migrations race, and run again.
pub fn a_hundred_new_processes_may_start_at_once<W: World>(world: &W) {
    for round in 0..2 {
        let receipts = together(world, 100, |index, store| {
            again(|| block_on(store.ready()));
            record(&store, VOICE, chat(&format!("{round}-{index}"), &format!("{round}-{index}")))
        });
        assert!(receipts.iter().all(|receipt| !receipt.duplicate && receipt.opened));
    }
    let store = world.open();
    assert_eq!(all_events(&store, TENANT).len(), 200);
    let references: std::collections::BTreeSet<String> = found(&store, TENANT, anything()).into_iter().collect();
    assert_eq!(references.len(), 200);
}

/// Oldest first; inside a delivery as the connector gave them.
pub fn events_keep_the_order_in_which_they_were_recorded<W: World>(world: &W) {
    let store = world.open();
    let mut expected = Vec::new();
    for delivery in 0..20 {
        let keys: Vec<String> = (0..12).map(|index| format!("{delivery}/{}", 11 - index)).collect();
        record_all(&store, TENANT, VOICE, keys.iter().map(|key| chat(key, "one")).collect());
        expected.extend(keys);
    }
    let read = |events: &[store_sdk::log::StoredEvent]| -> Vec<String> {
        events.iter().map(|stored| stored.event.idempotency_key.clone()).collect()
    };
    assert_eq!(read(&all_events(&store, TENANT)), expected);
    let reference = found(&store, TENANT, anything()).remove(0);
    assert_eq!(read(&case(&store, &reference).events), expected);
}

/// A cursor is a place, not a number of rows to skip.
pub fn pages_meet_without_a_gap<W: World>(world: &W) {
    let store = world.open();
    for index in 0..25 {
        record(&store, if index % 2 == 0 { VOICE } else { MAIL }, chat(&index.to_string(), "c"));
    }
    for (connector, expected) in [(None, 25), (Some(MAIL), 12)] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = Page { after, limit: 4 };
            let page = block_on(store.events(TENANT.into(), connector.map(str::to_owned), page)).expect("page");
            assert!(page.events.len() <= 4 && !page.events.is_empty());
            seen.extend(page.events.into_iter().map(|stored| stored.event.idempotency_key));
            if page.next.is_none() {
                break;
            }
            after = page.next;
        }
        assert_eq!(seen.len(), expected);
        assert!(seen.windows(2).all(|pair| pair[0].parse::<u32>().unwrap() < pair[1].parse().unwrap()));
    }
    for (after, limit) in [(None, 0), (None, 501), (Some("x".to_owned()), 1)] {
        let page = Page { after, limit };
        assert!(matches!(block_on(store.events(TENANT.into(), None, page)), Err(StoreError::Invalid(_))));
    }
}

/// And comes back quickly enough to be tested.
pub fn a_megabyte_of_text_survives<W: World>(world: &W) {
    let store = world.open();
    let text: String = "Año \"nuevo\" \\ ñandú\n".chars().cycle().take(1 << 20).collect();
    let event = Event { text: Some(text), ..chat("k", "c") };
    let receipt = record(&store, VOICE, event.clone());
    assert_eq!(case(&store, &reference(&receipt)).events[0].event, event);
}

const STRANGE: [&str; 9] = [
    "\0",
    "a\0b\0",
    "\u{10ffff}\u{fffd}\u{fffe}",
    "\u{202e}mirrored\u{2066}",
    "'; DROP TABLE events; --",
    "\\0 \\ \\u0000 \"quoted\"",
    "e\u{301} is not é",
    "\u{1f1ea}\u{1f1f8}\u{200d}\u{feff}",
    "\u{1}\u{1b}[31m\u{7f}\r\n\t",
];

/// In every field that a person or provider fills.
pub fn strange_text_survives_byte_for_byte<W: World>(world: &W) {
    let store = world.open();
    for (index, strange) in STRANGE.iter().enumerate() {
        let text = || Some((*strange).to_owned());
        let key = format!("{index}{strange}");
        let event = Event {
            sender: Some(handle("x", &key)),
            sender_name: text(),
            subject: text(),
            text: text(),
            message_id: text(),
            call_id: text(),
            status: text(),
            department: text(),
            service_code: text(),
            fields: vec![(key.clone(), key.clone())],
            threading: Threading::Key(key.clone()),
            ..Event::new(Kind::Message, key.as_str())
        };
        let receipt = record(&store, VOICE, event.clone());
        assert!(receipt.opened, "{strange:?}");
        let reference = reference(&receipt);
        let case = case(&store, &reference);
        assert_eq!(case.events[0].event, event);
        assert_eq!(case.summary.subject, event.subject);
        assert_eq!(case.summary.department, event.department);
        let contact = case.summary.contact.expect("a contact");
        assert_eq!(contact.name, event.sender_name);
        assert_eq!(contact.handles, [handle("x", &key)]);
        let note =
            block_on(store.add_note(TENANT.into(), reference.clone(), format!("note {strange}"), key.clone(), T0));
        assert_eq!(note.expect("a note").text, format!("note {strange}"));
        let read = super::make::case(&store, &reference);
        assert_eq!((read.notes[0].text.as_str(), &read.notes[0].author), (format!("note {strange}").as_str(), &key));
    }
}

/// JSON functions that end a string at NUL would make these one.
pub fn keys_that_differ_behind_a_nul_differ<W: World>(world: &W) {
    let store = world.open();
    for key in ["a\0b", "a\0c", "a", "a\\0b"] {
        let receipt = record(&store, VOICE, Event { sender: Some(handle("x", key)), ..chat(key, key) });
        assert!(!receipt.duplicate && receipt.opened, "{key:?}");
    }
    for found in found(&store, TENANT, anything()) {
        assert_eq!(case(&store, &found).summary.contact.expect("a contact").handles.len(), 1);
    }
}

/// A connector's defect.
pub fn an_empty_idempotency_key_or_thread_key_is_invalid_and_stores_nothing<W: World>(world: &W) {
    let store = world.open();
    for event in
        [chat("", "c"), chat("k", ""), Event { threading: Threading::Existing(String::new()), ..chat("k", "c") }]
    {
        let answer = block_on(store.record(envelope(TENANT, VOICE), Disposition::Accepted, vec![event]));
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{answer:?}");
    }
    assert!(block_on(store.totals(String::new())).expect("totals").is_empty());
}

/// All or nothing.
pub fn one_invalid_event_keeps_the_others_out<W: World>(world: &W) {
    let store = world.open();
    let answer =
        block_on(store.record(envelope(TENANT, VOICE), Disposition::Accepted, vec![chat("a", "a"), chat("", "b")]));
    assert!(matches!(answer, Err(StoreError::Invalid(_))), "{answer:?}");
    assert!(all_events(&store, TENANT).is_empty());
    assert!(found(&store, TENANT, anything()).is_empty());
}

/// The tenant comes first in every key.
pub fn tenants_do_not_see_each_other<W: World>(world: &W) {
    let store = world.open();
    let mine = record(&store, VOICE, everything());
    let envelopes = block_on(store.envelopes(TENANT.into(), None, first())).expect("envelopes").envelopes;
    let other = "sevilla".to_owned();
    assert!(all_events(&store, &other).is_empty());
    assert!(found(&store, &other, anything()).is_empty());
    assert_eq!(block_on(store.get(other.clone(), reference(&mine))), Ok(None));
    assert_eq!(block_on(store.envelope_by_id(other.clone(), envelopes[0].id.clone())), Ok(None));
    assert!(block_on(store.envelopes(other.clone(), None, first())).expect("envelopes").envelopes.is_empty());
    assert!(block_on(store.totals(other.clone())).expect("totals").is_empty());
    let theirs = record_for(&store, &other, VOICE, Event { asks_about: mine.case_reference.clone(), ..everything() });
    assert!(theirs.opened && theirs.asked.is_none());
    let their_case = block_on(store.get(other, reference(&theirs))).expect("read").expect("a case");
    let my_case = case(&store, &reference(&mine));
    assert_ne!(their_case.summary.contact.expect("a contact").id, my_case.summary.contact.expect("a contact").id);
}

/// Also what is not text.
pub fn an_envelope_comes_back_byte_for_byte<W: World>(world: &W) {
    let store = world.open();
    let mut sent = envelope(TENANT, VOICE);
    sent.body = (0..=255).chain([0, 0]).collect();
    sent.target = "/voice?x=%00\0\\".into();
    sent.headers = vec![
        Header { name: "x".into(), value: b"text \0 \\".to_vec() },
        Header { name: "x".into(), value: vec![0xff, 0, 0xfe] },
        Header { name: "y".into(), value: Vec::new() },
    ];
    let id = block_on(store.journal(sent.clone())).expect("journalled");
    let read = block_on(store.envelope_by_id(TENANT.into(), id.clone())).expect("read").expect("there");
    assert_eq!(read, store_sdk::log::Envelope { id: Some(id), ..sent.clone() });
    let summary = block_on(store.envelopes(TENANT.into(), None, first())).expect("listed").envelopes.remove(0);
    assert_eq!((summary.target, summary.body_bytes, summary.events), (sent.target, 258, 0));
    assert_eq!(summary.disposition, Disposition::Pending);
}

/// Journal first, then record.
pub fn a_journalled_envelope_is_completed_by_its_record<W: World>(world: &W) {
    let store = world.open();
    let id = block_on(store.journal(envelope(TENANT, VOICE))).expect("journalled");
    let pending = |store: &W::Store| {
        block_on(store.envelopes(TENANT.into(), Some("pending".into()), first())).expect("listed").envelopes.len()
    };
    assert_eq!(pending(&store), 1);
    let known = store_sdk::log::Envelope { id: Some(id.clone()), ..envelope(TENANT, VOICE) };
    let receipts = block_on(store.record(known, Disposition::Accepted, vec![chat("k", "c")])).expect("recorded");
    assert!(receipts[0].opened);
    assert_eq!(pending(&store), 0);
    let all = block_on(store.envelopes(TENANT.into(), None, first())).expect("listed").envelopes;
    assert_eq!((all.len(), &all[0].id, all[0].events), (1, &id, 1));
    assert_eq!(all[0].disposition, Disposition::Accepted);
}

/// An id is no right.
pub fn an_envelope_of_another_tenant_cannot_be_completed<W: World>(world: &W) {
    let store = world.open();
    let id = block_on(store.journal(envelope("sevilla", VOICE))).expect("journalled");
    for (tenant, connector, id) in [(TENANT, VOICE, id.as_str()), ("sevilla", MAIL, &id), (TENANT, VOICE, "nothing")] {
        let known = store_sdk::log::Envelope { id: Some(id.into()), ..envelope(tenant, connector) };
        let answer = block_on(store.record(known, Disposition::Accepted, vec![chat("k", "c")]));
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{answer:?}");
    }
    assert!(all_events(&store, TENANT).is_empty());
}

/// A connector that gets worse does not unlearn.
pub fn what_was_accepted_stays_accepted<W: World>(world: &W) {
    let store = world.open();
    record(&store, VOICE, chat("k", "c"));
    let id = block_on(store.envelopes(TENANT.into(), None, first())).expect("listed").envelopes.remove(0).id;
    for worse in [Disposition::Pending, Disposition::Quarantined("trap".into())] {
        let known = store_sdk::log::Envelope { id: Some(id.clone()), ..envelope(TENANT, VOICE) };
        block_on(store.record(known, worse, Vec::new())).expect("recorded");
    }
    let listed = block_on(store.envelopes(TENANT.into(), None, first())).expect("listed").envelopes;
    assert_eq!((listed.len(), &listed[0].disposition), (1, &Disposition::Accepted));
}

/// `ventanilla replay`.
pub fn a_quarantined_envelope_is_replayed_without_a_second_case<W: World>(world: &W) {
    let store = world.open();
    let reason = Disposition::Quarantined("unknown charset\0 \\".into());
    let receipts =
        block_on(store.record(envelope(TENANT, VOICE), reason.clone(), vec![chat("k", "c")])).expect("recorded");
    let listed =
        block_on(store.envelopes(TENANT.into(), Some("quarantined".into()), first())).expect("listed").envelopes;
    assert_eq!(listed[0].disposition, reason);
    for round in 0..2 {
        let known = store_sdk::log::Envelope { id: Some(listed[0].id.clone()), ..envelope(TENANT, VOICE) };
        let events = vec![chat("k", "c"), chat("k2", "c")];
        let again = block_on(store.record(known, Disposition::Accepted, events)).expect("replayed");
        assert_eq!((again[0].duplicate, &again[0].event_id), (true, &receipts[0].event_id));
        assert_eq!((again[1].duplicate, again[1].opened), (round == 1, false));
    }
    let all = block_on(store.envelopes(TENANT.into(), None, first())).expect("listed").envelopes;
    assert_eq!((all.len(), all[0].events, &all[0].disposition), (1, 2, &Disposition::Accepted));
    assert_eq!(found(&store, TENANT, anything()).len(), 1);
}

fn once(nonce: &str) -> store_sdk::log::Envelope {
    store_sdk::log::Envelope { nonce: Some(nonce.into()), ..envelope(TENANT, VOICE) }
}

/// The provider did not hear our answer.
pub fn a_nonce_with_the_same_request_is_a_redelivery<W: World>(world: &W) {
    let store = world.open();
    let id = block_on(store.journal(once("n"))).expect("journalled");
    assert_eq!(block_on(store.journal(once("n"))), Ok(id.clone()));
    let first_time = block_on(store.record(once("n"), Disposition::Accepted, vec![chat("k", "c")])).expect("recorded");
    let again = block_on(store.record(once("n"), Disposition::Accepted, vec![chat("k", "c")])).expect("recorded");
    assert_eq!((first_time[0].duplicate, again[0].duplicate), (false, true));
    let all = block_on(store.envelopes(TENANT.into(), None, first())).expect("listed").envelopes;
    assert_eq!((all.len(), &all[0].id), (1, &id));
    // Headers are not bound: a proxy may add one.
    let mut other_way = once("n");
    other_way.headers = vec![Header { name: "via".into(), value: b"proxy".to_vec() }];
    assert_eq!(block_on(store.journal(other_way)), Ok(id));
}

/// Somebody has kept a signature.
pub fn a_nonce_with_another_request_is_a_replay<W: World>(world: &W) {
    let store = world.open();
    block_on(store.record(once("n"), Disposition::Accepted, vec![chat("k", "c")])).expect("recorded");
    let changes: [fn(&mut store_sdk::log::Envelope); 3] = [
        |envelope| envelope.body.push(b'x'),
        |envelope| envelope.target.push('x'),
        |envelope| envelope.method = "PUT".into(),
    ];
    for change in changes {
        let mut other = once("n");
        change(&mut other);
        assert_eq!(block_on(store.journal(other.clone())), Err(StoreError::Replayed));
        let answer = block_on(store.record(other, Disposition::Accepted, vec![chat("k2", "c2")]));
        assert_eq!(answer, Err(StoreError::Replayed));
    }
    assert_eq!(all_events(&store, TENANT).len(), 1);
    // The same value of another tenant or connector is another value.
    let mut other = once("n");
    other.tenant = "sevilla".into();
    other.body.clear();
    block_on(store.journal(other)).expect("journalled");
}

/// What came in is what is counted.
pub fn the_ledger_counts_what_is_stored<W: World>(world: &W) {
    let store = world.open();
    record_all(&store, TENANT, VOICE, vec![chat("a", "c"), chat("b", "c")]);
    record(&store, VOICE, chat("a", "c"));
    record_for(&store, "sevilla", MAIL, chat("a", "c"));
    let id = block_on(store.journal(envelope(TENANT, VOICE))).expect("journalled");
    let line = |tenant: &str, connector: &str, disposition: &str, envelopes, events| Total {
        tenant: tenant.into(),
        connector: connector.into(),
        disposition: disposition.into(),
        envelopes,
        events,
        oldest: None,
    };
    let waits = |total: Total| Total { oldest: Some(T0), ..total };
    let theirs = line("sevilla", MAIL, "accepted", 1, 1);
    let totals = |tenant: &str| block_on(store.totals(tenant.into())).expect("totals");
    assert_eq!(
        totals(""),
        [line(TENANT, VOICE, "accepted", 2, 2), waits(line(TENANT, VOICE, "pending", 1, 0)), theirs.clone()]
    );
    let known = store_sdk::log::Envelope { id: Some(id), ..envelope(TENANT, VOICE) };
    block_on(store.record(known, Disposition::Quarantined("why".into()), vec![chat("c", "c")])).expect("recorded");
    assert_eq!(
        totals(TENANT),
        [line(TENANT, VOICE, "accepted", 2, 2), waits(line(TENANT, VOICE, "quarantined", 1, 1))]
    );
    assert_eq!(totals("sevilla"), [theirs.clone()]);

    // A younger one does not change since when somebody waits, nor does one of another connector.
    let younger = store_sdk::log::Envelope { received_at: T0 + 60_000, ..envelope(TENANT, VOICE) };
    block_on(store.record(younger.clone(), Disposition::Quarantined("why".into()), Vec::new())).expect("recorded");
    let other = store_sdk::log::Envelope { received_at: T0 + 5_000, ..envelope(TENANT, MAIL) };
    block_on(store.record(other, Disposition::Quarantined("why".into()), Vec::new())).expect("recorded");
    let mail = Total { oldest: Some(T0 + 5_000), ..line(TENANT, MAIL, "quarantined", 1, 0) };
    let voice = waits(line(TENANT, VOICE, "quarantined", 2, 1));
    assert_eq!(totals(""), [mail, line(TENANT, VOICE, "accepted", 2, 2), voice, theirs]);
}

/// Put, replaced, listed.
pub fn profiles_are_kept<W: World>(world: &W) {
    let store = world.open();
    let profile = |tenant: &str, name: &str| TenantProfile {
        tenant: tenant.into(),
        name: name.into(),
        languages: vec!["es".into(), "ca".into()],
        greeting: vec![Localized { language: "es".into(), text: "Bienvenida «ñ» \\ \"".into() }],
        announcement: Vec::new(),
        departments: Vec::new(),
        services: Vec::new(),
        time_zone: "CET-1CEST,M3.5.0,M10.5.0/3".into(),
        opening_hours: Vec::new(),
        links: Vec::new(),
        acknowledge: name == "Madrid",
    };
    for (tenant, name) in [("sevilla", "Sevilla"), (TENANT, "Madrid"), (TENANT, "Ayuntamiento de Madrid")] {
        block_on(store.put_profile(profile(tenant, name))).expect("put");
    }
    assert_eq!(block_on(store.tenants()), Ok(vec![TENANT.to_owned(), "sevilla".to_owned()]));
    assert_eq!(block_on(world.open().profile(TENANT.into())), Ok(Some(profile(TENANT, "Ayuntamiento de Madrid"))));
    assert_eq!(block_on(store.profile("nowhere".into())), Ok(None));
}
