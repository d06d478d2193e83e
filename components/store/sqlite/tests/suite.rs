//! The store suite of `crates/testkit` over this store, natively and without waiting for the disk, which it is over the built component (built.rs).

mod support;

use support::{Folder, NativeStore};
use testkit::store_suite::World;
use testkit::store_suite::make::{TENANT, VOICE, by, chat, found, record};

struct File(Folder);

impl World for File {
    type Store = NativeStore;

    fn open(&self) -> NativeStore {
        support::quick(self.0.file())
    }
}

fn empty() -> File {
    File(Folder::new())
}

testkit::store_suite!(empty);

/// What was taken in before there were words, and what a component of the version before takes in afterwards.
#[test]
fn what_earlier_versions_kept_is_found_by_its_words() {
    let file = empty();
    let store = file.open();
    let references: Vec<String> =
        ["a", "b", "c"].map(|key| record(&store, VOICE, chat(key, key)).case_reference.unwrap()).into();
    let admin = rusqlite::Connection::open(file.0.file()).unwrap();
    admin
        .execute_batch(
            "DROP TRIGGER events_words_changed;
            DELETE FROM words;
            UPDATE events SET search = '+34600111222' || char(10) || 'la se\u{f1}ora garc\u{ed}a: \"farolas\"' || char(10)
              || idempotency_key || char(10);
            DELETE FROM migrations WHERE version >= 12;",
        )
        .unwrap();
    assert!(found(&store, TENANT, by("farola")).is_empty());
    let store = file.open();
    for q in ["farola", "GARCIA senora", "600111222"] {
        assert_eq!(found(&store, TENANT, by(q)).len(), 3, "{q}");
    }
    assert_eq!(found(&store, TENANT, by("farola b")), references[1..2]);
    admin
        .execute_batch(
            "INSERT INTO events (tenant, id, channel, connector, kind, idempotency_key, received_at, envelope, case_id, opened, settles, search,
                json) SELECT tenant, id || 'd', channel, connector, kind, 'd', received_at, envelope, case_id, opened, settles,
                '+34600333444' || char(10) || 'los \u{e1}rboles, ''\\ {}\"' || char(10), json FROM events WHERE idempotency_key = 'c';",
        )
        .unwrap();
    for q in ["arbol", "+34600333444", "garcia arboles"] {
        assert_eq!(found(&store, TENANT, by(q)), references[2..], "{q}");
    }
}
