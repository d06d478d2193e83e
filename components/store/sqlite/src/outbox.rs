//! What is to be sent.

use channel_sdk::types::Instant;
use store_sdk::log::StoreError;
use store_sdk::outbox::{Item, Queue, Settlement};
use store_sdk::rows::{self, Answer};
use store_sdk::text::{escape, unescape};

use crate::SqliteStore;
use crate::database::{Connect, Row};
use crate::errors::row_error;
use crate::store;

/// Answers of people before automatic ones; the first of every tenant before the second of any.
const CLAIM: &str = "\
UPDATE outbox SET leased_until = ?2, attempts = attempts + 1
WHERE seq IN (
  SELECT q.seq FROM (
    SELECT seq, automatic, due_at, row_number() OVER (PARTITION BY automatic, tenant ORDER BY due_at, seq) AS place
    FROM outbox WHERE state = 'queued' AND connector = ?4 AND due_at <= ?1 AND (leased_until IS NULL OR leased_until <= ?1)) q
  ORDER BY q.automatic, q.place, q.due_at, q.seq LIMIT ?3)
RETURNING seq, id, tenant, connector, text, automatic, attempts, due_at,
  (SELECT c.reference FROM cases c WHERE c.id = outbox.case_id),
  (SELECT v.event FROM event_rows v WHERE v.seq = outbox.event), created_at,
  coalesce((SELECT p.done FROM outbox_progress p WHERE p.id = outbox.id), 0)";

/// By the partial index of what is queued.
const QUEUES: &str = "\
SELECT connector, count(*), min(max(due_at, coalesce(leased_until, due_at))) FROM outbox WHERE state = 'queued'
GROUP BY connector ORDER BY connector";

impl<C: Connect> SqliteStore<C> {
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
        let mut rows =
            self.rows(CLAIM, vec![now.into(), until.into(), i64::from(limit).into(), connector.into()]).await?;
        rows.sort_by_key(|row| (row.integer(5), row.integer(7), row.integer(0)));
        let mut items = Vec::new();
        for row in &rows {
            match item(row, now)? {
                Some(item) => items.push(item),
                // Otherwise it would be claimed again and again, before the others.
                None => {
                    let id = row.text(1).unwrap_or_default();
                    self.conclude(id.to_owned(), now, Settlement::Failed("erased".into())).await?;
                }
            }
        }
        Ok(items)
    }

    pub(crate) async fn waiting(&self) -> Result<Vec<Queue>, StoreError> {
        let rows = self.rows(QUEUES, Vec::new()).await?;
        let queue = |row: &Row| Queue {
            connector: row.text(0).unwrap_or_default().to_owned(),
            items: row.integer(1).and_then(|items| u32::try_from(items).ok()).unwrap_or(u32::MAX),
            due_at: row.integer(2).unwrap_or(0),
        };
        Ok(rows.iter().map(queue).collect())
    }

    pub(crate) async fn conclude(&self, id: String, at: Instant, settlement: Settlement) -> Result<(), StoreError> {
        let (state, due, message_id, reason) = match settlement {
            Settlement::Sent(message_id) => ("sent", None, message_id, None),
            Settlement::Retry((due, reason)) => ("queued", Some(due), None, Some(reason)),
            Settlement::Resume(resumption) => {
                // Before the item is free again: whoever claims it next must know.
                let sql = "INSERT INTO outbox_progress (id, done) VALUES (?1, ?2) \
                           ON CONFLICT DO UPDATE SET done = max(done, excluded.done)";
                self.rows(sql, vec![id.as_str().into(), i64::from(resumption.done).into()]).await?;
                ("queued", Some(resumption.at), resumption.message_id, Some(resumption.reason))
            }
            Settlement::Failed(reason) => ("failed", None, None, Some(reason)),
        };
        // What was sent stays sent, whatever a second courier says afterwards. What was erased while it was being sent has left, but is not tried
        // again, and gets no message id.
        let sql = "UPDATE outbox SET \
               state = CASE WHEN state = 'sent' OR (state = 'failed' AND reason = 'erased' AND ?2 <> 'sent') THEN state ELSE ?2 END, \
               due_at = coalesce(?3, due_at), \
               message_id = CASE WHEN state = 'failed' AND reason = 'erased' THEN message_id ELSE coalesce(message_id, ?4) END, \
               reason = CASE WHEN state = 'sent' OR (state = 'failed' AND reason = 'erased' AND ?2 <> 'sent') THEN reason ELSE ?5 END, \
               leased_until = NULL, settled_at = ?6 \
             WHERE id = ?1 RETURNING seq";
        let parameters = vec![
            id.into(),
            state.into(),
            due.into(),
            message_id.as_deref().map(escape).into(),
            reason.as_deref().map(escape).into(),
            at.into(),
        ];
        match self.rows(sql, parameters).await?.is_empty() {
            false => Ok(()),
            true => Err(StoreError::Invalid("the outbox has no such item: settle what was claimed".into())),
        }
    }
}

/// None: who asked was erased meanwhile.
fn item(row: &Row, now: Instant) -> Result<Option<Item>, StoreError> {
    let text = |index| row.text(index).map(unescape).unwrap_or_default();
    let event = rows::stored_event(&store::json(row, 9)?).map_err(row_error)?;
    let answer = Answer { id: text(1), reference: text(8), text: text(4), automatic: row.integer(5) == Some(1), now };
    let Some(message) = rows::outgoing(answer, &event) else { return Ok(None) };
    Ok(Some(Item {
        id: text(1),
        tenant: text(2),
        connector: text(3),
        message,
        attempt: row.integer(6).and_then(|claims| u32::try_from(claims - 1).ok()).unwrap_or(0),
        created_at: row.integer(10).unwrap_or(now),
        done: row.integer(11).and_then(|done| u32::try_from(done).ok()).unwrap_or(0),
    }))
}
