//! Where a request may go: a URL taken apart, and which hosts are out in the world.
//!
//! A name that leads to a private address is the host's to stop (`allowed_outbound_hosts`, and our host looks at the
//! resolved address): a component can't see what a name resolves to.

use core::net::{Ipv4Addr, Ipv6Addr};

/// A URL, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// As in the URL, in lower case.
    pub authority: String,
    /// Without port and final dot.
    pub host: String,
    /// Beginning with a slash.
    pub path_and_query: String,
}

impl Target {
    /// An `https` URL.
    ///
    /// # Errors
    /// Anything else, and what could be read in two ways.
    pub fn parse(url: &str) -> Result<Self, String> {
        Self::parse_as("https://", url)
    }

    /// A URL that must begin with this.
    ///
    /// # Errors
    /// Anything else, and what could be read in two ways.
    pub fn parse_as(wanted: &str, url: &str) -> Result<Self, String> {
        let rest = match url.split_at_checked(wanted.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(wanted) => rest,
            _ => return Err("only https is fetched".into()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let authority = authority.to_ascii_lowercase();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority.as_str(), None),
        };
        let port_ok = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if host.is_empty() || !port_ok || !host.bytes().all(plain) || path.starts_with('\\') {
            return Err("the URL has no plain host name".into());
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the URL has a character that has to be escaped".into());
        }
        let path_and_query = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let host = host.trim_end_matches('.').to_owned();
        Ok(Self { authority, host, path_and_query })
    }

    /// A `Location`: absolute, or a path on the same host. Other relative forms are not followed.
    ///
    /// # Errors
    /// What leads nowhere.
    pub fn join(&self, location: &str) -> Result<Self, String> {
        if location.starts_with('/') && !location.starts_with("//") {
            Self::parse(&format!("https://{}{location}", self.authority))
        } else {
            Self::parse(location)
        }
    }

    /// Whether the host is one of these, and out in the world.
    ///
    /// # Errors
    /// Another host, or a private one.
    pub fn check(&self, hosts: &[String]) -> Result<(), String> {
        let listed = hosts.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(domain) => self.host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
            None => pattern == "*" || pattern.eq_ignore_ascii_case(&self.host),
        });
        if !listed {
            return Err("the host is not one of those the connector declares".into());
        }
        if is_public(&self.host) { Ok(()) } else { Err("the host is on a private network or this machine".into()) }
    }
}

/// Whether a host, as written, can be out in the world.
pub fn is_public(host: &str) -> bool {
    if let Some(literal) = host.strip_prefix('[') {
        return literal.strip_suffix(']').and_then(|text| text.parse().ok()).is_some_and(public_v6);
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    // WHATWG URL, "ends in a number": `0x7f.1` and `2130706433` are addresses to many resolvers. Four decimal numbers only.
    if last.starts_with(|c: char| c.is_ascii_digit()) {
        return host.parse().is_ok_and(public_v4);
    }
    let private =
        ["localhost", "local", "internal", "intranet", "home", "lan", "corp", "onion", "arpa", "svc", "cluster"];
    host.contains('.') && !private.contains(&last)
}

fn public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19)))
}

/// Global unicast (2000::/3) without what carries an IPv4 address or is not routed.
fn public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    first & 0xe000 == 0x2000 && first != 0x2002 && !(first == 0x2001 && (second < 0x0200 || second == 0x0db8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_not_out_in_the_world_are_refused_however_they_are_written() {
        for host in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "192.0.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "127.0.0.01",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[fc00::1]",
            "[fd12::1]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[2001:db8::1]",
            "[ff02::1]",
            "[fe80::1%25eth0]",
            "[::1",
            "localhost",
            "db",
            "metadata.google.internal",
            "x.localhost",
            "printer.local",
            "api.default.svc",
            "",
        ] {
            assert!(!is_public(host), "{host}");
        }
        for host in
            ["example.org", "1.1.1.1", "[2606:4700::1111]", "sns.eu-west-1.amazonaws.com", "172.32.0.1", "3com.example"]
        {
            assert!(is_public(host), "{host}");
        }
    }

    #[test]
    fn a_url_that_could_be_read_in_two_ways_is_not_fetched() {
        for url in [
            "http://example.org/",
            "ftp://example.org",
            "https://",
            "https:///x",
            "https://user@example.org/",
            "https://a.b@127.0.0.1/",
            "https://example.org:0/",
            "https://example.org:99999/",
            "https://example.org\\@127.0.0.1/",
            "https://exa mple.org/",
            "https://example.org/a b",
            "https://example.org/\r\nHost: x",
            "https://ex\u{e4}mple.org/",
            "example.org",
            "//example.org",
        ] {
            assert!(Target::parse(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn a_url_keeps_its_path_and_loses_its_fragment() {
        let target = Target::parse("HTTPS://Example.ORG:8443?q=%2F#main-key").unwrap();
        assert_eq!((target.authority.as_str(), target.path_and_query.as_str()), ("example.org:8443", "/?q=%2F"));
        assert_eq!(target.host, "example.org");
        assert_eq!(target.join("/b?c").unwrap().authority, "example.org:8443");
        assert_eq!(target.join("https://other.example/x").unwrap().host, "other.example");
        assert!(target.join("//127.0.0.1/x").is_err());
        assert!(target.join("http://example.org/").is_err());
    }

    #[test]
    fn only_declared_hosts_are_reached() {
        let check = |host: &str, hosts: &[&str]| {
            let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
            Target::parse(&format!("https://{host}/")).unwrap().check(&hosts).is_ok()
        };
        assert!(check("api.acme.example", &["api.acme.example"]));
        assert!(check("eu.acme.example", &["*.acme.example"]));
        assert!(check("anything.example", &["*"]));
        assert!(!check("acme.example", &["*.acme.example"]));
        assert!(!check("evilacme.example", &["*.acme.example"]));
        assert!(!check("api.acme.example.evil.example", &["api.acme.example"]));
        assert!(!check("api.acme.example", &[]));
        assert!(!check("127.0.0.1", &["*", "127.0.0.1"]));
    }
}
