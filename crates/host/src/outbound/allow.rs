//! `allowed_outbound_hosts`: `scheme://host:port` with `*`, `*.suffix`, address ranges and port ranges.

use std::{net::IpAddr, ops::RangeInclusive};

/// What a component may reach.
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    scheme: Option<String>,
    host: Host,
    ports: RangeInclusive<u16>,
}

#[derive(Clone, Debug)]
enum Host {
    Any,
    Suffix(String),
    Name(String),
    Network(IpAddr, u8),
}

/// The answer of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// No entry covers it.
    No,
    /// Yes, at a public address.
    Public,
    /// Yes, wherever it is: an entry names the private host or network itself.
    Anywhere,
}

impl AllowList {
    /// Reads expanded entries. The error names the entry.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let entries = entries
            .into_iter()
            .filter(|entry| !entry.trim().is_empty())
            .map(|entry| {
                Entry::parse(entry.trim()).map_err(|why| format!("allowed_outbound_hosts entry {entry:?}: {why}"))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// Whether this may be reached. `host` without brackets.
    pub fn check(&self, scheme: &str, host: &str, port: u16) -> Allowed {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let mut found = Allowed::No;
        for entry in &self.entries {
            if entry.covers(scheme, &host, port) {
                if entry.names_a_private_host() {
                    return Allowed::Anywhere;
                }
                found = Allowed::Public;
            }
        }
        found
    }

    /// The host, if an entry has it by name: then it is the operator's word and not a request's.
    pub fn named(&self, host: &str) -> Option<&str> {
        self.entries.iter().find_map(|entry| match &entry.host {
            Host::Name(name) if name.eq_ignore_ascii_case(host) => Some(name.as_str()),
            _ => None,
        })
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) =
            text.split_once("://").ok_or("write scheme://host, for example https://api.example.com")?;
        let scheme = match scheme {
            "*" => None,
            "http" | "https" | "postgres" => Some(scheme.to_owned()),
            _ => return Err("only http, https, postgres and * are supported by the embedded host"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(v6) => {
                let (host, after) = v6.split_once(']').ok_or("a [ without its ]")?;
                match after.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if after.is_empty() => (host, None),
                    // [fd00::]/8 with or without a port
                    None => return Self::network(scheme, host, after.strip_prefix('/').ok_or("text after ]")?),
                }
            }
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        if let Some((address, bits)) = host.split_once('/') {
            let bits = match port {
                Some(port) => format!("{bits}:{port}"),
                None => bits.to_owned(),
            };
            return Self::network(scheme, address, &bits);
        }
        let ports = parse_ports(port, scheme.as_deref())?;
        let host = host.to_ascii_lowercase();
        let host = if host == "*" {
            Host::Any
        } else if let Some(suffix) = host.strip_prefix("*.") {
            Host::Suffix(format!(".{suffix}"))
        } else if host == "self" || host.ends_with(".spin.internal") {
            return Err("service chaining is not supported by the embedded host");
        } else if let Ok(address) = host.parse::<IpAddr>() {
            Host::Network(address, if address.is_ipv4() { 32 } else { 128 })
        } else if host.is_empty() || host.contains(['*', '/', '?', '#', '@']) {
            return Err("the host must be a name, an address, *.suffix or *; paths are not supported");
        } else {
            Host::Name(host)
        };
        Ok(Self { scheme, host, ports })
    }

    fn network(scheme: Option<String>, address: &str, rest: &str) -> Result<Self, &'static str> {
        let (bits, port) = rest.split_once(':').map_or((rest, None), |(bits, port)| (bits, Some(port)));
        let address: IpAddr = address.parse().map_err(|_| "paths are not supported, and this is no address range")?;
        let bits: u8 = bits.parse().map_err(|_| "the length of an address range is a number")?;
        if bits > if address.is_ipv4() { 32 } else { 128 } {
            return Err("the length of the address range is too large");
        }
        let ports = parse_ports(port, scheme.as_deref())?;
        Ok(Self { scheme, host: Host::Network(address, bits), ports })
    }

    fn covers(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.scheme.as_ref().is_none_or(|own| own == scheme)
            && self.ports.contains(&port)
            && match &self.host {
                Host::Any => true,
                Host::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
                Host::Name(name) => name == host,
                Host::Network(network, bits) => host.parse().is_ok_and(|address| in_network(address, *network, *bits)),
            }
    }

    /// Addresses, and names that mean a private network wherever they are looked up. A database that is named is reached wherever
    /// it is: its name is the operator's, and such servers are hardly ever public.
    fn names_a_private_host(&self) -> bool {
        const PRIVATE: [&str; 6] = [".local", ".internal", ".svc", ".lan", ".home.arpa", ".localhost"];
        match &self.host {
            Host::Network(..) => true,
            Host::Name(_) | Host::Suffix(_) if self.scheme.as_deref() == Some("postgres") => true,
            Host::Name(name) => !name.contains('.') || PRIVATE.iter().any(|suffix| name.ends_with(suffix)),
            Host::Any | Host::Suffix(_) => false,
        }
    }
}

fn parse_ports(port: Option<&str>, scheme: Option<&str>) -> Result<RangeInclusive<u16>, &'static str> {
    const WRONG: &str = "the port is a number, a range such as 8000..9000, or *";
    match (port, scheme) {
        (Some("*"), _) | (None, None) => Ok(1..=u16::MAX),
        (None, Some("http")) => Ok(80..=80),
        (None, Some("postgres")) => Ok(5432..=5432),
        (None, Some(_)) => Ok(443..=443),
        (Some(text), _) => match text.split_once("..") {
            // Spin's ranges end before their last number.
            Some((first, last)) => {
                let first: u16 = first.parse().map_err(|_| WRONG)?;
                let last: u16 = last.parse().map_err(|_| WRONG)?;
                Ok(first..=last.checked_sub(1).ok_or(WRONG)?)
            }
            None => text.parse().map(|port| port..=port).map_err(|_| WRONG),
        },
    }
}

fn in_network(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let shift = 32 - u32::from(bits.min(32));
            u32::from(address).checked_shr(shift) == u32::from(network).checked_shr(shift)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let shift = 128 - u32::from(bits.min(128));
            u128::from(address).checked_shr(shift) == u128::from(network).checked_shr(shift)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(entry: &str, scheme: &str, host: &str, port: u16, expected: Allowed) {
        let list = AllowList::parse([entry]).unwrap();
        assert_eq!(list.check(scheme, host, port), expected, "{entry} {scheme}://{host}:{port}");
    }

    #[test]
    fn entries_allow_what_they_say_and_nothing_else() {
        use Allowed::{Anywhere, No, Public};
        check("https://api.example.com", "https", "API.example.com.", 443, Public);
        check("https://api.example.com", "http", "api.example.com", 443, No);
        check("https://api.example.com", "https", "api.example.com", 8443, No);
        check("https://api.example.com", "https", "api.example.com.evil.org", 443, No);
        check("https://*.example.com", "https", "a.b.example.com", 443, Public);
        check("https://*.example.com", "https", "example.com", 443, No);
        check("https://*.example.com", "https", "badexample.com", 443, No);
        check("https://*:*", "https", "x.org", 8443, Public);
        check("*://*:*", "http", "127.0.0.1", 80, Public);
        check("http://127.0.0.1:8000..8002", "http", "127.0.0.1", 8001, Anywhere);
        check("http://127.0.0.1:8000..8002", "http", "127.0.0.1", 8002, No);
        check("http://localhost:9", "http", "localhost", 9, Anywhere);
        check("*://10.0.0.0/8:*", "http", "10.200.1.1", 81, Anywhere);
        check("*://10.0.0.0/8:*", "http", "11.0.0.1", 81, No);
        check("http://[::1]:80", "http", "::1", 80, Anywhere);
        check("postgres://db.example.com", "postgres", "db.example.com", 5432, Anywhere);
        check("postgres://db.example.com", "postgres", "db.example.com", 5433, No);
        check("postgres://db.example.com", "https", "db.example.com", 5432, No);
        check("postgres://*.example.com:6432", "postgres", "a.example.com", 6432, Anywhere);
        check("https://db.example.com:5432", "postgres", "db.example.com", 5432, No);
        check("*://*:*", "postgres", "db.example.com", 5432, Public);
        check(" ", "http", "x", 80, No);
    }

    #[test]
    fn malformed_entries_are_refused() {
        for bad in [
            "example.com",
            "redis://x",
            "https://a/b",
            "https://self",
            "https://a:x",
            "https://",
            "https://a*b",
            "https://10.0.0.0/33",
        ] {
            assert!(AllowList::parse([bad]).is_err(), "{bad}");
        }
    }
}
