//! Checks of what always holds: every invariant and every bad input named has tests that exist, and no component keeps
//! anything of a request.

use crate::layout;
use anyhow::Result;
use std::path::Path;

/// How many there are (ARCHITECTURE.md, docs/invariants.md).
const INVARIANTS: usize = 12;

/// What proves which invariant.
const TABLE: &str = "docs/invariants.md";

/// What proves that which bad input harms nobody: an item each.
const BAD_INPUT: &str = "docs/bad-input.md";

/// How many of them the issues name, at least.
const BAD_INPUTS: usize = 25;

/// Every test named in the tables exists, and every invariant and every bad input has one.
pub(super) fn are_proved() -> Result<Vec<String>> {
    let table = layout::read(&layout::root().join(TABLE))?;
    let mut violations = Vec::new();
    let mut proved = 0;
    for section in table.split("\n## ").skip(1) {
        let heading = section.lines().next().unwrap_or_default();
        let tests: Vec<(&str, &str)> = tests(section).collect();
        if tests.is_empty() {
            violations.push(format!("{TABLE}: {heading}: no test is named"));
        }
        proved += usize::from(!tests.is_empty());
        violations.extend(tests.into_iter().filter_map(|(file, name)| missing(TABLE, heading, file, name)));
    }
    if proved != INVARIANTS {
        violations.push(format!("{TABLE}: {proved} invariants have tests, of {INVARIANTS}"));
    }
    let page = layout::read(&layout::root().join(BAD_INPUT))?;
    for (file, name) in tests(&page) {
        violations.extend(missing(BAD_INPUT, "", file, name));
    }
    let items: Vec<&str> = page.split("\n* ").skip(1).collect();
    for item in &items {
        let item = item.split("\n\n").next().unwrap_or_default();
        if tests(item).next().is_none() {
            violations.push(format!("{BAD_INPUT}: {}: no test is named", item.lines().next().unwrap_or_default()));
        }
    }
    if items.len() < BAD_INPUTS {
        violations.push(format!("{BAD_INPUT}: {} bad inputs, of {BAD_INPUTS}", items.len()));
    }
    Ok(violations)
}

/// What is wrong with a test that a table names.
fn missing(table: &str, heading: &str, file: &str, name: &str) -> Option<String> {
    let at = if heading.is_empty() { table.to_owned() } else { format!("{table}: {heading}") };
    match std::fs::read_to_string(layout::root().join(file)) {
        Err(_) => Some(format!("{at}: there is no file {file}")),
        Ok(text) if !defines(&text, name) => {
            Some(format!("{at}: {file} has no test {name}; name the one that took its place"))
        }
        Ok(_) => None,
    }
}

/// `file::test` between backticks.
fn tests(section: &str) -> impl Iterator<Item = (&str, &str)> {
    section
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.rsplit_once("::"))
        .filter(|(file, _)| file.contains('/'))
}

fn defines(text: &str, name: &str) -> bool {
    ["fn ", "def test_"].iter().any(|word| {
        let start = format!("{word}{name}");
        text.match_indices(&start)
            .any(|(at, _)| text.get(at + start.len()..).is_some_and(|rest| rest.starts_with(['(', '<'])))
    })
}

/// What may outlive a request, with the reason.
const KEPT: [(&str, &str); 3] = [
    ("crates/service-sdk/src/turn.rs", "whether somebody lists the key-value store just now"),
    ("components/gateway/src/settings.rs", "the operator's settings as they were last understood"),
    ("components/gateway/src/wasi.rs", "what the connector and the settings say, which is the same for all"),
];

/// Types that change behind a shared reference.
const CHANGING: [&str; 8] = ["Atomic", "Cell<", "Lazy", "Mutex", "OnceCell", "OnceLock", "RwLock", "UnsafeCell"];

/// No static of a component, nor of what connectors share, can change: instances are reused.
pub(super) fn no_memory() -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for room in ["components", "crates/channel-sdk", "crates/store-sdk", "crates/service-sdk", "crates/signatures"] {
        for file in super::sources::files_below(&layout::root().join(room), &["rs"])? {
            let relative = layout::relative(&file);
            let is_test =
                relative.components().any(|part| part.as_os_str() == "tests") || relative.ends_with("tests.rs");
            if is_test || KEPT.iter().any(|(kept, _)| relative == Path::new(kept)) {
                continue;
            }
            let text = layout::read(&file)?;
            let production = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in production.lines().enumerate().filter(|(_, line)| remembers(line)) {
                violations.push(format!(
                    "{}:{}: an instance serves many requests, and this remembers: {}",
                    relative.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    Ok(violations)
}

/// Whether the line declares something that outlives a request and can change.
fn remembers(line: &str) -> bool {
    let line = line.trim();
    if line.starts_with("//") {
        return false;
    }
    let declared = line.strip_prefix("pub").map_or(line, |rest| rest.trim_start_matches(|c| c != ' ').trim_start());
    let is_static = declared.starts_with("static ");
    line.contains("thread_local!")
        || is_static && (line.contains("static mut ") || CHANGING.iter().any(|name| line.contains(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_outlives_a_request_is_seen() {
        for line in [
            "static COUNT: AtomicU64 = AtomicU64::new(0);",
            "    pub(crate) static LAST: Mutex<Option<String>> = Mutex::new(None);",
            "static mut LAST: u8 = 0;",
            "thread_local! {",
            "pub static X: std::sync::OnceLock<String> = std::sync::OnceLock::new();",
        ] {
            assert!(remembers(line), "{line}");
        }
        for line in [
            "static ES: Phrases = Phrases {",
            "fn f(x: &'static str, cell: Cell<u8>) {",
            "pub(crate) trace: RefCell<Vec<&'static str>>,",
            "// static X: Mutex<u8>",
            "const X: u8 = 0;",
        ] {
            assert!(!remembers(line), "{line}");
        }
    }

    #[test]
    fn tests_are_found_by_file_and_whole_name() {
        let found: Vec<_> = tests("1. A\n* `a/b.rs::one` and `Retry-After`, `c::d`\n* `e/f.py::two`: why").collect();
        assert_eq!(found, [("a/b.rs", "one"), ("e/f.py", "two")]);
        assert!(defines("fn one() {}", "one"));
        assert!(defines("pub fn one<W: World>(world: &W) {", "one"));
        assert!(defines("def test_two():", "two"));
        assert!(!defines("fn one_more() {}", "one"));
        assert!(!defines("// fn of one()", "one"));
    }
}
