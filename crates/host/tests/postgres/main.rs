//! `spin:postgres` against a real server: what a guest does to its connection never reaches the next one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests may")]

#[path = "../common/mod.rs"]
mod common;
mod server;

use common::{Folder, get, options, post};
use server::{PASSWORD, Server};
use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use ventanilla_host::{Host, Limits};

/// One for all tests of a run; a table of its own for each.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

/// A host whose guest may reach the server, with a pool of its own.
fn host(folder: &Folder, change: impl FnOnce(&mut Limits)) -> Arc<Host> {
    let port = server().port;
    let hosts = format!("allowed_outbound_hosts = [\"postgres://127.0.0.1:{port}\", \"postgres://localhost:{port}\"]");
    let mut options = options(folder, &hosts);
    change(&mut options.limits);
    Arc::new(Host::load(options).unwrap())
}

/// What the guest tells of its steps.
async fn steps(host: &Host, steps: &[&str]) -> (u16, String) {
    post(host, "/postgres", format!("{}\n%%\n%%\n{}", server().address(""), steps.join("\n"))).await
}

async fn told(host: &Host, list: &[&str]) -> String {
    let (status, text) = steps(host, list).await;
    assert_eq!(status, 200, "{text}");
    text
}

/// A number of the host's metrics.
async fn metric(host: &Host, name: &str) -> u64 {
    let metrics = get(host, "/metrics").await.1;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")).map(ToOwned::to_owned));
    line.unwrap_or_else(|| panic!("{name} not in {metrics}")).parse().unwrap()
}

/// Connections are cleaned after the answer.
async fn settled(host: &Host) {
    for _ in 0..200 {
        if metric(host, "ventanilla_postgres_in_use").await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a connection never came back");
}

async fn count(table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    server().administrator().await.query_one(&sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_value_reaches_the_server_as_it_is_and_comes_back() {
    let folder = Folder::new();
    let (status, text) = post(&host(&folder, |_| {}), "/postgres-types", server().address("")).await;
    assert_eq!(status, 200, "{text}");
    // Kind, value as the guest sees it, value as the server writes it.
    let expected = r#"
boolean DbDataType::Boolean DbValue::Boolean(true) true
"char" DbDataType::Other("char") DbValue::Unsupported([65]) A
smallint DbDataType::Int16 DbValue::Int16(-2) -2
integer DbDataType::Int32 DbValue::Int32(-2147483648) -2147483648
bigint DbDataType::Int64 DbValue::Int64(9223372036854775807) 9223372036854775807
real DbDataType::Floating32 DbValue::Floating32(1.5) 1.5
double precision DbDataType::Floating64 DbValue::Floating64(-0.1) -0.1
text DbDataType::Str DbValue::Str("ñ 'quoted' 📞") ñ 'quoted' 📞
varchar(9) DbDataType::Str DbValue::Str("nine") nine
bytea DbDataType::Binary DbValue::Binary([0, 1, 255]) \x0001ff
date DbDataType::Date DbValue::Date((2026, 11, 22)) 2026-11-22
time DbDataType::Time DbValue::Time((23, 59, 58, 123456000)) 23:59:58.123456
timestamp DbDataType::Datetime DbValue::Datetime((1999, 12, 31, 23, 59, 59, 999999000)) 1999-12-31 23:59:59.999999
timestamptz DbDataType::Datetime DbValue::Datetime((2026, 11, 22, 0, 0, 0, 0)) 2026-11-22 00:00:00+00
uuid DbDataType::Uuid DbValue::Uuid("0193511c-7a1b-7000-8000-0000000000ab") 0193511c-7a1b-7000-8000-0000000000ab
jsonb DbDataType::Jsonb DbValue::Jsonb([123, 34, 97, 34, 58, 32, 91, 49, 44, 32, 110, 117, 108, 108, 93, 125]) {"a": [1, null]}
numeric DbDataType::Decimal DbValue::Decimal("-12345678901234567890.0500") -12345678901234567890.0500
int4range DbDataType::RangeInt32 DbValue::RangeInt32((Some((1, RangeBoundKind::Inclusive)), Some((5, RangeBoundKind::Exclusive)))) [1,5)
int8range DbDataType::RangeInt64 DbValue::RangeInt64((None, Some((7, RangeBoundKind::Exclusive)))) (,7)
numrange DbDataType::RangeDecimal DbValue::RangeDecimal((Some(("0.5", RangeBoundKind::Exclusive)), Some(("99.25", RangeBoundKind::Inclusive)))) (0.5,99.25]
int4range DbDataType::RangeInt32 DbValue::RangeInt32((Some((0, RangeBoundKind::Exclusive)), Some((0, RangeBoundKind::Exclusive)))) empty
integer[] DbDataType::ArrayInt32 DbValue::ArrayInt32([Some(1), None, Some(-3)]) {1,NULL,-3}
bigint[] DbDataType::ArrayInt64 DbValue::ArrayInt64([]) {}
numeric[] DbDataType::ArrayDecimal DbValue::ArrayDecimal([Some("1.50"), None]) {1.50,NULL}
text[] DbDataType::ArrayStr DbValue::ArrayStr([Some("a,b"), None, Some("")]) {"a,b",NULL,""}
interval DbDataType::Interval DbValue::Interval(Interval { micros: 1500000, days: -2, months: 14 }) 1 year 2 mons -2 days +00:00:01.5
text DbDataType::Str DbValue::DbNull DbValue::DbNull
"#;
    for (found, expected) in text.lines().zip(expected.trim_start().lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(text.lines().count(), expected.trim().lines().count());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_an_error_that_says_why_and_the_connection_goes_on() {
    let folder = Folder::new();
    let host = host(&folder, |_| {});
    let text = told(
        &host,
        &[
            "bind SELECT $1::bigint",
            "bind SELECT $1::inet",
            "bind SELECT 1",
            "query SELECT 1; SELECT 2",
            "execute COPY (SELECT 1) TO STDOUT",
            "query SELECT 'infinity'::timestamp AS moment",
            "query SELECT '10.0.0.1'::inet AS a",
            "execute SELECT no_such_column",
            "query SELECT 7 AS n WHERE false",
            "query SELECT 7 AS n",
        ],
    )
    .await;
    let lines: Vec<&str> = text.lines().collect();
    for (line, parts) in lines.iter().zip([
        &["BadParameter", "parameter $1", "int32", "int8", "$1::integer"][..],
        &["BadParameter", "int32", "inet"],
        &["BadParameter", "0 parameters", "1 values"],
        &["DbError", "42601", "multiple commands"],
        &["COPY is not supported"],
        &["ValueConversionFailed", "moment", "timestamp"],
        &["a:DbDataType::Other(\"inet\") | DbValue::Unsupported([2, 32, 0, 4, 10, 0, 0, 1])"],
        &["42703", "no_such_column", "(\"routine\","],
        &["n:DbDataType::Int32"],
        &["n:DbDataType::Int32 | DbValue::Int32(7)"],
    ]) {
        parts.iter().for_each(|part| assert!(line.contains(part), "{part} not in {line}"));
    }
    assert_eq!(lines.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_listed_is_refused_by_name() {
    let port = server().port;
    let folder = Folder::new();
    let nobody = Host::load(options(&folder, "")).unwrap();
    let (_, text) = steps(&nobody, &["query SELECT 1"]).await;
    for part in ["ConnectionFailed", &format!("postgres://127.0.0.1:{port}"), "allowed_outbound_hosts"] {
        assert!(text.contains(part), "{part} not in {text}");
    }
    assert!(
        get(&nobody, "/metrics").await.1.contains(r#"ventanilla_outbound_total{component="guest",result="denied"} 1"#)
    );
    let other =
        Host::load(options(&folder, &format!("allowed_outbound_hosts = [\"https://127.0.0.1:{port}\"]"))).unwrap();
    assert!(steps(&other, &["query SELECT 1"]).await.1.contains("not permitted"));
    // Everything public is not this machine.
    let any = Host::load(options(&folder, "allowed_outbound_hosts = [\"*://*:*\"]")).unwrap();
    let text = steps(&any, &["query SELECT 1"]).await.1;
    assert!(text.contains("can't connect") && !text.contains("Int32"), "{text}");
    let (_, text) = post(&any, "/postgres", "postgres://u@[::ffff:127.0.0.1]/x\n%%\n%%\nquery SELECT 1").await;
    assert!(text.starts_with("open: "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_inside_a_transaction_is_rolled_back_before_the_next_request_writes() {
    let folder = Folder::new();
    // One connection: whoever comes next gets the very same.
    let host = host(&folder, |limits| {
        limits.postgres.connections = 1;
        limits.wall = Duration::from_secs(2);
    });
    told(&host, &["execute CREATE TABLE trapped(v TEXT)"]).await;
    for (leaving, status) in [
        (&["execute BEGIN", "execute INSERT INTO trapped VALUES ('lost')", "panic"][..], 500),
        (&["execute /* x */ start transaction", "execute INSERT INTO trapped VALUES ('lost')"], 200),
        (&["execute BEGIN", "execute INSERT INTO trapped VALUES ('lost')", "sleep 60000"], 504),
        (&["execute BEGIN", "execute SELECT 1/0"], 200),
        (&["execute BEGIN", "execute COMMIT AND CHAIN", "execute INSERT INTO trapped VALUES ('lost')"], 200),
    ] {
        let (found, text) = steps(&host, leaving).await;
        assert_eq!(found, status, "{text}");
        assert_eq!(
            told(&host, &["execute INSERT INTO trapped VALUES ('kept')"]).await,
            "1 rows\n",
            "after {leaving:?}"
        );
    }
    assert_eq!(count("trapped").await, 5, "as another connection sees it");
    assert_eq!(count("trapped WHERE v = 'lost'").await, 0);
    settled(&host).await;
    assert_eq!(count("pg_stat_activity WHERE state LIKE 'idle in transaction%' AND query LIKE '%trapped%'").await, 0);
    assert_eq!(metric(&host, "ventanilla_postgres_opened_total").await, 1, "rolled back, not replaced");
    drop(host);
    assert_eq!(count("trapped").await, 5, "and after the host is gone");
    assert!(!server().log().contains("no transaction in progress"), "a rollback is sent only where it may be needed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_guest_sets_locks_and_makes_no_other_guest_has() {
    let folder = Folder::new();
    let host = host(&folder, |limits| limits.postgres.connections = 1);
    let first = told(
        &host,
        &[
            "query SELECT pg_backend_pid() AS p",
            "execute SET search_path = pg_catalog",
            "query SELECT set_config('ventanilla.tenant', 'madrid', false) AS c",
            "execute SELECT pg_advisory_lock(4711)",
            "execute CREATE TEMPORARY TABLE mine(v TEXT)",
            "execute SET ROLE pg_monitor",
            "execute DECLARE c CURSOR WITH HOLD FOR SELECT 1",
            "execute LISTEN something",
        ],
    )
    .await;
    assert!(!first.contains("error"), "{first}");
    let second = told(
        &host,
        &[
            "query SELECT pg_backend_pid() AS p",
            "query SELECT current_setting('ventanilla.tenant', true) AS t, current_setting('search_path') AS s",
            "query SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory'",
            "query SELECT to_regclass('pg_temp.mine') IS NULL AS gone",
            "query SELECT current_user::text AS u",
            "query SELECT count(*) AS n FROM pg_cursors WHERE name <> ''",
            "query SELECT count(*) AS n FROM pg_listening_channels()",
        ],
    )
    .await;
    let lines: Vec<&str> = second.lines().collect();
    assert_eq!(first.lines().next(), lines.first().copied(), "the same connection");
    for (line, value) in lines[1..].iter().zip([
        "DbValue::Str(\"\") DbValue::Str(\"\\\"$user\\\", public\")",
        "Int64(0)",
        "Boolean(true)",
        "Str(\"tester\")",
        "Int64(0)",
        "Int64(0)",
    ]) {
        assert!(line.contains(value), "{value} not in {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_put_in_the_place_of_a_prepared_one_is_nobody_else_s() {
    let folder = Folder::new();
    let host = host(&folder, |limits| limits.postgres.connections = 1);
    let victim = ["query SELECT 'right'::text AS answer"];
    assert!(told(&host, &victim).await.contains("right"));
    let name: String =
        told(&host, &["query SELECT name FROM pg_prepared_statements WHERE statement LIKE '%right%' AND statement NOT LIKE '%prepared%'"]).await;
    let name = name.split('"').nth(1).unwrap_or_else(|| panic!("{name}")).to_owned();
    let text = told(
        &host,
        &[&format!("execute DEALLOCATE {name}"), &format!("execute PREPARE {name} AS SELECT 'wrong'::text AS answer")],
    )
    .await;
    assert!(!text.contains("error"), "{text}");
    assert!(told(&host, &victim).await.contains("right"));
    settled(&host).await;
    assert_eq!(metric(&host, "ventanilla_postgres_discarded_total").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_cut_is_replaced() {
    let folder = Folder::new();
    let host = host(&folder, |limits| limits.postgres.connections = 2);
    let administrator = server().administrator().await;
    // A connection that is being cleaned is active too.
    let cut = async |state: &str| {
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE application_name = 'cut' AND state = '{state}' AND (state = 'idle' OR query LIKE '%pg_sleep%')"
        );
        let row = administrator.query_one(&sql, &[]).await.unwrap();
        row.get::<_, i64>(0)
    };
    let address = server().address("application_name=cut");
    let query = async |sql: &str| post(&host, "/postgres", format!("{address}\n%%\n%%\nquery {sql}")).await.1;
    assert!(query("SELECT 1 AS a").await.contains("Int32(1)"));
    settled(&host).await;
    assert_eq!(cut("idle").await, 1);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(query("SELECT 2 AS a").await.contains("Int32(2)"), "an idle one is replaced unseen");
    settled(&host).await;
    let sleeper = tokio::spawn({
        let (host, address) = (Arc::clone(&host), address.clone());
        let body = format!("{address}\n%%\n%%\nquery SELECT pg_sleep(30)\nquery SELECT 1");
        async move { post(&host, "/postgres", body).await.1 }
    });
    for _ in 0..180 {
        if cut("active").await == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let text = sleeper.await.unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("57P01"), "one in use tells what happened: {text}");
    assert!(lines[1].contains("ConnectionFailed") && lines[1].contains("open another"), "{text}");
    assert!(query("SELECT 3 AS a").await.contains("Int32(3)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_connections_are_in_use_the_next_guest_is_told_in_time() {
    let folder = Folder::new();
    let host = host(&folder, |limits| {
        limits.postgres.connections = 1;
        limits.postgres.wait = Duration::from_millis(300);
    });
    let holder = tokio::spawn({
        let host = Arc::clone(&host);
        async move { told(&host, &["query SELECT 1 AS a", "sleep 1500", "query SELECT 2 AS a"]).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let start = Instant::now();
    let text = told(&host, &["query SELECT 1 AS a"]).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    for part in ["ConnectionFailed", "all 1 connections", "300 ms", "--postgres-connections"] {
        assert!(text.contains(part), "{part} not in {text}");
    }
    assert!(!text.contains(PASSWORD), "{text}");
    assert!(holder.await.unwrap().contains("Int32(2)"));
    assert!(told(&host, &["query SELECT 3 AS a"]).await.contains("Int32(3)"));
    // Waiting is fair and short: forty guests, one connection.
    let many: Vec<_> = (0..40)
        .map(|_| {
            let host = Arc::clone(&host);
            tokio::spawn(async move { told(&host, &["query SELECT 4 AS a"]).await })
        })
        .collect();
    for one in many {
        assert!(one.await.unwrap().contains("Int32(4)"));
    }
    settled(&host).await;
    for (name, value) in [("waiting", 0), ("idle", 1), ("opened_total", 1), ("discarded_total", 0)] {
        assert_eq!(metric(&host, &format!("ventanilla_postgres_{name}")).await, value, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_is_cancelled_on_the_server() {
    let folder = Folder::new();
    let host = host(&folder, |limits| limits.postgres.statement = Duration::from_millis(300));
    let start = Instant::now();
    let text = told(&host, &["query SELECT pg_sleep(31)", "query SELECT 1 AS a"]).await;
    assert!(start.elapsed() < Duration::from_secs(3));
    assert!(text.contains("took longer than 300 ms"), "{text}");
    assert!(text.lines().nth(1).unwrap().contains("open another"), "{text}");
    assert!(told(&host, &["query SELECT 5 AS a"]).await.contains("Int32(5)"));
    settled(&host).await;
    assert_eq!(count("pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(31)%'").await, 0);
    assert_eq!(metric(&host, "ventanilla_postgres_discarded_total").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_runs_out_of_time_leaves_no_statement_running() {
    let folder = Folder::new();
    let host = host(&folder, |limits| limits.wall = Duration::from_millis(500));
    assert_eq!(steps(&host, &["query SELECT pg_sleep(32)"]).await.0, 504);
    settled(&host).await;
    assert_eq!(count("pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(32)%'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_may_change_while_its_statements_are_prepared() {
    let folder = Folder::new();
    let host = host(&folder, |limits| limits.postgres.connections = 1);
    told(&host, &["execute CREATE TABLE changing(a INTEGER)", "execute INSERT INTO changing VALUES (1)"]).await;
    let query = ["query SELECT * FROM changing"];
    assert_eq!(told(&host, &query).await, "a:DbDataType::Int32 | DbValue::Int32(1)\n");
    server().administrator().await.batch_execute("ALTER TABLE changing ADD b TEXT DEFAULT 'new'").await.unwrap();
    let changed = "a:DbDataType::Int32 b:DbDataType::Str | DbValue::Int32(1) DbValue::Str(\"new\")\n";
    assert_eq!(told(&host, &query).await, changed);
    assert_eq!(told(&host, &["execute DEALLOCATE ALL", query[0]]).await, format!("0 rows\n{changed}"));
    assert_eq!(metric(&host, "ventanilla_postgres_opened_total").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_beyond_the_bounds_is_refused() {
    let folder = Folder::new();
    let host = host(&folder, |limits| {
        limits.postgres.rows = 100;
        limits.postgres.bytes = 100_000;
    });
    for (sql, fits) in [
        ("SELECT g FROM generate_series(1, 100) g", true),
        ("SELECT g FROM generate_series(1, 101) g", false),
        ("SELECT repeat('x', 1000) FROM generate_series(1, 99) g", true),
        ("SELECT repeat('x', 1100) FROM generate_series(1, 99) g", false),
        ("SELECT 1 FROM generate_series(1, 9999) a, generate_series(1, 9999) b", false),
    ] {
        let text = told(&host, &[&format!("query {sql}")]).await;
        assert_eq!(!text.contains("larger than 100 rows or 100000 bytes"), fits, "{sql}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_needs_an_authority_that_is_trusted_and_a_name_that_fits() {
    let folder = Folder::new();
    let host = host(&folder, |_| {});
    let ask = "query SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let open =
        async |address: String, ca: &str| post(&host, "/postgres", format!("{address}\n%%\n{ca}%%\n{ask}")).await.1;
    let ca = server().ca();
    let encrypted = server().encrypted("");
    assert!(open(encrypted.clone(), &ca).await.contains("Boolean(true)"), "with the authority's certificate");
    let bound = open(server().encrypted("&channel_binding=require"), &ca).await;
    assert!(bound.contains("Boolean(true)"), "bound to the certificate (RFC 5929): {bound}");
    let text = open(encrypted.clone(), "").await;
    for part in ["ConnectionFailed", "UnknownIssuer", "authority"] {
        assert!(text.contains(part), "without it: {part} not in {text}");
    }
    let text = open(encrypted.replace("localhost", "127.0.0.1"), &ca).await;
    assert!(text.starts_with("open: ") && text.contains("invalid peer certificate"), "the name is another: {text}");
    let text = open(encrypted.replace("sslmode=require", "sslmode=prefer"), "").await;
    assert!(text.contains("UnknownIssuer"), "prefer does not fall back to an unverified server: {text}");
    assert!(open(server().address(""), "").await.contains("Boolean(false)"), "sslmode=disable");
    let text = open(encrypted, "no certificate\n").await;
    assert!(text.starts_with("open: ") && text.contains("invalid root certificate"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_can_t_be_used_is_told_without_the_password() {
    let folder = Folder::new();
    let host = host(&folder, |limits| limits.postgres.connect = Duration::from_millis(500));
    let address = server().address("");
    for (address, part) in [
        (address.replace(PASSWORD, "wrong-sesame"), "password authentication failed"),
        (address.replace("dbname=postgres", "dbname=nowhere"), "\\\"nowhere\\\" does not exist"),
        (format!("{address} target_session_attrs=read-only"), "target_session_attrs"),
        (format!("{address} port=x"), "can't be used"),
    ] {
        let (_, text) = post(&host, "/postgres", format!("{address}\n%%\n%%\nquery SELECT 1")).await;
        assert!(text.starts_with("open: ") && text.contains(part), "{part} not in {text}");
        assert!(!text.contains("sesame"), "{text}");
    }
    // Somebody who accepts and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let other = Folder::new();
    let mut silent_options = options(&other, &format!("allowed_outbound_hosts = [\"postgres://127.0.0.1:{port}\"]"));
    silent_options.limits.postgres.connect = Duration::from_millis(300);
    let host = Host::load(silent_options).unwrap();
    let start = Instant::now();
    let (_, text) = post(&host, "/postgres", format!("host=127.0.0.1 port={port} user=u\n%%\n%%\n")).await;
    assert!(text.contains("no answer within 300 ms") && start.elapsed() < Duration::from_secs(3), "{text}");
}
