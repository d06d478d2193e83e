//! Traces: what became of a request, and how long each step took. Spans leave by OTLP over HTTP; without an endpoint there are none, and a
//! request pays for looking at one `Option`.
//!
//! The host sees requests, components, databases and outbound requests itself. The steps inside a component it can't see; it asks for them
//! by a header that only it can set ([`TRACED`]), and the component says them on its standard error, line by line ([`MARK`]). That way the
//! host knows in which step a component stopped, and a component needs no import that another host may not have: Spin 4.1 has
//! `wasi:otel` only behind a flag, and without the flag a component that imports it is not started at all.
//!
//! `traceparent` and `tracestate` of a request are taken over only if the operator says that they come from a proxy of their own
//! (`--trust-trace-context`). Otherwise anybody could have everything recorded, or name the trace that their request is filed under: then
//! a new trace begins, which is linked to theirs.

mod config;
mod context;
mod export;
mod otlp;
mod tls;
pub(crate) mod trace;

pub use config::Settings;

use crate::metrics::Metrics;
use anyhow::Result;
use context::Incoming;
use export::Queue;
use http::{HeaderMap, HeaderName};
use std::sync::Arc;
use trace::Trace;

/// Asks a component to say what it is doing.
pub(crate) const TRACED: HeaderName = HeaderName::from_static("ventanilla-traced");
/// What a line of standard error begins with when it says so (ASCII's record separator).
pub(crate) const MARK: char = '\u{1e}';

/// Makes traces and sends them off.
pub struct Telemetry(Arc<Queue>);

impl Telemetry {
    /// Starts the thread that sends them.
    ///
    /// # Errors
    ///
    /// There can't be a thread.
    pub(crate) fn start(settings: Settings, metrics: &Arc<Metrics>) -> Result<Self> {
        Ok(Self(Queue::start(settings, metrics)?))
    }

    /// A trace for a request with these headers.
    pub(crate) fn begin(&self, headers: &HeaderMap) -> Arc<Trace> {
        Trace::new(&self.0, Incoming::of(headers))
    }

    /// Sends what is left, within two seconds.
    pub(crate) async fn flush(&self) {
        self.0.flush().await;
    }
}
