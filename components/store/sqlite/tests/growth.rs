//! What a call of the store costs does not grow with what is stored: counted in steps of SQLite's virtual machine, which
//! are the same on every machine. A query plan that reads a tenant's history would multiply them.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};

use channel_sdk::types::{Event, Kind, Lookup};
use store_sdk::Store;
use store_sdk::cases::CaseSummary;
use store_sdk::feed::{Outlook, Settlement, Start};
use store_sdk::log::{Disposition, Envelope, Page};
use support::{Folder, NativeStore, counted, now};
use testkit::store_suite::World;
use testkit::store_suite::make::{MAIL, T0, TENANT, VOICE, anything, by, call, chat, envelope, handle, mail};

/// Stored between the two measurements.
const EVENTS: usize = 3_000;
/// A B-tree of three thousand entries is a level or two deeper than one of ten; a step more per level is none here, because
/// SQLite counts a whole search as one.
const TOLERANCE: f64 = 1.25;

fn started(number: usize) -> Event {
    Event {
        sender: Some(handle("phone", &format!("+34600{:06}", number % 500))),
        public: number.is_multiple_of(2),
        ..call(Kind::CallStarted, &format!("s{number}"), &format!("CA{number}"))
    }
}

/// A letter that answers another of the same person's.
fn letter(number: usize, answers: usize) -> Event {
    let id = |number| format!("<{number}@example.org>");
    mail(&id(number), &format!("p{}@example.org", answers % 10), &[&id(answers)])
}

/// Steps of each operation, by its name.
fn costs(store: &NativeStore, steps: &AtomicU64, number: usize) -> Vec<(&'static str, u64)> {
    let steps = |name, run: &dyn Fn()| {
        let before = steps.load(Ordering::SeqCst);
        run();
        (name, steps.load(Ordering::SeqCst) - before)
    };
    let take = |connector: &str, event: Event, opens: bool| {
        let receipts = now(store.record(envelope(TENANT, connector), Disposition::Accepted, vec![event])).unwrap();
        assert!(!receipts[0].duplicate && receipts[0].opened == opens);
    };
    let page = || Page { after: None, limit: 1 };
    let any = || now(store.search(TENANT.into(), anything(), page())).unwrap().cases.remove(0).reference;
    let reference = any();
    let period = T0 + i64::try_from(number).unwrap();
    let later = Envelope { received_at: period, ..envelope(TENANT, VOICE) };
    drop(now(store.record(later, Disposition::Accepted, vec![chat(&format!("l{number}"), "c")])).unwrap());
    assert_eq!(now(store.seal(T0, 10)).unwrap().sealed, 1);
    vec![
        steps("a call", &|| take(VOICE, started(number), true)),
        steps("its end", &|| take(VOICE, call(Kind::CallEnded, &format!("e{number}"), &format!("CA{number}")), false)),
        steps("a mail", &|| take(MAIL, letter(number, 3), false)),
        steps("their seals", &|| assert_eq!(now(store.seal(T0, 10)).unwrap().sealed, 3)),
        steps("nothing to seal", &|| assert_eq!(now(store.seal(T0, 10)).unwrap().sealed, 0)),
        steps("the ledger of a period", &|| {
            let account = now(store.add_up(TENANT.into(), vec![period, period + 1])).unwrap();
            assert_eq!((account.stored, account.sealed, account.waiting), (1, 1, 0));
        }),
        steps("an examination", &|| assert_eq!(now(store.examine(TENANT.into(), 10, 5)).unwrap().findings, [])),
        steps("the first page of cases", &|| drop(any())),
        steps("a word that is nowhere", &|| assert!(find(store, "crocodile").is_empty())),
        steps("words of which one is nowhere", &|| assert!(find(store, "zebra crocodile").is_empty())),
        steps("a number", &|| assert!(find(store, "+34699999999").is_empty())),
        steps("the beginning of a reference", &|| assert_eq!(find(store, &reference[..11]).len(), 1)),
        steps("the first page of events", &|| drop(now(store.events(TENANT.into(), None, page())).unwrap())),
        steps("the first page of what to look at", &|| {
            drop(now(store.envelopes(TENANT.into(), Some("quarantined".into()), page())).unwrap());
        }),
        steps("a case", &|| drop(now(store.get(TENANT.into(), reference.clone())).unwrap())),
        steps("the totals", &|| drop(now(store.totals(TENANT.into())).unwrap())),
        steps("nothing to send", &|| {
            assert!(now(store.claim(MAIL.into(), T0, T0 + 1, 10)).unwrap().is_empty());
        }),
        steps("one event to tell", &|| assert_eq!(tell(store, "crm", 1), Some(1))),
        steps("one of many events to tell", &|| assert_eq!(tell(store, "crm", 1), Some(1))),
        steps("a batch", &|| assert_eq!(tell(store, "crm", 8), Some(8))),
        steps("who is to be told", &|| assert!(!now(store.feed_queues(T0)).unwrap().is_empty())),
        steps("public reports, one page", &|| drop(now(store.public_cases(TENANT.into(), lookup(&[]))).unwrap())),
        steps("one public report", &|| drop(now(store.public_cases(TENANT.into(), lookup(&[&reference]))).unwrap())),
    ]
}

fn find(store: &NativeStore, q: &str) -> Vec<CaseSummary> {
    now(store.search(TENANT.into(), by(q), Page { after: None, limit: 10 })).unwrap().cases
}

/// Delivers what there is to a destination: how much it was.
fn tell(store: &NativeStore, destination: &str, limit: u32) -> Option<usize> {
    let (tenant, destination) = (TENANT.to_owned(), destination.to_owned());
    let batch = store.feed_claim(tenant.clone(), destination.clone(), Start::Beginning, T0, T0 + 1, limit);
    let batch = now(batch).unwrap()?;
    let delivered = batch.entries.last().map(|entry| entry.position.clone());
    let settlement = Settlement { delivered, count: 1, outlook: Outlook::Ready };
    assert!(now(store.feed_settle(tenant, destination, batch.lease, T0, settlement)).unwrap());
    Some(batch.entries.len())
}

fn lookup(references: &[&str]) -> Lookup {
    Lookup {
        references: references.iter().map(|&reference| reference.into()).collect(),
        service_codes: Vec::new(),
        statuses: Vec::new(),
        opened_from: None,
        opened_until: None,
        updated_from: None,
        updated_until: None,
        limit: 1,
    }
}

#[test]
fn what_an_intake_and_a_look_cost_stays_flat_as_the_store_grows() {
    let folder = Folder::new();
    let (store, steps) = counted(folder.file());
    let fill = |from: usize, to: usize| {
        for number in from..to {
            for (connector, event) in [(VOICE, started(number)), (MAIL, letter(number, number))] {
                // One after another, as on other days: ids of one millisecond are in no order.
                let received_at = T0 + i64::try_from(10_000 * from + number).unwrap();
                let envelope = Envelope { received_at, ..envelope(TENANT, connector) };
                now(store.record(envelope, Disposition::Accepted, vec![event])).unwrap();
            }
        }
        while now(store.seal(T0, 1000)).unwrap().more {}
    };
    fill(0, 20);
    let few = costs(&store, &steps, 100_000);
    fill(20, EVENTS);
    let many = costs(&store, &steps, 10_000 * EVENTS);
    for ((name, before), (_, after)) in few.iter().zip(&many) {
        assert!(*before > 0, "{name} was not measured");
        #[expect(clippy::cast_precision_loss, reason = "steps are few")]
        let ratio = *after as f64 / *before as f64;
        assert!(ratio < TOLERANCE, "{name} cost {before} steps with few events stored and {after} with many");
    }
}

struct File(Folder);

impl World for File {
    type Store = NativeStore;

    fn open(&self) -> NativeStore {
        support::quick(self.0.file())
    }
}

#[test]
fn a_word_that_is_everywhere_is_found_page_by_page() {
    testkit::store_suite::a_word_that_is_everywhere_is_found_page_by_page(&File(Folder::new()));
}
