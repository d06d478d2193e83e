//! Calls: one case each, and nobody who reached nobody is forgotten.

use channel_sdk::types::{CaseStatus, Event, Kind, Task, TextSource, Threading};
use store_sdk::Store;
use store_sdk::cases::Update;

use super::make::*;
use super::{World, block_on, together};

/// Providers do not keep the order.
pub fn a_call_is_one_case_whichever_event_comes_first<W: World>(world: &W) {
    let store = world.open();
    for (id, order) in [("CA1", [0, 1]), ("CA2", [1, 0])] {
        let events = [call(Kind::CallStarted, &format!("{id}/s"), id), call(Kind::CallInput, &format!("{id}/i"), id)];
        let receipts: Vec<_> = order.iter().map(|index| record(&store, VOICE, events[*index].clone())).collect();
        assert_eq!((receipts[0].opened, receipts[1].opened), (true, false));
        assert_eq!(receipts[0].case_reference, receipts[1].case_reference);
    }
    assert_eq!(found(&store, TENANT, anything()).len(), 2);
}

/// Also when they come together.
pub fn two_events_of_one_call_at_the_same_moment_open_one_case<W: World>(world: &W) {
    drop(world.open());
    let receipts = together(world, 20, |index, store| {
        (0..10)
            .map(|round| {
                let id = format!("CA{round}");
                let kind = if index % 2 == 0 { Kind::CallStarted } else { Kind::CallInput };
                record(&store, VOICE, call(kind, &format!("{id}/{index}"), &id))
            })
            .collect::<Vec<_>>()
    });
    let store = world.open();
    assert_eq!(found(&store, TENANT, anything()).len(), 10);
    for round in 0..10 {
        let of_call: Vec<_> = receipts.iter().map(|receipts| &receipts[round]).collect();
        assert_eq!(of_call.iter().filter(|receipt| receipt.opened).count(), 1);
        assert!(of_call.iter().all(|receipt| receipt.case_reference == of_call[0].case_reference));
        assert_eq!(case(&store, &reference(of_call[0])).events.len(), 20);
    }
}

fn set_status<S: Store>(store: &S, reference: &str, status: CaseStatus) {
    let changes = Update { status: Some(status), department: None, assignee: None, priority: None };
    block_on(store.change(TENANT.into(), reference.into(), changes, "ana".into(), T0 + 1)).expect("changed");
}

/// The recording arrives when staff are done already.
pub fn a_call_whose_case_is_closed_still_goes_there<W: World>(world: &W) {
    let store = world.open();
    let first = reference(&record(&store, VOICE, call(Kind::CallStarted, "s", "CA1")));
    set_status(&store, &first, CaseStatus::Closed);
    let late = record(&store, VOICE, call(Kind::CallTranscript, "t", "CA1"));
    assert_eq!((reference(&late), late.opened), (first.clone(), false));
    assert_eq!(case(&store, &first).summary.status, CaseStatus::Closed);
    // Something to listen to must be seen.
    record(&store, VOICE, call(Kind::CallRecording, "r", "CA1"));
    let after = case(&store, &first);
    assert_eq!(after.summary.status, CaseStatus::Open);
    assert_eq!(after.history.last().expect("history").before.as_deref(), Some("closed"));
}

/// Absent stays absent.
pub fn a_withheld_number_has_no_contact_and_no_call_back<W: World>(world: &W) {
    let store = world.open();
    let withheld = |kind, key| Event { flags: vec!["withheld".into()], sender: None, ..call(kind, key, "CA1") };
    let anonymous = |kind, key| Event { sender: Some(handle("phone", "anonymous")), ..withheld(kind, key) };
    let reference = reference(&record(&store, VOICE, withheld(Kind::CallStarted, "s")));
    record(&store, VOICE, anonymous(Kind::CallEnded, "e"));
    let case = case(&store, &reference);
    assert_eq!(kinds(&case), ["call.started", "call.ended", "call.missed"]);
    assert_eq!(case.summary.contact, None);
    assert_eq!(case.summary.open_tasks.len(), 1);
    let task = &case.summary.open_tasks[0];
    assert_eq!((task.task, &task.handle), (Task::Review, &None));
}

fn ended(key: &str, id: &str) -> Event {
    Event { status: Some("completed".into()), duration_s: Some(7), ..call(Kind::CallEnded, key, id) }
}

/// Valencia, 29 October 2024.
pub fn an_abandoned_call_is_missed_once<W: World>(world: &W) {
    let store = world.open();
    let opened = record(&store, VOICE, call(Kind::CallStarted, "s", "CA1"));
    for _ in 0..2 {
        let end = Event { sender: None, ..ended("e", "CA1") };
        assert_eq!(record_all(&store, TENANT, VOICE, vec![end]).len(), 1, "what is derived has no receipt");
    }
    record(&store, VOICE, ended("e2", "CA1"));
    let case = case(&store, &reference(&opened));
    assert_eq!(kinds(&case), ["call.started", "call.ended", "call.missed", "call.ended"]);
    let missed = &case.events[2].event;
    assert_eq!(missed.flags, ["abandoned"]);
    // The end did not say who it was; the call did.
    assert_eq!(missed.sender, Some(handle("phone", "+34600111222")));
    assert_eq!((missed.call_id.as_deref(), missed.duration_s), (Some("CA1"), Some(7)));
    assert_eq!(case.summary.open_tasks.len(), 1);
    let task = &case.summary.open_tasks[0];
    assert_eq!((task.task, &task.handle), (Task::CallBack, &Some(handle("phone", "+34600111222"))));
    // An end without a beginning is a call too; both in one delivery as well.
    record(&store, VOICE, ended("CA2/e", "CA2"));
    record_all(&store, TENANT, VOICE, vec![call(Kind::CallStarted, "CA3/s", "CA3"), ended("CA3/e", "CA3")]);
    assert_eq!(all_events(&store, TENANT).iter().filter(|stored| stored.event.kind == Kind::CallMissed).count(), 3);
}

fn not_missed<W: World>(world: &W, between: Event, end: Event) {
    let store = world.open();
    let opened = record(&store, VOICE, call(Kind::CallStarted, "s", "CA1"));
    record(&store, VOICE, between);
    record(&store, VOICE, end);
    let case = case(&store, &reference(&opened));
    assert_eq!(case.events.len(), 3);
    assert!(!kinds(&case).contains(&"call.missed"));
    assert!(case.summary.open_tasks.iter().all(|task| task.task != Task::CallBack));
}

/// The connector says so by the status or a flag `answered`, with the end or before it.
pub fn a_call_in_which_somebody_answered_is_not_missed<W: World>(world: &W) {
    let store = world.open();
    let answered = |event: Event| Event { status: Some("answered".into()), ..event };
    let flagged = |event: Event| Event { flags: vec!["answered".into()], ..event };
    for (id, marked) in [("CA1", 0), ("CA2", 1), ("CA3", 2), ("CA4", 3)] {
        let mut input = call(Kind::CallInput, &format!("{id}/i"), id);
        let mut end = ended(&format!("{id}/e"), id);
        match marked {
            0 => input = answered(input),
            1 => input = flagged(input),
            2 => end = answered(end),
            _ => end = flagged(end),
        }
        record_all(&store, TENANT, VOICE, vec![call(Kind::CallStarted, &format!("{id}/s"), id), input]);
        let receipt = record(&store, VOICE, end);
        let case = case(&store, &reference(&receipt));
        assert_eq!(kinds(&case), ["call.started", "call.input", "call.ended"], "{id}");
        assert!(case.summary.open_tasks.is_empty());
    }
}

/// There is something to listen to.
pub fn a_call_that_left_a_recording_is_not_missed<W: World>(world: &W) {
    let recording = Event { task: Some(Task::Review), ..call(Kind::CallRecording, "r", "CA1") };
    not_missed(world, recording, ended("e", "CA1"));
}

/// The provider sends the recording after the end.
pub fn a_recording_that_comes_late_withdraws_the_call_back<W: World>(world: &W) {
    let store = world.open();
    let opened = record(&store, VOICE, call(Kind::CallStarted, "s", "CA1"));
    record(&store, VOICE, ended("e", "CA1"));
    assert_eq!(case(&store, &reference(&opened)).summary.open_tasks.len(), 1);
    record(&store, VOICE, Event { task: Some(Task::Review), ..call(Kind::CallRecording, "r", "CA1") });
    let case = case(&store, &reference(&opened));
    assert_eq!(case.summary.open_tasks.iter().map(|task| task.task).collect::<Vec<_>>(), [Task::Review]);
    let change = case.history.last().expect("history");
    assert_eq!((change.field.as_str(), change.after.as_deref()), ("task", Some("withdrawn")));
}

/// A caller who hung up in the menu has reached nobody.
pub fn keys_pressed_do_not_save_a_call_from_being_missed<W: World>(world: &W) {
    let store = world.open();
    let opened = record(&store, VOICE, call(Kind::CallStarted, "s", "CA1"));
    let pressed = Event {
        dtmf: Some("2".into()),
        text_source: Some(TextSource::Dtmf),
        department: Some("waste".into()),
        ..call(Kind::CallInput, "i", "CA1")
    };
    record(&store, VOICE, pressed);
    record(&store, VOICE, ended("e", "CA1"));
    let case = case(&store, &reference(&opened));
    assert_eq!(kinds(&case).last(), Some(&"call.missed"));
    assert_eq!(case.summary.department.as_deref(), Some("waste"));
}

/// That caller has been served.
pub fn hearing_the_state_of_a_case_is_no_missed_call<W: World>(world: &W) {
    let known = {
        let store = world.open();
        reference(&record(&store, MAIL, mail("m", "a@example.org", &[])))
    };
    let asking = Event { asks_about: Some(known), ..call(Kind::CallInput, "i", "CA1") };
    not_missed(world, asking, ended("e", "CA1"));
    // One who asked about a case that does not exist has not.
    let store = world.open();
    let nothing = channel_sdk::reference::from_number(1);
    let asking = Event { asks_about: Some(nothing), ..call(Kind::CallInput, "i2", "CA2") };
    let receipt = record(&store, VOICE, asking);
    assert_eq!(receipt.asked, None);
    record(&store, VOICE, ended("e2", "CA2"));
    assert_eq!(kinds(&case(&store, &reference(&receipt))), ["call.input", "call.ended", "call.missed"]);
}

/// Unanswered, busy, cancelled: the connector knows itself.
pub fn a_missed_call_of_the_connector_is_not_missed_again<W: World>(world: &W) {
    let store = world.open();
    let missed = |id: &str| Event { task: Some(Task::CallBack), ..call(Kind::CallMissed, &format!("{id}/m"), id) };
    for (id, first) in [("CA1", true), ("CA2", false)] {
        let opened = record(&store, VOICE, call(Kind::CallStarted, &format!("{id}/s"), id));
        let mut events = vec![missed(id), ended(&format!("{id}/e"), id)];
        if !first {
            events.reverse();
        }
        for event in events {
            record(&store, VOICE, event);
        }
        let case = case(&store, &reference(&opened));
        assert_eq!(kinds(&case).iter().filter(|kind| **kind == "call.missed").count(), if first { 1 } else { 2 });
        // Either way somebody has to call, once.
        assert_eq!(case.summary.open_tasks.len(), 1);
        assert_eq!(case.summary.open_tasks[0].task, Task::CallBack);
    }
}

/// Not once per delivery.
pub fn a_task_is_made_once<W: World>(world: &W) {
    let store = world.open();
    let event = |key: &str| Event { task: Some(Task::Review), ..call(Kind::CallRecording, key, "CA1") };
    let receipt = record(&store, VOICE, event("r1"));
    record(&store, VOICE, event("r1"));
    record(&store, VOICE, event("r2"));
    assert_eq!(case(&store, &reference(&receipt)).summary.open_tasks.len(), 2);
    // A person is called back once per case, however often they asked.
    let ask = |key: &str| Event { task: Some(Task::CallBack), ..call(Kind::CallInput, key, "CA2") };
    let receipt = record(&store, VOICE, ask("c1"));
    record(&store, VOICE, ask("c2"));
    assert_eq!(case(&store, &reference(&receipt)).summary.open_tasks.len(), 1);
}

/// Who calls from an office does not want the office called.
pub fn a_call_back_goes_to_the_number_the_caller_gave<W: World>(world: &W) {
    let store = world.open();
    let given = Event {
        claimed: vec![handle("email", "a@example.org"), handle("phone", "+34611000000")],
        task: Some(Task::CallBack),
        ..call(Kind::CallInput, "i", "CA1")
    };
    let receipt = record(&store, VOICE, given);
    let task = case(&store, &reference(&receipt)).summary.open_tasks.remove(0);
    assert_eq!(task.handle, Some(handle("phone", "+34611000000")));
    // Without a number of its own, an event's task goes to the number of its call.
    record(&store, VOICE, call(Kind::CallStarted, "s2", "CA2"));
    let silent = Event { sender: None, task: Some(Task::CallBack), ..call(Kind::CallInput, "i2", "CA2") };
    let task = case(&store, &reference(&record(&store, VOICE, silent))).summary.open_tasks.remove(0);
    assert_eq!((task.task, task.handle), (Task::CallBack, Some(handle("phone", "+34600111222"))));
}

/// Menus go back and forth.
pub fn the_caller_s_last_choice_of_department_counts_until_staff_choose<W: World>(world: &W) {
    let store = world.open();
    let choose = |key: &str, department: &str| Event {
        department: Some(department.into()),
        threading: Threading::Key("CA1".into()),
        ..call(Kind::CallInput, key, "CA1")
    };
    let reference = reference(&record(&store, VOICE, call(Kind::CallStarted, "s", "CA1")));
    let department = |store: &W::Store| case(store, &reference).summary.department;
    assert_eq!(department(&store), None);
    record(&store, VOICE, choose("1", "waste"));
    record(&store, VOICE, choose("2", "water"));
    record(&store, VOICE, call(Kind::CallInput, "3", "CA1"));
    assert_eq!(department(&store).as_deref(), Some("water"));
    let changes = Update { status: None, department: Some("police".into()), assignee: None, priority: None };
    block_on(store.change(TENANT.into(), reference.clone(), changes, "ana".into(), T0)).expect("changed");
    record(&store, VOICE, choose("4", "waste"));
    assert_eq!(department(&store).as_deref(), Some("police"));
}
