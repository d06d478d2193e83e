//! `POST /{channel}/{vendor}/-/spool`: records what waits of this connector, of all tenants, oldest first, and stops where the store does
//! not take it. `GET …/-/spool` says what waits, of all connectors. Both for who has the variable `courier_token`; driven by the same
//! timer as deliveries.
//!
//! Two runs at a time are harmless: the store takes each envelope once. A run that ends in the middle (a trap in a connector, kill -9)
//! leaves its mark; the next one then writes down what it begins with, and what was begun three times is quarantined without being
//! translated.

use channel_sdk::json::format_instant;
use channel_sdk::types::{Descriptor, Response};
use serde_json::{Value, json};
use service_sdk::spool::{self as keys, Contents, Entry};

use super::{Spooled, keep_profile, remove, take};
use crate::bindings::log::{Envelope, StoreError};
use crate::outcome::RETRY_S;
use crate::pipeline::{Intake, connector};
use crate::ports::{Failure, Ports};
use crate::problem;
use crate::replay;
use crate::settings::{self, Settings};

/// Nothing is begun after this time of a run; the next one goes on.
const RUN_MS: i64 = 10_000;
/// Nor after so many, or so many bytes: our host gives a request a second of CPU time.
const RUN_ENVELOPES: u32 = 100;
const RUN_BYTES: usize = 2 << 20;
/// An envelope that was begun so often without an end is not translated again.
const TRIES: u32 = 3;
/// Pieces without their envelope are left alone for so long: it may still be on its way.
const ORPHAN_MS: i64 = 3_600_000;
/// How old the note that the store takes writes may get.
const SEEN_MS: i64 = 60_000;

/// What became of the envelopes of one run.
#[derive(Default)]
struct Counts {
    recorded: u32,
    quarantined: u32,
    set_aside: u32,
}

/// Why a run ends before the spool is empty.
enum Stop {
    /// The store does not take it, and says why.
    Store(String),
    /// The spool does not answer.
    Spool(Failure),
}

impl From<Failure> for Stop {
    fn from(why: Failure) -> Self {
        Self::Spool(why)
    }
}

/// What waits.
pub(crate) async fn status<P: Ports>(ports: &P) -> Response {
    let contents = match ports.contents().await {
        Ok(contents) => contents,
        Err(why) => return unusable(ports, &why),
    };
    let depths: Vec<Value> = contents
        .depths()
        .iter()
        .map(|depth| {
            json!({
                "tenant": depth.tenant, "connector": depth.connector, "envelopes": depth.envelopes,
                "oldest_at": format_instant(depth.oldest_at),
            })
        })
        .collect();
    let refused: Vec<String> = contents.refused.iter().map(Entry::refused_key).collect();
    let on = super::is_on(ports).await;
    problem::json(200, &json!({ "on": on, "spool": depths, "more": contents.more, "set_aside": refused }))
}

/// Records what waits of this connector. `fault`: the run before this one stopped in a component.
pub(crate) async fn drain<P: Ports>(ports: &P, descriptor: &Descriptor, fault: Option<&str>) -> Response {
    let started = ports.now();
    let contents = match ports.contents().await {
        Ok(contents) => contents,
        Err(why) => return unusable(ports, &why),
    };
    let own = connector(descriptor);
    let waiting: Vec<&Entry> = contents.waiting.iter().filter(|entry| entry.connector == own).collect();
    let mut counts = Counts::default();
    // Asked first: what waits is not translated again and again while the store is away.
    if let Err(StoreError::Unavailable(why) | StoreError::Invalid(why)) = ports.ready().await {
        return report(&counts, waiting.len(), false, Some(&why));
    }
    let mut run =
        Run { ports, descriptor, started, fault: fault.is_some(), careful: None, counts: &mut counts, bytes: 0 };
    let result = run.all(&waiting).await;
    let done = usize::try_from(counts.recorded + counts.quarantined + counts.set_aside).unwrap_or(usize::MAX);
    let left = waiting.len().saturating_sub(done);
    if done > 0 {
        let Counts { recorded, quarantined, set_aside } = &counts;
        ports.log(&format!(
            "gateway: drained connector={own} recorded={recorded} quarantined={quarantined} set_aside={set_aside} left={left}"
        ));
    }
    match result {
        Err(Stop::Spool(why)) => return unusable(ports, &why),
        Err(Stop::Store(why)) => return report(&counts, left, false, Some(&why)),
        Ok(()) => {}
    }
    if left == 0 && !contents.more && super::is_on(ports).await {
        if let Err(why) = tidy_up(ports, &contents, started).await {
            return unusable(ports, &why);
        }
    }
    report(&counts, left, left > 0 || contents.more && done > 0, None)
}

struct Run<'a, P> {
    ports: &'a P,
    descriptor: &'a Descriptor,
    started: i64,
    /// A component stopped in the run before this.
    fault: bool,
    /// The run before did not end: what it was at, and how often that was begun.
    careful: Option<(String, u32)>,
    counts: &'a mut Counts,
    bytes: usize,
}

impl<P: Ports> Run<'_, P> {
    async fn all(&mut self, waiting: &[&Entry]) -> Result<(), Stop> {
        if waiting.is_empty() {
            return Ok(());
        }
        let mark = keys::draining(&connector(self.descriptor));
        let left_behind = self.ports.kept(&mark).await?;
        self.careful = left_behind.map(|text| {
            let text = String::from_utf8_lossy(&text).into_owned();
            let (id, tries) = text.split_once(' ').unwrap_or((&text, "0"));
            (id.to_owned(), tries.parse().unwrap_or(0))
        });
        if self.careful.is_none() {
            self.ports.keep(&mark, b"-").await?;
        }
        let mut result = Ok(());
        for entry in waiting {
            if self.is_long() {
                break;
            }
            result = self.one(entry, &mark).await;
            if result.is_err() {
                break;
            }
        }
        // It came to an end, whichever.
        self.ports.forget(&mark).await?;
        result
    }

    fn is_long(&self) -> bool {
        let Counts { recorded, quarantined, set_aside } = &*self.counts;
        self.ports.now() - self.started >= RUN_MS
            || recorded + quarantined + set_aside >= RUN_ENVELOPES
            || self.bytes >= RUN_BYTES
    }

    async fn one(&mut self, entry: &Entry, mark: &str) -> Result<(), Stop> {
        let mut reason = None;
        if let Some((id, tries)) = &mut self.careful {
            let again = *id == entry.id;
            *tries = if again { *tries + 1 } else { 1 };
            entry.id.clone_into(id);
            if again && (self.fault || *tries > TRIES) {
                reason = Some("a component stopped while it worked on this, when it came from the spool".to_owned());
            }
            let text = format!("{id} {tries}");
            self.ports.keep(mark, text.as_bytes()).await?;
        }
        let Some((mut spooled, pieces)) = take(self.ports, entry).await? else {
            // Somebody else has drained it, or it is damaged.
            if self.ports.kept(&entry.key()).await?.is_some() {
                return self.set_aside(entry).await;
            }
            return Ok(());
        };
        spooled.reason = spooled.reason.or(reason);
        self.bytes += spooled.envelope.body.len();
        match self.record(entry, spooled).await {
            Ok(true) => self.counts.recorded += 1,
            Ok(false) => self.counts.quarantined += 1,
            Err(StoreError::Unavailable(why)) => return Err(Stop::Store(why)),
            Err(StoreError::Invalid(_) | StoreError::Replayed) => return self.set_aside(entry).await,
        }
        Ok(remove(self.ports, entry, pieces).await?)
    }

    /// Whether it was accepted; else it is quarantined.
    async fn record(&self, entry: &Entry, spooled: Spooled) -> Result<bool, StoreError> {
        let Spooled { mut envelope, mut reason } = spooled;
        let own_nonce = || Some(format!("spool:{}", entry.id));
        // The same envelope again, after a crash or by somebody else at the same time, is then known for the same.
        if envelope.id.is_none() && envelope.nonce.is_none() {
            envelope.nonce = own_nonce();
        }
        let mut events = Vec::new();
        let settings = self.settings(&envelope.tenant).await;
        match (settings, &reason) {
            (Ok(settings), None) => {
                let profile = self.ports.profile(&envelope.tenant).await?;
                let profile = profile.unwrap_or_else(|| settings::neutral_profile(&envelope.tenant));
                let context = settings.context(profile);
                let request = replay::request(&envelope, &settings.public_url);
                let intake = Intake {
                    ports: self.ports,
                    descriptor: self.descriptor,
                    settings: &settings,
                    context: &context,
                    request: &request,
                };
                (events, reason) = intake.translate(Vec::new()).await;
            }
            (Err(why), None) => reason = Some(why),
            (_, Some(_)) => {}
        }
        let again = Envelope { id: None, ..envelope.clone() };
        let journalled = envelope.id.is_some();
        match write(self.ports, envelope, reason.clone(), events).await {
            // Its single-use value came with another request, which was first: kept, for a person to judge.
            Err(StoreError::Replayed) => {
                let reason = "its single-use value came with another request before".to_owned();
                let envelope = Envelope { nonce: own_nonce(), ..again };
                write(self.ports, envelope, Some(reason), Vec::new()).await
            }
            // The store does not know the id it gave: it is an older copy, or another.
            Err(StoreError::Invalid(_)) if journalled => {
                let envelope = Envelope { nonce: again.nonce.clone().or_else(own_nonce), ..again };
                let reason = reason.unwrap_or_else(|| "the store has lost what it had of this".to_owned());
                write(self.ports, envelope, Some(reason), Vec::new()).await
            }
            result => result,
        }
    }

    async fn settings(&self, tenant: &str) -> Result<Settings, String> {
        let variable = self.ports.variable("settings").await?;
        let entry = settings::entry(&variable, tenant);
        entry.and_then(|entry| entry.check(tenant, self.descriptor)).map_err(|problem| match problem {
            settings::Problem::Faulty(why) => why,
            settings::Problem::UnknownTenant => "the connector has no settings for this tenant any more".into(),
        })
    }

    /// Out of the way, and there to be looked at.
    async fn set_aside(&mut self, entry: &Entry) -> Result<(), Stop> {
        if let Some(value) = self.ports.kept(&entry.key()).await? {
            self.ports.keep(&entry.refused_key(), &value).await?;
            self.ports.forget(&entry.key()).await?;
        }
        self.counts.set_aside += 1;
        let own = connector(self.descriptor);
        self.ports.log(&format!("gateway: set aside in the spool connector={own} id={}", entry.id));
        Ok(())
    }
}

async fn write<P: Ports>(
    ports: &P,
    envelope: Envelope,
    reason: Option<String>,
    events: Vec<channel_sdk::types::Event>,
) -> Result<bool, StoreError> {
    let (_, reason) = crate::pipeline::write(ports, envelope, events, reason).await?;
    Ok(reason.is_none())
}

/// When nothing waits: pieces nobody needs are forgotten, and what a caller hears while the store is away is brought up to date.
async fn tidy_up<P: Ports>(ports: &P, contents: &Contents, started: i64) -> Result<(), Failure> {
    for key in contents.orphans(started - ORPHAN_MS).into_iter().take(100) {
        ports.forget(key).await?;
    }
    let seen = ports.kept(keys::SEEN).await?;
    let seen = seen.and_then(|text| String::from_utf8(text).ok()?.parse::<i64>().ok());
    if seen.is_none_or(|at| !(0..SEEN_MS).contains(&started.saturating_sub(at))) {
        ports.keep(keys::SEEN, started.to_string().as_bytes()).await?;
    }
    let Ok(variable) = ports.variable("settings").await else { return Ok(()) };
    for (tenant, _) in settings::entries(&variable) {
        match ports.profile(&tenant).await {
            Ok(Some(profile)) => keep_profile(ports, &profile).await?,
            Ok(None) => {}
            Err(_) => break,
        }
        if ports.now() - started >= RUN_MS {
            break;
        }
    }
    Ok(())
}

/// `why`: the store's words, when it does not take what is left.
fn report(counts: &Counts, left: usize, more: bool, why: Option<&str>) -> Response {
    let Counts { recorded, quarantined, set_aside } = counts;
    let mut body =
        json!({ "recorded": recorded, "quarantined": quarantined, "set_aside": set_aside, "left": left, "more": more });
    if let (Some(why), Some(members)) = (why.filter(|_| left > 0), body.as_object_mut()) {
        members.insert("store".into(), why.into());
    }
    problem::json(200, &body)
}

fn unusable<P: Ports>(ports: &P, why: &str) -> Response {
    ports.log(&format!("gateway: the spool can't be used: {why}"));
    problem::retry_later(
        "spool-unavailable",
        "The spool is unavailable",
        "the key-value store does not answer",
        RETRY_S,
    )
}
