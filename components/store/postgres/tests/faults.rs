//! What goes wrong between us and the database, and inside it: all of an intake is stored or nothing, and what is answered with success
//! is committed.

mod support;

use std::time::Duration;

use channel_sdk::types::{Event, Kind, Task, TenantProfile};
use store_sdk::Store;
use store_sdk::log::{Disposition, Envelope, StoreError};
use support::{Base, Fault, Native, OWNER, bare, empty, now, number, rows};
use testkit::store_suite::make::{
    MAIL, TENANT, VOICE, all_events, anything, call, chat, envelope, found, mail, profile, record, reference,
};
use testkit::store_suite::{World, together};

fn delivery() -> Vec<Event> {
    vec![
        Event { task: Some(Task::Review), ..call(Kind::CallStarted, "s", "CA1") },
        call(Kind::CallInput, "i", "CA1"),
        call(Kind::CallStarted, "s2", "CA2"),
        call(Kind::CallEnded, "e2", "CA2"),
    ]
}

/// Counted over the contract. Redelivery completes whatever was left.
fn all_or_nothing(base: &Base) -> bool {
    let store = base.open();
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
fn a_crash_before_or_after_the_one_statement_leaves_all_or_nothing() {
    for (fault, stored) in [(Fault::Before(0), false), (Fault::After(0), true)] {
        let base = empty();
        let breaking = base.native.broken(fault);
        let answer = now(breaking.record(envelope(TENANT, VOICE), Disposition::Accepted, delivery()));
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        assert_eq!(all_or_nothing(&base), stored);
    }
    // There is no second statement in which something could happen.
    let base = empty();
    now(base.native.broken(Fault::Before(1)).record(envelope(TENANT, VOICE), Disposition::Accepted, delivery()))
        .unwrap();
}

fn acknowledging(base: &Base) {
    let profile = TenantProfile { acknowledge: true, ..profile() };
    now(base.open().put_profile(profile)).unwrap();
}

/// Rows of everything an intake writes.
fn stored(base: &Base) -> i64 {
    let watching = base.connect("postgres");
    number(
        &watching,
        "SELECT (SELECT count(*) FROM ventanilla.envelopes) + (SELECT count(*) FROM ventanilla.events) \
           + (SELECT count(*) FROM ventanilla.cases) + (SELECT count(*) FROM ventanilla.handles) \
           + (SELECT count(*) FROM ventanilla.contacts) + (SELECT count(*) FROM ventanilla.threads) \
           + (SELECT count(*) FROM ventanilla.tasks) + (SELECT count(*) FROM ventanilla.outbox) \
           + (SELECT count(*) FROM ventanilla.nonces) + (SELECT count(*) FROM ventanilla.ledger) \
           + (SELECT count(*) FROM ventanilla.acknowledgements)",
    )
}

/// The server process of the intake is killed while it waits for a table, so in front of every step there is.
#[test]
fn a_connection_that_is_cut_inside_an_intake_leaves_nothing() {
    let events = || {
        let letter = Event { task: Some(Task::Review), ..chat("k", "c") };
        vec![letter, call(Kind::CallStarted, "s", "CA1"), call(Kind::CallEnded, "e", "CA1")]
    };
    let once = || Envelope { nonce: Some("n".into()), ..envelope(TENANT, "messaging/example") };
    let base = empty();
    acknowledging(&base);
    for table in [
        "nonces",
        "handles",
        "contacts",
        "threads",
        "cases",
        "events",
        "tasks",
        "tenants",
        "acknowledgements",
        "outbox",
        "envelopes",
        "ledger",
    ] {
        let owner = base.connect(OWNER);
        rows(&owner, "BEGIN").unwrap();
        rows(&owner, &format!("LOCK TABLE ventanilla.{table} IN ACCESS EXCLUSIVE MODE")).unwrap();
        let store = Native::to(support::server::address(&base.name, support::ROLE)).store();
        let answer = std::thread::scope(|scope| {
            let running = scope.spawn(|| now(store.record(once(), Disposition::Accepted, events())));
            let watching = base.connect("postgres");
            let kill = "SELECT coalesce(sum(pg_terminate_backend(pid)::integer), 0) FROM pg_stat_activity \
                        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'CALL ventanilla.intake%'";
            let deadline = std::time::Instant::now() + Duration::from_secs(30);
            while number(&watching, kill) == 0 {
                assert!(std::time::Instant::now() < deadline, "{table}: no intake touches it");
                std::thread::sleep(Duration::from_millis(5));
            }
            running.join().unwrap()
        });
        match answer {
            Err(StoreError::Unavailable(said)) => assert!(said.contains("57P01") || said.contains("08006"), "{said}"),
            other => panic!("{table}: {other:?}"),
        }
        rows(&owner, "ROLLBACK").unwrap();
        assert_eq!(stored(&base), 0, "{table}");
    }
    let receipts = now(base.open().record(once(), Disposition::Accepted, events())).unwrap();
    assert!(receipts.iter().all(|receipt| !receipt.duplicate));
    let whole = stored(&base);
    assert!(whole > 15, "{whole}");
    now(base.open().record(once(), Disposition::Accepted, events())).unwrap();
    assert_eq!(stored(&base), whole, "delivered again");
}

/// As Spin's pool does after a trap: the next one who writes must not write into somebody's open transaction.
#[test]
fn an_intake_on_a_connection_left_inside_a_transaction_is_committed_all_the_same() {
    for (index, left) in
        [vec!["BEGIN"], vec!["BEGIN", "SELECT 1::bigint"], vec!["BEGIN", "SELECT nonsense"]].iter().enumerate()
    {
        let base = empty();
        // Two stores on one pool of one connection.
        let native = Native::to(support::server::address(&base.name, support::ROLE));
        {
            use store_postgres::database::{Connect, Database};
            let connection = now(native.open()).unwrap();
            for sql in left {
                let _ = now(connection.execute(sql, Vec::new()));
            }
        }
        let receipts = now(native.store().record(envelope(TENANT, VOICE), Disposition::Accepted, delivery())).unwrap();
        assert_eq!(receipts.len(), 4, "{index}");
        let watching = base.connect("postgres");
        assert_eq!(number(&watching, "SELECT count(*) FROM ventanilla.events"), 5, "seen by others: committed");
        let idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        assert_eq!(number(&watching, idle), 0);
    }
}

/// The same two cases in both orders: one is sacrificed by the database, and tries again.
#[test]
fn deliveries_that_want_the_same_cases_in_another_order_all_succeed() {
    let base = empty();
    let store = base.open();
    let opened: Vec<String> =
        ["<a@a>", "<b@a>"].iter().map(|id| reference(&record(&store, MAIL, mail(id, "a@example.org", &[])))).collect();
    together(&base, 8, |thread, store| {
        for round in 0..12 {
            let letter = |answers: &str| {
                let key = format!("<{thread}-{round}-{answers}>");
                mail(&key, "a@example.org", &[answers])
            };
            let mut events = vec![letter("<a@a>"), letter("<b@a>")];
            if (thread + round) % 2 == 0 {
                events.reverse();
            }
            now(store.record(envelope(TENANT, MAIL), Disposition::Accepted, events)).expect("no deadlock is told");
        }
    });
    let store = base.open();
    for reference in &opened {
        assert_eq!(testkit::store_suite::make::case(&store, reference).events.len(), 1 + 8 * 12);
    }
}

#[test]
fn a_delivery_of_a_thousand_events_and_many_small_ones_at_the_same_moment_are_all_stored() {
    let base = empty();
    let receipts = together(&base, 6, |thread, store| {
        let count = if thread % 2 == 0 { 1000 } else { 3 };
        let events = (0..count).map(|index| chat(&index.to_string(), &format!("c{}", index % 50))).collect();
        now(store.record(envelope(TENANT, VOICE), Disposition::Accepted, events)).unwrap()
    });
    let fresh: usize = receipts.iter().flatten().filter(|receipt| !receipt.duplicate).count();
    assert_eq!(fresh, 1000);
    let store = base.open();
    assert_eq!(all_events(&store, TENANT).len(), 1000);
    assert_eq!(found(&store, TENANT, anything()).len(), 50);
}

/// PostgreSQL's B-tree refuses more than 2704 bytes, SQLite's nothing.
#[test]
fn keys_of_any_length_are_told_apart() {
    let base = empty();
    let store = base.open();
    let long = |last: &str| format!("{}{last}", "x".repeat(5000));
    for last in ["1", "2"] {
        let event = Event {
            message_id: Some(long(last)),
            sender: Some(testkit::store_suite::make::handle("x", &long(last))),
            task: Some(Task::CallBack),
            ..chat(&long(last), &long(last))
        };
        assert!(record(&store, VOICE, event.clone()).opened);
        let again = record(&store, VOICE, event.clone());
        assert!(again.duplicate);
        let case = testkit::store_suite::make::case(&store, &reference(&again));
        assert_eq!(case.events[0].event, event);
        assert_eq!(case.summary.contact.unwrap().handles[0].value, long(last));
    }
    assert_eq!(found(&store, TENANT, anything()).len(), 2);
}

fn unavailable<T: std::fmt::Debug>(answer: Result<T, StoreError>, remedy: &str) {
    match answer {
        Err(StoreError::Unavailable(said)) => assert!(said.contains(remedy), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_missing_or_too_old_says_what_to_do_and_what_is_newer_works() {
    let base = bare();
    let take = |base: &Base| now(base.open().record(envelope(TENANT, VOICE), Disposition::Accepted, delivery()));
    unavailable(now(base.open().ready()), "ventanilla migrate");
    unavailable(take(&base), "ventanilla migrate");
    unavailable(now(base.open().tenants()), "ventanilla migrate");
    let owner = base.connect(OWNER);
    now(store_postgres::migrate::run(&owner)).unwrap();
    unavailable(take(&base), "admit_1");
    support::admit(&owner);
    take(&base).unwrap();
    rows(&owner, "UPDATE ventanilla.migrations SET version = version - 1 WHERE version = (SELECT min(version) FROM ventanilla.migrations)")
        .unwrap();
    rows(&owner, "DELETE FROM ventanilla.migrations WHERE version = (SELECT max(version) FROM ventanilla.migrations)")
        .unwrap();
    unavailable(now(base.open().ready()), "ventanilla migrate");
    rows(&owner, "INSERT INTO ventanilla.migrations (version, name) VALUES (99, 'of a newer program')").unwrap();
    now(base.open().ready()).unwrap();
    take(&base).unwrap();
    let nobody = Native::to("host=127.0.0.1 port=1 user=x dbname=x connect_timeout=2".into());
    unavailable(now(nobody.store().ready()), "postgres_url");
    let elsewhere = Native::to(support::server::address("nowhere", support::ROLE));
    unavailable(now(elsewhere.store().ready()), "no such database");
}
