//! Ed25519 (RFC 8032 §5.1). Small-order keys are refused: with one, anything verifies.

use ed25519_dalek::{Signature, VerifyingKey};

use crate::{Mismatch, key};

/// The DER of a `SubjectPublicKeyInfo` (RFC 8410 §4) before its 32 bytes of key.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

pub(crate) fn verify(public: &[u8], message: &[u8], tag: &[u8]) -> Result<(), Mismatch> {
    let key = verifying_key(public)?;
    let signature = Signature::from_slice(tag).map_err(|_| Mismatch::Tag("an Ed25519 signature has 64 bytes"))?;
    key.verify_strict(message, &signature).map_err(|_| Mismatch::Wrong)
}

fn verifying_key(public: &[u8]) -> Result<VerifyingKey, Mismatch> {
    const NOT_A_KEY: Mismatch = Mismatch::Key("it is not an Ed25519 public key");
    let spelt = key::spellings(public);
    spelt
        .iter()
        .find_map(|bytes| {
            let raw = bytes.strip_prefix(&SPKI_PREFIX).unwrap_or(bytes);
            VerifyingKey::from_bytes(raw.try_into().ok()?).ok()
        })
        .ok_or(NOT_A_KEY)
}
