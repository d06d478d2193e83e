//! The ledger: every delivery is counted once, and what is stored is sealed in a chain without a gap.

use channel_sdk::types::Kind;
use store_sdk::Store;
use store_sdk::chain;
use store_sdk::ledger::{Account, Examination, Fault, Line};
use store_sdk::log::{Disposition, Envelope, Page, StoreError};

use super::make::*;
use super::{World, block_on, together};

const DAY: i64 = 86_400_000;
/// Another tenant.
const OTHER: &str = "sevilla";

/// Seals until there is nothing more: how many it was.
fn seal_all<S: Store>(store: &S, limit: u32) -> u32 {
    let mut all = 0;
    loop {
        let sealing = again(|| block_on(store.seal(T0, limit)));
        all += sealing.sealed;
        if sealing.sealed == 0 && !sealing.more {
            return all;
        }
    }
}

fn account<S: Store>(store: &S, tenant: &str, bounds: &[i64]) -> Account {
    block_on(store.add_up(tenant.into(), bounds.to_vec())).expect("account")
}

fn examine<S: Store>(store: &S, tenant: &str, after: u64, limit: u32) -> Examination {
    block_on(store.examine(tenant.into(), after, limit)).expect("examined")
}

fn deliver<S: Store>(store: &S, connector: &str, at: i64, key: &str) {
    let envelope = Envelope { received_at: at, ..envelope(TENANT, connector) };
    again(|| block_on(store.record(envelope.clone(), Disposition::Accepted, vec![chat(key, key)])));
}

fn whole<S: Store>(store: &S, tenant: &str, sealed: u64) {
    let account = account(store, tenant, &[]);
    assert_eq!((account.stored, account.sealed, account.waiting), (sealed, sealed, 0));
    assert_eq!((account.counted, account.head, account.unsealed), (sealed, sealed, 0));
    let mut after = 0;
    loop {
        let examination = examine(store, tenant, after, 500);
        assert_eq!(examination.findings, []);
        after = examination.upto;
        if !examination.more {
            break;
        }
    }
    assert_eq!(after, sealed);
}

/// Who knows the envelopes can make the links again, from nothing but what is documented.
pub fn what_is_stored_is_sealed_in_one_chain_per_tenant<W: World>(world: &W) {
    let store = world.open();
    assert_eq!(seal_all(&store, 1), 0);
    assert_eq!(account(&store, TENANT, &[]).link, chain::NOTHING);
    for number in 0..5 {
        deliver(&store, VOICE, T0 + number, &number.to_string());
        record_for(&store, OTHER, MAIL, chat(&number.to_string(), "c"));
    }
    let strange = Envelope {
        target: "/v\\oice?ñ\0".into(),
        headers: vec![channel_sdk::types::Header { name: "x".into(), value: vec![0xff, 0, b'\\'] }],
        body: vec![0, 0xff, b'\\'],
        verified_by: "by\\ \0".into(),
        ..envelope(TENANT, MAIL)
    };
    block_on(store.journal(strange)).expect("journalled");
    let before = account(&store, TENANT, &[]);
    assert_eq!((before.stored, before.sealed, before.waiting), (6, 0, 6));
    assert_eq!((before.counted, before.head, before.unsealed), (6, 0, 6));
    assert_eq!(seal_all(&store, 4), 11);
    assert_eq!(seal_all(&store, 1000), 0, "everything is sealed");
    whole(&store, TENANT, 6);
    whole(&store, OTHER, 5);
    let page = block_on(store.envelopes(TENANT.into(), None, first())).expect("envelopes");
    let mut last = chain::NOTHING.to_owned();
    for (number, summary) in (1..).zip(page.envelopes.iter().rev()) {
        let whole = block_on(store.envelope_by_id(TENANT.into(), summary.id.clone())).expect("read").expect("there");
        last = chain::link(&last, &chain::digest(&summary.id, &whole), number).expect("a link");
        assert_eq!(block_on(store.link(TENANT.into(), number)), Ok(Some(last.clone())), "{number}");
    }
    assert_eq!(account(&store, TENANT, &[]).link, last);
    assert_eq!(block_on(store.link(TENANT.into(), 7)), Ok(None));
    assert_eq!(block_on(store.link(TENANT.into(), 0)), Ok(None));
    // What becomes of an envelope afterwards is no change of it.
    let pending = &page.envelopes[0].id;
    let known = Envelope { id: Some(pending.clone()), ..envelope(TENANT, MAIL) };
    block_on(store.record(known, Disposition::Accepted, vec![mail("m", "a@example.org", &[])])).expect("recorded");
    whole(&store, TENANT, 6);
}

/// Several processes have a timer.
pub fn two_that_seal_at_once_make_one_chain<W: World>(world: &W) {
    let store = world.open();
    for number in 0..60 {
        deliver(&store, VOICE, T0, &number.to_string());
    }
    let sealed: u32 = together(world, 6, |_, store| seal_all(&store, 7)).iter().sum();
    assert_eq!(sealed + seal_all(&store, 7), 60);
    whole(&store, TENANT, 60);
}

/// Also what commits late.
pub fn nothing_that_is_written_meanwhile_is_left_without_a_seal<W: World>(world: &W) {
    drop(world.open());
    together(world, 6, |index, store| {
        for number in 0..25 {
            if index < 2 {
                again(|| block_on(store.seal(T0, 10)));
            } else {
                deliver(&store, VOICE, T0, &format!("{index}/{number}"));
            }
        }
    });
    let store = world.open();
    seal_all(&store, 500);
    whole(&store, TENANT, 100);
}

fn line(period: u32, connector: &str, disposition: &str, envelopes: u64, events: u64, duplicates: u64) -> Line {
    let (connector, disposition) = (connector.into(), disposition.into());
    Line { period, connector, disposition, envelopes, repeats: 0, events, duplicates }
}

/// In the period in which it came, under what became of it.
pub fn an_account_has_every_delivery_once<W: World>(world: &W) {
    let store = world.open();
    for (at, key) in [(0, "a"), (5, "b"), (DAY - 1, "a"), (DAY, "c"), (2 * DAY, "d")] {
        deliver(&store, VOICE, T0 + at, key);
    }
    record_for(&store, OTHER, VOICE, chat("a", "c"));
    let bad = Envelope { received_at: T0 + DAY + 7, ..envelope(TENANT, MAIL) };
    let twice = vec![mail("m", "a@example.org", &[]), mail("m", "a@example.org", &[])];
    block_on(store.record(bad, Disposition::Quarantined("why".into()), twice)).expect("recorded");
    block_on(store.journal(envelope(TENANT, VOICE))).expect("journalled");
    let days = account(&store, TENANT, &[T0, T0 + DAY, T0 + 2 * DAY]);
    let first = [line(0, VOICE, "accepted", 3, 2, 1), line(0, VOICE, "pending", 1, 0, 0)];
    let second = [line(1, MAIL, "quarantined", 1, 1, 1), line(1, VOICE, "accepted", 1, 1, 0)];
    assert_eq!(days.lines, [first, second].concat());
    assert_eq!((days.stored, days.sealed, days.waiting), (6, 0, 6), "of these days");
    assert_eq!((days.counted, days.head, days.unsealed), (7, 0, 7), "in all");
    let all = account(&store, TENANT, &[i64::MIN, i64::MAX]);
    let of = |connector, disposition| {
        all.lines.iter().find(|line| (line.connector.as_str(), line.disposition.as_str()) == (connector, disposition))
    };
    assert_eq!(of(VOICE, "accepted"), Some(&line(0, VOICE, "accepted", 5, 4, 1)));
    assert_eq!(all.lines.iter().map(|line| line.envelopes).sum::<u64>(), all.stored);
    assert_eq!(account(&store, TENANT, &[T0 + 3 * DAY, T0 + 4 * DAY]).lines, []);
    assert_eq!(account(&store, "nowhere", &[i64::MIN, i64::MAX]).lines, []);
}

/// Whatever the order in which they were committed: an envelope that waited in a spool comes into the chain behind later ones.
pub fn an_account_of_a_period_has_the_seals_of_its_envelopes<W: World>(world: &W) {
    let store = world.open();
    let of = |since: i64, until: i64| {
        let account = account(&store, TENANT, &[T0 + since, T0 + until]);
        assert_eq!(account.lines.iter().map(|line| line.envelopes).sum::<u64>(), account.stored);
        assert_eq!(account.counted, account.head + account.unsealed);
        (account.stored, account.sealed, account.waiting)
    };
    for (number, at) in [10, 20, 40, 30, 5, 41, 25].into_iter().enumerate() {
        deliver(&store, VOICE, T0 + at, &number.to_string());
        record_for(&store, OTHER, VOICE, chat(&number.to_string(), "c"));
        if number % 2 == 1 {
            seal_all(&store, 3);
        }
    }
    assert_eq!(of(0, 100), (7, 6, 1));
    assert_eq!(of(25, 26), (1, 0, 1));
    seal_all(&store, 100);
    for (since, until, envelopes) in
        [(0, 100, 7), (0, 5, 0), (0, 6, 1), (5, 10, 1), (10, 21, 2), (11, 20, 0), (26, 41, 2), (41, 42, 1), (42, 99, 0)]
    {
        assert_eq!(of(since, until), (envelopes, envelopes, 0), "{since} to {until}");
    }
}

/// It is not stored again, and counted with the one that is.
pub fn a_single_use_value_that_comes_again_is_a_repeat<W: World>(world: &W) {
    let store = world.open();
    let once = Envelope { nonce: Some("n".into()), ..envelope(TENANT, VOICE) };
    for _ in 0..3 {
        block_on(store.record(once.clone(), Disposition::Accepted, vec![chat("a", "c")])).expect("recorded");
    }
    let account = account(&store, TENANT, &[i64::MIN, i64::MAX]);
    assert_eq!(account.lines, [Line { repeats: 2, ..line(0, VOICE, "accepted", 1, 1, 0) }]);
    assert_eq!((account.stored, account.counted), (1, 1));
}

/// Where a host can't come back for a request, the envelope goes first.
pub fn what_was_journalled_has_its_duplicates_counted_and_a_replay_has_none<W: World>(world: &W) {
    let store = world.open();
    deliver(&store, VOICE, T0, "a");
    let id = block_on(store.journal(envelope(TENANT, MAIL))).expect("journalled");
    let known = Envelope { id: Some(id), ..envelope(TENANT, MAIL) };
    let lines = |duplicates| {
        let events = vec![chat("a", "c"), chat("a", "c"), chat("b", "c")];
        block_on(store.record(known.clone(), Disposition::Accepted, events)).expect("recorded");
        let account = account(&store, TENANT, &[i64::MIN, i64::MAX]);
        let kept = [line(0, MAIL, "accepted", 1, 2, duplicates), line(0, VOICE, "accepted", 1, 1, 0)];
        assert_eq!(account.lines, kept);
    };
    lines(1);
    lines(1);
}

/// For whoever replays a period.
pub fn received_envelopes_are_found_by_their_time<W: World>(world: &W) {
    let store = world.open();
    for (number, at) in [30, 10, 20, 40].into_iter().enumerate() {
        deliver(&store, VOICE, T0 + at, &number.to_string());
    }
    block_on(store.journal(Envelope { received_at: T0 + 20, ..envelope(TENANT, MAIL) })).expect("journalled");
    record_for(&store, OTHER, VOICE, chat("a", "c"));
    let ask = |since: i64, until: i64, disposition: Option<&str>, page: Page| {
        block_on(store.received(TENANT.into(), T0 + since, T0 + until, disposition.map(str::to_owned), page))
    };
    let times = |since, until, disposition| {
        let page = ask(since, until, disposition, first()).expect("received");
        assert_eq!(page.next, None);
        page.envelopes.iter().map(|envelope| envelope.received_at - T0).collect::<Vec<_>>()
    };
    assert_eq!(times(10, 40, None), [30, 20, 20, 10], "newest first");
    assert_eq!(times(10, 41, Some("accepted")), [40, 30, 20, 10]);
    assert_eq!(times(0, 100, Some("pending")), [20]);
    assert!(times(41, 100, None).is_empty());
    let mut after = None;
    let mut found = Vec::new();
    for _ in 0..5 {
        let page = ask(0, 100, None, Page { after, limit: 1 }).expect("received");
        found.extend(page.envelopes.iter().map(|envelope| envelope.id.clone()));
        after = page.next;
    }
    assert_eq!(after, None);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 5, "pages meet");
    assert!(matches!(ask(0, 100, Some("rejected"), first()), Err(StoreError::Invalid(_))));
}

/// A large ledger is not held in memory.
pub fn a_chain_is_examined_part_by_part<W: World>(world: &W) {
    let store = world.open();
    for number in 0..7 {
        record(&store, VOICE, call(Kind::CallStarted, &number.to_string(), &number.to_string()));
    }
    seal_all(&store, 100);
    let parts = [(0, 3, true), (3, 6, true), (6, 7, false), (7, 7, false)];
    for (after, upto, more) in parts {
        let part = examine(&store, TENANT, after, 3);
        assert_eq!((part.upto, part.more, part.findings), (upto, more, Vec::new()), "after {after}");
    }
    // Behind the end there is nothing to follow from.
    let beyond = examine(&store, TENANT, 9, 3);
    assert_eq!(beyond.findings.iter().map(|found| (found.fault, found.number)).collect::<Vec<_>>(), [(Fault::Gap, 9)]);
    assert_eq!(examine(&store, "nowhere", 0, 3), Examination { upto: 0, more: false, findings: Vec::new(), erased: 0 });
    // What waits for its seal is no finding.
    record(&store, VOICE, call(Kind::CallStarted, "new", "new"));
    assert_eq!(examine(&store, TENANT, 6, 3).findings, []);
}

/// Whoever asks for them.
pub fn a_limit_of_nothing_and_bounds_that_do_not_ascend_are_invalid<W: World>(world: &W) {
    let store = world.open();
    for limit in [0, 1001] {
        assert!(matches!(block_on(store.seal(T0, limit)), Err(StoreError::Invalid(_))));
    }
    for limit in [0, 501] {
        assert!(matches!(block_on(store.examine(TENANT.into(), 0, limit)), Err(StoreError::Invalid(_))));
    }
    assert!(matches!(block_on(store.examine(TENANT.into(), u64::MAX, 1)), Err(StoreError::Invalid(_))));
    for bounds in [vec![2, 1], vec![1, 1], (0..1002).collect()] {
        assert!(matches!(block_on(store.add_up(TENANT.into(), bounds)), Err(StoreError::Invalid(_))));
    }
    assert_eq!(account(&store, TENANT, &[1]).lines, []);
}
