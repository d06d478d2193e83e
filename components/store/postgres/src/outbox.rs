//! What is to be sent.

use channel_sdk::types::Instant;
use serde_json::Value as Json;
use store_sdk::database::{Connect, Row, Value};
use store_sdk::log::StoreError;
use store_sdk::outbox::{Item, Queue, Settlement};
use store_sdk::provider::row_error;
use store_sdk::rows;
use store_sdk::text::escape;

use crate::PostgresStore;
use crate::store::{given, maybe, text};

impl<C: Connect> PostgresStore<C> {
    pub(crate) async fn lease(
        &self,
        connector: String,
        now: Instant,
        until: Instant,
        limit: u32,
    ) -> Result<Vec<Item>, StoreError> {
        if until <= now {
            return Err(StoreError::Invalid("the lease must end after it begins".into()));
        }
        let parameters = vec![given(&connector), now.into(), until.into(), i64::from(limit).into()];
        let Json::Array(rows) = self.call("claim_1", parameters).await? else { return Ok(Vec::new()) };
        let mut items = Vec::new();
        for row in &rows {
            match rows::item(row, now).map_err(row_error)? {
                Some(item) => items.push(item),
                // Otherwise it would be claimed again and again, before the others.
                None => {
                    let id = row.get("id").and_then(Json::as_str).unwrap_or_default();
                    self.conclude(id.to_owned(), now, Settlement::Failed("erased".into())).await?;
                }
            }
        }
        Ok(items)
    }

    pub(crate) async fn waiting(&self) -> Result<Vec<Queue>, StoreError> {
        let rows = self.read_rows("queues_1", Vec::new()).await?;
        let queue = |row: &Row| Queue {
            connector: text(row, 0),
            items: row.integer(1).and_then(|items| u32::try_from(items).ok()).unwrap_or(u32::MAX),
            due_at: row.integer(2).unwrap_or(0),
        };
        Ok(rows.iter().map(queue).collect())
    }

    pub(crate) async fn conclude(&self, id: String, at: Instant, settlement: Settlement) -> Result<(), StoreError> {
        let (state, due, message_id, reason, done) = match settlement {
            Settlement::Sent(message_id) => ("sent", None, message_id, None, None),
            Settlement::Retry((due, reason)) => ("queued", Some(due), None, Some(reason), None),
            Settlement::Resume(it) => ("queued", Some(it.at), it.message_id, Some(it.reason), Some(i64::from(it.done))),
            Settlement::Failed(reason) => ("failed", None, None, Some(reason), None),
        };
        let escaped = |text: Option<String>| maybe(text.as_deref().map(escape).as_deref());
        let parameters = vec![
            given(&id),
            at.into(),
            state.into(),
            due.into(),
            escaped(message_id),
            escaped(reason),
            done.map_or(Value::Null, Value::from),
        ];
        match self.call("settle_1", parameters).await? {
            Json::Null => Err(StoreError::Invalid("the outbox has no such item: settle what was claimed".into())),
            _ => Ok(()),
        }
    }
}
