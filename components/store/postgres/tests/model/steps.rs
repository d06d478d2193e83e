//! A random history, step by step: the same for the same seed.

use channel_sdk::types::{CaseStatus, Correspondence, Event, Kind, Lookup, Task, TenantProfile, Threading};
use store_sdk::cases::{Query, Update};
use store_sdk::feed::{Command, Outlook, Start};
use store_sdk::log::{Disposition, Envelope};
use store_sdk::outbox::{Resumption, Settlement};
use store_sdk::privacy::{Kind as Kept, Rule, Subject};
use testkit::store_suite::make::{self, envelope, handle};

use crate::mix;

/// A die with a seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, count: u64) -> u64 {
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

pub(crate) const TENANTS: [&str; 2] = ["madrid", "sevilla"];
const CONNECTORS: [&str; 4] = ["telephony/example", "email/example", "messaging/example", "social/example"];
const STATUSES: [CaseStatus; 5] =
    [CaseStatus::New, CaseStatus::Open, CaseStatus::Pending, CaseStatus::Resolved, CaseStatus::Closed];
const TEXTS: [&str; 9] =
    ["hello", "Ñandú 100%", "a\0b", "\\0 \\", "\u{fdd0}0", "", " ", "'; --", "\u{1f1ea}\u{1f1f8} \u{202e}"];

/// What has come out of the stores and can be asked for again.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) references: Vec<String>,
    pub(crate) envelopes: Vec<String>,
    pub(crate) contacts: Vec<String>,
    pub(crate) tasks: Vec<String>,
    pub(crate) items: Vec<String>,
    pub(crate) leases: Vec<(String, Vec<String>, Vec<String>)>,
    pub(crate) done: Done,
}

/// What was done that blanks or deletes, on both stores: a history without it would show nothing.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) erased: u64,
    pub(crate) refused: u64,
    pub(crate) retained: u32,
    pub(crate) removed: u32,
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
pub(crate) enum Step {
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
    Rules(String, Vec<Rule>),
    Retain(u32),
    Erase(String, Subject, String, bool),
    Hold(String, String, Option<String>),
    Remove(String, Option<TenantProfile>),
    Look(String, Query, Lookup, u32),
}

fn profile(dice: &mut Dice, tenant: String) -> TenantProfile {
    let (name, acknowledge) = ((*dice.one(&TEXTS)).to_owned(), dice.below(4) != 0);
    TenantProfile { tenant, name, acknowledge, ..make::profile() }
}

/// Somebody, by a handle as it may be given, or a case.
fn subject(dice: &mut Dice, known: &Known) -> Subject {
    match dice.below(4) {
        0 => Subject::CaseReference(known.reference(dice)),
        1 => Subject::Contact(handle(*dice.one(&["phone", ""]), *dice.one(&["+34600111222", "+34600111223", " "]))),
        _ => {
            let value = format!("{}{}\\", dice.one(&["P", "P", "p"]), dice.below(6));
            Subject::Contact(handle(*dice.one(&["phone", "email", ""]), &value))
        }
    }
}

/// Rules, some of which contradict each other.
fn rules(dice: &mut Dice) -> Vec<Rule> {
    const KINDS: [Kept; 6] = [Kept::Texts, Kept::Locations, Kept::Media, Kept::Recordings, Kept::People, Kept::Cases];
    let rule = |kind, days| Rule { kind, days: u32::try_from(days).unwrap() };
    let mut all: Vec<Rule> = dice.maybe(|dice| rule(Kept::Envelopes, dice.below(2))).into_iter().collect();
    for kind in KINDS {
        all.extend(dice.maybe(|dice| rule(kind, dice.below(2))));
    }
    all
}

/// The next step.
pub(crate) fn step(dice: &mut Dice, known: &Known, at: i64) -> Step {
    let tenant = (*dice.one(&TENANTS)).to_owned();
    let text = |dice: &mut Dice| (*dice.one(&TEXTS)).to_owned();
    match dice.below(50) {
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
        26 => Step::Profile(profile(dice, tenant)),
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
        40..43 => {
            let (subject, why) = (subject(dice, known), text(dice));
            Step::Erase(tenant, subject, why, dice.below(3) == 0)
        }
        43..45 => Step::Hold(tenant, known.reference(dice), dice.maybe(text)),
        45 => Step::Rules(tenant, rules(dice)),
        46..49 => Step::Retain(u32::try_from(1 + dice.below(500)).unwrap()),
        49 if dice.below(2) == 0 => {
            let again = (dice.below(4) != 0).then(|| profile(dice, tenant.clone()));
            Step::Remove(tenant, again)
        }
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
