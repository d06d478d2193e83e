//! Content transfer encodings, leniently: junk in base64 and bare `=` in quoted-printable are what mail has.

/// Decodes by the name of a `Content-Transfer-Encoding`. Unknown ones are as they are.
pub(crate) fn decode<'a>(encoding: &str, bytes: &'a [u8]) -> std::borrow::Cow<'a, [u8]> {
    match encoding {
        "base64" => base64(bytes).into(),
        "quoted-printable" => quoted_printable(bytes, false).into(),
        // Never standardised, and still sent.
        "x-uuencode" | "uuencode" | "x-uue" | "uue" => uu(bytes).map_or(bytes.into(), Into::into),
        _ => bytes.into(),
    }
}

/// POSIX `uuencode`: a line `begin <mode> <name>`, lines that say how many bytes they hold, and `end`. Nothing if it does not begin so.
/// Spaces at a line's end, which mean zeroes, may be gone.
fn uu(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.by_ref().find(|line| line.starts_with(b"begin "))?;
    let mut decoded = Vec::with_capacity(bytes.len() / 4 * 3);
    for line in lines {
        let value = |byte: u8| byte.wrapping_sub(b' ') & 63;
        let (Some(length), false) = (line.first().map(|length| usize::from(value(*length))), line == b"end") else {
            break;
        };
        let start = decoded.len();
        for group in line.get(1..).unwrap_or_default().chunks(4) {
            let digit = |at: usize| u32::from(group.get(at).map_or(0, |byte| value(*byte)));
            let whole = digit(0) << 18 | digit(1) << 12 | digit(2) << 6 | digit(3);
            decoded.extend(whole.to_be_bytes().into_iter().skip(1));
        }
        // What is missing is zero, what is too much is a check sum.
        decoded.resize(start + length, 0);
    }
    Some(decoded)
}

/// RFC 2045 §6.8: characters outside the alphabet are ignored. Padding ends it; text a mailing list put behind is not data.
pub(crate) fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len() / 4 * 3 + 3);
    let (mut group, mut digits) = (0_u32, 0_u8);
    let mut padding = 0_u8;
    for byte in bytes {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                if digits >= 2 && digits + padding >= 4 {
                    break;
                }
                continue;
            }
            _ => continue,
        };
        padding = 0;
        group = group << 6 | u32::from(value);
        digits += 1;
        if digits == 4 {
            decoded.extend(group.to_be_bytes().into_iter().skip(1));
            (group, digits) = (0, 0);
        }
    }
    match digits {
        2 => decoded.extend((group << 12).to_be_bytes().into_iter().skip(1).take(1)),
        3 => decoded.extend((group << 6).to_be_bytes().into_iter().skip(1).take(2)),
        _ => {}
    }
    decoded
}

/// RFC 2045 §6.7. A `=` that begins nothing stands for itself. `word`: in a header nothing is a line end.
pub(crate) fn quoted_printable(bytes: &[u8], word: bool) -> Vec<u8> {
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut decoded: Vec<u8> = Vec::with_capacity(bytes.len());
    // Where trailing white space of a line would begin: only what was literal may be dropped.
    let mut solid = 0;
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => {
                if !word {
                    decoded.truncate(solid);
                }
                return decoded;
            }
            [b'=', high, low, after @ ..] if let (Some(high), Some(low)) = (nibble(*high), nibble(*low)) => {
                decoded.push(high << 4 | low);
                solid = decoded.len();
                after
            }
            [b'=', after @ ..] if !word && let Some(after) = soft_break(after) => {
                solid = decoded.len();
                after
            }
            [b'\r', b'\n', after @ ..] if !word => {
                decoded.truncate(solid);
                decoded.extend_from_slice(b"\r\n");
                solid = decoded.len();
                after
            }
            [b'\n', after @ ..] if !word => {
                decoded.truncate(solid);
                decoded.push(b'\n');
                solid = decoded.len();
                after
            }
            [byte, after @ ..] => {
                decoded.push(*byte);
                if !matches!(byte, b' ' | b'\t') {
                    solid = decoded.len();
                }
                after
            }
        };
    }
}

/// What follows a soft line break: white space, then the end of the line or of the text.
fn soft_break(after: &[u8]) -> Option<&[u8]> {
    let blank = after.iter().take(1_000).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match after.get(blank..)? {
        [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => Some(rest),
        [] => Some(&[]),
        _ => None,
    }
}

/// Base64 with padding, on one line.
pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |value: u32| ALPHABET.get(usize::try_from(value & 63).unwrap_or(0)).copied().map_or('=', char::from);
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let (group, digits) = match chunk {
            [a, b, c] => (u32::from(*a) << 16 | u32::from(*b) << 8 | u32::from(*c), 4),
            [a, b] => (u32::from(*a) << 16 | u32::from(*b) << 8, 3),
            [a] => (u32::from(*a) << 16, 2),
            _ => continue,
        };
        let all = [group >> 18, group >> 12, group >> 6, group].map(digit);
        text.extend(all.into_iter().take(digits));
        text.extend(core::iter::repeat_n('=', 4 - digits));
    }
    text
}

/// Quoted-printable with CRLF line ends and lines of at most 76 characters.
pub(crate) fn encode_quoted_printable(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + text.len() / 4);
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let mut width = 0;
        let last = line.len().saturating_sub(1);
        for (at, byte) in line.bytes().enumerate() {
            let literal = match byte {
                b' ' | b'\t' => at != last,
                // `From ` and `.` at a line's beginning are changed by some relays.
                b'F' | b'.' => width != 0,
                b'=' => false,
                _ => byte.is_ascii_graphic(),
            };
            let piece = if literal { char::from(byte).to_string() } else { format!("={byte:02X}") };
            if width + piece.len() > 75 {
                encoded.push_str("=\r\n");
                width = 0;
            }
            width += piece.len();
            encoded.push_str(&piece);
        }
        encoded.push_str("\r\n");
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_survives_junk_and_stops_at_padding() {
        for (text, bytes) in [
            ("aGVs\r\nbG8=", b"hello".as_slice()),
            ("aGVsbG8", b"hello"),
            ("aG!V s*bG8=", b"hello"),
            ("aGVsbG8=\r\n--\r\nfooter", b"hello"),
            ("", b""),
            ("=", b""),
            ("a", b""),
            ("YQ==", b"a"),
            ("YQ", b"a"),
            ("YWI=", b"ab"),
        ] {
            assert_eq!(base64(text.as_bytes()), bytes, "{text:?}");
        }
    }

    #[test]
    fn uuencoded_lines_are_decoded_and_what_does_not_begin_so_stays() {
        for (text, bytes) in [
            ("begin 644 a.txt\r\n#0V%T\r\n`\r\nend\r\n", b"Cat".as_slice()),
            ("\nbegin 600 a b.bin\n%:&5L;&\\ \n \nend\n--list--", b"hello"),
            ("begin 644 a\n%:&5L;&\\", b"hello"),
            ("begin 644 a\n#\nend", b"\0\0\0"),
            ("begin 644 a\n", b""),
            ("begin 644 a\n#0V%TXX\nend", b"Cat"),
            ("no begin\n#0V%T", b"no begin\n#0V%T"),
        ] {
            assert_eq!(decode("x-uuencode", text.as_bytes()), bytes, "{text:?}");
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        for length in 0..40_u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(37)).collect();
            assert_eq!(base64(encode_base64(&bytes).as_bytes()), bytes);
        }
        let text = "a\u{f1}o = 5 \u{20ac} \nFrom here\n.\nlong ".to_owned() + &"\u{e1}".repeat(90) + " \n";
        let encoded = encode_quoted_printable(&text);
        assert!(encoded.lines().all(|line| line.len() <= 76) && encoded.is_ascii());
        assert_eq!(
            String::from_utf8(quoted_printable(encoded.as_bytes(), false)).unwrap().replace("\r\n", "\n"),
            text + "\n"
        );
    }

    #[test]
    fn quoted_printable_survives_bare_equal_signs() {
        for (text, bytes) in [
            ("a=F1o", b"a\xf1o".as_slice()),
            ("a=f1o", b"a\xf1o"),
            ("1=2", b"1=2"),
            ("a= \r\nb", b"ab"),
            ("a=\nb", b"ab"),
            ("a=", b"a"),
            ("a=4", b"a=4"),
            ("a \t\r\nb ", b"a\r\nb"),
            ("a=20\r\nb", b"a \r\nb"),
        ] {
            assert_eq!(quoted_printable(text.as_bytes(), false), bytes, "{text:?}");
        }
    }
}
