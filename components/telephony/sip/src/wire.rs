//! What `infra/sip/kamailio.cfg` sends: one flat JSON object per event of a call.

use channel_sdk::e164::{self, Caller};
use channel_sdk::json;
use channel_sdk::menu;
use channel_sdk::time;
use channel_sdk::types::{Context, Department, Handle, Instant, Request};
use serde_json::{Map, Value};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Invite,
    Cancel,
    NoAnswer,
    Busy,
    Refused,
    Answered,
    Bye,
    Message,
}

impl What {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "invite" => Self::Invite,
            "cancel" => Self::Cancel,
            "no-answer" => Self::NoAnswer,
            "busy" => Self::Busy,
            "refused" => Self::Refused,
            "answered" => Self::Answered,
            "bye" => Self::Bye,
            "message" => Self::Message,
            _ => return None,
        })
    }
}

/// One event, read.
pub(crate) struct Report {
    members: Map<String, Value>,
    pub(crate) what: What,
    pub(crate) call_id: String,
}

impl Report {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// Why it is none, for the operator.
    pub(crate) fn read(request: &Request) -> Result<Self, &'static str> {
        let Ok(Value::Object(members)) = serde_json::from_slice(&request.body) else {
            return Err("the body is not a JSON object; use the configuration in infra/sip");
        };
        let text =
            |name: &str| members.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
        let what = text("event")
            .and_then(What::parse)
            .ok_or("event is missing or not known; use the configuration in infra/sip")?;
        let call_id = text("call_id").ok_or("call_id is missing: without it nothing can be told apart")?.to_owned();
        Ok(Self { members, what, call_id })
    }

    /// A member as text: a string's trimmed content or a number's digits. NUL, which no database's text holds, becomes U+FFFD.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let text = match self.members.get(name)? {
            Value::String(text) => text.trim().replace('\0', "\u{fffd}"),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        Some(text).filter(|text| !text.is_empty())
    }

    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// Unix seconds, or RFC 3339.
    pub(crate) fn time(&self) -> Option<Instant> {
        let text = self.text("time")?;
        let seconds = text.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1000));
        seconds.filter(|instant| json::is_writable(*instant)).or_else(|| time::parse(&text))
    }

    /// A Call-ID is the caller's to choose: with the peer it came from, a stranger elsewhere can't join a call or take its place.
    pub(crate) fn scoped_call_id(&self) -> String {
        match self.text("source_ip") {
            Some(peer) => format!("{peer}/{}", self.call_id),
            None => self.call_id.clone(),
        }
    }

    /// Who calls, and whether a peer we trust vouches for it (RFC 3325 §9: only then may P-Asserted-Identity be believed).
    pub(crate) fn caller(&self, context: &Context) -> (Option<Handle>, bool) {
        // RFC 3323 §4.2: `id` asks that the identity be withheld from the called party.
        if self
            .text("privacy")
            .is_some_and(|privacy| privacy.split([';', ',']).any(|value| value.trim().eq_ignore_ascii_case("id")))
        {
            return (None, true);
        }
        let is_trusted = self.text("source_ip").is_some_and(|peer| list(context, "trusted_sources").contains(&peer));
        if is_trusted
            && let Some(asserted) = self.text("pai")
            && let Caller::Known(handle) = e164::caller(uri(&asserted))
        {
            return (Some(handle), true);
        }
        (e164::caller(uri(&self.text("from").unwrap_or_default())).handle(), is_trusted)
    }

    /// The caller's display name without its quotes.
    pub(crate) fn caller_name(&self) -> Option<String> {
        let name = self.text("from_display")?;
        let name = name.trim_matches('"').trim().replace("\\\"", "\"");
        Some(name).filter(|name| !name.is_empty() && !e164::is_withheld(name))
    }

    /// What was dialled: the number or user part of the request URI, before routing changed it.
    pub(crate) fn dialled(&self) -> Option<String> {
        let address = self.text("ruri").or_else(|| self.text("to"))?;
        e164::caller(uri(&address)).handle().map(|handle| match handle.value.split_once('@') {
            Some((user, _)) if handle.scheme == "sip" => user.to_owned(),
            _ => handle.value,
        })
    }

    /// The department the dialled number belongs to, or the default one.
    pub(crate) fn department<'a>(&self, context: &'a Context) -> Option<&'a Department> {
        let numbers: Map<String, Value> =
            setting(context, "numbers").and_then(|map| serde_json::from_str(map).ok()).unwrap_or_default();
        let dialled = self.dialled().unwrap_or_default();
        let code = numbers.get(&dialled).and_then(Value::as_str).or_else(|| setting(context, "default_department"))?;
        menu::department(&context.profile, code)
    }
}

/// The URI of `"Name" <sip:…>;tag=x`, or the whole if it has no brackets.
fn uri(address: &str) -> &str {
    let inner = address.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or(address, |(uri, _)| uri)
}

/// A public setting's value.
pub(crate) fn setting<'a>(context: &'a Context, name: &str) -> Option<&'a str> {
    context
        .settings
        .iter()
        .find(|setting| setting.name == name)
        .map(|setting| setting.value.trim())
        .filter(|value| !value.is_empty())
}

/// A setting that is a JSON list of strings, or one string.
fn list(context: &Context, name: &str) -> Vec<String> {
    let value = setting(context, name).unwrap_or_default();
    serde_json::from_str(value).unwrap_or_else(|_| vec![value.to_owned()])
}
