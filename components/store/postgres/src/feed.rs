//! What the administration's own systems are told.

use channel_sdk::types::Instant;
use serde_json::Value as Json;
use store_sdk::database::{Connect, Row, Value};
use store_sdk::feed::{Batch, Command, DestinationState, Entry, Outlook, Queue, Settlement, Start};
use store_sdk::log::StoreError;
use store_sdk::provider::row_error;
use store_sdk::rows::{self, RowError};
use store_sdk::text::escape;

use crate::PostgresStore;
use crate::store::{given, json, maybe, text};

impl<C: Connect> PostgresStore<C> {
    pub(crate) async fn fed(&self, now: Instant) -> Result<Vec<Queue>, StoreError> {
        let rows = self.read_rows("feed_queues_1", vec![now.into()]).await?;
        let queue =
            |row: &Row| Queue { tenant: text(row, 0), destination: text(row, 1), due: row.integer(2) == Some(1) };
        Ok(rows.iter().map(queue).collect())
    }

    pub(crate) async fn take_batch(
        &self,
        tenant: String,
        destination: String,
        start: Start,
        now: Instant,
        until: Instant,
        limit: u32,
    ) -> Result<Option<Batch>, StoreError> {
        if until <= now {
            return Err(StoreError::Invalid("the lease must end after it begins".into()));
        }
        if !(1..=500).contains(&limit) {
            return Err(StoreError::Invalid(format!("the limit is {limit}: it must be 1 to 500")));
        }
        let lease = self.id(now)?;
        let parameters = vec![
            given(&tenant),
            given(&destination),
            i64::from(start == Start::Now).into(),
            now.into(),
            until.into(),
            i64::from(limit).into(),
            lease.as_str().into(),
        ];
        let answer = self.call("feed_claim_1", parameters).await?;
        let Some(Json::Array(entries)) = answer.get("entries") else { return Ok(None) };
        Ok(Some(Batch {
            lease,
            entries: entries.iter().map(entry).collect::<Result<_, _>>()?,
            attempts: answer.get("attempts").and_then(Json::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
            failing_since: answer.get("failing_since").and_then(Json::as_i64),
        }))
    }

    pub(crate) async fn settle_batch(
        &self,
        tenant: String,
        destination: String,
        lease: String,
        at: Instant,
        settlement: Settlement,
    ) -> Result<bool, StoreError> {
        let delivered = match settlement.delivered.as_deref().map(parse) {
            None => None,
            Some(Some(number)) => Some(number),
            Some(None) => {
                return Err(StoreError::Invalid("this is no position: give one of an entry of the batch".into()));
            }
        };
        let (how, instant, reason) = match settlement.outlook {
            Outlook::Ready => ("ready", None, None),
            Outlook::Keep(until) => ("keep", Some(until), None),
            Outlook::Retry((due, reason)) => ("retry", Some(due), Some(reason)),
            Outlook::Stop(reason) => ("stop", None, Some(reason)),
        };
        let parameters = vec![
            given(&tenant),
            given(&destination),
            given(&lease),
            at.into(),
            delivered.into(),
            i64::from(settlement.count).into(),
            how.into(),
            instant.into(),
            maybe(reason.as_deref().map(escape).as_deref()),
        ];
        Ok(!self.call("feed_settle_1", parameters).await?.is_null())
    }

    pub(crate) async fn destinations(&self, tenant: String) -> Result<Vec<DestinationState>, StoreError> {
        let rows = self.read_rows("feed_states_1", vec![given(&tenant)]).await?;
        rows.iter().map(|row| state(&json(row, 0)?)).collect()
    }

    pub(crate) async fn command(
        &self,
        tenant: String,
        destination: String,
        command: Command,
        author: String,
    ) -> Result<Option<DestinationState>, StoreError> {
        let reason = match command {
            Command::Pause => given(&escape(&format!("paused by {author}"))),
            Command::Resume => Value::Null,
        };
        match self.call("feed_control_1", vec![given(&tenant), given(&destination), reason]).await? {
            Json::Null => Ok(None),
            row => state(&row).map(Some),
        }
    }
}

/// Sixteen digits, so that their order as texts is theirs as numbers. Nothing is done with: no text.
fn position(number: i64) -> String {
    if number == 0 { String::new() } else { format!("{number:016}") }
}

fn parse(position: &str) -> Option<i64> {
    let digits = position.len() == 16 && position.bytes().all(|byte| byte.is_ascii_digit());
    position.parse().ok().filter(|_| digits)
}

fn entry(row: &Json) -> Result<Entry, StoreError> {
    let seq = row.get("seq").and_then(Json::as_i64);
    let seq = seq.ok_or_else(|| row_error(RowError("member seq is missing or ill-typed".into())))?;
    rows::entry(row, position(seq)).map_err(row_error)
}

fn state(row: &Json) -> Result<DestinationState, StoreError> {
    let place = row.get("position").and_then(Json::as_i64).unwrap_or(0);
    rows::destination(row, position(place)).map_err(row_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_ordered_as_texts_as_they_are_as_numbers() {
        let mut before = String::new();
        for number in [1, 9, 10, 11, 1_000_000_000_000] {
            let text = position(number);
            assert!(text > before && text.len() <= 64, "{text}");
            assert_eq!(parse(&text), Some(number));
            before = text;
        }
        for bad in ["", "1", "soon", "000000000000000x", "+000000000000001"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
