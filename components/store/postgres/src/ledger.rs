//! The ledger: counts by period, and the chain over envelopes.

use serde_json::{Value as Json, json};
use store_sdk::chain::{Sealed, Seals, Unsealed};
use store_sdk::database::{Connect, Row};
use store_sdk::ledger::Account;
use store_sdk::log::{Envelope, EnvelopePage, Page, StoreError};
use store_sdk::provider::{limit, row_error};
use store_sdk::rows::{self, RowError};
use store_sdk::sealing::{self, Chain};

use crate::PostgresStore;
use crate::store::{given, json, maybe, text};

fn each<T>(rows: &[Row], read: impl Fn(&Json) -> Result<T, RowError>) -> Result<Vec<T>, StoreError> {
    rows.iter().map(|row| read(&json(row, 0)?).map_err(row_error)).collect()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl<C: Connect> PostgresStore<C> {
    pub(crate) async fn accounted(&self, tenant: String, bounds: &[i64]) -> Result<Account, StoreError> {
        let periods = sealing::periods(bounds)?.to_string();
        let (first, behind) = sealing::range(bounds);
        let parameters = vec![given(&tenant), periods.into(), first.into(), behind.into()];
        let rows = self.read_rows("account_2", parameters).await?;
        sealing::account(&json(rows.first().unwrap_or(&Row::default()), 0)?).map_err(row_error)
    }

    pub(crate) async fn link_of(&self, tenant: String, number: u64) -> Result<Option<String>, StoreError> {
        let rows = self.read_rows("link_1", vec![given(&tenant), signed(number).into()]).await?;
        Ok(rows.first().map(|row| text(row, 0)))
    }

    pub(crate) async fn received_between(
        &self,
        tenant: String,
        (first, end): (String, String),
        disposition: Option<&str>,
        page: &Page,
    ) -> Result<EnvelopePage, StoreError> {
        let limit = limit(page)?;
        crate::log::known(disposition)?;
        let parameters = vec![given(&tenant), first.into(), end.into(), (limit + 1).into(), maybe(disposition)];
        let rows = self.read_rows("received_1", parameters).await?;
        Ok(sealing::page(each(&rows, rows::envelope_summary)?, page))
    }
}

impl<C: Connect> Chain for PostgresStore<C> {
    async fn unsealed(&self, limit: u32) -> Result<Vec<Unsealed>, StoreError> {
        each(&self.read_rows("unsealed_1", vec![i64::from(limit).into()]).await?, sealing::unsealed)
    }

    async fn whole(&self, tenant: &str, id: &str) -> Result<Option<Envelope>, StoreError> {
        Ok(self.whole_envelope(tenant.to_owned(), id.to_owned()).await?.map(|(envelope, _)| envelope))
    }

    async fn append(&self, seals: Seals, at: i64) -> Result<u32, StoreError> {
        let (heads, rows) = (Json::from(seals.heads).to_string(), Json::from(seals.rows).to_string());
        let sealed = self.call("seal_1", vec![heads.into(), rows.into(), at.into()]).await?;
        Ok(sealed.as_u64().and_then(|sealed| u32::try_from(sealed).ok()).unwrap_or(0))
    }

    async fn seals(&self, tenant: &str, from: u64, limit: u32) -> Result<Vec<Sealed>, StoreError> {
        let parameters = vec![given(tenant), signed(from).into(), i64::from(limit).into()];
        each(&self.read_rows("seals_2", parameters).await?, sealing::sealed)
    }

    async fn bodies(&self, tenant: &str, ids: &[&str]) -> Result<Vec<Envelope>, StoreError> {
        let rows = self.read_rows("bodies_1", vec![given(tenant), json!(ids).to_string().into()]).await?;
        let envelope = |row: &Row| rows::envelope(&json(row, 0).ok()?, row.bytes(1)?.to_vec()).ok();
        Ok(rows.iter().filter_map(envelope).collect())
    }

    async fn added(&self, tenant: &str, after: i64, upto: Option<i64>) -> Result<Vec<(i64, String)>, StoreError> {
        let rows = self.read_rows("added_1", vec![given(tenant), after.into(), upto.into()]).await?;
        Ok(rows.iter().filter_map(|row| Some((row.integer(0)?, text(row, 1)))).collect())
    }
}
