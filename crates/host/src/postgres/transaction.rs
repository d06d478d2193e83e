//! Whether a statement may leave a transaction open. The driver does not tell the server's transaction status.

/// What a statement does to the connection's transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// None: it is a transaction of its own, or part of the open one.
    None,
    /// Afterwards one may be open.
    Opens,
    /// Afterwards none is, if it succeeds.
    Closes,
    /// COPY has a protocol of its own that the interface does not have; the connection would wait for data for ever.
    Copy,
}

/// By the first word. The extended protocol takes one statement at a time, so no other can hide behind it.
pub(super) fn effect(sql: &str) -> Effect {
    let text = after_comments(sql);
    let word = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let is = |words: &[&str]| words.iter().any(|other| word.eq_ignore_ascii_case(other));
    if word.is_empty() || is(&["BEGIN", "START"]) {
        Effect::Opens
    } else if is(&["COMMIT", "END", "ROLLBACK", "ABORT"]) {
        // AND CHAIN opens the next one, TO SAVEPOINT stays in it, PREPARED is about another.
        let plain = text.len() < 200
            && !text.to_ascii_uppercase().split_whitespace().any(|word| {
                ["CHAIN", "TO", "PREPARED"].iter().any(|other| word.starts_with(other))
                    || word.contains("--")
                    || word.contains("/*")
            });
        if plain { Effect::Closes } else { Effect::Opens }
    } else if is(&["COPY"]) {
        Effect::Copy
    } else {
        Effect::None
    }
}

/// Past white space, parentheses and comments, which nest (PostgreSQL, "Lexical Structure", 4.1.5).
fn after_comments(sql: &str) -> &str {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(' || c == ';');
        if let Some(line) = rest.strip_prefix("--") {
            rest = line.split_once(['\n', '\r']).map_or("", |(_, after)| after);
        } else if let Some(block) = rest.strip_prefix("/*") {
            rest = after_block(block);
        } else {
            return rest;
        }
    }
}

fn after_block(mut rest: &str) -> &str {
    let mut depth = 1;
    while depth > 0 {
        let Some(at) = rest.find(['/', '*']) else { return "" };
        let tail = rest.get(at..).unwrap_or_default();
        rest = if let Some(after) = tail.strip_prefix("*/") {
            depth -= 1;
            after
        } else if let Some(after) = tail.strip_prefix("/*") {
            depth += 1;
            after
        } else {
            tail.get(1..).unwrap_or_default()
        };
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_may_leave_a_transaction_open_is_found_in_every_disguise() {
        for (sql, expected) in [
            ("SELECT 1", Effect::None),
            ("(SELECT 1) UNION (SELECT 2)", Effect::None),
            ("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", Effect::None),
            ("beginning", Effect::None),
            ("BEGIN", Effect::Opens),
            (" \n begin isolation level serializable", Effect::Opens),
            ("/* a /* nested */ * comment */ -- and one\r\n start transaction", Effect::Opens),
            (";BEGIN", Effect::Opens),
            ("/* never closed", Effect::Opens),
            ("", Effect::Opens),
            ("COMMIT", Effect::Closes),
            ("end;", Effect::Closes),
            ("ROLLBACK TRANSACTION", Effect::Closes),
            ("commit and chain", Effect::Opens),
            ("COMMIT/**/AND/**/CHAIN", Effect::Opens),
            ("ROLLBACK TO SAVEPOINT a", Effect::Opens),
            ("ROLLBACK PREPARED 'x'", Effect::Opens),
            ("copy t from stdin", Effect::Copy),
        ] {
            assert_eq!(effect(sql), expected, "{sql}");
        }
    }
}
