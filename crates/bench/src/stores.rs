//! The stores natively: the very SQL that the components run, on the drivers that a native program would use.

use store_sdk::Store as _;
use store_sdk::log::{Disposition, Envelope, StoreError};

use channel_sdk::types::{Event, Receipt, TenantProfile};
use store_postgres::PostgresStore;
use store_sqlite::SqliteStore;

pub mod postgres;
pub mod sqlite;

/// A store on SQLite.
pub type Sqlite = SqliteStore<sqlite::File>;
/// A store on PostgreSQL.
pub type Postgres = PostgresStore<postgres::Pool>;

/// The system's generator, as the stores want it.
///
/// # Errors
///
/// The system's.
pub fn random(bytes: &mut [u8]) -> Result<(), String> {
    getrandom::fill(bytes).map_err(|error| error.to_string())
}

/// What an intake needs of either. An enumeration, because the futures of a generic store are not known to be `Send`.
pub enum Either {
    /// On SQLite.
    Sqlite(Sqlite),
    /// On PostgreSQL.
    Postgres(Postgres),
}

impl Either {
    /// `log.record`.
    ///
    /// # Errors
    ///
    /// Of the store.
    pub async fn record(&self, envelope: Envelope, events: Vec<Event>) -> Result<Vec<Receipt>, StoreError> {
        match self {
            Self::Sqlite(store) => store.record(envelope, Disposition::Accepted, events).await,
            Self::Postgres(store) => store.record(envelope, Disposition::Accepted, events).await,
        }
    }

    /// `directory.profile`.
    ///
    /// # Errors
    ///
    /// Of the store.
    pub async fn profile(&self, tenant: &str) -> Result<Option<TenantProfile>, StoreError> {
        match self {
            Self::Sqlite(store) => store.profile(tenant.to_owned()).await,
            Self::Postgres(store) => store.profile(tenant.to_owned()).await,
        }
    }
}
