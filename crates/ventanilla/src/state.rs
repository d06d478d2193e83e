//! `demo.json` in the data folder: where the server is and the demo tenant's secrets, so that other commands find them.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Code of the demo tenant.
pub(crate) const DEMO: &str = "demo";

/// What `up` keeps for later runs and other commands.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    /// Where it served last.
    pub(crate) url: Option<String>,
    /// API token of the demo tenant.
    pub(crate) token: Option<String>,
    /// Settings of the demo tenant by variable name.
    pub(crate) settings: Map<String, Value>,
}

impl State {
    /// Where it is.
    pub(crate) fn file(data: &Path) -> PathBuf {
        data.join("demo.json")
    }

    /// Reads it; empty if there is none.
    pub(crate) fn load(data: &Path) -> Result<State> {
        let file = State::file(data);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let value: Value = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged; delete it and start `ventanilla up` again", file.display()))?;
        let member = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let settings = value.get("settings").and_then(Value::as_object).cloned().unwrap_or_default();
        Ok(State { url: member("url"), token: member("token"), settings })
    }

    /// Writes it, readable for its owner only.
    pub(crate) fn save(&self, data: &Path) -> Result<()> {
        let file = State::file(data);
        let mut value = json!({"tenant": DEMO, "settings": self.settings});
        if let Some(members) = value.as_object_mut() {
            members.extend(self.url.clone().map(|url| ("url".to_owned(), url.into())));
            members.extend(self.token.clone().map(|token| ("token".to_owned(), token.into())));
        }
        let text = format!("{value:#}\n");
        let beside = file.with_extension("json.new");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
            .open(&beside)
            .and_then(|mut out| out.write_all(text.as_bytes()).and_then(|()| out.sync_all()))
            .and_then(|()| std::fs::rename(&beside, &file))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// The value of a demo setting, if it is a text.
    pub(crate) fn setting(&self, variable: &str, name: &str) -> Option<&str> {
        self.settings.get(variable)?.get(name)?.as_str()
    }
}

/// A new secret: 24 random bytes in hex.
pub(crate) fn secret() -> Result<String> {
    let mut bytes = [0_u8; 24];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_read_again_and_nobody_else_may_read_it() {
        let data = std::env::temp_dir().join(format!("ventanilla-state-{}", std::process::id()));
        std::fs::create_dir_all(&data).unwrap();
        assert_eq!(State::load(&data).unwrap(), State::default());
        let mut state =
            State { url: Some("http://127.0.0.1:1".into()), token: Some(secret().unwrap()), ..State::default() };
        state.settings.insert("telephony_acme".into(), json!({"auth_token": "x"}));
        state.save(&data).unwrap();
        assert_eq!(State::load(&data).unwrap(), state);
        assert_eq!(state.setting("telephony_acme", "auth_token"), Some("x"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(State::file(&data)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(State::file(&data), "{").unwrap();
        assert!(format!("{:#}", State::load(&data).unwrap_err()).contains("delete it"));
        std::fs::remove_dir_all(data).unwrap();
    }

    #[test]
    fn two_secrets_differ() {
        assert_ne!(secret().unwrap(), secret().unwrap());
    }
}
