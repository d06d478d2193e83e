//! What the store providers share: the Rust binding of `ventanilla:store`.

mod bindings;
pub use bindings::exports::ventanilla::store::{cases, directory, log, outbox};
