//! Text on its way through SQL.

use std::borrow::Cow;

/// A text for an indexed column.
///
/// SQLite's JSON functions end a string at U+0000, so two keys that differ behind one would be the same key. A backslash and a NUL are
/// written `\\` and `\0` in columns; [`unescape`] undoes it. The event's JSON is kept as it is.
pub fn escape(text: &str) -> String {
    if text.contains(['\\', '\0']) { text.replace('\\', "\\\\").replace('\0', "\\0") } else { text.to_owned() }
}

/// Undoes [`escape`].
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('0') => out.push('\0'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}

/// What stands for a NUL where a database has no place for one (PostgreSQL's text and jsonb): this and `0`. It is a noncharacter, which
/// Unicode leaves to programs (§23.7), and written twice when a text has it.
const STAND_IN: char = '\u{fdd0}';

/// A text without NUL, different for different texts; [`stored`] undoes it.
pub fn storable(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', STAND_IN]) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(STAND_IN, "\u{fdd0}\u{fdd0}").replace('\0', "\u{fdd0}0"))
}

/// Undoes [`storable`].
pub fn stored(text: &str) -> Cow<'_, str> {
    stand_in_for(text, "\0")
}

/// [`storable`] for a text of JSON, in which a NUL is written `\u0000`.
pub fn storable_json(json: &str) -> Cow<'_, str> {
    const NUL: &str = "\\u0000";
    if !json.contains(NUL) && !json.contains(STAND_IN) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find(['\\', STAND_IN]) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = from.strip_prefix(NUL) {
            out.push_str("\u{fdd0}0");
            rest = after;
        } else if let Some(after) = from.strip_prefix(STAND_IN) {
            out.push_str("\u{fdd0}\u{fdd0}");
            rest = after;
        } else {
            // A backslash and what it escapes, which may be a backslash.
            let length = from.chars().take(2).map(char::len_utf8).sum();
            let (escape, after) = from.split_at_checked(length).unwrap_or((from, ""));
            out.push_str(escape);
            rest = after;
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Undoes [`storable_json`].
pub fn stored_json(json: &str) -> Cow<'_, str> {
    stand_in_for(json, "\\u0000")
}

fn stand_in_for<'a>(text: &'a str, nul: &str) -> Cow<'a, str> {
    if !text.contains(STAND_IN) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, character == STAND_IN) {
            (_, true) => match characters.next() {
                Some('0') => out.push_str(nul),
                Some(other) => out.push(other),
                None => {}
            },
            (other, false) => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Undoes [`hex`]; none if it isn't hex.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| match std::str::from_utf8(pair) {
            Ok(digits) if digits.len() == 2 && !digits.starts_with('+') => u8::from_str_radix(digits, 16).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_is_undone_and_keeps_different_texts_different() {
        for text in ["", "plain", "a\0b", "a\\0b", "\\", "\\\\0\0", "ñ\u{10ffff}"] {
            assert_eq!(unescape(&escape(text)), text);
            assert!(!escape(text).contains('\0'));
        }
        assert_ne!(escape("a\0b"), escape("a\\0b"));
    }

    #[test]
    fn what_stands_for_nul_is_undone_in_text_and_in_json() {
        for text in ["", "plain", "\0", "a\0b\0", "\u{fdd0}", "\u{fdd0}0\0\u{fdd0}", "\\u0000", "\\\0", "\\\\u0000\0"] {
            let kept = storable(text);
            assert!(!kept.contains('\0'));
            assert_eq!(stored(&kept), text);
            let json = serde_json::json!({"a": [text], text: 1}).to_string();
            let kept = storable_json(&json);
            let held: serde_json::Value = serde_json::from_str(&kept).unwrap();
            assert!(!held["a"][0].as_str().unwrap().contains('\0'), "{kept}");
            assert_eq!(held["a"][0], storable(text).as_ref(), "one way of writing it");
            assert_eq!(stored_json(&kept), json);
        }
        assert_ne!(storable("\0"), storable("\u{fdd0}0"));
    }

    #[test]
    fn hex_goes_there_and_back() {
        assert_eq!(hex(&[0, 255, 16]), "00ff10");
        assert_eq!(unhex("00ff10"), Some(vec![0, 255, 16]));
        assert_eq!(unhex("0"), None);
        assert_eq!(unhex("zz"), None);
    }
}
