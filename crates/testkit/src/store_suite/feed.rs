//! What the administration's own systems are told.

use channel_sdk::types::{CaseStatus, Event, Kind};
use store_sdk::Store;
use store_sdk::cases::Update;
use store_sdk::feed::{Batch, Command, Condition, DestinationState, Entry, Fact, Outlook, Settlement, Start};
use store_sdk::log::StoreError;

use super::make::*;
use super::{World, block_on, together};

const CRM: &str = "crm";
/// Longer than any case here takes.
const LEASE: i64 = 60_000;

fn claim_for<S: Store>(store: &S, destination: &str, now: i64, limit: u32) -> Option<Batch> {
    again(|| {
        let (tenant, destination) = (TENANT.into(), destination.into());
        block_on(store.feed_claim(tenant, destination, Start::Beginning, now, now + LEASE, limit))
    })
}

fn claim<S: Store>(store: &S, now: i64, limit: u32) -> Option<Batch> {
    claim_for(store, CRM, now, limit)
}

fn settle<S: Store>(store: &S, at: i64, lease: &str, settlement: Settlement) -> bool {
    again(|| block_on(store.feed_settle(TENANT.into(), CRM.into(), lease.into(), at, settlement.clone())))
}

/// All of a batch is delivered.
fn done(batch: &Batch) -> Settlement {
    let count = u32::try_from(batch.entries.len()).expect("few");
    Settlement { delivered: batch.entries.last().map(|entry| entry.position.clone()), count, outlook: Outlook::Ready }
}

fn nothing(outlook: Outlook) -> Settlement {
    Settlement { delivered: None, count: 0, outlook }
}

fn states<S: Store>(store: &S) -> Vec<DestinationState> {
    block_on(store.feed_states(TENANT.into())).expect("read")
}

fn state<S: Store>(store: &S) -> DestinationState {
    states(store).into_iter().find(|state| state.destination == CRM).expect("known")
}

fn control<S: Store>(store: &S, command: Command, at: i64) -> Option<DestinationState> {
    block_on(store.feed_control(TENANT.into(), CRM.into(), command, "ana".into(), at)).expect("taken")
}

/// What an entry is about, in a word or two.
fn told(entry: &Entry) -> String {
    match &entry.fact {
        Fact::Received(event) => event.event.idempotency_key.clone(),
        Fact::Changed(change) => {
            format!("{} {}", change.change.field, change.change.after.as_deref().unwrap_or_default())
        }
    }
}

fn all_told(batch: &Batch) -> Vec<String> {
    batch.entries.iter().map(told).collect()
}

fn letter<S: Store>(store: &S, number: usize) -> String {
    reference(&record(store, MAIL, mail(&format!("m{number}"), "a@example.org", &[])))
}

fn close<S: Store>(store: &S, reference: &str, at: i64) {
    let closed = Update { status: Some(CaseStatus::Closed), department: None, assignee: None, priority: None };
    block_on(store.change(TENANT.into(), reference.into(), closed, "ana".into(), at)).expect("closed");
}

/// Events as the log has them, changes as the history has them, a change after what it changed.
pub fn the_feed_has_events_and_changes_in_the_order_in_which_they_happened<W: World>(world: &W) {
    let store = world.open();
    let first = letter(&store, 1);
    close(&store, &first, T0 + 1);
    block_on(store.change(
        TENANT.into(),
        first.clone(),
        Update { status: None, department: Some("roads\\".into()), assignee: Some("eva".into()), priority: None },
        "ana".into(),
        T0 + 2,
    ))
    .expect("changed");
    letter(&store, 2);
    record_for(&store, "toledo", MAIL, mail("other", "a@example.org", &[]));
    let batch = claim(&store, T0 + 3, 500).expect("something");
    assert_eq!(all_told(&batch), ["m1", "status closed", "department roads\\", "assignee eva", "m2"]);
    assert!(batch.entries.windows(2).all(|pair| pair[0].position < pair[1].position));
    assert!(batch.entries.iter().all(|entry| entry.position.is_ascii() && entry.position.len() <= 64));
    let mut ids: Vec<&str> = batch.entries.iter().map(|entry| entry.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5);
    assert_eq!((batch.attempts, batch.failing_since), (0, None));
    let events = all_events(&store, TENANT);
    let Fact::Received(received) = &batch.entries[0].fact else { panic!("an event") };
    assert_eq!((received, &batch.entries[0].id), (&events[0], &events[0].id));
    let Fact::Changed(changed) = &batch.entries[1].fact else { panic!("a change") };
    assert_eq!((&changed.case_reference, &changed.change), (&first, &case(&store, &first).history[0]));
    // A letter that wakes its case says so in the case's history.
    let wakes = mail("m3", "a@example.org", &["m1"]);
    assert_eq!(reference(&record(&store, MAIL, wakes)), first);
    settle(&store, T0 + 4, &batch.lease, done(&batch));
    let mut next = all_told(&claim(&store, T0 + 5, 500).expect("more"));
    next.sort();
    assert_eq!(next, ["m3", "status open"]);
}

/// And is told what happens from then on, or everything, as it was asked for at first.
pub fn a_new_destination_begins_now_or_at_the_beginning<W: World>(world: &W) {
    let store = world.open();
    let first = letter(&store, 1);
    close(&store, &first, T0 + 1);
    let claim = |destination: &str, start| {
        let batch = block_on(store.feed_claim(TENANT.into(), destination.into(), start, T0 + 2, T0 + 3, 10));
        batch.expect("claimed").map(|batch| all_told(&batch)).unwrap_or_default()
    };
    assert_eq!(claim("late", Start::Now), [""; 0]);
    assert_eq!(claim("late", Start::Beginning), [""; 0], "it is not new any more");
    assert_eq!(claim("early", Start::Beginning), ["m1", "status closed"]);
    letter(&store, 2);
    close(&store, &first, T0 + 9);
    let second = letter(&store, 3);
    close(&store, &second, T0 + 9);
    assert_eq!(claim("late", Start::Now), ["m2", "m3", "status closed"]);
    let names: Vec<String> = states(&store).into_iter().map(|state| state.destination).collect();
    assert_eq!(names, ["early", "late"]);
    assert!(block_on(store.feed_states("toledo".into())).expect("read").is_empty());
}

/// Not to another worker while a lease runs, to anybody when it has run out, and then with the same ids.
pub fn what_is_not_settled_is_given_out_again<W: World>(world: &W) {
    let store = world.open();
    (0..5).for_each(|number| drop(letter(&store, number)));
    let first = claim(&store, T0, 3).expect("something");
    assert_eq!(all_told(&first), ["m0", "m1", "m2"]);
    assert!(claim(&world.open(), T0 + LEASE - 1, 3).is_none(), "not the later ones either");
    let again = claim(&world.open(), T0 + LEASE, 3).expect("the same again");
    assert_eq!(again.entries, first.entries);
    assert_ne!(again.lease, first.lease);
    // The first worker was only slow.
    assert!(!settle(&store, T0 + LEASE + 1, &first.lease, done(&first)));
    assert!(!settle(&store, T0 + LEASE + 1, &first.lease, nothing(Outlook::Stop("no".into()))));
    assert_eq!(state(&store).condition, Condition::Running);
    assert!(settle(&store, T0 + LEASE + 2, &again.lease, done(&again)));
    assert!(!settle(&store, T0 + LEASE + 3, &again.lease, done(&again)), "settled once");
    let rest = claim(&store, T0 + LEASE + 3, 3).expect("the rest");
    assert_eq!(all_told(&rest), ["m3", "m4"]);
    settle(&store, T0 + LEASE + 4, &rest.lease, done(&rest));
    assert!(claim(&store, T0 + LEASE + 5, 3).is_none());
    let settled = state(&store);
    assert_eq!((settled.delivered, settled.delivered_at, settled.waiting), (5, Some(T0 + LEASE + 4), 0));
    assert_eq!((settled.position, settled.leased_until), (rest.entries[1].position.clone(), None));
}

/// Whoever asks: every entry once and in order, because one worker at a time has a destination.
pub fn two_workers_never_have_the_same_destination_at_once<W: World>(world: &W) {
    let store = world.open();
    (0..60).for_each(|number| drop(letter(&store, number)));
    let runs = together(world, 6, |_, store| {
        let mut had = Vec::new();
        let mut idle = 0;
        while idle < 200 {
            match claim(&store, T0, 4) {
                Some(batch) => {
                    assert!(settle(&store, T0, &batch.lease, done(&batch)), "the lease is mine");
                    had.push(batch.entries);
                    idle = 0;
                }
                None => idle += 1,
            }
        }
        had
    });
    let mut batches: Vec<Vec<Entry>> = runs.into_iter().flatten().collect();
    batches.sort_by(|a, b| a[0].position.cmp(&b[0].position));
    let told: Vec<String> = batches.iter().flatten().map(told).collect();
    let wanted: Vec<String> = (0..60).map(|number| format!("m{number}")).collect();
    assert_eq!(told, wanted);
}

/// While some write, some read: whatever the order of their commits.
pub fn nothing_that_is_written_meanwhile_is_skipped<W: World>(world: &W) {
    const WRITERS: usize = 4;
    const EACH: usize = 25;
    let store = world.open();
    drop(claim(&store, T0, 1));
    let runs = together(world, WRITERS + 1, |index, store| {
        let mut seen: Vec<Entry> = Vec::new();
        if index < WRITERS {
            for number in 0..EACH {
                let key = index * EACH + number;
                let reference = reference(&record(&store, MAIL, mail(&format!("m{key}"), &format!("{index}@a"), &[])));
                if number % 5 == 0 {
                    again(|| block_on(store.add_note(TENANT.into(), reference.clone(), "x".into(), "ana".into(), T0)));
                    let closed =
                        Update { status: Some(CaseStatus::Closed), department: None, assignee: None, priority: None };
                    again(|| block_on(store.change(TENANT.into(), reference.clone(), closed.clone(), "a".into(), T0)));
                }
            }
        } else {
            let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
            while seen.len() < WRITERS * EACH * 6 / 5 && std::time::Instant::now() < until {
                if let Some(batch) = claim(&store, T0, 7) {
                    assert!(settle(&store, T0, &batch.lease, done(&batch)));
                    seen.extend(batch.entries);
                }
            }
        }
        seen
    });
    let seen = runs.into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(seen.len(), WRITERS * EACH * 6 / 5, "every event and every fifth one's change");
    assert!(seen.windows(2).all(|pair| pair[0].position < pair[1].position), "in order");
    let everything = claim_for(&store, "all", T0, 500).expect("everything");
    assert_eq!(everything.entries, seen, "the same order for everybody");
}

/// Until then; and those who fail are told from those who are done.
pub fn a_failed_destination_comes_again_when_it_is_due<W: World>(world: &W) {
    let store = world.open();
    (0..4).for_each(|number| drop(letter(&store, number)));
    let first = claim(&store, T0, 4).expect("something");
    let some = |outlook| Settlement { delivered: Some(first.entries[1].position.clone()), count: 2, outlook };
    assert!(settle(&store, T0 + 10, &first.lease, some(Outlook::Retry((T0 + 5000, "busy\\".into())))));
    assert!(claim(&store, T0 + 4999, 4).is_none());
    let failed = state(&store);
    assert_eq!((failed.attempts, failed.failing_since, failed.due_at), (1, Some(T0 + 10), Some(T0 + 5000)));
    assert_eq!((failed.reason.as_deref(), failed.waiting, failed.delivered), (Some("busy\\"), 2, 2));
    let second = claim(&store, T0 + 5000, 4).expect("the rest");
    assert_eq!((all_told(&second), second.attempts), (vec!["m2".into(), "m3".into()], 1));
    assert_eq!(second.failing_since, Some(T0 + 10));
    settle(&store, T0 + 5001, &second.lease, nothing(Outlook::Retry((T0 + 9000, "busy".into()))));
    assert_eq!((state(&store).attempts, state(&store).failing_since), (2, Some(T0 + 10)));
    // Progress in the middle of a batch: the lease goes on, and the failures are over.
    let third = claim(&store, T0 + 9000, 4).expect("the rest");
    let progress = Settlement {
        delivered: Some(third.entries[0].position.clone()),
        count: 1,
        outlook: Outlook::Keep(T0 + 9000 + 2 * LEASE),
    };
    assert!(settle(&store, T0 + 9001, &third.lease, progress));
    let going_on = state(&store);
    assert_eq!((going_on.attempts, going_on.failing_since, going_on.reason, going_on.due_at), (0, None, None, None));
    assert_eq!(going_on.leased_until, Some(T0 + 9000 + 2 * LEASE));
    assert!(claim(&store, T0 + 9000 + LEASE, 4).is_none());
    assert!(settle(&store, T0 + 9002, &third.lease, done(&third)));
    assert_eq!((state(&store).waiting, state(&store).delivered), (0, 5), "counted as told");
    let nonsense = Settlement { delivered: Some("soon".into()), ..nothing(Outlook::Ready) };
    let refused = block_on(store.feed_settle(TENANT.into(), CRM.into(), third.lease, T0, nonsense));
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
}

/// Whatever becomes of one, the other goes on.
pub fn a_destination_that_is_down_holds_up_no_other<W: World>(world: &W) {
    let store = world.open();
    (0..3).for_each(|number| drop(letter(&store, number)));
    let down = claim(&store, T0, 10).expect("something");
    let up = claim_for(&store, "gis", T0, 10).expect("the same");
    assert_eq!(up.entries, down.entries);
    settle(&store, T0 + 1, &down.lease, nothing(Outlook::Stop("gone".into())));
    let queues = |now| -> Vec<(String, bool)> {
        let queues = block_on(store.feed_queues(now)).expect("read");
        queues.into_iter().map(|queue| (format!("{}/{}", queue.tenant, queue.destination), queue.due)).collect()
    };
    assert_eq!(queues(T0 + 1), [("madrid/crm".into(), false), ("madrid/gis".into(), false)]);
    assert_eq!(queues(T0 + LEASE), [("madrid/crm".into(), false), ("madrid/gis".into(), true)]);
    let delivered = Settlement { count: 3, ..done(&up) };
    assert!(block_on(store.feed_settle(TENANT.into(), "gis".into(), up.lease, T0 + 2, delivered)).expect("settled"));
    assert_eq!(queues(T0 + LEASE)[1], ("madrid/gis".into(), false), "nothing is left");
    letter(&store, 9);
    assert_eq!(queues(T0 + LEASE)[1], ("madrid/gis".into(), true));
    assert!(claim(&store, T0 + 10 * LEASE, 10).is_none(), "stopped");
    assert_eq!((state(&store).condition, state(&store).reason.as_deref()), (Condition::Stopped, Some("gone")));
}

/// And goes on where it was, at once.
pub fn a_stopped_or_paused_destination_is_resumed_where_it_was<W: World>(world: &W) {
    let store = world.open();
    assert!(control(&store, Command::Pause, T0).is_none(), "nobody knows it yet");
    (0..3).for_each(|number| drop(letter(&store, number)));
    let first = claim(&store, T0, 2).expect("something");
    settle(&store, T0, &first.lease, nothing(Outlook::Stop("gone".into())));
    let resumed = control(&store, Command::Resume, T0 + 1).expect("known");
    assert_eq!((resumed.condition, resumed.attempts, resumed.reason), (Condition::Running, 0, None));
    assert_eq!((resumed.failing_since, resumed.waiting), (None, 3));
    let second = claim(&store, T0 + 1, 2).expect("the same again");
    assert_eq!(second.entries, first.entries);
    // Paused while a batch is out: what was delivered is kept.
    assert_eq!(control(&store, Command::Pause, T0 + 2).expect("known").condition, Condition::Paused);
    assert!(settle(&store, T0 + 3, &second.lease, done(&second)));
    let paused = state(&store);
    assert_eq!((paused.condition, paused.reason.as_deref()), (Condition::Paused, Some("paused by ana")));
    assert!(claim(&store, T0 + LEASE, 2).is_none());
    assert!(!block_on(store.feed_queues(T0 + LEASE)).expect("read")[0].due);
    control(&store, Command::Resume, T0 + LEASE);
    // One that waits to be tried again is tried now.
    let third = claim(&store, T0 + LEASE, 2).expect("the last");
    assert_eq!(all_told(&third), ["m2"]);
    settle(&store, T0 + LEASE, &third.lease, nothing(Outlook::Retry((T0 + 99 * LEASE, "busy".into()))));
    assert!(claim(&store, T0 + LEASE + 1, 2).is_none());
    control(&store, Command::Resume, T0 + LEASE + 1);
    assert_eq!(claim(&store, T0 + LEASE + 1, 2).expect("now").attempts, 0);
}

/// What was settled stays settled, what was out comes again.
pub fn a_restart_in_between_loses_and_repeats_nothing_that_was_settled<W: World>(world: &W) {
    {
        let store = world.open();
        (0..9).for_each(|number| drop(letter(&store, number)));
        let first = claim(&store, T0, 4).expect("something");
        settle(&store, T0, &first.lease, done(&first));
        drop(claim(&store, T0, 4).expect("out when the process dies"));
    }
    let store = world.open();
    let second = claim(&store, T0 + LEASE, 4).expect("out again");
    assert_eq!(all_told(&second), ["m4", "m5", "m6", "m7"]);
}

/// A call's automatic follow-up, too.
pub fn what_the_store_itself_finds_is_in_the_feed<W: World>(world: &W) {
    let store = world.open();
    record(&store, VOICE, call(Kind::CallStarted, "s", "CA1"));
    record(&store, VOICE, call(Kind::CallEnded, "e", "CA1"));
    let batch = claim(&store, T0, 10).expect("something");
    let kinds: Vec<Kind> = batch
        .entries
        .iter()
        .map(|entry| match &entry.fact {
            Fact::Received(event) => event.event.kind,
            Fact::Changed(change) => panic!("{change:?}"),
        })
        .collect();
    assert_eq!(kinds, [Kind::CallStarted, Kind::CallEnded, Kind::CallMissed]);
}

/// A batch is held in memory several times on its way.
pub fn large_entries_come_in_smaller_batches<W: World>(world: &W) {
    let store = world.open();
    let sizes = [400_000, 400_000, 400_000, 400_000, 2_500_000, 10, 10];
    for (number, size) in sizes.into_iter().enumerate() {
        let letter = mail(&format!("m{number}"), "a@example.org", &[]);
        record(&store, MAIL, Event { text: Some("ñ".repeat(size / 2)), ..letter });
    }
    let mut batches = Vec::new();
    while let Some(batch) = claim(&store, T0, 500) {
        assert!(!batch.entries.is_empty());
        batches.push(all_told(&batch));
        settle(&store, T0, &batch.lease, done(&batch));
    }
    assert!((3..=5).contains(&batches.len()), "{batches:?}");
    assert!(batches[0].len() >= 2, "{batches:?}");
    let wanted: Vec<String> = (0..sizes.len()).map(|number| format!("m{number}")).collect();
    assert_eq!(batches.concat(), wanted);
}
