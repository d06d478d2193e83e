//! Digests of a body that a signature covers in place of the body.

use sha2::{Digest as _, Sha256, Sha512};
use subtle::ConstantTimeEq as _;

use crate::{Encoding, Mismatch, Verified, encoding};

/// Which digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// FIPS 180-4, 32 bytes.
    Sha256,
    /// FIPS 180-4, 64 bytes.
    Sha512,
}

/// SHA-256 of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Checks that `claimed` is the body's digest.
///
/// # Errors
/// When it is not, or can't be decoded.
pub fn verify(algorithm: Algorithm, body: &[u8], claimed: &[u8], written: Encoding) -> Result<Verified, Mismatch> {
    let claimed = encoding::decode(claimed, written)?;
    let same = match algorithm {
        Algorithm::Sha256 => Sha256::digest(body).as_slice().ct_eq(&claimed),
        Algorithm::Sha512 => Sha512::digest(body).as_slice().ct_eq(&claimed),
    };
    if same.into() { Ok(Verified(())) } else { Err(Mismatch::Wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2 appendix B.1 and C.1: the digests of `abc`.
    #[test]
    fn the_digests_of_abc_are_those_of_the_standard() {
        let short = b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let long = b"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        assert!(verify(Algorithm::Sha256, b"abc", short, Encoding::Hex).is_ok());
        assert!(verify(Algorithm::Sha512, b"abc", long, Encoding::Hex).is_ok());
        assert_eq!(verify(Algorithm::Sha256, b"abd", short, Encoding::Hex), Err(Mismatch::Wrong));
        assert_eq!(verify(Algorithm::Sha512, b"abc", short, Encoding::Hex), Err(Mismatch::Wrong));
        assert!(verify(Algorithm::Sha256, b"abc", b"", Encoding::Hex).is_err());
    }
}
