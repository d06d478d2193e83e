//! One request: found its route, read, admitted, run, and if its component fails, run once more in quarantine mode.

use super::{
    admission::{Admission, Class},
    body::{self, OutBody},
    headers,
    problem::Problem,
};
use crate::{
    instances::{Failure, Function},
    manifest::{Match, Router, StaticResponse, Target, Trigger},
    metrics::Metrics,
    options::Limits,
    sqlite::Databases,
    telemetry::{self, Telemetry, trace},
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, time::timeout};

/// A loaded application.
pub struct App {
    /// Routes of the manifest.
    pub router: Router,
    /// In the manifest's order.
    pub triggers: Vec<Trigger>,
    /// By trigger; `None` for static responses.
    pub targets: Vec<Option<Arc<Admitted>>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Traces, if they are wanted.
    pub telemetry: Option<Telemetry>,
    /// Bounds.
    pub limits: Limits,
    /// Places for requests in components.
    pub door: Arc<Admission>,
    /// Places for telling the others that there is none: few, since it must cost next to nothing.
    pub apologies: Arc<Semaphore>,
    /// Bytes of request bodies held.
    pub buffered: AtomicUsize,
    /// Set when the process was told to stop.
    pub stopping: AtomicBool,
    /// Whose disks must have room.
    pub databases: Arc<Databases>,
}

/// In a request's extensions: it is not traced.
#[derive(Clone, Copy)]
pub struct Untraced;

/// A component that requests are given to.
pub struct Admitted {
    /// The component.
    pub function: Arc<Function>,
    /// Its number among them.
    pub number: usize,
    /// Whether a request whose component failed may be run again in quarantine mode: the component is a gateway.
    pub quarantine: bool,
}

/// As the application's own component says it on hosts that leave `/healthz` to it.
fn healthy() -> Response<OutBody> {
    let mut response = text("{\"status\":\"ok\"}");
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl App {
    /// Answers one request. Never fails: whatever goes wrong is an answer.
    pub async fn handle<B>(self: &Arc<Self>, request: Request<B>, client: SocketAddr) -> Response<OutBody>
    where
        B: Body<Data = Bytes> + Send + Unpin,
    {
        match request.uri().path() {
            "/.well-known/spin/health" => text("OK"),
            // The process lives. Not asked of a component: one that is busy is no reason to restart all of them.
            "/healthz" => healthy(),
            "/readyz" if self.stopping.load(Relaxed) => Problem::Stopping.response(),
            // The store says whether it takes a small write; the largest request it could be given must fit as well.
            "/readyz" if !self.databases.have_room(self.limits.body_bytes as u64) => Problem::DiskFull.response(),
            "/readyz" if self.router.find("/readyz").is_none() => text("OK"),
            "/metrics" if matches!(*request.method(), Method::GET | Method::HEAD) => {
                self.metrics(request, client).await
            }
            _ => self.route(request, client).await,
        }
    }

    async fn metrics<B>(self: &Arc<Self>, request: Request<B>, client: SocketAddr) -> Response<OutBody>
    where
        B: Body<Data = Bytes> + Send + Unpin,
    {
        self.metrics.queued.store(self.door.queued() as u64, Relaxed);
        let mut out = self.metrics.render();
        if self.router.find("/metrics").is_some() {
            let response = self.route(request, client).await;
            if response.status() == StatusCode::OK
                && let Ok(more) = response.into_body().collect().await
            {
                out.push_str(&String::from_utf8_lossy(&more.to_bytes()));
            }
        }
        let mut response = text(out);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
        response
    }

    async fn route<B>(self: &Arc<Self>, request: Request<B>, client: SocketAddr) -> Response<OutBody>
    where
        B: Body<Data = Bytes> + Send + Unpin,
    {
        let Some(found) = self.router.find(request.uri().path()) else {
            return Problem::NotFound.response();
        };
        let start = Instant::now();
        let trigger = found.trigger;
        let response = match &self.telemetry {
            // Whoever asks whether it is alive asks every few seconds.
            Some(telemetry)
                if request.extensions().get::<Untraced>().is_none()
                    && !matches!(request.uri().path(), "/readyz" | "/metrics") =>
            {
                Box::pin(self.traced(telemetry, request, client, found)).await
            }
            _ => self.answer(request, client, found).await.unwrap_or_else(Problem::response),
        };
        self.metrics.request(trigger, response.status().as_u16(), start.elapsed());
        response
    }

    async fn traced<B>(
        self: &Arc<Self>,
        telemetry: &Telemetry,
        request: Request<B>,
        client: SocketAddr,
        found: Match,
    ) -> Response<OutBody>
    where
        B: Body<Data = Bytes> + Send + Unpin,
    {
        let trigger = self.triggers.get(found.trigger);
        let route = trigger.and_then(|trigger| trigger.route.as_ref()).map_or("private", |route| route.text());
        let component = trigger.and_then(|trigger| match &trigger.target {
            Target::Component(id) => Some(id.as_str()),
            Target::Static(_) => None,
        });
        let trace = telemetry.begin(request.headers());
        let server = trace::Server::new(Arc::clone(&trace), request.method(), route, component);
        let answer = self.answer(request, client, found);
        let response = trace::within(trace, answer).await.unwrap_or_else(Problem::response);
        server.answered(response.status().as_u16());
        response
    }

    async fn answer<B>(
        self: &Arc<Self>,
        request: Request<B>,
        client: SocketAddr,
        found: Match,
    ) -> Result<Response<OutBody>, Problem>
    where
        B: Body<Data = Bytes> + Send + Unpin,
    {
        let Some(trigger) = self.triggers.get(found.trigger) else {
            return Err(Problem::NotFound);
        };
        if let Target::Static(fixed) = &trigger.target {
            return Ok(static_response(fixed));
        }
        let (Some(route), Some(Some(target))) = (&trigger.route, self.targets.get(found.trigger)) else {
            return Err(Problem::NotFound);
        };
        let (mut parts, incoming) = request.into_parts();
        parts.uri = headers::absolute(parts.uri, &parts.headers).ok_or(Problem::BadRequest)?;
        headers::strip(&mut parts.headers);
        headers::set(&mut parts.headers, &parts.uri, route, &found, client);
        let held = Held { app: self, bytes: AtomicUsize::new(0) };
        let body = self.read(incoming, &parts.headers, &held).await?;
        // All of our routes go on with the tenant.
        let tenant = found.path_info.split('/').nth(1).unwrap_or_default();
        let result = self.run(target, Class::of(route.text()), tenant, Request::from_parts(parts, body)).await;
        if let Ok(response) = &result {
            self.door.answered(target.number, tenant, response.status().as_u16());
        }
        result
    }

    /// Reads the whole body: a request is only given to a component, and can only be given to it again, complete.
    async fn read<B>(&self, incoming: B, headers: &http::HeaderMap, held: &Held<'_>) -> Result<Bytes, Problem>
    where
        B: Body<Data = Bytes> + Send + Unpin,
    {
        if incoming.is_end_stream() {
            return Ok(Bytes::new());
        }
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > self.limits.body_bytes) {
            return Err(Problem::PayloadTooLarge);
        }
        timeout(self.limits.body_wait, self.collect(incoming, held)).await.map_err(|_| Problem::RequestTimeout)?
    }

    async fn collect<B>(&self, mut incoming: B, held: &Held<'_>) -> Result<Bytes, Problem>
    where
        B: Body<Data = Bytes> + Send + Unpin,
    {
        let mut first = Bytes::new();
        let mut all = Vec::new();
        while let Some(frame) = incoming.frame().await {
            // A broken chunk, or the client went away.
            let frame = frame.map_err(|_| Problem::BadRequest)?;
            let Ok(data) = frame.into_data() else { continue };
            if first.len() + all.len() + data.len() > self.limits.body_bytes {
                return Err(Problem::PayloadTooLarge);
            }
            held.bytes.fetch_add(data.len(), Relaxed);
            if self.buffered.fetch_add(data.len(), Relaxed) + data.len() > self.limits.buffered_bytes {
                self.metrics.overloaded.fetch_add(1, Relaxed);
                return Err(Problem::Overloaded);
            }
            // Most webhooks come in one piece, which needs no copy.
            if first.is_empty() && all.is_empty() {
                first = data;
            } else {
                if all.is_empty() {
                    all.extend_from_slice(&std::mem::take(&mut first));
                }
                all.extend_from_slice(&data);
            }
        }
        Ok(if all.is_empty() { first } else { all.into() })
    }

    /// Has a gateway say it in its provider's words: a caller then hears a sentence instead of silence. If even that would take too
    /// long, the host says it in its own.
    async fn apologise(
        &self,
        target: &Arc<Admitted>,
        class: Class,
        mut request: Request<Bytes>,
    ) -> Option<Response<OutBody>> {
        if !target.quarantine {
            return None;
        }
        // A carrier that gets no document of its own says "an application error has occurred"; others read the status.
        let patience = if class == Class::Voice { Duration::from_secs(1) } else { Duration::ZERO };
        let place = timeout(patience, Arc::clone(&self.apologies).acquire_owned()).await.ok()?.ok()?;
        request.headers_mut().insert(headers::BUSY, HeaderValue::from_static("5"));
        target.function.call(request, false, place).await.ok()
    }

    async fn run(
        &self,
        target: &Arc<Admitted>,
        class: Class,
        tenant: &str,
        request: Request<Bytes>,
    ) -> Result<Response<OutBody>, Problem> {
        let mut request = request;
        let asked = Instant::now();
        let mut waiting = trace::Wait::begin("wait for a place", trace::Kind::Internal);
        let entered = self.door.enter(class, target.number, tenant).await;
        if entered.is_err() {
            waiting.failed("turned_away");
        } else if asked.elapsed() < Duration::from_millis(1) {
            waiting.forget();
        }
        drop(waiting);
        if trace::current().is_some_and(|trace| trace.is_sampled()) {
            request.headers_mut().insert(telemetry::TRACED, HeaderValue::from_static("1"));
        }
        let place = match entered {
            Ok(place) => Arc::new(place),
            Err(turned) => {
                self.metrics.turned_away(turned);
                return self.apologise(target, class, request).await.ok_or(turned.into());
            }
        };
        let again = target.quarantine.then(|| request.clone());
        let _counted = Counted::new(&self.metrics.in_flight);
        let mut result = target.function.call(request, false, Arc::clone(&place)).await;
        if let (Err(failure), Some(mut again)) = (&result, again)
            && failure.is_the_guests()
        {
            again.headers_mut().insert(headers::QUARANTINE, HeaderValue::from_static(failure.word()));
            result = target.function.call(again, true, place).await;
        }
        result.map_err(|failure| match failure {
            Failure::Timeout => Problem::ComponentTimeout,
            Failure::Instantiation => Problem::Overloaded,
            Failure::Trap | Failure::Memory | Failure::Error => Problem::ComponentFailed,
        })
    }
}

/// Bytes of one request's body. Given back also when the client hangs up and the future is dropped.
struct Held<'a> {
    app: &'a App,
    bytes: AtomicUsize,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.app.buffered.fetch_sub(self.bytes.load(Relaxed), Relaxed);
    }
}

/// One more in a gauge, until it is dropped.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(gauge: &'a AtomicU64) -> Self {
        gauge.fetch_add(1, Relaxed);
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn static_response(fixed: &StaticResponse) -> Response<OutBody> {
    let mut response = Response::new(body::full(fixed.body.clone()));
    *response.status_mut() = fixed.status;
    for (name, value) in &fixed.headers {
        response.headers_mut().append(name, value.clone());
    }
    response
}

fn text(text: impl Into<Bytes>) -> Response<OutBody> {
    let mut response = Response::new(body::full(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
