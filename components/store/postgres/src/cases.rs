//! Cases and contacts, as staff work with them.

use channel_sdk::json as names;
use channel_sdk::types::Instant;
use serde_json::Value as Json;
use store_sdk::cases::{CaseDetail, CaseSummary, Contact, Note, Update};
use store_sdk::database::{Connect, Value};
use store_sdk::log::StoreError;
use store_sdk::provider::{author, bare, row_error, unknown_case};
use store_sdk::rows;
use store_sdk::text::escape;

use crate::PostgresStore;
use crate::store::{given, json as document, maybe};

fn escaped(text: Option<&str>) -> Value {
    maybe(text.map(escape).as_deref())
}

impl<C: Connect> PostgresStore<C> {
    pub(crate) async fn read(&self, tenant: String, reference: String) -> Result<Option<CaseDetail>, StoreError> {
        let rows = self.read_rows("case_1", vec![given(&tenant), bare(&reference)?.into()]).await?;
        rows.first().map(|row| rows::detail(&document(row, 0)?).map_err(row_error)).transpose()
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
        let parameters = vec![
            given(&tenant),
            bare.as_str().into(),
            changes.status.map(names::case_status_name).into(),
            escaped(changes.department.as_deref()),
            escaped(changes.assignee.as_deref()),
            changes.priority.map(i64::from).into(),
            given(&author(&by)?),
            at.into(),
        ];
        match self.call("change_1", parameters).await? {
            Json::Null => Err(unknown_case(&bare)),
            summary => rows::summary(&summary).map_err(row_error),
        }
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
        let parameters = vec![
            given(&tenant),
            bare.as_str().into(),
            id.as_str().into(),
            given(&author(&by)?),
            given(&escape(&text)),
            at.into(),
        ];
        match self.call("note_1", parameters).await? {
            Json::Null => Err(unknown_case(&bare)),
            _ => Ok(Note { id, author: by, text, at }),
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
        let parameters = vec![given(&tenant), bare.as_str().into(), given(&task), given(&author(&by)?), at.into()];
        let answer = self.call("complete_task_1", parameters).await?;
        let summary = answer.get("summary").ok_or_else(|| unknown_case(&bare))?;
        match answer.get("known") {
            Some(Json::Bool(true)) => rows::summary(summary).map_err(row_error),
            _ => Err(StoreError::Invalid("the case has no such task: use an id of its open tasks".into())),
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
        let parameters = vec![
            given(&tenant),
            bare.as_str().into(),
            id.as_str().into(),
            given(&author(&by)?),
            given(&escape(text)),
            at.into(),
        ];
        let answer = self.call("reply_1", parameters).await?;
        match answer.get("answered").map(Json::as_bool) {
            None => Err(unknown_case(&bare)),
            Some(Some(true)) => Ok(id),
            Some(_) if text.is_empty() => Err(StoreError::Invalid("the reply is empty: write something".into())),
            Some(_) => Err(StoreError::Invalid(
                "nobody can be answered: no event of this case has a sender (a withheld number, for instance)".into(),
            )),
        }
    }

    pub(crate) async fn join(
        &self,
        procedure: &str,
        tenant: String,
        into: String,
        other: String,
        by: String,
        at: Instant,
    ) -> Result<Contact, StoreError> {
        let parameters = vec![given(&tenant), given(&into), given(&other), given(&author(&by)?), at.into()];
        rows::contact(&self.call(procedure, parameters).await?).map_err(row_error)
    }
}
