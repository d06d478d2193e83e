//! The HTTP shell around one connector: order, limits, clock, crypto, outbound requests, acknowledgement. One binary serves
//! every connector; `spin.toml` says which one it is composed with.

mod authenticate;
mod bindings;
mod deliver;
mod describe;
mod events;
#[cfg(test)]
mod fake;
mod fetch;
mod outcome;
mod pipeline;
mod ports;
mod problem;
mod replay;
mod request;
mod response;
mod settings;
mod spool;
mod wasi;
mod well_known;
