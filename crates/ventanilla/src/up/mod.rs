//! `ventanilla up`: sets up what is missing, says loudly what is unusual, and serves.

mod courier;
mod demo;
mod setup;

use crate::cli::UpOptions;
use crate::failure::failure;
use crate::migrate;
use crate::state::{self, DEMO, State};
use anyhow::{Context, Result};
use bytes::Bytes;
use courier::Courier;
pub(crate) use demo::PROFILE;
use serde_json::{Value, json};
use setup::{Connector, Setup};
pub(crate) use setup::{connectors, has_webhooks};
use std::fs::{File, TryLockError};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use ventanilla_host::manifest::Manifest;
use ventanilla_host::variables::Variables;
use ventanilla_host::{Host, Options, Progress, StopSignal, logs, telemetry};

/// Serves until interrupted.
pub(crate) fn run(options: UpOptions, data: PathBuf) -> Result<()> {
    let format = match options.log_format.as_deref() {
        Some("json") => logs::Format::Json,
        None if options.json => logs::Format::Json,
        _ => logs::Format::Human,
    };
    logs::init(format, "info");
    make_private(&data)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    // First of all: a port in use is said at once, and port 0 is a real one before settings name the URL.
    let listener = runtime.block_on(ventanilla_host::listen(&address(&options.listen)?.to_string()))?;
    let listen = listener.local_addr().context("the listening socket has no address")?;
    let url = format!("http://{}", reachable(listen));
    let _alone = alone(&data)?;
    let deliver_every = crate::deliver::duration(&options.deliver_every)?;
    let mut host_options = host_options(&options, &data, listen)?;
    let manifest = Manifest::load(&options.manifest, host_options.profile.as_deref())?;
    let operator = Variables::resolve(&manifest, &host_options)?;
    if options.profile == "postgres" {
        point_to_database(&manifest, &operator, &mut host_options)?;
    }
    let connectors = connectors(&manifest);
    let has_webhooks = has_webhooks(&manifest);
    let mut state = State::load(&data)?;
    state.url = Some(url.clone());

    let mut setup = Setup::plan(&connectors, |name| operator.get(name), &mut state, &url)?;
    host_options.variables.append(&mut setup.variables);
    setup.warnings.iter().for_each(|warning| notice(warning));
    test_aids(&options);

    runtime.block_on(async {
        let mut host = load(&host_options).await?;
        if setup.demo {
            let incomplete = demo::complete_settings(&host, &connectors, &mut state).await?;
            if incomplete {
                // The connectors have said which secrets they need; these are variables, so they are given at a new start.
                host.close().await;
                setup.give_settings(&connectors, &state, &mut host_options.variables);
                host = load(&host_options).await?;
            }
        }
        let mut tenants = setup.tenants.clone();
        if let Some(token) = &setup.operator_token {
            match demo::ensure_profile(&host, token, &setup.tenants).await {
                Ok(found) => tenants.extend(found),
                // A database elsewhere comes and goes; whoever asks meanwhile is told so, and served as soon as it is there.
                Err(error) if options.profile == "postgres" && error.is::<demo::Away>() => {
                    notice(&format!("not ready yet: {error:#}"))
                }
                Err(error) => return Err(error),
            }
        }
        tenants.sort();
        tenants.dedup();
        state.save(&data)?;
        let signal = StopSignal::install()?;
        let told = Told { url: &url, tenants: &tenants, connectors: &connectors, state: &state, data: &data };
        if options.json {
            told.machines()
        } else {
            told.people()
        }
        let token = setup.courier_token.take().filter(|_| !deliver_every.is_zero());
        let courier = token.map(|token| Courier::start(host.caller(), &connectors, has_webhooks, token, deliver_every));
        let before_the_end = async {
            if let Some(courier) = courier {
                courier.stop().await;
            }
        };
        host.serve_listener_and(listener, signal, Box::pin(before_the_end)).await
    })
}

/// Compiling is long work: it is neither done on a thread that serves nor silently.
async fn load(options: &Options) -> Result<Host> {
    let options = options.clone();
    tokio::task::spawn_blocking(move || Host::load(options)).await.context("loading stopped")?
}

/// What the host is told.
fn host_options(options: &UpOptions, data: &Path, listen: SocketAddr) -> Result<Options> {
    let mut host = Options::new(&options.manifest);
    host.listen = listen.to_string();
    host.data_dir = data.to_path_buf();
    host.limits.postgres.connections = options.postgres_connections.into();
    host.limits.tenant_rate = options.tenant_rate;
    host.profile = (options.profile != "sqlite").then(|| options.profile.clone());
    host.telemetry = telemetry::Settings::from_environment()?;
    if let Some(telemetry) = &mut host.telemetry {
        telemetry.trust = options.trust_trace_context;
    }
    host.env_file = options.env_file.clone().or_else(|| Some(PathBuf::from(".env")).filter(|file| file.is_file()));
    for variable in &options.variables {
        let (name, value) =
            variable.split_once('=').ok_or_else(|| failure("--variable without =", "write --variable NAME=VALUE"))?;
        host.variables.push((name.to_owned(), value.to_owned()));
    }
    host.clock = options.clock.as_deref().map(clock).transpose()?;
    host.outbound_via = options.outbound_via.as_deref().map(outbound_via).transpose()?;
    if !options.json {
        host.progress = Some(Arc::new(|progress: Progress<'_>| {
            if let Progress::Compiling { component } = progress {
                eprintln!("compiling {component} (kept for the next start)");
            }
        }));
    }
    Ok(host)
}

/// The address must be known, and where it leads is allowed: on Spin that is a variable of its own, here it follows from the address.
fn point_to_database(manifest: &Manifest, operator: &Variables, options: &mut Options) -> Result<()> {
    const ALLOWED: &str = "postgres_host";
    let value = |name: &str| operator.get(name).filter(|value| !value.is_empty());
    if !manifest.variables.contains_key(migrate::POSTGRES_URL) {
        return Ok(());
    }
    let address = value(migrate::POSTGRES_URL).ok_or_else(migrate::missing)?;
    let first = ventanilla_host::postgres::first_host(address)?;
    if manifest.variables.contains_key(ALLOWED) && value(ALLOWED).is_none() {
        options.variables.push((ALLOWED.to_owned(), first));
    }
    Ok(())
}

fn clock(text: &str) -> Result<SystemTime> {
    channel_sdk::json::parse_instant(text)
        .and_then(|millis| u64::try_from(millis).ok())
        .and_then(|millis| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis)))
        .ok_or_else(|| {
            failure(format!("--clock {text:?} is not a time"), "write RFC 3339, e.g. --clock 2026-03-01T09:30:00Z")
        })
}

fn outbound_via(text: &str) -> Result<String> {
    let address = text.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')).unwrap_or_default();
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() && !host.contains('/') => {
            Ok(address.to_owned())
        }
        _ => Err(failure(
            format!("--outbound-via {text:?} is not an address"),
            "write --outbound-via http://127.0.0.1:8080 (no path, no https)",
        )),
    }
}

/// What --listen says; the first address of a name.
fn address(listen: &str) -> Result<SocketAddr> {
    listen.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(|| {
        failure(format!("--listen {listen:?} is not an address"), "write ADDRESS:PORT, e.g. --listen 127.0.0.1:3000")
    })
}

/// Where this machine reaches a server that listens on all addresses.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let mut address = listen;
    if listen.ip().is_unspecified() {
        address.set_ip(if listen.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    address
}

/// The data folder holds what citizens said and secrets: for its owner only.
fn make_private(data: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(data).map_err(|error| {
        failure(format!("cannot create the data folder {}: {error}", data.display()), "choose another with --data")
    })
}

/// One server for a folder, as long as what this gives is kept (the system lets go of it when the process ends, however it ends): a second one
/// would overwrite the address and the tokens that the other commands look up there, and wait for the first one's locks on the database.
fn alone(data: &Path) -> Result<File> {
    let path = data.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| {
        failure(format!("cannot write {}: {error}", path.display()), "give a writable folder with --data")
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(failure(
            format!("another `ventanilla up` works in the data folder {}", data.display()),
            "stop that one, or give this one a folder of its own with --data",
        )),
        // A file system without locks, over a network say: then nobody can tell.
        Err(TryLockError::Error(error)) => {
            notice(&format!("whether another server works in {} can't be told: {error}", data.display()));
            Ok(file)
        }
    }
}

/// Said where nobody can miss it, whatever the log level.
fn notice(text: &str) {
    eprintln!("NOTICE: {text}");
}

fn test_aids(options: &UpOptions) {
    if let Some(clock) = &options.clock {
        notice(&format!(
            "TEST AID --clock: components see {clock} and later, not the real time; never with real citizens"
        ));
    }
    if let Some(address) = &options.outbound_via {
        notice(&format!(
            "TEST AID --outbound-via: every outbound request goes to {address} without TLS; never with real secrets"
        ));
    }
}

/// One request to the application, not over a socket.
async fn ask(host: &Host, method: &str, path: &str, token: &str, body: Option<&Value>) -> Result<(u16, Value)> {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default())?;
    let answer = host.call(request).await?;
    let status = answer.status().as_u16();
    Ok((status, serde_json::from_slice(answer.body()).unwrap_or_default()))
}

/// What is said when it serves.
struct Told<'a> {
    url: &'a str,
    tenants: &'a [String],
    connectors: &'a [Connector],
    state: &'a State,
    data: &'a Path,
}

impl Told<'_> {
    fn machines(&self) {
        println!("{}", json!({"ready": true, "url": self.url, "tenants": self.tenants}));
    }

    fn people(&self) {
        let url = self.url;
        println!("\nVentanilla serves on {url}\n");
        println!("  tenants    {}", if self.tenants.is_empty() { "none".to_owned() } else { self.tenants.join(", ") });
        println!("  data       {}", self.data.display());
        println!("  API        {url}/api/openapi.json");
        println!("  metrics    {url}/metrics");
        if !self.tenants.iter().any(|tenant| tenant == DEMO) {
            println!("\nWhat is missing, and the URLs to give to the providers: {} config check", self.program());
            return;
        }
        for connector in self
            .connectors
            .iter()
            .filter(|c| self.state.settings.get(&c.variable).is_some_and(|settings| !settings.is_null()))
        {
            println!("  webhook    {url}/{}/{}/{DEMO}", connector.channel, connector.vendor);
        }
        if let Some(token) = &self.state.token {
            println!("  API token  {token}  (of tenant {DEMO}; kept in {})", State::file(self.data).display());
        }
        let program = self.program();
        println!("\nA first case, in another terminal:\n  {program} call --press 1 --hang-up\n  {program} cases\n");
    }

    /// As it has to be typed here.
    fn program(&self) -> String {
        let exe = std::env::current_exe().unwrap_or_else(|_| "ventanilla".into());
        let here = std::env::current_dir().unwrap_or_default();
        let mut text = exe.strip_prefix(&here).unwrap_or(&exe).display().to_string();
        if self.data != Path::new(".ventanilla") {
            text.push_str(&format!(" --data {}", self.data.display()));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_of_an_option_is_refused_with_an_example() {
        for error in [
            clock("yesterday").unwrap_err(),
            outbound_via("https://x:1").unwrap_err(),
            outbound_via("http://x").unwrap_err(),
            outbound_via("http://x:1/path").unwrap_err(),
            address("3000").unwrap_err(),
        ] {
            assert!(error.to_string().starts_with("--"), "{error}");
        }
        assert_eq!(outbound_via("http://127.0.0.1:8080/").unwrap(), "127.0.0.1:8080");
        assert_eq!(clock("1970-01-01T00:00:01Z").unwrap(), SystemTime::UNIX_EPOCH + Duration::from_secs(1));
    }

    #[test]
    fn all_addresses_become_this_machine() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80".parse().unwrap()).to_string(), "[::1]:80");
        assert_eq!(reachable("192.0.2.1:80".parse().unwrap()).to_string(), "192.0.2.1:80");
    }
}
