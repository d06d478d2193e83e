//! The case store on PostgreSQL: `ventanilla:store` over `spin:postgres`.
//!
//! What is written is written by ONE statement, the call of a procedure that ends with COMMIT (migrations/0002_intake.sql): pooled
//! connections come back from others in any state, and what was answered with success is committed, whatever that state was.
//! Whose rows a statement sees is said inside it and checked by row-level security.
//!
//! The code is generic over [`database::Connect`], so that the same SQL runs natively in tests; [`migrate::run`] is what
//! `ventanilla migrate` calls.

mod cases;
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

pub use store::PostgresStore;
pub use store_sdk::database;

#[cfg(target_family = "wasm")]
mod component;
