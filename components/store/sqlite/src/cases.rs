//! Cases and contacts, as staff work with them.

use channel_sdk::types::Instant;
use channel_sdk::{json, reference};
use store_sdk::cases::{CaseDetail, CaseSummary, Contact, Note, Update};
use store_sdk::log::StoreError;
use store_sdk::rows;
use store_sdk::text::escape;

use crate::SqliteStore;
use crate::database::{Connect, Row, Value};
use crate::errors::row_error;
use crate::store;

const DETAIL: &str = "\
SELECT json_object('summary', json(c.summary),
  'events', json((SELECT json_group_array(json_object('seq', v.seq, 'row', json(v.event)))
    FROM (SELECT seq, event FROM event_rows WHERE tenant = c.tenant AND case_id = c.id ORDER BY seq DESC LIMIT 500) v)),
  'notes', json((SELECT json_group_array(json_object('id', n.id, 'author', n.author, 'text', n.text, 'at', n.at))
    FROM (SELECT * FROM notes WHERE tenant = c.tenant AND case_id = c.id ORDER BY seq) n)),
  'history', json((SELECT json_group_array(json_object('at', h.at, 'author', h.author, 'field', h.field, 'before', h.before,
      'after', h.after))
    FROM (SELECT * FROM history WHERE tenant = c.tenant AND case_id = c.id ORDER BY seq) h)),
  'replies', json((SELECT json_group_array(json_object('id', o.id, 'connector', o.connector, 'author', o.author, 'text', o.text,
      'automatic', o.automatic, 'created_at', o.created_at, 'state', o.state, 'due_at', o.due_at, 'settled_at', o.settled_at,
      'reason', o.reason, 'message_id', o.message_id,
      'reports', json((SELECT json_group_array(json_object('status', r.json ->> 'status', 'at', r.received_at))
        FROM (SELECT seq, received_at, json FROM events INDEXED BY events_by_message
            WHERE tenant = o.tenant AND message_id = o.message_id AND kind = 'status'
          UNION SELECT seq, received_at, json FROM events INDEXED BY events_by_case
            WHERE tenant = o.tenant AND case_id = o.case_id AND kind = 'status' AND json ->> 'in_reply_to' = o.message_id
          ORDER BY seq) r))))
    FROM (SELECT * FROM (SELECT * FROM outbox INDEXED BY outbox_by_case WHERE tenant = c.tenant AND case_id = c.id
      ORDER BY seq DESC LIMIT 500) ORDER BY seq) o)))
FROM case_rows_2 c WHERE c.tenant = ?1 AND c.reference = ?2";

/// The summary of the case a change was made to, for `RETURNING`.
const SUMMARY: &str = "(SELECT c.summary FROM case_rows_2 c WHERE c.tenant = ?1 AND c.reference = ?2)";

/// Ten bare digits, or why not.
pub(crate) fn bare(text: &str) -> Result<String, StoreError> {
    reference::parse(text).map_err(|error| StoreError::Invalid(format!("{error}: check it and type it again")))
}

fn unknown(bare: &str) -> StoreError {
    StoreError::Invalid(format!("there is no case {}: check the reference", reference::format(bare)))
}

fn summary(rows: &[Row], bare: &str) -> Result<CaseSummary, StoreError> {
    match rows.first() {
        Some(row) if row.text(0).is_some() => rows::summary(&store::json(row, 0)?).map_err(row_error),
        _ => Err(unknown(bare)),
    }
}

fn author(name: &str) -> Result<Value, StoreError> {
    if name.trim().is_empty() {
        return Err(StoreError::Invalid("who does it must be named: the author is empty".into()));
    }
    Ok(escape(name).into())
}

impl<C: Connect> SqliteStore<C> {
    pub(crate) async fn read(&self, tenant: String, reference: String) -> Result<Option<CaseDetail>, StoreError> {
        let rows = self.rows(DETAIL, vec![tenant.into(), bare(&reference)?.into()]).await?;
        rows.first().map(|row| rows::detail(&store::json(row, 0)?).map_err(row_error)).transpose()
    }

    pub(crate) async fn update(
        &self,
        tenant: String,
        reference: String,
        changes: Update,
        by: String,
        at: Instant,
    ) -> Result<CaseSummary, StoreError> {
        let bare = bare(&reference)?;
        if changes.priority.is_some_and(|priority| !(1..=5).contains(&priority)) {
            return Err(StoreError::Invalid("the priority must be 1 to 5".into()));
        }
        let sql = format!(
            "INSERT INTO case_changes (tenant, reference, status, department, assignee, priority, author, at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING {SUMMARY}"
        );
        let parameters = vec![
            tenant.into(),
            bare.as_str().into(),
            changes.status.map(json::case_status_name).into(),
            changes.department.as_deref().map(escape).into(),
            changes.assignee.as_deref().map(escape).into(),
            changes.priority.map(i64::from).into(),
            author(&by)?,
            at.into(),
        ];
        summary(&self.rows(&sql, parameters).await?, &bare)
    }

    pub(crate) async fn note(
        &self,
        tenant: String,
        reference: String,
        text: String,
        by: String,
        at: Instant,
    ) -> Result<Note, StoreError> {
        let bare = bare(&reference)?;
        if text.trim().is_empty() {
            return Err(StoreError::Invalid("the note is empty: write something".into()));
        }
        let id = self.id(at)?;
        let sql = "INSERT INTO case_notes (tenant, reference, id, author, text, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                   RETURNING (SELECT n.seq FROM notes n JOIN cases c ON c.tenant = n.tenant AND c.id = n.case_id \
                     WHERE c.tenant = ?1 AND c.reference = ?2 AND n.id = ?3)";
        let parameters = vec![
            tenant.into(),
            bare.as_str().into(),
            id.as_str().into(),
            author(&by)?,
            escape(&text).into(),
            at.into(),
        ];
        let rows = self.rows(sql, parameters).await?;
        match rows.first().and_then(|row| row.integer(0)) {
            Some(_) => Ok(Note { id, author: by, text, at }),
            None => Err(unknown(&bare)),
        }
    }

    pub(crate) async fn finish(
        &self,
        tenant: String,
        reference: String,
        task: String,
        by: String,
        at: Instant,
    ) -> Result<CaseSummary, StoreError> {
        let bare = bare(&reference)?;
        let sql = format!(
            "INSERT INTO tasks_done (tenant, reference, task, author, at) VALUES (?1, ?2, ?3, ?4, ?5) \
             RETURNING {SUMMARY}, (SELECT 1 FROM tasks t JOIN cases c ON c.tenant = t.tenant AND c.id = t.case_id \
               WHERE c.tenant = ?1 AND c.reference = ?2 AND t.id = ?3)"
        );
        let parameters = vec![tenant.into(), bare.as_str().into(), task.into(), author(&by)?, at.into()];
        let rows = self.rows(&sql, parameters).await?;
        let summary = summary(&rows, &bare)?;
        match rows.first().and_then(|row| row.integer(1)) {
            Some(_) => Ok(summary),
            None => Err(StoreError::Invalid("the case has no such task: use an id of its open tasks".into())),
        }
    }

    pub(crate) async fn answer(
        &self,
        tenant: String,
        reference: String,
        text: String,
        by: String,
        at: Instant,
    ) -> Result<String, StoreError> {
        let bare = bare(&reference)?;
        let text = if text.trim().is_empty() { "" } else { &text };
        let id = self.id(at)?;
        let sql = "INSERT INTO case_replies (tenant, reference, id, author, text, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                   RETURNING (SELECT c.id FROM cases c WHERE c.tenant = ?1 AND c.reference = ?2), \
                     (SELECT o.seq FROM outbox o WHERE o.id = ?3)";
        let parameters =
            vec![tenant.into(), bare.as_str().into(), id.as_str().into(), author(&by)?, escape(text).into(), at.into()];
        let rows = self.rows(sql, parameters).await?;
        match rows.first().map(|row| (row.integer(0), row.integer(1))) {
            Some((Some(_), Some(_))) => Ok(id),
            Some((Some(_), None)) if text.is_empty() => {
                Err(StoreError::Invalid("the reply is empty: write something".into()))
            }
            Some((Some(_), None)) => Err(StoreError::Invalid(
                "nobody can be answered: no event of this case has a sender (a withheld number, for instance)".into(),
            )),
            _ => Err(unknown(&bare)),
        }
    }

    pub(crate) async fn join(
        &self,
        view: &str,
        tenant: String,
        into: String,
        other: String,
        by: String,
        at: Instant,
    ) -> Result<Contact, StoreError> {
        let sql = format!(
            "INSERT INTO {view} (tenant, into_contact, other_contact, author, at) VALUES (?1, ?2, ?3, ?4, ?5) \
             RETURNING (SELECT k.contact FROM contact_rows_2 k WHERE k.tenant = ?1 AND k.id = ?2)"
        );
        let rows = self.rows(&sql, vec![tenant.into(), into.into(), other.into(), author(&by)?, at.into()]).await?;
        rows::contact(&store::json(rows.first().unwrap_or(&Row::default()), 0)?).map_err(row_error)
    }
}
