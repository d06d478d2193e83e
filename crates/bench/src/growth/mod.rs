//! What a call of the store costs as it grows: more cases, more tenants. The store's own code, in this process, on the same statements.

mod corpus;
pub(crate) mod points;

use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use bench::figures::Figures;
use bench::{postgres, stores};
use channel_sdk::types::{CaseStatus, Lookup};
use store_sdk::Store;
use store_sdk::cases::{Query, Update};
use store_sdk::log::{Disposition, Page, StoreError};
use tokio::task::{JoinSet, LocalSet};

use points::{Operation, Point};

use crate::{Arguments, Kind};

/// Deliveries at the same time while the store is filled.
const FILLERS: usize = 4;
/// Intakes at the same time when they are measured.
const WORKERS: u64 = 16;
/// Intakes measured.
const INTAKES: u64 = 1_000;
/// Looks measured, of each kind; fewer if they take longer than [`LONGEST`].
const LOOKS: usize = 200;
const LONGEST: Duration = Duration::from_secs(5);
/// Cases of a page.
const PAGE: u32 = 10;

/// Fills stores to these sizes and measures at each; the tenants' are filled anew for each number of them.
pub(crate) async fn measure(arguments: &Arguments, server: &mut postgres::Server) -> Result<Vec<Point>> {
    let mut found = Vec::new();
    let given = |sizes: &[u64]| sizes.iter().copied().filter(|&size| size > 0).collect::<Vec<_>>();
    let (cases, tenants) = (given(&arguments.cases), given(&arguments.tenants));
    let of_tenants = tenants.into_iter().map(|tenants| (tenants, vec![arguments.tenant_cases]));
    let runs = (!cases.is_empty()).then_some((1, cases)).into_iter().chain(of_tenants);
    for (run, (tenants, sizes)) in runs.enumerate() {
        for kind in &arguments.stores {
            let local = LocalSet::new();
            match kind {
                Kind::Sqlite => {
                    let folder = arguments.data.join(format!("growth-{run}"));
                    let store = stores::sqlite::open(&folder)?;
                    found.extend(local.run_until(grow(store, "SQLite", tenants, &sizes, async || Ok(()))).await?);
                    // It may be gigabytes.
                    remove(&folder)?;
                }
                Kind::Postgres => {
                    let address = server.database().await?;
                    let store = stores::postgres::open(&address);
                    // What autovacuum does in its own time.
                    let settle = async || server.run_in(&address, &["VACUUM ANALYZE", "CHECKPOINT"]).await;
                    found.extend(local.run_until(grow(store, "PostgreSQL", tenants, &sizes, settle)).await?);
                }
            }
        }
    }
    Ok(found)
}

fn remove(folder: &Path) -> Result<()> {
    Ok(std::fs::remove_dir_all(folder)?)
}

fn told(error: StoreError) -> anyhow::Error {
    anyhow!("{error:?}")
}

async fn grow<S: Store + 'static>(
    store: S,
    name: &'static str,
    tenants: u64,
    sizes: &[u64],
    settle: impl AsyncFn() -> Result<()>,
) -> Result<Vec<Point>> {
    let store = Rc::new(store);
    let mut found = Vec::new();
    // Numbers of cases already given out.
    let mut next = 0;
    for &size in sizes {
        let began = Instant::now();
        let references = fill(&store, tenants, &mut next, size).await?;
        settle().await?;
        eprintln!("{name}: {size} cases of {tenants} tenants after {:.0} s", began.elapsed().as_secs_f64());
        let mut at = At { store: &store, name, cases: size, tenants, references, found: Vec::new() };
        at.look().await?;
        at.take_in(&mut next).await?;
        found.extend(at.found);
    }
    Ok(found)
}

/// Adds cases until `next` is `size`, and seals. Gives some of their references, with whose they are.
async fn fill<S: Store + 'static>(
    store: &Rc<S>,
    tenants: u64,
    next: &mut u64,
    size: u64,
) -> Result<VecDeque<(String, String)>> {
    let mut references = VecDeque::new();
    let mut tasks = JoinSet::new();
    let mut deliveries = 0_u64;
    while *next < size || !tasks.is_empty() {
        while tasks.len() < FILLERS && *next < size {
            let count = corpus::TOGETHER.min(size - *next);
            // Tenants take turns; each time a tenant's turn comes it is another connector's.
            let turn = *next / corpus::TOGETHER;
            let (envelope, events) = corpus::delivery(turn % tenants, turn / tenants, *next, count);
            // One case of a hundred waits for somebody.
            let waits = (turn / tenants).is_multiple_of(5);
            *next += count;
            deliveries += 1;
            let store = Rc::clone(store);
            tasks.spawn_local(async move {
                let (tenant, at) = (envelope.tenant.clone(), envelope.received_at);
                let receipts = store.record(envelope, Disposition::Accepted, events).await.map_err(told)?;
                let reference = receipts.into_iter().find_map(|receipt| receipt.case_reference);
                let reference = reference.ok_or_else(|| anyhow!("no case was opened"))?;
                if waits {
                    let changes =
                        Update { status: Some(CaseStatus::Pending), department: None, assignee: None, priority: None };
                    store.change(tenant.clone(), reference.clone(), changes, "bench".into(), at).await.map_err(told)?;
                }
                Ok::<_, anyhow::Error>((tenant, reference))
            });
        }
        if let Some(done) = tasks.join_next().await {
            references.push_back(done??);
            // Some from the beginning, some from the end.
            if references.len() > LOOKS {
                let middle = references.len() / 2;
                references.remove(middle);
            }
        }
        if deliveries % 500 == 0 {
            seal(store, *next).await?;
        }
    }
    seal(store, *next).await?;
    Ok(references)
}

async fn seal<S: Store>(store: &Rc<S>, number: u64) -> Result<()> {
    while store.seal(corpus::at(number), 1000).await.map_err(told)?.more {}
    Ok(())
}

struct At<'a, S> {
    store: &'a Rc<S>,
    name: &'static str,
    cases: u64,
    tenants: u64,
    /// Tenants and references of theirs.
    references: VecDeque<(String, String)>,
    found: Vec<Point>,
}

impl<S: Store + 'static> At<'_, S> {
    fn keep(&mut self, operation: Operation, figures: &Figures) {
        self.found.push(Point {
            store: self.name.to_owned(),
            cases: self.cases,
            tenants: self.tenants,
            operation,
            per_second: figures.rate(),
            p50: figures.percentile(50.0).as_secs_f64() * 1000.0,
            p99: figures.percentile(99.0).as_secs_f64() * 1000.0,
        });
    }

    /// One after another, each of the next tenant.
    async fn times<T>(
        &mut self,
        operation: Operation,
        run: impl AsyncFn(String, String) -> Result<T, StoreError>,
    ) -> Result<()> {
        let mut figures = Figures::default();
        let all = self.references.clone();
        // The first ones make plans and fill caches.
        for (tenant, reference) in all.iter().take(3) {
            run(tenant.clone(), reference.clone()).await.map_err(told)?;
        }
        let began = Instant::now();
        for (tenant, reference) in all.iter().cycle().take(LOOKS) {
            let start = Instant::now();
            run(tenant.clone(), reference.clone()).await.map_err(told)?;
            figures.latencies.push(start.elapsed());
            if began.elapsed() > LONGEST {
                break;
            }
        }
        figures.elapsed = began.elapsed();
        self.keep(operation, &figures);
        Ok(())
    }

    async fn search(&mut self, operation: Operation, query: impl Fn(String) -> Query) -> Result<()> {
        let store = Rc::clone(self.store);
        let page = || Page { after: None, limit: PAGE };
        self.times(operation, async |tenant, reference| store.search(tenant, query(reference), page()).await).await
    }

    async fn look(&mut self) -> Result<()> {
        let store = Rc::clone(self.store);
        let query =
            |status, channel: Option<&str>, q: Option<String>| Query { status, channel: channel.map(str::to_owned), q };
        self.search(Operation::Desk, |_| query(None, None, None)).await?;
        self.search(Operation::Filtered, |_| query(Some(CaseStatus::New), Some("email"), None)).await?;
        self.search(Operation::Pending, |_| query(Some(CaseStatus::Pending), None, None)).await?;
        self.search(Operation::Word, |_| query(None, None, Some(corpus::FREQUENT.into()))).await?;
        self.search(Operation::ByReference, |reference| query(None, None, Some(reference))).await?;
        self.search(Operation::NoWord, |_| query(None, None, Some(corpus::ABSENT.into()))).await?;
        self.times(Operation::Case, async |tenant, reference| store.get(tenant, reference).await).await?;
        let lookup = |references| Lookup {
            references,
            service_codes: Vec::new(),
            statuses: Vec::new(),
            opened_from: None,
            opened_until: None,
            updated_from: None,
            updated_until: None,
            limit: PAGE,
        };
        self.times(Operation::Public, async |tenant, _| store.public_cases(tenant, lookup(Vec::new())).await).await?;
        self.times(Operation::PublicOne, async |tenant, reference| {
            store.public_cases(tenant, lookup(vec![reference])).await
        })
        .await?;
        let end = corpus::at(self.cases);
        let period = vec![end - 900_000, end];
        self.times(Operation::Account, async |tenant, _| store.add_up(tenant, period.clone()).await).await?;
        self.times(Operation::NothingToSeal, async |_, _| store.seal(end, 1000).await).await
    }

    /// Calls as fast as they are stored; then they are sealed, a hundred at a time.
    async fn take_in(&mut self, next: &mut u64) -> Result<()> {
        let (first, tenants) = (*next, self.tenants);
        *next += INTAKES + WORKERS;
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for worker in 0..WORKERS {
            let store = Rc::clone(self.store);
            tasks.spawn_local(async move {
                let mut figures = Figures::default();
                for number in (first + worker..first + INTAKES).step_by(usize::try_from(WORKERS)?) {
                    let (envelope, events) = corpus::one_call(number % tenants, number);
                    let start = Instant::now();
                    let receipts = store.record(envelope, Disposition::Accepted, events).await.map_err(told)?;
                    figures.latencies.push(start.elapsed());
                    ensure!(receipts.iter().all(|receipt| receipt.opened), "a new call opened no case");
                }
                Ok::<_, anyhow::Error>(figures)
            });
        }
        let mut all = Figures::default();
        while let Some(done) = tasks.join_next().await {
            all.absorb(done??);
        }
        all.elapsed = began.elapsed();
        self.keep(Operation::Intake, &all);

        let (mut sealing, mut sealed) = (Figures::default(), 0);
        let began = Instant::now();
        loop {
            let start = Instant::now();
            let done = self.store.seal(corpus::at(*next), 100).await.map_err(told)?;
            if done.sealed == 100 {
                sealing.latencies.push(start.elapsed());
            }
            sealed += u64::from(done.sealed);
            if !done.more {
                break;
            }
        }
        sealing.elapsed = began.elapsed();
        ensure!(sealed == INTAKES, "{sealed} of {INTAKES} envelopes were sealed");
        self.keep(Operation::Seal, &sealing);
        Ok(())
    }
}
