//! Bytes to text when the label may lie. Never fails; says when it had to guess.

use encoding_rs::{Encoding, GB18030, ISO_2022_JP, REPLACEMENT, UTF_8, WINDOWS_1252, X_USER_DEFINED};
use mail_parser::decoders::charsets::map::charset_decoder;

use super::transfer;

/// Decoded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Never holds NUL.
    pub text: String,
    /// The label was wrong, unknown or missing where one was needed.
    pub guessed: bool,
}

/// Decodes by a MIME charset label. Labels mean what the WHATWG Encoding Standard says, which is what senders do:
/// `us-ascii` and `iso-8859-1` are windows-1252, `gb2312` is GB 18030, `ks_c_5601-1987` is code page 949.
pub fn decode(label: Option<&str>, bytes: &[u8]) -> Decoded {
    let label = label.map(|label| label.trim().trim_matches(['"', '\''])).filter(|label| !label.is_empty());
    let (text, guessed) = by_label(label, bytes);
    Decoded { text: if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }, guessed }
}

fn by_label(label: Option<&str>, bytes: &[u8]) -> (String, bool) {
    let ascii = label.is_none_or(|label| label.eq_ignore_ascii_case("us-ascii") || label.eq_ignore_ascii_case("ascii"));
    if ascii {
        return unlabelled(bytes);
    }
    let label = label.unwrap_or_default();
    match Encoding::for_label(label.as_bytes()) {
        Some(encoding) if encoding == UTF_8 => match core::str::from_utf8(without_mark(bytes)) {
            Ok(text) => (text.to_owned(), false),
            Err(_) if mostly_utf8(bytes) => (String::from_utf8_lossy(without_mark(bytes)).into_owned(), true),
            Err(_) => (windows_1252(bytes), true),
        },
        Some(encoding) if encoding == REPLACEMENT || encoding == X_USER_DEFINED => unlabelled(bytes),
        Some(encoding) => {
            let encoding = if encoding.name() == "GBK" { GB18030 } else { encoding };
            let (text, _, wrong) = encoding.decode(bytes);
            match core::str::from_utf8(bytes) {
                // Multi-byte labels on UTF-8: webmail that re-coded the text and kept the label.
                Ok(utf8) if wrong && !bytes.is_ascii() => (utf8.to_owned(), true),
                _ => (text.into_owned(), wrong),
            }
        }
        // Code pages of DOS and the like: labels WHATWG does not have.
        None if label.to_ascii_lowercase().ends_with("utf-7") => (utf7(bytes), false),
        None => match charset_decoder(label.as_bytes()) {
            Some(decoder) => (decoder(bytes), false),
            None if is_utf8_alias(label) => by_label(Some("utf-8"), bytes),
            // What Python's own `email` calls it.
            None if label.eq_ignore_ascii_case("eucgb2312_cn") => by_label(Some("gb18030"), bytes),
            None => (unlabelled(bytes).0, true),
        },
    }
}

/// RFC 2152. Base64 of UTF-16 between `+` and whatever is no base64; of that only a `-` belongs to it.
fn utf7(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'+' {
            // Outside of it there is ASCII only; anything else is somebody's Latin-1.
            text.push(char::from(*byte));
            continue;
        }
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')).count();
        let (encoded, after) = rest.split_at(length);
        let units: Vec<u16> = transfer::base64(encoded)
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |unit, byte| unit << 8 | u16::from(*byte)))
            .collect();
        text.push_str(&String::from_utf16_lossy(&units));
        if length == 0 {
            text.push('+');
        }
        rest = after.strip_prefix(b"-").unwrap_or(after);
    }
    text
}

fn is_utf8_alias(label: &str) -> bool {
    ["utf", "utf-8859-1", "utf8mb4", "utf_8", "default", "unknown-8bit", "8bit", "x-unknown", "_autodetect", "binary"]
        .iter()
        .any(|alias| label.eq_ignore_ascii_case(alias))
}

/// Invalid UTF-8 with far more valid multi-byte characters than errors is damaged UTF-8, not another charset.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let (mut errors, mut valid) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        errors += usize::from(!chunk.invalid().is_empty());
        valid += chunk.valid().bytes().filter(|byte| *byte >= 0xc0).count();
    }
    valid > errors
}

fn unlabelled(bytes: &[u8]) -> (String, bool) {
    let bytes = without_mark(bytes);
    match core::str::from_utf8(bytes) {
        Ok(text) if text.contains("\u{1b}$") => {
            let (japanese, _, wrong) = ISO_2022_JP.decode(bytes);
            if wrong { (text.to_owned(), false) } else { (japanese.into_owned(), true) }
        }
        Ok(text) => (text.to_owned(), !text.is_ascii()),
        Err(_) => {
            if let Some((encoding, _)) = Encoding::for_bom(bytes) {
                return (encoding.decode(bytes).0.into_owned(), true);
            }
            (windows_1252(bytes), true)
        }
    }
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn windows_1252(bytes: &[u8]) -> String {
    WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_lie_are_seen_through() {
        for (label, bytes, text, guessed) in [
            (Some("utf-8"), "a\u{f1}o".as_bytes(), "a\u{f1}o", false),
            (Some("utf-8"), b"a\xf1o", "a\u{f1}o", true),
            (Some("us-ascii"), b"5 \x80", "5 \u{20ac}", true),
            (Some("us-ascii"), "a\u{f1}o".as_bytes(), "a\u{f1}o", true),
            (Some("iso-8859-1"), b"5 \x80", "5 \u{20ac}", false),
            (Some("ISO-8859-15"), b"5 \xa4", "5 \u{20ac}", false),
            (Some("gb2312"), b"\x81\x30\x81\x30", "\u{80}", false),
            (Some("ks_c_5601-1987"), b"\xb0\xa1", "\u{ac00}", false),
            (Some("shift_jis"), b"\x87\x40", "\u{2460}", false),
            (Some("gb2312"), "5 \u{20ac}".as_bytes(), "5 \u{20ac}", true),
            (Some("utf-7"), b"a+APE-o", "a\u{f1}o", false),
            (Some("unicode-1-1-utf-7"), b"1 +- +2D3eAA x+AOE\n", "1 + \u{1f600} x\u{e1}\n", false),
            (Some("cp850"), b"\xa4", "\u{f1}", false),
            (Some("x-nobody-knows"), b"a\xf1o", "a\u{f1}o", true),
            (Some("hz-gb-2312"), b"abc", "abc", false),
            (None, b"\x1b$B%F%9%H\x1b(B", "\u{30c6}\u{30b9}\u{30c8}", true),
            (None, b"a\xf1o", "a\u{f1}o", true),
            (None, b"plain", "plain", false),
            (Some("utf-16"), b"\xff\xfea\0\xf1\0", "a\u{f1}", false),
            (Some("utf-8"), b"a\0b", "a\u{fffd}b", false),
            (Some("\"utf-8\""), b"x", "x", false),
        ] {
            assert_eq!(decode(label, bytes), Decoded { text: text.into(), guessed }, "{label:?} {bytes:?}");
        }
    }

    #[test]
    fn damaged_utf_8_stays_utf_8() {
        let mut bytes = "\u{f1}\u{e1}\u{e9}\u{ed} ".repeat(3).into_bytes();
        bytes.insert(8, 0xff);
        let decoded = decode(Some("utf-8"), &bytes);
        assert!(
            decoded.guessed && decoded.text.starts_with("\u{f1}\u{e1}") && decoded.text.contains('\u{fffd}'),
            "{}",
            decoded.text
        );
    }
}
