//! Application variables: where their values come from, and the `{{ name }}` templates that use them.

use crate::{manifest::Manifest, options::Options};
use anyhow::{Context, Result, anyhow, bail};
use std::{collections::BTreeMap, path::Path};

/// The value of every application variable.
#[derive(Clone)]
pub struct Variables {
    values: BTreeMap<String, String>,
    secret: Vec<String>,
}

impl std::fmt::Debug for Variables {
    /// Names only: values are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Variables {
    /// Option before environment before file before default. Every required variable without a value is named.
    pub fn resolve(manifest: &Manifest, options: &Options) -> Result<Self> {
        let file = match &options.env_file {
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| {
                    format!("can't read the environment file {}: correct --env-file or create it", path.display())
                })?;
                parse_env_file(path, &text)?
            }
            None => BTreeMap::new(),
        };
        Self::from_sources(manifest, &options.variables, |name| std::env::var(name).ok(), &file)
    }

    fn from_sources(
        manifest: &Manifest,
        given: &[(String, String)],
        environment: impl Fn(&str) -> Option<String>,
        file: &BTreeMap<String, String>,
    ) -> Result<Self> {
        if let Some((name, _)) = given.iter().find(|(name, _)| !manifest.variables.contains_key(name)) {
            let known: Vec<&str> = manifest.variables.keys().map(String::as_str).collect();
            bail!("--variable {name}: the manifest declares no such variable; it has {}", known.join(", "));
        }
        let mut values = BTreeMap::new();
        let mut missing = Vec::new();
        for (name, variable) in &manifest.variables {
            let key = environment_name(name);
            let value = given
                .iter()
                .rev()
                .find(|(given, _)| given == name)
                .map(|(_, value)| value.clone())
                .or_else(|| environment(&key))
                .or_else(|| file.get(&key).cloned())
                .or_else(|| variable.default.clone());
            match value {
                Some(value) => {
                    values.insert(name.clone(), value);
                }
                None => missing.push(format!(
                    "{name} (declared at {}:{}): set {key} in the environment or in .env, or pass --variable {name}=VALUE",
                    manifest.file.display(),
                    variable.line
                )),
            }
        }
        if !missing.is_empty() {
            bail!("required variables have no value: {}", missing.join("; "));
        }
        let secret = manifest.variables.iter().filter(|(_, v)| v.secret).map(|(name, _)| name.clone()).collect();
        Ok(Self { values, secret })
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Whether the manifest calls it secret.
    pub fn is_secret(&self, name: &str) -> bool {
        self.secret.iter().any(|secret| secret == name)
    }

    /// Puts values in the place of `{{ name }}`.
    pub fn expand(&self, template: &str) -> Result<String> {
        let mut out = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, tail) = after.split_once("}}").ok_or_else(|| anyhow!("a {{{{ without its }}}}"))?;
            let name = name.trim();
            let value = self.get(name).ok_or_else(|| {
                anyhow!("no variable named {name:?}: declare it under [variables] or correct its spelling")
            })?;
            out.push_str(before);
            out.push_str(value);
            rest = tail;
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// `SPIN_VARIABLE_NAME`.
pub fn environment_name(name: &str) -> String {
    format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase())
}

/// Reads `KEY=value` lines. Values may be in single quotes (as they are) or double quotes (`\n \" \\ \$`); quoted ones may span lines.
pub fn parse_env_file(file: &Path, text: &str) -> Result<BTreeMap<String, String>> {
    let mut out = BTreeMap::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1;
    while !rest.is_empty() {
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = first.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after;
            line += 1;
            continue;
        }
        let fail = |why: &str| anyhow!("{}:{line}: {why}", file.display());
        let (key, _) = first.split_once('=').ok_or_else(|| fail("expected NAME=value"))?;
        let offset = key.len() + 1;
        let key = key.trim();
        let key = key.strip_prefix("export ").map_or(key, str::trim);
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(fail("a name has letters, digits and _ only"));
        }
        let value_text = rest.get(offset..).unwrap_or("").trim_start_matches([' ', '\t']);
        let (value, tail) = match value_text.chars().next() {
            Some(quote @ ('\'' | '"')) => {
                quoted(value_text, quote).ok_or_else(|| fail("a quoted value without its closing quote"))?
            }
            _ => {
                let (value, _) = value_text.split_once('\n').unwrap_or((value_text, ""));
                let plain = value.split_once(" #").map_or(value, |(value, _)| value);
                (plain.trim().to_owned(), value_text.get(value.len()..).unwrap_or(""))
            }
        };
        let (left_over, next) = tail.split_once('\n').unwrap_or((tail, ""));
        if !left_over.trim().is_empty() && !left_over.trim_start().starts_with('#') {
            return Err(fail("text after the closing quote"));
        }
        out.insert(key.to_owned(), value);
        line += rest
            .len()
            .checked_sub(next.len())
            .and_then(|used| rest.get(..used))
            .map_or(0, |used| used.matches('\n').count());
        rest = next;
    }
    Ok(out)
}

/// The value inside the quotes and what follows the closing one.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((out, text.get(at + 1..).unwrap_or(""))),
            '\\' if quote == '"' => match chars.next()?.1 {
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                c @ ('"' | '\\' | '$') => out.push(c),
                c => out.extend(['\\', c]),
            },
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(variables: &str) -> Manifest {
        let text = format!("spin_manifest_version = 2\n[application]\nname = \"t\"\n[variables]\n{variables}\n");
        Manifest::parse(Path::new("spin.toml"), &text, None).unwrap()
    }

    #[test]
    fn an_env_file_has_comments_quotes_and_values_over_several_lines() {
        let text = "# c\n\nexport A=1 # one\nB = two words \nC='{\"x\": \"$y\\n\"}'\nD=\"a\\nb\\\"c\"\nE='l1\nl2' # tail\nF=\nG=a#b";
        let values = parse_env_file(Path::new(".env"), text).unwrap();
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "{\"x\": \"$y\\n\"}"),
            ("D", "a\nb\"c"),
            ("E", "l1\nl2"),
            ("F", ""),
            ("G", "a#b"),
        ];
        let found: Vec<(&str, &str)> = values.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_broken_env_file_is_refused_with_its_line() {
        for (text, line) in [("A=1\nB='x\n", 2), ("A='x\ny'\nnonsense\n", 3), ("A='x' y", 1), ("A B=1", 1)] {
            let error = parse_env_file(Path::new(".env"), text).unwrap_err().to_string();
            assert!(error.starts_with(&format!(".env:{line}: ")), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_option_wins_over_environment_over_file_over_default() {
        let manifest = manifest("a = { default = \"default\" }");
        let file = BTreeMap::from([("SPIN_VARIABLE_A".to_owned(), "file".to_owned())]);
        let environment = |name: &str| (name == "SPIN_VARIABLE_A").then(|| "environment".to_owned());
        let given = [("a".to_owned(), "option".to_owned())];
        let value = |given: &[_], environment: &dyn Fn(&str) -> Option<String>, file: &_| {
            Variables::from_sources(&manifest, given, environment, file).unwrap().get("a").unwrap().to_owned()
        };
        assert_eq!(value(&given, &environment, &file), "option");
        assert_eq!(value(&[], &environment, &file), "environment");
        assert_eq!(value(&[], &|_| None, &file), "file");
        assert_eq!(value(&[], &|_| None, &BTreeMap::new()), "default");
    }

    #[test]
    fn every_missing_variable_is_named_with_the_remedy() {
        let manifest = manifest("a = { required = true }\nb = { required = true, secret = true }");
        let error = Variables::from_sources(&manifest, &[], |_| None, &BTreeMap::new()).unwrap_err().to_string();
        for part in ["a (declared at spin.toml:5)", "SPIN_VARIABLE_B", "--variable b=VALUE"] {
            assert!(error.contains(part), "{error}");
        }
        let unknown = [("c".to_owned(), "1".to_owned())];
        let error = Variables::from_sources(&manifest, &unknown, |_| None, &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("--variable c"), "{error}");
    }

    #[test]
    fn templates_are_expanded_and_unknown_names_refused() {
        let manifest = manifest("a = { default = \"1\" }");
        let variables = Variables::from_sources(&manifest, &[], |_| None, &BTreeMap::new()).unwrap();
        assert_eq!(variables.expand("x{{ a }}y{{a}}z").unwrap(), "x1y1z");
        assert!(variables.expand("{{ b }}").unwrap_err().to_string().contains("\"b\""));
        assert!(variables.expand("{{ a").is_err());
    }

    #[test]
    fn debug_output_shows_no_value() {
        let manifest = manifest("a = { default = \"hidden\" }");
        let variables = Variables::from_sources(&manifest, &[], |_| None, &BTreeMap::new()).unwrap();
        assert_eq!(format!("{variables:?}"), "{\"a\"}");
    }
}
