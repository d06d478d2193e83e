//! The ledger: counts by period, and the chain over envelopes.

use serde_json::{Value as Json, json};
use store_sdk::chain::{Sealed, Seals, Unsealed};
use store_sdk::ledger::Account;
use store_sdk::log::{Envelope, EnvelopePage, Page, StoreError};
use store_sdk::rows::RowError;
use store_sdk::sealing::{self, Chain};

use crate::SqliteStore;
use crate::database::{Connect, Row};
use crate::errors::row_error;
use crate::log::{filter, summary};
use crate::store::{self, limit};

/// Envelopes are looked up by their ids, which begin with the time of receipt. What came twice has an index of its own, so that nobody else's
/// row is read to its end, which is behind the body. Seals that should be there are those there are, and the numbers that are missing between the
/// seal before the period and the one behind it (0 and the next one, where there is none).
const ACCOUNT: &str = "\
SELECT json_object(
  'lines', json((SELECT json_group_array(json_object('period', x.period, 'connector', x.connector, 'disposition', x.disposition,
      'envelopes', x.envelopes, 'events', x.events))
    FROM (SELECT b.key AS period, e.connector, e.disposition, count(*) AS envelopes, sum(e.events) AS events
      FROM json_each(?2) b CROSS JOIN envelopes e INDEXED BY envelopes_by_id
      WHERE e.tenant = ?1 AND e.id >= (b.value ->> 0) AND e.id < (b.value ->> 1)
      GROUP BY 1, 2, 3 ORDER BY 1, 2, 3) x)),
  'twice', json((SELECT json_group_array(json_object('period', x.period, 'connector', x.connector, 'disposition', x.disposition,
      'repeats', x.repeats, 'duplicates', x.duplicates))
    FROM (SELECT b.key AS period, e.connector, e.disposition, sum(e.repeats) AS repeats, sum(e.duplicates) AS duplicates
      FROM json_each(?2) b CROSS JOIN envelopes e INDEXED BY envelopes_twice
      WHERE e.tenant = ?1 AND e.id >= (b.value ->> 0) AND e.id < (b.value ->> 1) AND (e.repeats > 0 OR e.duplicates > 0)
      GROUP BY 1, 2, 3) x)),
  'stored', (SELECT count(*) FROM envelopes e INDEXED BY envelopes_by_id WHERE e.tenant = ?1 AND e.id >= ?3 AND e.id < ?4),
  'sealed', g.seals + (g.high - g.low - 1 - (SELECT count(*) FROM seals s WHERE s.tenant = ?1 AND s.n > g.low AND s.n < g.high)),
  'waiting', w.here,
  'counted', (SELECT coalesce(sum(l.envelopes), 0) FROM ledger l WHERE l.tenant = ?1),
  'head', g.head, 'link', (SELECT s.link FROM seals s WHERE s.tenant = ?1 AND s.n = g.head), 'unsealed', w.everywhere)
FROM (SELECT m.head, i.seals, min(m.before, m.after, coalesce(i.low - 1, m.before)) AS low, max(m.before, m.after, coalesce(i.high + 1, m.after)) AS high
  FROM (SELECT h.n AS head,
      coalesce((SELECT s.n FROM seals s INDEXED BY seals_by_envelope WHERE s.tenant = ?1 AND s.envelope < ?3 ORDER BY s.envelope DESC LIMIT 1), 0)
        AS before,
      coalesce((SELECT s.n FROM seals s INDEXED BY seals_by_envelope WHERE s.tenant = ?1 AND s.envelope >= ?4 ORDER BY s.envelope LIMIT 1), h.n + 1)
        AS after
    FROM (SELECT coalesce(max(n), 0) AS n FROM seals WHERE tenant = ?1) h LIMIT -1) m
  CROSS JOIN (SELECT count(*) AS seals, min(s.n) AS low, max(s.n) AS high FROM seals s INDEXED BY seals_by_envelope
    WHERE s.tenant = ?1 AND s.envelope >= ?3 AND s.envelope < ?4) i) g
CROSS JOIN (SELECT count(*) AS everywhere, count(*) FILTER (WHERE e.id >= ?3 AND e.id < ?4) AS here FROM envelopes e NOT INDEXED
  WHERE e.tenant = ?1 AND e.seq > (SELECT coalesce(max(s.place), 0) FROM seals s)) w";

/// One writer at a time commits, so the numbers of envelopes are the order of their commits; all tenants are sealed up to the same one.
const UNSEALED: &str = "\
SELECT json_object('tenant', e.tenant, 'id', e.id, 'place', e.seq, 'digest', e.digest, 'number', coalesce(s.n, 0), 'link', s.link)
FROM envelopes e
LEFT JOIN seals s ON s.tenant = e.tenant AND s.n = (SELECT max(h.n) FROM seals h WHERE h.tenant = e.tenant)
WHERE e.seq > (SELECT coalesce(max(p.place), 0) FROM seals p) ORDER BY e.seq LIMIT ?1";

/// Nothing, if one of the chains has grown meanwhile: somebody else was faster.
const SEAL: &str = "\
INSERT INTO seals (tenant, n, envelope, place, digest, link, sealed_at)
SELECT x.value ->> 'tenant', x.value ->> 'n', x.value ->> 'envelope', x.value ->> 'place', x.value ->> 'digest', x.value ->> 'link', ?3
FROM json_each(?2) x
WHERE NOT EXISTS (SELECT 1 FROM json_each(?1) h
  WHERE (SELECT coalesce(max(s.n), 0) FROM seals s WHERE s.tenant = h.value ->> 0) <> h.value ->> 1)
RETURNING n";

const SEALS: &str = "\
SELECT json_object('n', s.n, 'envelope', s.envelope, 'place', s.place, 'digest', s.digest, 'link', s.link, 'bytes', e.body_bytes,
  'erased', x.erased, 'told', (SELECT 1 FROM audit a WHERE a.tenant = s.tenant AND a.id = x.erased AND a.action IN ('erase', 'retain')
    AND a.counts ->> 'envelopes' = (SELECT count(*) FROM envelopes y INDEXED BY envelopes_by_erasure
      WHERE y.tenant = s.tenant AND y.erased = x.erased AND y.erased IS NOT NULL)))
FROM seals s LEFT JOIN envelopes e ON e.tenant = s.tenant AND e.id = s.envelope
LEFT JOIN envelopes x INDEXED BY envelopes_erased ON x.tenant = s.tenant AND x.id = s.envelope AND x.erased IS NOT NULL
WHERE s.tenant = ?1 AND s.n >= ?2 ORDER BY s.n LIMIT ?3";

/// By their numbers: without statistics SQLite would take an index that begins with the tenant, and read all of them.
const ADDED: &str = "\
SELECT e.seq, e.id FROM envelopes e NOT INDEXED
WHERE e.tenant = ?1 AND e.seq > ?2 AND e.seq <= coalesce(?3, (SELECT max(s.place) FROM seals s))
  AND NOT EXISTS (SELECT 1 FROM seals s WHERE s.tenant = e.tenant AND s.place = e.seq)
ORDER BY e.seq LIMIT 100";

fn each<T>(rows: &[Row], read: impl Fn(&Json) -> Result<T, RowError>) -> Result<Vec<T>, StoreError> {
    rows.iter().map(|row| read(&store::json(row, 0)?).map_err(row_error)).collect()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl<C: Connect> SqliteStore<C> {
    pub(crate) async fn accounted(&self, tenant: String, bounds: &[i64]) -> Result<Account, StoreError> {
        let periods = sealing::periods(bounds)?.to_string();
        let (first, behind) = sealing::range(bounds);
        let rows = self.rows(ACCOUNT, vec![tenant.into(), periods.into(), first.into(), behind.into()]).await?;
        sealing::account(&store::json(rows.first().unwrap_or(&Row::default()), 0)?).map_err(row_error)
    }

    pub(crate) async fn link_of(&self, tenant: String, number: u64) -> Result<Option<String>, StoreError> {
        let sql = "SELECT link FROM seals WHERE tenant = ?1 AND n = ?2";
        let rows = self.rows(sql, vec![tenant.into(), signed(number).into()]).await?;
        Ok(rows.first().and_then(|row| row.text(0)).map(str::to_owned))
    }

    pub(crate) async fn received_between(
        &self,
        tenant: String,
        (first, end): (String, String),
        disposition: Option<&str>,
        page: &Page,
    ) -> Result<EnvelopePage, StoreError> {
        let limit = limit(page)?;
        let sql = format!(
            "SELECT seq, id, connector, method, target, received_at, verified_by, disposition, reason, body_bytes, events \
             FROM envelopes INDEXED BY envelopes_by_id WHERE tenant = ?1 AND id >= ?2 AND id < ?3 {}ORDER BY id DESC LIMIT ?4",
            filter(disposition)?
        );
        let rows = self.rows(&sql, vec![tenant.into(), first.into(), end.into(), (limit + 1).into()]).await?;
        Ok(sealing::page(rows.iter().map(summary).collect(), page))
    }
}

impl<C: Connect> Chain for SqliteStore<C> {
    async fn unsealed(&self, limit: u32) -> Result<Vec<Unsealed>, StoreError> {
        each(&self.rows(UNSEALED, vec![i64::from(limit).into()]).await?, sealing::unsealed)
    }

    async fn whole(&self, tenant: &str, id: &str) -> Result<Option<Envelope>, StoreError> {
        Ok(self.whole_envelope(tenant.to_owned(), id.to_owned()).await?.map(|(envelope, _)| envelope))
    }

    async fn append(&self, seals: Seals, at: i64) -> Result<u32, StoreError> {
        let (heads, rows) = (Json::from(seals.heads).to_string(), Json::from(seals.rows).to_string());
        let written = self.rows(SEAL, vec![heads.into(), rows.into(), at.into()]).await?;
        Ok(u32::try_from(written.len()).unwrap_or(u32::MAX))
    }

    async fn seals(&self, tenant: &str, from: u64, limit: u32) -> Result<Vec<Sealed>, StoreError> {
        let parameters = vec![tenant.into(), signed(from).into(), i64::from(limit).into()];
        each(&self.rows(SEALS, parameters).await?, sealing::sealed)
    }

    async fn bodies(&self, tenant: &str, ids: &[&str]) -> Result<Vec<Envelope>, StoreError> {
        let sql = "SELECT id, tenant, connector, method, target, headers, body, received_at, verified_by, nonce \
                   FROM envelopes WHERE tenant = ?1 AND id IN (SELECT value FROM json_each(?2))";
        let rows = self.rows(sql, vec![tenant.into(), json!(ids).to_string().into()]).await?;
        Ok(rows.iter().filter_map(|row| crate::log::envelope(row).ok()).collect())
    }

    async fn added(&self, tenant: &str, after: i64, upto: Option<i64>) -> Result<Vec<(i64, String)>, StoreError> {
        let rows = self.rows(ADDED, vec![tenant.into(), after.into(), upto.into()]).await?;
        Ok(rows.iter().filter_map(|row| Some((row.integer(0)?, row.text(1)?.to_owned()))).collect())
    }
}
