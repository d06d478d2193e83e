//! A verified envelope is never forgotten: real gateway, real store, and a connector that fails while translating.
//! Needs `cargo xtask build` to have made the first two.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests may")]

mod common;

use bytes::Bytes;
use common::{Folder, build_guest, workspace};
use std::time::Duration;
use ventanilla_host::{Host, Options};

fn options(folder: &Folder) -> Options {
    let connector = build_guest("tests/connector", "wasm32-unknown-unknown", "failing_connector.wasm");
    let components = workspace().join("target/components").canonicalize().expect("run cargo xtask build first");
    let manifest = folder.path().join("spin.toml");
    let text = format!(
        r#"spin_manifest_version = 2
[application]
name = "test"
[[trigger.http]]
route = "/telephony/test/..."
component = "telephony-test"
[component.telephony-test]
source = {:?}
sqlite_databases = ["default"]
[component.telephony-test.variables]
settings = '{{"madrid": {{"public_url": "https://x.example/telephony/test/madrid", "allow_unsigned": true}}}}'
api_tokens = '{{"madrid": ["t"]}}'
[component.telephony-test.dependencies]
"ventanilla:channel/connector@1.0.0" = {{ path = {connector:?} }}
"ventanilla:store@1.0.0" = {{ path = {:?}, inherit_configuration = ["sqlite_databases"] }}
"#,
        components.join("gateway.wasm"),
        components.join("store-sqlite.wasm"),
    );
    std::fs::write(&manifest, text).unwrap();
    let mut options = Options::new(manifest);
    options.data_dir = folder.path().join("data");
    options.limits.cpu = Duration::from_millis(500);
    options.limits.memory_bytes = 64 << 20;
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_connector_fails_is_quarantined_and_acknowledged() {
    let folder = Folder::new();
    let host = Host::load(options(&folder)).unwrap();
    let bodies = ["trap", "fine", "timeout", "memory", "fine too"];
    for (body, status) in bodies.into_iter().zip([202, 200, 202, 202, 200]) {
        let request = http::Request::post("/telephony/test/madrid").body(Bytes::from_static(body.as_bytes())).unwrap();
        let answer = host.call(request).await.unwrap();
        assert_eq!(answer.status(), status, "{body}: {answer:?}");
    }
    host.close().await;
    let store = rusqlite::Connection::open(folder.path().join("data/default.sqlite")).unwrap();
    let mut statement = store.prepare("SELECT disposition, reason FROM envelopes ORDER BY seq").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))).unwrap();
    let stored: Vec<(String, Option<String>)> = rows.map(Result::unwrap).collect();
    let quarantined: Vec<bool> = stored.iter().map(|(disposition, _)| disposition == "quarantined").collect();
    assert_eq!(quarantined, [true, false, true, true, false], "{stored:?}");
    for (row, word) in [(0, "trap"), (2, "timeout"), (3, "memory")] {
        assert!(stored[row].1.as_ref().is_some_and(|reason| reason.contains(word)), "{stored:?}");
    }
}
