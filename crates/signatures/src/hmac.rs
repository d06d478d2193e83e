//! HMAC (RFC 2104) with SHA-1, SHA-256 and SHA-512. Tags are complete: a truncated one is refused.

use hmac::{Hmac, KeyInit as _, Mac as _};
use subtle::ConstantTimeEq as _;

use crate::Mismatch;

macro_rules! scheme {
    ($make:ident, $verify:ident, $hash:ty) => {
        pub(crate) fn $make(secret: &[u8], message: &[u8]) -> Result<Vec<u8>, Mismatch> {
            let mut mac = Hmac::<$hash>::new_from_slice(secret)
                .map_err(|_| Mismatch::Key("HMAC does not take a key this long"))?;
            mac.update(message);
            Ok(mac.finalize().into_bytes().to_vec())
        }

        pub(crate) fn $verify(secret: &[u8], message: &[u8], tag: &[u8]) -> Result<(), Mismatch> {
            if $make(secret, message)?.ct_eq(tag).into() { Ok(()) } else { Err(Mismatch::Wrong) }
        }
    };
}

scheme!(sha1, verify_sha1, sha1::Sha1);
scheme!(sha256, verify_sha256, sha2::Sha256);
scheme!(sha512, verify_sha512, sha2::Sha512);
