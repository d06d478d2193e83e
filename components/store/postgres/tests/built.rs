//! The store suite of `crates/testkit` over the built component, in the embedded host, on a real server.

#[allow(dead_code, reason = "of the native store the databases are used")]
mod support;

use support::{Base, ROLE, server};
use testkit::store_suite::World;
use testkit::store_suite::built::{Built, BuiltStore};

/// A database of its own, and the host that serves it.
struct OnServer {
    built: Built,
    _base: Base,
}

impl World for OnServer {
    type Store = BuiltStore;

    fn open(&self) -> BuiltStore {
        self.built.open()
    }
}

fn empty() -> OnServer {
    let base = support::empty();
    let stanza = format!(
        "allowed_outbound_hosts = [{:?}]\n[component.probe.variables]\npostgres_url = {:?}",
        server::host(),
        server::url(&base.name, ROLE)
    );
    OnServer {
        built: Built::new("store-postgres.wasm", &stanza, &["allowed_outbound_hosts", "variables"]),
        _base: base,
    }
}

testkit::store_suite!(empty);
