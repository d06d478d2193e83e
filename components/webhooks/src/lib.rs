//! Tells the administration's own systems, by signed webhooks, what is stored: every event, and every change of a case by staff. A room
//! of its own, without a connector inside: CloudEvents (cloudevents.io, 1.0.2) signed as Standard Webhooks (standardwebhooks.com, 1.0).
//!
//! Read in this order: `serve` (routes, and who may), `config` (what the operator wrote), `deliver` (a run), `cloud_event` and `sign`
//! (one message), `answer` (what the receiver's answer means), `desk` (what people see).

mod answer;
mod bindings;
mod cloud_event;
mod config;
mod deliver;
mod desk;
#[cfg(test)]
mod fake;
mod ports;
mod serve;
mod sign;
mod wasi;
