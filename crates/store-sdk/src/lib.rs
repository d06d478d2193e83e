//! What the store providers share: the Rust binding of `ventanilla:store`, the [`Store`] trait that mirrors it, and the
//! way between its types and the JSON that crosses into SQL.
//!
//! A provider implements [`Store`] over its database and exports it with [`export_store!`]. One intake is one JSON
//! document ([`intake::document`]), so that any backend can write it in one statement.

#[doc(hidden)]
pub mod bindings;
pub mod chain;
pub mod database;
pub mod erasing;
pub mod ids;
pub mod intake;
pub mod provider;
pub mod rows;
pub mod sealing;
mod store;
pub mod text;
pub mod words;

#[doc(hidden)]
pub use bindings::__export_store;
pub use bindings::exports::ventanilla::store::{cases, directory, feed, ledger, log, outbox, privacy};
pub use store::Store;
