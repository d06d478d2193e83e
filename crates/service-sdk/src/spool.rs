//! The spool: where verified envelopes wait while the store can't be reached. It is in the application's key-value store; here is which
//! keys there are, so that the gateway, which writes them, and the API, which counts them, mean the same.
//!
//! | key (each after `ventanilla:`) | value |
//! |---|---|
//! | `envelope:{id}:{channel}:{vendor}:{tenant}` | an envelope that waits, or its first piece |
//! | `part:{id}:{number}` | its further pieces, written before the first |
//! | `refused:{id}:{channel}:{vendor}:{tenant}` | one that can't be drained; for a person to look at |
//! | `profile:{tenant}` | the tenant's profile as last read from the store |
//! | `draining:{channel}:{vendor}` | there while the connector's envelopes are being drained |
//! | `store-down` | since when the store does not answer in time |
//! | `store-seen` | when it was last known to take writes |
//!
//! An id begins with its time, so the keys of envelopes have the order in which they came. Every backend of Spin takes these keys: ASCII,
//! under 255 bytes, none of the characters Azure Cosmos DB forbids in ids (`/ \ ? #`).

use crate::turn;
use core::fmt::Write;
use spin_sdk::key_value::{Error, Store};

/// The store's label in `key_value_stores`.
const LABEL: &str = "default";
const PREFIX: &str = "ventanilla:";
const WAITING: &str = "ventanilla:envelope:";
const REFUSED: &str = "ventanilla:refused:";
const PART: &str = "ventanilla:part:";
/// Envelopes looked at at a time. Where keys come in order, as in our host and in Spin's SQLite, they are the oldest.
pub const SIGHT: usize = 20_000;
/// Hexadecimal digits of an id: 6 bytes of time, 10 of chance.
const ID_DIGITS: usize = 32;

/// Since when the store does not answer in time: milliseconds since 1970 as text.
pub const DOWN: &str = "ventanilla:store-down";
/// When the store was last known to take writes; as [`DOWN`].
pub const SEEN: &str = "ventanilla:store-seen";

/// Whether envelopes may be spooled. The variable `spool` is `on`, `off` or `auto`: on where the host says that what its key-value store
/// takes is on the disk, which is ours. Spin's can be a file, a database or memory, and a component can't know.
pub fn is_on(variable: &str, ours: bool) -> bool {
    match variable.trim() {
        "on" => true,
        "" | "auto" => ours,
        _ => false,
    }
}

/// An id made of a time, in milliseconds since 1970, and chance.
pub fn id(at: i64, chance: [u8; 10]) -> String {
    let mut id = format!("{:012x}", u64::try_from(at).unwrap_or(0) & 0xffff_ffff_ffff);
    for byte in chance {
        // Writing to a String does not fail.
        _ = write!(id, "{byte:02x}");
    }
    id
}

/// The key of an envelope that waits. `connector` is `channel/vendor`.
pub fn waiting(id: &str, connector: &str, tenant: &str) -> String {
    format!("{WAITING}{id}:{}:{}", connector.replace('/', ":"), plain(tenant))
}

/// The key of a further piece of it.
pub fn part(id: &str, number: u32) -> String {
    format!("{PART}{id}:{number:04}")
}

/// The key of a tenant's profile.
pub fn profile(tenant: &str) -> String {
    format!("{PREFIX}profile:{}", plain(tenant))
}

/// The key that is there while a connector's envelopes are being drained.
pub fn draining(connector: &str) -> String {
    format!("{PREFIX}draining:{}", connector.replace('/', ":"))
}

/// A tenant in a key: whatever is not a letter, digit, `-`, `_` or `.` as `~` and two hexadecimal digits a byte.
fn plain(tenant: &str) -> String {
    let mut plain = String::with_capacity(tenant.len());
    for byte in tenant.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            plain.push(char::from(byte));
        } else {
            _ = write!(plain, "~{byte:02x}");
        }
    }
    plain
}

/// One envelope in the spool, by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Unique; sorts by time.
    pub id: String,
    /// `channel/vendor`.
    pub connector: String,
    /// As it stands in the key.
    pub tenant: String,
}

impl Entry {
    fn read(rest: &str) -> Option<Self> {
        let mut pieces = rest.split(':');
        let (id, channel, vendor, tenant) = (pieces.next()?, pieces.next()?, pieces.next()?, pieces.next()?);
        let fits = id.len() == ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && pieces.next().is_none();
        fits.then(|| Self { id: id.into(), connector: format!("{channel}/{vendor}"), tenant: tenant.into() })
    }

    /// The tenant is written as in a key already.
    fn after(&self, prefix: &str) -> String {
        format!("{prefix}{}:{}:{}", self.id, self.connector.replace('/', ":"), self.tenant)
    }

    /// When it was received, in milliseconds since 1970.
    pub fn at(&self) -> i64 {
        time(&self.id)
    }

    /// Its key while it waits.
    pub fn key(&self) -> String {
        self.after(WAITING)
    }

    /// Its key when it was refused.
    pub fn refused_key(&self) -> String {
        self.after(REFUSED)
    }
}

fn time(id: &str) -> i64 {
    id.get(..12).and_then(|digits| i64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// How much of one connector of a tenant waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    /// As in keys.
    pub tenant: String,
    /// `channel/vendor`.
    pub connector: String,
    /// How many.
    pub envelopes: u64,
    /// When the oldest was received.
    pub oldest_at: i64,
}

/// What is in the spool.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Oldest first, at most [`SIGHT`].
    pub waiting: Vec<Entry>,
    /// There is more than that.
    pub more: bool,
    /// Those set aside. Not all are seen while there is more.
    pub refused: Vec<Entry>,
    /// Ids and keys of further pieces. Not all are seen while there is more.
    parts: Vec<(String, String)>,
}

impl Contents {
    /// Takes a key in; false when enough was seen.
    pub fn add(&mut self, key: String) -> bool {
        if let Some(entry) = key.strip_prefix(WAITING).and_then(Entry::read) {
            if self.waiting.len() >= SIGHT {
                self.more = true;
                return false;
            }
            self.waiting.push(entry);
        } else if let Some(entry) = key.strip_prefix(REFUSED).and_then(Entry::read) {
            self.refused.push(entry);
        } else if let Some((id, _)) = key.strip_prefix(PART).and_then(|rest| rest.split_once(':')) {
            self.parts.push((id.to_owned(), key));
        }
        true
    }

    /// Puts everything in order.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.waiting.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        self
    }

    /// By tenant and connector.
    pub fn depths(&self) -> Vec<Depth> {
        let mut depths: Vec<Depth> = Vec::new();
        for entry in &self.waiting {
            match depths.iter_mut().find(|d| d.tenant == entry.tenant && d.connector == entry.connector) {
                Some(depth) => {
                    depth.envelopes += 1;
                    depth.oldest_at = depth.oldest_at.min(entry.at());
                }
                None => depths.push(Depth {
                    tenant: entry.tenant.clone(),
                    connector: entry.connector.clone(),
                    envelopes: 1,
                    oldest_at: entry.at(),
                }),
            }
        }
        depths.sort_by(|a, b| (&a.tenant, &a.connector).cmp(&(&b.tenant, &b.connector)));
        depths
    }

    /// Keys of pieces from before `before` that belong to nothing: their envelope was never complete, so nobody was told that it was kept.
    pub fn orphans(&self, before: i64) -> Vec<&str> {
        if self.more {
            return Vec::new();
        }
        let known = |id: &str| self.waiting.iter().chain(&self.refused).any(|entry| entry.id == id);
        let orphans = self.parts.iter().filter(|(id, _)| time(id) < before && !known(id));
        orphans.map(|(_, key)| key.as_str()).collect()
    }
}

async fn open() -> Result<Store, String> {
    Store::open(LABEL).await.map_err(said)
}

fn said(error: Error) -> String {
    match error {
        Error::AccessDenied => "the component may not use it: give it key_value_stores = [\"default\"]".into(),
        Error::NoSuchStore => "there is no key-value store `default`: see the host's runtime configuration".into(),
        Error::StoreTableFull => "too many key-value stores are open".into(),
        Error::Other(why) => why,
    }
}

/// The value of a key.
///
/// # Errors
/// What the key-value store says, for operators.
pub async fn get(key: &str) -> Result<Option<Vec<u8>>, String> {
    let _turn = turn::shared().await;
    open().await?.get(key).await.map_err(said)
}

/// Keeps a value.
///
/// # Errors
/// As [`get`].
pub async fn set(key: &str, value: &[u8]) -> Result<(), String> {
    let _turn = turn::shared().await;
    open().await?.set(key, value).await.map_err(said)
}

/// Forgets a key, known or not.
///
/// # Errors
/// As [`get`].
pub async fn delete(key: &str) -> Result<(), String> {
    let _turn = turn::shared().await;
    open().await?.delete(key).await.map_err(said)
}

/// What is in the spool.
///
/// # Errors
/// As [`get`].
pub async fn contents() -> Result<Contents, String> {
    let _turn = turn::alone().await;
    let mut keys = open().await?.get_keys().await;
    let mut contents = Contents::default();
    while let Some(key) = keys.next().await {
        if !contents.add(key) {
            return Ok(contents.sorted());
        }
    }
    keys.result().await.map_err(said)?;
    Ok(contents.sorted())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(keys: impl IntoIterator<Item = String>) -> Contents {
        let mut contents = Contents::default();
        for key in keys {
            if !contents.add(key) {
                break;
            }
        }
        contents.sorted()
    }

    #[test]
    fn keys_have_the_order_of_time_and_are_read_back() {
        let (early, late) = (id(1_700_000_000_000, [0xff; 10]), id(1_700_000_000_001, [0; 10]));
        assert!(early < late && early.len() == ID_DIGITS);
        let key = waiting(&early, "telephony/acme", "madrid");
        assert_eq!(key, format!("ventanilla:envelope:{early}:telephony:acme:madrid"));
        let keys = [waiting(&late, "email/b", "madrid"), key.clone(), "other".into(), part(&early, 1)];
        let found = contents(keys);
        assert_eq!(found.waiting.len(), 2);
        let first = &found.waiting[0];
        assert_eq!((first.at(), first.connector.as_str(), first.key()), (1_700_000_000_000, "telephony/acme", key));
        assert!(found.orphans(i64::MAX).is_empty(), "a piece of an envelope that waits");
    }

    #[test]
    fn a_tenant_of_any_name_makes_a_key_every_backend_takes() {
        let key = waiting(&id(0, [0; 10]), "a/b", "San José: a/b?#\\");
        assert!(key.is_ascii() && !key.contains(['/', '\\', '?', '#', ' ']), "{key}");
        assert_eq!(contents([key.clone()]).waiting[0].key(), key);
        assert_ne!(profile("a b"), profile("a~20b"));
    }

    #[test]
    fn depths_are_counted_by_tenant_and_connector() {
        let keys = [(5, "t/b", "x"), (3, "t/a", "x"), (4, "t/b", "x"), (9, "t/b", "w")];
        let found = contents(keys.map(|(at, connector, tenant)| waiting(&id(at, [7; 10]), connector, tenant)));
        let depth = |tenant: &str, connector: &str, envelopes, oldest_at| Depth {
            tenant: tenant.into(),
            connector: connector.into(),
            envelopes,
            oldest_at,
        };
        assert_eq!(found.depths(), [depth("w", "t/b", 1, 9), depth("x", "t/a", 1, 3), depth("x", "t/b", 2, 4)]);
        assert_eq!(found.waiting[0].at(), 3);
    }

    #[test]
    fn more_than_can_be_looked_at_is_said() {
        let keys = (0..SIGHT + 5).map(|n| waiting(&id(n as i64, [0; 10]), "t/a", "x"));
        let found = contents(keys.chain([part(&id(0, [9; 10]), 1)]));
        assert!(found.more && found.waiting.len() == SIGHT && found.orphans(i64::MAX).is_empty());
    }

    #[test]
    fn pieces_of_what_was_never_complete_are_orphans_when_they_are_old() {
        let found = contents([part(&id(1000, [1; 10]), 1), part(&id(2000, [2; 10]), 1)]);
        assert_eq!(found.orphans(1500), [part(&id(1000, [1; 10]), 1)]);
    }

    #[test]
    fn only_our_host_spools_unless_the_operator_says_so() {
        let table = [("auto", true, true), ("", true, true), ("auto", false, false), ("on", false, true)];
        for (variable, ours, wanted) in table.into_iter().chain([("off", true, false), ("yes", true, false)]) {
            assert_eq!(is_on(variable, ours), wanted, "{variable} {ours}");
        }
    }
}
