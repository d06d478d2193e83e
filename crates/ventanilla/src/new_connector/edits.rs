//! Changes to `spin.toml` and to the workspace's `Cargo.toml` that leave every other line as it is.

use crate::failure::failure;
use anyhow::Result;

/// The manifest with a variable after the last one and the stanza at its end.
pub(super) fn with_stanza(manifest: &str, stanza: &str, variable: &str) -> Result<String> {
    let lines: Vec<&str> = manifest.lines().collect();
    let declared = |line: &&str| line.split('=').next().is_some_and(|name| name.trim() == variable);
    if lines.iter().any(declared) {
        return Err(failure(
            format!("spin.toml has a variable {variable} already"),
            "choose another name, or remove what is left there of an earlier connector of this name",
        ));
    }
    let last = last_of(
        &lines,
        |line| line.trim() == "[variables]",
        |line| line.starts_with('['),
        |line| !line.trim().is_empty() && !line.trim_start().starts_with('#'),
    )
    .ok_or_else(|| failure("spin.toml has no table [variables]", "take spin.toml from the repository again"))?;
    let mut text = insert(&lines, last, &format!("{variable} = {{ default = \"{{}}\", secret = true }}"));
    text.push_str(stanza);
    Ok(text)
}

/// The workspace with a member glob after the last one of `components/`; nothing if it has it.
pub(super) fn with_member(workspace: &str, glob: &str) -> Result<Option<String>> {
    let entry = format!("\"{glob}\",");
    let lines: Vec<&str> = workspace.lines().collect();
    if lines.iter().any(|line| line.trim() == entry) {
        return Ok(None);
    }
    let last = last_of(
        &lines,
        |line| line.trim() == "members = [",
        |line| line.trim() == "]",
        |line| line.trim().starts_with("\"components/"),
    )
    .ok_or_else(|| {
        failure("Cargo.toml has no members under components/", format!("add {entry} to its [workspace] by hand"))
    })?;
    Ok(Some(insert(&lines, last, &format!("  {entry}"))))
}

/// The last line that counts between a line that begins a part and the one that ends it.
fn last_of(
    lines: &[&str],
    begins: impl Fn(&str) -> bool,
    ends: impl Fn(&str) -> bool,
    counts: impl Fn(&str) -> bool,
) -> Option<usize> {
    let start = lines.iter().position(|line| begins(line))?;
    let part = lines.iter().enumerate().skip(start + 1).take_while(|(_, line)| !ends(line));
    Some(part.filter(|(_, line)| counts(line)).last().map_or(start, |(at, _)| at))
}

fn insert(lines: &[&str], after: usize, line: &str) -> String {
    let mut text = String::new();
    for (at, old) in lines.iter().enumerate() {
        text.push_str(old);
        text.push('\n');
        if at == after {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_follows_the_last_one_and_nothing_else_moves() {
        let before = "[variables]\n# a\na = 1\n\n# ---- b\n[b]\nc = 2\n";
        let after = with_stanza(before, "\n[d]\n", "x_y").unwrap();
        let line = "x_y = { default = \"{}\", secret = true }\n";
        assert_eq!(after, format!("[variables]\n# a\na = 1\n{line}\n# ---- b\n[b]\nc = 2\n\n[d]\n"));
        assert!(with_stanza(&after, "", "x_y").is_err());
        assert!(with_stanza("[b]\n", "", "x").is_err());
    }

    #[test]
    fn a_member_is_added_only_if_it_is_missing() {
        let before = "members = [\n  \"components/a/*\",\n  \"tests/x\",\n]\n";
        assert_eq!(with_member(before, "components/a/*").unwrap(), None);
        let after = with_member(before, "components/b/*").unwrap().unwrap();
        assert_eq!(after, "members = [\n  \"components/a/*\",\n  \"components/b/*\",\n  \"tests/x\",\n]\n");
    }
}
