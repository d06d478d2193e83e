//! The schema: made once, whoever asks, however often, wherever it was interrupted, and while others write.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use store_postgres::database::{Database, DatabaseError, Row, Value};
use store_postgres::migrate;
use store_sdk::Store;
use support::{Base, Kept, OWNER, admit, bare, empty, now, number, rows};
use testkit::store_suite::World;
use testkit::store_suite::make::{TENANT, VOICE, all_events, by, chat, found, record};

/// Ends after a number of statements.
struct Ending {
    on: Kept,
    left: AtomicUsize,
}

impl Database for Ending {
    async fn execute(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, DatabaseError> {
        let left = self.left.load(Ordering::SeqCst);
        if left == 0 {
            return Err(DatabaseError("08006 the process has ended".into()));
        }
        self.left.store(left - 1, Ordering::SeqCst);
        self.on.execute(sql, parameters).await
    }
}

fn works(base: &Base) {
    admit(&base.connect(OWNER));
    let store = base.open();
    now(store.ready()).unwrap();
    assert!(record(&store, VOICE, chat("k", "c")).opened);
}

#[test]
fn an_empty_database_is_migrated_once() {
    let base = bare();
    let owner = base.connect(OWNER);
    assert_eq!(now(migrate::version(&owner)), Ok(0));
    let first = now(migrate::run(&owner)).unwrap();
    assert_eq!((first.before, first.after, first.done.len()), (0, migrate::newest(), migrate::MIGRATIONS.len()));
    let second = now(migrate::run(&owner)).unwrap();
    assert_eq!((second.before, second.after, second.done.len()), (migrate::newest(), migrate::newest(), 0));
    works(&base);
}

#[test]
fn programs_that_migrate_at_the_same_moment_take_turns() {
    let base = bare();
    let done = std::thread::scope(|scope| {
        let running: Vec<_> =
            (0..6).map(|_| scope.spawn(|| now(migrate::run(&base.connect(OWNER))).unwrap().done.len())).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
    assert_eq!(done, migrate::MIGRATIONS.len(), "each was run once");
    works(&base);
}

#[test]
fn a_migration_that_was_interrupted_anywhere_is_completed_by_the_next() {
    let count: usize = migrate::MIGRATIONS.iter().map(|(_, text)| migrate::statements(text).count()).sum();
    for after in (0..count).step_by(9) {
        let base = bare();
        let ending = Ending { on: base.connect(OWNER), left: AtomicUsize::new(after) };
        assert!(now(migrate::run(&ending)).is_err());
        drop(ending);
        now(migrate::run(&base.connect(OWNER))).unwrap();
        works(&base);
    }
}

/// Every statement again and again, on a database that others write to.
#[test]
fn components_go_on_working_while_it_is_migrated() {
    let base = empty();
    let done = AtomicBool::new(false);
    let recorded = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (base, done) = (&base, &done);
                scope.spawn(move || {
                    let store = base.open();
                    let mut count = 0;
                    while !done.load(Ordering::SeqCst) || count == 0 {
                        record(&store, VOICE, chat(&format!("{writer}/{count}"), &writer.to_string()));
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let owner = base.connect(OWNER);
        let mut migrated = Vec::new();
        for _ in 0..5 {
            rows(&owner, "DELETE FROM ventanilla.migrations").unwrap();
            migrated.push(now(migrate::run(&owner)));
        }
        done.store(true, Ordering::SeqCst);
        for run in migrated {
            assert_eq!(run.unwrap().done.len(), migrate::MIGRATIONS.len());
        }
        writers.into_iter().map(|writer| writer.join().unwrap()).sum::<usize>()
    });
    assert_eq!(all_events(&base.open(), TENANT).len(), recorded);
    // Of this database alone: other tests lock in theirs. A backend whose client has gone may take a moment to go, too.
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let admin = base.connect("postgres");
    let gone = (0..50).any(|_| {
        let none = number(&admin, held) == 0;
        if !none {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        none
    });
    assert!(gone, "an advisory lock is held when nobody works any more");
}

/// What was taken in before there were words, and what a component of the version before takes in afterwards.
#[test]
fn what_earlier_versions_kept_is_found_by_its_words() {
    let base = empty();
    let store = base.open();
    let references: Vec<String> =
        ["a", "b", "c"].map(|key| record(&store, VOICE, chat(key, key)).case_reference.unwrap()).into();
    let admin = base.connect("postgres");
    for sql in [
        "ALTER TABLE ventanilla.events DISABLE TRIGGER USER",
        "DELETE FROM ventanilla.words",
        "UPDATE ventanilla.events SET search = E'+34600111222\\nla se\u{f1}ora garc\u{ed}a: \"farolas\"\\n' || idempotency_key || E'\\n'",
        "ALTER TABLE ventanilla.events ENABLE TRIGGER USER",
        "DELETE FROM ventanilla.migrations WHERE version >= 10",
    ] {
        rows(&admin, sql).unwrap();
    }
    let searched = |q: &str| found(&store, TENANT, by(q));
    assert!(searched("farola").is_empty());
    now(migrate::run(&base.connect(OWNER))).unwrap();
    for q in ["farola", "GARCIA senora", "600111222"] {
        assert_eq!(searched(q).len(), 3, "{q}");
    }
    assert_eq!(searched("farola b"), references[1..2]);
    let old = "INSERT INTO ventanilla.events (tenant, id, channel, connector, kind, idempotency_key, received_at, envelope, case_id, opened, \
               settles, search, json) SELECT tenant, id || 'd', channel, connector, kind, 'd', received_at, envelope, case_id, opened, settles, \
               E'+34600333444\\nlos \u{e1}rboles, \\'\\\\ {}\\n', json FROM ventanilla.events WHERE idempotency_key = 'c'";
    rows(&admin, old).unwrap();
    for q in ["arbol", "600333444", "garcia arboles"] {
        assert_eq!(searched(q), references[2..], "{q}");
    }
}
