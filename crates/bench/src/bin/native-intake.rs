//! The rival: axum, doing natively what a composed component does in the sandbox, with the same crates: the connector's
//! functions, `signatures`, the store's SQL; on SQLite with the host's group commit, on PostgreSQL with tokio-postgres.
//!
//! `native-intake FOLDER` or `native-intake postgres://…`

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bench::stores::{self, Either};
use channel_sdk::connector::Guest as _;
use channel_sdk::types::{
    Authentication, Check, Context, Encoding, Event, Header, Key, Outcome, Request, Scheme, TenantProfile, Translation,
};
use store_sdk::log::Envelope;
use telephony_twilio::Twilio;

/// The same allocator as our program's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Intake {
    store: Either,
    /// The gateway keeps a profile for about a second; so does its rival.
    profile: Mutex<Option<(Instant, TenantProfile)>>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let place = std::env::args().nth(1).context("give the folder of the database, or the address of PostgreSQL")?;
    let store = if place.starts_with("postgres://") {
        Either::Postgres(stores::postgres::open(&place))
    } else {
        Either::Sqlite(stores::sqlite::open(Path::new(&place))?)
    };
    let intake = Arc::new(Intake { store, profile: Mutex::new(None) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", serde_json::json!({"ready": true, "url": format!("http://{}", listener.local_addr()?)}));
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, axum::Router::new().fallback(receive).with_state(intake)).await?;
    Ok(())
}

async fn receive(
    State(intake): State<Arc<Intake>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match intake.accept(&method, &uri, &headers, &body).await {
        Ok(answer) => answer,
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why.to_string()).into_response(),
    }
}

impl Intake {
    async fn profile(&self, tenant: &str) -> Result<TenantProfile> {
        let kept = self.profile.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, profile)) = kept.filter(|(at, _)| at.elapsed() < Duration::from_secs(1)) {
            return Ok(profile);
        }
        let found = self.store.profile(tenant).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let profile = found.unwrap_or_else(|| neutral(tenant));
        *self.profile.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), profile.clone()));
        Ok(profile)
    }

    async fn accept(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Response> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let prefix = format!("/telephony/twilio/{}", bench::calls::TENANT);
        let target =
            uri.path_and_query().context("no path")?.as_str().strip_prefix(&prefix).context("no such route")?;
        let (suffix, query) = target.split_once('?').map_or((target, None), |(suffix, query)| (suffix, Some(query)));
        let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| Header {
            name: name.as_str().to_owned(),
            value: value.as_bytes().to_vec(),
        };
        let request = Request {
            method: method.as_str().to_owned(),
            url: format!("{}{target}", bench::calls::PUBLIC_URL),
            suffix: suffix.to_owned(),
            query: query.map(str::to_owned),
            headers: headers.iter().map(header).collect(),
            body: body.to_vec(),
            received_at: i64::try_from(now.as_millis())?,
        };
        let tenant = bench::calls::TENANT;
        let context = Context {
            tenant: tenant.to_owned(),
            public_url: bench::calls::PUBLIC_URL.to_owned(),
            settings: Vec::new(),
            secrets: vec!["auth_token".to_owned()],
            profile: self.profile(tenant).await?,
        };
        let Authentication::Check(checks) = Twilio::authenticate(request.clone(), context.clone(), Vec::new()) else {
            return Ok(StatusCode::FORBIDDEN.into_response());
        };
        if !checks.iter().any(|check| holds(check, request.received_at)) {
            return Ok(StatusCode::FORBIDDEN.into_response());
        }
        let events: Vec<Event> = match Twilio::translate(request.clone(), context.clone(), Vec::new()) {
            Translation::Events(events) => events,
            _ => anyhow::bail!("not understood"),
        };
        let envelope = Envelope {
            id: None,
            tenant: tenant.to_owned(),
            connector: "telephony/twilio".to_owned(),
            method: request.method.clone(),
            target: target.to_owned(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            received_at: request.received_at,
            verified_by: "hmac-sha1 auth_token".to_owned(),
            nonce: None,
        };
        let receipts = self.store.record(envelope, events).await;
        let receipts = receipts.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let answer = Twilio::acknowledge(request, Outcome::Accepted(receipts), context);
        let mut response = Response::builder().status(answer.status);
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        Ok(response.body(answer.body.into())?)
    }
}

fn holds(check: &Check, now: i64) -> bool {
    let (Scheme::HmacSha1, Key::Secret(_), Encoding::Base64) = (check.scheme, &check.key, check.encoding) else {
        return false;
    };
    let claim = signatures::Claim {
        scheme: signatures::Scheme::HmacSha1,
        message: &check.message,
        tag: &check.tag,
        encoding: signatures::Encoding::Base64,
    };
    signatures::verify(&claim, signatures::Key::Secret(bench::calls::AUTH_TOKEN.as_bytes()), now).is_ok()
}

fn neutral(tenant: &str) -> TenantProfile {
    TenantProfile {
        tenant: tenant.to_owned(),
        name: tenant.to_owned(),
        languages: vec!["en".to_owned()],
        greeting: Vec::new(),
        announcement: Vec::new(),
        departments: Vec::new(),
        services: Vec::new(),
        time_zone: "UTC0".to_owned(),
        opening_hours: Vec::new(),
        links: Vec::new(),
        acknowledge: false,
    }
}
