//! The chain over envelopes: what only this database has to be asked about. What every store does is in the store suite.

mod support;

use store_sdk::Store;
use store_sdk::ledger::Fault;
use support::{Base, NativeStore, empty, now, number, rows};
use testkit::store_suite::World;
use testkit::store_suite::make::{T0, TENANT, VOICE, chat, record, record_for};

fn deliver(store: &NativeStore, numbers: core::ops::Range<u32>) {
    for number in numbers {
        record(store, VOICE, chat(&number.to_string(), "c"));
    }
}

fn seal(store: &NativeStore, limit: u32) -> u32 {
    let mut sealed = 0;
    loop {
        let done = now(store.seal(T0, limit)).unwrap();
        sealed += done.sealed;
        if !done.more {
            return sealed;
        }
    }
}

fn findings(store: &NativeStore) -> Vec<(Fault, u64)> {
    let examination = now(store.examine(TENANT.into(), 0, 500)).unwrap();
    examination.findings.iter().map(|found| (found.fault, found.number)).collect()
}

/// Eight sealed envelopes, five of which were stored by the version before, and one by such a component on the new schema.
fn sealed() -> Base {
    let base = empty();
    let (store, everything) = (base.open(), base.connect("postgres"));
    deliver(&store, 0..5);
    rows(&everything, "UPDATE ventanilla.envelopes SET fact = NULL, digest = NULL").unwrap();
    deliver(&store, 5..8);
    rows(&everything, "UPDATE ventanilla.envelopes SET digest = NULL WHERE seq = 7").unwrap();
    record_for(&store, "sevilla", VOICE, chat("a", "c"));
    assert_eq!(seal(&store, 2), 9);
    base
}

#[test]
fn envelopes_of_the_version_before_are_sealed_first_and_in_their_order() {
    let base = sealed();
    let (store, everything) = (base.open(), base.connect("postgres"));
    let others = "SELECT count(*) FROM ventanilla.seals s JOIN ventanilla.envelopes e ON e.tenant = s.tenant AND e.id = s.envelope \
                  WHERE s.tenant = 'madrid' AND s.n <> e.seq";
    assert_eq!(number(&everything, others), 0);
    let account = now(store.add_up(TENANT.into(), Vec::new())).unwrap();
    assert_eq!((account.stored, account.counted, account.sealed, account.waiting), (8, 8, 8, 0));
    assert_eq!(findings(&store), []);
}

#[test]
fn what_is_done_to_the_tables_is_named() {
    let names = "tenant, connector, method, target, received_at, verified_by, disposition, events, headers, body";
    let added = format!(
        "INSERT INTO ventanilla.envelopes (id, fact, {names}) SELECT 'forged', e.fact - 1, {names} FROM ventanilla.envelopes e \
         WHERE e.tenant = 'madrid' AND e.seq = 7"
    );
    let old = format!(
        "INSERT INTO ventanilla.envelopes (id, seq, fact, {names}) SELECT 'forged', 0, NULL, {names} FROM ventanilla.envelopes e \
         WHERE e.tenant = 'madrid' AND e.seq = 7"
    );
    for (sql, wanted) in [
        ("DELETE FROM ventanilla.envelopes WHERE tenant = 'madrid' AND seq = 3", vec![(Fault::Missing, 3)]),
        ("UPDATE ventanilla.envelopes SET body = 'x' WHERE tenant = 'madrid' AND seq = 8", vec![(Fault::Changed, 8)]),
        (
            "UPDATE ventanilla.envelopes SET headers = '{}' WHERE tenant = 'madrid' AND seq = 8",
            vec![(Fault::Changed, 8)],
        ),
        ("DELETE FROM ventanilla.seals WHERE tenant = 'madrid' AND n = 4", vec![(Fault::Added, 3), (Fault::Gap, 4)]),
        (added.as_str(), vec![(Fault::Added, 6)]),
        (old.as_str(), vec![(Fault::Added, 0)]),
    ] {
        let base = sealed();
        let everything = base.connect("postgres");
        rows(&everything, sql).unwrap();
        assert_eq!(findings(&base.open()), wanted, "{sql}");
    }
}

/// Nobody seals past somebody who has drawn a number and not committed yet.
#[test]
fn what_commits_late_is_waited_for() {
    let base = empty();
    let (store, late) = (base.open(), base.connect("postgres"));
    deliver(&store, 0..2);
    for sql in [
        "BEGIN",
        "SELECT ventanilla.number_1()",
        "INSERT INTO ventanilla.envelopes (tenant, id, connector, method, target, received_at, verified_by, disposition, events, headers, body) \
         VALUES ('madrid', 'late', 'telephony/example', 'POST', '/', 1, 'by', 'accepted', 0, '[]', '')",
    ] {
        rows(&late, sql).unwrap();
    }
    deliver(&store, 2..4);
    assert_eq!(seal(&store, 10), 2, "up to the one that is open");
    rows(&late, "COMMIT").unwrap();
    assert_eq!(seal(&store, 10), 3);
    assert_eq!(findings(&store), []);
    let third = "SELECT count(*) FROM ventanilla.seals WHERE n = 3 AND envelope = 'late'";
    assert_eq!(number(&late, third), 1, "before those that were faster");
}

/// Two hundred tenants that have nothing to seal are not asked.
#[test]
fn sealing_asks_only_tenants_of_whom_something_waits() {
    let base = empty();
    let (store, on) = (base.open(), base.connect(support::ROLE));
    let marks = || number(&base.connect("postgres"), "SELECT count(*) FROM ventanilla.unsealed");
    let pages = || {
        let sql = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) SELECT count(*) FROM ventanilla.unsealed_1(1000)";
        let lines: Vec<String> = rows(&on, sql).unwrap().iter().map(|row| row.text(0).unwrap().to_owned()).collect();
        let hits = lines.iter().find_map(|line| line.trim().strip_prefix("Buffers: shared hit=")).expect("buffers");
        hits.split(' ').next().unwrap().parse::<i64>().unwrap()
    };
    for tenant in 0..200 {
        record_for(&store, &format!("t{tenant}"), VOICE, chat("a", "c"));
    }
    assert_eq!(marks(), 200);
    assert!(pages() > 400, "all of them wait");
    assert_eq!(seal(&store, 90), 200);
    assert_eq!(seal(&store, 90), 0);
    assert_eq!(marks(), 0, "what has its seal is not looked for");
    pages();
    assert!(pages() < 20, "nothing waits: {} pages", pages());
    record_for(&store, "t7", VOICE, chat("b", "c"));
    assert!(pages() < 60, "one of two hundred: {} pages", pages());
    assert_eq!((seal(&store, 90), marks()), (1, 1));
}
