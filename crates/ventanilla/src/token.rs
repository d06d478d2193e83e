//! `ventanilla token`: makes an API token and what the server needs to know it.

use crate::cli::{TargetOptions, TokenOptions};
use crate::state;
use anyhow::{Context, Result};
use channel_sdk::json::format_instant;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

/// Prints both; nothing is stored.
pub(crate) fn run(target: &TargetOptions, options: &TokenOptions) -> Result<()> {
    let token = state::secret()?;
    let entry = entry(&token, options, SystemTime::now())?;
    if options.json {
        println!("{}", json!({"token": token, "entry": entry}));
        return Ok(());
    }
    let tenant = target.tenant.as_deref().unwrap_or("<tenant>");
    println!("token (shown once):  {token}");
    println!("entry for {tenant:?} in SPIN_VARIABLE_API_TOKENS:");
    println!("  {}", Value::Object(entry.clone()));
    println!("so that it reads, beside what is there:");
    println!("  {}", json!({tenant: [entry]}));
    Ok(())
}

/// What the server knows of a token.
fn entry(token: &str, options: &TokenOptions, now: SystemTime) -> Result<Map<String, Value>> {
    let mut hash = String::new();
    for byte in Sha256::digest(token) {
        write!(hash, "{byte:02x}")?;
    }
    let mut entry = Map::from_iter([("sha256".to_owned(), Value::from(hash))]);
    if let Some(name) = &options.name {
        entry.insert("name".into(), name.as_str().into());
    }
    if !options.scopes.is_empty() {
        entry.insert("scopes".into(), options.scopes.clone().into());
    }
    if let Some(days) = options.days {
        let end = now + Duration::from_hours(24 * u64::from(days));
        let end = end.duration_since(SystemTime::UNIX_EPOCH).context("the clock is before 1970: set it")?;
        entry.insert("expires".into(), format_instant(i64::try_from(end.as_millis())?).into());
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_the_hash_and_what_was_asked_for_and_not_the_token() {
        let options =
            TokenOptions { name: Some("crm".into()), scopes: vec!["read".into()], days: Some(30), json: false };
        let entry = Value::Object(entry("abc", &options, SystemTime::UNIX_EPOCH).unwrap());
        // FIPS 180-2, appendix B.1.
        assert_eq!(entry["sha256"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(entry["expires"], "1970-01-31T00:00:00Z");
        assert_eq!(entry["scopes"], json!(["read"]));
        assert!(!entry.to_string().contains("abc\""));
    }
}
