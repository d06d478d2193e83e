//! Requests that components send: allow-list, no private addresses, bounded in time and size.

mod address;
mod allow;
mod send;

pub use allow::{AllowList, Allowed};

use crate::{
    http::admission::Class,
    metrics::Metrics,
    options::OutboundLimits,
    telemetry::trace::{self, Kind, Value, Wait},
};
use std::sync::Arc;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// What one component may reach, and how.
pub struct Outbound {
    /// The component's id.
    pub component: Arc<str>,
    /// Who waits at the other end of its routes: decides who is served first where connections are short.
    pub class: Class,
    /// Parsed `allowed_outbound_hosts`.
    pub allow: AllowList,
    /// `host:port` that gets everything, in absolute form and without TLS.
    pub via: Option<String>,
    /// Time and size.
    pub limits: OutboundLimits,
    /// Trusted certificate authorities; made at the first use.
    pub tls: Arc<std::sync::OnceLock<Arc<tokio_rustls::rustls::ClientConfig>>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// A connection to a server that the list allows; `anywhere` means also at a private address.
pub(crate) async fn connect_to(host: &str, port: u16, anywhere: bool) -> Result<tokio::net::TcpStream, Error> {
    send::connect(host, port, if anywhere { Allowed::Anywhere } else { Allowed::Public }).await
}

/// The hooks of one store.
pub struct Hooks(pub Arc<Outbound>);

type Sent = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        mut request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        processing: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        // What became of the answer's body concerns the guest alone.
        drop(processing);
        let outbound = Arc::clone(&self.0);
        let mut wait = Wait::begin(trace::method(request.method()), Kind::Client);
        trace::inject(request.headers_mut(), &wait);
        if let Some(server) = request.uri().host().and_then(|host| outbound.allow.named(host)) {
            wait.attribute("server.address", || Value::configured(server));
        }
        Box::new(async move {
            let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
            let result = send::send(&outbound, request, options.unwrap_or_default()).await;
            match &result {
                Ok((response, _)) => {
                    outbound.metrics.outbound(&outbound.component, "sent");
                    wait.attribute("http.response.status_code", || response.status().as_u16().into());
                }
                Err(error @ (Error::HttpRequestDenied | Error::DestinationIpProhibited)) => {
                    outbound.metrics.outbound(&outbound.component, "denied");
                    wait.failed("denied");
                    tracing::warn!(
                        component = &*outbound.component, host, %error,
                        "outbound request refused: allow the host in allowed_outbound_hosts; a private address must be named there itself"
                    );
                }
                Err(error) => {
                    outbound.metrics.outbound(&outbound.component, "failed");
                    wait.failed("failed");
                    tracing::warn!(component = &*outbound.component, host, %error, "outbound request failed");
                }
            }
            result
        })
    }
}
