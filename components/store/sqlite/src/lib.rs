//! The case store on SQLite: `ventanilla:store` over `spin:sqlite`.
//!
//! An intake is ONE statement, an insert into the view `intake`; triggers do the rest inside it (migrations/0001_intake.sql).
//! So it is atomic on any host, without a transaction that a trap could leave open, and crosses the sandbox once.
//!
//! The code is generic over [`database::Connect`], so that the same SQL runs natively in tests.

mod cases;
pub mod database;
mod directory;
mod errors;
mod feed;
mod ledger;
mod log;
pub mod migrate;
mod outbox;
mod privacy;
mod public;
mod store;
mod words;

pub use store::SqliteStore;

#[cfg(target_family = "wasm")]
mod component;
