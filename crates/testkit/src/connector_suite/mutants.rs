//! Requests that are made up: stories with any number of changes at any place of them, of their tenant and of what was fetched.
//!
//! Unlike [`changes`](super::changes), which go through all of one kind, these are without end: see [`fuzz`](crate::fuzz).

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use channel_sdk::connector::Guest;
use channel_sdk::json;
use channel_sdk::types::{Authentication, Event, Header, Outcome, Outgoing, Translation};

use super::changes::{Place, bytes, with};
use super::flow;
use super::story::{Secrets, Stories, Story};
use super::subject::{Native, Subject, Trap};
use super::{Suite, rules};
use crate::fuzz::{self, EDIT, Verdict, Words};

/// Which story, which outcome is acknowledged, and a spare byte, before the edits.
const HEAD: usize = 4;

/// Fetch rounds, as few as show that a round after a round is survived.
const ROUNDS: usize = 2;

/// Longest time for one request, natively and on a busy machine: a connector needs a thousandth of it.
const PATIENCE: Duration = Duration::from_secs(10);

const METHODS: [&str; 8] = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "", "post"];

/// What requests are made of.
struct Material<'a> {
    stories: &'a [Story],
    words: Words,
    /// Names of headers.
    names: Vec<String>,
    secrets: &'a Secrets,
}

impl<'a> Material<'a> {
    fn of(data: &'a Stories) -> Self {
        let secrets: Vec<&str> = data.secrets.values().flatten().map(String::as_str).collect();
        let mut texts = Vec::new();
        let mut names = Vec::new();
        for story in &data.stories {
            texts.push(story.request.body.as_slice());
            texts.push(story.request.query.as_deref().unwrap_or_default().as_bytes());
            texts.push(story.request.suffix.as_bytes());
            texts.extend(story.request.headers.iter().map(|header| header.value.as_slice()));
            texts.extend(story.fetched.iter().map(|fetched| fetched.body.as_slice()));
            names.extend(story.request.headers.iter().map(|header| header.name.clone()));
        }
        names.sort();
        names.dedup();
        Self { stories: &data.stories, words: Words::of(texts).without(&secrets), names, secrets: &data.secrets }
    }

    /// The request that an input stands for.
    fn mutant(&self, input: &[u8]) -> Story {
        let number = |at: usize| usize::from(input.get(at).copied().unwrap_or_default());
        let mut story = self.stories[(number(0) << 8 | number(1)) % self.stories.len()].clone();
        for edit in input.get(HEAD..).unwrap_or_default().chunks_exact(EDIT) {
            if let Ok(edit) = edit.try_into() {
                self.change(&mut story, edit);
            }
        }
        story
    }

    fn change(&self, story: &mut Story, how: [u8; EDIT]) {
        // Where a request says most, most is changed.
        let mut places = vec![Some(Place::Body); 4];
        places.extend([Some(Place::Query), Some(Place::Suffix), None, None]);
        places.extend((0..story.request.headers.len()).map(|index| Some(Place::Header(index))));
        let choice = usize::from(how[0]) % (places.len() + story.fetched.len());
        let Some(place) = places.get(choice) else {
            return self.change_fetched(story, choice - places.len(), how);
        };
        let Some(place) = *place else { return self.reshape(story, how) };
        let mut text = bytes(&story.request, place).to_vec();
        let others: Vec<&[u8]> = self.stories.iter().map(|other| bytes(&other.request, place)).collect();
        fuzz::edit(&mut text, how, &self.words, &others);
        if let Some(request) = with(story, place, text) {
            story.request = request;
        }
    }

    fn change_fetched(&self, story: &mut Story, index: usize, how: [u8; EDIT]) {
        let fetched = &mut story.fetched[index];
        match how[1] {
            250.. => fetched.status = u16::from_be_bytes([how[2], how[3]]),
            240.. => fetched.error = Some(String::from_utf8_lossy(self.words.pick(u16::from(how[2]))).into_owned()),
            230.. => fetched.headers.clear(),
            _ => fuzz::edit(&mut fetched.body, how, &self.words, &[]),
        }
    }

    /// What is no text: the method, which headers there are, when it came, and what the tenant has set up.
    fn reshape(&self, story: &mut Story, how: [u8; EDIT]) {
        let [_, kind, a, b, c, d, ..] = how;
        let other = &self.stories[usize::from(a) % self.stories.len()];
        let word = || self.words.pick(u16::from_be_bytes([c, d])).to_vec();
        let request = &mut story.request;
        let at = |length: usize| usize::from(a) % length.max(1);
        match kind % 13 {
            0 => request.method = METHODS[at(METHODS.len())].into(),
            1 if !request.headers.is_empty() => drop(request.headers.remove(at(request.headers.len()))),
            2 if !self.names.is_empty() => {
                let name = self.names[at(self.names.len())].clone();
                request.headers.insert(usize::from(b) % (request.headers.len() + 1), Header { name, value: word() });
            }
            3 if !request.headers.is_empty() => {
                request.headers.push(request.headers[at(request.headers.len())].clone())
            }
            4 => {
                let times =
                    [i64::MIN, i64::MAX, 0, -1, request.received_at + 86_400_000, request.received_at - 301_000];
                request.received_at = times[at(times.len())];
            }
            5 => request.body.clone_from(&other.request.body),
            6 => {
                request.suffix.clone_from(&other.request.suffix);
                request.query.clone_from(&other.request.query);
                request.url = super::story::url(&story.context, &request.suffix, request.query.as_deref());
            }
            7 => request.headers.clone_from(&other.request.headers),
            8 if !story.context.settings.is_empty() => {
                drop(story.context.settings.remove(at(story.context.settings.len())));
            }
            9 if !story.context.settings.is_empty() => {
                let index = at(story.context.settings.len());
                story.context.settings[index].value = String::from_utf8_lossy(&word()).into_owned();
            }
            10 => story.context.secrets.truncate(at(story.context.secrets.len() + 1)),
            11 => {
                let profile = &mut story.context.profile;
                match a % 6 {
                    0 => profile.languages.clear(),
                    1 => profile.departments.truncate(usize::from(b % 2)),
                    2 => profile.services.clear(),
                    3 => profile.opening_hours.clear(),
                    4 => profile.time_zone = String::from_utf8_lossy(&word()).into_owned(),
                    _ => profile.links.clear(),
                }
            }
            _ => story.context = rules::hostile(&story.context),
        }
    }

    /// Whether a secret stands where none of the stories has one: then it is the request that shows it.
    fn shows_a_secret(&self, story: &Story) -> bool {
        let request = &story.request;
        let mut texts = vec![request.body.as_slice(), request.suffix.as_bytes()];
        texts.push(request.query.as_deref().unwrap_or_default().as_bytes());
        let carries = |name: &str, value: &[u8]| {
            let mut headers = self.stories.iter().flat_map(|story| &story.request.headers);
            headers.any(|header| header.name == name && header.value == value)
        };
        let moved = request.headers.iter().filter(|header| !carries(&header.name, &header.value));
        texts.extend(moved.map(|header| header.value.as_slice()));
        texts.extend(story.fetched.iter().map(|fetched| fetched.body.as_slice()));
        let secrets = || self.secrets.values().flatten().filter(|value| !value.is_empty());
        texts
            .iter()
            .any(|text| secrets().any(|secret| text.windows(secret.len()).any(|window| window == secret.as_bytes())))
    }

    /// Puts a request through the connector's functions, as a gateway that let everything pass, and applies every rule.
    fn judge(&self, subject: &mut dyn Subject, story: &Story, input: &[u8]) -> Result<(Vec<String>, u64), Trap> {
        let mut looks = DefaultHasher::new();
        let mut breaches = Vec::new();
        let mut shown = String::new();
        let mut fetched = Vec::new();
        let mut authentication = subject.authenticate(&story.request, &story.context, &fetched)?;
        for _ in 0..ROUNDS {
            let Authentication::Fetch(wanted) = &authentication else { break };
            fetched.extend(wanted.iter().map(|fetch| flow::answer(story, fetch)));
            authentication = subject.authenticate(&story.request, &story.context, &fetched)?;
        }
        std::mem::discriminant(&authentication).hash(&mut looks);
        match &authentication {
            Authentication::Refuse(refusal) => {
                (refusal.reason as u8).hash(&mut looks);
                shown.push_str(&refusal.detail);
            }
            Authentication::Handshake(handshake) => breaches.extend(rules::form(&handshake.answer)),
            Authentication::Unsigned(reason) => shown.push_str(reason),
            Authentication::Check(checks) => checks.len().hash(&mut looks),
            Authentication::Fetch(_) | Authentication::Lookup(_) => {}
        }
        let mut translation = subject.translate(&story.request, &story.context, &fetched)?;
        for _ in 0..ROUNDS {
            let Translation::Fetch(wanted) = &translation else { break };
            fetched.extend(wanted.iter().map(|fetch| flow::answer(story, fetch)));
            translation = subject.translate(&story.request, &story.context, &fetched)?;
        }
        if subject.translate(&story.request, &story.context, &fetched)? != translation {
            breaches.push("translate gives something else the second time".into());
        }
        let events: &[Event] = match &translation {
            Translation::Events(events) => events,
            Translation::Degraded((events, reason)) => {
                looks_of_text(reason).hash(&mut looks);
                shown.push_str(reason);
                events
            }
            Translation::Fetch(_) => &[],
        };
        breaches.extend(rules::events(events));
        for event in events.iter().take(4) {
            looks_of(event).hash(&mut looks);
        }
        let mut receipts = story.receipts(events);
        if let Some(first) = receipts.first().cloned() {
            let asked = rules::asked(&first);
            receipts[0] = asked[usize::from(input.get(2).copied().unwrap_or_default()) % asked.len()].clone();
        }
        let mut outcomes = rules::outcomes(&receipts);
        outcomes.push(Outcome::Found(story.found.clone()));
        let outcome = &outcomes[usize::from(input.get(3).copied().unwrap_or_default()) % outcomes.len()];
        let answer = subject.acknowledge(&story.request, outcome, &story.context)?;
        answer.status.hash(&mut looks);
        // Who never looks anything up may say that there is nothing.
        match outcome {
            Outcome::Found(_) => breaches.extend(rules::form(&answer)),
            _ => breaches.extend(rules::answer(outcome, &answer)),
        }
        for event in events.iter().take(2) {
            if let Some(message) = reply(event, story.request.received_at) {
                let calls = subject.render(&message, &story.context)?;
                calls.is_ok().hash(&mut looks);
                let _ = write!(shown, "{calls:?}");
            }
        }
        if !self.shows_a_secret(story) {
            breaches.extend(rules::secrecy(events, &answer, self.secrets, &[]));
            breaches.extend(rules::leaks(&shown, self.secrets));
        }
        Ok((breaches, looks.finish()))
    }

    fn verdict(&self, subject: &mut dyn Subject, input: &[u8]) -> Verdict {
        let story = self.mutant(input);
        let start = Instant::now();
        let (mut breaches, looks) =
            self.judge(subject, &story, input).unwrap_or_else(|trap| (vec![format!("trapped: {}", trap.0)], 0));
        if start.elapsed() > PATIENCE {
            breaches.push(format!("it took {} s", start.elapsed().as_secs()));
        }
        if breaches.is_empty() {
            return Ok(looks);
        }
        Err(format!("{}\nmade of {}, and as a story:\n{}", breaches.join("\n"), story.name, written(&story)))
    }
}

/// A reply to an event, as a desk would send it.
fn reply(event: &Event, now: i64) -> Option<Outgoing> {
    Some(Outgoing {
        id: "out-1".into(),
        case_reference: Some("482-109-3726".into()),
        recipient: event.sender.clone()?,
        sender: event.recipient.clone(),
        subject: event.subject.clone(),
        text: event.text.clone().unwrap_or_default(),
        language: event.language.clone(),
        in_reply_to: event.message_id.clone(),
        conversation_id: event.conversation_id.clone(),
        thread_id: event.thread_id.clone(),
        references: event.references.clone(),
        last_inbound_at: event.timestamp,
        automatic: event.must_not_autorespond,
        answers: Some(event.kind),
        now,
    })
}

/// An event's kind and which members it has, not what is in them.
fn looks_of(event: &Event) -> String {
    let mut looks = format!("{:?} {:?}", event.kind, std::mem::discriminant(&event.threading));
    for name in json::event(event).keys() {
        looks.push(' ');
        looks.push_str(name);
    }
    for flag in &event.flags {
        let _ = write!(looks, " {flag}");
    }
    looks
}

/// A reason without what may be taken from the request: its words of small letters.
fn looks_of_text(reason: &str) -> String {
    reason.split(' ').filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())).take(6).collect()
}

/// A request in the form of `request.http`, so that what was found can become a story.
fn written(story: &Story) -> String {
    let request = &story.request;
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let mut text = format!("{} {}{query} HTTP/1.1\n", request.method, request.suffix);
    for header in &request.headers {
        let _ = writeln!(text, "{}: {}", header.name, header.value.escape_ascii());
    }
    let body = request.body.escape_ascii().to_string();
    // Line ends are kept for the eye.
    let _ = write!(text, "\n{}", body.replace("\\r\\n", "\n").replace("\\n", "\n"));
    text.chars().take(4_000).collect()
}

impl<C: Guest> Suite<C> {
    /// Many changes at once, other requests every time. See [`fuzz`](crate::fuzz) for how long, how to repeat one, and how to go on
    /// for hours.
    pub fn made_up_requests_keep_every_rule(self) {
        let material = Material::of(&self.data);
        let mut native = Native::<C>::default();
        fuzz::explore(&format!("{}-{}", self.channel, self.vendor), HEAD, &mut |input| {
            material.verdict(&mut native, input)
        });
    }

    /// The same inside the component: what fits a pointer differs there.
    pub fn made_up_requests_give_the_same_inside_the_built_component(self) {
        let material = Material::of(&self.data);
        let mut native = Native::<C>::default();
        let mut built = self.built();
        fuzz::explore(&format!("{}-{}, in its component", self.channel, self.vendor), HEAD, &mut |input| {
            let looks = material.verdict(&mut native, input)?;
            let story = material.mutant(input);
            let both = |subject: &mut dyn Subject| -> Result<_, Trap> {
                let (request, context, fetched) = (&story.request, &story.context, &story.fetched);
                Ok((subject.authenticate(request, context, fetched)?, subject.translate(request, context, fetched)?))
            };
            match (both(&mut native), both(&mut built)) {
                (Ok(native), Ok(built)) if native == built => Ok(looks),
                (_, Err(trap)) => Err(format!("trapped in the component: {}\n{}", trap.0, written(&story))),
                (native, built) => Err(format!("natively {native:?}\nin the component {built:?}\n{}", written(&story))),
            }
        });
    }
}
