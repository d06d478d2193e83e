//! `spin:postgres`: connections are pooled per address, cleaned before another request has them, and bounded in every way.
//!
//! Spin returns a connection to its pool as the guest left it; what a guest that trapped after BEGIN left open swallowed the
//! next requests' writes there. Here [`pool`] rolls back, resets the session, or closes the connection instead.

mod address;
mod connection;
mod errors;
mod guest;
mod places;
mod pool;
mod session;
mod tls;
mod transaction;
mod values;

pub use guest::{Builder, Handle, PostgresData, PostgresView, add_to_linker};
pub use pool::Pools;
pub use session::{Session, first_host};
