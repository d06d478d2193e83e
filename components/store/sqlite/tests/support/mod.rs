//! The store natively, over rusqlite.

#![allow(dead_code, unreachable_pub, reason = "each test program uses some of this")]

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::types::ValueRef;
use store_sqlite::SqliteStore;
use store_sqlite::database::{Connect, Database, DatabaseError, Row, Value};

/// What goes wrong, and when: counted in statements of this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process ends before the statement reaches the database.
    Before(u64),
    /// It ends after the statement has been committed, before the answer is read.
    After(u64),
    /// It ends inside: after this many instructions of SQLite's virtual machine.
    Inside(u64, i32),
}

/// Opens a file anew for every call, as Spin does, or keeps one connection, as our host does.
pub struct Native {
    path: PathBuf,
    keep: bool,
    synchronous: &'static str,
    kept: Arc<Mutex<Vec<rusqlite::Connection>>>,
    statements: Arc<AtomicU64>,
    steps: Arc<AtomicU64>,
    fault: Option<Fault>,
}

pub type NativeStore = SqliteStore<Native>;

/// A store on a file.
pub fn store(path: impl Into<PathBuf>) -> NativeStore {
    SqliteStore::new(native(path), random)
}

/// A store on a file, with somebody else's random bytes, without waiting for the disk.
pub fn with_random(path: impl Into<PathBuf>, random: store_sdk::ids::Random) -> NativeStore {
    SqliteStore::new(Native { keep: true, synchronous: "OFF", ..native(path) }, random)
}

/// A store on a file that breaks. A process that ends leaves the system running, so there is no disk to wait for.
pub fn broken(path: impl Into<PathBuf>, fault: Fault) -> NativeStore {
    SqliteStore::new(Native { fault: Some(fault), synchronous: "OFF", ..native(path) }, random)
}

/// A store on a file, without waiting for the disk.
pub fn quick(path: impl Into<PathBuf>) -> NativeStore {
    SqliteStore::new(Native { synchronous: "OFF", ..native(path) }, random)
}

/// A store on a file with one connection kept.
pub fn kept(path: impl Into<PathBuf>, synchronous: &'static str) -> NativeStore {
    SqliteStore::new(Native { keep: true, synchronous, ..native(path) }, random)
}

/// A store on a file with one connection kept, and the steps SQLite's virtual machine takes for it.
pub fn counted(path: impl Into<PathBuf>) -> (NativeStore, Arc<AtomicU64>) {
    let native = Native { keep: true, synchronous: "OFF", ..native(path) };
    let steps = native.steps.clone();
    (SqliteStore::new(native, random), steps)
}

fn native(path: impl Into<PathBuf>) -> Native {
    Native {
        path: path.into(),
        keep: false,
        synchronous: "FULL",
        kept: Arc::default(),
        statements: Arc::default(),
        steps: Arc::default(),
        fault: None,
    }
}

/// Random enough for tests: the system's generator.
pub fn random(bytes: &mut [u8]) -> Result<(), String> {
    use std::io::Read as _;
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes)).map_err(|error| error.to_string())
}

/// Runs a future that never waits.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    testkit::store_suite::block_on(future)
}

pub struct Connection {
    inner: RefCell<Option<rusqlite::Connection>>,
    keep: Option<Arc<Mutex<Vec<rusqlite::Connection>>>>,
    statements: Arc<AtomicU64>,
    steps: Arc<AtomicU64>,
    fault: Option<Fault>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let (Some(keep), Some(inner)) = (&self.keep, self.inner.get_mut().take()) {
            keep.lock().unwrap().push(inner);
        }
    }
}

fn text(error: rusqlite::Error) -> DatabaseError {
    DatabaseError(error.to_string())
}

impl Connect for Native {
    type Connection = Connection;

    async fn open(&self) -> Result<Connection, DatabaseError> {
        let inner = match self.kept.lock().unwrap().pop() {
            Some(kept) => kept,
            None => {
                let new = rusqlite::Connection::open(&self.path).map_err(text)?;
                new.busy_timeout(Duration::from_secs(5)).map_err(text)?;
                new.pragma_update(None, "synchronous", self.synchronous).map_err(text)?;
                new
            }
        };
        Ok(Connection {
            inner: RefCell::new(Some(inner)),
            keep: self.keep.then(|| self.kept.clone()),
            statements: self.statements.clone(),
            steps: self.steps.clone(),
            fault: self.fault,
        })
    }
}

impl Database for Connection {
    async fn execute(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, DatabaseError> {
        let number = self.statements.fetch_add(1, Ordering::SeqCst);
        let mut inner = self.inner.borrow_mut();
        let inner = inner.as_mut().expect("open");
        let dead = || Err(DatabaseError("the process has ended".into()));
        match self.fault {
            Some(Fault::Before(at)) if number >= at => return dead(),
            Some(Fault::After(at) | Fault::Inside(at, _)) if number > at => return dead(),
            Some(Fault::Inside(at, instructions)) if number == at => {
                inner.progress_handler(instructions, Some(|| true)).map_err(text)?;
            }
            _ => {}
        }
        let answer = run(inner, sql, parameters, &self.steps);
        if self.fault.is_some() {
            inner.progress_handler(0, None::<fn() -> bool>).map_err(text)?;
        }
        if self.fault == Some(Fault::After(number)) { dead() } else { answer }
    }
}

fn run(
    inner: &rusqlite::Connection,
    sql: &str,
    parameters: Vec<Value>,
    steps: &AtomicU64,
) -> Result<Vec<Row>, DatabaseError> {
    use rusqlite::types::Value as Column;
    let mut statement = inner.prepare_cached(sql).map_err(text)?;
    let parameters = parameters.into_iter().map(|value| match value {
        Value::Null => Column::Null,
        Value::Integer(number) => Column::Integer(number),
        Value::Real(number) => Column::Real(number),
        Value::Text(text) => Column::Text(text),
        Value::Blob(bytes) => Column::Blob(bytes),
    });
    let columns = statement.column_count();
    let mut answer = statement.query(rusqlite::params_from_iter(parameters)).map_err(text)?;
    let mut rows = Vec::new();
    while let Some(row) = answer.next().map_err(text)? {
        let value = |index| -> Result<Value, rusqlite::Error> {
            Ok(match row.get_ref(index)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) => Value::Integer(number),
                ValueRef::Real(number) => Value::Real(number),
                ValueRef::Text(text) => Value::Text(String::from_utf8(text.to_vec()).expect("UTF-8")),
                ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
            })
        };
        rows.push(Row((0..columns).map(value).collect::<Result<_, _>>().map_err(text)?));
    }
    drop(answer);
    let taken = statement.reset_status(rusqlite::StatementStatus::VmStep);
    steps.fetch_add(u64::try_from(taken).unwrap_or(0), Ordering::SeqCst);
    Ok(rows)
}

/// A folder of its own for a test, removed at its end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let root = std::env::var_os("STORE_TEST_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let name = format!("store-sqlite-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::SeqCst));
        let path = root.join(name);
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("ventanilla.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
