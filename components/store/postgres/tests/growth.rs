//! What a call of the store costs does not grow with what is stored: counted in the pages that PostgreSQL looks at, which are the same
//! on every machine. A plan that reads a tenant's history would multiply them.

mod support;

use channel_sdk::types::{Event, Kind};
use store_postgres::database::{Database as _, Value};
use store_sdk::Store;
use store_sdk::log::Disposition;
use support::{Kept, empty, now, rows};
use testkit::store_suite::World;
use testkit::store_suite::make::{MAIL, T0, TENANT, VOICE, call, envelope, handle, mail};

/// Stored between the two measurements, of each of two kinds.
const EVENTS: usize = 3_000;
/// An index of three thousand entries is a level deeper than one of twenty: a page more for each look into it, and there are few.
const TOLERANCE: f64 = 2.0;

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

/// Pages a statement looks at, after it has been planned.
fn pages(on: &Kept, sql: &str, parameters: impl Fn() -> Vec<Value>) -> i64 {
    let sql = format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT TEXT) {sql}");
    let lines = now(on.execute(&sql, parameters())).unwrap();
    // The first line about buffers is the whole statement's, with everything that its functions do.
    let line =
        lines.iter().filter_map(|row| row.text(0)).find(|line| line.contains("Buffers: shared")).expect("buffers");
    let count = |word: &str| {
        line.split([' ', ','])
            .find_map(|part| part.strip_prefix(word))
            .map_or(0, |number| number.parse::<i64>().unwrap())
    };
    count("hit=") + count("read=")
}

fn costs(on: &Kept, number: usize) -> Vec<(&'static str, i64)> {
    let reference = rows(on, "SELECT c.document::jsonb ->> 'reference' FROM ventanilla.search_1('madrid', 9999999, 1, NULL, NULL, NULL, '[]') c")
        .unwrap()[0]
        .text(0)
        .unwrap()
        .to_owned();
    let take = |name, connector: &str, event: &dyn Fn(usize) -> Event| {
        let one = |number| {
            let events = [event(number)];
            let intake = store_sdk::intake::intake(
                envelope(TENANT, connector),
                &Disposition::Accepted,
                &events,
                support::random,
            );
            let intake = intake.unwrap();
            let parameters = || vec![TENANT.into(), intake.document().into(), Value::Blob(intake.body.clone())];
            pages(on, "SELECT ventanilla.take_in_1($1, $2, $3)", parameters)
        };
        // The least of a few: a page that is full by chance makes one of them dearer.
        (name, (0..5).map(|offset| one(number + offset)).min().unwrap())
    };
    let read = |name, sql: &str| (name, (0..3).map(|_| pages(on, sql, Vec::new)).min().unwrap());
    vec![
        take("a call", VOICE, &started),
        take("its end", VOICE, &|n| call(Kind::CallEnded, &format!("e{n}"), &format!("CA{n}"))),
        take("a mail", MAIL, &|n| letter(n, 3)),
        read(
            "the first page of cases",
            "SELECT * FROM ventanilla.search_1('madrid', 9999999, 1, NULL, NULL, NULL, '[]')",
        ),
        read("the first page of events", "SELECT * FROM ventanilla.events_1('madrid', 0, 2, NULL)"),
        read("what to look at", "SELECT * FROM ventanilla.envelopes_1('madrid', 9999999, 1, 'quarantined')"),
        read("a case", &format!("SELECT * FROM ventanilla.case_1('madrid', '{reference}')")),
        read("the totals", "SELECT * FROM ventanilla.totals_2('madrid')"),
        read("nothing to send", "SELECT * FROM ventanilla.queues_1()"),
        read(
            "public reports",
            "SELECT * FROM ventanilla.public_cases_1('madrid', '{\"references\":[],\"service_codes\":[],\"statuses\":[]}', 1)",
        ),
        read("what to seal", "SELECT count(*) FROM ventanilla.unsealed_1(10)"),
        read("the feed", "SELECT * FROM ventanilla.feed_queues_1(1)"),
    ]
}

#[test]
fn what_an_intake_and_a_look_cost_stays_flat_as_the_store_grows() {
    let base = empty();
    let store = base.open();
    // Many to a delivery: it is what is stored that counts here.
    let fill = |from: usize, to: usize| {
        for first in (from..to).step_by(50) {
            let numbers = first..to.min(first + 50);
            let letters = numbers.clone().map(|number| letter(number, number)).collect();
            for (connector, events) in [(VOICE, numbers.map(started).collect()), (MAIL, letters)] {
                now(store.record(envelope(TENANT, connector), Disposition::Accepted, events)).unwrap();
            }
        }
        while now(store.seal(T0, 1000)).unwrap().more {}
    };
    fill(0, 20);
    drop(now(store.feed_claim(TENANT.into(), "crm".into(), store_sdk::feed::Start::Beginning, T0, T0 + 1, 1)).unwrap());
    // As the store's own role, on one connection.
    let on = base.connect(support::ROLE);
    // The statistics that autovacuum keeps, which is off here: without them the planner takes any index of a table that was small.
    let analyze = || drop(rows(&base.connect("postgres"), "ANALYZE").unwrap());
    analyze();
    drop(costs(&on, 90_000));
    let few = costs(&on, 100_000);
    fill(20, EVENTS);
    analyze();
    drop(costs(&on, 90_100));
    let many = costs(&on, 100_100);
    for ((name, before), (_, after)) in few.iter().zip(&many) {
        println!("{name}: {before} pages with few events stored, {after} with many");
        #[expect(clippy::cast_precision_loss, reason = "pages are few")]
        let ratio = *after as f64 / (*before).max(8) as f64;
        assert!(ratio < TOLERANCE, "{name} cost {before} pages with few events stored and {after} with many");
    }
}
