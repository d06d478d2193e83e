//! API tokens: who may do what for which tenant, until when.
//!
//! The variable `api_tokens` is a JSON object, tenant to a list. An entry is a token as text, which may do everything, always; or an
//! object without the token itself, so that who reads the configuration can't use it:
//!
//! ```json
//! {"madrid": [{"name": "crm", "sha256": "9f86d0…", "scopes": ["read"], "expires": "2027-01-01T00:00:00Z"}]}
//! ```
//!
//! `sha256` is the SHA-256 of the token in hexadecimal (`ventanilla token` makes both). Tokens are long and random, so a plain hash
//! is enough; it would not be for passwords. Without `scopes` all are granted; without `expires` it never ends. The entries under
//! `*` are the operator's and open every tenant.

use std::collections::BTreeMap;

use channel_sdk::json::parse_instant;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::spelling;

/// Under this key are the operator's tokens. It can't be a tenant: tenants are lower-case words.
pub const OPERATOR: &str = "*";

/// What a token may be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// To read cases, events, envelopes and counts.
    Read,
    /// To change cases, reply, join contacts.
    Write,
    /// To replay envelopes, look at settings, change the profile, pause destinations.
    Operate,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Operate];

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Operate => "operate",
        }
    }
}

/// What a given token is for one tenant and scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Not one of its tokens.
    Unknown,
    /// Its time is over.
    Expired,
    /// It may do other things.
    Insufficient,
    /// It may.
    Good,
}

#[derive(Debug)]
struct Entry {
    hash: [u8; 32],
    scopes: Vec<Scope>,
    expires: Option<i64>,
}

/// The variable, understood.
#[derive(Debug, Default)]
pub struct Tokens(BTreeMap<String, Vec<Entry>>);

impl Tokens {
    /// Understands the variable.
    ///
    /// # Errors
    ///
    /// What is wrong and where, for the operator; never what was found there, which may be a token.
    pub fn parse(variable: &str) -> Result<Self, String> {
        let Ok(Value::Object(all)) = serde_json::from_str(variable) else {
            return Err("the variable api_tokens is not a JSON object like {\"tenant\": [\"token\"]}: correct \
                SPIN_VARIABLE_API_TOKENS and restart"
                .into());
        };
        let mut tokens = BTreeMap::new();
        for (tenant, value) in all {
            let list = match value {
                Value::Array(list) => list,
                single => vec![single],
            };
            let mut entries = Vec::new();
            for (index, value) in list.iter().enumerate() {
                let entry = entry(value).map_err(|fault| {
                    format!("the variable api_tokens, tenant {tenant:?}, entry {}: {fault}", index + 1)
                })?;
                entries.extend(entry);
            }
            tokens.insert(tenant, entries);
        }
        Ok(Self(tokens))
    }

    /// Whether it has tokens of this tenant's own.
    pub fn knows(&self, tenant: &str) -> bool {
        tenant != OPERATOR && self.0.contains_key(tenant)
    }

    /// Tenants, the operator's entry left out.
    pub fn tenants(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|tenant| *tenant != OPERATOR)
    }

    /// What the token given is among the entries of `tenant` (or [`OPERATOR`]). Every entry is compared, in constant time, whatever
    /// matched before.
    pub fn standing(&self, tenant: &str, given: &[u8], scope: Scope, now: i64) -> Standing {
        let given: [u8; 32] = Sha256::digest(given).into();
        let entries = self.0.get(tenant).map(Vec::as_slice).unwrap_or_default();
        let standings = entries.iter().map(|entry| {
            let same = signatures::equal(&entry.hash, &given);
            match (same, entry.expires.is_some_and(|end| end <= now), entry.scopes.contains(&scope)) {
                (false, ..) => Standing::Unknown,
                (true, true, _) => Standing::Expired,
                (true, false, false) => Standing::Insufficient,
                (true, false, true) => Standing::Good,
            }
        });
        standings.fold(Standing::Unknown, Ord::max)
    }
}

/// One entry; none for an empty text, which opens nothing.
fn entry(value: &Value) -> Result<Option<Entry>, String> {
    match value {
        Value::String(token) if token.is_empty() => Ok(None),
        Value::String(token) => {
            Ok(Some(Entry { hash: Sha256::digest(token).into(), scopes: Scope::ALL.to_vec(), expires: None }))
        }
        Value::Object(members) => object(members).map(Some),
        _ => Err("it is neither a token nor an object with `sha256`".into()),
    }
}

fn object(members: &Map<String, Value>) -> Result<Entry, String> {
    const KNOWN: [&str; 4] = ["name", "sha256", "scopes", "expires"];
    if let Some(unknown) = members.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        let meant =
            spelling::nearest(unknown, &KNOWN).map_or(String::new(), |meant| format!(", did you mean {meant:?}?"));
        return Err(format!("there is no member {unknown:?}{meant} (members are {})", KNOWN.join(", ")));
    }
    let hash = members.get("sha256").and_then(Value::as_str).and_then(hex);
    let hash =
        hash.ok_or("`sha256` must be the token's SHA-256 as 64 hexadecimal digits: make both with ventanilla token")?;
    let scopes = match members.get("scopes") {
        None => Scope::ALL.to_vec(),
        Some(Value::Array(names)) => names.iter().map(scope).collect::<Result<_, _>>()?,
        Some(_) => return Err("`scopes` must be a list of read, write, operate".into()),
    };
    let expires = match members.get("expires") {
        None | Some(Value::Null) => None,
        Some(time) => Some(
            time.as_str()
                .and_then(parse_instant)
                .ok_or("`expires` must be a time like 2027-01-01T00:00:00Z (RFC 3339)")?,
        ),
    };
    Ok(Entry { hash, scopes, expires })
}

fn scope(name: &Value) -> Result<Scope, String> {
    let named = name.as_str().unwrap_or_default();
    Scope::ALL.into_iter().find(|scope| scope.name() == named).ok_or_else(|| {
        let names = Scope::ALL.map(Scope::name);
        let meant =
            spelling::nearest(named, &names).map_or(String::new(), |meant| format!(", did you mean {meant:?}?"));
        format!("there is no scope {named:?}{meant} (scopes are {})", names.join(", "))
    })
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf sesame | sha256sum`
    const SESAME: &str = "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272";
    const NOW: i64 = 1_795_255_200_000;

    fn standing(variable: &str, tenant: &str, given: &str, scope: Scope) -> Standing {
        Tokens::parse(variable).unwrap().standing(tenant, given.as_bytes(), scope, NOW)
    }

    #[test]
    fn a_token_as_text_may_do_everything_for_its_tenant() {
        let variable = r#"{"madrid": ["m1", "m2"], "vilanova": "v1", "empty": [""]}"#;
        for scope in Scope::ALL {
            assert_eq!(standing(variable, "madrid", "m2", scope), Standing::Good);
            assert_eq!(standing(variable, "vilanova", "v1", scope), Standing::Good);
            assert_eq!(standing(variable, "madrid", "v1", scope), Standing::Unknown);
            assert_eq!(standing(variable, "empty", "", scope), Standing::Unknown);
            assert_eq!(standing(variable, "toledo", "m1", scope), Standing::Unknown);
        }
    }

    #[test]
    fn a_hashed_token_is_good_for_its_scopes_until_it_expires() {
        let entry = |more: &str| format!(r#"{{"madrid": [{{"name": "crm", "sha256": "{SESAME}"{more}}}]}}"#);
        assert_eq!(standing(&entry(""), "madrid", "sesame", Scope::Operate), Standing::Good);
        assert_eq!(standing(&entry(""), "madrid", SESAME, Scope::Operate), Standing::Unknown, "the hash is no token");
        let reader = entry(r#", "scopes": ["read"]"#);
        assert_eq!(standing(&reader, "madrid", "sesame", Scope::Read), Standing::Good);
        assert_eq!(standing(&reader, "madrid", "sesame", Scope::Write), Standing::Insufficient);
        let over = entry(r#", "expires": "2026-11-21T10:00:00Z""#);
        assert_eq!(standing(&over, "madrid", "sesame", Scope::Read), Standing::Expired);
        let lasting = entry(r#", "expires": "2026-11-21T10:00:01Z""#);
        assert_eq!(standing(&lasting, "madrid", "sesame", Scope::Read), Standing::Good);
    }

    #[test]
    fn a_fault_names_its_place_and_never_what_stands_there() {
        for (variable, says) in [
            (r#"{"madrid": ["sesame""#, "not a JSON object"),
            (r#"["sesame"]"#, "not a JSON object"),
            (r#"{"madrid": ["ok", 7]}"#, "tenant \"madrid\", entry 2"),
            (r#"{"madrid": [{"sha256": "sesame"}]}"#, "64 hexadecimal digits"),
            (r#"{"madrid": [{"sha265": "sesame"}]}"#, "did you mean \"sha256\""),
            (&format!(r#"{{"madrid": [{{"sha256": "{SESAME}", "scopes": ["reed"]}}]}}"#), "did you mean \"read\""),
            (&format!(r#"{{"madrid": [{{"sha256": "{SESAME}", "expires": "tomorrow"}}]}}"#), "RFC 3339"),
        ] {
            let fault = Tokens::parse(variable).unwrap_err();
            assert!(fault.contains(says) && !fault.contains("sesame") && !fault.contains(SESAME), "{fault}");
        }
    }
}
