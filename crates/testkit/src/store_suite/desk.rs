//! What staff do.

use channel_sdk::types::{CaseStatus, Event, Kind, Lookup, Task, Threading};
use store_sdk::Store;
use store_sdk::cases::{Query, Update};
use store_sdk::log::{Page, StoreError};

use super::make::*;
use super::{World, block_on};

/// Dictated in groups.
pub fn a_reference_is_ten_digits_with_a_check_digit<W: World>(world: &W) {
    let store = world.open();
    for index in 0..50 {
        let reference = reference(&record(&store, VOICE, chat(&index.to_string(), &index.to_string())));
        assert_eq!(reference.len(), 12);
        let bare = channel_sdk::reference::parse(&reference).expect("a reference");
        assert_eq!(channel_sdk::reference::format(&bare), reference);
        for spelling in [bare.clone(), reference.replace('-', " "), reference.clone()] {
            assert_eq!(case(&store, &spelling).summary.reference, reference);
        }
    }
}

/// Mistyped is not mistaken.
pub fn a_wrong_check_digit_is_refused_and_an_unknown_reference_is_absent<W: World>(world: &W) {
    let store = world.open();
    let right = reference(&record(&store, VOICE, chat("1", "c")));
    let last = right.chars().last().and_then(|digit| digit.to_digit(10)).expect("a digit");
    let wrong = format!("{}{}", &right[..11], (last + 1) % 10);
    for text in [wrong.as_str(), "", "hello", "12345"] {
        let answer = block_on(store.get(TENANT.into(), text.into()));
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{text}: {answer:?}");
    }
    let free = (0..).map(channel_sdk::reference::from_number).find(|bare| *bare != right.replace('-', ""));
    assert_eq!(block_on(store.get(TENANT.into(), free.expect("one"))), Ok(None));
}

/// By telephone, for instance.
pub fn asking_about_a_case_gives_its_state<W: World>(world: &W) {
    let store = world.open();
    let asked = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    let changes = Update {
        status: Some(CaseStatus::Pending),
        department: Some("lighting".into()),
        assignee: None,
        priority: None,
    };
    block_on(store.change(TENANT.into(), asked.clone(), changes, "ana".into(), T0 + 5000)).expect("changed");
    for (index, spelling) in [asked.clone(), asked.replace('-', "")].into_iter().enumerate() {
        let event = Event { asks_about: Some(spelling), ..call(Kind::CallInput, &index.to_string(), "CA1") };
        for _ in 0..2 {
            let state = record(&store, VOICE, event.clone()).asked.expect("a state");
            assert_eq!((state.reference.as_str(), state.status), (asked.as_str(), CaseStatus::Pending));
            assert_eq!(state.department.as_deref(), Some("lighting"));
            assert_eq!((state.opened_at, state.updated_at), (T0, T0 + 5000));
        }
    }
    let mistyped = Event { asks_about: Some("4821093720".into()), ..call(Kind::CallInput, "m", "CA1") };
    assert_eq!(record(&store, VOICE, mistyped).asked, None);
}

/// By state and channel.
pub fn cases_are_listed_by_status_and_channel<W: World>(world: &W) {
    let store = world.open();
    record(&store, MAIL, mail("<1@a>", "a@example.org", &[]));
    record(&store, MAIL, mail("<2@b>", "b@example.org", &[]));
    let status = |status| Query { status: Some(status), ..anything() };
    assert_eq!(found(&store, TENANT, status(CaseStatus::New)).len(), 2);
    assert!(found(&store, TENANT, status(CaseStatus::Open)).is_empty());
    let channel = |channel: &str| Query { channel: Some(channel.into()), ..anything() };
    assert_eq!(found(&store, TENANT, channel("email")).len(), 2);
    assert!(found(&store, TENANT, channel("telephony")).is_empty());
}

/// And a case that changes does not move.
pub fn search_pages_newest_first<W: World>(world: &W) {
    let store = world.open();
    let mut expected: Vec<String> =
        (0..9).map(|index| reference(&record(&store, VOICE, chat(&index.to_string(), &index.to_string())))).collect();
    expected.reverse();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = block_on(store.search(TENANT.into(), anything(), Page { after, limit: 4 })).expect("page");
        seen.extend(page.cases.into_iter().map(|case| case.reference));
        record(&store, VOICE, chat(&format!("more{}", seen.len()), "0"));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, expected);
}

/// Who, when, from what to what.
pub fn a_change_is_written_with_its_history<W: World>(world: &W) {
    let store = world.open();
    let reference = reference(&record(&store, VOICE, chat("1", "c")));
    let change = |changes, at| block_on(store.change(TENANT.into(), reference.clone(), changes, "ana".into(), at));
    let nothing = || Update { status: None, department: None, assignee: None, priority: None };
    let all = Update {
        status: Some(CaseStatus::Open),
        department: Some("waste".into()),
        assignee: Some("Ñ\0".into()),
        priority: Some(2),
    };
    let summary = change(all.clone(), T0 + 10).expect("changed");
    assert_eq!((summary.status, summary.priority), (CaseStatus::Open, Some(2)));
    assert_eq!((summary.department.as_deref(), summary.assignee.as_deref()), (Some("waste"), Some("Ñ\0")));
    assert_eq!(summary.updated_at, T0 + 10);
    // Nothing new is no history.
    change(all, T0 + 20).expect("changed");
    change(nothing(), T0 + 30).expect("changed");
    change(Update { priority: Some(1), ..nothing() }, T0 + 40).expect("changed");
    let detail = case(&store, &reference);
    let lines: Vec<_> = detail
        .history
        .iter()
        .map(|line| {
            (line.at - T0, line.author.as_str(), line.field.as_str(), line.before.as_deref(), line.after.as_deref())
        })
        .collect();
    assert_eq!(
        lines,
        [
            (10, "ana", "status", Some("new"), Some("open")),
            (10, "ana", "department", None, Some("waste")),
            (10, "ana", "assignee", None, Some("Ñ\0")),
            (10, "ana", "priority", None, Some("2")),
            (40, "ana", "priority", Some("2"), Some("1")),
        ]
    );
    for priority in [0, 6] {
        let answer = change(Update { priority: Some(priority), ..nothing() }, T0);
        assert!(matches!(answer, Err(StoreError::Invalid(_))));
    }
}

/// Done is done, once.
pub fn notes_and_tasks_are_kept<W: World>(world: &W) {
    let store = world.open();
    let receipt = record(&store, VOICE, Event { task: Some(Task::CallBack), ..call(Kind::CallMissed, "m", "CA1") });
    let reference = reference(&receipt);
    for text in ["first", "second"] {
        block_on(store.add_note(TENANT.into(), reference.clone(), text.into(), "ana".into(), T0 + 1)).expect("noted");
    }
    let detail = case(&store, &reference);
    assert_eq!(detail.notes.iter().map(|note| note.text.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    assert_ne!(detail.notes[0].id, detail.notes[1].id);
    let task = detail.summary.open_tasks[0].id.clone();
    let finish =
        |task: &str| block_on(store.complete_task(TENANT.into(), reference.clone(), task.into(), "ana".into(), T0 + 2));
    for _ in 0..2 {
        assert!(finish(&task).expect("done").open_tasks.is_empty());
    }
    let history = case(&store, &reference).history;
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].field.as_str(), history[0].after.as_deref()), ("task", Some("done")));
    assert!(matches!(finish("nothing"), Err(StoreError::Invalid(_))));
}

/// Of another tenant's as well.
pub fn changes_of_an_unknown_case_are_invalid<W: World>(world: &W) {
    let store = world.open();
    let theirs = reference(&record_for(&store, "sevilla", VOICE, chat("1", "c")));
    let nothing = Update { status: Some(CaseStatus::Closed), department: None, assignee: None, priority: None };
    let change = block_on(store.change(TENANT.into(), theirs.clone(), nothing, "ana".into(), T0));
    assert!(matches!(change, Err(StoreError::Invalid(_))), "{change:?}");
    let note = block_on(store.add_note(TENANT.into(), theirs.clone(), "n".into(), "ana".into(), T0));
    assert!(matches!(note, Err(StoreError::Invalid(_))), "{note:?}");
    let reply = block_on(store.reply(TENANT.into(), theirs.clone(), "r".into(), "ana".into(), T0));
    assert!(matches!(reply, Err(StoreError::Invalid(_))), "{reply:?}");
    let task = block_on(store.complete_task(TENANT.into(), theirs.clone(), "t".into(), "ana".into(), T0));
    assert!(matches!(task, Err(StoreError::Invalid(_))), "{task:?}");
    let untouched = block_on(store.get("sevilla".into(), theirs)).expect("read").expect("there");
    assert_eq!((untouched.summary.status, untouched.history.len(), untouched.notes.len()), (CaseStatus::New, 0, 0));
}

fn contact_of<S: Store>(store: &S, reference: &str) -> store_sdk::cases::Contact {
    case(store, reference).summary.contact.expect("a contact")
}

/// With what had been joined into them.
pub fn joined_contacts_are_one_until_they_are_separated<W: World>(world: &W) {
    let store = world.open();
    let cases: Vec<String> = ["a", "b", "c"]
        .iter()
        .map(|name| reference(&record(&store, MAIL, mail(name, &format!("{name}@example.org"), &[]))))
        .collect();
    let alone: Vec<_> = cases.iter().map(|reference| contact_of(&store, reference)).collect();
    let join = |into: usize, other: usize| {
        block_on(store.join_contacts(TENANT.into(), alone[into].id.clone(), alone[other].id.clone(), "ana".into(), T0))
    };
    let separate = |into: usize, other: usize| {
        block_on(store.separate_contacts(
            TENANT.into(),
            alone[into].id.clone(),
            alone[other].id.clone(),
            "ana".into(),
            T0,
        ))
    };
    let handles = |index: usize| contact_of(&store, &cases[index]).handles.len();
    assert_eq!(join(1, 2).expect("joined").handles.len(), 2);
    assert_eq!(join(0, 1).expect("joined").handles.len(), 3);
    for index in 0..3 {
        assert_eq!(contact_of(&store, &cases[index]).id, alone[0].id);
        assert_eq!(handles(index), 3);
    }
    // No circles, nobody twice, nothing that is not so undone.
    for refused in [join(0, 0), join(2, 0), join(1, 0), join(0, 2), separate(0, 2), separate(1, 0)] {
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    }
    assert_eq!(separate(0, 1).expect("separated"), alone[0]);
    assert_eq!((handles(0), handles(1), handles(2)), (1, 2, 2));
    separate(1, 2).expect("separated");
    for index in 0..3 {
        assert_eq!(contact_of(&store, &cases[index]), alone[index]);
    }
    join(2, 0).expect("the other way round");
    assert_eq!((handles(0), handles(1), handles(2)), (2, 1, 2));
}

/// Programs write an address as it was once typed; the event keeps it so.
pub fn an_address_is_one_person_s_whatever_the_case_of_its_letters<W: World>(world: &W) {
    let store = world.open();
    let first = reference(&record(&store, MAIL, mail("<1@a>", "Ana.Garcia@Example.ORG", &[])));
    let other = reference(&record(&store, MAIL, mail("<2@a>", "ana.garcia@example.org", &[])));
    assert_ne!(first, other);
    let contact = contact_of(&store, &first);
    assert_eq!(contact_of(&store, &other), contact);
    assert_eq!(contact.handles, [handle("email", "ana.garcia@example.org")]);
    let again = record(&store, MAIL, mail("<3@a>", "ANA.GARCIA@EXAMPLE.ORG", &["<1@a>"]));
    assert_eq!(reference(&again), first, "takes part in it");
    let written = all_events(&store, TENANT).remove(0).event.sender.expect("a sender");
    assert_eq!(written, handle("email", "Ana.Garcia@Example.ORG"));
    // Ids that are not addresses mean their letters.
    let id = |value: &str| {
        let event = Event {
            sender: Some(handle("account", value)),
            threading: Threading::Key(value.into()),
            ..Event::new(Kind::Message, value)
        };
        contact_of(&store, &reference(&record(&store, "messaging/acme", event))).id
    };
    assert_ne!(id("abC"), id("abc"));
}

/// Never.
pub fn contacts_of_other_tenants_are_not_joined<W: World>(world: &W) {
    let store = world.open();
    let mine = contact_of(&store, &reference(&record(&store, MAIL, mail("a", "a@example.org", &[]))));
    let theirs = reference(&record_for(&store, "sevilla", MAIL, mail("a", "a@example.org", &[])));
    let theirs = block_on(store.get("sevilla".into(), theirs)).expect("read").expect("there");
    let theirs = theirs.summary.contact.expect("a contact");
    for tenant in [TENANT, "sevilla"] {
        let answer = block_on(store.join_contacts(tenant.into(), mine.id.clone(), theirs.id.clone(), "ana".into(), T0));
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{answer:?}");
    }
}

/// Joined by a person, so they take part in each other's cases, as long as they are joined.
pub fn a_joined_contact_s_mail_joins_the_case<W: World>(world: &W) {
    let store = world.open();
    let first = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    let other = reference(&record(&store, MAIL, mail("<1@b>", "b@example.org", &[])));
    let (into, with) = (contact_of(&store, &first).id, contact_of(&store, &other).id);
    block_on(store.join_contacts(TENANT.into(), into.clone(), with.clone(), "ana".into(), T0)).expect("joined");
    assert_eq!(reference(&record(&store, MAIL, mail("<2@b>", "b@example.org", &["<1@a>"]))), first);
    block_on(store.separate_contacts(TENANT.into(), into, with, "ana".into(), T0)).expect("separated");
    let third = reference(&record(&store, MAIL, mail("<1@c>", "a@example.org", &[])));
    assert_ne!(reference(&record(&store, MAIL, mail("<3@b>", "b@example.org", &["<1@c>"]))), third);
}

fn everybody() -> Lookup {
    Lookup {
        references: Vec::new(),
        service_codes: Vec::new(),
        statuses: Vec::new(),
        opened_from: None,
        opened_until: None,
        updated_from: None,
        updated_until: None,
        limit: 1000,
    }
}

/// Those whose first event is.
pub fn only_public_cases_are_public<W: World>(world: &W) {
    let store = world.open();
    let request = |key: &str, public: bool| Event {
        kind: Kind::Request,
        public,
        service_code: Some("lamp".into()),
        address: Some("Calle Mayor 1".into()),
        sender_name: Some("Núria".into()),
        threading: Threading::Key(key.into()),
        ..mail(key, "a@example.org", &[])
    };
    let open = reference(&record(&store, MAIL, request("1", true)));
    let private = reference(&record(&store, MAIL, request("2", false)));
    // What comes later does not publish a case.
    record(&store, MAIL, Event { threading: Threading::Key("2".into()), ..request("3", true) });
    let newer = reference(&record(&store, MAIL, Event { service_code: None, ..request("4", true) }));
    record_for(&store, "sevilla", MAIL, request("1", true));
    let changes = Update { status: Some(CaseStatus::Open), department: None, assignee: None, priority: None };
    block_on(store.change(TENANT.into(), open.clone(), changes, "ana".into(), T0 + 9)).expect("changed");
    let look = |lookup| block_on(store.public_cases(TENANT.into(), lookup)).expect("looked up");
    let bare = |reference: &String| reference.replace('-', "");
    let shown = |lookup| look(lookup).into_iter().map(|case| case.reference).collect::<Vec<_>>();
    assert_eq!(shown(everybody()), [bare(&newer), bare(&open)]);
    let case = look(Lookup { service_codes: vec!["lamp".into()], ..everybody() }).remove(0);
    assert_eq!((case.reference.as_str(), case.status), (bare(&open).as_str(), CaseStatus::Open));
    assert_eq!(case.description.as_deref(), Some("It is dark."));
    assert_eq!(case.address.as_deref(), Some("Calle Mayor 1"));
    assert_eq!(
        case.updates.iter().map(|update| (update.at, update.status)).collect::<Vec<_>>(),
        [(T0 + 9, CaseStatus::Open)]
    );
    assert_eq!(
        shown(Lookup { references: vec![bare(&private), open.clone(), "x".into()], ..everybody() }),
        [bare(&open)]
    );
    assert!(shown(Lookup { references: vec!["x".into()], ..everybody() }).is_empty());
    assert_eq!(shown(Lookup { statuses: vec![CaseStatus::New, CaseStatus::Closed], ..everybody() }), [bare(&newer)]);
    assert_eq!(shown(Lookup { limit: 1, ..everybody() }), [bare(&newer)]);
    assert_eq!(shown(Lookup { updated_from: Some(T0 + 9), ..everybody() }), [bare(&open)]);
    assert_eq!(shown(Lookup { updated_until: Some(T0 + 8), ..everybody() }), [bare(&newer)]);
    assert!(shown(Lookup { opened_from: Some(T0 + 1), ..everybody() }).is_empty());
    assert!(shown(Lookup { opened_until: Some(T0 - 1), ..everybody() }).is_empty());
}
