//! The store suite of `crates/testkit` over this store, natively.

mod support;

use support::{Folder, NativeStore};
use testkit::store_suite::World;

struct File(Folder);

impl World for File {
    type Store = NativeStore;

    fn open(&self) -> NativeStore {
        support::store(self.0.file())
    }
}

fn empty() -> File {
    File(Folder::new())
}

testkit::store_suite!(empty);
