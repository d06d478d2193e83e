//! What the operator wrote: the variable `webhooks`, a JSON object, tenant to list of destinations. Whatever is wrong is told by name,
//! never by value; a destination with a fault is not delivered to, and what it is to be told waits.

use channel_sdk::json::{is_code, parse_kind};
use serde_json::{Map, Value};
use service_sdk::spelling::{nearest, printable};
use service_sdk::target::{Target, is_public};
use signatures::encoding::secret_base64;

use crate::bindings::feed::Start;
use crate::cloud_event::CASE_UPDATED;

const KEYS: [&str; 7] = ["name", "url", "secret", "events", "start", "source", "allow_private"];
/// Standard Webhooks 1.0, "Signature scheme": between 24 and 64 bytes.
const SECRET_BYTES: core::ops::RangeInclusive<usize> = 24..=64;
/// Destinations of a tenant.
const MAX: usize = 50;

/// One receiver, checked.
pub(crate) struct Destination {
    pub(crate) tenant: String,
    pub(crate) name: String,
    pub(crate) target: Target,
    /// Without TLS.
    pub(crate) plain: bool,
    /// Everything is signed with every one of them, so that a receiver can go from one to the next.
    pub(crate) secrets: Vec<Vec<u8>>,
    wanted: Wanted,
    pub(crate) start: Start,
    /// What the `source` of its messages begins with.
    pub(crate) source: String,
}

enum Wanted {
    All,
    /// Names of kinds; `call.*` for all that begin so.
    Some(Vec<String>),
}

/// Something to repair.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Empty if the whole variable is meant.
    pub(crate) tenant: String,
    /// Which destination: its name, or its place in the list.
    pub(crate) destination: Option<String>,
    pub(crate) why: String,
}

/// All of it.
#[derive(Default)]
pub(crate) struct Config {
    pub(crate) destinations: Vec<Destination>,
    pub(crate) faults: Vec<Fault>,
    /// Tenants that are named at all.
    pub(crate) tenants: Vec<String>,
}

/// Reads the variable.
pub(crate) fn read(variable: &str) -> Config {
    let mut config = Config::default();
    let whole = |why: String| Fault { tenant: String::new(), destination: None, why };
    let all = match serde_json::from_str(variable) {
        Ok(Value::Object(all)) => all,
        Ok(_) => Map::from_iter([(String::new(), Value::Null)]),
        // The parser's message would quote what it found, and that may be a secret.
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            config.faults.push(whole(format!("the variable `webhooks` is not JSON (line {line}, column {column})")));
            return config;
        }
    };
    for (tenant, value) in all {
        let Value::Array(list) = value else {
            let expected = "the variable `webhooks` must be {\"<tenant>\": [{\"name\": …, \"url\": …, \"secret\": …}]}";
            config.faults.push(Fault { tenant, destination: None, why: expected.into() });
            continue;
        };
        config.tenants.push(tenant.clone());
        for (index, value) in list.iter().enumerate() {
            let name = value.get("name").and_then(Value::as_str).filter(|name| is_code(name));
            let shown = name.map_or_else(|| format!("number {}", index + 1), str::to_owned);
            let taken = |d: &Destination| d.tenant == tenant && Some(d.name.as_str()) == name;
            let read = if index >= MAX {
                Err(vec![format!("a tenant has at most {MAX} destinations")])
            } else if config.destinations.iter().any(taken) {
                Err(vec!["another destination has the same name: what one has been told is kept under its name".into()])
            } else {
                destination(&tenant, value)
            };
            match read {
                Ok(destination) => config.destinations.push(destination),
                Err(whys) => config.faults.extend(whys.into_iter().map(|why| Fault {
                    tenant: tenant.clone(),
                    destination: Some(shown.clone()),
                    why,
                })),
            }
        }
    }
    config
}

fn destination(tenant: &str, value: &Value) -> Result<Destination, Vec<String>> {
    let Value::Object(members) = value else { return Err(vec!["it is not a JSON object".into()]) };
    let mut faults: Vec<String> =
        members.keys().filter(|key| !KEYS.contains(&key.as_str())).map(|key| unknown(key)).collect();
    let text = |key: &str| match members.get(key) {
        None => Err(format!("`{key}` is missing")),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.trim()),
        Some(_) => Err(format!("`{key}` must be a text")),
    };
    let name = text("name").and_then(|name| {
        let words = "`name` must be lower-case letters, digits and dashes, at most 63";
        if is_code(name) { Ok(name.to_owned()) } else { Err(words.into()) }
    });
    let private = match members.get("allow_private") {
        None | Some(Value::Bool(false)) => Ok(false),
        Some(Value::Bool(true)) => Ok(true),
        Some(_) => Err("`allow_private` must be true or false".to_owned()),
    };
    let url = text("url").and_then(|url| target(url, *private.as_ref().unwrap_or(&false)));
    let start = match members.get("start").map(Value::as_str) {
        None | Some(Some("now")) => Ok(Start::Now),
        Some(Some("beginning")) => Ok(Start::Beginning),
        Some(_) => Err("`start` must be \"now\" or \"beginning\"".to_owned()),
    };
    let source = match members.get("source") {
        None => Ok(String::new()),
        Some(_) => text("source").and_then(source),
    };
    let secrets = secrets(members.get("secret"));
    let wanted = wanted(members.get("events"));
    match (name, url, start, source, secrets, wanted, private) {
        (Ok(name), Ok((target, plain)), Ok(start), Ok(source), Ok(secrets), Ok(wanted), Ok(_)) if faults.is_empty() => {
            Ok(Destination { tenant: tenant.to_owned(), name, target, plain, secrets, wanted, start, source })
        }
        (name, url, start, source, secrets, wanted, private) => {
            let whys = [name.err(), url.err(), secrets.err(), wanted.err(), start.err(), source.err(), private.err()];
            faults.extend(whys.into_iter().flatten());
            Err(faults)
        }
    }
}

fn unknown(key: &str) -> String {
    let meant = nearest(key, &KEYS)
        .map_or_else(|| format!("; it takes {}", KEYS.join(", ")), |meant| format!(": did you mean `{meant}`?"));
    format!("`{}` is not known{meant}", printable(key))
}

/// Out in the world and with TLS, or wherever the operator says it is.
fn target(url: &str, private: bool) -> Result<(Target, bool), String> {
    let plain = url.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
    if plain && !private {
        return Err("`url` must begin with https:// (http:// only with \"allow_private\": true)".into());
    }
    let target = Target::parse_as(if plain { "http://" } else { "https://" }, url).map_err(|_| {
        "`url` must be a plain URL: https://, a host name, no user and password, nothing that has to be escaped"
            .to_owned()
    })?;
    if !private && !is_public(&target.host) {
        return Err("`url` leads to a private network or this machine: if it is meant to, add \"allow_private\": true, and the host \
                    to the variable webhooks_private"
            .into());
    }
    Ok((target, plain))
}

/// RFC 3986 URI of where people reach this installation, without a slash at its end.
fn source(text: &str) -> Result<String, String> {
    let good =
        text.split_once("://").is_some_and(|(scheme, rest)| matches!(scheme, "https" | "http") && !rest.is_empty());
    if good
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.contains(['?', '#', '"', '<', '>', '\\', '^', '`', '{', '|', '}'])
    {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("`source` must be the URL of this installation, without query".into())
    }
}

fn secrets(value: Option<&Value>) -> Result<Vec<Vec<u8>>, String> {
    let wrong = "`secret` must be `whsec_` and 24 to 64 random bytes in base64, or a list of such: `ventanilla` makes none, \
                 `echo whsec_$(openssl rand -base64 32)` does";
    let one = |value: &Value| -> Result<Vec<u8>, String> {
        let text = value.as_str().filter(|text| text.trim().starts_with("whsec_")).ok_or(wrong)?;
        let bytes = secret_base64(text.as_bytes()).map_err(|_| wrong)?;
        if SECRET_BYTES.contains(&bytes.len()) { Ok(bytes) } else { Err(wrong.to_owned()) }
    };
    match value {
        None => Err("`secret` is missing".into()),
        Some(Value::Array(several)) if (1..=4).contains(&several.len()) => several.iter().map(one).collect(),
        Some(Value::Array(_)) => Err("`secret` must be one, or a list of 1 to 4".into()),
        Some(value) => Ok(vec![one(value)?]),
    }
}

fn wanted(value: Option<&Value>) -> Result<Wanted, String> {
    let Some(value) = value else { return Ok(Wanted::All) };
    let list = value
        .as_array()
        .filter(|list| !list.is_empty())
        .ok_or("`events` must be a list of kinds, like [\"message\", \"call.*\"]")?;
    let mut names = Vec::new();
    for value in list {
        let name = value.as_str().ok_or("`events` must be a list of texts")?;
        let stem = name.strip_suffix('*');
        let known = match stem {
            Some(stem) => kinds().any(|kind| kind.starts_with(stem)),
            None => name == CASE_UPDATED || parse_kind(name).is_some(),
        };
        if !known {
            let all: Vec<&str> = kinds().collect();
            let meant = nearest(name, &all)
                .map_or_else(|| format!("there are {}", all.join(", ")), |meant| format!("did you mean `{meant}`?"));
            return Err(format!("`events` has `{}`, which is no kind: {meant}", printable(name)));
        }
        names.push(name.to_owned());
    }
    Ok(Wanted::Some(names))
}

/// Kinds of events, and what a change of a case is called among them.
fn kinds() -> impl Iterator<Item = &'static str> {
    channel_sdk::json::kind_names().chain([CASE_UPDATED])
}

impl Destination {
    /// Whether it is told of this kind.
    pub(crate) fn wants(&self, kind: &str) -> bool {
        match &self.wanted {
            Wanted::All => true,
            Wanted::Some(names) => names.iter().any(|name| match name.strip_suffix('*') {
                Some(stem) => kind.starts_with(stem),
                None => name == kind,
            }),
        }
    }

    /// What it is told of, for people.
    pub(crate) fn events(&self) -> Vec<String> {
        match &self.wanted {
            Wanted::All => vec!["*".into()],
            Wanted::Some(names) => names.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn one(more: &str) -> Result<Destination, String> {
        let text = format!(
            r#"{{"madrid": [{{"name": "crm", "url": "https://crm.example/in?x=1", "secret": "{SECRET}"{more}}}]}}"#
        );
        let mut config = read(&text);
        assert!(
            config.faults.iter().all(|fault| fault.tenant == "madrid" && fault.destination.as_deref() == Some("crm"))
        );
        assert!(config.faults.iter().all(|fault| !fault.why.contains("MfKQ9r8")));
        match config.destinations.pop() {
            Some(destination) if config.faults.is_empty() => Ok(destination),
            _ => Err(config.faults.into_iter().map(|fault| fault.why).collect::<Vec<_>>().join("; ")),
        }
    }

    #[test]
    fn a_destination_is_told_everything_from_now_on_unless_it_says_otherwise() {
        let crm = one("").unwrap();
        assert_eq!(
            (crm.tenant.as_str(), crm.name.as_str(), crm.start, crm.plain),
            ("madrid", "crm", Start::Now, false)
        );
        assert_eq!((crm.target.authority.as_str(), crm.target.path_and_query.as_str()), ("crm.example", "/in?x=1"));
        assert!(crm.wants("message") && crm.wants("case.updated") && crm.source.is_empty());
        let some =
            one(r#", "events": ["call.*", "case.updated"], "start": "beginning", "source": "https://desk.example/""#)
                .unwrap();
        assert!(some.wants("call.missed") && some.wants("case.updated") && !some.wants("message"));
        assert_eq!((some.start, some.source.as_str()), (Start::Beginning, "https://desk.example"));
    }

    #[test]
    fn what_is_misspelt_is_named_with_what_was_probably_meant() {
        for (more, wants) in [
            (r#", "evnts": ["message"]"#, "`evnts` is not known: did you mean `events`?"),
            (r#", "colour": 1"#, "`colour` is not known; it takes name, url"),
            (r#", "events": ["call.mised"]"#, "did you mean `call.missed`?"),
            (r#", "events": ["case.*", "nothing.*"]"#, "`nothing.*`, which is no kind: there are message"),
            (r#", "events": []"#, "must be a list of kinds"),
            (r#", "start": "yesterday""#, "`start` must be"),
            (r#", "source": "desk""#, "`source` must be"),
            (r#", "allow_private": "yes""#, "`allow_private` must be true or false"),
        ] {
            let why = one(more).err().expect(more);
            assert!(why.contains(wants), "{more}: {why}");
        }
    }

    #[test]
    fn every_fault_of_a_destination_is_told_at_once_and_no_value() {
        let config = read(
            r#"{"madrid": [{"url": "ftp://s3cr3t", "secret": "s3cr3t", "nmae": "crm"}, 7], "toledo": {}, "x": []}"#,
        );
        let said: Vec<String> = config
            .faults
            .iter()
            .map(|fault| format!("{}: {}", fault.destination.as_deref().unwrap_or("-"), fault.why))
            .collect();
        let said = said.join("\n");
        for wanted in [
            "number 1: `nmae` is not known: did you mean `name`?",
            "number 1: `name` is missing",
            "`url` must be",
            "`secret` must be",
            "number 2: it is not",
        ] {
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
        assert!(!said.contains("s3cr3t"));
        assert!(config.destinations.is_empty());
        assert_eq!(config.faults.last().map(|fault| fault.tenant.as_str()), Some("toledo"));
        for broken in ["", "[", "[]", "7", r#"{"madrid": "s3cr3t"}"#] {
            let config = read(broken);
            assert!(config.faults.len() == 1 && !format!("{:?}", config.faults).contains("s3cr3t"), "{broken}");
        }
    }

    #[test]
    fn two_destinations_of_one_name_are_one_too_many() {
        let one = format!(r#"{{"name": "crm", "url": "https://crm.example/", "secret": "{SECRET}"}}"#);
        let config = read(&format!(r#"{{"madrid": [{one}, {one}], "toledo": [{one}]}}"#));
        assert_eq!((config.destinations.len(), config.faults.len()), (2, 1));
    }

    #[test]
    fn a_private_address_takes_the_operator_s_word() {
        for url in [
            "http://127.0.0.1:8080/",
            "https://10.0.0.1/",
            "https://localhost/",
            "http://crm.example/",
            "https://[::1]/",
            "https://2130706433/",
        ] {
            let text =
                |more: &str| format!(r#"{{"m": [{{"name": "a", "url": "{url}", "secret": "{SECRET}"{more}}}]}}"#);
            assert_eq!(read(&text("")).destinations.len(), 0, "{url}");
            assert_eq!(read(&text(r#", "allow_private": true"#)).destinations.len(), 1, "{url}");
        }
        for url in ["https://a@b.example/", "https://b.example/a b", "crm.example", "https://"] {
            let text =
                format!(r#"{{"m": [{{"name": "a", "url": "{url}", "secret": "{SECRET}", "allow_private": true}}]}}"#);
            assert_eq!(read(&text).destinations.len(), 0, "{url}");
        }
    }

    #[test]
    fn a_secret_is_one_of_standard_webhooks_or_several() {
        let with = |secret: &str| {
            read(&format!(r#"{{"m": [{{"name": "a", "url": "https://crm.example/", "secret": {secret}}}]}}"#))
                .destinations
                .pop()
        };
        assert_eq!(with(&format!("\"{SECRET}\"")).unwrap().secrets[0].len(), 24);
        assert_eq!(with(&format!("[\"{SECRET}\", \"{SECRET}\"]")).unwrap().secrets.len(), 2);
        for bad in ["\"\"", "[]", "1", "\"whsec_Zm9v\"", "\"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"", "\"whsec_!\"", "null"]
        {
            assert!(with(bad).is_none(), "{bad}");
        }
    }
}
