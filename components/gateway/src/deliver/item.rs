//! One message on its way out: its tenant's settings, its words, its calls, and what to tell the store.

use channel_sdk::acknowledgement;
use channel_sdk::types::{Call, Capability, Descriptor, Kind, Outgoing, TenantProfile};

use super::answer::{self, Verdict};
use super::pace;
use crate::bindings::outbox::{Item, Resumption, Settlement};
use crate::fetch::{self, Target};
use crate::ports::{Outbound, Ports};
use crate::settings::{self, Problem, Settings};

/// Of a provider's answer.
const MAX_ANSWER: usize = 64 * 1024;
/// Calls of one message.
const MAX_CALLS: usize = 16;
/// One call.
const CALL_S: u64 = 8;
/// RFC 5321 §4.5.3.1.1.
const MAX_LOCAL_PART: usize = 64;

/// What to tell the store, and until when the provider wants to be left alone by this tenant, if it said so.
pub(super) type Done = (Settlement, Option<i64>);

/// Sends an item. No call is begun after `last_call`.
pub(super) async fn send<P: Ports>(ports: &P, descriptor: &Descriptor, item: Item, last_call: i64) -> Done {
    let Item { attempt, created_at, .. } = item;
    let automatic = item.message.automatic;
    let (settlement, pause) = if attempt > 0 && ports.now() - created_at > pace::max_age(automatic) {
        (Settlement::Failed("given up: it was tried for days".into()), None)
    } else {
        attempt_to_send(ports, descriptor, item, last_call).await
    };
    let too_late = |at: i64| at - created_at > pace::max_age(automatic);
    let given_up = |reason: &str| {
        let hours = pace::max_age(automatic) / 3_600_000;
        Settlement::Failed(format!("given up after {hours} hours: {reason}"))
    };
    let settlement = match &settlement {
        Settlement::Retry((at, reason)) if too_late(*at) => given_up(reason),
        Settlement::Resume(resumption) if too_late(resumption.at) => given_up(&resumption.reason),
        _ => settlement,
    };
    (settlement, pause)
}

async fn attempt_to_send<P: Ports>(ports: &P, descriptor: &Descriptor, item: Item, last_call: i64) -> Done {
    let now = ports.now();
    let later = |reason: String| (Settlement::Retry((now + pace::back_off(item.attempt), reason)), None);
    let elsewhere = |why: &str| (Settlement::Failed(format!("needs another channel: {why}")), None);

    let settings = match settings_of(ports, descriptor, &item.tenant).await {
        Ok(settings) => settings,
        // The operator can mend it.
        Err(reason) => return later(reason),
    };
    let profile = match ports.profile(&item.tenant).await {
        Ok(profile) => profile.unwrap_or_else(|| settings::neutral_profile(&item.tenant)),
        Err(_) => return later("the store does not answer".into()),
    };
    let message = prepare(item.message, &settings, &profile);
    if let Err(why) = fits(&message, &descriptor.capability) {
        return elsewhere(&why);
    }
    let calls = match ports.render(&message, &settings.context(profile)) {
        Ok(calls) if calls.len() > MAX_CALLS => {
            return (Settlement::Failed("the connector made too many calls of it".into()), None);
        }
        Ok(calls) => calls,
        Err(refusal) => return elsewhere(&refusal.detail),
    };

    let mut message_id = None;
    let mut done = item.done;
    let first = usize::try_from(item.done).unwrap_or(usize::MAX);
    let stopped = |at: i64, reason: String, done: u32, message_id: Option<String>| match done {
        0 => Settlement::Retry((at, reason)),
        done => Settlement::Resume(Resumption { at, reason, done, message_id }),
    };
    for (index, call) in calls.iter().enumerate().skip(first) {
        let now = ports.now();
        if now >= last_call {
            let reason = "not all of it is sent yet: the provider is slow".into();
            return (stopped(now, reason, done, message_id), None);
        }
        match make(ports, descriptor, &settings, call, &message).await {
            Verdict::Done(id) => {
                message_id = message_id.or(id);
                done += 1;
            }
            Verdict::Later(at, reason) => {
                let when = at.unwrap_or_else(|| ports.now() + pace::back_off(item.attempt));
                return (stopped(when, reason, done, message_id), at);
            }
            Verdict::Never(reason) if index > 0 => {
                let why = format!("{reason}; {done} of {} calls were done before", calls.len());
                return (Settlement::Failed(why), None);
            }
            Verdict::Never(reason) => return (Settlement::Failed(reason), None),
        }
    }
    (Settlement::Sent(message_id), None)
}

async fn settings_of<P: Ports>(ports: &P, descriptor: &Descriptor, tenant: &str) -> Result<Settings, String> {
    let variable = ports.variable("settings").await?;
    match settings::entry(&variable, tenant).and_then(|entry| entry.check(tenant, descriptor)) {
        Ok(settings) => Ok(settings),
        Err(Problem::Faulty(why)) => Err(why),
        Err(Problem::UnknownTenant) => {
            Err("the connector has no settings for this tenant; add them to its settings variable".into())
        }
    }
}

/// Writes the acknowledgement where this is one, and the signed token into the address that answers go to.
fn prepare(mut message: Outgoing, settings: &Settings, profile: &TenantProfile) -> Outgoing {
    // A request to follow is accepted without a word.
    if message.automatic && message.text.is_empty() && message.answers != Some(Kind::Follow) {
        let reference = message.case_reference.as_deref().unwrap_or_default();
        let (text, language) = acknowledgement::text(profile, message.language.as_deref(), reference);
        message.text = text;
        message.language = Some(language.to_owned());
    }
    if let Some(sender) = with_token(&message, settings) {
        message.sender = Some(sender);
    }
    message
}

/// `info@city.example` as `info+4821093726-abcdefghijklmnop@city.example`: an answer to it finds its case whatever became of its
/// headers. Only of mailboxes, and only if the operator has set the secret, because then they are known to take plus addresses.
fn with_token(message: &Outgoing, settings: &Settings) -> Option<String> {
    if message.recipient.scheme != "email" {
        return None;
    }
    let secret = settings.secret("thread_secret").first()?;
    let digits: String = message.case_reference.as_deref()?.chars().filter(char::is_ascii_digit).collect();
    let token = signatures::token::issue(secret.as_bytes(), &settings.tenant, &digits).ok()?;
    let (local, domain) = message.sender.as_deref()?.rsplit_once('@')?;
    let local = format!("{}+{token}", local.split('+').next().unwrap_or_default());
    (local.len() <= MAX_LOCAL_PART && !local.starts_with('+')).then(|| format!("{local}@{domain}"))
}

/// What the connector says its channel can carry.
fn fits(message: &Outgoing, capability: &Capability) -> Result<(), String> {
    if !capability.reply {
        return Err("nothing can be sent by this one".into());
    }
    if let (Some(window), Some(last)) = (capability.reply_window_s, message.last_inbound_at)
        && message.now.saturating_sub(last) >= i64::from(window) * 1000
    {
        return Err(format!("the person's last message is more than {} hours old", window / 3600));
    }
    match capability.max_text {
        Some(limit) if message.text.chars().count() > limit as usize => {
            Err(format!("the text is longer than {limit} characters"))
        }
        _ => Ok(()),
    }
}

async fn make<P: Ports>(
    ports: &P,
    descriptor: &Descriptor,
    settings: &Settings,
    call: &Call,
    message: &Outgoing,
) -> Verdict {
    let outbound = match request(descriptor, settings, call) {
        Ok(outbound) => outbound,
        Err(why) => return Verdict::Later(None, format!("it could not be made ready: {why}")),
    };
    match ports.send(outbound).await {
        Ok(answer) => answer::read(&answer, call, message, settings, ports.now()),
        Err(why) => Verdict::Later(None, format!("the provider was not reached: {why}")),
    }
}

/// The call with its secrets in it: from here on nothing of it is shown to anybody but the provider.
fn request(descriptor: &Descriptor, settings: &Settings, call: &Call) -> Result<Outbound, String> {
    if !matches!(call.method.as_str(), "GET" | "POST" | "PUT" | "PATCH" | "DELETE") {
        return Err("the connector named a method that is not sent".into());
    }
    let (url, _) = fetch::fill(&call.url, settings)?;
    let url = String::from_utf8(url).map_err(|_| "the URL is no text")?;
    let (target, plain) = target(&url, descriptor, settings)?;
    let mut headers = Vec::with_capacity(call.headers.len() + 1);
    for header in &call.headers {
        let (value, _) = fetch::fill(&header.value, settings)?;
        if value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(format!("the header `{}` has a line end in it", header.name));
        }
        headers.push((header.name.to_ascii_lowercase(), value));
    }
    let (body, _) = fetch::fill(&call.body, settings)?;
    headers.retain(|(name, _)| name != "content-length" && name != "host");
    if call.method != "GET" {
        headers.push(("content-length".into(), body.len().to_string().into_bytes()));
    }
    Ok(Outbound {
        method: call.method.clone(),
        plain,
        authority: target.authority,
        path_and_query: target.path_and_query,
        headers,
        body,
        max_bytes: MAX_ANSWER,
        seconds: CALL_S,
    })
}

/// Where it goes, and whether without TLS. A host that the descriptor names `{setting}` is the operator's own choice, so it may be
/// private and plain; every other is out in the world. The host's own allow-list is asked in any case.
fn target(url: &str, descriptor: &Descriptor, settings: &Settings) -> Result<(Target, bool), String> {
    let chosen = descriptor.hosts.iter().filter_map(|host| host.strip_prefix('{')?.strip_suffix('}'));
    for name in chosen {
        let Some(own) = settings.public(name) else { continue };
        for scheme in ["https://", "http://"] {
            if let (Ok(own), Ok(target)) = (Target::parse_as(scheme, own), Target::parse_as(scheme, url))
                && own.authority == target.authority
            {
                return Ok((target, scheme == "http://"));
            }
        }
    }
    let target = Target::parse(url)?;
    target.check(&descriptor.hosts)?;
    Ok((target, false))
}
