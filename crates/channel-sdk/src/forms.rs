//! `application/x-www-form-urlencoded`, decoded exactly: what was signed must come out byte for byte.
//!
//! WHATWG URL §5.1: `+` is a space, `%XX` a byte, and a `%` without two hex digits stands for itself. Order and
//! duplicates are kept.

use core::fmt;

/// No provider sends more, and a table of a million empty pairs is an attack.
pub const MAX_PAIRS: usize = 1_000;

/// More than [`MAX_PAIRS`] pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyPairs;

impl fmt::Display for TooManyPairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the form has more than {MAX_PAIRS} fields")
    }
}

impl std::error::Error for TooManyPairs {}

/// One field, decoded, as bytes: a signature covers what came, UTF-8 or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Decoded name.
    pub name: Vec<u8>,
    /// Decoded value.
    pub value: Vec<u8>,
}

/// The fields of a form in the order they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    pairs: Vec<Pair>,
}

impl Form {
    /// Reads a body or a query (without `?`).
    ///
    /// # Errors
    ///
    /// [`TooManyPairs`]. Any other bytes are a form.
    pub fn parse(input: &[u8]) -> Result<Self, TooManyPairs> {
        let mut pairs = Vec::new();
        for piece in input.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty()) {
            if pairs.len() == MAX_PAIRS {
                return Err(TooManyPairs);
            }
            let mut halves = piece.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default());
            let value = decode(halves.next().unwrap_or_default());
            pairs.push(Pair { name, value });
        }
        Ok(Self { pairs })
    }

    /// All fields, in order, as bytes.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// The first value of a name as text, also when it is empty. See [`text`].
    pub fn get(&self, name: &str) -> Option<String> {
        self.pairs.iter().find(|pair| pair.name == name.as_bytes()).map(|pair| text(&pair.value))
    }

    /// The first value of a name as trimmed text; absent when nothing is left of it.
    pub fn filled(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Whether a name is there, with any value.
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|pair| pair.name == name.as_bytes())
    }

    /// Appends the fields of another form, e.g. a body's to those of the query.
    ///
    /// # Errors
    ///
    /// [`TooManyPairs`] of both together.
    pub fn extend(&mut self, other: Form) -> Result<(), TooManyPairs> {
        if self.pairs.len() + other.pairs.len() > MAX_PAIRS {
            return Err(TooManyPairs);
        }
        self.pairs.extend(other.pairs);
        Ok(())
    }
}

/// Bytes as text: what is not UTF-8 becomes U+FFFD, and so does NUL, which no database's text can hold.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

fn decode(encoded: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    loop {
        rest = match rest {
            [] => return decoded,
            [b'+', after @ ..] => {
                decoded.push(b' ');
                after
            }
            [b'%', high, low, after @ ..] if let (Some(high), Some(low)) = (nibble(*high), nibble(*low)) => {
                decoded.push(high << 4 | low);
                after
            }
            [byte, after @ ..] => {
                decoded.push(*byte);
                after
            }
        };
    }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Encodes pairs as a form, for requests to providers.
pub fn encode(pairs: &[(&str, &str)]) -> String {
    let mut form = String::new();
    for (name, value) in pairs {
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(&encode_component(name));
        form.push('=');
        form.push_str(&encode_component(value));
    }
    form
}

/// RFC 3986 unreserved characters stay, every other byte is `%XX`: safe in a query's value, a form and a path segment.
pub fn encode_component(text: &str) -> String {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or('0');
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(input: &str) -> Form {
        Form::parse(input.as_bytes()).unwrap()
    }

    #[test]
    fn plus_is_a_space_and_is_decoded_once() {
        assert_eq!(form("a=%2B34+6").get("a").unwrap(), "+34 6");
        assert_eq!(form("a=%252B").get("a").unwrap(), "%2B");
    }

    #[test]
    fn a_broken_escape_stands_for_itself() {
        for (input, value) in
            [("a=%", "%"), ("a=%4", "%4"), ("a=%zz%41", "%zzA"), ("a=%%41", "%A"), ("a=100%+", "100% ")]
        {
            assert_eq!(form(input).get("a").unwrap(), value, "{input}");
        }
    }

    #[test]
    fn order_duplicates_and_empty_values_are_kept() {
        let form = form("b=2&a=1&b=&c&&=x");
        let names: Vec<&[u8]> = form.pairs().iter().map(|pair| pair.name.as_slice()).collect();
        assert_eq!(names, [b"b".as_slice(), b"a", b"b", b"c", b""]);
        assert_eq!(form.get("c").as_deref(), Some(""));
        assert_eq!(form.filled("c"), None);
        assert!(form.has("c") && !form.has("d"));
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_kept_for_signing_and_replaced_in_text() {
        let form = form("a=%ff%00x");
        assert_eq!(form.pairs()[0].value, b"\xff\0x");
        assert_eq!(form.get("a").unwrap(), "\u{fffd}\u{fffd}x");
    }

    #[test]
    fn too_many_fields_are_refused() {
        assert!(Form::parse("a&".repeat(MAX_PAIRS).as_bytes()).is_ok());
        assert_eq!(Form::parse("a&".repeat(MAX_PAIRS + 1).as_bytes()), Err(TooManyPairs));
        let mut half = form(&"a&".repeat(600));
        assert_eq!(half.extend(form(&"a&".repeat(401))), Err(TooManyPairs));
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        for value in ["", "a b", "+34&=%#?", "ñ€\u{1f600}", "\r\n\0"] {
            let encoded = encode(&[("n", value)]);
            assert_eq!(Form::parse(encoded.as_bytes()).unwrap().pairs()[0].value, value.as_bytes());
        }
    }
}
