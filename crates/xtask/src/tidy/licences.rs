//! Licences of everything that is linked in.

use crate::components::cargo;
use crate::layout;
use crate::progress::run_quiet;
use anyhow::{Context, Result};
use serde_json::Value;
use std::process::Command;

/// SPDX identifiers that a program under Apache-2.0 may link with, without asking a lawyer.
const ALLOWED: [&str; 15] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "bzip2-1.0.6",
];

/// Every dependency has a licence of the list.
pub(super) fn acceptable() -> Result<Vec<String>> {
    let version = run_quiet(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    let mut command = Command::new(cargo());
    command.current_dir(layout::root()).args(["metadata", "--format-version", "1", "--filter-platform", host]);
    let metadata: Value = serde_json::from_str(&run_quiet(&mut command)?)?;
    let used: Vec<&str> = metadata
        .pointer("/resolve/nodes")
        .and_then(Value::as_array)
        .context("cargo metadata resolved nothing")?
        .iter()
        .filter_map(|node| node.get("id").and_then(Value::as_str))
        .collect();
    let text = |package: &Value, name: &str| package.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let packages = metadata.get("packages").and_then(Value::as_array).context("cargo metadata gave no packages")?;
    Ok(packages
        .iter()
        .filter(|package| package.get("id").and_then(Value::as_str).is_some_and(|id| used.contains(&id)))
        .filter(|package| !accepts(&text(package, "license")))
        .map(|package| {
            format!(
                "{} {}: licence {:?} is not on the list",
                text(package, "name"),
                text(package, "version"),
                text(package, "license")
            )
        })
        .collect())
}

/// Whether an SPDX expression can be met: one side of every OR, both sides of every AND. Cargo's old `/` means OR.
fn accepts(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    any(&mut rest) && rest.is_empty() && !tokens.is_empty()
}

fn any(rest: &mut &[&str]) -> bool {
    let mut met = all(rest);
    while let Some((&"OR", tail)) = rest.split_first() {
        *rest = tail;
        met |= all(rest);
    }
    met
}

fn all(rest: &mut &[&str]) -> bool {
    let mut met = one(rest);
    while let Some((&"AND", tail)) = rest.split_first() {
        *rest = tail;
        met &= one(rest);
    }
    met
}

fn one(rest: &mut &[&str]) -> bool {
    let Some((&first, tail)) = rest.split_first() else { return false };
    *rest = tail;
    if first == "(" {
        let met = any(rest);
        return match rest.split_first() {
            Some((&")", tail)) => {
                *rest = tail;
                met
            }
            _ => false,
        };
    }
    if let [with, exception, tail @ ..] = tail
        && *with == "WITH"
    {
        *rest = tail;
        return ALLOWED.contains(&format!("{first} WITH {exception}").as_str());
    }
    ALLOWED.contains(&first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_met_by_one_side_of_or_and_both_of_and() {
        for met in [
            "MIT",
            "MIT OR GPL-3.0",
            "Apache-2.0/MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR MIT",
        ] {
            assert!(accepts(met), "{met}");
        }
        for unmet in
            ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT", "Apache-2.0 WITH Classpath-exception", "AGPL-3.0 OR SSPL-1.0"]
        {
            assert!(!accepts(unmet), "{unmet}");
        }
    }
}
