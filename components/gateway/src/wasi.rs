//! The edge to WASI and to the composed components. `wasi:http` is used as it is and not through the `http` crate: its `Uri`
//! and `HeaderMap` re-parse what a signature covers, and they are a third of the component's size.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use channel_sdk::types::{
    Authentication, Call, Context, Descriptor, Event, Fetched, Lookup, Outcome, Outgoing, PublicCase, Receipt, Refusal,
    Request, Response, TenantProfile, Translation,
};
use futures_channel::oneshot;
use spin_sdk::wasip3::http::types::{self as http, ErrorCode, Fields, Method, RequestOptions, Scheme};
use spin_sdk::wasip3::wit_bindgen::{FutureReader, StreamReader, StreamResult};
use spin_sdk::wasip3::{clocks::monotonic_clock, spawn, wit_future, wit_stream};

use crate::bindings::log::{self, Disposition, Envelope, StoreError};
use crate::bindings::outbox::{self, Item, Queue, Settlement};
use crate::bindings::{connector, directory};
use crate::pipeline;
use crate::ports::{BodyError, Failure, Inbound, Outbound, Ports};
use crate::request::Head;

const SECOND: u64 = 1_000_000_000;
/// A body that has not ended by then is given up. Providers hang up after 5 to 30 s.
const BODY_NS: u64 = 30 * SECOND;
/// What a voice provider's caller hears silence for, at most, when the store does not answer (`design.md` §8: 3 s in all).
const STORE_VOICE_NS: u64 = 2 * SECOND;
/// One call of the store for everybody else.
const STORE_NS: u64 = 20 * SECOND;
const CHUNK: usize = 64 * 1024;
/// How long configuration is believed, in milliseconds.
const FRESH_MS: i64 = 1000;
/// How long it is believed when the store can't be asked.
const STALE_MS: i64 = 3_600_000;

struct Gateway;
spin_sdk::wasip3::http::service::export!(Gateway);

impl spin_sdk::wasip3::exports::http::handler::Guest for Gateway {
    async fn handle(request: http::Request) -> Result<http::Response, ErrorCode> {
        let method = method_name(&request.get_method());
        let target = request.get_path_with_query().unwrap_or_else(|| "/".into());
        let headers = request.get_headers().copy_all();
        let head = Head::new(&method, target, headers);
        let bodiless = head.method == "HEAD";
        let ports = Wasi { request: Cell::new(Some(request)) };
        let answer = pipeline::serve(&ports, &head).await;
        respond(answer, bodiless)
    }
}

/// Configuration that instances keep between requests: nothing in here comes from a request, and nothing of one is kept.
/// It is keyed by what the operator has configured, so it does not grow with traffic.
#[derive(Default)]
struct Cache {
    descriptor: OnceCell<Descriptor>,
    profiles: RefCell<BTreeMap<String, (i64, Option<TenantProfile>)>>,
    variables: RefCell<BTreeMap<String, (i64, String)>>,
}

thread_local! {
    static CACHE: Cache = Cache::default();
}

struct Wasi {
    request: Cell<Option<http::Request>>,
}

impl Ports for Wasi {
    fn describe(&self) -> Descriptor {
        CACHE.with(|cache| cache.descriptor.get_or_init(connector::describe).clone())
    }

    fn authenticate(&self, request: &Request, context: &Context, fetched: &[Fetched]) -> Authentication {
        connector::authenticate(request, context, fetched)
    }

    fn translate(&self, request: &Request, context: &Context, fetched: &[Fetched]) -> Translation {
        connector::translate(request, context, fetched)
    }

    fn render(&self, message: &Outgoing, context: &Context) -> Result<Vec<Call>, Refusal> {
        connector::render(message, context)
    }

    fn acknowledge(&self, request: &Request, outcome: &Outcome, context: &Context) -> Response {
        connector::acknowledge(request, outcome, context)
    }

    async fn profile(&self, tenant: &str) -> Result<Option<TenantProfile>, StoreError> {
        let now = self.now();
        let known = CACHE.with(|cache| cache.profiles.borrow().get(tenant).cloned());
        if let Some((at, profile)) = &known
            && is_within(now, *at, FRESH_MS)
        {
            return Ok(profile.clone());
        }
        match self.store(directory::profile(tenant.to_owned())).await {
            Ok(profile) => {
                let entry = (now, profile.clone());
                CACHE.with(|cache| cache.profiles.borrow_mut().insert(tenant.to_owned(), entry));
                Ok(profile)
            }
            // An old profile speaks the tenant's language; whether anything is stored is for `record` to say.
            Err(error) => match known {
                Some((at, profile)) if is_within(now, at, STALE_MS) => Ok(profile),
                _ => Err(error),
            },
        }
    }

    async fn journal(&self, envelope: Envelope) -> Result<String, StoreError> {
        self.store(log::journal(envelope)).await
    }

    async fn record(
        &self,
        envelope: Envelope,
        disposition: Disposition,
        events: Vec<Event>,
    ) -> Result<Vec<Receipt>, StoreError> {
        self.store(log::record(envelope, disposition, events)).await
    }

    async fn envelope(&self, tenant: &str, id: &str) -> Result<Option<Envelope>, StoreError> {
        self.store(log::envelope_by_id(tenant.to_owned(), id.to_owned())).await
    }

    async fn public_cases(&self, tenant: &str, lookup: Lookup) -> Result<Vec<PublicCase>, StoreError> {
        self.store(log::public_cases(tenant.to_owned(), lookup)).await
    }

    async fn claim(&self, connector: &str, now: i64, until: i64, limit: u32) -> Result<Vec<Item>, StoreError> {
        outbox::claim(connector.to_owned(), now, until, limit).await
    }

    async fn queues(&self) -> Result<Vec<Queue>, StoreError> {
        outbox::queues().await
    }

    async fn settle(&self, id: &str, at: i64, settlement: Settlement) -> Result<(), StoreError> {
        outbox::settle(id.to_owned(), at, settlement).await
    }

    async fn variable(&self, name: &str) -> Result<String, Failure> {
        let now = self.now();
        let known = CACHE.with(|cache| cache.variables.borrow().get(name).cloned());
        if let Some((at, value)) = known
            && is_within(now, at, FRESH_MS)
        {
            return Ok(value);
        }
        let value = spin_sdk::variables::get(name)
            .await
            .map_err(|_| format!("the component's variable `{name}` can't be read; declare it in the manifest"))?;
        CACHE.with(|cache| cache.variables.borrow_mut().insert(name.to_owned(), (now, value.clone())));
        Ok(value)
    }

    async fn body(&self, limit: usize) -> Result<Vec<u8>, BodyError> {
        let request = self.request.take().ok_or(BodyError::Broken)?;
        let (_done, done) = wit_future::new(|| Ok(()));
        let (stream, trailers) = http::Request::consume_body(request, done);
        let read = within(BODY_NS, read(stream, trailers, limit)).await;
        match read {
            None => Err(BodyError::TooSlow),
            Some(Err(_)) => Err(BodyError::Broken),
            Some(Ok((_, true))) => Err(BodyError::TooLarge),
            Some(Ok((body, false))) => Ok(body),
        }
    }

    async fn send(&self, request: Outbound) -> Result<Inbound, Failure> {
        match within(request.seconds * SECOND, send(request)).await {
            Some(answer) => answer,
            None => Err("no complete answer in time".into()),
        }
    }

    fn now(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    }

    fn host_retries(&self) -> bool {
        std::env::var_os("VENTANILLA_HOST").is_some_and(|value| value == "1")
    }

    fn log(&self, line: &str) {
        eprintln!("{line}");
    }
}

impl Wasi {
    /// Waits for the store, within bounds. What it was asked to do goes on when nobody waits any more: an intake is not
    /// cut off in its middle, and the provider's redelivery finds it done.
    async fn store<T: 'static>(
        &self,
        call: impl Future<Output = Result<T, StoreError>> + 'static,
    ) -> Result<T, StoreError> {
        let voice = self.describe().channel == "telephony";
        let (sender, answer) = oneshot::channel();
        spawn(async move {
            let result = call.await;
            // Nobody waits any more: the time was over.
            _ = sender.send(result);
        });
        match within(if voice { STORE_VOICE_NS } else { STORE_NS }, answer).await {
            Some(Ok(result)) => result,
            Some(Err(_)) | None => Err(StoreError::Unavailable("the store does not answer in time".into())),
        }
    }
}

/// Whether something of `at` is still good. A clock that went back makes nothing fresh.
fn is_within(now: i64, at: i64, limit: i64) -> bool {
    (0..limit).contains(&now.saturating_sub(at))
}

/// A body and whether there was more of it than `limit`.
async fn read(
    mut stream: StreamReader<u8>,
    trailers: FutureReader<Result<Option<http::Trailers>, ErrorCode>>,
    limit: usize,
) -> Result<(Vec<u8>, bool), ErrorCode> {
    let mut body = Vec::new();
    loop {
        body.reserve(CHUNK.min(limit - body.len() + 1));
        let result;
        (result, body) = stream.read(body).await;
        if body.len() > limit {
            body.truncate(limit);
            return Ok((body, true));
        }
        if !matches!(result, StreamResult::Complete(_)) {
            break;
        }
    }
    drop(stream);
    trailers.await.map(|_| (body, false))
}

async fn send(request: Outbound) -> Result<Inbound, Failure> {
    let fields = Fields::from_list(&request.headers).map_err(|_| "a header can't be sent")?;
    let options = RequestOptions::new();
    // A host that can't set one says so; the limit over all of it holds anyway.
    let limit = Some(request.seconds * SECOND);
    _ = options.set_connect_timeout(limit);
    _ = options.set_first_byte_timeout(limit);
    let (end, trailers) = wit_future::new(|| Ok(None));
    let (contents, writer) = if request.body.is_empty() {
        (None, None)
    } else {
        let (writer, reader) = wit_stream::new();
        (Some(reader), Some(writer))
    };
    let (outbound, _sent) = http::Request::new(fields, contents, trailers, Some(options));
    let method = match request.method.as_str() {
        "GET" => Method::Get,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => Method::Post,
    };
    outbound.set_method(&method).map_err(|()| "the method can't be sent")?;
    let (scheme, body) = (if request.plain { Scheme::Http } else { Scheme::Https }, request.body);
    outbound.set_scheme(Some(&scheme)).map_err(|()| "the scheme can't be used")?;
    spawn(async move {
        if let Some(mut writer) = writer {
            writer.write_all(body).await;
        }
        _ = end.write(Ok(None)).await;
    });
    outbound.set_authority(Some(&request.authority)).map_err(|()| "the host name can't be used")?;
    outbound.set_path_with_query(Some(&request.path_and_query)).map_err(|()| "the path can't be used")?;
    let answer = spin_sdk::wasip3::http::client::send(outbound).await.map_err(|error| match error {
        ErrorCode::HttpRequestDenied => "the host does not allow it; see allowed_outbound_hosts",
        ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => "the host was not found",
        _ => "there was no answer",
    })?;
    let status = answer.get_status_code();
    let headers = answer.get_headers().copy_all();
    let (_done, done) = wit_future::new(|| Ok(()));
    let (stream, trailers) = http::Response::consume_body(answer, done);
    let (body, cut) = read(stream, trailers, request.max_bytes).await.map_err(|_| "the answer broke off")?;
    Ok(Inbound { status, headers, body, cut })
}

fn respond(answer: Response, bodiless: bool) -> Result<http::Response, ErrorCode> {
    let Response { status, headers, body } = answer;
    let mut headers: Vec<(String, Vec<u8>)> =
        headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
    if !bodiless && status != 204 && status != 304 {
        headers.push(("content-length".into(), body.len().to_string().into_bytes()));
    }
    let failed = |what: &str| ErrorCode::InternalError(Some(what.to_owned()));
    let fields = Fields::from_list(&headers).map_err(|_| failed("the answer's headers were refused"))?;
    let (end, trailers) = wit_future::new(|| Ok(None));
    let (contents, writer) = if bodiless || body.is_empty() {
        (None, None)
    } else {
        let (writer, reader) = wit_stream::new();
        (Some(reader), Some(writer))
    };
    let (response, _sent) = http::Response::new(fields, contents, trailers);
    response.set_status_code(status).map_err(|()| failed("the answer's status was refused"))?;
    spawn(async move {
        if let Some(mut writer) = writer {
            writer.write_all(body).await;
        }
        _ = end.write(Ok(None)).await;
    });
    Ok(response)
}

/// Runs a future until it is done or the time is over. The timer is not even made when the future is done at once.
async fn within<F: Future>(nanoseconds: u64, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = pin!(monotonic_clock::wait_for(nanoseconds));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}

fn method_name(method: &Method) -> String {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => name,
    }
    .to_owned()
}
