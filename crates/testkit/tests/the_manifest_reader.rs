//! The manifest reader, given any text: a manifest or an error that says where, and never a field that is passed over in silence.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use testkit::fuzz::{self, EDIT, Words};
use ventanilla_host::manifest::Manifest;

/// The file of this repository, and one with everything the first has not.
const TEXTS: [&str; 2] = [include_str!("../../../spin.toml"), OTHER];

const OTHER: &str = r#"
spin_manifest_version = 2
[application]
name = "other"
[variables]
needed = { required = true }
given = { default = "x", secret = true }
[[trigger.http]]
route = { private = true }
component = "a"
[[trigger.http]]
id = "two"
route = "/:one/b/..."
component = { source = "x.wasm" }
[[trigger.http]]
route = "/static"
static_response = { status_code = 204, headers = { x = "y" }, body = "" }
[component.a]
source = "a.wasm"
environment = { A = "b" }
variables = { v = "{{ given }}-{{ needed }}" }
allowed_outbound_hosts = ["https://*.example:443", "http://{{ given }}"]
sqlite_databases = ["default"]
dependencies_inherit_configuration = true
[component.a.dependencies]
"x:y/z@1.0.0" = { path = "b.wasm", export = "x:y/w", inherit_configuration = true }
"n:o" = { component = "a" }
[component.a.build]
command = "make"
[component.a.profile.debug]
source = "d.wasm"
environment = { A = "c" }
"#;

fn check(text: &str) -> Result<u64, String> {
    let file = Path::new("folder/spin.toml");
    let mut looks = DefaultHasher::new();
    for profile in [None, Some("debug")] {
        match Manifest::parse(file, text, profile) {
            Err(error) => {
                let said = format!("{error:#}");
                if !said.starts_with("folder/spin.toml") {
                    return Err(format!("the error does not begin with the file: {said:?}"));
                }
                // What is quoted differs from input to input, what is said about it does not.
                said.split(' ')
                    .filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()))
                    .for_each(|word| word.hash(&mut looks));
            }
            Ok(manifest) => {
                (manifest.components.len(), manifest.triggers.len()).hash(&mut looks);
                for component in manifest.components.values() {
                    (component.dependencies.len(), component.variables.len()).hash(&mut looks);
                }
                let Ok(router) = manifest.router() else { continue };
                for path in ["/", "", "//", "/api/a", "/telephony/x/y/z", "/%00/..", "/static", "/\u{1f600}"] {
                    if let Some(found) = router.find(path) {
                        manifest.triggers.get(found.trigger).ok_or("the router names a trigger that is not there")?;
                    }
                }
            }
        }
    }
    Ok(looks.finish())
}

fn made_up(input: &[u8], words: &Words) -> String {
    let others: Vec<&[u8]> = TEXTS.iter().map(|text| text.as_bytes()).collect();
    let mut text = others[usize::from(input.first().copied().unwrap_or_default()) % others.len()].to_vec();
    for edit in input.get(1..).unwrap_or_default().chunks_exact(EDIT) {
        fuzz::edit(&mut text, edit.try_into().unwrap(), words, &others);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn made_up_manifests_give_a_manifest_or_an_error_that_says_where() {
    for text in TEXTS {
        check(text).unwrap();
    }
    let words = Words::of(TEXTS.iter().map(|text| text.as_bytes()));
    fuzz::explore("manifest", 1, &mut |input| {
        let text = made_up(input, &words);
        // A panic here is a finding as well: say which text it was.
        let checked = std::panic::catch_unwind(|| check(&text)).unwrap_or_else(|_| Err("panicked".into()));
        checked.map_err(|problem| format!("{problem}\n{text}"))
    });
}

#[test]
fn every_misspelt_key_of_our_manifest_is_refused_by_name() {
    let mut tried = 0;
    for (number, line) in TEXTS[0].lines().enumerate() {
        let Some((key, _)) = line.split_once(" = ") else { continue };
        // A variable's and a dependency's name is the writer's own.
        if !key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') || is_free(number) {
            continue;
        }
        let misspelt = format!("{key}x");
        let text: String = TEXTS[0]
            .lines()
            .enumerate()
            .map(|(at, line)| if at == number { line.replacen(key, &misspelt, 1) } else { line.to_owned() } + "\n")
            .collect();
        let error = Manifest::parse(Path::new("spin.toml"), &text, None).map(|_| ()).unwrap_err();
        let said = format!("{error:#}");
        assert!(said.contains(&misspelt) || said.contains(&format!("`{key}`")), "line {}: {said}", number + 1);
        tried += 1;
    }
    assert!(tried > 20, "{tried} keys were tried");
}

/// Whether a line stands in a table of names that the writer chooses.
fn is_free(number: usize) -> bool {
    let table = TEXTS[0].lines().take(number).filter(|line| line.starts_with('[')).last().unwrap_or_default();
    table == "[variables]" || table.ends_with("variables]") || table.ends_with("environment]")
}
