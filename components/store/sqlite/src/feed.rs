//! What the administration's own systems are told.

use channel_sdk::types::Instant;
use serde_json::Value as Json;
use store_sdk::feed::{Batch, Command, Condition, DestinationState, Entry, Outlook, Queue, Settlement, Start};
use store_sdk::log::StoreError;
use store_sdk::rows::{self, RowError};
use store_sdk::text::{escape, unescape};

use crate::SqliteStore;
use crate::database::{Connect, Row};
use crate::errors::row_error;
use crate::store;

/// Whether a row of `destinations` may be claimed at the instant `?1`.
macro_rules! free {
    () => {
        "condition = 'running' AND coalesce(due_at, 0) <= ?1 AND coalesce(leased_until, 0) <= ?1 \
         AND (EXISTS (SELECT 1 FROM events v INDEXED BY events_by_tenant \
                WHERE v.tenant = destinations.tenant AND v.seq > destinations.after_event) \
           OR EXISTS (SELECT 1 FROM feed_changes f INDEXED BY feed_changes_in_order \
                WHERE f.tenant = destinations.tenant \
                  AND (f.after_event, f.seq) > (destinations.after_event, destinations.after_change)))"
    };
}

const QUEUES: &str = concat!("SELECT tenant, name, ", free!(), " FROM destinations ORDER BY tenant, name");

/// The limit is on each of the two before they are put in order: neither is read further than it is needed. Of large entries a
/// batch has as many as begin within a megabyte: each is held in memory several times on its way.
const CLAIM: &str = concat!(
    "UPDATE destinations SET lease = ?5, leased_until = ?4 WHERE tenant = ?2 AND name = ?3 AND ",
    free!(),
    " RETURNING attempts, failing_since, (SELECT json_group_array(json(x.entry)) FROM (\
       SELECT y.entry, sum(length(CAST(y.entry AS BLOB))) OVER (ORDER BY y.event, y.change) \
         - length(CAST(y.entry AS BLOB)) AS ahead FROM (\
         SELECT * FROM (SELECT v.seq AS event, 0 AS change, json_object('at', json_array(v.seq, 0), 'event', json(v.event)) AS entry \
           FROM event_rows v WHERE v.tenant = destinations.tenant AND v.seq > destinations.after_event ORDER BY v.seq LIMIT ?6) \
         UNION ALL \
         SELECT * FROM (SELECT f.after_event, f.seq, json_object('at', json_array(f.after_event, f.seq), \
             'id', 'change-' || f.seq || '-' || h.at, 'reference', c.reference, 'change', json_object('at', h.at, \
             'author', h.author, 'field', h.field, 'before', h.before, 'after', h.after)) \
           FROM feed_changes f INDEXED BY feed_changes_in_order \
           CROSS JOIN history h ON h.seq = f.history CROSS JOIN cases c ON c.id = h.case_id \
           WHERE f.tenant = destinations.tenant \
             AND (f.after_event, f.seq) > (destinations.after_event, destinations.after_change) \
           ORDER BY f.after_event, f.seq LIMIT ?6)) y \
       ORDER BY y.event, y.change LIMIT ?6) x WHERE x.ahead < 1000000)"
);

const CREATE: &str = "\
INSERT INTO destinations (tenant, name, after_event, after_change, created_at)
SELECT ?1, ?2, CASE WHEN ?3 THEN event ELSE 0 END, CASE WHEN ?3 THEN change ELSE 0 END, ?4 FROM feed_end WHERE TRUE
ON CONFLICT DO NOTHING RETURNING name";

/// `?5, ?6`: what is delivered up to, or nulls. `?8`: how it goes on. A pause and its reason outlive a batch that was out.
const SETTLE: &str = "\
UPDATE destinations SET
  after_event = CASE WHEN (?5, ?6) > (after_event, after_change) THEN ?5 ELSE after_event END,
  after_change = CASE WHEN (?5, ?6) > (after_event, after_change) THEN ?6 ELSE after_change END,
  delivered = delivered + ?7,
  delivered_at = CASE WHEN ?7 > 0 THEN ?4 ELSE delivered_at END,
  attempts = iif(?5 IS NULL, attempts, 0) + (?8 IN ('retry', 'stop')),
  failing_since = iif(?8 IN ('retry', 'stop'), coalesce(iif(?5 IS NULL, failing_since, NULL), ?4), iif(?5 IS NULL, failing_since, NULL)),
  reason = CASE WHEN ?8 IN ('retry', 'stop') THEN ?10 WHEN condition <> 'running' OR ?5 IS NULL THEN reason END,
  due_at = CASE ?8 WHEN 'retry' THEN ?9 WHEN 'stop' THEN NULL ELSE iif(?5 IS NULL, due_at, NULL) END,
  condition = iif(?8 = 'stop', 'stopped', condition),
  leased_until = iif(?8 = 'keep', ?9, NULL),
  lease = iif(?8 = 'keep', lease, NULL)
WHERE tenant = ?1 AND name = ?2 AND lease = ?3 RETURNING name";

macro_rules! state_columns {
    () => {
        "tenant, name, condition, after_event, after_change, attempts, due_at, leased_until, failing_since, reason, delivered, \
         delivered_at, created_at, \
         min(1000, (SELECT count(*) FROM (SELECT 1 FROM events v INDEXED BY events_by_tenant \
             WHERE v.tenant = destinations.tenant AND v.seq > destinations.after_event LIMIT 1000)) \
           + (SELECT count(*) FROM (SELECT 1 FROM feed_changes f INDEXED BY feed_changes_in_order \
             WHERE f.tenant = destinations.tenant \
               AND (f.after_event, f.seq) > (destinations.after_event, destinations.after_change) LIMIT 1000)))"
    };
}

const STATES: &str = concat!("SELECT ", state_columns!(), " FROM destinations WHERE tenant = ?1 ORDER BY name");

const PAUSE: &str = concat!(
    "UPDATE destinations SET condition = 'paused', reason = ?3 WHERE tenant = ?1 AND name = ?2 RETURNING ",
    state_columns!()
);

const RESUME: &str = concat!(
    "UPDATE destinations SET condition = 'running', attempts = 0, due_at = NULL, failing_since = NULL, reason = NULL \
     WHERE tenant = ?1 AND name = ?2 RETURNING ",
    state_columns!()
);

impl<C: Connect> SqliteStore<C> {
    pub(crate) async fn fed(&self, now: Instant) -> Result<Vec<Queue>, StoreError> {
        let rows = self.rows(QUEUES, vec![now.into()]).await?;
        let text = |row: &Row, index| row.text(index).unwrap_or_default().to_owned();
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
        let claim = || {
            let keys = [tenant.as_str().into(), destination.as_str().into()];
            let [tenant, name] = keys;
            vec![now.into(), tenant, name, until.into(), lease.as_str().into(), i64::from(limit).into()]
        };
        let mut rows = self.rows(CLAIM, claim()).await?;
        if rows.is_empty() {
            let from_now = i64::from(start == Start::Now);
            let new = vec![tenant.as_str().into(), destination.as_str().into(), from_now.into(), now.into()];
            if !self.rows(CREATE, new).await?.is_empty() {
                rows = self.rows(CLAIM, claim()).await?;
            }
        }
        let Some(row) = rows.first() else { return Ok(None) };
        let entries = match store::json(row, 2)? {
            Json::Array(entries) => entries.iter().map(entry).collect::<Result<_, _>>()?,
            _ => Vec::new(),
        };
        Ok(Some(Batch {
            lease,
            entries,
            attempts: row.integer(0).and_then(|attempts| u32::try_from(attempts).ok()).unwrap_or(0),
            failing_since: row.integer(1),
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
        let (event, change) = match settlement.delivered.as_deref().map(parse) {
            None => (None, None),
            Some(Some((event, change))) => (Some(event), Some(change)),
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
            tenant.into(),
            destination.into(),
            lease.into(),
            at.into(),
            event.into(),
            change.into(),
            i64::from(settlement.count).into(),
            how.into(),
            instant.into(),
            reason.as_deref().map(escape).into(),
        ];
        Ok(!self.rows(SETTLE, parameters).await?.is_empty())
    }

    pub(crate) async fn destinations(&self, tenant: String) -> Result<Vec<DestinationState>, StoreError> {
        self.rows(STATES, vec![tenant.into()]).await?.iter().map(state).collect()
    }

    pub(crate) async fn command(
        &self,
        tenant: String,
        destination: String,
        command: Command,
        author: String,
    ) -> Result<Option<DestinationState>, StoreError> {
        let (sql, reason) = match command {
            Command::Pause => (PAUSE, Some(escape(&format!("paused by {author}")))),
            Command::Resume => (RESUME, None),
        };
        let mut parameters = vec![tenant.into(), destination.into()];
        parameters.extend(reason.map(Into::into));
        self.rows(sql, parameters).await?.first().map(state).transpose()
    }
}

/// Two numbers of sixteen digits each, so that their order as texts is theirs as numbers.
fn position(event: i64, change: i64) -> String {
    format!("{event:016}-{change:016}")
}

fn parse(position: &str) -> Option<(i64, i64)> {
    let (event, change) = position.split_once('-')?;
    let number = |text: &str| text.parse::<i64>().ok().filter(|_| text.len() == 16 && !text.starts_with(['+', '-']));
    Some((number(event)?, number(change)?))
}

fn entry(row: &Json) -> Result<Entry, StoreError> {
    let number = |index: usize| row.pointer(&format!("/at/{index}")).and_then(Json::as_i64);
    let (Some(event), Some(change)) = (number(0), number(1)) else {
        return Err(row_error(RowError("member at is missing or ill-typed".into())));
    };
    rows::entry(row, position(event, change)).map_err(row_error)
}

fn state(row: &Row) -> Result<DestinationState, StoreError> {
    let count = |index| row.integer(index).and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    Ok(DestinationState {
        tenant: row.text(0).unwrap_or_default().to_owned(),
        destination: row.text(1).unwrap_or_default().to_owned(),
        condition: match row.text(2) {
            Some("running") => Condition::Running,
            Some("paused") => Condition::Paused,
            Some("stopped") => Condition::Stopped,
            _ => return Err(row_error(RowError("member condition is missing or ill-typed".into()))),
        },
        position: match (row.integer(3).unwrap_or(0), row.integer(4).unwrap_or(0)) {
            (0, 0) => String::new(),
            (event, change) => position(event, change),
        },
        attempts: count(5),
        due_at: row.integer(6),
        leased_until: row.integer(7),
        failing_since: row.integer(8),
        reason: row.text(9).map(unescape),
        delivered: row.integer(10).and_then(|delivered| u64::try_from(delivered).ok()).unwrap_or(0),
        delivered_at: row.integer(11),
        created_at: row.integer(12).unwrap_or(0),
        waiting: count(13),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_ordered_as_texts_as_they_are_as_numbers() {
        let mut before = String::new();
        for (event, change) in [(0, 1), (1, 0), (1, 9), (1, 10), (9, 0), (10, 0), (1_000_000_000_000, 3)] {
            let text = position(event, change);
            assert!(text > before && text.len() <= 64, "{text}");
            assert_eq!(parse(&text), Some((event, change)));
            before = text;
        }
        for bad in [
            "",
            "1-2",
            "-",
            "0000000000000001",
            "000000000000000x-0000000000000000",
            "+000000000000001-0000000000000000",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
