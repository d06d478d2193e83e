//! Reads a story's folder: the request, whom it is for, and what was fetched for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use channel_sdk::json;
use channel_sdk::types::{
    CaseState, CaseStatus, Context, Descriptor, Event, Fetched, Header, PublicCase, Receipt, Request, Setting,
    Threading,
};
use serde_json::{Map, Value, json};

/// When the suite's requests come in, if `context.json` does not say: 2026-11-21T10:00:00Z.
const RECEIVED_AT: i64 = 1_795_255_200_000;

/// Fake secrets of the tests, by setting name; several for a key being rotated.
pub(super) type Secrets = BTreeMap<String, Vec<String>>;

/// One golden case.
#[derive(Clone)]
pub(super) struct Story {
    /// The folder's name.
    pub(super) name: String,
    /// The folder.
    pub(super) folder: PathBuf,
    /// What came in.
    pub(super) request: Request,
    /// Whom it is for.
    pub(super) context: Context,
    /// `allow_unsigned` of the gateway's settings.
    pub(super) allow_unsigned: bool,
    /// Answers to what the connector asks to be fetched, by URL.
    pub(super) fetched: Vec<Fetched>,
    pub(super) receipts: Option<Vec<Receipt>>,
    /// What a public question finds.
    pub(super) found: Vec<PublicCase>,
}

/// What a connector's `testdata` has.
pub(super) struct Stories {
    /// By name.
    pub(super) stories: Vec<Story>,
    /// Of `secrets.json`.
    pub(super) secrets: Secrets,
    /// The shared context.
    pub(super) context: Context,
}

impl Story {
    /// The receipts a fresh store gives for these events, or those of `receipts.json`.
    pub(super) fn receipts(&self, events: &[Event]) -> Vec<Receipt> {
        if let Some(receipts) = &self.receipts {
            return receipts.clone();
        }
        events.iter().enumerate().map(|(index, event)| receipt(index, event, self.request.received_at)).collect()
    }

    /// Whether the name says that it is another story's delivery again.
    pub(super) fn is_resent(&self) -> bool {
        self.name.starts_with("resent-")
    }
}

fn receipt(index: usize, event: &Event, now: i64) -> Receipt {
    let (has_case, opened) = match &event.threading {
        Threading::Detached => (false, false),
        Threading::Existing(_) | Threading::ExistingCorrespondence(_) | Threading::PublicCase(_) => (true, false),
        Threading::Key(_) | Threading::Correspondence(_) => (true, true),
    };
    Receipt {
        event_id: format!("0193-event-{index}"),
        idempotency_key: event.idempotency_key.clone(),
        duplicate: false,
        case_reference: has_case.then(|| "482-109-3726".into()),
        opened,
        asked: event.asks_about.as_ref().map(|reference| CaseState {
            reference: reference.clone(),
            status: CaseStatus::Open,
            department: event.department.clone(),
            opened_at: now - 172_800_000,
            updated_at: now - 3_600_000,
        }),
    }
}

/// Reads `testdata` of a connector's folder. Any fault in it is an error that names the file.
pub(super) fn read(connector: &Path) -> Result<Stories, String> {
    read_cases(&connector.join("testdata"))
}

/// The same of the folder itself.
pub(super) fn read_cases(testdata: &Path) -> Result<Stories, String> {
    let shared = object(&testdata.join("context.json"))?;
    let secrets = read_secrets(&testdata.join("secrets.json"))?;
    let mut folders: Vec<PathBuf> = fs::read_dir(testdata)
        .map_err(|error| format!("testdata can't be read ({error}): a connector without golden cases is not tested"))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    let stories = folders.iter().map(|folder| story(folder, &shared, &secrets)).collect::<Result<Vec<_>, _>>()?;
    if stories.is_empty() {
        return Err("testdata has no story: zero cases run is a failure".into());
    }
    let (context, _, _) = context(&shared, &secrets).map_err(|problem| format!("testdata/context.json: {problem}"))?;
    Ok(Stories { stories, secrets, context })
}

/// Requests of no provider, for a connector without golden cases: they try what must hold whatever comes in.
pub(super) fn of_nobody(descriptor: &Descriptor) -> Result<Stories, String> {
    let members = json!({
        "tenant": "nobody",
        "public_url": format!("https://city.example/{}/{}/nobody", descriptor.channel, descriptor.vendor),
        "profile": {"tenant": "nobody", "name": "Nobody", "languages": ["es"]},
    });
    let members = members.as_object().cloned().unwrap_or_default();
    let (context, received_at, allow_unsigned) = context(&members, &Secrets::new())?;
    let suffix = descriptor.routes.first().map(|route| route.suffix.as_str()).filter(|suffix| !suffix.is_empty());
    let target = suffix.unwrap_or("-");
    let stories = [
        ("a-form", "POST", "content-type: application/x-www-form-urlencoded\n", "id=1&from=%2B34600111222&text=hola"),
        (
            "json",
            "POST",
            "content-type: application/json\n",
            r#"{"id": "1", "entry": [{"from": "a", "text": "hola"}]}"#,
        ),
        ("a-question", "GET", "", ""),
    ]
    .into_iter()
    .map(|(name, method, headers, body)| {
        let bytes = format!("{method} {target} HTTP/1.1\n{headers}\n{body}");
        Ok(Story {
            name: name.into(),
            folder: PathBuf::new(),
            request: request(bytes.as_bytes(), &context, received_at)?,
            context: context.clone(),
            allow_unsigned,
            fetched: Vec::new(),
            receipts: None,
            found: Vec::new(),
        })
    })
    .collect::<Result<Vec<_>, String>>()?;
    Ok(Stories { stories, secrets: Secrets::new(), context })
}

fn story(folder: &Path, shared: &Map<String, Value>, secrets: &Secrets) -> Result<Story, String> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let say = |problem: String| format!("testdata/{name}: {problem}");
    let mut members = shared.clone();
    let own = folder.join("context.json");
    if own.exists() {
        members.extend(object(&own)?);
    }
    let (context, received_at, allow_unsigned) = context(&members, secrets).map_err(say)?;
    let bytes = fs::read(folder.join("request.http")).map_err(|error| say(format!("request.http: {error}")))?;
    let request = request(&bytes, &context, received_at).map_err(|problem| say(format!("request.http: {problem}")))?;
    let receipts = optional(&folder.join("receipts.json")).map_err(say)?;
    let found = optional(&folder.join("found.json")).map_err(say)?.unwrap_or_default();
    Ok(Story {
        fetched: fetched(folder).map_err(say)?,
        name: name.clone(),
        folder: folder.into(),
        request,
        context,
        allow_unsigned,
        receipts,
        found,
    })
}

fn optional<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    match fs::read(path) {
        Err(_) => Ok(None),
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| format!("{}: {error}", path.display())),
    }
}

fn object(path: &Path) -> Result<Map<String, Value>, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_secrets(path: &Path) -> Result<Secrets, String> {
    if !path.exists() {
        return Ok(Secrets::new());
    }
    object(path)?
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(one) => Ok((name, vec![one])),
            Value::Array(several) => {
                Ok((name, several.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()))
            }
            _ => Err(format!("testdata/secrets.json: {name} must be a string or a list of strings")),
        })
        .collect()
}

fn context(members: &Map<String, Value>, secrets: &Secrets) -> Result<(Context, i64, bool), String> {
    let known = ["tenant", "public_url", "received_at", "settings", "secrets", "profile"];
    if let Some(unknown) = members.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("context.json: {unknown} is not known; members are {}", known.join(", ")));
    }
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    let received_at = match text("received_at") {
        None => RECEIVED_AT,
        Some(time) => json::parse_instant(&time).ok_or("context.json: received_at is not an RFC 3339 time")?,
    };
    let profile = members.get("profile").ok_or("context.json: profile is missing")?;
    let profile = json::parse_profile(profile).map_err(|error| format!("context.json: profile: {error}"))?;
    let settings = match members.get("settings") {
        None => Map::new(),
        Some(Value::Object(settings)) => settings.clone(),
        Some(_) => return Err("context.json: settings must be an object".into()),
    };
    let present = match members.get("secrets") {
        None => secrets.keys().cloned().collect(),
        Some(Value::Array(names)) => names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        Some(_) => return Err("context.json: secrets must be a list of names".into()),
    };
    let context = Context {
        tenant: text("tenant").ok_or("context.json: tenant is missing")?,
        public_url: text("public_url").ok_or("context.json: public_url is missing")?,
        settings: settings
            .iter()
            .map(|(name, value)| Setting {
                name: name.clone(),
                value: value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            })
            .collect(),
        secrets: present,
        profile,
    };
    Ok((context, received_at, settings.get("allow_unsigned") == Some(&Value::Bool(true))))
}

/// The head of an HTTP message, its header lines, and its body.
type Message = (String, Vec<Header>, Vec<u8>);

fn message(bytes: &[u8]) -> Result<Message, String> {
    let mut rest = bytes;
    let mut first = None;
    let mut headers = Vec::new();
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, after) = match end {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (rest, &rest[rest.len()..]),
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        rest = after;
        if line.is_empty() {
            break;
        }
        if first.is_none() {
            first = Some(String::from_utf8(line.to_vec()).map_err(|_| "the first line is not UTF-8")?);
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or("a header line has no colon")?;
        let name = String::from_utf8(line[..colon].to_vec()).map_err(|_| "a header's name is not UTF-8")?;
        headers.push(Header { name: name.to_ascii_lowercase(), value: line[colon + 1..].trim_ascii().to_vec() });
    }
    let length = headers
        .iter()
        .find(|header| header.name == "content-length")
        .and_then(|header| std::str::from_utf8(&header.value).ok()?.parse::<usize>().ok());
    let body = match length {
        Some(length) if length <= rest.len() && rest[length..].iter().all(|byte| b"\r\n".contains(byte)) => {
            &rest[..length]
        }
        Some(length) => return Err(format!("content-length says {length}, the body has {} bytes", rest.len())),
        None => rest.strip_suffix(b"\n").map_or(rest, |body| body.strip_suffix(b"\r").unwrap_or(body)),
    };
    Ok((first.ok_or("it is empty")?, headers, body.to_vec()))
}

fn request(bytes: &[u8], context: &Context, received_at: i64) -> Result<Request, String> {
    let (first, headers, body) = message(bytes)?;
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err("the first line must be `METHOD target HTTP/1.1`".into());
    };
    let path = context.public_url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default();
    let target = match target.strip_prefix(path.as_str()) {
        Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']) => rest,
        _ => target,
    };
    let target = if target == "-" { "" } else { target };
    let (suffix, query) = match target.split_once('?') {
        Some((suffix, query)) => (suffix, Some(query.to_owned())),
        None => (target, None),
    };
    if !suffix.is_empty() && !suffix.starts_with('/') {
        return Err(format!("the target must begin with `/` or `?`: {target}"));
    }
    Ok(Request {
        method: method.to_owned(),
        url: url(context, suffix, query.as_deref()),
        suffix: suffix.to_owned(),
        query,
        headers,
        body,
        received_at,
    })
}

/// The URL the provider was given, with suffix and query byte for byte.
pub(super) fn url(context: &Context, suffix: &str, query: Option<&str>) -> String {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}{suffix}{query}", context.public_url)
}

fn fetched(folder: &Path) -> Result<Vec<Fetched>, String> {
    let Ok(entries) = fs::read_dir(folder.join("fetched")) else {
        return Ok(Vec::new());
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let say = |problem: &str| {
                format!("fetched/{}: {problem}", path.file_name().unwrap_or_default().to_string_lossy())
            };
            let bytes = fs::read(path).map_err(|error| say(&error.to_string()))?;
            let (first, mut headers, body) = message(&bytes).map_err(|problem| say(&problem))?;
            let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
            let at = headers.iter().position(|header| header.name == "x-url").ok_or_else(|| say("x-url is missing"))?;
            let url = String::from_utf8(headers.remove(at).value).map_err(|_| say("x-url is not UTF-8"))?;
            let status = status.ok_or_else(|| say("the first line must be `HTTP/1.1 200`"))?;
            Ok(Fetched { id: String::new(), url, status, headers, body, error: None })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        let members = serde_json::json!({
            "tenant": "t", "public_url": "https://city.example/telephony/twilio/t", "profile": {"tenant": "t", "name": "T", "languages": ["es"]},
        });
        super::context(members.as_object().unwrap(), &Secrets::new()).unwrap().0
    }

    #[test]
    fn a_request_keeps_its_bytes() {
        let request = request(b"POST /voice?a=%2b+ HTTP/1.1\r\nX-Odd:  \xff \n\nbody\n\n", &context(), 5).unwrap();
        assert_eq!(request.url, "https://city.example/telephony/twilio/t/voice?a=%2b+");
        assert_eq!(request.headers, [Header { name: "x-odd".into(), value: vec![0xff] }]);
        assert_eq!(request.body, b"body\n");
        assert_eq!(
            (request.suffix.as_str(), request.query.as_deref(), request.received_at),
            ("/voice", Some("a=%2b+"), 5)
        );
    }

    #[test]
    fn content_length_decides_whether_the_last_newline_is_the_bodys() {
        let with = request(b"POST / HTTP/1.1\ncontent-length: 5\n\nbody\n", &context(), 0).unwrap();
        assert_eq!(with.body, b"body\n");
        assert!(request(b"POST / HTTP/1.1\ncontent-length: 7\n\nbody\n", &context(), 0).is_err());
    }

    #[test]
    fn the_target_may_be_the_whole_path_or_nothing() {
        for (target, suffix) in [
            ("/telephony/twilio/t/voice", "/voice"),
            ("/telephony/twilio/t", ""),
            ("-", ""),
            ("/", "/"),
            ("/telephony/twilio/tx", "/telephony/twilio/tx"),
        ] {
            assert_eq!(
                request(format!("GET {target} HTTP/1.1\n\n").as_bytes(), &context(), 0).unwrap().suffix,
                suffix,
                "{target}"
            );
        }
    }
}
