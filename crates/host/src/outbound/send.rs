//! Sends one request: checks the list, looks the name up, checks the address it will really connect to, and bounds the rest.

use super::{Allowed, Outbound, address};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_rustls::{TlsConnector, rustls};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) async fn send(
    outbound: &Outbound,
    mut request: http::Request<WasiBody>,
    options: RequestOptions,
) -> Result<super::Sent, Error> {
    let limits = &outbound.limits;
    let uri = request.uri().clone();
    let scheme = uri.scheme_str().unwrap_or("https").to_owned();
    let host = uri.host().ok_or(Error::HttpRequestUriInvalid)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    let allowed = outbound.allow.check(&scheme, &host, port);
    if allowed == Allowed::No {
        return Err(Error::HttpRequestDenied);
    }
    let within = |given: Option<Duration>, limit: Duration| given.map_or(limit, |given| given.min(limit));
    let connecting = async {
        if let Some(via) = &outbound.via {
            if let Ok(literal) = host.parse::<IpAddr>()
                && allowed != Allowed::Anywhere
                && address::is_private(literal)
            {
                return Err(Error::DestinationIpProhibited);
            }
            let stream = TcpStream::connect(via.as_str()).await.map_err(Error::Connect)?;
            return Ok(Box::new(stream) as Box<dyn Stream>);
        }
        let stream = connect(&host, port, allowed).await?;
        if scheme == "https" { tls(outbound, &host, stream).await } else { Ok(Box::new(stream) as Box<dyn Stream>) }
    };
    let stream = timeout(within(options.connect_timeout, limits.connect), connecting)
        .await
        .map_err(|_| Error::ConnectionTimeout)??;
    if outbound.via.is_none() {
        // Origin form (RFC 9112 §3.2.1); through a proxy the absolute form stays.
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        *request.uri_mut() = target.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
    }
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new().handshake(TokioIo::new(stream)).await?;
    let connection = Abort(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an outbound connection ended with an error");
        }
    }));
    let first_byte = within(options.first_byte_timeout, limits.first_byte);
    let response =
        timeout(first_byte, sender.send_request(request)).await.map_err(|_| Error::ConnectionReadTimeout)??;
    let patience = within(options.between_bytes_timeout, limits.between_bytes).max(Duration::from_millis(1));
    let response = response.map(|body| {
        Bounded {
            body,
            left: limits.body_bytes,
            limit: limits.body_bytes,
            patience,
            timer: Box::pin(sleep_until(Instant::now() + patience)),
            _connection: connection,
        }
        .boxed_unsync()
    });
    Ok((response, Box::new(std::future::ready(Ok(())))))
}

pub(super) async fn connect(host: &str, port: u16, allowed: Allowed) -> Result<TcpStream, Error> {
    let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(literal) => vec![SocketAddr::new(literal, port)],
        Err(_) => tokio::net::lookup_host((host, port))
            .await
            .map_err(|_| Error::DnsError { rcode: Some("name not found".into()), info_code: None })?
            .collect(),
    };
    // The addresses checked are the ones connected to: a second look-up could answer something else.
    let reachable: Vec<SocketAddr> = found
        .iter()
        .copied()
        .filter(|found| allowed == Allowed::Anywhere || !address::is_private(found.ip()))
        .collect();
    if reachable.is_empty() {
        return Err(if found.is_empty() { Error::DestinationNotFound } else { Error::DestinationIpProhibited });
    }
    let stream = TcpStream::connect(reachable.as_slice()).await.map_err(Error::Connect)?;
    stream.set_nodelay(true).map_err(Error::Connect)?;
    Ok(stream)
}

async fn tls(outbound: &Outbound, host: &str, stream: TcpStream) -> Result<Box<dyn Stream>, Error> {
    let config = outbound.tls.get_or_init(|| {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    });
    let name = rustls::pki_types::ServerName::try_from(host.to_owned()).map_err(Error::InvalidDnsNameError)?;
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(Error::Tls)?;
    Ok(Box::new(stream))
}

/// Ends the connection's task when the answer is not wanted any more.
struct Abort(tokio::task::JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Bounded {
    body: hyper::body::Incoming,
    left: u64,
    limit: u64,
    patience: Duration,
    timer: Pin<Box<Sleep>>,
    _connection: Abort,
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let deadline = Instant::now() + self.patience;
                self.timer.as_mut().reset(deadline);
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match self.left.checked_sub(length) {
                    Some(left) => {
                        self.left = left;
                        Poll::Ready(Some(Ok(frame)))
                    }
                    None => Poll::Ready(Some(Err(Error::HttpResponseBodySize(Some(self.limit))))),
                }
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(self.timer.as_mut().poll(context));
                Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
