//! The host with a component that misbehaves on demand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests may")]

mod common;

use bytes::Bytes;
use common::{Folder, get, options, post};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};
use ventanilla_host::{Host, Options};

/// Serves on a port of its own while `test` runs on another thread, then stops and waits for the drain.
fn served(options: Options, test: impl FnOnce(SocketAddr) + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let host = Host::load(options).unwrap();
        let listener = host.bind().await.unwrap();
        let address = listener.local_addr().unwrap();
        let test = tokio::task::spawn_blocking(move || test(address));
        let (sender, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(host.serve_on(listener, Box::pin(async { drop(stopped.await) })));
        let result = test.await;
        drop(sender);
        server.await.unwrap().unwrap();
        result.unwrap();
    });
}

fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_gets_its_variables_environment_and_headers_and_no_more() {
    let folder = Folder::new();
    let host = Host::load(options(&folder, "environment = { A = \"1\" }")).unwrap();
    assert_eq!(get(&host, "/variable?v").await, (200, "<hi>".into()));
    let (status, undefined) = get(&host, "/variable?greeting").await;
    assert_eq!(status, 500, "{undefined}");
    assert_eq!(get(&host, "/environment").await.1, "A=1\nVENTANILLA_HOST=1\n");
    let request = http::Request::get("/headers")
        .header("spin-client-addr", "6.6.6.6")
        .header("ventanilla-quarantine", "trap")
        .header("x-bytes", http::HeaderValue::from_bytes(b"\xff").unwrap())
        .body(Bytes::new())
        .unwrap();
    let text = String::from_utf8(host.call(request).await.unwrap().body().to_vec()).unwrap();
    assert!(text.contains("x-bytes: [255]"), "{text}");
    assert!(!text.contains("quarantine"), "{text}");
    let client: Vec<&str> = text.lines().filter(|line| line.starts_with("spin-client-addr")).collect();
    assert_eq!(client, [format!("spin-client-addr: {:?}", b"127.0.0.1:0")]);
    let (status, fixed) = get(&host, "/fixed").await;
    assert_eq!((status, fixed.as_str()), (418, "fixed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_a_panic_and_a_memory_hog_hurt_only_themselves() {
    let folder = Folder::new();
    let mut options = options(&folder, "");
    options.limits.cpu = Duration::from_millis(300);
    options.limits.memory_bytes = 32 << 20;
    let host = Arc::new(Host::load(options).unwrap());
    let bad: Vec<_> = ["/loop", "/panic", "/memory", "/loop"]
        .into_iter()
        .map(|target| {
            let host = Arc::clone(&host);
            tokio::spawn(async move { get(&host, target).await })
        })
        .collect();
    for _ in 0..50 {
        assert_eq!(get(&host, "/hello").await, (200, "hello".into()));
    }
    for (task, expected) in bad.into_iter().zip([504, 500, 500, 504]) {
        let (status, text) = task.await.unwrap();
        assert_eq!(status, expected, "{text}");
        assert!(text.contains("\"type\":\"https://ventanilla.dev/problems/component-"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
    assert_eq!(get(&host, "/hello").await.0, 200);
    let metrics = get(&host, "/metrics").await.1;
    for line in [
        r#"ventanilla_failures_total{component="guest",kind="timeout"} 2"#,
        r#"ventanilla_failures_total{component="guest",kind="trap"} 1"#,
        r#"ventanilla_failures_total{component="guest",kind="memory"} 1"#,
        "ventanilla_requests_in_flight 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} not in {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_waits_too_long_is_stopped_and_reuse_goes_on() {
    let folder = Folder::new();
    let mut options = options(&folder, "");
    options.limits.wall = Duration::from_millis(200);
    let host = Host::load(options).unwrap();
    assert_eq!(get(&host, "/sleep?10").await, (200, "slept".into()));
    let start = Instant::now();
    assert_eq!(get(&host, "/sleep?60000").await.0, 504);
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(get(&host, "/hello").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_waits_very_often_uses_no_cpu_time_by_that() {
    let folder = Folder::new();
    let mut options = options(&folder, "");
    // Ten epochs; it waits for sixty, one by one.
    options.limits.cpu = Duration::from_millis(100);
    let host = Host::load(options).unwrap();
    assert_eq!(get(&host, "/naps?60").await, (200, "rested".into()));
    assert_eq!(get(&host, "/loop").await.0, 504);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_are_told_to_come_again() {
    let folder = Folder::new();
    let mut options = options(&folder, "");
    options.limits.concurrent_requests = 1;
    options.limits.queued_requests = 1;
    options.limits.queue_wait = Duration::from_secs(20);
    let host = Arc::new(Host::load(options).unwrap());
    let task = |target: &'static str| {
        let host = Arc::clone(&host);
        tokio::spawn(async move { get(&host, target).await.0 })
    };
    let first = task("/sleep?600");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let second = task("/hello");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let request = http::Request::get("/hello").body(Bytes::new()).unwrap();
    let third = host.call(request).await.unwrap();
    assert_eq!(third.status(), 503);
    assert_eq!(third.headers().get("retry-after").unwrap(), "2");
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (200, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_over_its_rate_is_told_so_and_others_are_not() {
    let folder = Folder::new();
    let mut options = options(&folder, "");
    options.limits.tenant_rate = Some(2);
    let host = Host::load(options).unwrap();
    // The first answer makes it a tenant that is known, with a rate of its own.
    assert_eq!(get(&host, "/hello").await.0, 200);
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let request = http::Request::get("/hello").body(Bytes::new()).unwrap();
        let answer = host.call(request).await.unwrap();
        if answer.status() == 429 {
            assert_eq!(answer.headers().get("retry-after").unwrap(), "2");
            assert_eq!(answer.headers().get("content-type").unwrap(), "application/problem+json");
        }
        statuses.push(answer.status().as_u16());
    }
    assert_eq!(statuses.first(), Some(&200));
    assert!(statuses.iter().filter(|status| **status == 429).count() > 10, "{statuses:?}");
    assert_eq!(get(&host, "/sleep?1").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let folder = Folder::new();
    let mut options = options(&folder, "");
    options.limits.body_bytes = 100_000;
    let host = Host::load(options).unwrap();
    assert_eq!(post(&host, "/echo", vec![0; 100_000]).await, (200, "100000".into()));
    assert_eq!(post(&host, "/echo", vec![0; 100_001]).await.0, 413);
}

#[test]
fn a_body_that_never_ends_is_given_up() {
    let folder = Folder::new();
    let mut options = options(&folder, "");
    options.limits.body_wait = Duration::from_millis(300);
    served(options, |address| {
        let answer = exchange(address, b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        let answer = exchange(address, b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"), "{answer}");
        let answer = exchange(address, b"GET /hello HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    });
}

#[test]
fn requests_in_flight_are_finished_when_the_host_stops() {
    let folder = Folder::new();
    let options = options(&folder, "");
    let (sender, received) = std::sync::mpsc::channel();
    served(options, move |address| {
        std::thread::spawn(move || {
            sender.send(exchange(address, b"GET /sleep?700 HTTP/1.1\r\nHost: x\r\n\r\n")).unwrap();
        });
        std::thread::sleep(Duration::from_millis(200));
    });
    let answer = received.recv().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("slept"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_with_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = Folder::new();
    let mut options = options(&folder, "");
    options.listen = taken.local_addr().unwrap().to_string();
    let port = taken.local_addr().unwrap().port();
    let error = Host::load(options).unwrap().bind().await.unwrap_err().to_string();
    assert!(error.contains(&format!("port {port} is in use")) && error.contains("--listen"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chosen_clock_is_what_components_see() {
    let folder = Folder::new();
    let mut options = options(&folder, "");
    options.clock = Some(UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let host = Host::load(options).unwrap();
    let seen: u64 = get(&host, "/clock").await.1.parse().unwrap();
    assert!((1_000_000_000..1_000_000_060).contains(&seen), "{seen}");
}

/// Answers every request with its first line.
fn mirror() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap();
            let line = String::from_utf8_lossy(&head[..length]).lines().next().unwrap_or_default().to_owned();
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{line}", line.len())
                .unwrap();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_hosts_are_reached_and_private_addresses_only_when_named() {
    let mirror = mirror();
    let port = mirror.port();
    let folder = Folder::new();
    let named =
        Host::load(options(&folder, &format!("allowed_outbound_hosts = [\"http://127.0.0.1:{port}\"]"))).unwrap();
    assert_eq!(get(&named, &format!("/fetch?http://127.0.0.1:{port}/a")).await.1, "200 GET /a HTTP/1.1");
    assert!(get(&named, &format!("/fetch?http://localhost:{port}/a")).await.1.contains("Denied"));
    let any = Host::load(options(&folder, "allowed_outbound_hosts = [\"*://*:*\"]")).unwrap();
    for target in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
    ] {
        let answer = get(&any, &format!("/fetch?{target}")).await.1;
        assert!(answer.contains("Prohibited"), "{target}: {answer}");
    }
    let none = Host::load(options(&folder, "")).unwrap();
    assert!(get(&none, &format!("/fetch?http://127.0.0.1:{port}/a")).await.1.contains("Denied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_outbound_goes_through_the_rehearsal_address_in_absolute_form() {
    let folder = Folder::new();
    let mut options = options(&folder, "allowed_outbound_hosts = [\"https://api.example.com\"]");
    options.outbound_via = Some(mirror().to_string());
    let host = Host::load(options).unwrap();
    let answer = get(&host, "/fetch?https://api.example.com/x?y=1").await.1;
    assert_eq!(answer, "200 GET https://api.example.com/x?y=1 HTTP/1.1");
    assert!(get(&host, "/fetch?https://other.example.com/").await.1.contains("Denied"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_inside_a_transaction_leaves_nothing_and_blocks_nobody() {
    let folder = Folder::new();
    let host = Host::load(options(&folder, "")).unwrap();
    assert_eq!(post(&host, "/sql", "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)").await.0, 200);
    assert_eq!(get(&host, "/begin-and-panic").await.0, 500);
    assert_eq!(get(&host, "/insert?kept").await.1, "Some([Value::Text(\"kept\")])");
    assert_eq!(post(&host, "/sql", "SELECT v FROM t").await.1, "[Value::Text(\"kept\")]\n");
    let (status, denied) = post(&host, "/sql?other", "SELECT 1").await;
    assert_eq!(status, 500);
    assert!(denied.contains("AccessDenied"), "{denied}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_compiled_component_is_compiled_again() {
    let folder = Folder::new();
    let mut options = options(&folder, "");
    let cache = folder.path().join("cache");
    options.cache_dir = Some(cache.clone());
    drop(Host::load(options.clone()).unwrap());
    let compiled: Vec<_> = std::fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "cwasm"))
        .collect();
    assert_eq!(compiled.len(), 1);
    let mut bytes = std::fs::read(&compiled[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&compiled[0], bytes).unwrap();
    let host = Host::load(options).unwrap();
    assert_eq!(get(&host, "/hello").await, (200, "hello".into()));
}
