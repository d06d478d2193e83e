//! What a call of the store costs does not grow with what is stored: counted in the pages that PostgreSQL looks at, which are the same
//! on every machine. A plan that reads a tenant's history would multiply them.

mod support;

use std::collections::BTreeMap;

use channel_sdk::types::{Event, Kind, Lookup, TenantProfile};
use store_postgres::database::{Connect as _, Database as _, Value};
use store_sdk::log::{Disposition, Page};
use store_sdk::outbox::Settlement;
use store_sdk::{Store, sealing};
use support::{Base, Kept, Native, NativeStore, empty, now, rows};
use testkit::store_suite::World;
use testkit::store_suite::make::{
    MAIL, T0, TENANT, VOICE, by, call, chat, envelope, handle, mail, profile, record, reference,
};

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

/// A search for cases with a word, or with a reference between two bounds.
fn looking_for(word: &str, reference: &str) -> String {
    let words = format!(r#"[{{"stems": [["{word}", "{word}~", " {word}"]], "reference": {reference}}}]"#);
    format!("SELECT * FROM ventanilla.search_2('madrid', 9999999, 11, NULL, NULL, NULL, '{words}', 5000)")
}

/// The account of a period in which nothing came, after all that did.
fn behind_everything() -> String {
    let bounds = [T0 + 1, T0 + 2];
    let (first, behind) = sealing::range(&bounds);
    let periods = sealing::periods(&bounds).expect("periods");
    format!("SELECT * FROM ventanilla.account_2('madrid', '{periods}', '{first}', '{behind}')")
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
    let reference = rows(on, "SELECT c.document::jsonb ->> 'reference' FROM ventanilla.search_2('madrid', 9999999, 1, NULL, NULL, NULL, NULL, 5000) c")
        .unwrap()[0]
        .text(0)
        .unwrap()
        .to_owned();
    let digits: String = reference.chars().filter(char::is_ascii_digit).take(8).collect();
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
            "SELECT * FROM ventanilla.search_2('madrid', 9999999, 1, NULL, NULL, NULL, NULL, 5000)",
        ),
        read("a word that is nowhere", &looking_for("crocodile", "null")),
        read("a number", &looking_for("~999999996", r#"["69999999", "69999999~"]"#)),
        read("the beginning of a reference", &looking_for(&digits, &format!(r#"["{digits}", "{digits}x"]"#))),
        read("the first page of events", "SELECT * FROM ventanilla.events_1('madrid', 0, 2, NULL)"),
        read("what to look at", "SELECT * FROM ventanilla.envelopes_1('madrid', 9999999, 1, 'quarantined')"),
        read("a case", &format!("SELECT * FROM ventanilla.case_1('madrid', '{reference}')")),
        read("the totals", "SELECT * FROM ventanilla.totals_2('madrid')"),
        read("nothing to send", "SELECT * FROM ventanilla.queues_1()"),
        read(
            "public reports",
            "SELECT * FROM ventanilla.public_cases_1('madrid', '{\"references\":[],\"service_codes\":[],\"statuses\":[]}', 1)",
        ),
        read("the ledger of a period", &behind_everything()),
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

#[test]
fn a_word_that_is_everywhere_is_found_page_by_page() {
    testkit::store_suite::a_word_that_is_everywhere_is_found_page_by_page(&empty());
}

// ---------------------------------------------------------------- before the first ANALYZE

const CHAT: &str = "messaging/example";

/// Pages looked at so far, of every table and index.
fn looked_at(watch: &Kept) -> BTreeMap<String, i64> {
    let sql = "SELECT relname::text, heap_blks_read + heap_blks_hit FROM pg_statio_user_tables \
               UNION ALL SELECT indexrelname::text, idx_blks_read + idx_blks_hit FROM pg_statio_user_indexes";
    let all = rows(watch, sql).unwrap();
    all.iter().map(|row| (row.text(0).unwrap().to_owned(), row.integer(1).unwrap())).collect()
}

/// Sends what waits.
fn deliver(store: &NativeStore, connector: &str) {
    for item in now(store.claim(connector.into(), T0 + 1, T0 + 2, 100)).unwrap() {
        let sent = Settlement::Sent(Some(format!("sent {}", item.id)));
        now(store.settle(item.id, T0 + 3, sent)).unwrap();
    }
}

/// What each of a storm's and a courier's calls of the store looks at, by name, on one connection: `native` has a single one.
fn calls(base: &Base, native: &Native, first: usize) -> BTreeMap<String, i64> {
    let (store, watch) = (native.store(), base.connect("postgres"));
    let mut all = BTreeMap::new();
    let mut count = |name: &str, work: &mut dyn FnMut(&NativeStore, usize)| {
        let mut least: BTreeMap<String, i64> = BTreeMap::new();
        for turn in 0..4 {
            let flush = || {
                let one = now(native.open()).unwrap();
                now(one.execute("SELECT pg_stat_force_next_flush()", Vec::new())).unwrap();
            };
            flush();
            let before = looked_at(&watch);
            work(&store, first + turn);
            flush();
            for (table, pages) in looked_at(&watch) {
                let pages = pages - before.get(&table).copied().unwrap_or(0);
                let kept = least.entry(table).or_insert(pages);
                *kept = pages.min(*kept);
            }
        }
        all.extend(least.into_iter().map(|(table, pages)| (format!("{name}: {table}"), pages)));
    };
    count("a call", &mut |store, n| drop(record(store, VOICE, started(n))));
    count("a choice in it", &mut |store, n| {
        drop(record(store, VOICE, call(Kind::CallInput, &format!("d{n}"), &format!("CA{n}"))));
    });
    count("a call nobody took", &mut |store, n| {
        drop(record(store, VOICE, call(Kind::CallEnded, &format!("e{n}"), &format!("CA{n}"))));
    });
    count("a message of a new sender", &mut |store, n| {
        drop(record(store, CHAT, chat(&format!("m{n}"), &format!("c{n}"))))
    });
    count("a further message", &mut |store, n| drop(record(store, CHAT, chat(&format!("o{n}"), &format!("c{n}")))));
    count("a message that came before", &mut |store, n| {
        drop(record(store, CHAT, chat(&format!("m{n}"), &format!("c{n}"))))
    });
    count("a mail that answers", &mut |store, n| drop(record(store, MAIL, letter(n, 3))));
    count("a single-use value", &mut |store, n| {
        let one = store_sdk::log::Envelope { nonce: Some(format!("n{n}")), ..envelope(TENANT, CHAT) };
        now(store.record(one, Disposition::Accepted, vec![chat(&format!("u{n}"), &format!("c{n}"))])).unwrap();
    });
    count("a profile", &mut |store, _| drop(now(store.profile(TENANT.into())).unwrap()));
    count("a public report", &mut |store, _| {
        let everybody = Lookup {
            references: vec!["0000000000".into()],
            service_codes: Vec::new(),
            statuses: Vec::new(),
            opened_from: None,
            opened_until: None,
            updated_from: None,
            updated_until: None,
            limit: 10,
        };
        drop(now(store.public_cases(TENANT.into(), everybody)).unwrap());
    });
    count("a reply, claimed and sent", &mut |store, n| {
        let case = reference(&record(store, CHAT, chat(&format!("m{n}"), &format!("c{n}"))));
        now(store.reply(TENANT.into(), case, "hello".into(), "ana".into(), T0)).unwrap();
        deliver(store, CHAT);
    });
    count("a word that is nowhere", &mut |store, _| {
        let page = Page { after: None, limit: 10 };
        assert!(now(store.search(TENANT.into(), by("crocodile"), page)).unwrap().cases.is_empty());
    });
    count("what waits to be sent", &mut |store, _| drop(now(store.queues()).unwrap()));
    count("sealing what came", &mut |store, _| while now(store.seal(T0, 100)).unwrap().more {});
    count("nothing to seal", &mut |store, _| assert!(!now(store.seal(T0, 100)).unwrap().more));
    all
}

/// A storm that begins on an empty database is over before autovacuum has looked at it once. Plans are those made when the tables were empty, of
/// connections that stay, and those that PostgreSQL makes without statistics when they are large.
#[test]
fn before_the_first_analyze_no_call_of_a_storm_looks_through_what_is_stored() {
    let base = empty();
    let store = base.open();
    now(store.put_profile(TenantProfile { acknowledge: true, ..profile() })).unwrap();
    let (early, middle, late) = (base.native.clone(), base.connections(), base.connections());
    drop(calls(&base, &early, 900_000));
    let few = calls(&base, &early, 910_000);
    for first in (0..EVENTS).step_by(50) {
        let numbers = first..first + 50;
        let settled = numbers.clone().map(|n| chat(&format!("s{n}"), &format!("c{n}"))).collect();
        let letters = numbers.clone().map(|number| letter(number, number)).collect();
        for (connector, events) in [(VOICE, numbers.map(started).collect()), (CHAT, settled), (MAIL, letters)] {
            now(store.record(envelope(TENANT, connector), Disposition::Accepted, events)).unwrap();
        }
        deliver(&store, CHAT);
        deliver(&store, MAIL);
        if first == 500 {
            drop(calls(&base, &middle, 920_000));
        }
    }
    while now(store.seal(T0, 1000)).unwrap().more {}
    for (whose, native) in [("its first", &early), ("an early", &middle), ("a new", &late)] {
        let place = 930_000 + whose.len() * 10_000;
        drop(calls(&base, native, place));
        let mut faults = Vec::new();
        for (what, pages) in calls(&base, native, place + 1000) {
            let before = few.get(&what).copied().unwrap_or(0);
            // The trees are up to two pages higher, and each is looked into a few times.
            if pages > before * 3 + 3 {
                faults.push(format!("{what}: {before} pages with few events stored, {pages} with many"));
            }
        }
        assert!(faults.is_empty(), "on {whose} connection:\n{}", faults.join("\n"));
    }
}
