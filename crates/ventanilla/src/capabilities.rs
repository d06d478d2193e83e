//! `ventanilla capabilities`: what each component of the application may reach, read from its manifest: nothing else can give it more.

use crate::cli::CapabilitiesOptions;
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use ventanilla_host::manifest::{Component, Inherit, Manifest, Target};

/// The profiles of the page: the name, and what the host calls it.
const PROFILES: [(&str, Option<&str>); 2] = [("sqlite", None), ("postgres", Some("postgres"))];
const HEAD: &str = "<!-- Written by `ventanilla capabilities --markdown` from spin.toml. Do not edit. -->\n\
    # What each component may reach\n\n\
    The host, ours or Spin, lets a component reach what is here and nothing else: no file, no other host, no other database, no socket. A name in braces is a \
    variable; an operator gives it a value. **Bold** variables are secret. Settings of a connector are in the hands of its gateway alone (with the profile `postgres` also of the \
    store composed with it) and never of the connector, which inherits nothing and imports nothing but types (`cargo xtask build` and our host refuse it otherwise).\n";

/// Prints a list, a page or JSON.
pub(crate) fn run(options: &CapabilitiesOptions) -> Result<()> {
    if options.markdown {
        let mut text = String::from(HEAD);
        for (name, profile) in PROFILES {
            page(&mut text, name, &Manifest::load(&options.manifest, profile)?);
        }
        print!("{text}");
        return Ok(());
    }
    let profile = PROFILES.iter().find(|(name, _)| *name == options.profile).and_then(|(_, profile)| *profile);
    let manifest = Manifest::load(&options.manifest, profile)?;
    if options.json {
        println!("{:#}", json(&manifest));
        return Ok(());
    }
    for component in manifest.components.values() {
        print!("{}", block(&manifest, component));
    }
    Ok(())
}

/// One component, for a terminal.
fn block(manifest: &Manifest, component: &Component) -> String {
    let list = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join("  ") };
    let mut parts: Vec<String> = Vec::new();
    for dependency in component.dependencies.values() {
        parts.push(format!("{} inherits {}", file(&dependency.source), inherits(&dependency.inherit).replace('`', "")));
    }
    let mut text = format!("{}\n", component.id);
    for (what, items) in [
        ("hosts", component.allowed_outbound_hosts.clone()),
        ("SQLite", component.sqlite_databases.clone()),
        ("key-value", component.key_value_stores.clone()),
        ("variables", vec![variables(manifest, component).replace(['`', '*'], "")]),
        ("parts", parts),
    ] {
        let _ = writeln!(text, "  {what:<10} {}", list(items));
    }
    text
}

/// One profile's section.
fn page(text: &mut String, name: &str, manifest: &Manifest) {
    let _ = writeln!(text, "\n## Profile `{name}`\n");
    let _ = writeln!(
        text,
        "| component | served at | hosts | SQLite | key-value | variables | files, environment |\n|---|---|---|---|---|---|---|"
    );
    for component in manifest.components.values() {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            component.id,
            codes(routes(manifest, &component.id)),
            codes(component.allowed_outbound_hosts.iter().cloned()),
            codes(component.sqlite_databases.iter().cloned()),
            codes(component.key_value_stores.iter().cloned()),
            variables(manifest, component),
            codes(component.environment.keys().cloned()),
        );
    }
    let _ = writeln!(text, "\n| part | of | inherits from it |\n|---|---|---|");
    for ((part, inherits), of) in parts(manifest) {
        let _ = writeln!(text, "| `{part}` | {} | {inherits} |", of.join(", "));
    }
}

/// What components are composed with: (file, what it inherits) to the components.
fn parts(manifest: &Manifest) -> BTreeMap<(String, String), Vec<String>> {
    let mut parts: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for component in manifest.components.values() {
        parts
            .entry((file(&component.source), "(it is the component: all of the above)".into()))
            .or_default()
            .push(component.id.clone());
        for dependency in component.dependencies.values() {
            let key = (file(&dependency.source), inherits(&dependency.inherit));
            parts.entry(key).or_default().push(component.id.clone());
        }
    }
    parts
}

fn file(source: &Path) -> String {
    source.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn inherits(inherit: &Inherit) -> String {
    match inherit {
        Inherit::All => "everything".into(),
        Inherit::Sets(sets) if sets.is_empty() => "nothing".into(),
        Inherit::Sets(sets) => sets.iter().map(|set| format!("`{set}`")).collect::<Vec<_>>().join(", "),
    }
}

/// Routes that a component answers.
fn routes(manifest: &Manifest, id: &str) -> impl Iterator<Item = String> {
    manifest.triggers.iter().filter_map(move |trigger| match (&trigger.route, &trigger.target) {
        (Some(route), Target::Component(component)) if component == id => Some(route.text().to_owned()),
        _ => None,
    })
}

/// The application's variables that a component's variables are made of, secret ones in bold.
fn variables(manifest: &Manifest, component: &Component) -> String {
    let mut names: Vec<String> = manifest
        .variables
        .iter()
        .filter(|(name, _)| component.variables.values().any(|template| names_in(template).any(|found| found == *name)))
        .map(|(name, variable)| if variable.secret { format!("**`{name}`**") } else { format!("`{name}`") })
        .collect();
    names.sort();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// The names within `{{ }}`.
fn names_in(template: &str) -> impl Iterator<Item = &str> {
    template.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(name, _)| name.trim())
}

fn codes(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.map(|item| format!("`{}`", item.replace('|', "\\|"))).collect();
    if items.is_empty() { "none".into() } else { items.join(", ") }
}

fn json(manifest: &Manifest) -> Value {
    let components = manifest.components.values().map(|component| {
        let parts = component.dependencies.values().map(|dependency| {
            let sets = match &dependency.inherit {
                Inherit::All => json!("all"),
                Inherit::Sets(sets) => json!(sets),
            };
            json!({"file": file(&dependency.source), "inherits": sets})
        });
        let variables = component.variables.iter().map(|(name, template)| {
            let of: Vec<&str> = names_in(template).collect();
            let secret = of.iter().any(|name| manifest.variables.get(*name).is_some_and(|variable| variable.secret));
            json!({"name": name, "from": of, "secret": secret})
        });
        json!({
            "component": component.id,
            "file": file(&component.source),
            "routes": routes(manifest, &component.id).collect::<Vec<_>>(),
            "hosts": component.allowed_outbound_hosts,
            "sqlite": component.sqlite_databases,
            "key_value": component.key_value_stores,
            "variables": variables.collect::<Vec<_>>(),
            "environment": component.environment.keys().collect::<Vec<_>>(),
            "parts": parts.collect::<Vec<_>>(),
        })
    });
    json!({"components": components.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
spin_manifest_version = 2
[application]
name = "a"
[variables]
settings_of_a = { default = "{}", secret = true }
place = { default = "here" }
unused = { default = "", secret = true }
[[trigger.http]]
route = "/a/..."
component = "a"
[component.a]
source = "a.wasm"
allowed_outbound_hosts = ["https://a.example", "{{ place }}"]
sqlite_databases = ["default"]
[component.a.variables]
settings = "{{ settings_of_a }}"
both = "{{place}} and {{ place }}"
[component.a.dependencies]
"a:b@1.0.0" = { path = "b.wasm" }
"a:c@1.0.0" = { path = "c.wasm", inherit_configuration = ["sqlite_databases"] }
"#;

    fn manifest() -> Manifest {
        Manifest::parse(Path::new("spin.toml"), MANIFEST, None).unwrap()
    }

    #[test]
    fn the_page_says_what_a_component_may_reach_and_what_its_parts_inherit() {
        let mut text = String::new();
        page(&mut text, "sqlite", &manifest());
        let row = "| a | `/a/...` | `https://a.example`, `{{ place }}` | `default` | none | **`settings_of_a`**, `place` | none |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("| `b.wasm` | a | nothing |"), "{text}");
        assert!(text.contains("| `c.wasm` | a | `sqlite_databases` |"), "{text}");
        assert!(!text.contains("unused"), "{text}");
    }

    #[test]
    fn json_tells_secret_variables_from_others() {
        let said = json(&manifest());
        let variables = said.pointer("/components/0/variables").unwrap();
        assert_eq!(
            variables.pointer("/0"),
            Some(&json!({"name": "both", "from": ["place", "place"], "secret": false}))
        );
        assert_eq!(variables.pointer("/1/secret"), Some(&json!(true)));
        assert_eq!(said.pointer("/components/0/parts/0/inherits"), Some(&json!([])));
    }
}
