//! Retention, erasure, the audit, and removal of a tenant (migrations/0008_privacy.sql).

use channel_sdk::types::Instant;
use serde_json::{Value as Json, json};
use store_sdk::database::{Connect, Row, Value};
use store_sdk::erasing::{self, Order, Privacy, Whom};
use store_sdk::ids::Random;
use store_sdk::log::{Page, StoreError};
use store_sdk::privacy::{AuditPage, Removal, Rule};
use store_sdk::provider::{author, bare, cursor, limit, row_error, unknown_case};
use store_sdk::text::storable_json;

use crate::PostgresStore;
use crate::store::{given, json as document, maybe, text};

impl<C: Connect> PostgresStore<C> {
    pub(crate) async fn rules_of(&self, tenant: String) -> Result<Vec<Rule>, StoreError> {
        let rows = self.read_rows("retention_1", vec![given(&tenant)]).await?;
        Ok(erasing::parse_rules(&document(rows.first().unwrap_or(&Row::default()), 0)?))
    }

    pub(crate) async fn put_rules(
        &self,
        tenant: String,
        rules: Vec<Rule>,
        by: String,
        at: Instant,
    ) -> Result<(), StoreError> {
        let (rules, said) = erasing::rules(&rules)?;
        let parameters = vec![
            given(&tenant),
            rules.to_string().into(),
            self.id(at)?.into(),
            at.into(),
            given(&author(&by)?),
            said.into(),
        ];
        self.call("set_retention_1", parameters).await.map(drop)
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
        let parameters = vec![
            given(&tenant),
            bare.as_str().into(),
            maybe(reason.as_deref()),
            self.id(at)?.into(),
            at.into(),
            given(&author(&by)?),
        ];
        match self.call("hold_1", parameters).await? {
            Json::Null => Err(unknown_case(&bare)),
            _ => Ok(()),
        }
    }

    pub(crate) async fn audit_of(&self, tenant: String, page: Page) -> Result<AuditPage, StoreError> {
        let (before, limit) = (cursor(&page)?.unwrap_or(i64::MAX), limit(&page)?);
        let rows = self.read_rows("audit_page_1", vec![given(&tenant), before.into(), (limit + 1).into()]).await?;
        let entry = |row: &Row| erasing::audit_entry(&document(row, 0)?).map_err(row_error);
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
        let parameters = vec![given(&tenant), self.id(at)?.into(), at.into(), given(&by), given(&why)];
        let head = self.call("remove_1", parameters).await?.as_str().map(str::to_owned);
        let removed = self.remove_more(&tenant, at, limit).await?;
        Ok(Removal { removed, more: removed > 0, head })
    }
}

impl<C: Connect> Privacy for PostgresStore<C> {
    fn randomness(&self) -> Random {
        self.random()
    }

    async fn concern(&self, tenant: &str, whom: &Whom) -> Result<Json, StoreError> {
        let parameters = vec![
            given(tenant),
            given(&whom.scheme),
            given(&whom.value),
            given(&whom.address),
            whom.reference.clone().into(),
        ];
        document(self.read_rows("concern_1", parameters).await?.first().unwrap_or(&Row::default()), 0)
    }

    async fn due(&self, at: i64, limit: u32) -> Result<Json, StoreError> {
        let parameters = vec![at.into(), erasing::masks().to_string().into(), i64::from(limit).into()];
        document(self.read_rows("due_1", parameters).await?.first().unwrap_or(&Row::default()), 0)
    }

    async fn blank(&self, order: &Order) -> Result<Option<Json>, StoreError> {
        let [people, words, raw, whole] = order.takes();
        let written = json!({
            "run": order.run, "at": order.at, "author": order.author, "action": order.action, "subject": order.subject,
            "reason": order.reason, "cases": order.cases, "contacts": order.contacts, "events": order.events,
            "envelopes": order.envelopes, "patch": erasing::patch(order.kind), "only": order.only(), "people": people, "words": words,
            "raw": raw, "whole": whole, "bits": order.bits(), "cutoff": order.cutoff,
        });
        let written = Value::Text(storable_json(&written.to_string()).into_owned());
        match self.call("blank_1", vec![given(&order.tenant), written]).await? {
            Json::Null => Ok(None),
            counts => Ok(Some(counts)),
        }
    }

    async fn being_removed(&self) -> Result<Option<String>, StoreError> {
        let rows = self.read_rows("being_removed_1", Vec::new()).await?;
        Ok(rows.first().map(|row| text(row, 0)))
    }

    async fn remove_more(&self, tenant: &str, at: i64, limit: u32) -> Result<u32, StoreError> {
        let parameters = vec![given(tenant), at.into(), self.id(at)?.into(), i64::from(limit).into()];
        let removed = self.call("remove_more_1", parameters).await?;
        Ok(removed.as_u64().and_then(|removed| u32::try_from(removed).ok()).unwrap_or(0))
    }
}
