//! The way to the collector: a queue with a bound, and a thread that empties it. A collector that is slow or away costs spans, and never a
//! request.

use super::{config::Settings, otlp, tls, trace::Finished};
use crate::metrics::Metrics;
use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, rustls};

/// Tries of one export; between two of them twice as long as before.
const TRIES: u32 = 4;
/// What a collector may have to say about an export.
const ANSWER_BYTES: usize = 64 * 1024;
/// What is left when the process ends gets so long.
pub(super) const LAST: Duration = Duration::from_secs(2);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where finished traces wait.
pub(super) struct Queue {
    pub(super) settings: Settings,
    held: AtomicUsize,
    jobs: mpsc::UnboundedSender<Job>,
    metrics: Arc<Metrics>,
}

pub(super) enum Job {
    Trace(Finished),
    /// Send what there is, and say when that is done.
    Flush(oneshot::Sender<()>),
}

impl Queue {
    /// And its other end.
    pub(super) fn new(settings: Settings, metrics: &Arc<Metrics>) -> (Arc<Self>, mpsc::UnboundedReceiver<Job>) {
        let (jobs, waiting) = mpsc::unbounded_channel();
        let metrics = Arc::clone(metrics);
        (Arc::new(Self { settings, held: AtomicUsize::new(0), jobs, metrics }), waiting)
    }

    /// Starts the thread.
    pub(super) fn start(settings: Settings, metrics: &Arc<Metrics>) -> Result<Arc<Self>> {
        let (queue, waiting) = Self::new(settings, metrics);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("can't start the thread that sends traces")?;
        let exporter = Exporter { queue: Arc::downgrade(&queue), settings: queue.settings.clone(), broken: false };
        std::thread::Builder::new()
            .name("traces".into())
            .spawn(move || runtime.block_on(exporter.run(waiting)))
            .context("can't start the thread that sends traces")?;
        Ok(queue)
    }

    /// Takes the spans of a request, or counts them when there is no room. Never waits.
    pub(super) fn put(&self, finished: Finished) {
        let count = finished.spans.len();
        self.metrics.spans(finished.dropped as u64, "dropped");
        let room = self
            .held
            .fetch_update(Relaxed, Relaxed, |held| Some(held + count).filter(|held| *held <= self.settings.queue));
        if room.is_err() || self.jobs.send(Job::Trace(finished)).is_err() {
            self.metrics.spans(count as u64, "dropped");
        }
    }

    /// Sends what waits, within a bound.
    pub(super) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.jobs.send(Job::Flush(done)).is_ok() && timeout(LAST, wait).await.is_err() {
            tracing::warn!("the last traces were not sent: the collector does not answer in time");
        }
    }
}

struct Exporter {
    queue: std::sync::Weak<Queue>,
    settings: Settings,
    /// Said already.
    broken: bool,
}

impl Exporter {
    /// Until the queue is gone.
    async fn run(mut self, mut waiting: mpsc::UnboundedReceiver<Job>) {
        while let Some(job) = waiting.recv().await {
            let (mut batch, mut count, mut flush) = (Vec::new(), 0, None);
            let mut next = Some(job);
            let end = tokio::time::Instant::now() + self.settings.delay;
            while let Some(job) = next.take() {
                match job {
                    Job::Trace(finished) => {
                        count += finished.spans.len();
                        batch.push(finished);
                    }
                    Job::Flush(done) => {
                        flush = Some(done);
                        break;
                    }
                }
                if count < self.settings.batch {
                    next = tokio::time::timeout_at(end, waiting.recv()).await.ok().flatten();
                }
            }
            if count > 0 {
                self.export(&batch, count, flush.is_some()).await;
            }
            if let Some(done) = flush {
                // Whoever asked may have stopped waiting.
                _ = done.send(());
            }
        }
    }

    async fn export(&mut self, batch: &[Finished], count: usize, last: bool) {
        let body = Bytes::from(otlp::encode(batch, &self.settings.resource));
        let mut pause = Duration::from_millis(500);
        let tries = if last { 1 } else { TRIES };
        let mut result = Err(anyhow!("not tried"));
        for number in 1..=tries {
            result = match timeout(self.settings.timeout, self.send(body.clone())).await {
                Ok(Ok(Sent::Taken)) => Ok(()),
                // Asking again would not help.
                Ok(Ok(Sent::Refused(status))) => {
                    result = Err(anyhow!("it answers {status}"));
                    break;
                }
                Ok(Err(error)) => Err(error),
                Err(_) => Err(anyhow!("it does not answer in time")),
            };
            if result.is_ok() {
                break;
            }
            self.said(&result);
            if number < tries {
                sleep(pause).await;
                pause *= 2;
            }
        }
        self.said(&result);
        let Some(queue) = self.queue.upgrade() else { return };
        queue.held.fetch_sub(count, Relaxed);
        queue.metrics.spans(count as u64, if result.is_ok() { "sent" } else { "failed" });
    }

    /// One line when it stops working, and one when it works again.
    fn said(&mut self, result: &Result<()>) {
        match result {
            Err(why) if !self.broken => {
                self.broken = true;
                let secure = self.settings.endpoint.scheme_str() == Some("https");
                let remedy = tls::remedy(why, secure).map(|remedy| format!(": {remedy}")).unwrap_or_default();
                tracing::warn!(
                    "the collector does not take traces: {why:#}{remedy}; requests go on, spans are dropped and counted"
                );
            }
            Ok(()) if self.broken => {
                self.broken = false;
                tracing::info!("the collector takes traces again");
            }
            _ => {}
        }
    }

    async fn send(&self, body: Bytes) -> Result<Sent> {
        let endpoint = &self.settings.endpoint;
        let authority = endpoint.authority().context("the endpoint has no host")?;
        let secure = endpoint.scheme_str() == Some("https");
        let host = authority.host().trim_matches(['[', ']']);
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream =
            TcpStream::connect((host, port)).await.with_context(|| format!("can't connect to {host}:{port}"))?;
        let stream: Box<dyn Stream> = if secure {
            let name =
                ServerName::try_from(host.to_owned()).context("the endpoint's host is no name for a certificate")?;
            Box::new(
                TlsConnector::from(Arc::clone(&self.settings.tls))
                    .connect(name, stream)
                    .await
                    .context("no TLS connection")?,
            )
        } else {
            Box::new(stream)
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let path = endpoint.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::post(path)
            .header(header::HOST, authority.as_str())
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::USER_AGENT, concat!("ventanilla/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))?;
        for (name, value) in &self.settings.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let answer = sender.send_request(request).await.context("no answer")?;
        let status = answer.status();
        // The connection is not used again; what it says is not needed, but a collector should be able to finish its sentence.
        _ = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        connection.abort();
        match status {
            _ if status.is_success() => Ok(Sent::Taken),
            // https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => bail!("it answers {status}"),
            _ => Ok(Sent::Refused(status)),
        }
    }
}

enum Sent {
    Taken,
    Refused(StatusCode),
}
