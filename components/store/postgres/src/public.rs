//! What everybody may see.

use channel_sdk::json as names;
use channel_sdk::types::{Lookup, PublicCase};
use serde_json::{Value as Json, json};
use store_sdk::database::{Connect, Row, Value};
use store_sdk::log::StoreError;
use store_sdk::provider::row_error;
use store_sdk::rows;
use store_sdk::text::{escape, storable_json};

use crate::PostgresStore;
use crate::store::{given, json as document};

impl<C: Connect> PostgresStore<C> {
    pub(crate) async fn find_public(&self, tenant: String, lookup: Lookup) -> Result<Vec<PublicCase>, StoreError> {
        if !(1..=1000).contains(&lookup.limit) {
            return Err(StoreError::Invalid(format!("the limit is {}: it must be 1 to 1000", lookup.limit)));
        }
        // A reference that is none is unknown, not "no condition": nothing has the reference ''.
        let bare = |text: &String| Json::from(channel_sdk::reference::parse(text).unwrap_or_default());
        let wanted = json!({
            "references": lookup.references.iter().map(bare).collect::<Vec<_>>(),
            "service_codes": lookup.service_codes.iter().map(|code| escape(code)).collect::<Vec<_>>(),
            "statuses": lookup.statuses.iter().map(|status| names::case_status_name(*status)).collect::<Vec<_>>(),
            "opened_from": lookup.opened_from,
            "opened_until": lookup.opened_until,
            "updated_from": lookup.updated_from,
            "updated_until": lookup.updated_until,
        });
        let wanted = Value::Text(storable_json(&wanted.to_string()).into_owned());
        let rows =
            self.read_rows("public_cases_1", vec![given(&tenant), wanted, i64::from(lookup.limit).into()]).await?;
        let case = |row: &Row| rows::public_case(&document(row, 0)?).map_err(row_error);
        rows.iter().map(case).collect()
    }
}
