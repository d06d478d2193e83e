//! What staff look for (migrations/0010_words.sql).

use channel_sdk::json as names;
use serde_json::{Value as Json, json};
use store_sdk::cases::{CasePage, Query};
use store_sdk::database::{Connect, Database, DatabaseError, Row};
use store_sdk::log::{Page, StoreError};
use store_sdk::provider::{cursor, cut, limit, row_error};
use store_sdk::rows;
use store_sdk::words::{self, Asked, LOOKED_AT, Word, behind};

use crate::PostgresStore;
use crate::migrate::patiently;
use crate::store::{given, json as document, maybe};

/// Events of a step of [`renew`].
const STEP: i64 = 500;

/// A word as `search_2` wants it.
fn word(word: &Word) -> Json {
    let stems: Vec<Json> = word.stems.iter().map(|stem| json!([stem, behind(stem), format!(" {stem}")])).collect();
    json!({"stems": stems, "reference": word.reference.as_ref().map(|beginning| json!([beginning, behind(beginning)]))})
}

impl<C: Connect> PostgresStore<C> {
    pub(crate) async fn find(&self, tenant: String, query: Query, page: Page) -> Result<CasePage, StoreError> {
        let (before, limit) = (cursor(&page)?.unwrap_or(i64::MAX), limit(&page)?);
        let (reference, words) = match words::asked(query.q.as_deref().unwrap_or_default()) {
            Asked::Everything => (None, None),
            Asked::Reference(bare) => (Some(bare), None),
            Asked::Words(words) if words.is_empty() => return Ok(CasePage { cases: Vec::new(), next: None }),
            Asked::Words(words) => (None, Some(words.iter().map(word).collect::<Json>().to_string())),
        };
        let parameters = vec![
            given(&tenant),
            before.into(),
            (limit + 1).into(),
            query.status.map(names::case_status_name).into(),
            maybe(query.channel.as_deref()),
            reference.into(),
            words.into(),
            LOOKED_AT.into(),
        ];
        let mut rows = self.read_rows("search_2", parameters).await?;
        // Not all that there is was looked at.
        let stopped = rows.pop_if(|row| row.text(1).is_none()).and_then(|row| row.integer(0));
        let next = cut(&mut rows, limit, |row| row.integer(0)).or_else(|| stopped.map(|place| place.to_string()));
        let case = |row: &Row| rows::summary(&document(row, 1)?).map_err(row_error);
        Ok(CasePage { cases: rows.iter().map(case).collect::<Result<_, _>>()?, next })
    }
}

/// Makes words of what earlier versions have kept of events, a few at a time; after an interruption what has been made is passed over.
pub(crate) async fn renew<D: Database>(database: &D) -> Result<(), DatabaseError> {
    for row in patiently(database, "SELECT tenant FROM ventanilla.kept_of_1()", &[]).await? {
        let tenant = row.text(0).unwrap_or_default();
        let mut after = i64::MIN;
        loop {
            let old = "SELECT * FROM ventanilla.lines_1($1, $2, $3)";
            let rows = patiently(database, old, &[tenant.into(), after.into(), STEP.into()]).await?;
            let Some(last) = rows.last().and_then(|row| row.integer(0)) else { break };
            after = last;
            let renewed: Vec<Json> = rows
                .iter()
                .filter_map(|row| Some(json!([row.integer(0)?, words::kept(row.text(1)?.split('\n'))])))
                .collect();
            if !renewed.is_empty() {
                let renewed = Json::from(renewed).to_string();
                patiently(database, "SELECT ventanilla.renew_1($1, $2)", &[tenant.into(), renewed.into()]).await?;
            }
        }
    }
    Ok(())
}
