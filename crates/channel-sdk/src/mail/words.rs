//! RFC 2047 encoded words. Adjacent words of one charset are joined before decoding: many senders cut a character in two.

use super::{charset, transfer};

enum Piece {
    Plain(Vec<u8>),
    Encoded { charset: String, bytes: Vec<u8> },
}

/// The text of an unstructured value: decoded, on one line, without control characters.
pub(crate) fn decode(value: &[u8]) -> String {
    let mut text = String::new();
    for piece in pieces(value) {
        match piece {
            Piece::Plain(bytes) => text.push_str(&charset::decode(None, &bytes).text),
            Piece::Encoded { charset, bytes } => text.push_str(&charset::decode(Some(&charset), &bytes).text),
        }
    }
    // What was NUL says nothing in a header.
    clean(text.trim_end_matches('\u{fffd}'))
}

/// The same value with every run of encoded words as one word of UTF-8, so that a parser of structured fields that decodes
/// word by word sees whole characters, and no decoded comma or bracket. Other bytes become UTF-8.
pub(crate) fn rejoin(value: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(value.len());
    for piece in pieces(value) {
        match piece {
            Piece::Plain(bytes) => line.extend_from_slice(charset::decode(None, &bytes).text.as_bytes()),
            Piece::Encoded { charset, bytes } => {
                let text = charset::decode(Some(&charset), &bytes).text;
                line.extend_from_slice(format!("=?utf-8?B?{}?=", transfer::encode_base64(text.as_bytes())).as_bytes());
            }
        }
    }
    line.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
    line
}

/// One line, trimmed, without control characters: safe to put into a header again.
pub(crate) fn clean(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.trim().to_owned()
}

/// An ASCII header value: the text itself, or encoded words of at most 75 characters (RFC 2047 §2) on folded lines.
pub(crate) fn encode(text: &str) -> String {
    let text = clean(text);
    if text.is_ascii() && !text.contains("=?") {
        return text;
    }
    let mut words: Vec<String> = vec![String::new()];
    for character in text.chars() {
        // 45 bytes are 60 characters of base64, 72 with the marks.
        if words.last().is_some_and(|word| word.len() + character.len_utf8() > 45) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(character);
        }
    }
    let words: Vec<String> =
        words.iter().map(|word| format!("=?utf-8?B?{}?=", transfer::encode_base64(word.as_bytes()))).collect();
    words.join("\r\n ")
}

fn pieces(value: &[u8]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut plain: Vec<u8> = Vec::new();
    let mut rest = value;
    while let Some((byte, after)) = rest.split_first() {
        if let Some((charset, bytes, after)) = word(rest) {
            let blank = plain.iter().all(u8::is_ascii_whitespace);
            match pieces.last_mut() {
                // RFC 2047 §6.2: white space between adjacent words is not shown.
                Some(Piece::Encoded { charset: last, bytes: joined })
                    if blank && last.eq_ignore_ascii_case(&charset) && !is_stateful(&charset) =>
                {
                    joined.extend(bytes);
                }
                last => {
                    let between_words = blank && matches!(last, Some(Piece::Encoded { .. }));
                    if !between_words && !plain.is_empty() {
                        pieces.push(Piece::Plain(core::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Encoded { charset, bytes });
                }
            }
            plain.clear();
            rest = after;
        } else {
            plain.push(*byte);
            rest = after;
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Plain(plain));
    }
    pieces
}

/// Charsets with escape sequences: every word begins and ends in ASCII (RFC 1468), and joined they would be malformed.
fn is_stateful(charset: &str) -> bool {
    charset.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("iso-2022-"))
}

/// `=?charset*language?B?…?=` at the beginning of the text.
fn word(text: &[u8]) -> Option<(String, Vec<u8>, &[u8])> {
    let rest = text.strip_prefix(b"=?")?;
    let mark = |bytes: &[u8], limit: usize| bytes.iter().take(limit).position(|byte| *byte == b'?');
    let end = mark(rest, 80)?;
    let charset = rest.get(..end)?;
    if charset.is_empty() || !charset.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let charset = charset.split(|byte| *byte == b'*').next().unwrap_or_default();
    let [encoding, b'?', rest @ ..] = rest.get(end + 1..)? else { return None };
    // In Q a bare `?` should not occur, but does; the end mark decides.
    let end = rest.windows(2).position(|pair| pair == b"?=")?;
    let end = if matches!(encoding, b'q' | b'Q')
        && rest.get(end + 2).is_some_and(u8::is_ascii_hexdigit)
        && rest.get(end + 3).is_some_and(u8::is_ascii_hexdigit)
    {
        // `…?=41…`: an encoded byte after a bare question mark, unless no other end follows.
        rest.get(end + 2..)
            .and_then(|later| later.windows(2).position(|pair| pair == b"?="))
            .filter(|later| !rest.get(end + 2..end + 2 + later).is_some_and(|text| text.contains(&b' ')))
            .map_or(end, |later| end + 2 + later)
    } else {
        end
    };
    let content = rest.get(..end)?;
    let bytes = match encoding {
        b'b' | b'B' => transfer::base64(content),
        b'q' | b'Q' => {
            let spaced: Vec<u8> = content.iter().map(|byte| if *byte == b'_' { b' ' } else { *byte }).collect();
            transfer::quoted_printable(&spaced, true)
        }
        _ => return None,
    };
    Some((String::from_utf8_lossy(charset).into_owned(), bytes, rest.get(end + 2..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_words_are_joined_before_decoding() {
        for (value, text) in [
            ("=?utf-8?Q?a=C3?= =?UTF-8?Q?=B1o?=", "a\u{f1}o"),
            ("=?utf-8?B?w7E=?=\t =?utf-8?Q?_x?= y", "\u{f1} x y"),
            ("=?iso-8859-1?Q?=F1?= =?utf-8?Q?=C3=B1?=", "\u{f1}\u{f1}"),
            ("=?iso-2022-jp?B?GyRCJUYlOSVIGyhC?=", "\u{30c6}\u{30b9}\u{30c8}"),
            (
                "=?iso-2022-jp?B?GyRCJUYlOSVIGyhC?= =?ISO-2022-JP?B?GyRCJUYlOSVIGyhC?=",
                "\u{30c6}\u{30b9}\u{30c8}\u{30c6}\u{30b9}\u{30c8}",
            ),
            ("=?gb2312?B?xOO6ww==?=", "\u{4f60}\u{597d}"),
            ("Re: =?utf-8*es?Q?ca=C3=B1o?= roto", "Re: ca\u{f1}o roto"),
            ("a =?broken", "a =?broken"),
            ("=?utf-8?X?abc?=", "=?utf-8?X?abc?="),
            ("=?nonsense?Q?caf=E9?=", "caf\u{e9}"),
            ("=?us-ascii?Q?caf=E9?=", "caf\u{e9}"),
            ("=?utf-8?Q?caf=E9?=", "caf\u{e9}"),
            ("=?utf-8?Q?=BFqu=E9?=", "\u{bf}qu\u{e9}"),
            ("=?utf-8?Q?a?b?=", "a?b"),
        ] {
            assert_eq!(decode(value.as_bytes()), text, "{value}");
        }
    }

    #[test]
    fn raw_eight_bit_is_utf_8_or_else_windows_1252() {
        assert_eq!(decode("ca\u{f1}o".as_bytes()), "ca\u{f1}o");
        assert_eq!(decode(b"ca\xf1o"), "ca\u{f1}o");
    }

    #[test]
    fn decoded_text_can_not_end_a_header() {
        let text = decode(b"=?utf-8?Q?x=0D=0ABcc:_a@b=00?=");
        assert_eq!(text, "x  Bcc: a@b");
    }

    #[test]
    fn what_is_encoded_decodes_to_itself_on_short_lines() {
        for text in ["plain", "a\u{f1}o", "\u{1f600}".repeat(60).as_str(), "=?x?= y", &"\u{f1} ".repeat(200)] {
            let encoded = encode(text);
            assert!(encoded.is_ascii() && encoded.split("\r\n").all(|line| line.len() <= 76), "{encoded}");
            assert_eq!(decode(encoded.replace("\r\n", "").as_bytes()), text.trim());
        }
    }
}
