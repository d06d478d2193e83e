//! Checks of source text.

use crate::layout::{self, Kind};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Longest source file.
const MAX_LINES: usize = 600;

/// Folder names that are also words of the trade.
const GENERIC: [&str; 8] = ["sip", "html", "mime", "imap", "form", "forms", "georeport", "activitypub"];

/// Networks with a connector of their own that other providers carry as well: connectors may name them, the rest may not.
const NETWORKS: [&str; 2] = ["telegram", "whatsapp"];

/// Ends of names of files that people write.
const WRITTEN: [&str; 12] = ["rs", "wit", "toml", "py", "js", "mjs", "sh", "cfg", "sql", "yaml", "yml", "xml"];

/// Every file of the repository with one of these endings; what git ignores is left out by name.
fn files(endings: &[&str]) -> Result<Vec<PathBuf>> {
    files_below(&layout::root(), endings)
}

/// The same of one folder.
pub(super) fn files_below(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = layout::name_of(&path);
            if path.is_dir() {
                let hidden = name.starts_with('.') && name != ".ci" && name != ".cargo";
                if !hidden && !["target", "node_modules", "__pycache__"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| endings.iter().any(|ending| e == *ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Every Rust file begins with `//!`.
pub(super) fn module_docs() -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for file in files(&["rs"])? {
        let text = layout::read(&file)?;
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        if !first.starts_with("//! ") || first.len() < 12 {
            violations.push(format!("{}: begin it with a sentence after //!", layout::relative(&file).display()));
        }
    }
    Ok(violations)
}

/// No file is longer than a reader holds in mind.
pub(super) fn file_length() -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for file in files(&WRITTEN)? {
        let lines = layout::read(&file)?.lines().count();
        // An interface can't be spread over files, and every case of it is documented; vendored WIT is as long as it is.
        let is_wit = file.extension().is_some_and(|ending| ending == "wit");
        if lines > MAX_LINES && !is_wit {
            violations.push(format!("{}: {lines} lines; split it", layout::relative(&file).display()));
        }
    }
    Ok(violations)
}

/// Folders that exist on somebody's machine only. In two parts, so that this file has none.
const MACHINE: [(&str, &str); 4] = [("/wo", "rk/"), ("/ro", "ot/"), ("/Us", "ers/"), ("/ho", "me/")];

/// No absolute path of a developer's machine.
pub(super) fn machine_paths() -> Result<Vec<String>> {
    let mut endings = WRITTEN.to_vec();
    endings.extend(["md", "json"]);
    let mut violations = Vec::new();
    for file in files(&endings)? {
        for (number, line) in layout::read(&file)?.lines().enumerate() {
            if MACHINE.iter().any(|(a, b)| begins_path(line, &format!("{a}{b}"))) {
                violations.push(format!("{}:{}: {}", layout::relative(&file).display(), number + 1, line.trim()));
            }
        }
    }
    Ok(violations)
}

/// Whether a path that begins so stands in the line (`/wor` + `k/` inside a longer path or URL does not count).
fn begins_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|front| front.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "}).-_/*".contains(c))
    })
}

/// No vendor's name in code outside its own folder. Comments may name one: that is where a provider's quirk is explained.
pub(super) fn vendor_names() -> Result<Vec<String>> {
    let connectors: Vec<_> = layout::components()?.into_iter().filter(|c| c.kind == Kind::Connector).collect();
    let mut violations = Vec::new();
    for file in files(&["rs", "wit", "toml"])? {
        let relative = layout::relative(&file);
        if allowed(&relative) {
            continue;
        }
        let text = layout::read(&file)?;
        // A vendor may serve several channels: its name is at home in each of its folders.
        let at_home = |leaf: &str| {
            connectors.iter().any(|c| (c.leaf == leaf || NETWORKS.contains(&leaf)) && file.starts_with(&c.folder))
        };
        let mut seen = std::collections::BTreeSet::new();
        for connector in connectors
            .iter()
            .filter(|c| !GENERIC.contains(&c.leaf.as_str()) && !at_home(&c.leaf) && seen.insert(c.leaf.clone()))
        {
            for (number, line) in code(&text).filter(|(_, line)| names(line, &connector.leaf)) {
                let at = format!("{}:{number}", relative.display());
                violations.push(format!(
                    "{at}: {:?} belongs into {}: {line}",
                    connector.leaf,
                    layout::relative(&connector.folder).display()
                ));
            }
        }
    }
    Ok(violations)
}

/// Where a vendor's name is the point: the composition root, operations, black-box tests, the load of the benchmark, this rule itself, and the callers
/// the program plays.
fn allowed(file: &Path) -> bool {
    file == Path::new("spin.toml")
        || ["docs", "infra", "tests", "crates/bench", "crates/xtask/src/tidy", "crates/ventanilla/src/dialects"]
            .iter()
            .any(|folder| file.starts_with(folder))
        || file.components().any(|part| part.as_os_str() == "tests")
        || layout::name_of(file).contains("test")
}

/// Numbered lines of code: no comments, no unit tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .map(|(number, line)| (number + 1, line.trim()))
        .filter(|(_, line)| !line.starts_with("//") && !line.starts_with('#'))
        .map(|(number, line)| (number, line.split(" // ").next().unwrap_or(line)))
}

/// Whether the line has the name as a word, in any case: `TwilioSigner` counts, `meta` in `metadata` doesn't.
fn names(line: &str, name: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    lower.match_indices(name).any(|(at, _)| {
        let neighbour = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let before = line.get(..at).and_then(|front| front.chars().next_back());
        let after = line.get(at + name.len()..).and_then(|back| back.chars().next());
        // `xTwilio` is a word that begins with a capital.
        let capital = line.get(at..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
        // `METADATA` is one word; so is what HTML calls an element.
        let shouted =
            line.get(at..at + name.len() + 1).is_some_and(|word| word.bytes().all(|b| b.is_ascii_uppercase()));
        (!neighbour(before) || capital) && !neighbour(after) && !shouted && before != Some('<')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendors_name_is_found_as_a_word_only() {
        for line in
            ["acme", "let acme_key = 1;", "\"telephony/acme\"", "AcmeSigner", "verifyAcme()", "X-Acme-Signature"]
        {
            assert!(names(line, "acme"), "{line}");
        }
        for line in ["acmes", "pacme", "acme2", "ACMES", "<acme charset>"] {
            assert!(!names(line, "acme"), "{line}");
        }
    }

    #[test]
    fn comments_and_unit_tests_are_not_code() {
        let text = "//! head\nlet a = 1; // acme\n    /// doc acme\nlet b;\n#[cfg(test)]\nmod tests { acme }";
        let lines: Vec<(usize, &str)> = code(text).collect();
        assert_eq!(lines, [(2, "let a = 1;"), (4, "let b;")]);
    }

    #[test]
    fn a_machines_path_is_told_from_a_url() {
        let path = format!("{}{}", "/ho", "me/");
        assert!(begins_path(&format!("cd {path}ana"), &path));
        assert!(begins_path(&format!("\"{path}ana\""), &path));
        assert!(!begins_path(&format!("https://x.example{path}page"), &path));
        assert!(!begins_path(&format!("{{root}}{path}x"), &path));
    }
}
