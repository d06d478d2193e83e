//! Every connector at work: its tests' requests, through gateway, connector and store in our host.
//!
//! A provider's signature covers what the tests signed, so the requests stay as they are; what changes is whose they are. Each of
//! [`TENANTS`] tenants has the same public URL and the same keys, and what is known to one is new to the next.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, anyhow, ensure};
use bench::figures::Figures;
use serde_json::{Map, Value, json};
use testkit::connector_suite::delivery::{Answer, Deliveries, deliveries};
use ventanilla_host::{Caller, Host, Options};

const TENANTS: usize = 60;
/// Requests at the same time.
const WORKERS: usize = 16;
type Request = http::Request<bytes::Bytes>;

/// One connector's figures.
pub(crate) struct Channel {
    /// `channel/vendor`
    pub(crate) name: String,
    /// Different requests of its tests.
    pub(crate) requests: usize,
    /// Whether each of them had something fetched first.
    pub(crate) fetches: bool,
    pub(crate) figures: Figures,
    /// Events stored by them.
    pub(crate) events: u64,
    /// Median start of an instance, in microseconds.
    pub(crate) start: f64,
    /// Of the connector's file.
    pub(crate) bytes: u64,
}

/// Measures each connector that has a route in `spin.toml` and requests of its own. Gives the names of the others.
pub(crate) async fn measure(data: &Path, cache: &Path) -> Result<(Vec<Channel>, Vec<String>)> {
    let (mut measured, mut others) = (Vec::new(), Vec::new());
    for folder in folders()? {
        let name = folder.strip_prefix("components").unwrap_or(&folder).to_string_lossy().replace('\\', "/");
        let given = deliveries(&folder).map_err(|error| anyhow!("{name}: {error}"))?;
        if given.deliveries.is_empty() {
            others.push(name);
            continue;
        }
        eprintln!("{name}: {} requests of its tests, {TENANTS} tenants", given.deliveries.len());
        measured.push(channel(&name, given, data, cache).await.with_context(|| format!("measuring {name}"))?);
    }
    Ok((measured, others))
}

/// Folders of connectors: those with `testdata`.
fn folders() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for channel in std::fs::read_dir("components").context("run it in the project's folder")? {
        let channel = channel?.path();
        if !channel.is_dir() {
            continue;
        }
        for vendor in std::fs::read_dir(channel)? {
            let vendor = vendor?.path();
            if vendor.join("testdata").is_dir() {
                found.push(vendor);
            }
        }
    }
    found.sort();
    Ok(found)
}

async fn channel(name: &str, given: Deliveries, data: &Path, cache: &Path) -> Result<Channel> {
    let id = name.replace('/', "-");
    let tenants: Vec<String> = (0..TENANTS).map(|number| format!("t{number:04}")).collect();
    let settings: Map<String, Value> = tenants.iter().map(|tenant| (tenant.clone(), given.settings.clone())).collect();
    let tokens: Map<String, Value> = tenants.iter().map(|tenant| (tenant.clone(), json!(["bench-token"]))).collect();
    let mut options = Options::new("spin.toml");
    options.data_dir = data.join(format!("channel-{id}"));
    options.cache_dir = Some(cache.to_owned());
    options.variables = vec![
        (id.replace('-', "_"), Value::Object(settings).to_string()),
        ("api_tokens".into(), Value::Object(tokens).to_string()),
    ];
    // Who is asked is another program in reality; here it is the same process, and its work is in the figures.
    let fetches = !given.answers.is_empty();
    let elsewhere = if fetches { Some(elsewhere(given.answers.clone()).await?) } else { None };
    options.outbound_via = elsewhere.as_ref().map(|(address, _)| address.clone());
    let at = given.deliveries.first().map_or(0, |delivery| delivery.received_at);
    options.clock = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at)?));
    let host = tokio::task::spawn_blocking(move || Host::load(options)).await??;
    for tenant in &tenants {
        put_profile(&host, tenant, &given.profile).await?;
    }
    let mut starts = Vec::new();
    for _ in 0..500 {
        starts.push(host.time_to_start(&id).await?.as_secs_f64() * 1e6);
    }
    let (work, requests) = work(&host, name, &given, &tenants).await?;
    let before = events(&host).await?;
    let figures = run(&host, work).await;
    let events = events(&host).await?.saturating_sub(before);
    ensure!(figures.failures == 0, "{} requests were not accepted", figures.failures);
    host.close().await;
    if let Some((_, server)) = elsewhere {
        server.abort();
    }
    let bytes = std::fs::metadata(format!("target/components/{id}.wasm"))?.len();
    Ok(Channel {
        name: name.to_owned(),
        requests,
        fetches,
        figures,
        events,
        start: bench::figures::median(&starts),
        bytes,
    })
}

/// Answers for every host what the tests say: the address to send requests by, in absolute form and without TLS.
async fn elsewhere(answers: Vec<Answer>) -> Result<(String, tokio::task::JoinHandle<()>)> {
    let answers = Arc::new(answers);
    let played = axum::Router::new().fallback(move |asked: http::Uri| {
        let answers = Arc::clone(&answers);
        async move { play(&answers, &asked) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let serving = async move { axum::serve(listener, played).await.unwrap_or_default() };
    Ok((address, tokio::spawn(serving)))
}

fn play(answers: &[Answer], asked: &http::Uri) -> axum::response::Response {
    let bare = |url: &str| url.split_once("://").map_or(url, |(_, rest)| rest).to_owned();
    let wanted = bare(&asked.to_string());
    let found = answers.iter().find(|answer| bare(&answer.url) == wanted);
    let mut response = http::Response::builder().status(found.map_or(404, |answer| answer.status));
    for (name, value) in found.iter().flat_map(|answer| &answer.headers) {
        if name != "content-length" {
            response = response.header(name, value.as_slice());
        }
    }
    response.body(found.map(|answer| answer.body.clone()).unwrap_or_default().into()).unwrap_or_default()
}

async fn put_profile(host: &Host, tenant: &str, profile: &Value) -> Result<()> {
    let mut profile = profile.clone();
    if let Some(members) = profile.as_object_mut() {
        members.insert("tenant".into(), tenant.into());
    }
    let request = http::Request::put(format!("/api/{tenant}/profile"))
        .header("authorization", "Bearer bench-token")
        .header("content-type", "application/json")
        .body(profile.to_string().into())?;
    let answer = host.call(request).await?;
    ensure!(answer.status().is_success(), "the profile was answered {}", answer.status());
    Ok(())
}

/// The requests of all tenants but the first, which shows which of them are accepted: some stories refuse in the answer.
async fn work(host: &Host, name: &str, given: &Deliveries, tenants: &[String]) -> Result<(Vec<Request>, usize)> {
    let request = |tenant: &str, index: usize| -> Result<Request> {
        let delivery = given.deliveries.get(index).context("no such delivery")?;
        let mut request = http::Request::builder()
            .method(delivery.method.as_str())
            .uri(format!("/{name}/{tenant}{}", delivery.target));
        for (header, value) in &delivery.headers {
            request = request.header(header, value.as_slice());
        }
        Ok(request.body(delivery.body.clone().into())?)
    };
    let mut accepted = Vec::new();
    let (first, others) = tenants.split_first().context("no tenants")?;
    for index in 0..given.deliveries.len() {
        if host.call(request(first, index)?).await?.status().is_success() {
            accepted.push(index);
        }
    }
    ensure!(!accepted.is_empty(), "none of its tests' requests is accepted");
    let mut work = Vec::new();
    for tenant in others {
        for &index in &accepted {
            work.push(request(tenant, index)?);
        }
    }
    Ok((work, accepted.len()))
}

async fn run(host: &Host, work: Vec<Request>) -> Figures {
    let work = Arc::new(work);
    let next = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let workers: Vec<_> =
        (0..WORKERS).map(|_| tokio::spawn(worker(host.caller(), Arc::clone(&work), Arc::clone(&next)))).collect();
    let mut figures = Figures::default();
    for worker in workers {
        match worker.await {
            Ok(part) => figures.absorb(part),
            Err(_) => figures.failures += 1,
        }
    }
    figures.elapsed = begin.elapsed();
    figures
}

async fn worker(caller: Caller, work: Arc<Vec<Request>>, next: Arc<AtomicUsize>) -> Figures {
    let mut figures = Figures::default();
    while let Some(request) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
        let begin = Instant::now();
        match caller.call(request.clone()).await {
            Ok(answer) if answer.status().is_success() => figures.latencies.push(begin.elapsed()),
            _ => figures.failures += 1,
        }
    }
    figures
}

/// Events stored so far, of all tenants.
async fn events(host: &Host) -> Result<u64> {
    let answer = host.call(http::Request::get("/metrics").body(bytes::Bytes::new())?).await?;
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    let lines = text.lines().filter(|line| line.starts_with("ventanilla_stored_events{"));
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64)
}
