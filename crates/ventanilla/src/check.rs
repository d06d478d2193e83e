//! `ventanilla check`: whether a component keeps the contract of a connector, in words for who has never seen this repository.

use crate::cli::CheckComponentOptions;
use crate::failure::failure;
use crate::output::clean;
use anyhow::Result;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;
use testkit::connector_suite::verdict::{self, Result as Found, Verdict};
use ventanilla_host::connector::Connector;

/// Lines of one failure that are shown; `--json` has all.
const LINES: usize = 12;
/// Characters of one such line.
const WIDTH: usize = 400;

/// Tries every rule and says which hold.
pub(crate) fn run(options: &CheckComponentOptions) -> Result<()> {
    if !options.component.is_file() {
        return Err(failure(
            format!("there is no file {}", options.component.display()),
            "give a built component, e.g. target/components/<channel>-<vendor>.wasm after `cargo xtask build`",
        ));
    }
    if let Some(folder) = options.cases.as_ref().filter(|folder| !folder.is_dir()) {
        return Err(failure(
            format!("there is no folder {}", folder.display()),
            "give the folder that has context.json and one folder per story",
        ));
    }
    let cases = options.cases.clone().or_else(|| own_cases(options));
    let verdict = verdict::check(&options.component, cases.as_deref());
    let failed = verdict.count(&Found::Failed);
    if options.json {
        let mut said = serde_json::to_value(&verdict)?;
        said["file"] = options.component.display().to_string().into();
        said["cases"] = cases.map_or(json!(null), |folder| folder.display().to_string().into());
        said["ok"] = (failed == 0).into();
        println!("{said:#}");
    } else {
        print!("{}", page(&verdict));
    }
    if failed > 0 {
        return Err(failure(
            format!("{} does not keep the contract: {failed} rule(s) broken", options.component.display()),
            "each is named above with the request that broke it and what to do",
        ));
    }
    Ok(())
}

/// Of a connector of this repository: its `testdata`, if it is run here.
fn own_cases(options: &CheckComponentOptions) -> Option<PathBuf> {
    let said = Connector::load(&options.component).ok()?.describe().ok()?;
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (is_name(&said.channel) && is_name(&said.vendor))
        .then(|| PathBuf::from("components").join(said.channel).join(said.vendor).join("testdata"))
        .filter(|folder| folder.is_dir())
}

/// The verdict, rule by rule.
fn page(verdict: &Verdict) -> String {
    let mut page = String::new();
    if let Some(connector) = &verdict.connector {
        let _ = writeln!(page, "{}", clean(connector));
    }
    for rule in &verdict.rules {
        let word = match rule.result {
            Found::Ok => "ok",
            Found::Failed => "FAILED",
            Found::NotTried => "not tried",
        };
        let _ = writeln!(page, "  {word:9}  {}", rule.rule);
        let mut lines = rule.detail.lines();
        for line in lines.by_ref().take(LINES) {
            let _ = writeln!(page, "             {}", crate::output::shorten(line, WIDTH));
        }
        let more = lines.count();
        if more > 0 {
            let _ = writeln!(page, "             … and {more} more lines; --json has them");
        }
        if !rule.remedy.is_empty() {
            let _ = writeln!(page, "             what to do: {}", rule.remedy);
        }
    }
    let (ok, failed) = (verdict.count(&Found::Ok), verdict.count(&Found::Failed));
    let open = verdict.count(&Found::NotTried);
    let _ = writeln!(page, "{ok} rules hold, {failed} broken, {open} not tried");
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::connector_suite::verdict::Rule;

    #[test]
    fn a_verdict_says_per_rule_what_failed_and_what_to_do() {
        let rule = |result, detail: &str, remedy| Rule { rule: "it holds", result, detail: detail.into(), remedy };
        let verdict = Verdict {
            connector: Some("chat/\u{1b}[2Jecho".into()),
            rules: vec![
                rule(Found::Ok, "", ""),
                rule(Found::Failed, &"Body byte 3\n".repeat(20), "mend it"),
                rule(Found::NotTried, "no cases", "give some"),
            ],
        };
        let page = page(&verdict);
        assert!(!page.contains('\u{1b}'), "{page}");
        for said in ["FAILED", "Body byte 3", "8 more lines", "mend it", "1 rules hold, 1 broken, 1 not tried"] {
            assert!(page.contains(said), "{said}: {page}");
        }
    }
}
