//! How tags and digests are written: hexadecimal, base64 (RFC 4648 §4), base64url (§5).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::{MAX_TAG, Mismatch};

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Raw,
    /// Either case; lower case when written.
    Hex,
    /// RFC 4648 §4, with or without padding; with it when written.
    Base64,
    /// RFC 4648 §5, with or without padding; without it when written.
    Base64Url,
}

// Trailing bits that are not zero stay an error: two texts for one tag would make a MAC malleable.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_encode_padding(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT.with_encode_padding(false));

/// Decodes a tag. An empty one, and one longer than [`MAX_TAG`], is refused.
///
/// # Errors
/// When it is not what `encoding` says.
pub fn decode(text: &[u8], encoding: Encoding) -> Result<Vec<u8>, Mismatch> {
    if text.is_empty() {
        return Err(Mismatch::Tag("it is empty"));
    }
    if text.len() > MAX_TAG {
        return Err(Mismatch::Tag("it is too long"));
    }
    match encoding {
        Encoding::Raw => Ok(text.to_vec()),
        Encoding::Hex => hex(text).ok_or(Mismatch::Tag("it is not hexadecimal")),
        Encoding::Base64 => STANDARD.decode(text).map_err(|_| Mismatch::Tag("it is not base64")),
        Encoding::Base64Url => URL_SAFE.decode(text).map_err(|_| Mismatch::Tag("it is not base64url")),
    }
}

/// Writes bytes.
#[must_use]
pub fn encode(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Raw => bytes.to_vec(),
        Encoding::Hex => to_hex(bytes).into_bytes(),
        Encoding::Base64 => STANDARD.encode(bytes).into_bytes(),
        Encoding::Base64Url => URL_SAFE.encode(bytes).into_bytes(),
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes of a secret that is kept as base64, with or without the prefix `whsec_` of Standard Webhooks.
///
/// # Errors
/// When the rest is not base64, or nothing.
pub fn secret_base64(text: &[u8]) -> Result<Vec<u8>, Mismatch> {
    let text = text.trim_ascii();
    let text = text.strip_prefix(b"whsec_").unwrap_or(text);
    match STANDARD.decode(text) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        Ok(_) => Err(Mismatch::Key("the secret is empty")),
        Err(_) => Err(Mismatch::Key("the secret is not base64")),
    }
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    pairs.iter().map(|&[high, low]| Some(nibble(high)? << 4 | nibble(low)?)).collect()
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_in_any_case_and_written_in_lower_case() {
        assert_eq!(decode(b"DeadBEEF", Encoding::Hex).unwrap(), [0xde, 0xad, 0xbe, 0xef]);
        assert_eq!(encode(&[0xde, 0xad, 0x00, 0x9f], Encoding::Hex), b"dead009f");
        for bad in [&b"abc"[..], b"zz", b"0x00", b" 00", b"00 "] {
            assert!(decode(bad, Encoding::Hex).is_err(), "{bad:?}");
        }
    }

    /// RFC 4648 §10.
    #[test]
    fn base64_test_vectors_are_read_with_and_without_padding() {
        for (plain, text) in [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            for encoding in [Encoding::Base64, Encoding::Base64Url] {
                assert_eq!(decode(text.as_bytes(), encoding).unwrap(), plain.as_bytes());
                assert_eq!(decode(text.trim_end_matches('=').as_bytes(), encoding).unwrap(), plain.as_bytes());
            }
            assert_eq!(encode(plain.as_bytes(), Encoding::Base64), text.as_bytes());
            assert_eq!(encode(plain.as_bytes(), Encoding::Base64Url), text.trim_end_matches('=').as_bytes());
        }
    }

    #[test]
    fn the_two_base64_alphabets_are_not_mixed_up() {
        assert_eq!(decode(b"-_8", Encoding::Base64Url).unwrap(), [0xfb, 0xff]);
        assert_eq!(decode(b"+/8=", Encoding::Base64).unwrap(), [0xfb, 0xff]);
        assert!(decode(b"+/8=", Encoding::Base64Url).is_err());
        assert!(decode(b"-_8", Encoding::Base64).is_err());
    }

    #[test]
    fn a_tag_has_only_one_text_apart_from_case_and_padding() {
        assert!(decode(b"Zh==", Encoding::Base64).is_err(), "trailing bits");
        assert!(decode(b"Zg==\n", Encoding::Base64).is_err(), "line end");
    }

    #[test]
    fn nothing_and_too_much_are_refused_in_every_encoding() {
        let long = vec![b'0'; MAX_TAG + 2];
        for encoding in [Encoding::Raw, Encoding::Hex, Encoding::Base64, Encoding::Base64Url] {
            assert!(decode(b"", encoding).is_err());
            assert!(decode(&long, encoding).is_err());
        }
    }

    #[test]
    fn a_base64_secret_may_carry_its_prefix() {
        assert_eq!(secret_base64(b"whsec_Zm9vYmFy").unwrap(), b"foobar");
        assert_eq!(secret_base64(b"Zm9vYmFy\n").unwrap(), b"foobar");
        assert!(secret_base64(b"whsec_").is_err());
        assert!(secret_base64(b"not base64!").is_err());
    }
}
