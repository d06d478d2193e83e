//! How an envelope is written in the spool. Version 1: the letters `VENS`, the version, then the fields in the order of
//! [`Spooled::encode`] (a text or a list of bytes has its length before it, four bytes, big-endian; what may be absent has a byte 0 or 1
//! before it), and the first eight bytes of the SHA-256 of all that.
//!
//! A program that meets another version leaves the envelope where it is.

use channel_sdk::types::Header;
use signatures::digest::sha256;

use crate::bindings::log::Envelope;

const MAGIC: &[u8; 5] = b"VENS\x01";
const CHECK: usize = 8;

/// A verified envelope, and why it is not to be translated, if so.
#[derive(Clone, Debug)]
pub(crate) struct Spooled {
    pub(crate) envelope: Envelope,
    pub(crate) reason: Option<String>,
}

/// The first piece: how many more there are, and its bytes.
pub(super) fn first(pieces: usize, bytes: &[u8]) -> Vec<u8> {
    let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
    [&pieces.to_be_bytes()[..], bytes].concat()
}

/// What [`first`] made.
pub(super) fn open(piece: &[u8]) -> Option<(u32, &[u8])> {
    let (pieces, bytes) = piece.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*pieces), bytes))
}

impl Spooled {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Envelope { id, tenant, connector, method, target, headers, body, received_at, verified_by, nonce } =
            &self.envelope;
        let mut out = Vec::with_capacity(body.len() + 4096);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&received_at.to_be_bytes());
        for text in [tenant, connector, method, target, verified_by] {
            put(&mut out, text.as_bytes());
        }
        for text in [id, nonce, &self.reason] {
            out.push(u8::from(text.is_some()));
            if let Some(text) = text {
                put(&mut out, text.as_bytes());
            }
        }
        out.extend_from_slice(&length(headers.len()));
        for Header { name, value } in headers {
            put(&mut out, name.as_bytes());
            put(&mut out, value);
        }
        put(&mut out, body);
        let check = sha256(&out);
        out.extend(check.iter().take(CHECK));
        out
    }

    /// `None`: damaged, cut off, or of another version.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, check) = bytes.split_at_checked(bytes.len().checked_sub(CHECK)?)?;
        if sha256(content).get(..CHECK)? != check {
            return None;
        }
        let mut rest = Rest(content.strip_prefix(MAGIC)?);
        let received_at = i64::from_be_bytes(*rest.chunk()?);
        let (tenant, connector, method, target) = (rest.text()?, rest.text()?, rest.text()?, rest.text()?);
        let verified_by = rest.text()?;
        let (id, nonce, reason) = (rest.optional()?, rest.optional()?, rest.optional()?);
        let count = u32::from_be_bytes(*rest.chunk()?);
        let headers =
            (0..count).map(|_| Some(Header { name: rest.text()?, value: rest.bytes()? })).collect::<Option<_>>()?;
        let body = rest.bytes()?;
        let envelope =
            Envelope { id, tenant, connector, method, target, headers, body, received_at, verified_by, nonce };
        rest.0.is_empty().then_some(Self { envelope, reason })
    }
}

fn length(length: usize) -> [u8; 4] {
    // Bodies are limited to megabytes long before.
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length(bytes.len()));
    out.extend_from_slice(bytes);
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn chunk<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(chunk)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(u32::from_be_bytes(*self.chunk()?)).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes.to_vec())
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?).ok()
    }

    fn optional(&mut self) -> Option<Option<String>> {
        match self.chunk()? {
            [0] => Some(None),
            [1] => Some(Some(self.text()?)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spooled(body: &[u8]) -> Spooled {
        let header = |name: &str, value: &[u8]| Header { name: name.into(), value: value.to_vec() };
        Spooled {
            envelope: Envelope {
                id: None,
                tenant: "madrid".into(),
                connector: "telephony/acme".into(),
                method: "POST".into(),
                target: "/voice?a=%20b".into(),
                headers: vec![header("x-bytes", b"\xff\x00"), header("x-bytes", b"")],
                body: body.to_vec(),
                received_at: -5,
                verified_by: "hmac-sha256 auth_token".into(),
                nonce: Some("ñ".into()),
            },
            reason: Some("a trap".into()),
        }
    }

    #[test]
    fn an_envelope_comes_back_byte_for_byte() {
        for body in [&b""[..], b"\x00\xff", &[7; 70_000]] {
            let written = spooled(body);
            let read = Spooled::decode(&written.encode()).unwrap();
            assert_eq!(format!("{read:?}"), format!("{written:?}"));
        }
    }

    #[test]
    fn what_is_cut_off_or_changed_is_not_read() {
        let bytes = spooled(b"body").encode();
        for end in 0..bytes.len() {
            assert!(Spooled::decode(&bytes[..end]).is_none(), "{end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Spooled::decode(&changed).is_none(), "{at}");
        }
    }
}
