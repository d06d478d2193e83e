//! The load generator: closed loop for throughput, open loop for latency under a given rate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::calls::Prepared;
use crate::figures::{Answer, Figures};

/// One kept connection.
struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Client {
    async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, host: address.to_string() })
    }

    async fn send(&mut self, call: &Prepared) -> Result<Answer> {
        let request = hyper::Request::post(&call.target)
            .header("host", &self.host)
            .header("content-type", "application/x-www-form-urlencoded; charset=UTF-8")
            .header("x-twilio-signature", &call.signature)
            .body(Full::new(Bytes::from(call.body.clone())))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let has = |name: &str, part: &str| {
            answer.headers().get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(part))
        };
        let found = match status.as_u16() {
            _ if status.is_success() => Answer::Good,
            429 | 503 if has("retry-after", "") => Answer::Refused { spoken: has("content-type", "xml") },
            _ => Answer::Other,
        };
        let body = answer.into_body().collect().await?.to_bytes();
        if found == Answer::Other {
            eprintln!("  answered {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(found)
    }
}

/// Sends calls one after another on each of `connections`, until they are used up or `time` is over.
///
/// # Errors
///
/// The server can't be reached.
pub async fn closed(
    address: SocketAddr,
    calls: Arc<Vec<Prepared>>,
    connections: usize,
    time: Duration,
) -> Result<Figures> {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let mut client = Client::connect(address).await?;
        let (calls, next) = (calls.clone(), next.clone());
        tasks.push(tokio::spawn(async move {
            let mut figures = Figures::default();
            while start.elapsed() < time {
                let Some(call) = calls.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                let sent = Instant::now();
                let answer = client.send(call).await.ok();
                figures.count(answer, sent.elapsed());
                if answer.is_none() {
                    break;
                }
            }
            figures.elapsed = start.elapsed();
            figures
        }));
    }
    let mut all = Figures::default();
    for task in tasks {
        all.absorb(task.await?);
    }
    Ok(all)
}

/// Sends one call every `1 / rate` seconds whether or not earlier ones have been answered. Latency counts from the moment
/// the call was due, so that a stalled server can't hide behind a generator that waits for it.
///
/// # Errors
///
/// The server can't be reached.
pub async fn open(address: SocketAddr, calls: Arc<Vec<Prepared>>, rate: f64) -> Result<Figures> {
    let idle = Arc::new(tokio::sync::Mutex::new(Vec::<Client>::new()));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for index in 0..calls.len() {
        let due = start + Duration::from_secs_f64(index as f64 / rate);
        tokio::time::sleep_until(due.into()).await;
        let (calls, idle) = (calls.clone(), idle.clone());
        tasks.push(tokio::spawn(async move {
            // A server may close a connection that nobody has used for a while; who has something to say takes another one.
            let kept = {
                let mut idle = idle.lock().await;
                std::iter::from_fn(|| idle.pop()).find(|client| !client.sender.is_closed())
            };
            let mut client = match kept {
                Some(client) => client,
                None => Client::connect(address).await.ok()?,
            };
            let answer = match client.send(calls.get(index)?).await {
                Ok(answer) => answer,
                Err(error) => {
                    eprintln!("  no answer: {error:#}");
                    return None;
                }
            };
            let latency = due.elapsed();
            idle.lock().await.push(client);
            Some((answer, latency))
        }));
    }
    let mut figures = Figures::default();
    for task in tasks {
        let (answer, latency) = task.await?.unzip();
        figures.count(answer, latency.unwrap_or_default());
    }
    figures.elapsed = start.elapsed();
    Ok(figures)
}
