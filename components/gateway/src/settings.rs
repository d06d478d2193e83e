//! A tenant's settings of this connector: a JSON object in the variable `settings`, `{"<tenant>": {"<name>": …}}`.
//!
//! What is public goes to the connector, what is secret stays here, and what is not declared goes nowhere: an undeclared
//! name may be a misspelt secret. Whatever is wrong is told by name, never by value.

use std::cell::RefCell;

use channel_sdk::types::{Context, Descriptor, Setting, SettingSpec, TenantProfile};
use serde_json::{Map, Value};
use service_sdk::spelling::{nearest, printable};

/// Settings that every connector has: name, secret, required, what for.
const COMMON: [(&str, bool, bool, &str); 3] = [
    ("public_url", false, true, "the URL, as providers see it, that maps to /{channel}/{vendor}/{tenant}"),
    ("allow_unsigned", false, false, "true accepts requests for which the provider offers no proof"),
    ("thread_secret", true, false, "seals the tokens by which an answer finds its case"),
];

/// Checked settings of one tenant.
pub(crate) struct Settings {
    pub(crate) tenant: String,
    pub(crate) public_url: String,
    pub(crate) allow_unsigned: bool,
    public: Vec<Setting>,
    secrets: Vec<(String, Vec<String>)>,
}

/// Why a tenant has none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    UnknownTenant,
    /// For the operator; says how to repair it.
    Faulty(String),
}

/// One declared setting, for the operator.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) name: String,
    pub(crate) secret: bool,
    pub(crate) required: bool,
    pub(crate) present: bool,
}

/// A tenant's part of the variable, not yet checked.
pub(crate) struct Entry(Map<String, Value>);

/// The variable as it was last understood. It is configuration, not a request's: on a platform of a thousand tenants reading it anew
/// for every call would cost more than the call.
#[derive(Default)]
struct Book {
    text: String,
    tenants: Map<String, Value>,
}

thread_local! {
    static BOOK: RefCell<Book> = RefCell::default();
}

/// Finds a tenant's part.
pub(crate) fn entry(variable: &str, tenant: &str) -> Result<Entry, Problem> {
    BOOK.with_borrow_mut(|book| {
        if book.text != variable || variable.is_empty() {
            *book = Book { tenants: read(variable)?, text: variable.to_owned() };
        }
        match book.tenants.get(tenant) {
            None => Err(Problem::UnknownTenant),
            Some(Value::Object(entry)) => Ok(Entry(entry.clone())),
            Some(_) => Err(faulty("has something else than a JSON object for this tenant")),
        }
    })
}

fn read(variable: &str) -> Result<Map<String, Value>, Problem> {
    // The parser's own message quotes no content, but its position helps nobody without the text, so it is left out.
    match serde_json::from_str(variable) {
        Ok(Value::Object(all)) => Ok(all),
        Ok(_) => Err(faulty("is not a JSON object")),
        Err(error) => Err(faulty(&format!("is not JSON (line {}, column {})", error.line(), error.column()))),
    }
}

fn faulty(what: &str) -> Problem {
    Problem::Faulty(format!("the connector's settings variable {what}; expected {{\"<tenant>\": {{…}}}}"))
}

/// Every tenant that has settings, in the order of their names.
pub(crate) fn entries(variable: &str) -> Vec<(String, Entry)> {
    let all: Map<String, Value> = serde_json::from_str(variable).unwrap_or_default();
    all.into_iter().filter_map(|(tenant, value)| Some((tenant, Entry(value.as_object()?.clone())))).collect()
}

impl Entry {
    /// What is declared, and whether it is there.
    pub(crate) fn status(&self, descriptor: &Descriptor) -> Vec<Status> {
        specs(descriptor)
            .map(|spec| Status {
                name: spec.name.to_owned(),
                secret: spec.secret,
                required: spec.required,
                present: self.0.get(spec.name).is_some_and(|value| !is_empty(value)),
            })
            .collect()
    }

    /// Names that nobody asked for, with the name that was probably meant.
    pub(crate) fn unknown(&self, descriptor: &Descriptor) -> Vec<(String, Option<String>)> {
        let known: Vec<&str> = specs(descriptor).map(|spec| spec.name).collect();
        self.0
            .keys()
            .filter(|name| !known.contains(&name.as_str()))
            .map(|name| (name.clone(), nearest(name, &known).map(str::to_owned)))
            .collect()
    }

    /// The configured URL, if it is a text.
    pub(crate) fn public_url(&self) -> Option<&str> {
        self.0.get("public_url")?.as_str()
    }

    /// Checks everything.
    pub(crate) fn check(&self, tenant: &str, descriptor: &Descriptor) -> Result<Settings, Problem> {
        for spec in specs(descriptor).filter(|spec| spec.required) {
            if self.0.get(spec.name).is_none_or(is_empty) {
                return Err(Problem::Faulty(self.missing(spec.name, descriptor)));
            }
        }
        let mut settings = Settings {
            tenant: tenant.to_owned(),
            public_url: public_url(self.public_url().unwrap_or_default()).map_err(|why| {
                Problem::Faulty(format!(
                    "setting `public_url` {why}; give the URL that the provider calls, without query"
                ))
            })?,
            allow_unsigned: match self.0.get("allow_unsigned") {
                None | Some(Value::Null) => false,
                Some(Value::Bool(allowed)) => *allowed,
                Some(_) => return Err(Problem::Faulty("setting `allow_unsigned` must be true or false".into())),
            },
            public: Vec::new(),
            secrets: Vec::new(),
        };
        for spec in specs(descriptor) {
            let Some(value) = self.0.get(spec.name).filter(|value| !is_empty(value)) else { continue };
            if spec.secret {
                let values = secret_values(value).ok_or_else(|| {
                    Problem::Faulty(format!(
                        "setting `{}` must be a text or a list of texts that are not empty",
                        spec.name
                    ))
                })?;
                settings.secrets.push((spec.name.to_owned(), values));
            } else if !COMMON.iter().any(|common| common.0 == spec.name) {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                settings.public.push(Setting { name: spec.name.to_owned(), value });
            }
        }
        Ok(settings)
    }

    fn missing(&self, name: &str, descriptor: &Descriptor) -> String {
        let known: Vec<&str> = specs(descriptor).map(|spec| spec.name).collect();
        let misspelt = self.0.keys().find(|key| !known.contains(&key.as_str()) && nearest(key, &[name]).is_some());
        let hint =
            misspelt.map_or(String::new(), |key| format!("; there is `{}`: did you mean `{name}`?", printable(key)));
        format!("setting `{name}` is missing for this tenant{hint}; add it to the connector's settings variable")
    }
}

impl Settings {
    /// The values of a secret; several while it is being changed.
    pub(crate) fn secret(&self, name: &str) -> &[String] {
        self.secrets.iter().find(|(known, _)| known == name).map_or(&[], |(_, values)| values)
    }

    /// Values of all secrets.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().flat_map(|(_, values)| values).map(String::as_str)
    }

    /// A public setting.
    pub(crate) fn public(&self, name: &str) -> Option<&str> {
        self.public.iter().find(|setting| setting.name == name).map(|setting| setting.value.trim())
    }

    /// What the connector may know.
    pub(crate) fn context(&self, profile: TenantProfile) -> Context {
        Context {
            tenant: self.tenant.clone(),
            public_url: self.public_url.clone(),
            settings: self.public.clone(),
            secrets: self.secrets.iter().map(|(name, _)| name.clone()).collect(),
            profile,
        }
    }
}

/// What a setting that every connector has is for.
pub(crate) fn description(name: &str) -> Option<String> {
    COMMON.iter().find(|common| common.0 == name).map(|common| common.3.to_owned())
}

/// What is said for a tenant that has settings but no profile yet.
pub(crate) fn neutral_profile(tenant: &str) -> TenantProfile {
    TenantProfile {
        tenant: tenant.to_owned(),
        name: tenant.to_owned(),
        languages: Vec::new(),
        greeting: Vec::new(),
        announcement: Vec::new(),
        departments: Vec::new(),
        services: Vec::new(),
        time_zone: "UTC0".to_owned(),
        opening_hours: Vec::new(),
        links: Vec::new(),
        acknowledge: false,
    }
}

struct Spec<'a> {
    name: &'a str,
    secret: bool,
    required: bool,
}

fn specs(descriptor: &Descriptor) -> impl Iterator<Item = Spec<'_>> {
    let common = COMMON.iter().map(|&(name, secret, required, _)| Spec { name, secret, required });
    let own = |spec: &&SettingSpec| !COMMON.iter().any(|common| common.0 == spec.name);
    common.chain(descriptor.settings.iter().filter(own).map(|spec| Spec {
        name: &spec.name,
        secret: spec.secret,
        required: spec.required,
    }))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(values) => values.is_empty(),
        _ => false,
    }
}

fn secret_values(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    match value {
        Value::Array(values) => values.iter().map(text).collect(),
        value => Some(vec![text(value)?]),
    }
}

/// The URL without trailing slashes.
fn public_url(url: &str) -> Result<String, &'static str> {
    let rest =
        url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).ok_or("must begin with https://")?;
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') {
        return Err("has no plain host name");
    }
    if url.contains(['?', '#']) || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has a query, a fragment, a space or a character that is not ASCII");
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Whether a URL can be a public one, for the self-test: HTTPS, or this machine.
pub(crate) fn public_url_ok(url: &str) -> bool {
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|prefix| url.starts_with(prefix));
    public_url(url).is_ok() && (local || url.starts_with("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::descriptor;

    const URL: &str = "https://desk.example/telephony/acme/madrid";

    fn checked(json: &str) -> Result<Settings, Problem> {
        entry(json, "madrid")?.check("madrid", &descriptor())
    }

    fn fault(json: &str) -> String {
        match checked(json) {
            Err(Problem::Faulty(why)) => why,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("accepted"),
        }
    }

    #[test]
    fn what_is_remembered_of_the_variable_is_forgotten_when_it_changes() {
        let variable = |region: &str| format!(r#"{{"madrid": {{"public_url": "{URL}", "region": "{region}"}}}}"#);
        let region = |json: &str| entry(json, "madrid").map(|entry| entry.0.get("region").cloned());
        assert_eq!(region(&variable("eu")), Ok(Some("eu".into())));
        assert_eq!(region(&variable("eu")), Ok(Some("eu".into())));
        assert!(matches!(region("{"), Err(Problem::Faulty(_))));
        assert!(matches!(region(""), Err(Problem::Faulty(_))));
        assert_eq!(region(&variable("us")), Ok(Some("us".into())));
        assert_eq!(region("{}"), Err(Problem::UnknownTenant));
    }

    #[test]
    fn public_settings_reach_the_connector_and_secrets_only_by_name() {
        let json = format!(
            r#"{{"madrid": {{"public_url": "{URL}/", "auth_token": ["new", "old"], "region": "eu", "port": 5060}}}}"#
        );
        let settings = checked(&json).unwrap();
        assert_eq!(settings.secret("auth_token"), ["new", "old"]);
        assert!(settings.secret("other").is_empty());
        let context = settings.context(neutral_profile("madrid"));
        assert_eq!(context.public_url, URL);
        assert_eq!(context.secrets, ["auth_token"]);
        let public: Vec<_> = context.settings.iter().map(|s| (s.name.as_str(), s.value.as_str())).collect();
        assert_eq!(public, [("region", "eu"), ("port", "5060")]);
        assert!(!format!("{context:?}").contains("new"));
    }

    #[test]
    fn a_setting_nobody_declared_never_reaches_the_connector() {
        let json = format!(r#"{{"madrid": {{"public_url": "{URL}", "auth_token": "t", "api_secret": "s3cr3t"}}}}"#);
        let context = checked(&json).unwrap().context(neutral_profile("madrid"));
        assert!(!format!("{context:?}").contains("s3cr3t"));
    }

    #[test]
    fn an_unknown_tenant_is_told_from_faulty_settings() {
        assert_eq!(entry(r#"{"madrid": {}}"#, "sevilla").err(), Some(Problem::UnknownTenant));
        assert_eq!(entry("{}", "madrid").err(), Some(Problem::UnknownTenant));
        for faulty in ["", "{", "[]", "null", r#"{"madrid": 1}"#] {
            assert!(matches!(entry(faulty, "madrid"), Err(Problem::Faulty(_))), "{faulty}");
        }
    }

    #[test]
    fn a_missing_key_is_named_with_the_misspelt_one_and_no_value() {
        let why = fault(&format!(r#"{{"madrid": {{"public_url": "{URL}", "auth-tokne": "s3cr3t"}}}}"#));
        assert!(why.contains("`auth_token` is missing"), "{why}");
        assert!(why.contains("`auth-tokne`: did you mean `auth_token`?"), "{why}");
        assert!(!why.contains("s3cr3t"));
        assert!(fault(r#"{"madrid": {"auth_token": "t"}}"#).contains("`public_url` is missing"));
        for empty in [r#""""#, r#"" ""#, "[]", "null"] {
            assert!(
                fault(&format!(r#"{{"madrid": {{"public_url": "{URL}", "auth_token": {empty}}}}}"#))
                    .contains("missing")
            );
        }
    }

    #[test]
    fn a_secret_of_another_type_is_refused_without_showing_it() {
        for odd in ["123456", "true", r#"{"s3cr3t": 1}"#, r#"["a", 1]"#, r#"["a", ""]"#] {
            let why = fault(&format!(r#"{{"madrid": {{"public_url": "{URL}", "auth_token": {odd}}}}}"#));
            assert!(
                why.contains("`auth_token` must be") && !why.contains("s3cr3t") && !why.contains("123456"),
                "{why}"
            );
        }
    }

    #[test]
    fn allowing_unsigned_requests_takes_a_literal_true() {
        let allow = |value: &str| {
            checked(&format!(
                r#"{{"madrid": {{"public_url": "{URL}", "auth_token": "t", "allow_unsigned": {value}}}}}"#
            ))
        };
        assert!(allow("true").unwrap().allow_unsigned);
        assert!(!allow("false").unwrap().allow_unsigned);
        for odd in [r#""true""#, "1"] {
            assert!(matches!(allow(odd), Err(Problem::Faulty(_))));
        }
    }

    #[test]
    fn a_public_url_is_a_plain_url() {
        for bad in [
            "desk.example",
            "ftp://x",
            "https://",
            "https:///x",
            "https://u:p@x/y",
            "https://x/y?z",
            "https://x/y#z",
            "https://x/ y",
        ] {
            assert!(public_url(bad).is_err(), "{bad}");
        }
        assert!(public_url_ok(URL));
        assert!(public_url_ok("http://127.0.0.1:3000/telephony/acme/madrid"));
        assert!(!public_url_ok("http://desk.example/telephony/acme/madrid"));
    }

    #[test]
    fn the_operator_sees_what_is_there_and_what_nobody_knows() {
        let entry = entry(r#"{"madrid": {"auth_token": "t", "allow_unsinged": true, "zzz": 1}}"#, "madrid").unwrap();
        let unknown = entry.unknown(&descriptor());
        assert_eq!(unknown, [("allow_unsinged".into(), Some("allow_unsigned".into())), ("zzz".into(), None)]);
        let present: Vec<_> =
            entry.status(&descriptor()).into_iter().filter(|status| status.present).map(|status| status.name).collect();
        assert_eq!(present, ["auth_token"]);
    }
}
