//! What is shown to people: tables, times, and text from strangers made harmless.

use serde_json::Value;

/// Text without control characters: what a citizen wrote must not steer the terminal.
pub(crate) fn clean(text: &str) -> String {
    // Bidirectional overrides make text read as something else.
    let hidden = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if hidden(c) { ' ' } else { c }).collect()
}

/// At most `width` characters, on one line.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= width {
        return text;
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// `2026-11-21T20:02:42Z` as `2026-11-21 20:02:42`.
pub(crate) fn time(rfc3339: &str) -> String {
    rfc3339.get(..19).unwrap_or(rfc3339).replace('T', " ")
}

/// A member as text; empty if absent.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The members of a list; none if absent.
pub(crate) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Columns of a table that may be printed row by row.
pub(crate) struct Table {
    columns: &'static [(&'static str, usize)],
    begun: bool,
}

impl Table {
    /// Names and widths; the last column takes the rest of the line.
    pub(crate) fn new(columns: &'static [(&'static str, usize)]) -> Table {
        Table { columns, begun: false }
    }

    /// A row, after the heading if it is the first.
    pub(crate) fn row(&mut self, cells: &[&str]) -> String {
        let mut lines = String::new();
        if !self.begun {
            self.begun = true;
            let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
            lines = self.line(&names) + "\n";
        }
        lines + &self.line(cells)
    }

    fn line(&self, cells: &[&str]) -> String {
        let mut line = String::new();
        for (cell, (_, width)) in cells.iter().zip(self.columns) {
            line.push_str(&format!("{:width$}  ", shorten(cell, *width)));
        }
        line.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_strangers_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\r\nc\u{202e}d"), "a [2Jb  c d");
    }

    #[test]
    fn a_table_has_one_heading_and_aligned_columns() {
        let mut table = Table::new(&[("A", 3), ("B", 5)]);
        assert_eq!(table.row(&["1", "two"]), "A    B\n1    two");
        assert_eq!(table.row(&["12345", "ñandúes"]), "12…  ñand…");
    }
}
