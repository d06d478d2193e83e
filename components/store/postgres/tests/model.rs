//! The same random history on PostgreSQL and on SQLite, every answer compared. Random bytes are the same on both, so ids and references are
//! too; what a provider may choose (cursors, positions in the feed, ids of changes) is left out.
//!
//! `SEED=… cargo test --release -p store-postgres --test model` repeats a run; `STEPS=…` makes it longer.

// Most of it is for SQLite's own tests.
#[allow(dead_code)]
#[path = "../../sqlite/tests/support/mod.rs"]
mod sqlite;
#[path = "model/steps.rs"]
mod steps;
mod support;

use std::cell::Cell;
use std::fmt::Debug;

use channel_sdk::types::Lookup;
use steps::{Dice, Done, Known, Step, TENANTS, step};
use store_sdk::Store;
use store_sdk::cases::Query;
use store_sdk::feed::{Fact, Settlement as Fed};
use store_sdk::log::{Page, StoreError};
use support::{empty, now};
use testkit::store_suite::World;
use testkit::store_suite::make::T0;

thread_local! {
    static DRAWN: Cell<u64> = const { Cell::new(0) };
}

/// SplitMix64: the same bytes for both stores, when it is set to the same number before each step.
fn drawn(bytes: &mut [u8]) -> Result<(), String> {
    for chunk in bytes.chunks_mut(8) {
        let next = DRAWN.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        DRAWN.set(next);
        chunk.copy_from_slice(&mix(next).to_le_bytes()[..chunk.len()]);
    }
    Ok(())
}

fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// A text of an answer, without what a provider may choose. Errors are compared in their words: they are the same for both.
fn said<T: Debug>(answer: Result<T, StoreError>) -> String {
    if let Err(StoreError::Unavailable(why)) = &answer {
        panic!("unavailable: {why}");
    }
    format!("{answer:#?}")
}

const FAR: &str = "crm";

fn perform<S: Store>(store: &S, step: &Step, at: i64, known: &mut Known, which: usize) -> String {
    match step {
        Step::Record(envelope, disposition, events) => {
            let answer = now(store.record(envelope.clone(), disposition.clone(), events.clone()));
            if let Ok(receipts) = &answer {
                known.references.extend(receipts.iter().filter_map(|receipt| receipt.case_reference.clone()));
            }
            said(answer)
        }
        Step::Journal(envelope) => {
            let answer = now(store.journal(envelope.clone()));
            known.envelopes.extend(answer.iter().cloned());
            said(answer)
        }
        Step::Change(tenant, reference, changes) => {
            said(now(store.change(tenant.clone(), reference.clone(), changes.clone(), "ana\\".into(), at)))
        }
        Step::Note(tenant, reference, text) => {
            said(now(store.add_note(tenant.clone(), reference.clone(), text.clone(), "ana\0".into(), at)))
        }
        Step::Task(tenant, reference, task) => {
            said(now(store.complete_task(tenant.clone(), reference.clone(), task.clone(), "ana".into(), at)))
        }
        Step::Reply(tenant, reference, text) => {
            said(now(store.reply(tenant.clone(), reference.clone(), text.clone(), "ana".into(), at)))
        }
        Step::Join(join, tenant, into, other) => {
            let (tenant, into, other) = (tenant.clone(), into.clone(), other.clone());
            if *join {
                said(now(store.join_contacts(tenant, into, other, "ana".into(), at)))
            } else {
                said(now(store.separate_contacts(tenant, into, other, "ana".into(), at)))
            }
        }
        Step::Profile(profile) => said(now(store.put_profile(profile.clone()))),
        Step::Claim(connector, limit) => {
            let answer = now(store.claim(connector.clone(), at, at + 400, *limit));
            known.items.extend(answer.iter().flatten().map(|item| item.id.clone()));
            said(answer)
        }
        Step::Settle(id, settlement) => said(now(store.settle(id.clone(), at, settlement.clone()))),
        Step::FeedClaim(tenant, start, limit) => {
            let answer = now(store.feed_claim(tenant.clone(), FAR.into(), *start, at, at + 400, *limit));
            let Ok(Some(mut batch)) = answer else { return said(answer) };
            let positions: Vec<String> = batch.entries.iter().map(|entry| entry.position.clone()).collect();
            if which == 0 {
                known.leases.push((batch.lease.clone(), positions, Vec::new()));
            } else if let Some(last) = known.leases.last_mut() {
                last.2 = positions;
            }
            for entry in &mut batch.entries {
                entry.position.clear();
                if matches!(entry.fact, Fact::Changed(_)) {
                    entry.id.clear();
                }
            }
            said(Ok(batch))
        }
        Step::FeedSettle(tenant, back, place, outlook) => {
            let Some((lease, first, second)) = known.leases.iter().rev().nth(*back) else { return String::new() };
            let positions = if which == 0 { first } else { second };
            let settlement = Fed {
                delivered: positions.get(*place).cloned(),
                count: u32::try_from(*place).unwrap(),
                outlook: outlook.clone(),
            };
            said(now(store.feed_settle(tenant.clone(), FAR.into(), lease.clone(), at, settlement)))
        }
        Step::FeedControl(tenant, command) => {
            let answer = now(store.feed_control(tenant.clone(), FAR.into(), *command, "ana\0".into(), at));
            said(answer.map(|state| {
                state.map(|mut state| {
                    state.position.clear();
                    state
                })
            }))
        }
        // How many of which tenant one call seals is the store's own affair.
        Step::Seal => {
            let mut sealed = 0;
            loop {
                let done = now(store.seal(at, 7)).unwrap();
                sealed += done.sealed;
                if !done.more {
                    return sealed.to_string();
                }
            }
        }
        Step::Rules(tenant, rules) => said(now(store.set_retention(tenant.clone(), rules.clone(), "dpo\\".into(), at))),
        // How many at a time is its own affair too, and so is how many there are to draw for.
        Step::Retain(limit) => {
            let mut changed = 0;
            loop {
                let done = now(store.retain(at, *limit)).unwrap();
                changed += done.changed;
                if !done.more {
                    known.done.retained += changed;
                    return changed.to_string();
                }
            }
        }
        Step::Erase(tenant, subject, why, dry_run) => {
            let answer = now(store.erase(tenant.clone(), subject.clone(), "ana\0".into(), why.clone(), at, *dry_run));
            match &answer {
                Ok(erasure) if !dry_run => known.done.erased += erasure.counts.events,
                Err(StoreError::Invalid(why)) if why.contains("on hold") => known.done.refused += 1,
                _ => {}
            }
            said(answer)
        }
        Step::Hold(tenant, reference, reason) => {
            said(now(store.hold(tenant.clone(), reference.clone(), reason.clone(), "ana".into(), at)))
        }
        // To its end: what is left of it in between, and in how many steps it goes, is the store's own affair.
        Step::Remove(tenant, again) => {
            let (first, mut out) = (DRAWN.get(), String::new());
            loop {
                DRAWN.set(first);
                let done = now(store.remove_tenant(tenant.clone(), "root\\".into(), "over\0".into(), at, 150));
                let more = done.as_ref().is_ok_and(|done| done.more);
                let head = said(done.map(|done| done.head));
                if !more {
                    known.done.removed += u32::from(head.starts_with("Ok"));
                    out.push_str(&head);
                    break;
                }
            }
            out.push_str(&look(store, tenant, &everything(), &all_public(), 20, at, known));
            if let Some(again) = again {
                out.push_str(&said(now(store.put_profile(again.clone()))));
            }
            out
        }
        Step::Look(tenant, query, lookup, limit) => look(store, tenant, query, lookup, *limit, at, known),
    }
}

/// Everything there is to read.
fn look<S: Store>(
    store: &S,
    tenant: &str,
    query: &Query,
    lookup: &Lookup,
    limit: u32,
    at: i64,
    known: &mut Known,
) -> String {
    let mut out = String::new();
    let mut after = None;
    loop {
        let page = now(store.events(tenant.into(), None, Page { after, limit: limit * 20 })).unwrap();
        out.push_str(&format!("{:#?}\n", page.events));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    for disposition in [None, Some("accepted"), Some("quarantined"), Some("pending")] {
        let page = now(store.envelopes(tenant.into(), disposition.map(str::to_owned), Page { after: None, limit: 30 }))
            .unwrap();
        for envelope in &page.envelopes {
            known.envelopes.push(envelope.id.clone());
        }
        out.push_str(&format!("{:#?} {}\n", page.envelopes, page.next.is_some()));
        if let Some(newest) = page.envelopes.first() {
            out.push_str(&said(now(store.envelope_by_id(tenant.into(), newest.id.clone()))));
        }
    }
    after = None;
    loop {
        let page = now(store.search(tenant.into(), query.clone(), Page { after, limit })).unwrap();
        for case in &page.cases {
            known.contacts.extend(case.contact.iter().map(|contact| contact.id.clone()));
            known.tasks.extend(case.open_tasks.iter().map(|task| task.id.clone()));
            out.push_str(&format!("{:#?}\n", now(store.get(tenant.into(), case.reference.clone())).unwrap()));
        }
        out.push_str(&format!("{:#?}\n", page.cases));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut public = now(store.public_cases(tenant.into(), lookup.clone())).unwrap();
    for (number, update) in public.iter_mut().flat_map(|case| &mut case.updates).enumerate() {
        update.id = number.to_string();
    }
    out.push_str(&format!("{public:#?}\n"));
    let mut states = now(store.feed_states(tenant.into())).unwrap();
    states.iter_mut().for_each(|state| state.position.clear());
    out.push_str(&format!("{states:#?}\n"));
    out.push_str(&format!("{:#?}\n", now(store.totals(String::new())).unwrap()));
    out.push_str(&format!("{:#?}\n", now(store.totals(tenant.into())).unwrap()));
    // Also the link: the same envelopes in the same order.
    let account = now(store.add_up(tenant.into(), vec![i64::MIN, T0 + 2000, T0 + 5000, i64::MAX])).unwrap();
    let examination = now(store.examine(tenant.into(), 0, 500)).unwrap();
    assert!(examination.findings.is_empty(), "{:?}", examination.findings);
    assert_eq!((account.stored, account.counted), (account.sealed + account.waiting, account.head + account.unsealed));
    out.push_str(&format!("{account:#?} {examination:#?}\n"));
    let page = Page { after: None, limit };
    out.push_str(&format!("{:#?}\n", now(store.received(tenant.into(), T0, at, None, page)).unwrap()));
    out.push_str(&format!("{:#?}\n", now(store.queues()).unwrap()));
    out.push_str(&format!("{:#?}\n", now(store.feed_queues(at)).unwrap()));
    out.push_str(&format!("{:#?}\n", now(store.tenants()).unwrap()));
    out.push_str(&said(now(store.profile(tenant.into()))));
    out.push_str(&format!("{:#?}\n", now(store.retention(tenant.into())).unwrap()));
    after = None;
    loop {
        let page = now(store.audit(tenant.into(), Page { after, limit })).unwrap();
        out.push_str(&format!("{:#?}\n", page.entries));
        after = page.next;
        if after.is_none() {
            return out;
        }
    }
}

/// The first place where two texts differ, with what is before it.
fn difference(one: &str, other: &str) -> String {
    let same = one.lines().zip(other.lines()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| {
        text.lines().skip(same.saturating_sub(25)).take(40).map(str::trim_end).collect::<Vec<_>>().join("\n")
    };
    format!("PostgreSQL:\n{}\n\nSQLite:\n{}", part(one), part(other))
}

fn everything() -> Query {
    Query { status: None, channel: None, q: None }
}

/// Every public case.
fn all_public() -> Lookup {
    Lookup {
        references: Vec::new(),
        service_codes: Vec::new(),
        statuses: Vec::new(),
        opened_from: None,
        opened_until: None,
        updated_from: None,
        updated_until: None,
        limit: 1000,
    }
}

fn history(seed: u64, steps: u64) -> Done {
    let base = empty();
    let postgres = store_postgres::PostgresStore::new(base.native.clone(), drawn);
    let folder = sqlite::Folder::new();
    let sqlite = sqlite::with_random(folder.file(), drawn);
    let (mut dice, mut known) = (Dice(seed), Known::default());
    for number in 0..steps {
        let at = T0 + i64::try_from(number * 37).unwrap() + if number > steps / 2 { 86_400_000 } else { 0 };
        let step = step(&mut dice, &known, at);
        DRAWN.set(seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let one = perform(&postgres, &step, at, &mut known, 0);
        DRAWN.set(seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let other = perform(&sqlite, &step, at, &mut known, 1);
        assert!(one == other, "SEED={seed}, step {number}:\n{}", difference(&one, &other));
    }
    let mut all = 0;
    for tenant in TENANTS {
        let one = look(&postgres, tenant, &everything(), &all_public(), 20, T0, &mut known);
        let other = look(&sqlite, tenant, &everything(), &all_public(), 20, T0, &mut known);
        assert!(one == other, "SEED={seed}, at the end:\n{}", difference(&one, &other));
        all += one.len();
    }
    assert!(all > 10_000, "a history of nothing");
    let _ = base.open();
    known.done
}

#[test]
fn a_random_history_has_the_same_answers_on_both_stores() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let steps = number("STEPS").unwrap_or(300);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let seeds = match number("SEED") {
        Some(seed) => vec![seed],
        // Two that are always the same, and one that nobody has tried.
        None => vec![1, 2, u64::try_from(now % 1_000_000_007).unwrap()],
    };
    let mut all = Done::default();
    for &seed in &seeds {
        println!("SEED={seed}");
        let done = history(seed, steps);
        println!("{done:?}");
        all.erased += done.erased;
        all.refused += done.refused;
        all.retained += done.retained;
        all.removed += done.removed;
    }
    let nothing = all.erased == 0 || all.refused == 0 || all.retained == 0 || all.removed == 0;
    assert!(seeds.len() == 1 || !nothing, "a history without erasures shows nothing of them: {all:?}");
}
