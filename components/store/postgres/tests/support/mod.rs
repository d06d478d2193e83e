//! The store natively, over tokio-postgres: a database of its own for every test, a pool of connections as hosts have one.

#![allow(dead_code, unreachable_pub, reason = "each test program uses some of this")]

pub mod server;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use store_postgres::PostgresStore;
use store_postgres::database::{Connect, Database, DatabaseError, Row, Value};
use store_postgres::migrate;
use testkit::store_suite::World;
use tokio_postgres::types::{ToSql, Type};

/// What goes wrong, and when: counted in statements of this store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process ends before the statement reaches the database.
    Before(u64),
    /// It ends after the statement has been committed, before the answer is read.
    After(u64),
}

/// A role that is nobody special: policies hold for it. It may do what `admit_1` grants.
pub const ROLE: &str = "component";
/// The schema's owner.
pub const OWNER: &str = "owner";

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

/// Connections of a pool: given back when dropped, in whatever state they are.
#[derive(Clone)]
pub struct Native {
    address: String,
    kept: Arc<Mutex<Vec<tokio_postgres::Client>>>,
    statements: Arc<AtomicU64>,
    fault: Option<Fault>,
}

pub type NativeStore = PostgresStore<Native>;

impl Native {
    pub fn to(address: String) -> Self {
        Self { address, kept: Arc::default(), statements: Arc::default(), fault: None }
    }

    pub fn store(&self) -> NativeStore {
        PostgresStore::new(self.clone(), random)
    }

    pub fn broken(&self, fault: Fault) -> NativeStore {
        PostgresStore::new(Self { fault: Some(fault), statements: Arc::default(), ..self.clone() }, random)
    }
}

/// Random enough for tests: the system's generator.
pub fn random(bytes: &mut [u8]) -> Result<(), String> {
    use std::io::Read as _;
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes)).map_err(|error| error.to_string())
}

/// Waits for a future on this thread; what it waits for runs on the runtime's.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    testkit::store_suite::block_on(future)
}

pub struct Connection {
    client: Option<tokio_postgres::Client>,
    native: Native,
}

impl Connection {
    /// This connection is not given back.
    pub fn keep(mut self) -> Kept {
        Kept(self.client.take().unwrap())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(client) = self.client.take().filter(|client| !client.is_closed()) {
            self.native.kept.lock().unwrap().push(client);
        }
    }
}

/// A connection of one's own.
pub struct Kept(tokio_postgres::Client);

/// Opens a connection of one's own.
pub fn connect(address: &str) -> Kept {
    let address = address.to_owned();
    now(Native::to(address).open()).unwrap().keep()
}

fn text(error: tokio_postgres::Error) -> DatabaseError {
    DatabaseError(match error.as_db_error() {
        Some(said) => format!("{} {}", said.code().code(), said.message()),
        None => format!("08006 {error}"),
    })
}

impl Connect for Native {
    type Connection = Connection;

    async fn open(&self) -> Result<Connection, DatabaseError> {
        let kept = self.kept.lock().unwrap().pop();
        let client = match kept {
            Some(client) => client,
            None => {
                let address = self.address.clone();
                let opening = async move {
                    let (client, connection) = tokio_postgres::connect(&address, tokio_postgres::NoTls).await?;
                    tokio::spawn(connection);
                    Ok::<_, tokio_postgres::Error>(client)
                };
                runtime().spawn(opening).await.unwrap().map_err(text)?
            }
        };
        Ok(Connection { client: Some(client), native: self.clone() })
    }
}

impl Database for Connection {
    async fn execute(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, DatabaseError> {
        let number = self.native.statements.fetch_add(1, Ordering::SeqCst);
        let dead = || Err(DatabaseError("08006 the process has ended".into()));
        match self.native.fault {
            Some(Fault::Before(at)) if number >= at => return dead(),
            Some(Fault::After(at)) if number > at => return dead(),
            _ => {}
        }
        let answer = run(self.client.as_ref().unwrap(), sql, parameters).await;
        if self.native.fault == Some(Fault::After(number)) { dead() } else { answer }
    }
}

impl Database for Kept {
    async fn execute(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, DatabaseError> {
        run(&self.0, sql, parameters).await
    }
}

async fn run(client: &tokio_postgres::Client, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, DatabaseError> {
    let parameters: Vec<Box<dyn ToSql + Sync + Send>> = parameters
        .into_iter()
        .map(|value| -> Box<dyn ToSql + Sync + Send> {
            match value {
                Value::Null => Box::new(Null),
                Value::Integer(number) => Box::new(number),
                Value::Real(number) => Box::new(number),
                Value::Text(text) => Box::new(text),
                Value::Blob(bytes) => Box::new(bytes),
            }
        })
        .collect();
    let borrowed: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|it| &**it as &(dyn ToSql + Sync)).collect();
    let rows = client.query(sql, &borrowed).await.map_err(text)?;
    let value = |row: &tokio_postgres::Row, index: usize| match *row.columns()[index].type_() {
        Type::INT8 => row.get::<_, Option<i64>>(index).into(),
        Type::TEXT => row.get::<_, Option<String>>(index).into(),
        Type::BYTEA => row.get::<_, Option<Vec<u8>>>(index).map_or(Value::Null, Value::Blob),
        Type::VOID => Value::Null,
        ref other => panic!("a column of type {other}: the component reads text, bigint and bytea only"),
    };
    Ok(rows.iter().map(|row| Row((0..row.len()).map(|index| value(row, index)).collect())).collect())
}

/// NULL of any type.
#[derive(Debug)]
struct Null;

impl ToSql for Null {
    fn to_sql(
        &self,
        _: &Type,
        _: &mut tokio_postgres::types::private::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(tokio_postgres::types::IsNull::Yes)
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    tokio_postgres::types::to_sql_checked!();
}

/// A database, migrated, of a test of its own.
pub struct Base {
    pub name: String,
    pub native: Native,
}

impl World for Base {
    type Store = NativeStore;

    fn open(&self) -> NativeStore {
        self.native.store()
    }
}

impl Base {
    /// Connections of their own, as another process has them.
    pub fn connections(&self) -> Native {
        Native::to(server::address(&self.name, ROLE))
    }

    /// A connection of a role.
    pub fn connect(&self, role: &str) -> Kept {
        connect(&server::address(&self.name, role))
    }
}

/// Rows of a statement, in the words of PostgreSQL.
pub fn rows(on: &Kept, sql: &str) -> Result<Vec<Row>, DatabaseError> {
    now(on.execute(sql, Vec::new()))
}

/// The one number a statement gives.
pub fn number(on: &Kept, sql: &str) -> i64 {
    rows(on, sql).unwrap()[0].integer(0).unwrap()
}

fn named(name: &str) -> Base {
    Base { name: name.into(), native: Native::to(server::address(name, ROLE)) }
}

/// A database without a schema.
pub fn bare() -> Base {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    template();
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::SeqCst));
    create(&format!("CREATE DATABASE {name} OWNER {OWNER}"));
    named(&name)
}

/// A copy of a migrated database.
pub fn empty() -> Base {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    template();
    let name = format!("copy_{}", NUMBER.fetch_add(1, Ordering::SeqCst));
    create(&format!("CREATE DATABASE {name} TEMPLATE migrated STRATEGY file_copy"));
    named(&name)
}

/// One at a time: a template that is being copied can't be copied.
fn create(sql: &str) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    rows(&connect(&server::address("postgres", "postgres")), sql).unwrap();
}

fn template() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let super_user = connect(&server::address("postgres", "postgres"));
        for sql in [
            format!("CREATE ROLE {OWNER} LOGIN"),
            format!("CREATE ROLE {ROLE} LOGIN"),
            format!("CREATE DATABASE migrated OWNER {OWNER}"),
        ] {
            rows(&super_user, &sql).unwrap();
        }
        let owner = connect(&server::address("migrated", OWNER));
        now(migrate::run(&owner)).unwrap();
        admit(&owner);
    });
}

/// Lets the component in.
pub fn admit(owner: &Kept) {
    rows(owner, &format!("SELECT ventanilla.admit_1('{ROLE}')")).unwrap();
}
