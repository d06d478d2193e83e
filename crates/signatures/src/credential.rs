//! Credentials that travel with the request: shared secret, HTTP Basic (RFC 7617), bearer token (RFC 6750).

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::Mismatch;

pub(crate) fn verify(secret: &[u8], tag: &[u8]) -> Result<(), Mismatch> {
    if equal(secret, tag) { Ok(()) } else { Err(Mismatch::Wrong) }
}

/// Digests are compared, so that not even the secret's length shows in the time it takes.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    Sha256::digest(a).as_slice().ct_eq(Sha256::digest(b).as_slice()).into()
}
