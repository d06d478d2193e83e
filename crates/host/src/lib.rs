//! The embedded host: reads `spin.toml`, joins components with their dependencies, runs them behind HTTP and keeps them apart.
//!
//! It is compatible with Spin and stricter: see ARCHITECTURE.md. Start with [`Host::load`].

pub mod cache;
pub mod clock;
pub mod compose;
pub mod connector;
pub mod engine;
mod host;
pub mod http;
pub mod instances;
pub mod key_value;
pub mod logs;
pub mod manifest;
pub mod metrics;
pub mod options;
pub mod outbound;
pub mod postgres;
pub mod sqlite;
pub mod state;
pub mod telemetry;
pub mod variables;

pub use compose::component_imports;
pub use host::{Caller, Host, listen};
pub use http::serve::StopSignal;
pub use options::{Limits, Options, OutboundLimits, PostgresLimits, Progress};
