//! Key-value pairs: what is answered is on the disk, limits are errors, and only whom the manifest names may have them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may")]

mod common;

use common::{Folder, get, options};
use std::{path::Path, sync::Arc};
use ventanilla_host::{
    Host,
    key_value::{FILE, Pairs},
    metrics::Metrics,
};

fn open(folder: &Path, bytes: u64) -> anyhow::Result<Pairs> {
    Pairs::open(folder, bytes, &Arc::new(Metrics::default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_writers_keep_at_once_is_on_the_disk_when_they_are_told() {
    let folder = Folder::new();
    let pairs = open(folder.path(), 1 << 30).unwrap();
    let writers: Vec<_> = (0..200_u32)
        .map(|n| {
            let pairs = pairs.clone();
            tokio::spawn(async move { pairs.set(&format!("k{n:03}"), n.to_be_bytes().to_vec()).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    // As another process sees it, while this one has said goodbye to nobody.
    let file = rusqlite::Connection::open(folder.path().join(FILE)).unwrap();
    let found: u32 = file.query_row("SELECT count(*) FROM pairs", [], |row| row.get(0)).unwrap();
    assert_eq!(found, 200);
    let again = open(folder.path(), 1 << 30).unwrap();
    assert_eq!(again.get("k007").await.unwrap(), Some(7_u32.to_be_bytes().to_vec()));
    let keys = again.keys().await.unwrap();
    assert_eq!((keys.len(), keys[0].as_str(), keys.is_sorted()), (200, "k000", true));
}

#[tokio::test]
async fn a_value_is_replaced_and_forgotten() {
    let folder = Folder::new();
    let pairs = open(folder.path(), 1 << 30).unwrap();
    pairs.set("a", b"1".to_vec()).await.unwrap();
    pairs.set("a", vec![0, 255]).await.unwrap();
    assert_eq!(pairs.get("a").await.unwrap(), Some(vec![0, 255]));
    pairs.set("empty", Vec::new()).await.unwrap();
    assert_eq!((pairs.get("empty").await.unwrap(), pairs.exists("empty").await.unwrap()), (Some(Vec::new()), true));
    pairs.delete("a").await.unwrap();
    pairs.delete("never was").await.unwrap();
    assert_eq!((pairs.get("a").await.unwrap(), pairs.exists("a").await.unwrap()), (None, false));
}

#[tokio::test]
async fn what_is_over_a_limit_is_refused_and_changes_nothing() {
    let folder = Folder::new();
    let pairs = open(folder.path(), 2 << 20).unwrap();
    for (key, value, why) in
        [("", 1, "1 to 1024 bytes"), (&"k".repeat(1025), 1, "1025"), ("k", (1 << 20) + 1, "pieces")]
    {
        let error = pairs.set(key, vec![0; value]).await.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    pairs.set("first", vec![1; 1 << 20]).await.unwrap();
    let error = pairs.set("second", vec![2; 1 << 20]).await.unwrap_err();
    assert!(error.contains("full"), "{error}");
    assert_eq!(pairs.keys().await.unwrap(), ["first"]);
    pairs.delete("first").await.unwrap();
    pairs.set("second", vec![2; 1 << 20]).await.unwrap();
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let folder = Folder::new();
    std::fs::write(folder.path().join(FILE), "no database, but long enough to look like one".repeat(40)).unwrap();
    let error = format!("{:#}", open(folder.path(), 1 << 20).err().unwrap());
    assert!(error.contains(FILE) && error.contains("not a database"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_has_the_pairs_the_manifest_gives_it_and_no_others() {
    let folder = Folder::new();
    let host = Host::load(options(&folder, "key_value_stores = [\"default\"]")).unwrap();
    assert_eq!(get(&host, "/key-value?default/set/a=1").await, (200, "set".into()));
    assert_eq!(get(&host, "/key-value?default/set/b=2").await, (200, "set".into()));
    assert_eq!(get(&host, "/key-value?default/get/a").await, (200, "Some(\"1\")".into()));
    assert_eq!(get(&host, "/key-value?default/exists/c").await, (200, "false".into()));
    assert_eq!(get(&host, "/key-value?default/keys/").await, (200, "a b".into()));
    assert_eq!(get(&host, "/key-value?default/delete/a").await, (200, "deleted".into()));
    assert_eq!(get(&host, "/key-value?default/get/a").await, (200, "None".into()));
    let (status, text) = get(&host, "/key-value?other/keys/").await;
    assert!(status == 500 && text.contains("AccessDenied"), "{text}");
    host.close().await;
    // It may import the interface and still have nothing.
    let without = Host::load(options(&Folder::new(), "")).unwrap();
    let (status, text) = get(&without, "/key-value?default/keys/").await;
    assert!(status == 500 && text.contains("AccessDenied"), "{text}");
}
