//! Envelopes and events.

use channel_sdk::types::{Event, Receipt};
use serde_json::Value as Json;
use store_sdk::database::{Connect, Row, Value};
use store_sdk::erasing::gone;
use store_sdk::log::{Disposition, Envelope, EnvelopePage, EventPage, Page, StoreError, Total};
use store_sdk::provider::{Draws, cursor, cut, limit, row_error};
use store_sdk::rows::{self, RowError};
use store_sdk::text::storable_json;

use crate::PostgresStore;
use crate::errors::store_error;
use crate::migrate;
use crate::store::{given, json, maybe, text};

/// Refuses what is no disposition.
pub(crate) fn known(disposition: Option<&str>) -> Result<(), StoreError> {
    match disposition.filter(|name| !["pending", "accepted", "quarantined"].contains(name)) {
        None => Ok(()),
        Some(other) => Err(StoreError::Invalid(format!(
            "there is no disposition {other:?}: it is pending, accepted or quarantined"
        ))),
    }
}

impl<C: Connect> PostgresStore<C> {
    pub(crate) async fn take_in(
        &self,
        envelope: Envelope,
        disposition: &Disposition,
        events: &[Event],
    ) -> Result<Json, StoreError> {
        let tenant = given(&envelope.tenant);
        let mut draws = Draws::default();
        loop {
            let intake = draws.intake(&envelope, disposition, events, self.random())?;
            let document = Value::Text(storable_json(&intake.document()).into_owned());
            let named = if intake.seeks_a_public_case() { "ventanilla.with_public_cases_1($1, $2)" } else { "$2" };
            let sql = format!("CALL ventanilla.intake_2($1, {named}, $3, $4, $5, $6, NULL)");
            let id = intake.envelope.get("id").and_then(Json::as_str).map_or(Value::Null, given);
            let known = i64::from(intake.digest.is_empty());
            let body = Value::Blob(intake.body);
            let parameters = vec![tenant.clone(), document, body, id, known.into(), intake.digest.into()];
            match self.run(&sql, parameters).await {
                Ok(rows) => return json(&rows.into_iter().next().unwrap_or_default(), 0),
                Err(error) => draws.again(&error, store_error)?,
            }
        }
    }

    pub(crate) async fn take_in_events(
        &self,
        envelope: Envelope,
        disposition: Disposition,
        events: Vec<Event>,
    ) -> Result<Vec<Receipt>, StoreError> {
        let mut answer = self.take_in(envelope, &disposition, &events).await?;
        // No event, no receipt.
        if let Some(Json::Null) = answer.get("receipts") {
            answer = serde_json::json!({"receipts": []});
        }
        rows::receipts(&answer, &events).map_err(row_error)
    }

    pub(crate) async fn keep(&self, envelope: Envelope) -> Result<String, StoreError> {
        let answer = self.take_in(envelope, &Disposition::Pending, &[]).await?;
        let id = answer.get("envelope").and_then(Json::as_str).map(str::to_owned);
        id.ok_or_else(|| row_error(RowError("the envelope has no id".into())))
    }

    pub(crate) async fn event_page(
        &self,
        tenant: String,
        connector: Option<String>,
        page: Page,
    ) -> Result<EventPage, StoreError> {
        let (after, limit) = (cursor(&page)?.unwrap_or(0), limit(&page)?);
        let parameters = vec![given(&tenant), after.into(), (limit + 1).into(), maybe(connector.as_deref())];
        let mut rows = self.read_rows("events_1", parameters).await?;
        let next = cut(&mut rows, limit, |row| row.integer(0));
        let event = |row: &Row| rows::stored_event(&json(row, 1)?).map_err(row_error);
        Ok(EventPage { events: rows.iter().map(event).collect::<Result<_, _>>()?, next })
    }

    pub(crate) async fn envelope_page(
        &self,
        tenant: String,
        disposition: Option<String>,
        page: Page,
    ) -> Result<EnvelopePage, StoreError> {
        let (before, limit) = (cursor(&page)?.unwrap_or(i64::MAX), limit(&page)?);
        known(disposition.as_deref())?;
        let parameters = vec![given(&tenant), before.into(), (limit + 1).into(), maybe(disposition.as_deref())];
        let mut rows = self.read_rows("envelopes_1", parameters).await?;
        let next = cut(&mut rows, limit, |row| row.integer(0));
        let envelope = |row: &Row| rows::envelope_summary(&json(row, 1)?).map_err(row_error);
        Ok(EnvelopePage { envelopes: rows.iter().map(envelope).collect::<Result<_, _>>()?, next })
    }

    pub(crate) async fn one_envelope(&self, tenant: String, id: String) -> Result<Option<Envelope>, StoreError> {
        match self.whole_envelope(tenant, id).await? {
            Some((_, Some(entry))) => Err(gone(&entry)),
            found => Ok(found.map(|(envelope, _)| envelope)),
        }
    }

    /// With the audit entry of its erasure, if it was erased.
    pub(crate) async fn whole_envelope(
        &self,
        tenant: String,
        id: String,
    ) -> Result<Option<(Envelope, Option<String>)>, StoreError> {
        let rows = self.read_rows("envelope_2", vec![given(&tenant), given(&id)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let body = row.bytes(1).unwrap_or_default().to_vec();
        let envelope = rows::envelope(&json(row, 0)?, body).map_err(row_error)?;
        Ok(Some((envelope, row.text(2).map(str::to_owned))))
    }

    pub(crate) async fn ledger(&self, tenant: String) -> Result<Vec<Total>, StoreError> {
        let rows = self.read_rows("totals_2", vec![given(&tenant)]).await?;
        let count = |row: &Row, index| row.integer(index).and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
        let total = |row: &Row| Total {
            tenant: text(row, 0),
            connector: text(row, 1),
            disposition: text(row, 2),
            envelopes: count(row, 3),
            events: count(row, 4),
            oldest: row.integer(5),
        };
        Ok(rows.iter().map(total).collect())
    }

    pub(crate) async fn writable(&self) -> Result<(), StoreError> {
        self.call("ready_1", vec![migrate::newest().into()]).await.map(drop)
    }
}
