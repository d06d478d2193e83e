//! Tenants.

use channel_sdk::json;
use channel_sdk::types::TenantProfile;
use store_sdk::database::{Connect, Value};
use store_sdk::log::StoreError;
use store_sdk::provider::{profile_document, removed_tenant, row_error};
use store_sdk::rows::RowError;
use store_sdk::text::storable_json;

use crate::PostgresStore;
use crate::store::{self, given};

impl<C: Connect> PostgresStore<C> {
    pub(crate) async fn read_profile(&self, tenant: String) -> Result<Option<TenantProfile>, StoreError> {
        let rows = self.read_rows("profile_2", vec![given(&tenant)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        if row.text(0).is_none() {
            return Err(removed_tenant());
        }
        let profile = json::parse_profile(&store::json(row, 0)?);
        profile.map(Some).map_err(|error| row_error(RowError(error.to_string())))
    }

    pub(crate) async fn write_profile(&self, profile: TenantProfile) -> Result<(), StoreError> {
        let document = profile_document(&profile)?;
        let document = Value::Text(storable_json(&document).into_owned());
        self.call("put_profile_1", vec![given(&profile.tenant), document]).await.map(drop)
    }

    pub(crate) async fn tenant_codes(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.read_rows("tenants_1", Vec::new()).await?;
        Ok(rows.iter().map(|row| store::text(row, 0)).collect())
    }
}
