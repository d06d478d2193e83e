//! The same random history on PostgreSQL and on SQLite, every answer compared. Random bytes are the same on both, so ids and references are
//! too; what a provider may choose (cursors, positions in the feed, ids of changes) is left out.
//!
//! `SEED=… cargo test --release -p store-postgres --test model` repeats a run; `STEPS=…` makes it longer.

// Most of it is for SQLite's own tests.
#[allow(dead_code)]
#[path = "../../sqlite/tests/support/mod.rs"]
mod sqlite;
mod support;

use std::cell::Cell;
use std::fmt::Debug;

use channel_sdk::types::{CaseStatus, Correspondence, Event, Kind, Lookup, Task, TenantProfile, Threading};
use store_sdk::Store;
use store_sdk::cases::{Query, Update};
use store_sdk::feed::{Command, Fact, Outlook, Settlement as Fed, Start};
use store_sdk::log::{Disposition, Envelope, Page, StoreError};
use store_sdk::outbox::{Resumption, Settlement};
use support::{empty, now};
use testkit::store_suite::World;
use testkit::store_suite::make::{T0, envelope, handle};

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

struct Dice(u64);

impl Dice {
    fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0) % count
    }
    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.below(3) == 0 { Some(value(self)) } else { None }
    }
}

const TENANTS: [&str; 2] = ["madrid", "sevilla"];
const CONNECTORS: [&str; 4] = ["telephony/example", "email/example", "messaging/example", "social/example"];
const STATUSES: [CaseStatus; 5] =
    [CaseStatus::New, CaseStatus::Open, CaseStatus::Pending, CaseStatus::Resolved, CaseStatus::Closed];
const TEXTS: [&str; 9] =
    ["hello", "Ñandú 100%", "a\0b", "\\0 \\", "\u{fdd0}0", "", " ", "'; --", "\u{1f1ea}\u{1f1f8} \u{202e}"];

/// What has come out of the stores and can be asked for again.
#[derive(Default)]
struct Known {
    references: Vec<String>,
    envelopes: Vec<String>,
    contacts: Vec<String>,
    tasks: Vec<String>,
    items: Vec<String>,
    leases: Vec<(String, Vec<String>, Vec<String>)>,
}

impl Known {
    fn reference(&self, dice: &mut Dice) -> String {
        if self.references.is_empty() || dice.below(20) == 0 {
            return channel_sdk::reference::from_number(u32::try_from(dice.below(1000)).unwrap());
        }
        dice.one(&self.references).clone()
    }
    fn some(of: &[String], dice: &mut Dice) -> String {
        if of.is_empty() || dice.below(20) == 0 { "nothing".into() } else { dice.one(of).clone() }
    }
}

fn event(dice: &mut Dice, known: &Known) -> Event {
    const KINDS: [Kind; 16] = [
        Kind::Message,
        Kind::Message,
        Kind::Message,
        Kind::CallStarted,
        Kind::CallInput,
        Kind::CallEnded,
        Kind::CallEnded,
        Kind::CallRecording,
        Kind::CallTranscript,
        Kind::CallMissed,
        Kind::Status,
        Kind::Reaction,
        Kind::Request,
        Kind::Follow,
        Kind::Mention,
        Kind::Callback,
    ];
    let kind = *dice.one(&KINDS);
    let id = |dice: &mut Dice| format!("<{}@x\\>", dice.below(30));
    let thread = |dice: &mut Dice| format!("{}{}", dice.one(&["CA", "t\0", "\u{fdd0}"]), dice.below(8));
    let text = |dice: &mut Dice| (*dice.one(&TEXTS)).to_owned();
    let letters = |dice: &mut Dice| Correspondence {
        token: dice.maybe(|dice| known.reference(dice)),
        message_ids: (0..dice.below(4)).map(|_| id(dice)).collect(),
    };
    let threading = match dice.below(12) {
        0..4 => Threading::Key(thread(dice)),
        4..7 => Threading::Correspondence(letters(dice)),
        7 => Threading::Existing(thread(dice)),
        8 => Threading::ExistingCorrespondence(letters(dice)),
        9..11 => Threading::PublicCase(known.reference(dice)),
        _ => Threading::Detached,
    };
    let flags = ["withheld", "echo", "answered", "bulk", "abandoned"];
    Event {
        sender: dice
            .maybe(|dice| handle(*dice.one(&["phone", "email"]), &format!("P{}\\", dice.below(6))))
            .or_else(|| (dice.below(2) == 0).then(|| handle("phone", "+34600111222"))),
        sender_name: dice.maybe(text),
        claimed: dice.maybe(|dice| handle("phone", &format!("+349{}", dice.below(3)))).into_iter().collect(),
        subject: dice.maybe(text),
        text: dice.maybe(text),
        message_id: dice.maybe(id),
        in_reply_to: dice.maybe(id),
        call_id: dice.maybe(text),
        status: dice.maybe(|dice| (*dice.one(&["delivered", "read", "answered", "completed", "sent"])).to_owned()),
        service_code: dice.maybe(|dice| (*dice.one(&["lamp", "wa\\ste"])).to_owned()),
        department: dice.maybe(|dice| (*dice.one(&["roads", "water\0"])).to_owned()),
        task: dice.maybe(|dice| *dice.one(&[Task::CallBack, Task::Review])),
        asks_about: dice.maybe(|dice| known.reference(dice)),
        flags: dice.maybe(|dice| (*dice.one(&flags)).to_owned()).into_iter().collect(),
        fields: dice.maybe(|dice| vec![("z".to_owned(), text(dice)), ("a".to_owned(), text(dice))]).unwrap_or_default(),
        public: dice.below(3) == 0,
        confidence: dice.maybe(|dice| f64::from(u32::try_from(dice.below(1000)).unwrap()) / 999.0),
        must_not_autorespond: dice.below(4) == 0,
        threading,
        ..Event::new(kind, format!("{}{}", dice.one(&["k", "k\0", "k\\0"]), dice.below(400)))
    }
}

/// A step, made once, done on both.
enum Step {
    Record(Envelope, Disposition, Vec<Event>),
    Journal(Envelope),
    Change(String, String, Update),
    Note(String, String, String),
    Task(String, String, String),
    Reply(String, String, String),
    Join(bool, String, String, String),
    Profile(TenantProfile),
    Claim(String, u32),
    Settle(String, Settlement),
    FeedClaim(String, Start, u32),
    FeedSettle(String, usize, usize, Outlook),
    FeedControl(String, Command),
    Seal,
    Look(String, Query, Lookup, u32),
}

fn step(dice: &mut Dice, known: &Known, at: i64) -> Step {
    let tenant = (*dice.one(&TENANTS)).to_owned();
    let text = |dice: &mut Dice| (*dice.one(&TEXTS)).to_owned();
    match dice.below(40) {
        0..16 => {
            let mut envelope = Envelope { received_at: at, ..envelope(&tenant, *dice.one(&CONNECTORS)) };
            envelope.id = if dice.below(12) == 0 { Some(Known::some(&known.envelopes, dice)) } else { None };
            envelope.nonce = dice.maybe(|dice| format!("n{}", dice.below(60)));
            envelope.body = vec![u8::try_from(dice.below(2)).unwrap()];
            let disposition = match dice.below(8) {
                0 => Disposition::Quarantined(text(dice)),
                1 => Disposition::Pending,
                _ => Disposition::Accepted,
            };
            let events = (0..dice.below(5)).map(|_| event(dice, known)).collect();
            Step::Record(envelope, disposition, events)
        }
        16 => Step::Journal(Envelope { received_at: at, ..envelope(&tenant, *dice.one(&CONNECTORS)) }),
        17..20 => Step::Change(
            tenant,
            known.reference(dice),
            Update {
                status: dice.maybe(|dice| *dice.one(&STATUSES)),
                department: dice.maybe(|dice| (*dice.one(&["roads", "pol\\ice"])).to_owned()),
                assignee: dice.maybe(text),
                priority: dice.maybe(|dice| u8::try_from(dice.below(7)).unwrap()),
            },
        ),
        20 => Step::Note(tenant, known.reference(dice), text(dice)),
        21 => Step::Task(tenant, known.reference(dice), Known::some(&known.tasks, dice)),
        22..24 => Step::Reply(tenant, known.reference(dice), text(dice)),
        24..26 => Step::Join(
            dice.below(2) == 0,
            tenant,
            Known::some(&known.contacts, dice),
            Known::some(&known.contacts, dice),
        ),
        26 => Step::Profile(TenantProfile {
            tenant,
            name: text(dice),
            languages: vec!["es".into()],
            greeting: Vec::new(),
            announcement: Vec::new(),
            departments: Vec::new(),
            services: Vec::new(),
            time_zone: "UTC0".into(),
            opening_hours: Vec::new(),
            links: Vec::new(),
            acknowledge: dice.below(4) != 0,
        }),
        27..29 => Step::Claim((*dice.one(&CONNECTORS)).to_owned(), u32::try_from(1 + dice.below(6)).unwrap()),
        29..31 => {
            let settlement = match dice.below(4) {
                0 => Settlement::Sent(dice.maybe(|dice| format!("<{}@x\\>", dice.below(30)))),
                1 => Settlement::Retry((at + 1000, text(dice))),
                2 => Settlement::Resume(Resumption {
                    at: at + 500,
                    reason: text(dice),
                    done: u32::try_from(dice.below(3)).unwrap(),
                    message_id: dice.maybe(|dice| format!("<{}@x\\>", dice.below(30))),
                }),
                _ => Settlement::Failed(text(dice)),
            };
            Step::Settle(Known::some(&known.items, dice), settlement)
        }
        31 => Step::FeedClaim(
            tenant,
            if dice.below(2) == 0 { Start::Now } else { Start::Beginning },
            u32::try_from(1 + dice.below(9)).unwrap(),
        ),
        32 => {
            let outlook = match dice.below(4) {
                0 => Outlook::Ready,
                1 => Outlook::Keep(at + 300),
                2 => Outlook::Retry((at + 200, text(dice))),
                _ => Outlook::Stop(text(dice)),
            };
            Step::FeedSettle(
                tenant,
                usize::try_from(dice.below(3)).unwrap(),
                usize::try_from(dice.below(9)).unwrap(),
                outlook,
            )
        }
        33 => Step::FeedControl(tenant, if dice.below(3) == 0 { Command::Pause } else { Command::Resume }),
        34 => Step::Seal,
        _ => Step::Look(
            tenant,
            Query {
                status: dice.maybe(|dice| *dice.one(&STATUSES)),
                channel: dice.maybe(|dice| (*dice.one(&["telephony", "email"])).to_owned()),
                q: dice.maybe(|dice| match dice.below(3) {
                    0 => known.reference(dice),
                    1 => known.reference(dice)[..5].to_owned(),
                    _ => text(dice),
                }),
            },
            Lookup {
                references: (0..dice.below(2)).map(|_| known.reference(dice)).collect(),
                service_codes: dice.maybe(|_| "wa\\ste".to_owned()).into_iter().collect(),
                statuses: dice.maybe(|dice| *dice.one(&STATUSES)).into_iter().collect(),
                opened_from: dice.maybe(|_| at - 3000),
                opened_until: None,
                updated_from: None,
                updated_until: dice.maybe(|_| at - 1000),
                limit: 20,
            },
            u32::try_from(1 + dice.below(9)).unwrap(),
        ),
    }
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
            out.push_str(&format!("{:#?}\n", now(store.envelope_by_id(tenant.into(), newest.id.clone())).unwrap()));
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
    assert_eq!((account.stored, account.counted), (account.sealed + account.waiting, account.stored));
    out.push_str(&format!("{account:#?} {examination:#?}\n"));
    let page = Page { after: None, limit };
    out.push_str(&format!("{:#?}\n", now(store.received(tenant.into(), T0, at, None, page)).unwrap()));
    out.push_str(&format!("{:#?}\n", now(store.queues()).unwrap()));
    out.push_str(&format!("{:#?}\n", now(store.feed_queues(at)).unwrap()));
    out.push_str(&format!("{:#?}\n", now(store.tenants()).unwrap()));
    out.push_str(&format!("{:#?}\n", now(store.profile(tenant.into())).unwrap()));
    out
}

/// The first place where two texts differ, with what is before it.
fn difference(one: &str, other: &str) -> String {
    let same = one.lines().zip(other.lines()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| {
        text.lines().skip(same.saturating_sub(25)).take(40).map(str::trim_end).collect::<Vec<_>>().join("\n")
    };
    format!("PostgreSQL:\n{}\n\nSQLite:\n{}", part(one), part(other))
}

fn history(seed: u64, steps: u64) {
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
    for tenant in TENANTS {
        let everything = Query { status: None, channel: None, q: None };
        let lookup = Lookup {
            references: Vec::new(),
            service_codes: Vec::new(),
            statuses: Vec::new(),
            opened_from: None,
            opened_until: None,
            updated_from: None,
            updated_until: None,
            limit: 1000,
        };
        let one = look(&postgres, tenant, &everything, &lookup, 20, T0, &mut known);
        let other = look(&sqlite, tenant, &everything, &lookup, 20, T0, &mut known);
        assert!(one == other, "SEED={seed}, at the end:\n{}", difference(&one, &other));
        assert!(one.len() > 10_000, "a history of nothing");
    }
    let _ = base.open();
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
    for seed in seeds {
        println!("SEED={seed}");
        history(seed, steps);
    }
}
