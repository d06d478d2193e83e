//! The store suite of `crates/testkit` over this store, natively, on a real server.

mod support;

use support::empty;

testkit::store_suite!(empty);
