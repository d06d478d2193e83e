//! The ways a public key is written: PEM, DER, an X.509 certificate, raw, or one of these in base64 or hexadecimal.

use crate::{Encoding, encoding};

/// Candidates for the key's bytes, the most literal first. What fits no scheme is refused by the scheme.
pub(crate) fn spellings(public: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![public.to_vec()];
    let text = public.trim_ascii();
    if let Some(der) = pem(text) {
        all.push(der);
    } else {
        all.extend(encoding::decode(text, Encoding::Hex));
        all.extend(encoding::decode(text, Encoding::Base64));
    }
    let inside: Vec<_> = all.iter().filter_map(|der| certificate_key(der)).map(<[u8]>::to_vec).collect();
    all.extend(inside);
    all
}

/// RFC 7468: the bytes between the first pair of BEGIN and END lines.
fn pem(text: &[u8]) -> Option<Vec<u8>> {
    let text = core::str::from_utf8(text).ok()?;
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (_, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let body: Vec<u8> = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    encoding::decode(&body, Encoding::Base64).ok()
}

/// The `SubjectPublicKeyInfo` of an X.509 certificate (RFC 5280 §4.1). Who signed it is not looked at: whoever offers a
/// certificate here has got it from a place he trusts.
fn certificate_key(der: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let certificate = Element::read(der).filter(|element| element.tag == SEQUENCE)?;
    let tbs = Element::read(certificate.content).filter(|element| element.tag == SEQUENCE)?;
    let mut rest = tbs.content;
    if Element::read(rest)?.tag == VERSION {
        rest = Element::read(rest)?.after;
    }
    // serialNumber, signature, issuer, validity, subject
    for _ in 0..5 {
        rest = Element::read(rest)?.after;
    }
    Element::read(rest).filter(|element| element.tag == SEQUENCE).map(|element| element.whole)
}

/// One element of DER (X.690 §8.1, definite lengths only).
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
    after: &'a [u8],
}

impl<'a> Element<'a> {
    fn read(der: &'a [u8]) -> Option<Self> {
        let (&tag, rest) = der.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            let (digits, after) = rest
                .split_at_checked(usize::from(first & 0x7f))
                .filter(|(digits, _)| (1..=3).contains(&digits.len()))?;
            rest = after;
            digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit))
        };
        let (content, after) = rest.split_at_checked(length)?;
        let whole = der.get(..der.len() - after.len())?;
        Some(Self { tag, content, whole, after })
    }
}
