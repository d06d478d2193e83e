//! The listening socket and its connections.

use super::dispatch::App;
use anyhow::{Context, Result, anyhow};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    io::ErrorKind,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{Signal, SignalKind, signal},
    sync::{Semaphore, watch},
};

/// Opens the listening socket; the error names the port and the remedy.
pub async fn bind(listen: &str) -> Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            let port = listen.rsplit_once(':').map_or(listen, |(_, port)| port);
            anyhow!("port {port} is in use by another program ({listen}): stop it, or choose another with --listen 127.0.0.1:0 (0 takes a free one)")
        }
        ErrorKind::PermissionDenied => anyhow!("no permission to listen on {listen}: ports below 1024 need a privilege; choose another with --listen"),
        ErrorKind::AddrNotAvailable => anyhow!("this machine has no address {listen}: correct --listen"),
        _ => anyhow!("can't listen on {listen}: {error}; write --listen ADDRESS:PORT"),
    })
}

/// Resolves when serving shall end. Boxed, so that callers in other crates don't compile the server once more.
pub type Stop<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Serves until `stop` resolves, then lets requests in flight finish, for `limits.drain` at most.
pub async fn serve(app: Arc<App>, listener: TcpListener, mut stop: Stop<'_>) -> Result<()> {
    let connections = Arc::new(Semaphore::new(app.limits.connections));
    let (closing, closed) = watch::channel(false);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            () = &mut stop => break,
        };
        let Some((stream, client, permit)) = accepted else { continue };
        let (app, closed) = (Arc::clone(&app), closed.clone());
        tokio::spawn(async move {
            connection(app, stream, client, closed).await;
            drop(permit);
        });
    }
    drop(listener);
    app.stopping.store(true, Relaxed);
    closing.send_replace(true);
    drop(closed);
    tokio::time::timeout(app.limits.drain, closing.closed()).await.or_else(|_| {
        tracing::warn!("some requests did not finish in time and were cut off");
        Ok::<(), anyhow::Error>(())
    })
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, client)) => Some((stream, client, permit)),
        Err(error) => {
            // Out of file descriptors, or the peer is gone already: don't spin.
            tracing::warn!(%error, "can't accept a connection");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connection(app: Arc<App>, stream: TcpStream, client: SocketAddr, mut closed: watch::Receiver<bool>) {
    // Head and body of an answer leave as two segments; with Nagle's algorithm the second waits 40 ms for an acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY not set");
    }
    let limits = app.limits.clone();
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(app.handle(request, client).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_wait)
        .max_buf_size(limits.header_bytes.max(8192))
        .keep_alive(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = async { drop(closed.wait_for(|closing| *closing).await) } => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

/// SIGTERM and SIGINT, caught from the moment this is made: a signal that comes between "ready" and serving is not lost.
pub struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Catches both. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// The system refuses the handlers.
    pub fn install() -> Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("can't listen for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("can't listen for SIGINT")?;
        Ok(Self { terminate, interrupt })
    }

    /// Resolves when either has come.
    pub async fn received(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
