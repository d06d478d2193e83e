//! Group commit: what is answered is stored, and one statement's trouble is nobody else's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may")]

mod common;

use common::Folder;
use std::{sync::Arc, time::Duration};
use ventanilla_host::{
    metrics::Metrics,
    sqlite::{Database, Handle, Rows, SqlError, SqlValue},
};

struct Fixture {
    folder: Folder,
    database: Arc<Database>,
    metrics: Arc<Metrics>,
}

fn fixture() -> Fixture {
    let folder = Folder::new();
    let metrics = Arc::new(Metrics::default());
    let database = Database::open("default", &folder.path().join("default.sqlite"), &metrics).unwrap();
    Fixture { folder, database, metrics }
}

impl Fixture {
    fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.database))
    }

    async fn run(&self, sql: &str) -> Result<Rows, SqlError> {
        self.handle().execute(sql.into(), Vec::new()).await
    }

    /// As another process sees it.
    fn stored(&self) -> Vec<String> {
        let connection = rusqlite::Connection::open(self.folder.path().join("default.sqlite")).unwrap();
        let mut statement = connection.prepare("SELECT v FROM t ORDER BY v").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Runs statements so that they are certainly committed together: a transaction keeps the writer busy until all wait.
    async fn together(&self, statements: &[&str]) -> Vec<Result<Rows, SqlError>> {
        let blocker = self.handle();
        blocker.execute("BEGIN IMMEDIATE".into(), Vec::new()).await.unwrap();
        let waiting: Vec<_> = statements
            .iter()
            .map(|sql| {
                let answer = self.handle().execute((*sql).into(), Vec::new());
                tokio::spawn(answer)
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(waiting.iter().all(|task| !task.is_finished()), "nothing is answered before its commit");
        blocker.execute("COMMIT".into(), Vec::new()).await.unwrap();
        let mut results = Vec::new();
        for task in waiting {
            results.push(task.await.unwrap());
        }
        results
    }
}

#[tokio::test]
async fn concurrent_writes_share_commits_and_all_are_stored() {
    let fixture = fixture();
    fixture.run("CREATE TABLE t(v TEXT)").await.unwrap();
    let sql: Vec<String> = (0..200).map(|n| format!("INSERT INTO t VALUES ('{n:03}') RETURNING v")).collect();
    let sql: Vec<&str> = sql.iter().map(String::as_str).collect();
    for (n, result) in fixture.together(&sql).await.into_iter().enumerate() {
        let rows = result.unwrap().rows;
        assert!(
            matches!(&rows[0].values[0], SqlValue::Text(text) if *text == format!("{n:03}")),
            "each gets its own row back"
        );
    }
    assert_eq!(fixture.stored().len(), 200);
    let metrics = fixture.metrics.render();
    assert!(
        metrics.contains(r#"ventanilla_sqlite_commit_statements_bucket{database="default",le="128"} 1"#),
        "{metrics}"
    );
    assert!(metrics.contains(r#"ventanilla_sqlite_commit_statements_sum{database="default"} 201"#), "{metrics}");
}

#[tokio::test]
async fn a_statement_that_fails_fails_alone_however_it_fails() {
    let fixture = fixture();
    for sql in [
        "CREATE TABLE t(v TEXT UNIQUE)",
        "CREATE TABLE parent(id INTEGER PRIMARY KEY)",
        "CREATE TABLE child(p INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TABLE poison(x)",
        "CREATE TRIGGER rolls_back BEFORE INSERT ON poison BEGIN SELECT RAISE(ROLLBACK, 'poisoned'); END",
    ] {
        fixture.run(sql).await.unwrap();
    }
    for (bad, why) in [
        ("INSERT INTO t VALUES ('a0')", "UNIQUE"),
        ("INSERT INTO poison VALUES (1)", "poisoned"),
        ("INSERT INTO child VALUES (99)", "FOREIGN KEY"),
        ("INSERT INTO nowhere VALUES (1)", "no such table"),
    ] {
        fixture.run("DELETE FROM t").await.unwrap();
        let results = fixture
            .together(&[
                "INSERT INTO t VALUES ('a0')",
                "INSERT INTO t VALUES ('a1')",
                bad,
                "INSERT INTO t VALUES ('a2')",
            ])
            .await;
        let failed: Vec<bool> = results.iter().map(Result::is_err).collect();
        assert_eq!(failed, [false, false, true, false], "{bad}");
        let error = results[2].as_ref().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert_eq!(fixture.stored(), ["a0", "a1", "a2"], "{bad}");
    }
}

#[tokio::test]
async fn a_full_database_is_told_and_small_writes_before_it_stay() {
    let fixture = fixture();
    fixture.run("CREATE TABLE t(v TEXT)").await.unwrap();
    fixture.run("PRAGMA max_page_count = 10").await.unwrap();
    let results = fixture
        .together(&[
            "INSERT INTO t VALUES ('small')",
            "INSERT INTO t VALUES (hex(randomblob(500000)))",
            "INSERT INTO t VALUES ('tiny')",
        ])
        .await;
    assert!(results[0].is_ok() && results[2].is_ok());
    assert_eq!(results[1].as_ref().unwrap_err().to_string(), "the disk of the database is full");
    assert_eq!(fixture.stored(), ["small", "tiny"]);
}

#[tokio::test]
async fn a_transaction_is_its_handles_own_and_rolled_back_when_the_handle_is_dropped() {
    let fixture = fixture();
    fixture.run("CREATE TABLE t(v TEXT)").await.unwrap();
    let handle = fixture.handle();
    handle.execute("BEGIN".into(), Vec::new()).await.unwrap();
    handle.execute("INSERT INTO t VALUES ('a')".into(), Vec::new()).await.unwrap();
    assert_eq!((handle.changes(), handle.last_insert_rowid()), (1, 1));
    let own = handle.execute("SELECT v FROM t".into(), Vec::new()).await.unwrap();
    assert_eq!(own.rows.len(), 1, "it sees what it wrote");
    assert!(fixture.run("SELECT v FROM t").await.unwrap().rows.is_empty(), "others do not");
    drop(handle);
    fixture.run("INSERT INTO t VALUES ('b')").await.unwrap();
    assert_eq!(fixture.stored(), ["b"]);
    let handle = fixture.handle();
    for sql in ["BEGIN", "INSERT INTO t VALUES ('c')", "COMMIT"] {
        handle.execute(sql.into(), Vec::new()).await.unwrap();
    }
    assert_eq!(fixture.stored(), ["b", "c"]);
    assert!(handle.execute("COMMIT".into(), Vec::new()).await.is_err());
}

#[tokio::test]
async fn several_statements_in_one_text_and_a_wrong_number_of_parameters_are_refused() {
    let fixture = fixture();
    fixture.run("CREATE TABLE t(v TEXT)").await.unwrap();
    let error = fixture.run("INSERT INTO t VALUES ('a'); INSERT INTO t VALUES ('b')").await.unwrap_err().to_string();
    assert!(error.contains("one by one"), "{error}");
    assert!(fixture.stored().is_empty());
    assert!(fixture.handle().execute("SELECT ?1".into(), Vec::new()).await.is_err());
    let rows = fixture
        .handle()
        .execute("SELECT ?1, ?2".into(), vec![SqlValue::Null, SqlValue::Blob(vec![0, 255])])
        .await
        .unwrap();
    assert!(matches!(rows.rows[0].values.as_slice(), [SqlValue::Null, SqlValue::Blob(bytes)] if *bytes == [0, 255]));
}

#[tokio::test]
async fn a_query_that_writes_goes_to_the_writer_and_durability_settings_stay() {
    let fixture = fixture();
    fixture.run("CREATE TABLE t(v TEXT)").await.unwrap();
    fixture.run("WITH x(v) AS (VALUES ('w')) INSERT INTO t SELECT v FROM x").await.unwrap();
    assert_eq!(fixture.stored(), ["w"]);
    for (sql, expected) in [
        ("PRAGMA synchronous = OFF", SqlValue::Integer(2)),
        ("PRAGMA journal_mode = DELETE", SqlValue::Text("wal".into())),
    ] {
        let rows = fixture.run(sql).await.unwrap();
        assert_eq!(format!("{:?}", rows.rows[0].values), format!("{:?}", [expected]), "{sql}");
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_with_a_remedy() {
    let folder = Folder::new();
    let file = folder.path().join("default.sqlite");
    std::fs::write(&file, vec![b'x'; 8192]).unwrap();
    let error = Database::open("default", &file, &Arc::new(Metrics::default())).err().unwrap().to_string();
    for part in ["default.sqlite", "not a database", "restore a backup"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_locked_file_is_refused_with_a_remedy() {
    let folder = Folder::new();
    let file = folder.path().join("default.sqlite");
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("CREATE TABLE t(v); PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let error = Database::open("default", &file, &Arc::new(Metrics::default())).err().unwrap().to_string();
    for part in ["locked", "close that program"] {
        assert!(error.contains(part), "{error}");
    }
}

/// Fills so many pages of 4 KiB.
fn pages(count: u32) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {count}) INSERT INTO t SELECT randomblob(4000) FROM n"
    )
}

#[tokio::test]
async fn the_log_is_written_back_while_others_write_and_begins_anew() {
    let fixture = fixture();
    fixture.run("CREATE TABLE t(v BLOB)").await.unwrap();
    let log = fixture.folder.path().join("default.sqlite-wal");
    // https://www.sqlite.org/fileformat2.html#walformat: the header's fourth number counts how often the log began anew.
    let generation = || std::fs::read(&log).unwrap()[12..16].to_vec();
    let first = generation();
    let mut written = 0;
    while generation() == first {
        assert!(written < 80_000, "the log has {written} pages and is still the first one");
        fixture.run(&pages(400)).await.unwrap();
        written += 400;
    }
    let file = std::fs::metadata(fixture.database.file()).unwrap().len();
    assert!(file >= 1_000 * 4096, "what stood in the log is in the file, which has {file} bytes");
    let rows = fixture.run("SELECT count(*) FROM t").await.unwrap().rows;
    assert!(matches!(rows[0].values[0], SqlValue::Integer(count) if count == written));
}

#[tokio::test]
async fn erasing_from_the_log_never_finds_it_busy_with_being_written_back() {
    let fixture = fixture();
    fixture.run("CREATE TABLE t(v BLOB)").await.unwrap();
    for wait in [0, 1, 2, 4, 8, 16] {
        // So many that the thread which writes the log back is at it when the next statement comes.
        fixture.run(&pages(5_000)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let rows = fixture.run("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap().rows;
        assert!(matches!(rows[0].values[0], SqlValue::Integer(0)), "the log is kept, with what was to be erased");
        let log = std::fs::metadata(fixture.folder.path().join("default.sqlite-wal")).unwrap().len();
        assert_eq!(log, 0);
    }
}
