//! What a store needs of a database: opens connections, runs statements.

/// A parameter or a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL
    Null,
    /// A whole number: INTEGER, BIGINT.
    Integer(i64),
    /// REAL
    Real(f64),
    /// TEXT
    Text(String),
    /// Bytes: BLOB, BYTEA.
    Blob(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// A text column; none if it is NULL or something else.
    pub fn text(&self, index: usize) -> Option<&str> {
        match self.0.get(index) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// An integer column.
    pub fn integer(&self, index: usize) -> Option<i64> {
        match self.0.get(index) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// The bytes of a blob column.
    pub fn bytes(&self, index: usize) -> Option<&[u8]> {
        match self.0.get(index) {
            Some(Value::Blob(bytes)) => Some(bytes),
            Some(Value::Text(text)) => Some(text.as_bytes()),
            _ => None,
        }
    }
}

/// What the database said in its own words, e.g. `database is locked`. PostgreSQL's begin with the SQLSTATE: `40P01 deadlock detected`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseError(pub String);

/// An open connection.
#[expect(async_fn_in_trait, reason = "a component's futures stay on one thread")]
pub trait Database {
    /// Runs ONE statement and gives all its rows.
    async fn execute(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, DatabaseError>;
}

/// Opens connections: one per call of the store, never kept in a static.
#[expect(async_fn_in_trait, reason = "a component's futures stay on one thread")]
pub trait Connect {
    /// What it opens.
    type Connection: Database;

    /// Opens one.
    async fn open(&self) -> Result<Self::Connection, DatabaseError>;
}
