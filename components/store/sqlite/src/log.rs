//! Envelopes and events.

use channel_sdk::types::{Event, Receipt};
use serde_json::Value as Json;
use store_sdk::erasing::gone;
use store_sdk::intake::Intake;
use store_sdk::log::{Disposition, Envelope, EnvelopePage, EnvelopeSummary, EventPage, Page, StoreError, Total};
use store_sdk::provider::Draws;
use store_sdk::rows::{self, RowError};
use store_sdk::text::unescape;

use crate::SqliteStore;
use crate::database::{Connect, Row, Value};
use crate::errors::{row_error, store_error};
use crate::store::{self, cut, limit};

/// Writes everything and answers with the envelope's id and the receipts, all in one statement.
const INTAKE: &str =
    "INSERT INTO intake_3 (id, known, tenant, connector, channel, method, target, headers, received_at, verified_by,
    nonce, binding, disposition, reason, only_key, ended, events, body, given, digest)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
  RETURNING json_object(
    'envelope', CASE WHEN known OR nonce IS NULL THEN id ELSE (SELECT n.envelope FROM nonces n
      WHERE n.tenant = intake_3.tenant AND n.connector = intake_3.connector AND n.nonce = intake_3.nonce) END,
    'receipts', json((SELECT json_group_array(json_object('n', p.key, 'id', v.id, 'duplicate', v.id <> p.value ->> 'id',
        'opened', v.opened, 'reference', (SELECT c.reference FROM cases c WHERE c.id = v.case_id),
        'asked', json((SELECT json_object('reference', a.reference, 'status', a.status, 'department', a.department,
            'opened_at', a.opened_at, 'updated_at', a.updated_at)
          FROM cases a WHERE a.tenant = v.tenant AND a.reference = p.value ->> 'asks'))))
      FROM json_each(events) p CROSS JOIN events v ON v.tenant = intake_3.tenant
        AND v.connector = intake_3.connector AND v.idempotency_key = p.value ->> 'key')))";

/// The events, when some would join a public case: each with the token of the one it names, if there is one. What is done for few is no
/// step of the views, so that it costs the others nothing.
const NAMED: &str = "(SELECT json_group_array(json(CASE WHEN c.reference IS NULL THEN p.value
      ELSE json_set(p.value, '$.token', c.reference) END))
    FROM (SELECT value, value ->> 'public_case' AS named FROM json_each(?17) ORDER BY rowid LIMIT -1) p
    LEFT JOIN cases c INDEXED BY cases_by_reference ON c.tenant = ?3 AND c.reference = p.named AND c.public)";

/// The events (`EVENTS`) where something of the tenant was erased: keys of what was erased, and no token of an erased case.
const REMEMBERED: &str = "CASE WHEN NOT EXISTS (SELECT 1 FROM forgetting f WHERE f.tenant = ?3) THEN EVENTS ELSE (
    SELECT json_group_array(json(CASE WHEN EXISTS (SELECT 1 FROM cases c WHERE c.tenant = ?3 AND c.reference = q.value ->> 'token'
        AND c.erased IS NOT NULL) THEN json_remove(q.value, '$.token') ELSE q.value END))
    FROM (SELECT CASE WHEN EXISTS (SELECT 1 FROM events k WHERE k.tenant = ?3 AND k.connector = ?4
        AND k.idempotency_key = 'erased:' || (p.value ->> 'hash'))
      THEN json_set(p.value, '$.key', 'erased:' || (p.value ->> 'hash')) ELSE p.value END AS value
      FROM json_each(EVENTS) p ORDER BY p.rowid LIMIT -1) q) END";

/// The statement of an intake, which joins public cases by their references if it `seeks` them.
fn statement(seeks: bool) -> String {
    let only = "CASE WHEN EXISTS (SELECT 1 FROM forgetting f WHERE f.tenant = ?3) THEN NULL ELSE ?15 END";
    let events = REMEMBERED.replace("EVENTS", if seeks { NAMED } else { "?17" });
    INTAKE.replacen("?15", only, 1).replacen("?17", &events, 1)
}

/// The parameters of [`INTAKE`].
fn parameters(intake: Intake) -> Vec<Value> {
    let text = |name: &str| intake.envelope.get(name).and_then(Json::as_str).map_or(Value::Null, Value::from);
    let number = |name: &str| intake.envelope.get(name).and_then(Json::as_i64).map_or(Value::Null, Value::from);
    let known = intake.envelope.get("known").and_then(Json::as_bool).unwrap_or(false);
    vec![
        text("id"),
        i64::from(known).into(),
        text("tenant"),
        text("connector"),
        text("channel"),
        text("method"),
        text("target"),
        intake.envelope.get("headers").map_or(Value::Null, |headers| headers.to_string().into()),
        number("received_at"),
        text("verified_by"),
        text("nonce"),
        text("binding"),
        text("disposition"),
        text("reason"),
        intake.only_key().map_or(Value::Null, Value::from),
        i64::from(intake.ended()).into(),
        intake.events_json().into(),
        Value::Blob(intake.body),
        i64::try_from(intake.events.len()).unwrap_or(i64::MAX).into(),
        intake.digest.into(),
    ]
}

/// A condition on the disposition, if one is wanted.
pub(crate) fn filter(disposition: Option<&str>) -> Result<&'static str, StoreError> {
    Ok(match disposition {
        None => "",
        Some("accepted") => "AND disposition = 'accepted' ",
        // Named literally, so that the partial index serves.
        Some("pending") => "AND disposition = 'pending' AND disposition <> 'accepted' ",
        Some("quarantined") => "AND disposition = 'quarantined' AND disposition <> 'accepted' ",
        Some(other) => {
            return Err(StoreError::Invalid(format!(
                "there is no disposition {other:?}: it is pending, accepted or quarantined"
            )));
        }
    })
}

/// An envelope in a list: `seq, id, connector, method, target, received_at, verified_by, disposition, reason, body_bytes, events`.
pub(crate) fn summary(row: &Row) -> EnvelopeSummary {
    let text = |index| row.text(index).map(unescape).unwrap_or_default();
    EnvelopeSummary {
        id: text(1),
        connector: text(2),
        method: text(3),
        target: text(4),
        received_at: row.integer(5).unwrap_or(0),
        verified_by: text(6),
        disposition: match row.text(7) {
            Some("accepted") => Disposition::Accepted,
            Some("quarantined") => Disposition::Quarantined(text(8)),
            _ => Disposition::Pending,
        },
        body_bytes: row.integer(9).and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
        events: row.integer(10).and_then(|events| u32::try_from(events).ok()).unwrap_or(0),
    }
}

/// A whole envelope: `id, tenant, connector, method, target, headers, body, received_at, verified_by, nonce`.
pub(crate) fn envelope(row: &Row) -> Result<Envelope, StoreError> {
    let text = |index| row.text(index).map(unescape).unwrap_or_default();
    Ok(Envelope {
        id: row.text(0).map(str::to_owned),
        tenant: text(1),
        connector: text(2),
        method: text(3),
        target: text(4),
        headers: rows::headers(&store::json(row, 5)?).map_err(row_error)?,
        body: row.bytes(6).unwrap_or_default().to_vec(),
        received_at: row.integer(7).unwrap_or(0),
        verified_by: text(8),
        nonce: row.text(9).map(unescape),
    })
}

impl<C: Connect> SqliteStore<C> {
    pub(crate) async fn take_in(
        &self,
        envelope: Envelope,
        disposition: &Disposition,
        events: &[Event],
    ) -> Result<Json, StoreError> {
        let mut draws = Draws::default();
        loop {
            let intake = draws.intake(&envelope, disposition, events, self.random())?;
            let sql = statement(intake.seeks_a_public_case());
            match self.run(&sql, parameters(intake)).await {
                Ok(rows) => return store::json(rows.first().unwrap_or(&Row::default()), 0),
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
        let answer = self.take_in(envelope, &disposition, &events).await?;
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
        let (after, limit) = (store::cursor(&page)?.unwrap_or(0), limit(&page)?);
        let mut parameters = vec![tenant.into(), after.into(), (limit + 1).into()];
        let of_connector = if connector.is_some() { "AND connector = ?4 " } else { "" };
        parameters.extend(connector.map(Value::from));
        let sql = format!(
            "SELECT seq, event FROM event_rows WHERE tenant = ?1 AND seq > ?2 {of_connector}ORDER BY seq LIMIT ?3"
        );
        let mut rows = self.rows(&sql, parameters).await?;
        let next = cut(&mut rows, limit, 0);
        let event = |row: &Row| rows::stored_event(&store::json(row, 1)?).map_err(row_error);
        Ok(EventPage { events: rows.iter().map(event).collect::<Result<_, _>>()?, next })
    }

    pub(crate) async fn envelope_page(
        &self,
        tenant: String,
        disposition: Option<String>,
        page: Page,
    ) -> Result<EnvelopePage, StoreError> {
        let (before, limit) = (store::cursor(&page)?.unwrap_or(i64::MAX), limit(&page)?);
        let filter = filter(disposition.as_deref())?;
        let sql = format!(
            "SELECT seq, id, connector, method, target, received_at, verified_by, disposition, reason, body_bytes, events \
             FROM envelopes WHERE tenant = ?1 AND seq < ?2 {filter}ORDER BY seq DESC LIMIT ?3"
        );
        let mut rows = self.rows(&sql, vec![tenant.into(), before.into(), (limit + 1).into()]).await?;
        let next = cut(&mut rows, limit, 0);
        Ok(EnvelopePage { envelopes: rows.iter().map(summary).collect(), next })
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
        let sql = "SELECT id, tenant, connector, method, target, headers, body, received_at, verified_by, nonce, erased \
                   FROM envelopes WHERE tenant = ?1 AND id = ?2";
        let rows = self.rows(sql, vec![tenant.into(), id.into()]).await?;
        rows.first().map(|row| Ok((envelope(row)?, row.text(10).map(str::to_owned)))).transpose()
    }

    pub(crate) async fn ledger(&self, tenant: String) -> Result<Vec<Total>, StoreError> {
        let of_tenant = if tenant.is_empty() { "?1 = ''" } else { "tenant = ?1" };
        // What waits is found by its own index (envelopes_waiting), in the order in which it was stored.
        let sql = format!(
            "SELECT tenant, connector, disposition, envelopes, events, CASE WHEN disposition <> 'accepted' THEN (\
               SELECT v.received_at FROM envelopes v WHERE v.tenant = l.tenant AND v.connector = l.connector \
               AND v.disposition = l.disposition AND v.disposition <> 'accepted' ORDER BY v.seq LIMIT 1) END \
             FROM ledger l WHERE {of_tenant} AND envelopes > 0 ORDER BY tenant, connector, disposition"
        );
        let rows = self.rows(&sql, vec![tenant.into()]).await?;
        let count = |row: &Row, index| row.integer(index).and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
        let total = |row: &Row| Total {
            tenant: row.text(0).unwrap_or_default().to_owned(),
            connector: row.text(1).unwrap_or_default().to_owned(),
            disposition: row.text(2).unwrap_or_default().to_owned(),
            envelopes: count(row, 3),
            events: count(row, 4),
            oldest: row.integer(5),
        };
        Ok(rows.iter().map(total).collect())
    }

    /// A write that changes nothing still needs the write lock and a writable file.
    pub(crate) async fn writable(&self) -> Result<(), StoreError> {
        self.rows("DELETE FROM tenants WHERE code = ''", Vec::new()).await.map(drop)
    }
}
