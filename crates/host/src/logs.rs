//! Logs for people or machines, on standard error; and what components print, line by line, under their id.

use crate::telemetry::{MARK, trace};
use bytes::Bytes;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};
use tracing_subscriber::{
    fmt::{
        FmtContext,
        format::{FormatEvent, FormatFields, Writer},
    },
    registry::LookupSpan,
};
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For a terminal.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// Sends logs to standard error. `RUST_LOG` overrides `level` (e.g. `info`). Calling it twice has no effect.
pub fn init(format: Format, level: &str) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let _already_set = match format {
        Format::Human => {
            let ansi = io::IsTerminal::is_terminal(&io::stderr());
            builder.with_ansi(ansi).map_event_format(|human| Traced(human, format)).try_init()
        }
        Format::Json => builder.json().flatten_event(true).map_event_format(|json| Traced(json, format)).try_init(),
    };
}

/// Adds which trace and span a line is about, as OpenTelemetry has it for logs that are not its own
/// (<https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/>).
struct Traced<F>(F, Format);

impl<S, N, F> FormatEvent<S, N> for Traced<F>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> std::fmt::Result {
        let Some(trace) = trace::current() else { return self.0.format_event(context, writer, event) };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end();
        let (trace, span) = trace.ids();
        match (self.1, line.strip_suffix('}')) {
            (Format::Json, Some(rest)) => writeln!(writer, "{rest},\"trace_id\":\"{trace}\",\"span_id\":\"{span}\"}}"),
            _ => writeln!(writer, "{line} trace_id={trace} span_id={span}"),
        }
    }
}

/// A line longer than this is cut into several.
const LINE: usize = 8 * 1024;

/// Standard output or error of one instance.
#[derive(Clone)]
pub struct GuestStream {
    component: Arc<str>,
    name: &'static str,
    partial: Arc<Mutex<Vec<u8>>>,
}

impl GuestStream {
    /// `name` is `stdout` or `stderr`.
    pub fn new(component: &Arc<str>, name: &'static str) -> Self {
        Self { component: Arc::clone(component), name, partial: Arc::default() }
    }

    fn push(&self, bytes: &[u8]) {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            partial.extend_from_slice(part);
            if part.ends_with(b"\n") || partial.len() >= LINE {
                self.line(&partial);
                partial.clear();
            }
        }
    }

    fn line(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end();
        if let Some(mark) = text.strip_prefix(MARK) {
            trace::marked(mark);
        } else if !text.is_empty() {
            tracing::info!(target: "ventanilla::guest", component = &*self.component, stream = self.name, "{text}");
        }
    }
}

impl Drop for GuestStream {
    fn drop(&mut self) {
        if Arc::strong_count(&self.partial) == 1 {
            let partial = std::mem::take(&mut *self.partial.lock().unwrap_or_else(PoisonError::into_inner));
            self.line(&partial);
        }
    }
}

impl IsTerminal for GuestStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStream {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestStream {
    async fn ready(&mut self) {}
}

impl OutputStream for GuestStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 * 1024)
    }
}

impl tokio::io::AsyncWrite for GuestStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
