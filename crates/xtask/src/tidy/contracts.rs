//! Checks of the WIT contracts and of what was built against them.

use crate::layout::{self, Kind};
use crate::wit;
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Both packages parse, and whoever names one names the version it has.
pub(super) fn versions() -> Result<Vec<String>> {
    let resolve = wit::contracts()?;
    let mut violations = Vec::new();
    let mut current = Vec::new();
    for (_, package) in resolve.packages.iter().filter(|(_, package)| package.name.namespace == "ventanilla") {
        match &package.name.version {
            Some(version) => current.push((package.name.name.clone(), version.to_string())),
            None => violations.push(format!("package {} has no version", package.name)),
        }
    }
    for file in users()? {
        let text = layout::read(&file)?;
        for (package, version) in mentions(&text) {
            match current.iter().find(|(name, _)| *name == package) {
                Some((_, now)) if *now == version => {}
                Some((_, now)) => violations.push(format!(
                    "{}: ventanilla:{package} is at {now}, this says {version}",
                    layout::relative(&file).display()
                )),
                None => {
                    violations.push(format!("{}: there is no ventanilla:{package}", layout::relative(&file).display()))
                }
            }
        }
    }
    Ok(violations)
}

/// Files that name a package with its version.
fn users() -> Result<Vec<PathBuf>> {
    let root = layout::root();
    let mut found = vec![root.join("spin.toml")];
    for folder in ["channel", "store"] {
        for entry in std::fs::read_dir(root.join("wit").join(folder))? {
            found.push(entry?.path());
        }
    }
    for component in layout::components()? {
        found.push(component.folder.join("src/bindings.rs"));
    }
    for name in ["channel-sdk", "store-sdk"] {
        found.push(root.join("crates").join(name).join("src/bindings.rs"));
    }
    found.retain(|file| file.is_file());
    Ok(found)
}

/// `ventanilla:channel/types@1.0.0` gives `("channel", "1.0.0")`.
fn mentions(text: &str) -> Vec<(String, String)> {
    text.split("ventanilla:")
        .skip(1)
        .filter_map(|rest| {
            let word: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-/@.".contains(*c)).collect();
            let (path, version) = word.split_once('@')?;
            let package = path.split('/').next()?.to_owned();
            let version: String = version.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            Some((package, version.trim_end_matches('.').to_owned()))
        })
        .collect()
}

/// Of what was built: `cargo xtask build` refuses it too, but not what somebody copied there.
pub(super) fn connector_imports() -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for component in layout::components()?.iter().filter(|component| component.kind == Kind::Connector) {
        let file = component.artefact();
        if !file.is_file() {
            continue;
        }
        let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if let Err(error) = wit::check_connector(&component.name, &bytes) {
            violations.push(format!("{error:#}"));
        }
    }
    Ok(violations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_wit_rust_and_toml() {
        let text = r#"use ventanilla:channel/types@1.0.0.{event}; "ventanilla:store@1.2.3" = {} ventanilla:store/api"#;
        let expected = [("channel".to_owned(), "1.0.0".to_owned()), ("store".to_owned(), "1.2.3".to_owned())];
        assert_eq!(mentions(text), expected);
    }
}
