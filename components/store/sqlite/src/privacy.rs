//! Retention, erasure, the audit, and removal of a tenant. The statement that blanks is a view with a trigger (migrations/0010_privacy.sql).

use channel_sdk::types::Instant;
use serde_json::Value as Json;
use store_sdk::erasing::{self, Order, Privacy, Whom};
use store_sdk::ids::Random;
use store_sdk::log::{Page, StoreError};
use store_sdk::privacy::{AuditPage, Removal, Rule};
use store_sdk::provider::{author, bare, unknown_case};

use crate::SqliteStore;
use crate::database::{Connect, Row, Value};
use crate::errors::{row_error, store_error};
use crate::store::{self, limit};

/// An envelope may be of two cases; who asks for one is told when the other is on hold.
const CONCERN: &str = "\
WITH mine (id) AS MATERIALIZED (
  SELECT m.id FROM handles h CROSS JOIN contacts k ON k.tenant = h.tenant AND k.id = h.contact
    CROSS JOIN contacts m INDEXED BY contacts_by_root ON m.tenant = k.tenant AND m.root = k.root
  WHERE ?5 IS NULL AND h.tenant = ?1 AND (?2 = '' OR h.scheme = ?2) AND (h.value = ?3 OR (h.scheme = 'email' AND h.value = ?4))),
their (id, reference, held) AS MATERIALIZED (
  SELECT c.id, c.reference, c.held IS NOT NULL FROM mine CROSS JOIN cases c INDEXED BY cases_by_contact
    ON c.tenant = ?1 AND c.contact = mine.id WHERE c.contact IS NOT NULL
  UNION SELECT c.id, c.reference, c.held IS NOT NULL FROM cases c WHERE c.tenant = ?1 AND c.reference = ?5),
facts (seq, key, envelope) AS MATERIALIZED (
  SELECT e.seq, e.idempotency_key, e.envelope FROM their CROSS JOIN events e INDEXED BY events_by_case
    ON e.tenant = ?1 AND e.case_id = their.id WHERE e.case_id IS NOT NULL
  UNION SELECT e.seq, e.idempotency_key, e.envelope FROM mine CROSS JOIN events e INDEXED BY events_by_contact
    ON e.tenant = ?1 AND e.contact = mine.id WHERE e.contact IS NOT NULL),
papers (id) AS MATERIALIZED (
  SELECT f.envelope FROM facts f UNION SELECT g.envelope FROM facts f CROSS JOIN again g ON g.tenant = ?1 AND g.event = f.seq),
held (reference) AS (
  SELECT c.reference FROM papers p CROSS JOIN events y INDEXED BY events_by_envelope ON y.tenant = ?1 AND y.envelope = p.id
    CROSS JOIN cases c ON c.id = y.case_id WHERE c.held IS NOT NULL AND c.id NOT IN (SELECT t.id FROM their t))
SELECT json_object(
  'contacts', json((SELECT json_group_array(id) FROM mine)),
  'cases', json((SELECT json_group_array(json_array(x.id, x.reference, x.held)) FROM (
    SELECT * FROM their UNION SELECT 0, reference, 1 FROM held) x)),
  'events', json((SELECT json_group_array(json_array(seq, key)) FROM facts)),
  'envelopes', (SELECT count(*) FROM papers p CROSS JOIN envelopes v ON v.tenant = ?1 AND v.id = p.id
    WHERE NOT EXISTS (SELECT 1 FROM envelopes x INDEXED BY envelopes_erased
      WHERE x.tenant = ?1 AND x.id = p.id AND x.erased IS NOT NULL)),
  'notes', (SELECT count(*) FROM their t CROSS JOIN notes n ON n.tenant = ?1 AND n.case_id = t.id WHERE n.text <> ''),
  'replies', (SELECT count(*) FROM their t CROSS JOIN outbox o INDEXED BY outbox_by_case ON o.tenant = ?1 AND o.case_id = t.id
    WHERE o.text <> '' OR o.state = 'queued' OR o.message_id IS NOT NULL OR (o.state = 'failed' AND o.reason IS NOT 'erased')),
  'not_understood', (SELECT count(*) FROM envelopes v INDEXED BY envelopes_to_look_at
    WHERE v.tenant = ?1 AND v.disposition IN ('pending', 'quarantined') AND v.disposition <> 'accepted'))";

/// The first rule that has something due; the others are not even looked at.
const DUE: &str = "\
SELECT json_object('tenant', d.tenant, 'kind', d.kind, 'cutoff', d.cutoff, 'cases', json(d.cases), 'alone', json_array_length(d.alone),
  'envelopes', json(d.envelopes),
  'events', json((SELECT json_group_array(json_array(x.seq, x.idempotency_key)) FROM (
    SELECT e.seq, e.idempotency_key FROM json_each(d.cases) j CROSS JOIN events e INDEXED BY events_by_case
      ON e.tenant = d.tenant AND e.case_id = j.value WHERE e.case_id IS NOT NULL
    UNION ALL SELECT e.seq, e.idempotency_key FROM json_each(d.alone) j CROSS JOIN events e ON e.seq = j.value) x)))
FROM (
  SELECT r.tenant, r.kind, ?1 - r.days * 86400000 AS cutoff,
    (SELECT json_group_array(x.id) FROM (SELECT c.id FROM json_each(?2, '$.' || r.kind) m CROSS JOIN cases c INDEXED BY cases_finished
      ON c.tenant = r.tenant AND c.retained = m.value AND c.updated_at <= ?1 - r.days * 86400000
      WHERE c.status IN ('resolved', 'closed') AND c.erased IS NULL AND c.held IS NULL LIMIT ?3) x) AS cases,
    (SELECT json_group_array(x.seq) FROM (SELECT e.seq FROM json_each(?2, '$.' || r.kind) m CROSS JOIN events e INDEXED BY events_alone
      ON e.tenant = r.tenant AND e.retained = m.value AND e.received_at <= ?1 - r.days * 86400000
      WHERE e.case_id IS NULL LIMIT ?3) x) AS alone,
    (SELECT json_group_array(x.id) FROM (SELECT v.id FROM envelopes v INDEXED BY envelopes_alone
      WHERE v.tenant = r.tenant AND v.received_at <= ?1 - r.days * 86400000 AND v.events = 0 AND v.disposition = 'accepted'
        AND v.erased IS NULL AND r.kind IN ('envelopes', 'cases') LIMIT ?3) x) AS envelopes
  FROM retention r LIMIT -1) d
WHERE d.cases <> '[]' OR d.alone <> '[]' OR d.envelopes <> '[]' LIMIT 1";

const BLANK: &str = "\
INSERT INTO blanking (tenant, run, at, author, action, subject, reason, cases, contacts, events, envelopes, patch, only_of, people, words, raw,
    whole, bits, cutoff)
  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
  RETURNING (SELECT a.counts FROM audit a WHERE a.tenant = blanking.tenant AND a.id = blanking.run)";

const AUDIT: &str = "\
SELECT json_object('n', a.n, 'id', a.id, 'at', a.at, 'author', a.author, 'action', a.action, 'subject', a.subject, 'counts', json(a.counts),
  'reason', a.reason)
FROM audit a WHERE a.tenant = ?1 AND a.n < ?2 ORDER BY a.n DESC LIMIT ?3";

/// Tables with the key of a row within the tenant, in the order in which they are emptied: seals after what they seal, so that nothing is sealed anew.
const TABLES: [(&str, &str); 20] = [
    ("outbox", "seq"),
    ("acknowledgements", "connector, what"),
    ("tasks", "case_id, id"),
    ("notes", "seq"),
    ("feed_changes", "seq"),
    ("history", "seq"),
    ("again", "event, envelope"),
    ("events", "seq"),
    ("threads", "connector, thread"),
    ("cases", "id"),
    ("handles", "scheme, value"),
    ("contact_joins", "seq"),
    ("contacts", "id"),
    ("nonces", "connector, nonce"),
    ("envelopes", "seq"),
    ("seals", "n"),
    ("ledger", "connector, disposition"),
    ("destinations", "name"),
    ("retention", "kind"),
    ("forgetting", "tenant"),
];

fn text(json: &Json) -> Value {
    json.to_string().into()
}

impl<C: Connect> SqliteStore<C> {
    pub(crate) async fn rules_of(&self, tenant: String) -> Result<Vec<Rule>, StoreError> {
        let sql = "SELECT json_group_object(kind, days) FROM retention WHERE tenant = ?1";
        let rows = self.rows(sql, vec![tenant.into()]).await?;
        Ok(erasing::parse_rules(&store::json(rows.first().unwrap_or(&Row::default()), 0)?))
    }

    pub(crate) async fn put_rules(
        &self,
        tenant: String,
        rules: Vec<Rule>,
        by: String,
        at: Instant,
    ) -> Result<(), StoreError> {
        let (rules, said) = erasing::rules(&rules)?;
        let sql = "INSERT INTO retention_set (tenant, rules, id, at, author, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let parameters =
            vec![tenant.into(), text(&rules), self.id(at)?.into(), at.into(), author(&by)?.into(), said.into()];
        self.rows(sql, parameters).await.map(drop)
    }

    pub(crate) async fn put_hold(
        &self,
        tenant: String,
        reference: String,
        reason: Option<String>,
        by: String,
        at: Instant,
    ) -> Result<(), StoreError> {
        let bare = bare(&reference)?;
        let reason = reason.as_deref().map(erasing::reason).transpose()?;
        let sql = "INSERT INTO holding (tenant, reference, id, at, author, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                   RETURNING (SELECT c.id FROM cases c WHERE c.tenant = ?1 AND c.reference = ?2)";
        let parameters = vec![
            tenant.into(),
            bare.as_str().into(),
            self.id(at)?.into(),
            at.into(),
            author(&by)?.into(),
            reason.into(),
        ];
        match self.rows(sql, parameters).await?.first().and_then(|row| row.integer(0)) {
            Some(_) => Ok(()),
            None => Err(unknown_case(&bare)),
        }
    }

    pub(crate) async fn audit_of(&self, tenant: String, page: Page) -> Result<AuditPage, StoreError> {
        let (before, limit) = (store::cursor(&page)?.unwrap_or(i64::MAX), limit(&page)?);
        let rows = self.rows(AUDIT, vec![tenant.into(), before.into(), (limit + 1).into()]).await?;
        let entry = |row: &Row| erasing::audit_entry(&store::json(row, 0)?).map_err(row_error);
        Ok(erasing::audit_page(rows.iter().map(entry).collect::<Result<_, _>>()?, &page))
    }

    pub(crate) async fn remove(
        &self,
        tenant: String,
        by: String,
        why: String,
        at: Instant,
        limit: u32,
    ) -> Result<Removal, StoreError> {
        if !(1..=10_000).contains(&limit) {
            return Err(StoreError::Invalid(format!("the limit is {limit}: it must be 1 to 10000")));
        }
        let (by, why) = (author(&by)?, erasing::reason(&why)?);
        let sql = "INSERT INTO removal_begun (tenant, id, at, author, reason) VALUES (?1, ?2, ?3, ?4, ?5) \
                   RETURNING (SELECT r.head FROM removals r WHERE r.tenant = ?1)";
        let parameters = vec![tenant.as_str().into(), self.id(at)?.into(), at.into(), by.into(), why.into()];
        let rows = self.rows(sql, parameters).await?;
        let head = rows.first().and_then(|row| row.text(0)).map(str::to_owned);
        let removed = self.remove_more(&tenant, at, limit).await?;
        Ok(Removal { removed, more: removed > 0, head })
    }

    /// What was deleted is overwritten in the file too, and leaves the write-ahead log. Both are asked of the connection that writes; a host that does not
    /// let them through has its own way (docs/privacy.md).
    async fn thoroughly(&self) {
        let _ = self.run("PRAGMA secure_delete = ON", Vec::new()).await;
    }

    async fn rinse(&self) {
        for _ in 0..5 {
            // `busy, log, checkpointed`: somebody still reads what was before.
            let done = self.run("PRAGMA wal_checkpoint(TRUNCATE)", Vec::new()).await;
            if done.is_ok_and(|rows| rows.first().and_then(|row| row.integer(0)) != Some(1)) {
                break;
            }
        }
    }
}

impl<C: Connect> Privacy for SqliteStore<C> {
    fn randomness(&self) -> Random {
        self.random()
    }

    async fn concern(&self, tenant: &str, whom: &Whom) -> Result<Json, StoreError> {
        let parameters = vec![
            tenant.into(),
            whom.scheme.as_str().into(),
            whom.value.as_str().into(),
            whom.address.as_str().into(),
            whom.reference.clone().into(),
        ];
        store::json(self.rows(CONCERN, parameters).await?.first().unwrap_or(&Row::default()), 0)
    }

    async fn due(&self, at: i64, limit: u32) -> Result<Json, StoreError> {
        // Most have no rules, and look at nothing else.
        if self.rows("SELECT 1 FROM retention LIMIT 1", Vec::new()).await?.is_empty() {
            return Ok(Json::Null);
        }
        let parameters = vec![at.into(), text(&erasing::masks()), i64::from(limit).into()];
        store::json(self.rows(DUE, parameters).await?.first().unwrap_or(&Row::default()), 0)
    }

    async fn blank(&self, order: &Order) -> Result<Option<Json>, StoreError> {
        let [people, words, raw, whole] = order.takes().map(|takes| Value::from(i64::from(takes)));
        let parameters = vec![
            order.tenant.as_str().into(),
            order.run.as_str().into(),
            order.at.into(),
            order.author.as_str().into(),
            order.action.into(),
            order.subject.clone().into(),
            order.reason.as_str().into(),
            text(&order.cases),
            text(&order.contacts),
            text(&order.events),
            text(&order.envelopes),
            text(&erasing::patch(order.kind)),
            order.only().into(),
            people,
            words,
            raw,
            whole,
            order.bits().into(),
            order.cutoff.into(),
        ];
        self.thoroughly().await;
        match self.run(BLANK, parameters).await {
            Ok(rows) => {
                self.rinse().await;
                store::json(rows.first().unwrap_or(&Row::default()), 0).map(Some)
            }
            // A hold that came just now is no error of retention: the case is not due any more.
            Err(error) if error.0.contains("ventanilla:moved") => Ok(None),
            Err(error) if error.0.contains("ventanilla:held") && order.cutoff.is_some() => Ok(None),
            Err(error) => Err(store_error(&error)),
        }
    }

    async fn being_removed(&self) -> Result<Option<String>, StoreError> {
        let rows = self.rows("SELECT tenant FROM removals WHERE done_at IS NULL LIMIT 1", Vec::new()).await?;
        Ok(rows.first().and_then(|row| row.text(0)).map(str::to_owned))
    }

    async fn remove_more(&self, tenant: &str, at: i64, limit: u32) -> Result<u32, StoreError> {
        let sql = "SELECT 1 FROM removals WHERE tenant = ?1 AND done_at IS NULL";
        if self.rows(sql, vec![tenant.into()]).await?.is_empty() {
            return Ok(0);
        }
        self.thoroughly().await;
        let sql = "DELETE FROM outbox_progress WHERE id IN (SELECT o.id FROM outbox o WHERE o.tenant = ?1)";
        self.rows(sql, vec![tenant.into()]).await?;
        let mut removed = 0;
        for (table, key) in TABLES {
            while removed < limit {
                let sql = format!(
                    "DELETE FROM {table} WHERE tenant = ?1 AND ({key}) IN (SELECT {key} FROM {table} WHERE tenant = ?1 LIMIT ?2) RETURNING 1"
                );
                // A request must not hold up the others for long.
                let part = (limit - removed).min(500);
                let gone = self.rows(&sql, vec![tenant.into(), i64::from(part).into()]).await?.len();
                removed += u32::try_from(gone).unwrap_or(u32::MAX);
                if gone < part as usize {
                    break;
                }
            }
        }
        if removed == 0 {
            let sql = "INSERT INTO removal_done (tenant, id, at) VALUES (?1, ?2, ?3)";
            self.rows(sql, vec![tenant.into(), self.id(at)?.into(), at.into()]).await?;
            self.rinse().await;
        }
        Ok(removed)
    }
}
