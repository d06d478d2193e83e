//! RSA PKCS#1 v1.5 signatures (RFC 8017 §8.2).
//!
//! The `rsa` crate is a release candidate. Its known weakness (RUSTSEC-2023-0071, timing of private key operations) was one of
//! version 0.9: 0.10 computes in constant time. We sign, and never decrypt, so nobody chooses the number that is worked on.

use rsa::pkcs1::{DecodeRsaPrivateKey as _, DecodeRsaPublicKey as _};
use rsa::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use rsa::traits::PublicKeyParts as _;
use rsa::{Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use sha2::Digest as _;

use crate::{Mismatch, key};

/// RFC 7518 §3.3 asks for as much, and nobody of today uses less.
const MIN_BYTES: usize = 256;

pub(crate) fn verify_sha256(public: &[u8], message: &[u8], tag: &[u8]) -> Result<(), Mismatch> {
    verify(public, Pkcs1v15Sign { hash_len: Some(32), prefix: SHA256.into() }, &sha2::Sha256::digest(message), tag)
}

pub(crate) fn verify_sha1(public: &[u8], message: &[u8], tag: &[u8]) -> Result<(), Mismatch> {
    verify(public, Pkcs1v15Sign { hash_len: Some(20), prefix: SHA1.into() }, &sha1::Sha1::digest(message), tag)
}

/// Signs with a private key: PEM or DER, PKCS#8 or PKCS#1.
pub(crate) fn sign_sha256(private: &[u8], message: &[u8]) -> Result<Vec<u8>, Mismatch> {
    let key = private_key(private)?;
    if key.size() < MIN_BYTES {
        return Err(Mismatch::Key("an RSA key needs 2048 bits or more"));
    }
    let scheme = Pkcs1v15Sign { hash_len: Some(32), prefix: SHA256.into() };
    key.sign(scheme, &sha2::Sha256::digest(message)).map_err(|_| Mismatch::Key("nothing can be signed with it"))
}

/// RFC 8017 §9.2 note 1: what stands before the digest.
const SHA256: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];
const SHA1: [u8; 15] = [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14];

fn verify(public: &[u8], scheme: Pkcs1v15Sign, digest: &[u8], tag: &[u8]) -> Result<(), Mismatch> {
    let key = public_key(public)?;
    if key.size() < MIN_BYTES {
        return Err(Mismatch::Key("an RSA key needs 2048 bits or more"));
    }
    if tag.len() != key.size() {
        return Err(Mismatch::Tag("it is not as long as the key"));
    }
    key.verify(scheme, digest, tag).map_err(|_| Mismatch::Wrong)
}

fn public_key(public: &[u8]) -> Result<RsaPublicKey, Mismatch> {
    key::spellings(public)
        .iter()
        .find_map(|bytes| {
            RsaPublicKey::from_public_key_der(bytes)
                .or_else(|_| RsaPublicKey::from_pkcs1_der(bytes).map_err(|_| ()))
                .ok()
        })
        .ok_or(Mismatch::Key("it is not an RSA public key"))
}

fn private_key(private: &[u8]) -> Result<RsaPrivateKey, Mismatch> {
    key::spellings(private)
        .iter()
        .find_map(|bytes| {
            RsaPrivateKey::from_pkcs8_der(bytes).or_else(|_| RsaPrivateKey::from_pkcs1_der(bytes).map_err(|_| ())).ok()
        })
        .ok_or(Mismatch::Key("it is not an RSA private key; give it as PEM, without a pass phrase"))
}
