//! The chain over envelopes: what only this database has to be asked about. What every store does is in the store suite.

mod support;

use serde_json::Value as Json;
use store_postgres::database::Row;
use store_sdk::ledger::Fault;
use store_sdk::{Store, chain, sealing};
use support::server::plans;
use support::{Base, Kept, NativeStore, ROLE, empty, now, number, rows};
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

/// Pages that a look for what to seal goes to.
fn looked_at(on: &Kept, limit: u32) -> i64 {
    let sql = format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) SELECT count(*) FROM ventanilla.unsealed_1({limit})");
    let lines: Vec<String> = rows(on, &sql).unwrap().iter().map(|row| row.text(0).unwrap().to_owned()).collect();
    let hits = lines.iter().find_map(|line| line.trim().strip_prefix("Buffers: shared hit=")).expect("buffers");
    hits.split(' ').next().unwrap().parse::<i64>().unwrap()
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
    assert_eq!((account.stored, account.counted, account.sealed, account.head, account.unsealed), (8, 8, 8, 8, 0));
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

/// Rows that the steps of all statements gave, those in functions too: the same on every machine.
fn handled(plans: &str) -> u64 {
    let number = |text: &str, name: &str| {
        let digits = text.split_once(name).map_or("", |(_, rest)| rest);
        digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())].parse::<u64>().ok()
    };
    let steps = plans.split("(actual rows=").skip(1);
    steps.filter_map(|step| Some(number(&format!("={step}"), "=")? * number(step, "loops=")?)).sum()
}

/// Eighty envelopes of eighty tenants are sealed with a few times the work of eighty of one, not with eighty times as much.
#[test]
fn sealing_many_tenants_is_not_more_work_than_sealing_one() {
    let work = |tenants: u32| {
        let base = empty();
        let store = base.open();
        for round in 0..2 {
            for number in 0..80 {
                record_for(&store, &format!("t{}", number % tenants), VOICE, chat(&format!("{round}/{number}"), "c"));
            }
            if round == 0 {
                assert_eq!(seal(&store, 1000), 80);
            }
        }
        let look = plans(&base.name, ROLE, "SELECT count(*) FROM ventanilla.unsealed_1(80);");
        let waiting = rows(&base.connect(ROLE), "SELECT document FROM ventanilla.unsealed_1(80)").unwrap();
        let read = |row: &Row| sealing::unsealed(&serde_json::from_str(row.text(0).unwrap()).unwrap()).unwrap();
        let seals = chain::seal(&waiting.iter().map(read).collect::<Vec<_>>());
        let (heads, links) = (Json::from(seals.heads), Json::from(seals.rows));
        let sealing = plans(&base.name, ROLE, &format!("CALL ventanilla.seal_1('{heads}', '{links}', 1, NULL);"));
        assert_eq!(now(store.seal(T0, 80)).unwrap().sealed, 0, "they have been sealed");
        (handled(&look), handled(&sealing))
    };
    let (one, many) = (work(1), work(80));
    println!("one tenant {one:?}, eighty {many:?} rows");
    assert!(one.0 >= 80 && one.1 >= 240, "{one:?}: what is counted is not the work");
    assert!(many.0 < 80 * 20 && many.1 < 80 * 20, "{many:?} rows for eighty tenants, {one:?} for one");
}

/// However many wait, one look goes to as many as it has room for, and not again to those who have their seals.
#[test]
fn a_look_goes_to_the_tenants_it_has_room_for() {
    let base = empty();
    let (store, on) = (base.open(), base.connect(ROLE));
    let mut first = 0;
    for tenants in [30, 300] {
        for tenant in 0..tenants {
            record_for(&store, &format!("t{tenant:03}"), VOICE, chat(&tenants.to_string(), "c"));
        }
        looked_at(&on, 10);
        let pages = looked_at(&on, 10);
        if tenants == 30 {
            first = pages;
        }
        println!("{tenants} wait: {pages} pages");
        assert!(pages < first * 2, "{first} pages when thirty wait, {pages} when three hundred do");
        assert_eq!(now(store.seal(T0, 10)).unwrap().sealed, 10);
        looked_at(&on, 10);
        let after = looked_at(&on, 10);
        assert!(after < first * 2, "{first} pages at first, {after} when ten are sealed");
        assert_eq!(seal(&store, 1000), tenants - 10);
    }
    assert_eq!(number(&base.connect("postgres"), "SELECT count(*) FROM ventanilla.unsealed"), 0);
}

#[test]
fn what_waited_of_a_tenant_that_is_removed_is_not_looked_for() {
    let base = empty();
    let store = base.open();
    deliver(&store, 0..5);
    record_for(&store, "sevilla", VOICE, chat("a", "c"));
    let remove = || now(store.remove_tenant(TENANT.into(), "ana".into(), "it is over".into(), T0, 3)).unwrap();
    while remove().more {}
    let marks = "SELECT count(*) FROM ventanilla.unsealed WHERE tenant = 'madrid'";
    assert_eq!(number(&base.connect("postgres"), marks), 0);
    assert_eq!(seal(&store, 10), 1, "another's");
}

/// Two hundred tenants that have nothing to seal are not asked.
#[test]
fn sealing_asks_only_tenants_of_whom_something_waits() {
    let base = empty();
    let (store, on) = (base.open(), base.connect(ROLE));
    let marks = || number(&base.connect("postgres"), "SELECT count(*) FROM ventanilla.unsealed");
    let pages = || looked_at(&on, 1000);
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
    assert_eq!((seal(&store, 90), marks()), (1, 0));
}
