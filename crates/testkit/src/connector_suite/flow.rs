//! The way of a request, as the gateway goes it, without its clock, its network and its store.

use channel_sdk::types::{
    Authentication, Check, Event, Fetch, Fetched, Handshake, Lookup, Outcome, Refusal, RefusalReason, Response, Scheme,
    Translation,
};

use super::checks::passes;
use super::story::{Secrets, Story};
use super::subject::{Subject, Trap};

/// Fetch rounds before a connector is said never to be satisfied.
const ROUNDS: usize = 4;

/// How a request ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ending {
    /// Translated; the reason if only in part.
    Events(Vec<Event>, Option<String>),
    /// A challenge, answered.
    Handshake(Handshake),
    /// A public question.
    Lookup(Lookup),
    /// Not accepted.
    Refused(Refusal),
}

/// What came of one request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    /// How it ended.
    pub(super) ending: Ending,
    /// What the provider is told.
    pub(super) answer: Response,
    /// What was named to be checked, whether it passed or not.
    pub(super) checks: Vec<Check>,
    /// The check that passed.
    pub(super) passed: Option<Check>,
}

/// Plays one story through a connector.
pub(super) fn play(subject: &mut dyn Subject, story: &Story, secrets: &Secrets) -> Result<Run, Trap> {
    let mut checks = Vec::new();
    let mut passed = None;
    let ending = ending(subject, story, secrets, &mut checks, &mut passed)?;
    let answer = match &ending {
        Ending::Handshake(handshake) => handshake.answer.clone(),
        ending => subject.acknowledge(&story.request, &outcome(story, ending), &story.context)?,
    };
    Ok(Run { ending, answer, checks, passed })
}

fn outcome(story: &Story, ending: &Ending) -> Outcome {
    match ending {
        Ending::Events(events, None) => Outcome::Accepted(story.receipts(events)),
        Ending::Events(events, Some(_)) => Outcome::Quarantined(story.receipts(events)),
        Ending::Refused(refusal) => Outcome::Refused(refusal.clone()),
        Ending::Lookup(_) => Outcome::Found(story.found.clone()),
        Ending::Handshake(_) => Outcome::Accepted(Vec::new()),
    }
}

fn ending(
    subject: &mut dyn Subject,
    story: &Story,
    secrets: &Secrets,
    checks: &mut Vec<Check>,
    passed: &mut Option<Check>,
) -> Result<Ending, Trap> {
    let mut fetched = Vec::new();
    let mut authentication = subject.authenticate(&story.request, &story.context, &fetched)?;
    for _ in 0..ROUNDS {
        let Authentication::Fetch(wanted) = &authentication else { break };
        fetched.extend(wanted.iter().map(|fetch| answer(story, fetch)));
        authentication = subject.authenticate(&story.request, &story.context, &fetched)?;
    }
    let refused = |reason, detail: String| Ok(Ending::Refused(Refusal { reason, detail }));
    match authentication {
        Authentication::Check(named) => {
            *checks = named;
            *passed = checks.iter().find(|check| passes(check, &story.request, secrets)).cloned();
            match passed {
                Some(_) => {}
                None if checks.is_empty() => {
                    return refused(RefusalReason::MissingSignature, "nothing to check".into());
                }
                None => return refused(RefusalReason::BadSignature, "no check passes".into()),
            }
        }
        Authentication::Handshake(handshake) => {
            *checks = handshake.checks.clone();
            *passed = checks.iter().find(|check| passes(check, &story.request, secrets)).cloned();
            if passed.is_none() && !checks.is_empty() {
                return refused(RefusalReason::BadSignature, "no check of the handshake passes".into());
            }
            return Ok(Ending::Handshake(handshake));
        }
        Authentication::Fetch(_) => {
            return refused(RefusalReason::Malformed, format!("still fetching after {ROUNDS} rounds"));
        }
        Authentication::Refuse(refusal) => return Ok(Ending::Refused(refusal)),
        Authentication::Unsigned(reason) if !story.allow_unsigned => return refused(RefusalReason::Unsigned, reason),
        Authentication::Unsigned(_) => {}
        Authentication::Lookup(lookup) => return Ok(Ending::Lookup(lookup)),
    }
    let mut translation = subject.translate(&story.request, &story.context, &fetched)?;
    for _ in 0..ROUNDS {
        let Translation::Fetch(wanted) = &translation else { break };
        fetched.extend(wanted.iter().map(|fetch| answer(story, fetch)));
        translation = subject.translate(&story.request, &story.context, &fetched)?;
    }
    Ok(match translation {
        Translation::Events(events) => Ending::Events(events, None),
        Translation::Degraded((events, reason)) => Ending::Events(events, Some(reason)),
        Translation::Fetch(_) => Ending::Events(Vec::new(), Some(format!("still fetching after {ROUNDS} rounds"))),
    })
}

/// What the story answers to a request of the connector; without an answer of its own, that nothing was to be had.
pub(super) fn answer(story: &Story, fetch: &Fetch) -> Fetched {
    let absent = || Fetched {
        id: fetch.id.clone(),
        url: fetch.url.clone(),
        status: 0,
        headers: Vec::new(),
        body: Vec::new(),
        error: Some("the story has no answer for it".into()),
    };
    let found = story.fetched.iter().find(|fetched| fetched.url == fetch.url);
    found.map_or_else(absent, |fetched| Fetched { id: fetch.id.clone(), ..fetched.clone() })
}

/// Whether the tag is the secret itself: then it says who sent it, not what was sent.
pub(super) fn is_credential(scheme: Scheme) -> bool {
    match scheme {
        Scheme::SharedSecret | Scheme::Basic | Scheme::Bearer => true,
        Scheme::HmacSha1
        | Scheme::HmacSha256
        | Scheme::HmacSha512
        | Scheme::Ed25519
        | Scheme::EcdsaP256Sha256
        | Scheme::RsaPkcs1Sha256
        | Scheme::RsaPkcs1Sha1
        | Scheme::JwtHs256
        | Scheme::JwtRs256 => false,
    }
}
