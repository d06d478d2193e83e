//! What everybody may see.

use channel_sdk::json;
use channel_sdk::types::{Lookup, PublicCase};
use store_sdk::log::StoreError;
use store_sdk::rows;
use store_sdk::text::escape;

use crate::SqliteStore;
use crate::database::{Connect, Row, Value};
use crate::errors::row_error;
use crate::store;

impl<C: Connect> SqliteStore<C> {
    pub(crate) async fn find_public(&self, tenant: String, lookup: Lookup) -> Result<Vec<PublicCase>, StoreError> {
        if !(1..=1000).contains(&lookup.limit) {
            return Err(StoreError::Invalid(format!("the limit is {}: it must be 1 to 1000", lookup.limit)));
        }
        // Without statistics SQLite can't tell which of the indexes that begin with the tenant is the narrow one.
        let index = if lookup.references.is_empty() { "cases_in_public" } else { "cases_by_reference" };
        let mut sql = format!(
            "SELECT json_object('reference', c.reference, 'status', c.status, 'service_code', c.service_code, \
               'department', c.department, 'opened_at', c.opened_at, 'updated_at', c.updated_at, 'event', json(f.json), \
               'updates', json((SELECT json_group_array(json_object('id', h.seq, 'at', h.at, 'status', h.after)) \
                 FROM (SELECT seq, at, after FROM history WHERE tenant = c.tenant AND case_id = c.id AND field = 'status' \
                   ORDER BY seq) h))) \
             FROM cases c INDEXED BY {index} CROSS JOIN events f ON f.tenant = c.tenant AND f.case_id = c.id AND f.opened \
             WHERE c.tenant = ?1 AND c.public",
        );
        let mut parameters: Vec<Value> = vec![tenant.into(), i64::from(lookup.limit).into()];
        let mut any_of = |column: &str, values: Vec<Value>| {
            if values.is_empty() {
                return;
            }
            let places: Vec<String> = values
                .into_iter()
                .map(|value| {
                    parameters.push(value);
                    format!("?{}", parameters.len())
                })
                .collect();
            sql.push_str(&format!(" AND {column} IN ({})", places.join(", ")));
        };
        // A reference that is none is unknown: left out, not "no condition".
        let bare = |text: &String| channel_sdk::reference::parse(text).ok().into();
        any_of("c.reference", lookup.references.iter().map(bare).collect());
        any_of("c.service_code", lookup.service_codes.iter().map(|code| escape(code).into()).collect());
        any_of("c.status", lookup.statuses.iter().map(|status| json::case_status_name(*status).into()).collect());
        for (condition, instant) in [
            ("c.opened_at >= ", lookup.opened_from),
            ("c.opened_at <= ", lookup.opened_until),
            ("c.updated_at >= ", lookup.updated_from),
            ("c.updated_at <= ", lookup.updated_until),
        ] {
            if let Some(instant) = instant {
                parameters.push(instant.into());
                sql.push_str(&format!(" AND {condition}?{}", parameters.len()));
            }
        }
        sql.push_str(" ORDER BY c.id DESC LIMIT ?2");
        let rows = self.rows(&sql, parameters).await?;
        let case = |row: &Row| rows::public_case(&store::json(row, 0)?).map_err(row_error);
        rows.iter().map(case).collect()
    }
}
