//! The edge to WASI. `wasi:http` is used as it is and not through the `http` crate: its `Uri` and `HeaderMap` re-parse what a
//! signature covers, and they are a third of a component's size.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::time::{SystemTime, UNIX_EPOCH};

use channel_sdk::types::Response;
use spin_sdk::wasip3::http::types::{self as http, ErrorCode, Fields, Method, RequestOptions, Scheme};
use spin_sdk::wasip3::wit_bindgen::{FutureReader, StreamReader, StreamResult};
use spin_sdk::wasip3::{clocks::monotonic_clock, spawn, wit_future, wit_stream};

/// Of monotonic time.
pub const SECOND: u64 = 1_000_000_000;
const CHUNK: usize = 64 * 1024;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// More bytes than allowed.
    TooLarge,
    /// It did not end in time.
    TooSlow,
    /// The connection broke.
    Broken,
}

/// One outbound request; redirects are not followed here.
pub struct Outbound {
    /// `GET`, `PUT`, `PATCH`, `DELETE`; anything else is a `POST`.
    pub method: String,
    /// Host and port.
    pub authority: String,
    /// Beginning with a slash.
    pub path_and_query: String,
    /// Names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Without TLS.
    pub plain: bool,
    /// What is sent.
    pub body: Vec<u8>,
    /// Of the answer.
    pub max_bytes: usize,
    /// For the whole of it.
    pub seconds: u64,
}

/// Its answer.
pub struct Inbound {
    /// 100 to 599.
    pub status: u16,
    /// As received.
    pub headers: Vec<(String, Vec<u8>)>,
    /// As much of it as was wanted.
    pub body: Vec<u8>,
    /// There was more than `max_bytes`.
    pub cut: bool,
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

/// The body of a request, up to `limit` bytes, if it ends within the time.
///
/// # Errors
/// When there is none.
pub async fn body(request: http::Request, limit: usize, nanoseconds: u64) -> Result<Vec<u8>, BodyError> {
    let (_done, done) = wit_future::new(|| Ok(()));
    let (stream, trailers) = http::Request::consume_body(request, done);
    match within(nanoseconds, read(stream, trailers, limit)).await {
        None => Err(BodyError::TooSlow),
        Some(Err(_)) => Err(BodyError::Broken),
        Some(Ok((_, true))) => Err(BodyError::TooLarge),
        Some(Ok((body, false))) => Ok(body),
    }
}

/// Sends a request and waits for the whole answer, as long as it says.
///
/// # Errors
/// Why there is no answer: for people, without secrets.
pub async fn send(request: Outbound) -> Result<Inbound, String> {
    match within(request.seconds * SECOND, exchange(request)).await {
        Some(answer) => answer,
        None => Err("no complete answer in time".into()),
    }
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

async fn exchange(request: Outbound) -> Result<Inbound, String> {
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

/// The answer as the host wants it.
///
/// # Errors
/// When the host refuses its head.
pub fn respond(answer: Response, bodiless: bool) -> Result<http::Response, ErrorCode> {
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
pub async fn within<F: Future>(nanoseconds: u64, future: F) -> Option<F::Output> {
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

/// `GET`.
pub fn method_name(method: &Method) -> String {
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
