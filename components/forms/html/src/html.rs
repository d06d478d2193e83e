//! Text that can't become mark-up.

/// Escapes for content and for quoted attributes. C0 controls but tab and line feed, which HTML does not allow as
/// characters (WHATWG HTML §13.1.4), and the bidirectional overrides, by which a name could reorder the words around it, are
/// left out.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' => escaped.push(character),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => {}
            control if control.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}

/// As [`escape`], for the value of `href`: only a web page, a mail address or a telephone number is linked to.
pub(crate) fn link(url: &str) -> Option<String> {
    let is_link = ["https://", "http://", "mailto:", "tel:"].iter().any(|scheme| url.starts_with(scheme));
    (is_link && url.bytes().all(|byte| byte.is_ascii_graphic())).then(|| escape(url))
}

/// At most this many bytes of a text.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_written_becomes_markup() {
        assert_eq!(
            escape("<a b='c' d=\"e\">&amp;\u{0}\u{b}\u{202e}\r\n\u{85}ñ"),
            "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;amp;\nñ"
        );
        assert_eq!(link("javascript:alert(1)"), None);
        assert_eq!(link("https://a.example/\"x"), Some("https://a.example/&quot;x".into()));
        assert_eq!(link("https://a.example/ x"), None);
        assert_eq!(cut("ñandú", 1), "");
    }
}
