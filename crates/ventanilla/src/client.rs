//! How commands reach a running server: its JSON API, with the token of one tenant.

use crate::cli::TargetOptions;
use crate::failure::failure;
use crate::state::{DEMO, State};
use anyhow::{Context, Result};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// A larger answer is not from us.
const MAX_ANSWER: u64 = 64 << 20;

/// Which server and whose cases.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Without a trailing slash.
    pub(crate) url: String,
    pub(crate) tenant: String,
    pub(crate) token: Option<String>,
    /// What `up` left in the data folder.
    pub(crate) state: State,
}

impl Target {
    /// Options before environment (clap does that) before `demo.json` before the defaults.
    pub(crate) fn find(options: &TargetOptions) -> Result<Target> {
        let state = State::load(&options.data)?;
        let url = options.url.clone().or_else(|| state.url.clone()).unwrap_or_else(|| "http://127.0.0.1:3000".into());
        let url = url.trim_end_matches('/').to_owned();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(failure(format!("{url:?} is not a URL"), "give one like --url http://127.0.0.1:3000"));
        }
        let tenant = options.tenant.clone().unwrap_or_else(|| DEMO.to_owned());
        // The demo tenant's token opens no other.
        let own = state.token.clone().filter(|_| tenant == DEMO);
        Ok(Target { url, tenant, token: options.token.clone().or(own), state })
    }
}

/// An answer as it came.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// What the server's clock said.
    pub(crate) date: Option<SystemTime>,
}

impl Reply {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// What a problem document says, or else the body's beginning.
    pub(crate) fn detail(&self) -> String {
        let said = self.json().and_then(|problem| problem.get("detail").and_then(Value::as_str).map(str::to_owned));
        said.unwrap_or_else(|| crate::output::shorten(&String::from_utf8_lossy(&self.body), 200))
    }
}

/// Sends requests as they are: no redirects followed, a failure status is an answer.
pub(crate) struct Http(ureq::Agent);

impl Http {
    pub(crate) fn new() -> Http {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(60)))
            .user_agent(concat!("ventanilla/", env!("CARGO_PKG_VERSION")))
            .build();
        Http(config.into())
    }

    /// Sends one request.
    pub(crate) fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Result<Reply> {
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = match body {
            Some(body) => self.0.run(request.body(body.to_vec())?),
            None => self.0.run(request.body(())?),
        };
        let mut answer = sent.map_err(|error| match error {
            // rustls has no kind of its own here: what came was no TLS record.
            ureq::Error::Io(cause)
                if url.starts_with("https://") && cause.to_string().contains("InvalidContentType") =>
            {
                failure(format!("{url} does not speak TLS"), "write http://, or the port where a proxy ends TLS")
            }
            ureq::Error::Io(_)
            | ureq::Error::ConnectionFailed
            | ureq::Error::HostNotFound
            | ureq::Error::Timeout(_) => failure(
                format!("no answer from {url}: {error}"),
                "is the server running? start it with `ventanilla up`, or say where it is with --url \
                 (without it: where one last served from the folder --data, else port 3000 of this machine)",
            ),
            other => anyhow::Error::from(other).context(format!("cannot ask {url}")),
        })?;
        let status = answer.status().as_u16();
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        Ok(Reply { status, date, body: body.with_context(|| format!("the answer of {url} broke off"))? })
    }
}

/// The API of one tenant.
pub(crate) struct Client {
    pub(crate) target: Target,
    http: Http,
}

impl Client {
    pub(crate) fn new(target: Target) -> Client {
        Client { target, http: Http::new() }
    }

    /// `GET /api/{tenant}/{path}`.
    pub(crate) fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let mut url = self.tenant_path(path);
        for (i, (name, value)) in query.iter().enumerate() {
            url.push_str(&format!("{}{name}={}", if i == 0 { '?' } else { '&' }, percent(value)));
        }
        self.ask("GET", &url, None)
    }

    /// Another method on `/api/{tenant}/{path}`.
    pub(crate) fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        self.ask(method, &self.tenant_path(path), Some(body.to_string().as_bytes()))
    }

    /// `/api/{tenant}/{path}`.
    fn tenant_path(&self, path: &str) -> String {
        format!("/api/{}/{path}", percent(&self.target.tenant))
    }

    /// Asks for a path of the server with the token; a failure status is an error that says what to do.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Value> {
        let reply = self.raw(method, path, body)?;
        if (200..300).contains(&reply.status) {
            return reply.json().with_context(|| format!("{} answered something that is not JSON", self.target.url));
        }
        let what = format!("{method} {path}: {} ({})", reply.detail(), reply.status);
        Err(match reply.status {
            401 => failure(what, "give a token of the tenant with --token or VENTANILLA_TOKEN"),
            403 => {
                failure(what, "use a token that may (`ventanilla token --scope …` makes one), or one with all scopes")
            }
            404 => failure(what, "is the tenant right? name it with --tenant"),
            400 => failure(what, "correct the value named and try again"),
            429 => failure(what, "wait a little and try again"),
            503 => failure(
                what,
                "the store can't be reached, is busy, or its disk is full: see `ventanilla doctor` and the server's log",
            ),
            _ => failure(what, "see the server's log"),
        })
    }

    /// The same, whatever the status.
    pub(crate) fn raw(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Reply> {
        let authorization = self.target.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut headers = vec![("accept", "application/json")];
        if let Some(value) = &authorization {
            headers.push(("authorization", value));
        }
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        self.http.send(method, &format!("{}{path}", self.target.url), &headers, body)
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub(crate) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_encoded() {
        assert_eq!(percent("cañería & más"), "ca%C3%B1er%C3%ADa%20%26%20m%C3%A1s");
    }

    #[test]
    fn the_demo_token_is_not_shown_to_another_tenant() {
        let data = std::env::temp_dir().join(format!("ventanilla-client-{}", std::process::id()));
        std::fs::create_dir_all(&data).unwrap();
        State { token: Some("t".into()), url: Some("http://127.0.0.1:9/".into()), ..State::default() }
            .save(&data)
            .unwrap();
        let options = |tenant: Option<&str>, url: Option<&str>| TargetOptions {
            url: url.map(str::to_owned),
            token: None,
            tenant: tenant.map(str::to_owned),
            data: data.clone(),
        };
        let demo = Target::find(&options(None, None)).unwrap();
        assert_eq!(
            (demo.url.as_str(), demo.tenant.as_str(), demo.token.as_deref()),
            ("http://127.0.0.1:9", "demo", Some("t"))
        );
        assert_eq!(Target::find(&options(Some("madrid"), None)).unwrap().token, None);
        assert!(Target::find(&options(None, Some("localhost"))).is_err());
        std::fs::remove_dir_all(data).unwrap();
    }
}
