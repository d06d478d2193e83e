//! The connector contract suite: everything that is proved of any connector, natively and inside the built component.

mod changes;
mod checks;
mod component;
pub mod delivery;
mod flow;
mod golden;
mod mutants;
mod rules;
mod story;
mod subject;
pub mod verdict;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use channel_sdk::connector::Guest;
use channel_sdk::types::{Event, Handle, Outgoing, Part, RefusalReason, Strength, Translation};

use changes::{Changed, Place};
use component::Built;
use flow::{Ending, Run, is_credential, play};
use story::{Secrets, Stories, Story};
use subject::{Native, Subject, Trap};

/// Changed requests run inside the component per story: enough to meet every branch, few enough for seconds.
const SAMPLE: usize = 120;

/// Gives a connector its tests. `$connector` implements `channel_sdk::connector::Guest`.
#[macro_export]
macro_rules! connector_suite {
    ($connector:ty) => {
        #[cfg(test)]
        mod connector_suite {
            use super::*;

            fn suite() -> $crate::connector_suite::Suite<$connector> {
                $crate::connector_suite::Suite::of(env!("CARGO_MANIFEST_DIR"))
            }

            $crate::connector_suite!(@tests
                every_story_gives_what_its_folder_says
                every_story_gives_the_same_inside_the_built_component
                changed_requests_give_the_same_inside_the_built_component
                one_flipped_bit_in_what_is_signed_is_refused
                every_prefix_gives_a_value_or_a_typed_error
                every_changed_byte_gives_a_value_or_a_typed_error
                misshapen_requests_give_a_value_or_a_typed_error
                made_up_requests_keep_every_rule
                made_up_requests_give_the_same_inside_the_built_component
                the_same_request_gives_the_same_result_twice
                no_secret_is_in_any_output
                idempotency_keys_are_stable_and_distinct
                every_outcome_is_acknowledged_in_the_providers_words
                replies_are_rendered_without_secrets_or_refused
                the_descriptor_agrees_with_the_folder
            );
        }
    };
    (@tests $($test:ident)*) => {
        $(#[test] fn $test() { suite().$test(); })*
    };
}

/// A connector with its golden cases.
pub struct Suite<C> {
    channel: String,
    vendor: String,
    root: PathBuf,
    data: Stories,
    native: Native<C>,
    /// At most about so many flipped bits per story; all of them if absent.
    sample: Option<usize>,
}

/// Fails the test with every breach, or with the first twenty of very many.
fn settle(breaches: Vec<String>) {
    let shown: Vec<&str> = breaches.iter().take(20).map(String::as_str).collect();
    assert!(breaches.is_empty(), "{} breaches of the contract:\n{}", breaches.len(), shown.join("\n"));
}

fn tell(story: &Story, breaches: Vec<String>) -> Vec<String> {
    breaches.into_iter().map(|breach| format!("{}: {breach}", story.name)).collect()
}

fn trapped(trap: &Trap, how: &str) -> String {
    format!("{how}: trapped: {}", trap.0)
}

fn events_of(run: &Run) -> &[Event] {
    match &run.ending {
        Ending::Events(events, _) => events,
        Ending::Handshake(_) | Ending::Lookup(_) | Ending::Refused(_) => &[],
    }
}

/// A changed request gives values or typed errors, and the values keep the rules.
fn survives<C: Guest>(story: &Story, changed: Changed, acknowledge: bool, secrets: &Secrets) -> Vec<String> {
    let mut native = Native::<C>::default();
    let Changed { how, request } = changed;
    let mut breaches = Vec::new();
    // The gateway translates verified requests only; a connector must not lean on that.
    match native.translate(&request, &story.context, &story.fetched) {
        Err(trap) => breaches.push(trapped(&trap, "translate")),
        Ok(Translation::Events(events) | Translation::Degraded((events, _))) => breaches.extend(rules::events(&events)),
        Ok(Translation::Fetch(_)) => {}
    }
    if let Err(trap) = native.authenticate(&request, &story.context, &story.fetched) {
        breaches.push(trapped(&trap, "authenticate"));
    }
    if acknowledge {
        match rules::acknowledgements(&mut native, &request, &story.context, &[], secrets) {
            Err(trap) => breaches.push(trapped(&trap, "acknowledge")),
            Ok(broken) => breaches.extend(broken),
        }
    }
    breaches.into_iter().map(|breach| format!("{how}: {breach}")).collect()
}

impl<C: Guest> Suite<C> {
    /// Of the connector in this folder, `components/<channel>/<vendor>`.
    pub fn of(folder: &str) -> Self {
        let folder = Path::new(folder);
        let name =
            |path: Option<&Path>| path.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        let data = story::read(folder).unwrap_or_else(|problem| panic!("{problem}"));
        Self::with(name(folder.parent()), name(Some(folder)), folder.ancestors().nth(3).unwrap_or(folder), data)
    }

    fn with(channel: String, vendor: String, root: &Path, data: Stories) -> Self {
        Self { channel, vendor, root: root.into(), data, native: Native::default(), sample: None }
    }

    fn built(&self) -> Built {
        let file = format!("target/components/{}-{}.wasm", self.channel, self.vendor);
        Built::load(&self.root.join(file)).unwrap_or_else(|problem| panic!("{problem}"))
    }

    fn max_body(&mut self) -> usize {
        self.native.describe().map_or(65_536, |descriptor| descriptor.max_body as usize)
    }

    /// Golden cases, as ordinary Rust. `BLESS=1` rewrites the folders.
    pub fn every_story_gives_what_its_folder_says(mut self) {
        let bless = std::env::var("BLESS").is_ok_and(|value| value == "1");
        let mut breaches = Vec::new();
        let mut refused = 0;
        let mut passed = 0;
        for story in &self.data.stories {
            match play(&mut self.native, story, &self.data.secrets) {
                Err(trap) => breaches.push(trapped(&trap, &story.name)),
                Ok(run) => {
                    refused += usize::from(matches!(run.ending, Ending::Refused(_)));
                    passed += usize::from(run.passed.is_some());
                    breaches.extend(golden::compare(story, &run, bless));
                    breaches.extend(tell(story, rules::events(events_of(&run))));
                    breaches.extend(tell(story, rules::form(&run.answer)));
                }
            }
        }
        if refused == 0 {
            breaches.push("no story is refused: at least one must be (error.txt)".into());
        }
        let strength = self.native.describe().map(|descriptor| descriptor.strength);
        if passed == 0 && !matches!(strength, Ok(Strength::None)) {
            breaches.push("no story passes a check: at least one must be genuinely signed".into());
        }
        settle(breaches);
    }

    /// The same results from what is shipped as from what is read.
    pub fn every_story_gives_the_same_inside_the_built_component(mut self) {
        let mut built = self.built();
        let mut breaches = Vec::new();
        if self.native.describe().ok() != built.describe().ok() {
            breaches.push(
                "describe differs: the component is older than its source? build it with `cargo xtask build`".into(),
            );
        }
        for story in &self.data.stories {
            let native = play(&mut self.native, story, &self.data.secrets);
            match (native, play(&mut built, story, &self.data.secrets)) {
                (_, Err(trap)) => breaches.push(trapped(&trap, &story.name)),
                (Ok(native), Ok(built)) if native == built => {}
                (native, Ok(built)) => {
                    breaches.push(format!(
                        "{}: the component gives something else than the source: is it older? build it with `cargo xtask build`\n\
                         natively {native:?}\nin the component {built:?}",
                        story.name
                    ))
                }
            }
        }
        settle(breaches);
    }

    /// A sample of everything below, inside the component.
    pub fn changed_requests_give_the_same_inside_the_built_component(mut self) {
        let mut built = self.built();
        let mut breaches = Vec::new();
        for story in &self.data.stories {
            let count = changes::prefixes(story).count() + changes::changed_bytes(story, 1).count();
            // A prime step meets every place and, over the stories, every value.
            let step = (count / SAMPLE).max(1) | 1;
            let sample = changes::prefixes(story).chain(changes::changed_bytes(story, 1)).step_by(step);
            for Changed { how, request } in sample.chain(changes::misshapen(story, 2_048)) {
                let changed = Story { request, ..story.clone() };
                let asked = (
                    built.authenticate(&changed.request, &changed.context, &[]),
                    built.translate(&changed.request, &changed.context, &[]),
                );
                let native = (
                    self.native.authenticate(&changed.request, &changed.context, &[]),
                    self.native.translate(&changed.request, &changed.context, &[]),
                );
                match (asked, native) {
                    ((Ok(authentication), Ok(translation)), (Ok(first), Ok(second)))
                        if authentication == first && translation == second => {}
                    ((Err(trap), _) | (_, Err(trap)), _) => {
                        breaches.push(trapped(&trap, &format!("{}: {how}", story.name)))
                    }
                    _ => breaches.push(format!("{}: {how}: the component gives something else", story.name)),
                }
            }
        }
        settle(breaches);
    }

    /// No bit of the message or of the tag may be turned over; and a changed request that still verifies means the same.
    pub fn one_flipped_bit_in_what_is_signed_is_refused(mut self) {
        let mut breaches = Vec::new();
        let mut flipped = 0;
        for story in &self.data.stories {
            let Ok(run) = play(&mut self.native, story, &self.data.secrets) else { continue };
            let Some(check) = &run.passed else { continue };
            for bit in 0..check.message.len() * 8 {
                let mut other = check.clone();
                other.message[bit / 8] ^= 1 << (bit % 8);
                flipped += 1;
                // Credentials sign nothing: their message is empty.
                if checks::passes(&other, &story.request, &self.data.secrets) {
                    breaches.push(format!("{}: passes with bit {bit} of the message flipped", story.name));
                }
            }
            for bit in 0..check.tag.len() * 8 {
                let mut other = check.clone();
                other.tag[bit / 8] ^= 1 << (bit % 8);
                flipped += 1;
                if !checks::same_tag(check, &other) && checks::passes(&other, &story.request, &self.data.secrets) {
                    breaches.push(format!("{}: passes with bit {bit} of the tag flipped", story.name));
                }
            }
            for (name, values) in &self.data.secrets {
                let mut secrets = self.data.secrets.clone();
                secrets.insert(name.clone(), values.iter().map(|value| format!("{value}x")).collect());
                if checks::names(check, name) && checks::passes(check, &story.request, &secrets) {
                    breaches.push(format!("{}: passes with another {name}", story.name));
                }
            }
            // A signature that covers no content (`strength` says so) is a credential that expires: what it comes with may change.
            if is_credential(check.scheme) || C::describe().strength != Strength::Signature {
                continue;
            }
            let mut places = vec![Place::Suffix, Place::Query, Place::Body];
            let holds = |place: &Place| {
                changes::bytes(&story.request, *place).windows(check.tag.len().max(1)).any(|window| window == check.tag)
            };
            places.extend((0..story.request.headers.len()).map(Place::Header).filter(holds));
            let step =
                self.sample.map_or(1, |most| (changes::flipped_bits(story, places.clone()).count() / most).max(1) | 1);
            for Changed { how, request } in changes::flipped_bits(story, places).step_by(step) {
                let changed = Story { request, ..story.clone() };
                match play(&mut self.native, &changed, &self.data.secrets) {
                    Err(trap) => breaches.push(trapped(&trap, &how)),
                    Ok(run) if run.passed.is_none() => {}
                    Ok(other) if other.ending == run.ending => {}
                    Ok(_) => breaches.push(format!("{}: {how}: still verifies and means something else", story.name)),
                }
            }
        }
        let strength = self.native.describe().map(|descriptor| descriptor.strength);
        if flipped == 0 && !matches!(strength, Ok(Strength::None)) {
            breaches.push("nothing was flipped: no story passes a check".into());
        }
        settle(breaches);
    }

    /// Every story at once on as many threads as there are cores: a connector has no memory, so nothing is shared.
    fn on_every_story(&self, test: impl Fn(&Story) -> Vec<String> + Sync) {
        let next = AtomicUsize::new(0);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let breaches = std::thread::scope(|scope| {
            let work = || {
                let mut breaches = Vec::new();
                while let Some(story) = self.data.stories.get(next.fetch_add(1, Ordering::Relaxed)) {
                    breaches.extend(tell(story, test(story)));
                }
                breaches
            };
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let joined = running
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| vec!["a test thread panicked".into()]));
            joined.flatten().collect()
        });
        settle(breaches);
    }

    /// Cut short anywhere.
    pub fn every_prefix_gives_a_value_or_a_typed_error(self) {
        self.on_every_story(|story| {
            let prefixes = changes::prefixes(story).enumerate();
            prefixes
                .flat_map(|(index, changed)| survives::<C>(story, changed, index % 7 == 0, &self.data.secrets))
                .collect()
        });
    }

    /// Any byte made another: every bit of it turned over, every character that means something to a parser, and a seventh of
    /// all other values, another seventh at each place. `VENTANILLA_EXHAUSTIVE=1` tries all 255.
    pub fn every_changed_byte_gives_a_value_or_a_typed_error(self) {
        let step = if std::env::var("VENTANILLA_EXHAUSTIVE").is_ok_and(|value| value == "1") { 1 } else { 7 };
        self.on_every_story(|story| {
            let changes = changes::changed_bytes(story, step).enumerate();
            changes
                .flat_map(|(index, changed)| survives::<C>(story, changed, index % 307 == 0, &self.data.secrets))
                .collect()
        });
    }

    /// What no single byte makes.
    pub fn misshapen_requests_give_a_value_or_a_typed_error(mut self) {
        let max_body = self.max_body();
        let secrets = self.data.secrets.clone();
        self.on_every_story(|story| {
            // One story is given the largest bodies; the shape of the others' request adds nothing to them.
            let first = self.data.stories.first().is_some_and(|first| first.name == story.name);
            let largest = if first { max_body } else { max_body.min(8_192) };
            let changes = changes::misshapen(story, largest).into_iter();
            changes.flat_map(|changed| survives::<C>(story, changed, true, &secrets)).collect()
        });
    }

    /// No clock, no randomness, no memory of an earlier request.
    pub fn the_same_request_gives_the_same_result_twice(mut self) {
        let mut breaches = Vec::new();
        let first: Vec<_> =
            self.data.stories.iter().map(|story| play(&mut self.native, story, &self.data.secrets).ok()).collect();
        // Backwards, so that what came before differs.
        for (story, first) in self.data.stories.iter().zip(&first).rev() {
            let again = play(&mut self.native, story, &self.data.secrets).ok();
            if again.is_none() || again != *first {
                breaches.push(format!("{}: gives something else the second time", story.name));
            }
        }
        settle(breaches);
    }

    /// Test secrets are never shown, nor is an `authorization` header.
    pub fn no_secret_is_in_any_output(mut self) {
        let mut breaches = Vec::new();
        for story in &self.data.stories {
            match play(&mut self.native, story, &self.data.secrets) {
                Err(trap) => breaches.push(trapped(&trap, &story.name)),
                Ok(run) => breaches.extend(tell(story, rules::secrecy_of(&run, &story.request, &self.data.secrets))),
            }
        }
        settle(breaches);
    }

    /// The store refuses doubles by this key alone.
    pub fn idempotency_keys_are_stable_and_distinct(mut self) {
        let mut breaches = Vec::new();
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        let mut resent = Vec::new();
        for story in &self.data.stories {
            let Ok(run) = play(&mut self.native, story, &self.data.secrets) else { continue };
            // A later delivery of the same fact is received later: the key must not know.
            let mut later = story.clone();
            later.request.received_at += 60_000;
            let keys: Vec<String> = events_of(&run).iter().map(|event| event.idempotency_key.clone()).collect();
            let again: Option<Vec<String>> = play(&mut self.native, &later, &self.data.secrets)
                .ok()
                .map(|run| events_of(&run).iter().map(|event| event.idempotency_key.clone()).collect());
            if again.as_ref() != Some(&keys) && run.passed.as_ref().is_none_or(|check| check.signed_at.is_none()) {
                breaches.push(format!("{}: a delivery a minute later has other keys", story.name));
            }
            for key in keys {
                if story.is_resent() {
                    resent.push((story.name.clone(), key));
                } else if let Some(other) = known.insert(key.clone(), story.name.clone()) {
                    breaches.push(format!(
                        "{}: {key} is {other}'s key too; a redelivery's story is called resent-…",
                        story.name
                    ));
                }
            }
        }
        for (story, key) in resent {
            if !known.contains_key(&key) {
                breaches
                    .push(format!("{story}: {key} is no other story's key: this redelivery would be a second fact"));
            }
        }
        settle(breaches);
    }

    /// Every outcome, for every story, also for a tenant whose texts are hostile.
    pub fn every_outcome_is_acknowledged_in_the_providers_words(mut self) {
        let mut breaches = Vec::new();
        for story in &self.data.stories {
            let Ok(run) = play(&mut self.native, story, &self.data.secrets) else { continue };
            let mut receipts = story.receipts(events_of(&run));
            if let Some(first) = receipts.first().cloned() {
                receipts.extend(rules::asked(&first));
            }
            for context in [story.context.clone(), rules::hostile(&story.context)] {
                let mut lists = vec![receipts.clone()];
                lists.extend(receipts.iter().map(|receipt| vec![receipt.clone()]));
                for receipts in lists {
                    match rules::acknowledgements(
                        &mut self.native,
                        &story.request,
                        &context,
                        &receipts,
                        &self.data.secrets,
                    ) {
                        Err(trap) => breaches.push(trapped(&trap, &story.name)),
                        Ok(broken) => breaches.extend(tell(story, broken)),
                    }
                }
            }
        }
        settle(breaches);
    }

    /// A channel that can't reply says so, and one that can names its secrets and its hosts.
    pub fn replies_are_rendered_without_secrets_or_refused(mut self) {
        let mut breaches = Vec::new();
        let Ok(descriptor) = self.native.describe() else { panic!("describe trapped") };
        for text in ["Su caso está resuelto.", "", "x\u{0}<&\"'\r\ny: z", &"ñ".repeat(100_000)] {
            let message = Outgoing {
                id: "out-1".into(),
                case_reference: Some("482-109-3726".into()),
                recipient: Handle { scheme: "phone".into(), value: "+34600111222".into() },
                sender: None,
                subject: None,
                text: text.into(),
                language: Some("es".into()),
                in_reply_to: None,
                conversation_id: None,
                thread_id: None,
                references: Vec::new(),
                last_inbound_at: None,
                automatic: false,
                answers: None,
                now: 0,
            };
            match self.native.render(&message, &self.data.context) {
                Err(trap) => breaches.push(trapped(&trap, "render")),
                Ok(Err(refusal)) => breaches.extend(rules::leaks(&refusal.detail, &self.data.secrets)),
                Ok(Ok(_)) if !descriptor.capability.reply => {
                    breaches.push("render gives calls, and capability.reply is false".into())
                }
                Ok(Ok(calls)) => {
                    breaches.extend(rules::leaks(&format!("{calls:?}"), &self.data.secrets));
                    for call in &calls {
                        let Some(Part::Literal(start)) = call.url.first() else {
                            breaches.push("a call's URL must begin with a literal".into());
                            continue;
                        };
                        let start = String::from_utf8_lossy(start);
                        let host = start
                            .strip_prefix("https://")
                            .and_then(|rest| rest.split(['/', '?']).next())
                            .unwrap_or_default();
                        if !descriptor.hosts.iter().any(|known| known == host) {
                            breaches.push(format!("a call goes to {host:?}, which the descriptor does not name"));
                        }
                    }
                }
            }
        }
        let message_refused = |reason| reason == RefusalReason::Unsupported || descriptor.capability.reply;
        let probe = Outgoing {
            id: "out-2".into(),
            case_reference: None,
            recipient: Handle { scheme: "x".into(), value: "y".into() },
            sender: None,
            subject: None,
            text: "z".into(),
            language: None,
            in_reply_to: None,
            conversation_id: None,
            thread_id: None,
            references: Vec::new(),
            last_inbound_at: None,
            automatic: true,
            answers: None,
            now: i64::MAX,
        };
        match self.native.render(&probe, &self.data.context) {
            Ok(Err(refusal)) if !message_refused(refusal.reason) => {
                breaches
                    .push(format!("a channel without replies refuses with `unsupported`, not {:?}", refusal.reason));
            }
            Ok(_) => {}
            Err(trap) => breaches.push(trapped(&trap, "render")),
        }
        settle(breaches);
    }

    /// Folder, settings and routes are what it says they are.
    pub fn the_descriptor_agrees_with_the_folder(mut self) {
        match self.native.describe() {
            Err(trap) => panic!("{}", trapped(&trap, "describe")),
            Ok(descriptor) => settle(rules::descriptor(&descriptor, &self.channel, &self.vendor, &self.data)),
        }
    }
}
