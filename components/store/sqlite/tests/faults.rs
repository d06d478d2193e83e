//! A process that ends between, or inside, any two steps leaves all of an intake or nothing.

mod support;

use channel_sdk::types::{Event, Kind, Task};
use store_sdk::Store;
use store_sdk::log::{Disposition, StoreError};
use support::{Fault, Folder, broken, kept, now, quick, store};
use testkit::store_suite::make::{TENANT, VOICE, all_events, anything, call, envelope, found, record};

fn delivery() -> Vec<Event> {
    vec![
        Event { task: Some(Task::Review), ..call(Kind::CallStarted, "s", "CA1") },
        call(Kind::CallInput, "i", "CA1"),
        call(Kind::CallStarted, "s2", "CA2"),
        call(Kind::CallEnded, "e2", "CA2"),
    ]
}

/// All tables that an intake writes, counted over the contract. Redelivery completes whatever was left.
fn all_or_nothing(folder: &Folder) -> bool {
    let store = quick(folder.file());
    let before = all_events(&store, TENANT).len();
    let envelopes: u64 = now(store.totals(TENANT.into())).unwrap().iter().map(|total| total.envelopes).sum();
    let cases = found(&store, TENANT, anything()).len();
    assert!([(0, 0, 0), (5, 1, 2)].contains(&(before, envelopes, cases)), "{before} {envelopes} {cases}");
    let receipts = now(store.record(envelope(TENANT, VOICE), Disposition::Accepted, delivery())).unwrap();
    assert!(receipts.iter().all(|receipt| receipt.duplicate == (before == 5)));
    assert_eq!(all_events(&store, TENANT).len(), 5);
    assert_eq!(found(&store, TENANT, anything()).len(), 2);
    before == 5
}

#[test]
fn a_crash_between_any_two_statements_leaves_all_or_nothing() {
    let mut complete = 0;
    let mut finished = false;
    for number in 0..200 {
        for fault in [Fault::Before(number), Fault::After(number)] {
            let folder = Folder::new();
            let breaking = broken(folder.file(), fault);
            let answer = now(breaking.record(envelope(TENANT, VOICE), Disposition::Accepted, delivery()));
            let stored = all_or_nothing(&folder);
            assert!(stored || answer.is_err(), "acknowledged and not stored: {fault:?}");
            complete += usize::from(stored && answer.is_err());
            finished |= answer.is_ok();
        }
        if finished {
            break;
        }
    }
    assert!(finished, "every fault hit: the loop is too short");
    // Committed, and the answer lost: exactly where the fault comes after the intake.
    assert_eq!(complete, 1);
}

#[test]
fn a_crash_inside_an_intake_leaves_nothing() {
    let mut interrupted = 0;
    let mut finished = false;
    for step in 1..2000 {
        let folder = Folder::new();
        now(quick(folder.file()).ready()).unwrap();
        // Statement 0 reads the schema's version, statement 1 is the intake.
        let breaking = broken(folder.file(), Fault::Inside(1, step * 96));
        match now(breaking.record(envelope(TENANT, VOICE), Disposition::Accepted, delivery())) {
            Ok(_) => finished = true,
            Err(StoreError::Unavailable(said)) => {
                assert!(said.contains("interrupt"), "{said}");
                interrupted += 1;
                assert!(!all_or_nothing(&folder));
            }
            Err(other) => panic!("{other:?}"),
        }
        if finished {
            break;
        }
    }
    assert!(finished && interrupted > 5, "{interrupted} interruptions");
}

#[test]
fn a_damaged_a_foreign_and_a_read_only_file_say_what_to_do() {
    let folder = Folder::new();
    std::fs::write(folder.file(), b"this is not a database, however long one looks at it".repeat(100)).unwrap();
    match now(store(folder.file()).ready()) {
        Err(StoreError::Unavailable(said)) => assert!(said.contains("restore the newest backup"), "{said}"),
        other => panic!("{other:?}"),
    }
    let folder = Folder::new();
    match now(store(folder.file().join("nowhere")).ready()) {
        Err(StoreError::Unavailable(said)) => assert!(said.contains("folder exists"), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_locked_database_is_unavailable_and_nothing_is_lost() {
    let folder = Folder::new();
    let first = store(folder.file());
    record(&first, VOICE, call(Kind::CallStarted, "s", "CA1"));
    let other = rusqlite::Connection::open(folder.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    match now(first.record(envelope(TENANT, VOICE), Disposition::Accepted, delivery())) {
        Err(StoreError::Unavailable(said)) => assert!(said.contains("another program holds the database"), "{said}"),
        answer => panic!("{answer:?}"),
    }
    other.execute_batch("ROLLBACK").unwrap();
    assert!(now(first.record(envelope(TENANT, VOICE), Disposition::Accepted, delivery())).is_ok());
}

/// `STORE_TEST_DIR=… cargo test --release -p store-sqlite --test faults -- --ignored --nocapture how_long`
#[test]
#[ignore = "a measurement"]
fn how_long_an_intake_takes() {
    for synchronous in ["FULL", "OFF"] {
        let folder = Folder::new();
        let store = kept(folder.file(), synchronous);
        now(store.ready()).unwrap();
        let count = 1000;
        let begin = std::time::Instant::now();
        for index in 0..count {
            let id = format!("CA{}", index / 4);
            record(&store, VOICE, call(Kind::CallInput, &index.to_string(), &id));
        }
        println!(
            "synchronous={synchronous}: {:.1} us per record",
            begin.elapsed().as_secs_f64() * 1e6 / f64::from(count)
        );
    }
}
