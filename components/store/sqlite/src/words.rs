//! What staff look for. A search costs the same however many cases there are: words are found by the index of their beginnings, and of words
//! that are everywhere a page looks at so many cases and says where the next one goes on.

use channel_sdk::json;
use store_sdk::cases::{CasePage, Query};
use store_sdk::log::{Page, StoreError};
use store_sdk::rows;
use store_sdk::words::{self, Asked, LOOKED_AT, Word, behind};

use crate::SqliteStore;
use crate::database::{Connect, Database, DatabaseError, Row, Value};
use crate::errors::row_error;
use crate::store::{self, cut, limit};

/// Events of a step of [`renew`].
const STEP: i64 = 500;

/// A statement that is being written, with its parameters.
struct Sql {
    text: String,
    parameters: Vec<Value>,
}

impl Sql {
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.parameters.push(value.into());
        format!("?{}", self.parameters.len())
    }

    fn between(&mut self, column: &str, stem: &str) -> String {
        let (from, to) = (self.bind(stem), self.bind(behind(stem).as_str()));
        format!("{column} >= {from} AND {column} < {to}")
    }

    /// What the index says of a word: a query for each range of it.
    fn ranges(&mut self, word: &Word, of_words: &str, of_cases: &str) -> Vec<String> {
        let mut ranges = Vec::new();
        for stem in &word.stems {
            let range = self.between("w.word", stem);
            ranges.push(format!("{of_words} WHERE w.tenant = ?1 AND {range}"));
        }
        if let Some(beginning) = &word.reference {
            let range = self.between("r.reference", beginning);
            ranges.push(format!("{of_cases} WHERE r.tenant = ?1 AND {range}"));
        }
        ranges
    }

    /// Whether the case `c` has a word.
    fn has(&mut self, word: &Word) -> String {
        let stems: Vec<String> = word
            .stems
            .iter()
            .map(|stem| format!("instr(v.search, {}) > 0", self.bind(format!(" {stem}").as_str())))
            .collect();
        let reference = match &word.reference {
            Some(beginning) => format!(" OR ({})", self.between("c.reference", beginning)),
            None => String::new(),
        };
        format!(
            " AND (EXISTS (SELECT 1 FROM events v WHERE v.tenant = c.tenant AND v.case_id = c.id AND ({})){reference})",
            stems.join(" OR ")
        )
    }
}

/// What a page is of, besides the words.
struct Desk {
    tenant: String,
    before: i64,
    limit: i64,
    status: Option<&'static str>,
    channel: Option<String>,
}

impl Desk {
    /// A statement about the cases `c` of it: `condition` is what follows `WHERE`. `?1`, `?2`, `?3` are tenant, cursor, and limit.
    fn sql(&self, limit: i64) -> (Sql, String) {
        let parameters = vec![self.tenant.as_str().into(), self.before.into(), limit.into()];
        let mut sql = Sql { text: String::new(), parameters };
        let mut condition = String::from("c.tenant = ?1 AND c.id < ?2");
        if let Some(status) = self.status {
            condition.push_str(&format!(" AND c.status = {}", sql.bind(status)));
        }
        if let Some(channel) = &self.channel {
            condition.push_str(&format!(" AND c.channel = {}", sql.bind(channel.as_str())));
        }
        (sql, condition)
    }

    /// How many rows of the index each word has, at most [`LOOKED_AT`]; and, if that is too many of each, behind which case a page stops.
    fn probe(&self, words: &[Word]) -> Sql {
        let (mut sql, condition) = self.sql(LOOKED_AT);
        let mut counts = Vec::new();
        for (place, word) in words.iter().enumerate() {
            let cases = "SELECT 1 FROM cases r INDEXED BY cases_by_reference";
            let ranges = sql.ranges(word, "SELECT 1 FROM words w", cases);
            let counted: Vec<String> =
                ranges.iter().map(|range| format!("(SELECT count(*) FROM ({range} LIMIT ?3))")).collect();
            counts.push(format!("{} AS n{place}", counted.join(" + ")));
        }
        let names: Vec<String> = (0..words.len()).map(|place| format!("n{place}")).collect();
        let many: Vec<String> = names.iter().map(|name| format!("{name} >= ?3")).collect();
        sql.text = format!(
            "SELECT CASE WHEN {} THEN (SELECT c.id FROM cases c WHERE {condition} ORDER BY c.id DESC LIMIT 1 OFFSET ?3) END, {} \
             FROM (SELECT {} LIMIT -1)",
            many.join(" AND "),
            names.join(", "),
            counts.join(", ")
        );
        sql
    }

    /// The cases of an index, or all that are newer than `floor`, that have all other words.
    fn list(&self, asked: &Asked, driver: Option<usize>, floor: Option<i64>) -> Sql {
        let (mut sql, mut condition) = self.sql(self.limit + 1);
        let mut from = String::from("cases c");
        match asked {
            Asked::Everything => {}
            Asked::Reference(bare) => condition.push_str(&format!(" AND c.reference = {}", sql.bind(bare.as_str()))),
            Asked::Words(words) => {
                for (place, word) in words.iter().enumerate() {
                    if Some(place) == driver {
                        let events = "SELECT w.case_id AS id FROM words w";
                        let cases = "SELECT r.id FROM cases r INDEXED BY cases_by_reference";
                        from = format!(
                            "({}) h CROSS JOIN cases c ON c.id = h.id",
                            sql.ranges(word, events, cases).join(" UNION ")
                        );
                        if word.stems.len() == 1 && word.reference.is_none() {
                            from = from.replacen("SELECT w.case_id", "SELECT DISTINCT w.case_id", 1);
                        }
                    } else {
                        let has = sql.has(word);
                        condition.push_str(&has);
                    }
                }
                if let Some(floor) = floor {
                    condition.push_str(&format!(" AND c.id > {}", sql.bind(floor)));
                }
            }
        }
        sql.text = format!(
            "SELECT p.id, s.summary FROM (SELECT c.id FROM {from} WHERE {condition} ORDER BY c.id DESC LIMIT ?3) p \
             CROSS JOIN case_rows_2 s ON s.id = p.id WHERE s.tenant = ?1 ORDER BY p.id DESC"
        );
        sql
    }
}

impl<C: Connect> SqliteStore<C> {
    pub(crate) async fn find(&self, tenant: String, query: Query, page: Page) -> Result<CasePage, StoreError> {
        let desk = Desk {
            tenant,
            before: store::cursor(&page)?.unwrap_or(i64::MAX),
            limit: limit(&page)?,
            status: query.status.map(json::case_status_name),
            channel: query.channel,
        };
        let asked = words::asked(query.q.as_deref().unwrap_or_default());
        let (mut driver, mut floor) = (None, None);
        if let Asked::Words(words) = &asked {
            if words.is_empty() {
                return Ok(CasePage { cases: Vec::new(), next: None });
            }
            let probe = desk.probe(words);
            let counts = self.rows(&probe.text, probe.parameters).await?;
            let count = |place: usize| counts.first().and_then(|row| row.integer(place + 1)).unwrap_or(LOOKED_AT);
            driver = (0..words.len()).min_by_key(|place| count(*place)).filter(|place| count(*place) < LOOKED_AT);
            floor = counts.first().and_then(|row| row.integer(0));
        }
        let list = desk.list(&asked, driver, floor);
        let mut rows = self.rows(&list.text, list.parameters).await?;
        let next = cut(&mut rows, desk.limit, 0).or_else(|| floor.map(|floor| (floor + 1).to_string()));
        let case = |row: &Row| rows::summary(&store::json(row, 1)?).map_err(row_error);
        Ok(CasePage { cases: rows.iter().map(case).collect::<Result<_, _>>()?, next })
    }
}

/// Makes words of what earlier versions have kept of events. What has come so far is not looked at again after an interruption.
pub(crate) async fn renew<D: Database>(database: &D) -> Result<(), DatabaseError> {
    let old = "SELECT seq, search FROM events WHERE seq > ?1 AND case_id IS NOT NULL AND instr(search, char(10)) > 0 ORDER BY seq LIMIT ?2";
    // What was erased meanwhile stays so.
    let new = "UPDATE events SET search = j.value ->> 1 FROM json_each(?1) j \
               WHERE events.seq = j.value ->> 0 AND instr(events.search, char(10)) > 0";
    let mut after = 0;
    loop {
        let rows = crate::migrate::patiently(database, old, &[after.into(), STEP.into()]).await?;
        let Some(last) = rows.last().and_then(|row| row.integer(0)) else { return Ok(()) };
        after = last;
        let search = |row: &Row| (row.integer(0), words::kept(row.text(1).unwrap_or_default().split('\n')));
        let renewed: Vec<_> = rows.iter().map(search).collect();
        let renewed = serde_json::to_string(&renewed).map_err(|error| DatabaseError(error.to_string()))?;
        crate::migrate::patiently(database, new, &[renewed.into()]).await?;
    }
}
