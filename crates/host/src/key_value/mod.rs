//! `spin:key-value`: pairs in a SQLite file of their own, `<data>/spool.db`, with a writer and readers of their own. Nothing that
//! happens to a store's database, locked, damaged or being migrated, happens to this one: the gateway keeps here what the store can't
//! take. A `set` is answered when it is committed and synced; sets at the same time share a commit, as in [`crate::sqlite`].

mod guest;

pub use guest::{KeyValueData, KeyValueView, add_to_linker};

use crate::{
    metrics::Metrics,
    sqlite::{Database, Handle, SqlError, SqlValue},
};
use anyhow::{Context, Result};
use std::{path::Path, sync::Arc};

/// The one label: Spin has no other without a runtime configuration either.
pub const LABEL: &str = "default";
/// The file's name in the data folder.
pub const FILE: &str = "spool.db";
/// Bytes of a key.
const KEY_BYTES: usize = 1024;
/// Bytes of a value.
const VALUE_BYTES: usize = 1 << 20;
/// Bytes of a page: SQLite's default.
const PAGE: u64 = 4096;

/// The pairs of an application. Cheap to clone.
#[derive(Clone)]
pub struct Pairs {
    database: Arc<Database>,
}

impl Pairs {
    /// Opens (and creates) the file, which never grows over so many bytes. Blocks.
    ///
    /// # Errors
    ///
    /// The file can't be opened or is no SQLite database, with the remedy.
    pub fn open(folder: &Path, max_bytes: u64, metrics: &Arc<Metrics>) -> Result<Self> {
        let pairs = Self { database: Database::open("key-value", &folder.join(FILE), metrics)? };
        let pages = (max_bytes / PAGE).max(16);
        for sql in [
            "CREATE TABLE IF NOT EXISTS pairs (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL)".to_owned(),
            format!("PRAGMA max_page_count = {pages}"),
        ] {
            futures::executor::block_on(pairs.execute(&sql, Vec::new()))
                .map_err(|error| anyhow::anyhow!("{error}"))
                .with_context(|| format!("can't use {}", folder.join(FILE).display()))?;
        }
        Ok(pairs)
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// What SQLite says, for people.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        let rows = self.run("SELECT value FROM pairs WHERE key = ?1", vec![text(key)]).await?;
        Ok(rows.into_iter().next().and_then(|row| match row.into_iter().next() {
            Some(SqlValue::Blob(value)) => Some(value),
            _ => None,
        }))
    }

    /// Whether there is such a key.
    ///
    /// # Errors
    ///
    /// As [`Pairs::get`].
    pub async fn exists(&self, key: &str) -> Result<bool, String> {
        Ok(!self.run("SELECT 1 FROM pairs WHERE key = ?1", vec![text(key)]).await?.is_empty())
    }

    /// Keeps a value; when this is answered, it is on the disk.
    ///
    /// # Errors
    ///
    /// A key or value over its limit; and as [`Pairs::get`]: the disk is full, the file read-only …
    pub async fn set(&self, key: &str, value: Vec<u8>) -> Result<(), String> {
        if key.is_empty() || key.len() > KEY_BYTES {
            return Err(format!("a key has 1 to {KEY_BYTES} bytes, not {}: use a shorter one", key.len()));
        }
        if value.len() > VALUE_BYTES {
            return Err(format!("the value has {} bytes, over {VALUE_BYTES}: keep it in several pieces", value.len()));
        }
        let sql =
            "INSERT INTO pairs (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.run(sql, vec![text(key), SqlValue::Blob(value)]).await.map(drop)
    }

    /// Forgets a key, known or not.
    ///
    /// # Errors
    ///
    /// As [`Pairs::get`].
    pub async fn delete(&self, key: &str) -> Result<(), String> {
        self.run("DELETE FROM pairs WHERE key = ?1", vec![text(key)]).await.map(drop)
    }

    /// All keys, in order.
    ///
    /// # Errors
    ///
    /// As [`Pairs::get`].
    pub async fn keys(&self) -> Result<Vec<String>, String> {
        let rows = self.run("SELECT key FROM pairs ORDER BY key", Vec::new()).await?;
        let first = |row: Vec<SqlValue>| match row.into_iter().next() {
            Some(SqlValue::Text(key)) => Some(key),
            _ => None,
        };
        Ok(rows.into_iter().filter_map(first).collect())
    }

    /// Closes the file, its log written back. Blocks.
    pub fn close(&self) {
        self.database.close();
    }

    async fn run(&self, sql: &str, parameters: Vec<SqlValue>) -> Result<Vec<Vec<SqlValue>>, String> {
        self.execute(sql, parameters).await.map_err(|error| error.to_string())
    }

    fn execute(
        &self,
        sql: &str,
        parameters: Vec<SqlValue>,
    ) -> impl Future<Output = Result<Vec<Vec<SqlValue>>, SqlError>> + Send + use<> {
        let answer = Handle::new(Arc::clone(&self.database)).execute(sql.to_owned(), parameters);
        async move { Ok(answer.await?.rows.into_iter().map(|row| row.values).collect()) }
    }
}

fn text(key: &str) -> SqlValue {
    SqlValue::Text(key.to_owned())
}
