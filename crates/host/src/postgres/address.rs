//! Connection strings: what the driver can read, less what would go round the allow-list.

use super::guest::bindings::spin::postgres::postgres::Error;
use crate::outbound::{AllowList, Allowed};
use tokio_postgres::config::{Config, Host};

/// PostgreSQL's own port, as in libpq and in Spin's allow-list.
const PORT: u16 = 5432;

/// libpq's options that the driver does not have. Any other unknown word may be a piece of a password, so it is not repeated.
const UNSUPPORTED: [&str; 12] = [
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "passfile",
    "service",
    "servicefile",
    "gssencmode",
    "krbsrvname",
    "requiressl",
    "hostaddr",
];

/// A connection string that was read and is allowed.
#[derive(Debug)]
pub(super) struct Target {
    /// Everything but the hosts is taken from here. Its `Debug` hides the password.
    pub(super) config: Config,
    /// In the order to try.
    pub(super) hosts: Vec<Server>,
}

/// One server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// A name or an address.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
    /// Whether a private address will do.
    pub(super) anywhere: bool,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Why a connection string is not used.
#[derive(Debug)]
pub(super) enum Refused {
    /// It can't be read.
    Unreadable(String),
    /// The allow-list does not have it.
    NotAllowed(Server),
}

impl Refused {
    pub(super) fn guest(&self) -> Error {
        Error::ConnectionFailed(match self {
            Self::Unreadable(why) => why.clone(),
            Self::NotAllowed(server) => format!(
                "address postgres://{server} is not permitted: name it in the component's allowed_outbound_hosts"
            ),
        })
    }
}

/// Reads `text` and checks every host of it.
pub(super) fn read(text: &str, allow: &AllowList) -> Result<Target, Refused> {
    let unreadable = |why: &str| Refused::Unreadable(format!("the connection string can't be used: {why}"));
    let config: Config = text.parse().map_err(|_| unreadable(&misread(text)))?;
    if !config.get_hostaddrs().is_empty() {
        return Err(unreadable("hostaddr is not supported; write host=ADDRESS"));
    }
    if config.get_user().is_none() {
        return Err(unreadable("it names no user; write postgres://USER:PASSWORD@HOST:5432/DATABASE"));
    }
    let (names, ports) = (config.get_hosts(), config.get_ports());
    if names.is_empty() {
        return Err(unreadable("it names no host; write postgres://USER:PASSWORD@HOST:5432/DATABASE"));
    }
    if ports.len() > 1 && ports.len() != names.len() {
        return Err(unreadable("it needs one port for all hosts, or as many ports as hosts"));
    }
    let hosts = names.iter().enumerate().map(|(index, host)| {
        let Host::Tcp(host) = host else {
            return Err(unreadable("Unix sockets are not supported; write a host"));
        };
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(PORT);
        let allowed = allow.check("postgres", host, port);
        let server = Server { host: host.clone(), port, anywhere: allowed == Allowed::Anywhere };
        if allowed == Allowed::No { Err(Refused::NotAllowed(server)) } else { Ok(server) }
    });
    let hosts = hosts.collect::<Result<_, _>>()?;
    Ok(Target { config, hosts })
}

fn misread(text: &str) -> String {
    let has = |option: &str| {
        text.split([' ', '?', '&', '\n', '\t'])
            .any(|part| part.trim_start().strip_prefix(option).is_some_and(|rest| rest.trim_start().starts_with('=')))
    };
    if has("sslmode") && ["verify-ca", "verify-full", "allow"].iter().any(|mode| text.contains(mode)) {
        return "sslmode is disable, prefer or require; a certificate is always verified, so require means verify-full"
            .into();
    }
    match UNSUPPORTED.into_iter().find(|option| has(option)) {
        Some("sslrootcert") => {
            "sslrootcert is not supported; the component gives the certificate's text when it opens the connection"
                .into()
        }
        Some(option) => format!("option {option} is not supported; leave it out"),
        None => {
            "write postgres://USER:PASSWORD@HOST:5432/DATABASE, with special characters of the password percent-encoded"
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(entries: &[&str]) -> AllowList {
        AllowList::parse(entries.iter().copied()).unwrap()
    }

    #[test]
    fn every_host_of_an_address_must_be_allowed_on_its_port() {
        let list = allow(&["postgres://db.example.com", "postgres://10.0.0.1:6000"]);
        for good in [
            "postgres://u:p@db.example.com/x",
            "host=db.example.com user=u",
            "host=10.0.0.1 port=6000 user=u",
            "postgres://u@db.example.com:5432,10.0.0.1:6000/x",
            "postgresql://u@db.example.com/x",
        ] {
            assert!(read(good, &list).is_ok(), "{good}");
        }
        for (bad, named) in [
            ("postgres://u:p@db.example.com:5433/x", "db.example.com:5433"),
            ("postgres://u:p@other.example.com/x", "other.example.com:5432"),
            ("postgres://u@db.example.com,10.0.0.1/x", "10.0.0.1:5432"),
            ("postgres://u@10.0.0.1:5432/x?host=db.example.com", "10.0.0.1:5432"),
        ] {
            match read(bad, &list).unwrap_err().guest() {
                Error::ConnectionFailed(text) => assert!(text.contains(named), "{bad}: {text}"),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(read("postgres://u@x/y", &allow(&["https://x:5432"])), Err(Refused::NotAllowed(_))));
    }

    #[test]
    fn what_goes_round_the_list_or_can_t_be_read_is_refused_without_the_password() {
        let list = allow(&["postgres://db.example.com"]);
        for (bad, part) in [
            ("host=db.example.com hostaddr=127.0.0.1 user=u", "hostaddr"),
            ("host=/var/run/postgresql user=u", "Unix sockets"),
            ("user=u", "names no host"),
            ("host=db.example.com", "names no user"),
            ("host=db.example.com user=u sslmode=verify-full", "require means verify-full"),
            ("postgres://u@db.example.com/x?sslrootcert=/a", "text"),
            ("host=db.example.com user=u password=open sesame", "percent-encoded"),
            ("host=db.example.com user=u password='open sesame", "percent-encoded"),
        ] {
            let Error::ConnectionFailed(text) = read(bad, &list).unwrap_err().guest() else { panic!("{bad}") };
            assert!(text.contains(part) && !text.contains("sesame"), "{bad}: {text}");
        }
    }
}
