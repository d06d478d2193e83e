//! What failed, said again at the end: between a failed test and the last line of a run are thousands of others.

/// Lines kept of one program; the whole text is above in the output.
const MOST: usize = 60;

/// What a program said of its failures.
#[derive(Debug, Default)]
pub(crate) struct Recap {
    lines: Vec<String>,
    /// Inside the text of one failed test.
    inside: bool,
}

impl Recap {
    /// Reads one line of a test program's output and keeps it if it tells of a failure.
    ///
    /// Cargo prints the text of failed tests between `---- name stdout ----` and the list that begins with `failures:`;
    /// our Python tests print `FAILED  a sentence: why`, and a traceback before the next `ok` or `FAILED`.
    pub(crate) fn read(&mut self, line: &str) {
        let begins = line.starts_with("---- ") || line.starts_with("FAIL") || line.contains(r#""ok": false"#);
        let ends = line.starts_with("ok ")
            || line.starts_with("SKIPPED")
            || line == "failures:"
            || line.contains(" passed, ")
            || line.starts_with("{\"story\"");
        if begins || ends {
            self.inside = begins;
        }
        if self.inside && !line.trim().is_empty() {
            self.lines.push(line.to_owned());
        }
    }

    /// What it kept, as it is printed, or nothing.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        if self.lines.is_empty() {
            return None;
        }
        let mut text = format!("==> failed in {name}\n");
        for line in self.lines.iter().take(MOST) {
            text.push_str("    ");
            text.push_str(line);
            text.push('\n');
        }
        if self.lines.len() > MOST {
            text.push_str(&format!("    ({} lines more: above)\n", self.lines.len() - MOST));
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recap(output: &str) -> Option<String> {
        let mut recap = Recap::default();
        output.lines().for_each(|line| recap.read(line));
        recap.text("a program")
    }

    #[test]
    fn what_passes_leaves_nothing_to_say() {
        assert_eq!(
            recap("test a ... ok\ntest result: ok. 1 passed; 0 failed;\nok      b (0.1 s)\n1 passed, 0 failed"),
            None
        );
    }

    #[test]
    fn the_text_of_a_failed_rust_test_is_said_again_without_the_rest() {
        let output = "test a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\npanicked at c.rs:1:2:\nleft: 1\n\n\
            failures:\n    b\n\ntest result: FAILED. 1 passed; 1 failed;\ntest c ... ok";
        assert_eq!(
            recap(output).unwrap(),
            "==> failed in a program\n    ---- b stdout ----\n    panicked at c.rs:1:2:\n    left: 1\n"
        );
    }

    #[test]
    fn a_failed_sentence_keeps_its_traceback_up_to_the_next_one() {
        let output =
            "ok      a (0.1 s)\nFAILED  b: KeyError: 'c'\nTraceback:\n  File d\nok      e (0.1 s)\n1 passed, 1 failed";
        assert_eq!(
            recap(output).unwrap(),
            "==> failed in a program\n    FAILED  b: KeyError: 'c'\n    Traceback:\n      File d\n"
        );
        assert!(
            recap("{\"story\": \"a\", \"ok\": false, \"why\": \"b\"}\n{\"story\": \"c\", \"ok\": true}")
                .unwrap()
                .ends_with("\"b\"}\n")
        );
    }

    #[test]
    fn a_flood_is_cut_and_says_so() {
        let text = recap(&format!("FAILED  a\n{}", "x\n".repeat(100))).unwrap();
        assert!(text.ends_with("(41 lines more: above)\n"), "{text}");
    }
}
