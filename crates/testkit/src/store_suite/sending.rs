//! The outbox.

use channel_sdk::types::{CaseStatus, Correspondence, Event, Kind, TenantProfile, Threading};
use store_sdk::Store;
use store_sdk::cases::{ReplyState, Update};
use store_sdk::log::{Disposition, Envelope, StoreError};
use store_sdk::outbox::{Item, Queue, Resumption, Settlement};

use super::make::*;
use super::{World, block_on, together};

const DAY: i64 = 86_400_000;

fn reply<S: Store>(store: &S, tenant: &str, reference: &str, text: &str, at: i64) -> String {
    block_on(store.reply(tenant.into(), reference.into(), text.into(), "ana".into(), at)).expect("in the outbox")
}

fn claim<S: Store>(store: &S, now: i64, limit: u32) -> Vec<Item> {
    block_on(store.claim(MAIL.into(), now, now + 60_000, limit)).expect("claimed")
}

/// With what the provider needs to put it in its place.
pub fn a_reply_goes_out_by_the_channel_of_the_last_message<W: World>(world: &W) {
    let store = world.open();
    let mut event = mail("<1@a>", "a@example.org", &[]);
    event.references = vec!["<0@a>".into()];
    event.thread_id = Some("t".into());
    event.conversation_id = Some("c".into());
    event.language = Some("gl".into());
    event.recipient = Some("us@city.example".into());
    let reference = reference(&record(&store, MAIL, event));
    let echo = Event { flags: vec!["echo".into()], ..mail("<2@us>", "us@city.example", &["<1@a>"]) };
    record(&store, MAIL, echo);
    let text = "Ya está ✓\0\\";
    let id = reply(&store, TENANT, &reference, text, T0 + 100);
    assert!(block_on(store.claim("email/other".into(), T0 + 200, T0 + 300, 10)).expect("claimed").is_empty());
    let mut items = claim(&store, T0 + 200, 10);
    assert_eq!(items.len(), 1);
    let Item { id: claimed, tenant, connector, message, attempt, created_at, done } = items.remove(0);
    assert_eq!((created_at, done), (T0 + 100, 0));
    assert_eq!((claimed, tenant.as_str(), connector.as_str(), attempt), (id.clone(), TENANT, MAIL, 0));
    assert_eq!((message.id, message.text.as_str(), message.automatic, message.now), (id, text, false, T0 + 200));
    assert_eq!(message.recipient, handle("email", "a@example.org"));
    assert_eq!(
        (message.sender.as_deref(), message.subject.as_deref()),
        (Some("us@city.example"), Some("The street lamp"))
    );
    assert_eq!(
        (message.in_reply_to.as_deref(), message.references),
        (Some("<1@a>"), vec!["<0@a>".into(), "<1@a>".into()])
    );
    assert_eq!((message.thread_id.as_deref(), message.conversation_id.as_deref()), (Some("t"), Some("c")));
    assert_eq!((message.language.as_deref(), message.last_inbound_at), (Some("gl"), Some(T0)));
    assert_eq!((message.case_reference.as_ref(), message.answers), (Some(&reference), Some(Kind::Message)));
    let detail = case(&store, &reference);
    assert_eq!(detail.summary.first_response_at, Some(T0 + 100));
    assert_eq!(detail.history.last().expect("history").field, "reply");
    reply(&store, TENANT, &reference, "again", T0 + 500);
    assert_eq!(case(&store, &reference).summary.first_response_at, Some(T0 + 100));
    let empty = block_on(store.reply(TENANT.into(), reference, "  ".into(), "ana".into(), T0));
    assert!(matches!(empty, Err(StoreError::Invalid(_))), "{empty:?}");
}

/// Until the lease ends.
pub fn a_leased_item_is_nobody_else_s<W: World>(world: &W) {
    let store = world.open();
    let reference = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    let mut sent: Vec<String> =
        (0..40).map(|index| reply(&store, TENANT, &reference, &index.to_string(), T0)).collect();
    let claimed = together(world, 8, |_, store| {
        let items: Vec<String> = (0..10).flat_map(|_| claim(&store, T0 + 1, 3)).map(|item| item.id).collect();
        items
    });
    let mut claimed: Vec<String> = claimed.into_iter().flatten().collect();
    claimed.sort();
    sent.sort();
    assert_eq!(claimed, sent);
    assert!(claim(&store, T0 + 60_000, 100).is_empty());
    let again = claim(&store, T0 + 60_001, 100);
    assert_eq!(again.len(), 40);
    assert!(again.iter().all(|item| item.attempt == 1));
}

/// And one that was sent or failed for good does not.
pub fn an_item_that_failed_once_comes_again_when_it_is_due<W: World>(world: &W) {
    let store = world.open();
    let reference = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    let id = reply(&store, TENANT, &reference, "hello", T0);
    let settle = |settlement| block_on(store.settle(id.clone(), T0 + 10, settlement)).expect("settled");
    assert_eq!(claim(&store, T0 + 1, 1).len(), 1);
    settle(Settlement::Retry((T0 + 5000, "busy".into())));
    assert!(claim(&store, T0 + 4999, 1).is_empty());
    assert_eq!(claim(&store, T0 + 5000, 1)[0].attempt, 1);
    settle(Settlement::Sent(Some("<out@us>".into())));
    settle(Settlement::Retry((T0, "a second courier".into())));
    assert!(claim(&store, T0 + 1_000_000, 1).is_empty());
    let hopeless = reply(&store, TENANT, &reference, "no", T0);
    assert_eq!(claim(&store, T0 + 1, 1)[0].id, hopeless);
    block_on(store.settle(hopeless, T0 + 2, Settlement::Failed("window closed".into()))).expect("settled");
    assert!(claim(&store, T0 + 1_000_000, 1).is_empty());
    let unknown = block_on(store.settle("nothing".into(), T0, Settlement::Sent(None)));
    assert!(matches!(unknown, Err(StoreError::Invalid(_))), "{unknown:?}");
}

/// The first of each comes before the second of any.
pub fn a_busy_tenant_does_not_starve_another<W: World>(world: &W) {
    let store = world.open();
    let mut queued = 0;
    for (tenant, replies) in [("storm", 50), ("calm", 2), ("quiet", 1)] {
        let reference = reference(&record_for(&store, tenant, MAIL, mail("<1@a>", "a@example.org", &[])));
        for index in 0..replies {
            reply(&store, tenant, &reference, &index.to_string(), T0 + i64::from(queued));
            queued += 1;
        }
    }
    let tenants = |items: &[Item]| {
        let mut tenants: Vec<String> = items.iter().map(|item| item.tenant.clone()).collect();
        tenants.sort();
        tenants
    };
    assert_eq!(tenants(&claim(&store, T0 + 1000, 3)), ["calm", "quiet", "storm"]);
    assert_eq!(tenants(&claim(&store, T0 + 1000, 2)), ["calm", "storm"]);
    assert_eq!(claim(&store, T0 + 1000, 500).len(), 48);
}

/// A withheld number.
pub fn nobody_can_be_answered_without_a_sender<W: World>(world: &W) {
    let store = world.open();
    let reference = reference(&record(&store, VOICE, Event { sender: None, ..call(Kind::CallStarted, "s", "CA1") }));
    let answer = block_on(store.reply(TENANT.into(), reference.clone(), "hello".into(), "ana".into(), T0));
    assert!(matches!(answer, Err(StoreError::Invalid(_))), "{answer:?}");
    assert_eq!(case(&store, &reference).summary.first_response_at, None);
}

/// By our message id, and only from those who take part.
pub fn a_reply_to_what_we_sent_joins_its_case<W: World>(world: &W) {
    let store = world.open();
    let first = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    let id = reply(&store, TENANT, &first, "hello", T0);
    claim(&store, T0, 1);
    block_on(store.settle(id, T0 + 1, Settlement::Sent(Some("<out@us>".into())))).expect("settled");
    assert_eq!(reference(&record(&store, MAIL, mail("<2@a>", "a@example.org", &["<out@us>"]))), first);
    assert!(record(&store, MAIL, mail("<2@b>", "b@example.org", &["<out@us>"])).opened);
}

/// Queued, sent, failed, and what the provider said of it afterwards.
pub fn staff_see_what_became_of_a_reply<W: World>(world: &W) {
    let store = world.open();
    let first = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    let text = "ya\0\\";
    let id = reply(&store, TENANT, &first, text, T0 + 5);
    let shown = |at: usize| case(&store, &first).replies.remove(at);
    let queued = shown(0);
    assert_eq!((queued.id.as_str(), queued.state, queued.due_at), (id.as_str(), ReplyState::Queued, Some(T0 + 5)));
    assert_eq!((queued.text.as_str(), queued.author.as_str(), queued.automatic), (text, "ana", false));
    assert_eq!((queued.connector.as_str(), queued.created_at, queued.settled_at), (MAIL, T0 + 5, None));
    claim(&store, T0 + 10, 1);
    let settle = |id: &str, settlement| block_on(store.settle(id.into(), T0 + 20, settlement)).expect("settled");
    settle(&id, Settlement::Retry((T0 + 5000, "busy\\".into())));
    let again = shown(0);
    assert_eq!((again.state, again.due_at), (ReplyState::Queued, Some(T0 + 5000)));
    assert_eq!(again.reason.as_deref(), Some("busy\\"));
    settle(&id, Settlement::Sent(Some("<out@us>".into())));
    let sent = shown(0);
    assert_eq!((sent.state, sent.due_at, sent.settled_at), (ReplyState::Sent, None, Some(T0 + 20)));
    assert_eq!((sent.message_id.as_deref(), sent.delivery, sent.reason), (Some("<out@us>"), None, None));
    // Out of order; the first two by the id of what was sent, the last one by what it answers.
    let letters = || Correspondence { token: None, message_ids: vec!["<out@us>".into()] };
    for (key, status, threading, wanted) in [
        ("s1", "delivered", Threading::Existing("nobody".into()), "delivered"),
        ("s2", "sent", Threading::Detached, "delivered"),
        ("s3", "read", Threading::ExistingCorrespondence(letters()), "read"),
    ] {
        let event = Event {
            message_id: (key != "s3").then(|| "<out@us>".to_owned()),
            in_reply_to: Some("<out@us>".into()),
            status: Some(status.into()),
            threading,
            ..Event::new(Kind::Status, key)
        };
        record(&store, MAIL, event);
        assert_eq!(shown(0).delivery, Some((wanted.to_owned(), T0)), "{key}");
    }
    let hopeless = reply(&store, TENANT, &first, "no", T0);
    settle(&hopeless, Settlement::Failed("needs another channel".into()));
    let failed = shown(1);
    assert_eq!((failed.state, failed.reason.as_deref()), (ReplyState::Failed, Some("needs another channel")));
}

/// And the provider's id of a call done before is kept.
pub fn a_message_of_several_calls_goes_on_where_it_stopped<W: World>(world: &W) {
    let store = world.open();
    let first = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    let id = reply(&store, TENANT, &first, "hello", T0);
    let settle = |settlement| block_on(store.settle(id.clone(), T0 + 1, settlement)).expect("settled");
    let stopped = |done, message_id: Option<&str>| {
        let message_id = message_id.map(str::to_owned);
        settle(Settlement::Resume(Resumption { at: T0 + 100, reason: "busy".into(), done, message_id }));
    };
    assert_eq!(claim(&store, T0, 1)[0].done, 0);
    stopped(2, Some("m1"));
    assert!(claim(&store, T0 + 99, 1).is_empty());
    assert_eq!(claim(&store, T0 + 100, 1)[0].done, 2);
    stopped(1, None);
    assert_eq!(claim(&store, T0 + 100, 1)[0].done, 2, "what is done stays done");
    settle(Settlement::Sent(None));
    assert_eq!(case(&store, &first).replies[0].message_id.as_deref(), Some("m1"));
}

/// Of every connector that has something, not before it is due or while somebody has it.
pub fn what_is_queued_is_told_by_connector<W: World>(world: &W) {
    let store = world.open();
    let queues = || {
        let queues: Vec<Queue> = block_on(store.queues()).expect("read");
        queues.into_iter().map(|queue| (queue.connector, queue.items, queue.due_at)).collect::<Vec<_>>()
    };
    assert!(queues().is_empty());
    let letter = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    let talk = reference(&record(&store, "messaging/example", chat("c1", "ana")));
    reply(&store, TENANT, &talk, "hello", T0 + 7);
    reply(&store, TENANT, &letter, "hello", T0 + 9);
    let id = reply(&store, TENANT, &letter, "again", T0 + 5);
    assert_eq!(queues(), [(MAIL.to_owned(), 2, T0 + 5), ("messaging/example".to_owned(), 1, T0 + 7)]);
    claim(&store, T0 + 10, 1);
    assert_eq!(queues()[0], (MAIL.to_owned(), 2, T0 + 9));
    block_on(store.settle(id, T0 + 11, Settlement::Sent(None))).expect("settled");
    assert_eq!(queues()[0], (MAIL.to_owned(), 1, T0 + 9));
}

fn acknowledging<S: Store>(store: &S, acknowledge: bool) {
    let profile = TenantProfile { acknowledge, ..profile() };
    block_on(store.put_profile(profile)).expect("kept");
}

fn record_at<S: Store>(store: &S, connector: &str, event: Event, at: i64) -> String {
    let envelope = Envelope { received_at: at, ..envelope(TENANT, connector) };
    let receipts = again(|| block_on(store.record(envelope.clone(), Disposition::Accepted, vec![event.clone()])));
    reference(&receipts[0])
}

/// In the same write as the case, if the tenant wants it.
pub fn who_writes_is_acknowledged_once_per_thread_and_day<W: World>(world: &W) {
    let store = world.open();
    let automatic = |reference: &str| case(&store, reference).replies.iter().filter(|reply| reply.automatic).count();
    let silent = record_at(&store, MAIL, mail("<0@a>", "a@example.org", &[]), T0);
    assert_eq!(automatic(&silent), 0, "a tenant without a profile");
    acknowledging(&store, true);
    let letter = record_at(&store, MAIL, mail("<1@a>", "a@example.org", &[]), T0);
    let items = claim(&store, T0, 10);
    assert_eq!(items.len(), 1);
    let message = &items[0].message;
    assert!(message.automatic && message.text.is_empty());
    assert_eq!((message.case_reference.as_ref(), message.in_reply_to.as_deref()), (Some(&letter), Some("<1@a>")));
    assert_eq!(message.recipient, handle("email", "a@example.org"));
    assert_eq!(case(&store, &letter).summary.first_response_at, None, "a machine is no response");
    // Redelivered, and again on the same day: no second one. The day after: one more.
    record_at(&store, MAIL, mail("<1@a>", "a@example.org", &[]), T0 + 1);
    assert_eq!(record_at(&store, MAIL, mail("<2@a>", "a@example.org", &["<1@a>"]), T0 + DAY - 1), letter);
    assert_eq!(automatic(&letter), 1);
    record_at(&store, MAIL, mail("<3@a>", "a@example.org", &["<1@a>"]), T0 + DAY);
    assert_eq!(automatic(&letter), 2);
    // A chat goes on in another case, and is the same thread.
    let talk = record_at(&store, "messaging/example", chat("c1", "ana"), T0);
    let closed = Update { status: Some(CaseStatus::Closed), department: None, assignee: None, priority: None };
    block_on(store.change(TENANT.into(), talk.clone(), closed, "ana".into(), T0)).expect("closed");
    let next = record_at(&store, "messaging/example", chat("c2", "ana"), T0 + 2);
    assert_ne!(next, talk);
    assert_eq!((automatic(&talk), automatic(&next)), (1, 0));
    acknowledging(&store, false);
    let after = record_at(&store, MAIL, mail("<9@z>", "z@example.org", &[]), T0);
    assert_eq!(automatic(&after), 0);
}

/// Whatever the profile says, in the same write, as often as somebody asks and no oftener.
pub fn a_request_to_follow_is_answered_without_a_word<W: World>(world: &W) {
    let store = world.open();
    let follow = |key: &str| Event {
        kind: Kind::Follow,
        message_id: Some(key.into()),
        must_not_autorespond: true,
        ..chat(key, "ana#follow")
    };
    for acknowledge in [false, true] {
        acknowledging(&store, acknowledge);
        let key = format!("f{acknowledge}");
        let asked = record_at(&store, "social/example", follow(&key), T0);
        record_at(&store, "social/example", follow(&key), T0 + 1);
        let items = block_on(store.claim("social/example".into(), T0 + 2, T0 + 60_000, 10)).expect("claimed");
        assert_eq!(items.len(), 1);
        let message = &items[0].message;
        assert!(message.automatic && message.text.is_empty());
        assert_eq!((message.answers, message.in_reply_to.as_deref()), (Some(Kind::Follow), Some(key.as_str())));
        assert_eq!(message.case_reference.as_ref(), Some(&asked));
    }
}

/// Two machines that answer each other come to an end, and staff who talk are not interrupted.
pub fn what_must_not_be_acknowledged_is_not<W: World>(world: &W) {
    let store = world.open();
    acknowledging(&store, true);
    let automatic = || -> usize {
        let page = block_on(store.search(TENANT.into(), anything(), first())).expect("found");
        let replies = |reference: String| case(&store, &reference).replies.iter().filter(|r| r.automatic).count();
        page.cases.into_iter().map(|case| replies(case.reference)).sum()
    };
    let marks = ["auto_submitted", "bulk", "suppress", "dsn", "echo", "null_return_path", "not_addressed"];
    for (index, flag) in marks.into_iter().enumerate() {
        let letter = mail(&format!("<f{index}@a>"), &format!("{index}@example.org"), &[]);
        record(&store, MAIL, Event { flags: vec![flag.into()], ..letter });
    }
    record(&store, MAIL, Event { must_not_autorespond: true, ..mail("<m@a>", "m@example.org", &[]) });
    record(&store, MAIL, Event { sender: None, ..mail("<n@a>", "n@example.org", &[]) });
    record(&store, MAIL, Event { kind: Kind::Status, ..mail("<s@a>", "s@example.org", &[]) });
    record(&store, VOICE, call(Kind::CallStarted, "CA1", "CA1"));
    record(&store, "forms/example", chat("f1", "form"));
    assert_eq!(automatic(), 0);
    for index in 0..9 {
        record(&store, MAIL, mail(&format!("<l{index}@a>"), "loop@example.org", &[]));
    }
    assert_eq!(automatic(), 5, "of one sender on one day");
    let talk = record_at(&store, MAIL, mail("<t@a>", "t@example.org", &[]), T0);
    assert_eq!(automatic(), 6);
    reply(&store, TENANT, &talk, "hello", T0 + 2 * DAY);
    record_at(&store, MAIL, mail("<u@a>", "t@example.org", &["<t@a>"]), T0 + 2 * DAY + 1);
    assert_eq!(automatic(), 6, "staff have answered on that day");
}
