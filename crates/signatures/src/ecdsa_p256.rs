//! ECDSA on P-256 with SHA-256 (FIPS 186-5). Signatures come as ASN.1 DER or as 64 raw bytes (r, s).

use p256::PublicKey;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;

use crate::{Mismatch, key};

pub(crate) fn verify(public: &[u8], message: &[u8], tag: &[u8]) -> Result<(), Mismatch> {
    let key = verifying_key(public)?;
    let mut decoded = false;
    // 64 bytes can be either form, so both are tried.
    for signature in [Signature::from_der(tag), Signature::from_slice(tag)].into_iter().flatten() {
        decoded = true;
        if key.verify(message, &signature).is_ok() {
            return Ok(());
        }
    }
    Err(if decoded { Mismatch::Wrong } else { Mismatch::Tag("it is neither DER nor 64 bytes") })
}

fn verifying_key(public: &[u8]) -> Result<VerifyingKey, Mismatch> {
    key::spellings(public)
        .iter()
        .find_map(|bytes| {
            PublicKey::from_public_key_der(bytes).or_else(|_| PublicKey::from_sec1_bytes(bytes).map_err(|_| ())).ok()
        })
        .map(VerifyingKey::from)
        .ok_or(Mismatch::Key("it is not a P-256 public key"))
}
