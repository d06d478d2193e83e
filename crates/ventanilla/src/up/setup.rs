//! Which variables `up` adds to those of the operator: settings and a token for the demo tenant, and a token of its own.
//!
//! Whatever the operator has given wins. Settings of the demo tenant are made only when no connector has any.

use super::state::{self, DEMO, State};
use crate::failure::failure;
use anyhow::Result;
use serde_json::{Map, Value, json};
use ventanilla_host::manifest::{Manifest, Target};

/// The variable with the API's tokens.
const API_TOKENS: &str = "api_tokens";
/// The variable with the token of who drives deliveries.
const COURIER_TOKEN: &str = "courier_token";
/// Tokens under this name open every tenant (see `components/api`).
const OPERATOR: &str = "*";

/// A channel component of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connector {
    pub(crate) channel: String,
    pub(crate) vendor: String,
    /// The variable with its settings: `<channel>_<vendor>`.
    pub(crate) variable: String,
}

/// Components with a connector in them, by their route `/{channel}/{vendor}/...`.
pub(crate) fn connectors(manifest: &Manifest) -> Vec<Connector> {
    let mut found = Vec::new();
    for trigger in &manifest.triggers {
        let (Some(route), Target::Component(id)) = (&trigger.route, &trigger.target) else { continue };
        let has_connector = manifest
            .components
            .get(id)
            .is_some_and(|component| component.dependencies.keys().any(|key| key.starts_with("ventanilla:channel")));
        // A document at the root of the host (RFC 8615) is not where a connector is.
        let Some(prefix) = route.text().strip_suffix("/...") else { continue };
        let mut segments = prefix.trim_matches('/').split('/');
        if let (true, Some(channel), Some(vendor)) = (has_connector, segments.next(), segments.next()) {
            let variable = format!("{channel}_{vendor}").replace('-', "_");
            found.push(Connector { channel: channel.to_owned(), vendor: vendor.to_owned(), variable });
        }
    }
    found.dedup();
    found
}

/// Whether the application tells the administration's own systems.
pub(crate) fn has_webhooks(manifest: &Manifest) -> bool {
    manifest.triggers.iter().any(|trigger| trigger.route.as_ref().is_some_and(|route| route.text() == "/webhooks/..."))
}

/// What is added, and what came out.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    /// Values that replace those of the operator, who is part of them.
    pub(crate) variables: Vec<(String, String)>,
    /// No connector has settings for anybody: the demo tenant gets some.
    pub(crate) demo: bool,
    /// Tenants that variables name.
    pub(crate) tenants: Vec<String>,
    /// Opens every tenant as long as this process lives. Absent when the manifest has no API.
    pub(crate) operator_token: Option<String>,
    /// Of who drives deliveries: the operator's, else one for as long as this process lives. Absent when the manifest has none.
    pub(crate) courier_token: Option<String>,
    /// What the operator should hear.
    pub(crate) warnings: Vec<String>,
}

impl Setup {
    /// Decides what is added to the operator's values.
    pub(crate) fn plan<'a>(
        connectors: &[Connector],
        given: impl Fn(&str) -> Option<&'a str>,
        state: &mut State,
        url: &str,
    ) -> Result<Setup> {
        let mut setup = Setup::default();
        for connector in connectors {
            let Some(text) = given(&connector.variable) else { continue };
            match serde_json::from_str(text) {
                Ok(Value::Object(by_tenant)) => setup.read_settings(connector, &by_tenant),
                _ => setup.warnings.push(format!(
                    "variable {} is not a JSON object tenant -> settings: {}/{} refuses every request until it is corrected",
                    connector.variable, connector.channel, connector.vendor
                )),
            }
        }
        setup.demo = setup.tenants.is_empty() && setup.warnings.is_empty();
        if setup.demo {
            setup.tenants.push(DEMO.to_owned());
            state.renew(connectors, url);
            setup.settings_of(connectors, state);
        } else {
            state.settings.clear();
        }
        if let Some(text) = given(API_TOKENS) {
            setup.tokens(text, state)?;
        }
        if let Some(token) = given(COURIER_TOKEN) {
            let token = if token.is_empty() { state::secret()? } else { token.to_owned() };
            setup.variables.push((COURIER_TOKEN.to_owned(), token.clone()));
            setup.courier_token = Some(token);
        }
        setup.tenants.sort();
        setup.tenants.dedup();
        Ok(setup)
    }

    /// The demo tenant's settings again, after they were completed.
    pub(crate) fn give_settings(
        &mut self,
        connectors: &[Connector],
        state: &State,
        variables: &mut Vec<(String, String)>,
    ) {
        self.settings_of(connectors, state);
        variables.append(&mut self.variables);
    }

    fn settings_of(&mut self, connectors: &[Connector], state: &State) {
        for connector in connectors {
            // The later value of a variable wins: also over what was given before it was known that the demo does without.
            let settings = match state.settings.get(&connector.variable) {
                None => continue,
                Some(Value::Null) => json!({}),
                Some(settings) => json!({DEMO: settings}),
            };
            self.variables.push((connector.variable.clone(), settings.to_string()));
        }
    }

    fn read_settings(&mut self, connector: &Connector, by_tenant: &Map<String, Value>) {
        for (tenant, settings) in by_tenant {
            self.tenants.push(tenant.clone());
            if settings.get("allow_unsigned") == Some(&Value::Bool(true)) {
                self.warnings.push(format!(
                    "{}/{} of tenant {tenant} accepts unsigned requests (allow_unsigned): anybody who reaches it can write cases",
                    connector.channel, connector.vendor
                ));
            }
        }
    }

    /// Adds tokens to the operator's; never takes one away.
    fn tokens(&mut self, given: &str, state: &mut State) -> Result<()> {
        let Ok(Value::Object(mut tokens)) = serde_json::from_str(given) else {
            return Err(failure(
                "variable api_tokens is not a JSON object tenant -> list of tokens",
                "write SPIN_VARIABLE_API_TOKENS='{\"madrid\": [\"a long random token\"]}'",
            ));
        };
        let configured: Vec<String> = tokens.keys().filter(|tenant| *tenant != OPERATOR).cloned().collect();
        for tenant in self.tenants.iter().filter(|tenant| *tenant != DEMO && !configured.contains(tenant)) {
            self.warnings.push(format!(
                "tenant {tenant} has no API token: add one to SPIN_VARIABLE_API_TOKENS to see its cases"
            ));
        }
        self.tenants.extend(configured);
        if self.tenants.iter().any(|tenant| tenant == DEMO) {
            let token = match state.token.take() {
                Some(token) => token,
                None => state::secret()?,
            };
            add(&mut tokens, DEMO, &token);
            state.token = Some(token);
        } else {
            state.token = None;
        }
        let own = state::secret()?;
        add(&mut tokens, OPERATOR, &own);
        self.operator_token = Some(own);
        self.variables.push((API_TOKENS.to_owned(), Value::Object(tokens).to_string()));
        Ok(())
    }
}

/// Adds a token to a tenant's, which may be a text or a list.
fn add(tokens: &mut Map<String, Value>, tenant: &str, token: &str) {
    let mut list = match tokens.remove(tenant) {
        Some(Value::Array(list)) => list,
        Some(single) => vec![single],
        None => Vec::new(),
    };
    list.push(token.into());
    tokens.insert(tenant.to_owned(), Value::Array(list));
}

impl State {
    /// Settings of earlier runs are kept, so that what was signed stays valid; the URL is this run's.
    fn renew(&mut self, connectors: &[Connector], url: &str) {
        self.settings.retain(|variable, _| connectors.iter().any(|c| c.variable == *variable));
        for connector in connectors {
            let public_url = format!("{url}/{}/{}/{DEMO}", connector.channel, connector.vendor);
            // `null`: a connector that the demo does without.
            let entry = self.settings.entry(connector.variable.clone()).or_insert_with(|| json!({}));
            if let Some(settings) = entry.as_object_mut() {
                settings.insert("public_url".into(), public_url.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme() -> Vec<Connector> {
        vec![Connector { channel: "telephony".into(), vendor: "acme".into(), variable: "telephony_acme".into() }]
    }

    fn plan(settings: &str, tokens: &str, state: &mut State) -> Setup {
        let given = |name: &str| match name {
            "telephony_acme" => Some(settings),
            "api_tokens" => Some(tokens),
            _ => None,
        };
        Setup::plan(&acme(), given, state, "http://127.0.0.1:3000").unwrap()
    }

    fn value(setup: &Setup, name: &str) -> Option<Value> {
        let text = setup.variables.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value)?;
        Some(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn without_any_settings_the_demo_tenant_is_set_up_and_stays_the_same() {
        let mut state = State::default();
        let first = plan("{}", "{}", &mut state);
        assert!(first.demo);
        assert_eq!(first.tenants, ["demo"]);
        let settings = value(&first, "telephony_acme").unwrap();
        assert_eq!(settings["demo"]["public_url"], "http://127.0.0.1:3000/telephony/acme/demo");
        let token = state.token.clone().unwrap();
        assert_eq!(value(&first, "api_tokens").unwrap()["demo"], json!([token]));
        let second = plan("{}", "{}", &mut state);
        assert_eq!(value(&second, "api_tokens").unwrap()["demo"], json!([token]));
        assert_ne!(first.operator_token, second.operator_token);
    }

    #[test]
    fn given_settings_win_and_given_tokens_are_kept() {
        let mut state = State::default();
        let setup = plan(r#"{"madrid": {"auth_token": "x"}}"#, r#"{"madrid": ["m"], "toledo": "t"}"#, &mut state);
        assert!(!setup.demo);
        assert_eq!(setup.tenants, ["madrid", "toledo"]);
        assert_eq!(value(&setup, "telephony_acme"), None);
        let tokens = value(&setup, "api_tokens").unwrap();
        assert_eq!((&tokens["madrid"], &tokens["toledo"]), (&json!(["m"]), &json!("t")));
        assert_eq!(tokens["*"], json!([setup.operator_token.clone().unwrap()]));
        assert_eq!(state.token, None);
    }

    #[test]
    fn the_courier_has_the_operator_s_token_or_a_new_one() {
        let courier = |given: Option<&'static str>| {
            let given = move |name: &str| given.filter(|_| name == "courier_token");
            Setup::plan(&acme(), given, &mut State::default(), "http://127.0.0.1:3000").unwrap().courier_token
        };
        assert_eq!(courier(Some("mine")).as_deref(), Some("mine"));
        assert_eq!(courier(Some("")).unwrap().len(), 48);
        assert_eq!(courier(None), None, "an application that does not declare the variable");
    }

    #[test]
    fn a_given_demo_tenant_gets_one_more_token() {
        let mut state = State::default();
        let setup = plan(r#"{"demo": {"auth_token": "x"}}"#, r#"{"demo": ["mine"]}"#, &mut state);
        assert!(!setup.demo);
        assert_eq!(value(&setup, "api_tokens").unwrap()["demo"], json!(["mine", state.token.unwrap()]));
    }

    #[test]
    fn what_is_unusual_is_said() {
        let mut state = State::default();
        let setup = plan(r#"{"madrid": {"allow_unsigned": true}}"#, "{}", &mut state);
        assert!(setup.warnings.iter().any(|w| w.contains("unsigned")), "{:?}", setup.warnings);
        assert!(setup.warnings.iter().any(|w| w.contains("no API token")), "{:?}", setup.warnings);
        let setup = plan("not json sesame", "{}", &mut state);
        assert!(!setup.demo);
        assert!(setup.warnings.iter().any(|w| w.contains("telephony_acme") && !w.contains("sesame")));
    }
}
