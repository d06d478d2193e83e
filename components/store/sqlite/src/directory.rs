//! Tenants.

use channel_sdk::json;
use channel_sdk::types::TenantProfile;
use store_sdk::log::StoreError;
use store_sdk::provider::{profile_document, removed_tenant};
use store_sdk::rows::RowError;

use crate::SqliteStore;
use crate::database::Connect;
use crate::errors::row_error;
use crate::store;

impl<C: Connect> SqliteStore<C> {
    pub(crate) async fn read_profile(&self, tenant: String) -> Result<Option<TenantProfile>, StoreError> {
        let sql =
            "SELECT profile, 0 FROM tenants WHERE code = ?1 UNION ALL SELECT NULL, 1 FROM removals WHERE tenant = ?1";
        let rows = self.rows(sql, vec![tenant.into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        if row.integer(1) == Some(1) {
            return Err(removed_tenant());
        }
        let profile = json::parse_profile(&store::json(row, 0)?);
        profile.map(Some).map_err(|error| row_error(RowError(error.to_string())))
    }

    pub(crate) async fn write_profile(&self, profile: TenantProfile) -> Result<(), StoreError> {
        let document = profile_document(&profile)?;
        let sql =
            "INSERT INTO tenants (code, profile) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET profile = excluded.profile";
        self.rows(sql, vec![profile.tenant.into(), document.into()]).await.map(drop)
    }

    pub(crate) async fn tenant_codes(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.rows("SELECT code FROM tenants ORDER BY code", Vec::new()).await?;
        Ok(rows.iter().filter_map(|row| row.text(0)).map(str::to_owned).collect())
    }
}
