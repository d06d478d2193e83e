//! Counters in Prometheus' text format. No request data ever becomes a label.

use crate::http::admission::Turned;
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Upper bounds in milliseconds.
const DURATIONS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 3000, 10_000];
/// Upper bounds of statements per commit.
const GROUPS: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// All counters of a host.
#[derive(Default)]
pub struct Metrics {
    routes: Vec<RouteCounters>,
    /// Requests in components.
    pub in_flight: AtomicU64,
    /// Requests waiting for a place.
    pub queued: AtomicU64,
    /// Requests turned away because their tenant had more than its share.
    pub limited: AtomicU64,
    /// Requests turned away because the queue was full or the wait too long.
    pub overloaded: AtomicU64,
    /// Instances alive.
    pub instances: AtomicU64,
    /// Instances made since the start.
    pub instances_created: AtomicU64,
    /// Connections to PostgreSQL that wait for use.
    pub postgres_idle: AtomicU64,
    /// Connections to PostgreSQL that components have, or that are being cleaned after them.
    pub postgres_in_use: AtomicU64,
    /// Components waiting for a connection to PostgreSQL.
    pub postgres_waiting: AtomicU64,
    /// Connections to PostgreSQL made since the start.
    pub postgres_opened: AtomicU64,
    /// Connections to PostgreSQL closed because they were broken, abandoned or old.
    pub postgres_discarded: AtomicU64,
    failures: Mutex<BTreeMap<(String, &'static str), u64>>,
    outbound: Mutex<BTreeMap<(String, &'static str), u64>>,
    spans: Mutex<BTreeMap<&'static str, u64>>,
    groups: Mutex<BTreeMap<String, Histogram<{ GROUPS.len() + 1 }>>>,
}

#[derive(Default)]
struct RouteCounters {
    route: String,
    component: String,
    classes: [AtomicU64; 6],
    /// Answers of the class 4xx by their code, from 400.
    refused: Refused,
    durations: [AtomicU64; DURATIONS_MS.len() + 1],
    micros: AtomicU64,
}

struct Refused([AtomicU64; 100]);

impl Default for Refused {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

struct Histogram<const N: usize> {
    counts: [u64; N],
    sum: u64,
}

impl Metrics {
    /// For these routes: (route text, component or `static`).
    pub fn new(routes: impl IntoIterator<Item = (String, String)>) -> Self {
        let routes =
            routes.into_iter().map(|(route, component)| RouteCounters { route, component, ..RouteCounters::default() });
        Self { routes: routes.collect(), ..Self::default() }
    }

    /// An answered request of the trigger with this index.
    pub fn request(&self, trigger: usize, status: u16, time: Duration) {
        let Some(route) = self.routes.get(trigger) else { return };
        if let Some(class) = route.classes.get(usize::from(status / 100).min(5)) {
            class.fetch_add(1, Relaxed);
        }
        if let Some(code) = status.checked_sub(400).and_then(|code| route.refused.0.get(usize::from(code))) {
            code.fetch_add(1, Relaxed);
        }
        let bucket =
            DURATIONS_MS.iter().position(|bound| time <= Duration::from_millis(*bound)).unwrap_or(DURATIONS_MS.len());
        if let Some(bucket) = route.durations.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
        route.micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// A request that was not let in.
    pub fn turned_away(&self, turned: Turned) {
        match turned {
            Turned::Tenant => self.limited.fetch_add(1, Relaxed),
            Turned::Full => self.overloaded.fetch_add(1, Relaxed),
        };
    }

    /// A component that did not answer: `trap`, `timeout`, `memory` …
    pub fn failure(&self, component: &str, kind: &'static str) {
        *lock(&self.failures).entry((component.to_owned(), kind)).or_default() += 1;
    }

    /// An outbound request: `sent`, `denied`, `failed`.
    pub fn outbound(&self, component: &str, result: &'static str) {
        *lock(&self.outbound).entry((component.to_owned(), result)).or_default() += 1;
    }

    /// Spans of traces that were `sent`, were not taken by the collector (`failed`), or found no room to wait for it (`dropped`).
    pub fn spans(&self, count: u64, result: &'static str) {
        if count > 0 {
            *lock(&self.spans).entry(result).or_default() += count;
        }
    }

    /// A commit of so many statements.
    pub fn sqlite_group(&self, database: &str, size: usize) {
        let size = size as u64;
        let mut groups = lock(&self.groups);
        if !groups.contains_key(database) {
            groups.insert(database.to_owned(), Histogram { counts: [0; GROUPS.len() + 1], sum: 0 });
        }
        if let Some(histogram) = groups.get_mut(database) {
            let bucket = GROUPS.iter().position(|bound| size <= *bound).unwrap_or(GROUPS.len());
            if let Some(count) = histogram.counts.get_mut(bucket) {
                *count += 1;
            }
            histogram.sum += size;
        }
    }

    /// The text.
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(4096);
        // Writing to a String does not fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# HELP ventanilla_requests_total Answered requests.\n# TYPE ventanilla_requests_total counter")?;
        for route in &self.routes {
            for (class, count) in route.classes.iter().enumerate() {
                let count = count.load(Relaxed);
                if count > 0 {
                    writeln!(out, "ventanilla_requests_total{{{},status=\"{class}xx\"}} {count}", route.labels())?;
                }
            }
        }
        writeln!(
            out,
            "# HELP ventanilla_requests_refused_total Requests answered 4xx: 401 and 403 are signatures and tokens.\n# TYPE ventanilla_requests_refused_total counter"
        )?;
        for route in &self.routes {
            for (code, count) in (400..).zip(&route.refused.0) {
                let count = count.load(Relaxed);
                if count > 0 {
                    writeln!(out, "ventanilla_requests_refused_total{{{},code=\"{code}\"}} {count}", route.labels())?;
                }
            }
        }
        writeln!(
            out,
            "# HELP ventanilla_request_duration_seconds Time from the request's last byte to the answer.\n# TYPE ventanilla_request_duration_seconds histogram"
        )?;
        for route in &self.routes {
            let counts = route.durations.each_ref().map(|count| count.load(Relaxed));
            let labels = route.labels();
            let bounds = DURATIONS_MS.iter().map(|ms| format!("{}", Duration::from_millis(*ms).as_secs_f64()));
            let sum = Duration::from_micros(route.micros.load(Relaxed)).as_secs_f64();
            histogram(out, "ventanilla_request_duration_seconds", &labels, bounds, &counts, sum)?;
        }
        for (name, kind, help, value) in [
            ("ventanilla_requests_in_flight", "gauge", "Requests in components.", &self.in_flight),
            ("ventanilla_requests_queued", "gauge", "Requests waiting for a place.", &self.queued),
            ("ventanilla_requests_overloaded_total", "counter", "Requests turned away with 503.", &self.overloaded),
            ("ventanilla_requests_limited_total", "counter", "Requests turned away with 429.", &self.limited),
            ("ventanilla_instances", "gauge", "Component instances alive.", &self.instances),
            ("ventanilla_instances_created_total", "counter", "Component instances made.", &self.instances_created),
            ("ventanilla_postgres_idle", "gauge", "Connections to PostgreSQL not in use.", &self.postgres_idle),
            ("ventanilla_postgres_in_use", "gauge", "Connections to PostgreSQL in use.", &self.postgres_in_use),
            ("ventanilla_postgres_waiting", "gauge", "Waiting for a connection to PostgreSQL.", &self.postgres_waiting),
            ("ventanilla_postgres_opened_total", "counter", "Connections to PostgreSQL made.", &self.postgres_opened),
            (
                "ventanilla_postgres_discarded_total",
                "counter",
                "Connections to PostgreSQL closed as broken, abandoned or old.",
                &self.postgres_discarded,
            ),
        ] {
            writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {}", value.load(Relaxed))?;
        }
        writeln!(
            out,
            "# HELP ventanilla_failures_total Components that did not answer.\n# TYPE ventanilla_failures_total counter"
        )?;
        for ((component, kind), count) in &*lock(&self.failures) {
            writeln!(out, "ventanilla_failures_total{{component=\"{}\",kind=\"{kind}\"}} {count}", escape(component))?;
        }
        writeln!(
            out,
            "# HELP ventanilla_outbound_total Requests sent by components.\n# TYPE ventanilla_outbound_total counter"
        )?;
        for ((component, result), count) in &*lock(&self.outbound) {
            writeln!(
                out,
                "ventanilla_outbound_total{{component=\"{}\",result=\"{result}\"}} {count}",
                escape(component)
            )?;
        }
        writeln!(
            out,
            "# HELP ventanilla_trace_spans_total Spans of traces.\n# TYPE ventanilla_trace_spans_total counter"
        )?;
        for (result, count) in &*lock(&self.spans) {
            writeln!(out, "ventanilla_trace_spans_total{{result=\"{result}\"}} {count}")?;
        }
        writeln!(
            out,
            "# HELP ventanilla_sqlite_commit_statements Statements committed together.\n# TYPE ventanilla_sqlite_commit_statements histogram"
        )?;
        for (database, values) in &*lock(&self.groups) {
            let labels = format!("database=\"{}\"", escape(database));
            #[expect(clippy::cast_precision_loss, reason = "a count in a report")]
            let sum = values.sum as f64;
            histogram(
                out,
                "ventanilla_sqlite_commit_statements",
                &labels,
                GROUPS.iter().map(u64::to_string),
                &values.counts,
                sum,
            )?;
        }
        Ok(())
    }
}

impl RouteCounters {
    fn labels(&self) -> String {
        format!("route=\"{}\",component=\"{}\"", escape(&self.route), escape(&self.component))
    }
}

fn histogram(
    out: &mut String,
    name: &str,
    labels: &str,
    bounds: impl Iterator<Item = String>,
    counts: &[u64],
    sum: f64,
) -> std::fmt::Result {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return Ok(());
    }
    let mut cumulative = 0;
    for (bound, count) in bounds.zip(counts) {
        cumulative += count;
        writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {cumulative}")?;
    }
    writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {total}")?;
    writeln!(out, "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {total}")
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_cumulative_and_labels_escaped() {
        let metrics = Metrics::new([("/a\"b".to_owned(), "c".to_owned())]);
        metrics.request(0, 200, Duration::from_millis(2));
        metrics.request(0, 503, Duration::from_millis(400));
        metrics.request(0, 403, Duration::from_millis(1));
        metrics.sqlite_group("default", 3);
        let text = metrics.render();
        for line in [
            r#"ventanilla_requests_total{route="/a\"b",component="c",status="2xx"} 1"#,
            r#"ventanilla_requests_total{route="/a\"b",component="c",status="5xx"} 1"#,
            r#"ventanilla_request_duration_seconds_bucket{route="/a\"b",component="c",le="0.002"} 2"#,
            r#"ventanilla_request_duration_seconds_bucket{route="/a\"b",component="c",le="0.5"} 3"#,
            r#"ventanilla_request_duration_seconds_count{route="/a\"b",component="c"} 3"#,
            r#"ventanilla_requests_refused_total{route="/a\"b",component="c",code="403"} 1"#,
            r#"ventanilla_sqlite_commit_statements_bucket{database="default",le="4"} 1"#,
            r#"ventanilla_sqlite_commit_statements_sum{database="default"} 3"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} not in\n{text}");
        }
    }
}
