//! The store suite of `crates/testkit` over the built component, in the embedded host.

use testkit::store_suite::built::Built;

fn empty() -> Built {
    Built::new("store-sqlite.wasm", "sqlite_databases = [\"default\"]", &["sqlite_databases"])
}

testkit::store_suite!(empty);
