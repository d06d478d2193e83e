//! What the caller does, from options, a script or the keyboard.

use crate::dialects::Act;
use crate::failure::failure;
use anyhow::{Context, Result};
use std::collections::VecDeque;
use std::path::Path;

/// `--say` and `--press` in the order they were given.
pub(crate) fn in_order(matches: &clap::ArgMatches) -> VecDeque<Act> {
    let mut steps: Vec<(usize, Act)> = Vec::new();
    let options: [(&str, fn(String) -> Act); 2] = [("say", Act::Say), ("press", Act::Press)];
    for (name, act) in options {
        let (Some(places), Some(values)) = (matches.indices_of(name), matches.get_many::<String>(name)) else {
            continue;
        };
        steps.extend(places.zip(values).map(|(place, value)| (place, act(value.clone()))));
    }
    steps.sort_by_key(|(place, _)| *place);
    steps.into_iter().map(|(_, act)| act).collect()
}

/// Reads a script.
pub(crate) fn read(file: &Path) -> Result<Vec<Act>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    parse(&text).map_err(|line| {
        failure(
            format!("{}:{line}: not a step", file.display()),
            "write `say TEXT`, `press DIGITS`, `wait` or `hang-up`",
        )
    })
}

/// The steps, or the number of the line that is none.
fn parse(text: &str) -> Result<Vec<Act>, usize> {
    let mut steps = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim().to_owned();
        steps.push(match word {
            "say" if !rest.is_empty() => Act::Say(rest),
            "press" if is_digits(&rest) => Act::Press(rest),
            "wait" => Act::Wait,
            "hang-up" => Act::HangUp,
            _ => return Err(number + 1),
        });
    }
    Ok(steps)
}

/// What somebody typed at a question.
pub(crate) fn typed(line: &str) -> Act {
    match line {
        "" => Act::Wait,
        "q" => Act::HangUp,
        digits if is_digits(digits) => Act::Press(digits.to_owned()),
        text => Act::Say(text.to_owned()),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '*' || c == '#')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    #[test]
    fn options_keep_their_order() {
        let line = ["ventanilla", "call", "--press", "1", "--say", "una farola", "--press", "2", "--say", "adiós"];
        let matches = Cli::command().get_matches_from(line);
        let steps = in_order(matches.subcommand_matches("call").unwrap());
        let expected =
            [Act::Press("1".into()), Act::Say("una farola".into()), Act::Press("2".into()), Act::Say("adiós".into())];
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_script_has_one_step_per_line_and_a_wrong_line_is_named() {
        let steps = parse("# menu\npress 1\n\nsay una farola rota\nwait\nhang-up\n").unwrap();
        let expected = [Act::Press("1".into()), Act::Say("una farola rota".into()), Act::Wait, Act::HangUp];
        assert_eq!(steps, expected);
        assert_eq!(parse("press 1\npress one"), Err(2));
        assert_eq!(parse("say"), Err(1));
    }

    #[test]
    fn digits_are_pressed_and_words_are_said() {
        assert_eq!(typed("4821#"), Act::Press("4821#".into()));
        assert_eq!(typed("hola 1"), Act::Say("hola 1".into()));
        assert_eq!(typed(""), Act::Wait);
    }
}
