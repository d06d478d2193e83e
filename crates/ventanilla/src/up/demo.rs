//! The demo tenant: an invented municipality, so that a first call becomes a first case.

use super::setup::Connector;
use super::{DEMO, State, ask, state};
use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Map, Value};
use ventanilla_host::Host;

/// The municipality.
pub(crate) const PROFILE: &str = include_str!("../../demo/profile.json");

/// Gives the demo tenant the secrets its connectors say they need. True if something was added.
pub(crate) async fn complete_settings(host: &Host, connectors: &[Connector], state: &mut State) -> Result<bool> {
    let token = state.token.clone().unwrap_or_default();
    let mut added = false;
    for connector in connectors {
        // Found out in an earlier run.
        if state.settings.get(&connector.variable).is_some_and(Value::is_null) {
            continue;
        }
        let path = format!("/{}/{}/{DEMO}/-/describe", connector.channel, connector.vendor);
        let (status, description) = ask(host, "GET", &path, &token, None).await?;
        if status != 200 {
            bail!("{}/{} does not describe itself: it answered {status}", connector.channel, connector.vendor);
        }
        let settings = state.settings.get_mut(&connector.variable).and_then(Value::as_object_mut);
        let settings = settings.context("demo.json has settings that are not an object; delete it and start again")?;
        if wants_more(&description, settings) {
            state.settings.insert(connector.variable.clone(), Value::Null);
            added = true;
            continue;
        }
        for name in needed(&description) {
            if !settings.contains_key(&name) {
                settings.insert(name, state::secret()?.into());
                added = true;
            }
        }
    }
    Ok(added)
}

/// Whether it requires something that can't be made up here, as a pair of keys: then the demo does without the connector.
fn wants_more(description: &Value, settings: &Map<String, Value>) -> bool {
    let flag = |setting: &Value, name: &str| setting.get(name).and_then(Value::as_bool).unwrap_or_default();
    let known = |setting: &Value| settings.contains_key(crate::output::text(setting, "/name"));
    let all = crate::output::items(description, "/settings");
    all.iter().any(|setting| flag(setting, "required") && !flag(setting, "secret") && !known(setting))
}

/// The required secrets; of a connector that requires none but has some, the first: a demo is verified like the real thing.
fn needed(description: &Value) -> Vec<String> {
    let flag = |setting: &Value, name: &str| setting.get(name).and_then(Value::as_bool).unwrap_or_default();
    let name = |setting: &Value| setting.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let secrets: Vec<&Value> =
        crate::output::items(description, "/settings").iter().filter(|s| flag(s, "secret")).collect();
    let required: Vec<String> = secrets.iter().filter(|s| flag(s, "required")).map(|s| name(s)).collect();
    // `thread_secret` is every connector's and proves nothing about a provider.
    let first = secrets.iter().map(|s| name(s)).find(|n| n != "thread_secret");
    if required.is_empty() { first.into_iter().collect() } else { required }
}

/// The store can't be asked at the moment.
#[derive(Debug)]
pub(crate) struct Away(String);

impl std::fmt::Display for Away {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Away {}

/// Creates the demo tenant if the store knows nobody and it is among those configured. Gives the tenants of the store.
pub(crate) async fn ensure_profile(host: &Host, operator: &str, configured: &[String]) -> Result<Vec<String>> {
    let (status, answer) = ask(host, "GET", "/api/tenants", operator, None).await?;
    if status != 200 {
        let why = format!("the API does not tell its tenants ({status}): {}", crate::output::text(&answer, "/detail"));
        let misconfigured = crate::output::text(&answer, "/type").ends_with("/misconfigured");
        return Err(if misconfigured { anyhow!(why) } else { Away(why).into() });
    }
    let known = |answer: &Value| -> Vec<String> {
        crate::output::items(answer, "/tenants").iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let tenants = known(&answer);
    if !tenants.is_empty() || !configured.iter().any(|tenant| tenant == DEMO) {
        return Ok(tenants);
    }
    let profile: Value = serde_json::from_str(PROFILE).context("the demo profile is damaged")?;
    let (status, answer) = ask(host, "PUT", &format!("/api/{DEMO}/profile"), operator, Some(&profile)).await?;
    if status != 200 {
        bail!("the demo tenant can't be created ({status}): {}", crate::output::text(&answer, "/detail"));
    }
    Ok(vec![DEMO.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use channel_sdk::json::parse_profile;
    use serde_json::json;

    #[test]
    fn the_demo_profile_is_complete_in_every_language_it_offers() {
        let profile = parse_profile(&serde_json::from_str(PROFILE).unwrap()).unwrap();
        assert_eq!(profile.tenant, DEMO);
        assert_eq!(profile.languages, ["es", "ca", "gl", "eu", "en"]);
        assert!(profile.announcement.is_empty());
        assert!(profile.departments.len() >= 4 && !profile.services.is_empty() && !profile.opening_hours.is_empty());
        let texts = profile
            .departments
            .iter()
            .flat_map(|d| [&d.name, &d.keywords])
            .chain(profile.services.iter().map(|s| &s.name))
            .chain([&profile.greeting]);
        for text in texts {
            for language in &profile.languages {
                assert!(text.iter().any(|t| t.language == *language), "{language} is missing beside {text:?}");
            }
        }
    }

    #[test]
    fn a_demo_does_without_what_it_can_not_make_up() {
        let settings = Map::from_iter([("public_url".to_owned(), json!("http://x"))]);
        let of = |name: &str, secret: bool| json!({"settings": [{"name": "public_url", "required": true}, {"name": name, "secret": secret, "required": true}]});
        assert!(wants_more(&of("public_key", false), &settings));
        assert!(!wants_more(&of("auth_token", true), &settings));
    }

    #[test]
    fn a_demo_gets_the_required_secrets_or_else_the_first() {
        let setting =
            |name: &str, secret: bool, required: bool| json!({"name": name, "secret": secret, "required": required});
        let both = json!({"settings": [setting("public_url", false, true), setting("a", true, false), setting("b", true, true)]});
        assert_eq!(needed(&both), ["b"]);
        let optional = json!({"settings": [setting("thread_secret", true, false), setting("a", true, false)]});
        assert_eq!(needed(&optional), ["a"]);
        assert!(needed(&json!({"settings": []})).is_empty());
    }
}
