//! Where a statement goes, told by its first word. Whether a query is read-only is decided by SQLite itself.

/// Where a statement goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// To a reader, which asks SQLite whether it really is read-only.
    Read,
    /// To the writer, together with others.
    Write,
    /// To the writer, outside any transaction.
    Alone,
    /// Starts a transaction of the handle.
    Begin,
    /// Ends one.
    End,
}

/// Settings the host owns: asked for, they are told; set, they stay as they are.
const OWNED: [&str; 12] = [
    "auto_vacuum",
    "busy_timeout",
    "fullfsync",
    "foreign_keys",
    "journal_mode",
    "locking_mode",
    "mmap_size",
    "query_only",
    "synchronous",
    "trusted_schema",
    "wal_autocheckpoint",
    "writable_schema",
];

/// Tells a statement's kind, or why it is not run.
pub(super) fn classify(sql: &str) -> Result<Kind, &'static str> {
    let text = skip_comments(sql);
    let (word, rest) = first_word(text);
    let kind = match word.to_ascii_uppercase().as_str() {
        "SELECT" | "VALUES" | "WITH" | "EXPLAIN" => {
            if uses_connection_state(text) {
                return Err(
                    "changes(), total_changes() and last_insert_rowid() belong to a connection, and readers have their own: use RETURNING, or the connection's functions",
                );
            }
            Kind::Read
        }
        "BEGIN" | "SAVEPOINT" => Kind::Begin,
        "COMMIT" | "END" | "ROLLBACK" | "RELEASE" => Kind::End,
        "ATTACH" | "DETACH" => {
            return Err(
                "ATTACH and DETACH are not allowed: list the database in sqlite_databases and open it by its label",
            );
        }
        "CREATE" if matches!(first_word(skip_comments(rest)).0.to_ascii_uppercase().as_str(), "TEMP" | "TEMPORARY") => {
            return Err("temporary tables are not kept between statements: use an ordinary table or a WITH clause");
        }
        "VACUUM" | "PRAGMA" => Kind::Alone,
        _ => Kind::Write,
    };
    Ok(kind)
}

/// A pragma that would change what the host owns, as the one that only asks.
pub(super) fn pragma_as_question(sql: &str) -> Option<String> {
    let (word, rest) = first_word(skip_comments(sql));
    if !word.eq_ignore_ascii_case("PRAGMA") {
        return None;
    }
    let rest = skip_comments(rest);
    let name = rest.split(['=', '(', ';']).next().unwrap_or("").trim();
    let bare = name.rsplit('.').next().unwrap_or(name).trim();
    OWNED.iter().any(|owned| bare.eq_ignore_ascii_case(owned)).then(|| format!("PRAGMA {bare}"))
}

fn first_word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    text.split_at(end)
}

/// Without leading white space and comments.
fn skip_comments(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        text = if let Some(comment) = text.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(comment) = text.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            return text;
        };
    }
}

fn uses_connection_state(sql: &str) -> bool {
    let squeezed: String = sql.chars().filter(|c| !c.is_ascii_whitespace()).map(|c| c.to_ascii_lowercase()).collect();
    ["changes()", "last_insert_rowid()"].iter().any(|function| squeezed.contains(function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_go_where_their_first_word_says() {
        for (sql, kind) in [
            (" select 1", Kind::Read),
            ("/* x */ -- y\n WITH a AS (SELECT 1) SELECT * FROM a", Kind::Read),
            ("INSERT INTO t VALUES (1)", Kind::Write),
            ("create table t(x)", Kind::Write),
            ("begin immediate", Kind::Begin),
            ("SAVEPOINT a", Kind::Begin),
            ("commit", Kind::End),
            ("PRAGMA journal_mode=WAL", Kind::Alone),
            ("", Kind::Write),
        ] {
            assert_eq!(classify(sql), Ok(kind), "{sql}");
        }
        for sql in ["ATTACH 'x' AS y", "CREATE TEMP TABLE t(x)", "SELECT last_insert_rowid ( )", "select CHANGES()"] {
            assert!(classify(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn a_guest_can_ask_for_durability_settings_but_not_change_them() {
        assert_eq!(pragma_as_question("PRAGMA synchronous = OFF").as_deref(), Some("PRAGMA synchronous"));
        assert_eq!(pragma_as_question("pragma main.journal_mode(DELETE)").as_deref(), Some("PRAGMA journal_mode"));
        assert_eq!(pragma_as_question("PRAGMA user_version = 3"), None);
        assert_eq!(pragma_as_question("SELECT 1"), None);
    }
}
