//! What components that serve HTTP share: the edge to WASI, who may, where a request may go, and how a refusal is said. No channel,
//! no store, no decision about a case.

pub mod access;
pub mod edge;
pub mod pace;
pub mod problem;
pub mod spelling;
pub mod spool;
pub mod target;
pub mod tokens;
pub mod trace;
mod turn;
