//! Which case an event joins: a privacy decision.

use channel_sdk::types::{CaseStatus, Correspondence, Event, Kind, Threading};
use store_sdk::Store;
use store_sdk::cases::Update;

use super::make::*;
use super::{World, block_on};

fn set_status<S: Store>(store: &S, reference: &str, status: CaseStatus) {
    let changes = Update { status: Some(status), department: None, assignee: None, priority: None };
    block_on(store.change(TENANT.into(), reference.into(), changes, "ana".into(), T0 + 1)).expect("changed");
}

/// Then a new one begins.
pub fn a_conversation_is_one_case_until_it_is_closed<W: World>(world: &W) {
    let store = world.open();
    let first = reference(&record(&store, VOICE, chat("1", "c")));
    for status in [CaseStatus::Open, CaseStatus::Pending] {
        set_status(&store, &first, status);
        let key = format!("{status:?}");
        assert_eq!(reference(&record(&store, VOICE, chat(&key, "c"))), first);
        // Who was waited for has written.
        assert_eq!(case(&store, &first).summary.status, CaseStatus::Open);
    }
    for (status, key) in [(CaseStatus::Resolved, "2"), (CaseStatus::Closed, "3")] {
        let before = reference(&record(&store, VOICE, chat(&format!("{key}a"), "c")));
        set_status(&store, &before, status);
        let after = record(&store, VOICE, chat(&format!("{key}b"), "c"));
        assert!(after.opened);
        assert_ne!(reference(&after), before);
        assert_eq!(case(&store, &before).summary.status, status);
        assert_eq!(reference(&record(&store, VOICE, chat(&format!("{key}c"), "c"))), reference(&after));
    }
}

/// A chat id of one provider is not another's.
pub fn a_conversation_is_the_connector_s_own<W: World>(world: &W) {
    let store = world.open();
    let one = record(&store, VOICE, chat("1", "c"));
    let other = record(&store, "messaging/example", chat("2", "c"));
    let elsewhere = record_for(&store, "sevilla", VOICE, chat("3", "c"));
    assert!(one.opened && other.opened && elsewhere.opened);
    assert_ne!(one.case_reference, other.case_reference);
}

/// A status of something unknown here.
pub fn existing_never_opens_a_case<W: World>(world: &W) {
    let store = world.open();
    let status = |key: &str| Event { threading: Threading::Existing("c".into()), ..Event::new(Kind::Status, key) };
    let unknown = record(&store, VOICE, status("1"));
    assert_eq!((unknown.case_reference, unknown.opened), (None, false));
    let opened = reference(&record(&store, VOICE, chat("2", "c")));
    assert_eq!(reference(&record(&store, VOICE, status("3"))), opened);
    // What became of an answer is told where the answer is, and wakes nobody.
    set_status(&store, &opened, CaseStatus::Closed);
    assert_eq!(reference(&record(&store, VOICE, status("4"))), opened);
    assert_eq!(case(&store, &opened).summary.status, CaseStatus::Closed);
}

/// Stored all the same.
pub fn a_detached_event_has_no_case<W: World>(world: &W) {
    let store = world.open();
    let receipt = record(&store, VOICE, Event { threading: Threading::Detached, ..chat("1", "c") });
    assert_eq!((receipt.case_reference, receipt.opened, receipt.duplicate), (None, false, false));
    assert_eq!(all_events(&store, TENANT).len(), 1);
    assert!(found(&store, TENANT, anything()).is_empty());
}

/// By any of the ids, the most specific first.
pub fn a_reply_of_a_participant_joins_its_case<W: World>(world: &W) {
    let store = world.open();
    let first = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    let second = reference(&record(&store, MAIL, mail("<2@a>", "a@example.org", &[])));
    assert_ne!(first, second);
    for (key, answers, expected) in [
        ("<3@a>", vec!["<1@a>"], &first),
        ("<4@a>", vec!["<3@a>"], &first),
        ("<5@a>", vec!["<2@a>", "<1@a>"], &second),
        ("<6@a>", vec!["<unknown@a>", "<1@a>", "<2@a>"], &first),
    ] {
        let receipt = record(&store, MAIL, mail(key, "a@example.org", &answers));
        assert_eq!((&reference(&receipt), receipt.opened), (expected, false), "{key}");
    }
    // Another mailbox of the administration is the same administration.
    let elsewhere = record(&store, "email/other", mail("<7@a>", "a@example.org", &["<1@a>"]));
    assert_eq!(reference(&elsewhere), first);
}

/// A newsletter is answered by many.
pub fn a_stranger_with_the_same_message_id_gets_a_case_of_his_own<W: World>(world: &W) {
    let store = world.open();
    let first = record(&store, MAIL, mail("<1@a>", "a@example.org", &[]));
    for (key, from) in [("<2@b>", Some("b@example.org")), ("<3@b>", None)] {
        let mut event = mail(key, from.unwrap_or_default(), &["<1@a>"]);
        event.sender = from.map(|from| handle("email", from));
        // Claiming to be somebody is not being it.
        event.claimed = vec![handle("email", "a@example.org")];
        event.sender_name = Some("a@example.org".into());
        event.subject = first.case_reference.clone();
        let receipt = record(&store, MAIL, event);
        assert!(receipt.opened);
        assert_ne!(receipt.case_reference, first.case_reference);
    }
    // The same address of another kind is another handle.
    let mut other_scheme = mail("<4@b>", "", &["<1@a>"]);
    other_scheme.sender = Some(handle("activitypub", "a@example.org"));
    assert!(record(&store, MAIL, other_scheme).opened);
    // Our own copy of what we sent does not make us, or whoever forges us, a participant.
    let echo = Event { flags: vec!["echo".into()], ..mail("<5@us>", "us@city.example", &["<1@a>"]) };
    record(&store, MAIL, echo);
    assert!(record(&store, MAIL, mail("<6@us>", "us@city.example", &["<1@a>"])).opened);
}

/// libredesk 122: all new mail joined one conversation.
pub fn an_empty_message_id_matches_nothing<W: World>(world: &W) {
    let store = world.open();
    for (index, id) in ["", " ", "<>", "\0"].iter().enumerate() {
        let mut opening = mail(&format!("{index}/1"), "a@example.org", &[]);
        opening.message_id = Some((*id).to_owned());
        assert!(record(&store, MAIL, opening).opened);
        for other in ["", " ", "<>", "\0"] {
            let mut answer = mail(&format!("{index}/2/{other}"), "a@example.org", &[other]);
            answer.message_id = None;
            assert!(record(&store, MAIL, answer).opened, "{id:?} {other:?}");
        }
    }
}

/// Nor does another tenant's token.
pub fn another_tenant_s_message_id_matches_nothing<W: World>(world: &W) {
    let store = world.open();
    let theirs = record_for(&store, "sevilla", MAIL, mail("<1@a>", "a@example.org", &[]));
    let mut event = mail("<2@a>", "a@example.org", &["<1@a>"]);
    assert!(record(&store, MAIL, event.clone()).opened);
    event.idempotency_key = "<3@a>".into();
    event.threading =
        Threading::Correspondence(Correspondence { token: theirs.case_reference, message_ids: Vec::new() });
    assert!(record(&store, MAIL, event).opened);
}

fn with_token(event: Event, token: &str) -> Event {
    let letters = Correspondence { token: Some(token.into()), message_ids: Vec::new() };
    Event { threading: Threading::Correspondence(letters), ..event }
}

/// Whoever has it may write: the gateway has checked its seal.
pub fn our_own_token_joins_its_case<W: World>(world: &W) {
    let store = world.open();
    let first = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    let bare = first.replace('-', "");
    for (key, token) in [("2", bare.clone()), ("3", format!("{bare}-abcdefghijklmnop")), ("4", first.clone())] {
        let receipt = record(&store, MAIL, with_token(mail(key, "secretary@example.org", &[]), &token));
        assert_eq!(reference(&receipt), first);
    }
}

/// Nothing is lost over it.
pub fn a_token_of_no_case_opens_a_new_one<W: World>(world: &W) {
    let store = world.open();
    let nothing = channel_sdk::reference::from_number(1);
    for (key, token) in [("1", nothing.as_str()), ("2", "rubbish"), ("3", "")] {
        assert!(record(&store, MAIL, with_token(mail(key, "a@example.org", &[]), token)).opened);
    }
}

/// And never opens one.
pub fn a_bounce_finds_its_case_without_taking_part_in_it<W: World>(world: &W) {
    let store = world.open();
    let bounce = |key: &str| {
        let letters = Correspondence { token: None, message_ids: vec!["<1@a>".into()] };
        Event {
            threading: Threading::ExistingCorrespondence(letters),
            flags: vec!["dsn".into()],
            kind: Kind::Status,
            ..mail(key, "mailer-daemon@example.net", &[])
        }
    };
    let lost = record(&store, MAIL, bounce("b1"));
    assert_eq!((lost.case_reference, lost.opened), (None, false));
    let opened = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    assert_eq!(reference(&record(&store, MAIL, bounce("b2"))), opened);
}

/// What a citizen writes must be seen.
pub fn a_reply_opens_a_resolved_case_again<W: World>(world: &W) {
    let store = world.open();
    let first = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    for (key, status) in [("<2@a>", CaseStatus::Resolved), ("<3@a>", CaseStatus::Closed)] {
        set_status(&store, &first, status);
        assert_eq!(reference(&record(&store, MAIL, mail(key, "a@example.org", &["<1@a>"]))), first);
        assert_eq!(case(&store, &first).summary.status, CaseStatus::Open);
    }
    let history = case(&store, &first).history;
    assert_eq!(history.iter().filter(|change| change.author == "ventanilla").count(), 2);
}

/// An update of somebody about the case with this reference.
fn update(key: &str, reference: &str) -> Event {
    Event {
        sender: Some(handle("email", "passer-by@example.org")),
        sender_name: Some("Somebody".into()),
        subject: Some("another subject".into()),
        service_code: Some("another service".into()),
        department: Some("another department".into()),
        text: Some("It is dark here, too.".into()),
        threading: Threading::PublicCase(reference.into()),
        ..Event::new(Kind::Message, key)
    }
}

/// A case that its citizen has filed for everybody to see.
fn filed(key: &str) -> Event {
    Event { public: true, ..mail(key, "a@example.org", &[]) }
}

/// A reference is public, so it shows nothing of whoever writes it; staff decide what becomes of the case.
pub fn what_is_added_to_a_public_case_joins_it_and_changes_nothing_of_it<W: World>(world: &W) {
    let store = world.open();
    let opened = reference(&record(&store, MAIL, filed("<1@a>")));
    let statuses = [CaseStatus::New, CaseStatus::Open, CaseStatus::Pending, CaseStatus::Resolved, CaseStatus::Closed];
    for status in statuses {
        if status != CaseStatus::New {
            set_status(&store, &opened, status);
        }
        let before = case(&store, &opened);
        // As it is shown, and as digits.
        for (n, named) in [opened.clone(), opened.replace('-', "")].iter().enumerate() {
            // By any connector of the tenant, whatever opened it.
            let receipt =
                record(&store, VOICE, update(&format!("{} {n}", channel_sdk::json::case_status_name(status)), named));
            assert_eq!(
                (&reference(&receipt), receipt.opened, receipt.duplicate),
                (&opened, false, false),
                "{status:?}"
            );
        }
        let after = case(&store, &opened);
        assert_eq!(after.events.len(), before.events.len() + 2, "{status:?}");
        assert_eq!(after.history, before.history, "{status:?}");
        let mut unchanged = before.summary.clone();
        unchanged.updated_at = after.summary.updated_at;
        assert_eq!(after.summary, unchanged, "{status:?}");
    }
    // It is there with everything that was said, and its sender as they gave it.
    let stored = all_events(&store, TENANT).pop().expect("an event");
    assert_eq!(stored.event, update("closed 1", &opened.replace('-', "")));
    // Sent again, it is the same one; somebody has to look at it where its connector says so.
    let again = record(&store, VOICE, update("closed 1", &opened));
    assert_eq!((again.duplicate, reference(&again)), (true, opened.clone()));
    record(&store, VOICE, Event { task: Some(channel_sdk::types::Task::Review), ..update("for staff", &opened) });
    assert_eq!(case(&store, &opened).summary.open_tasks.len(), 1);
    // Several of one delivery find their own cases, and what is beside them its own.
    let other = reference(&record(&store, MAIL, filed("<2@a>")));
    let events = vec![update("u1", &other), chat("c1", "c"), update("u2", &opened), update("u1", &opened)];
    let receipts = record_all(&store, TENANT, VOICE, events);
    let found: Vec<Option<String>> = receipts.iter().map(|receipt| receipt.case_reference.clone()).collect();
    assert_eq!((&found[0], &found[2], &found[3]), (&Some(other.clone()), &Some(opened), &Some(other)));
    assert!(receipts[1].opened && receipts[3].duplicate);
}

/// Or anybody could have the case's mail sent to them.
pub fn who_adds_to_a_public_case_takes_no_part_in_it<W: World>(world: &W) {
    let store = world.open();
    let opened = reference(&record(&store, MAIL, filed("<1@a>")));
    assert_eq!(reference(&record(&store, MAIL, update("u", &opened))), opened);
    // The message id of the case and the address that wrote to it are not enough.
    let letter = mail("<2@b>", "passer-by@example.org", &["<1@a>"]);
    assert!(record(&store, MAIL, letter).opened);
    // Staff answer who has filed it, and nobody else is its contact.
    assert!(block_on(store.reply(TENANT.into(), opened.clone(), "Done.".into(), "ana".into(), T0 + 5)).is_ok());
    let items = block_on(store.claim(MAIL.into(), T0 + 10, T0 + 20, 10)).expect("claimed");
    let recipients: Vec<&str> = items.iter().map(|item| item.message.recipient.value.as_str()).collect();
    assert_eq!(recipients, ["a@example.org"]);
    // Nor is who adds first to one that was filed by nobody.
    let nobodys = reference(&record(&store, MAIL, Event { sender: None, ..filed("<3@a>") }));
    record(&store, MAIL, update("u3", &nobodys));
    let found = case(&store, &nobodys);
    assert_eq!(found.summary.contact, None);
    assert!(block_on(store.reply(TENANT.into(), nobodys, "Done.".into(), "ana".into(), T0 + 30)).is_err());
}

/// And nothing tells whether there is another one.
pub fn only_a_public_case_of_the_tenant_is_added_to<W: World>(world: &W) {
    let store = world.open();
    let private = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    let elsewhere = reference(&record_for(&store, "sevilla", MAIL, filed("<2@a>")));
    let public = reference(&record(&store, MAIL, filed("<3@a>")));
    // What joins a public case later does not make it private, nor a private one public.
    record(&store, MAIL, Event { public: true, ..mail("<4@a>", "a@example.org", &["<1@a>"]) });
    let unknown = channel_sdk::reference::from_number(1);
    let mistyped = format!("{}{}", &public[..public.len() - 1], (public.as_bytes()[public.len() - 1] - b'0' + 1) % 10);
    let before = (case(&store, &private), case(&store, &public), found(&store, TENANT, anything()));
    let nothings = [&private, &elsewhere, &unknown, &mistyped, "", "rubbish", "\0", "' OR 1=1 --"];
    for (n, named) in nothings.iter().enumerate() {
        let event = Event { public: true, ..update(&format!("u{n}"), named) };
        for duplicate in [false, true] {
            let receipt = record(&store, MAIL, event.clone());
            let told = (receipt.case_reference, receipt.opened, receipt.asked, receipt.duplicate);
            assert_eq!(told, (None, false, None, duplicate), "{named:?}");
        }
    }
    let after = (case(&store, &private), case(&store, &public), found(&store, TENANT, anything()));
    assert_eq!(after, before);
    // They are kept, without a case.
    let kept = all_events(&store, TENANT).into_iter().filter(|stored| stored.event.idempotency_key.starts_with('u'));
    assert_eq!(kept.filter(|stored| stored.case_reference.is_none()).count(), nothings.len());
}
