//! What the store needs of a SQLite library.

pub use store_sdk::database::{Connect, Database, DatabaseError, Row, Value};
