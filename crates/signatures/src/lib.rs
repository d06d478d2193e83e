//! Signature schemes, one file each. Pure: no HTTP, no clock, no randomness, no provider.
//!
//! [`verify`] answers one question: does this tag prove that somebody who has the key made this message? Everything a
//! caller might get wrong is refused rather than repaired: an empty key, a public key offered to a MAC, a tag of the wrong
//! length, an algorithm named by the message. Comparisons of secrets and MACs take constant time.
//!
//! Of the asymmetric schemes all verify, and RSA signs ([`sign`]): for networks in which the administration has a key of its own.

mod credential;
pub mod digest;
mod ecdsa_p256;
mod ed25519;
pub mod encoding;
mod hmac;
mod jwt;
mod key;
mod rsa_pkcs1;
pub mod token;
pub mod window;

pub use encoding::Encoding;

/// Nothing longer is a signature, a MAC, a credential or a token.
pub const MAX_TAG: usize = 16 * 1024;

/// How a tag is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 2104 with SHA-1.
    HmacSha1,
    /// RFC 2104 with SHA-256.
    HmacSha256,
    /// RFC 2104 with SHA-512.
    HmacSha512,
    /// RFC 8032.
    Ed25519,
    /// FIPS 186-5 on P-256 with SHA-256: ASN.1 DER, or 64 raw bytes.
    EcdsaP256Sha256,
    /// RFC 8017 §8.2 with SHA-256.
    RsaPkcs1Sha256,
    /// RFC 8017 §8.2 with SHA-1.
    RsaPkcs1Sha1,
    /// RFC 7519 compact token whose header says HS256.
    JwtHs256,
    /// RFC 7519 compact token whose header says RS256.
    JwtRs256,
    /// The tag is the secret.
    SharedSecret,
    /// RFC 7617: the tag is `user:password`, and so is the secret.
    Basic,
    /// RFC 6750: the tag is the token, and so is the secret.
    Bearer,
}

impl Scheme {
    /// As written into the log and into a stored envelope.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha1 => "hmac-sha1",
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha512 => "hmac-sha512",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::RsaPkcs1Sha256 => "rsa-pkcs1-sha256",
            Self::RsaPkcs1Sha1 => "rsa-pkcs1-sha1",
            Self::JwtHs256 => "jwt-hs256",
            Self::JwtRs256 => "jwt-rs256",
            Self::SharedSecret => "shared-secret",
            Self::Basic => "basic",
            Self::Bearer => "bearer",
        }
    }
}

/// Key material. Which of the two it is decides what it may be used for: a public key is known to everybody, so a MAC
/// made with it proves nothing.
#[derive(Clone, Copy)]
pub enum Key<'a> {
    /// Known to us and the provider only. An asymmetric scheme takes it as a public key that the operator keeps quiet.
    Secret(&'a [u8]),
    /// PEM, DER, an X.509 certificate, raw, or one of these in base64.
    Public(&'a [u8]),
}

impl core::fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret(..)",
            Self::Public(_) => "Public(..)",
        })
    }
}

impl<'a> Key<'a> {
    fn secret(self) -> Result<&'a [u8], Mismatch> {
        match self {
            Self::Secret([]) => Err(Mismatch::Key("the secret is empty")),
            Self::Secret(bytes) => Ok(bytes),
            Self::Public(_) => Err(Mismatch::Key("a public key can't prove a MAC or a credential")),
        }
    }

    fn public(self) -> Result<&'a [u8], Mismatch> {
        match self {
            Self::Secret([]) | Self::Public([]) => Err(Mismatch::Key("the key is empty")),
            Self::Secret(bytes) | Self::Public(bytes) => Ok(bytes),
        }
    }
}

/// What is claimed.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// How the tag was made.
    pub scheme: Scheme,
    /// The bytes signed; for a JWT the compact token; for credentials nothing.
    pub message: &'a [u8],
    /// The signature, MAC or credential; for a JWT nothing.
    pub tag: &'a [u8],
    /// How the tag is written.
    pub encoding: Encoding,
}

/// The claim holds. There is no other way to get one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified(());

/// The claim does not hold. The texts say what kind of thing is wrong, never a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The key can't be used: a fault of the configuration, not of the request.
    Key(&'static str),
    /// The tag or token can't be decoded.
    Tag(&'static str),
    /// It was decoded, and it is not right.
    Wrong,
    /// It is right, but not now (`exp`, `nbf` of a token).
    Stale(&'static str),
}

impl core::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Key(why) => write!(f, "the key is not usable: {why}"),
            Self::Tag(why) => write!(f, "the signature can't be decoded: {why}"),
            Self::Wrong => f.write_str("the signature is not the message's"),
            Self::Stale(why) => write!(f, "the token is not valid now: {why}"),
        }
    }
}

impl core::error::Error for Mismatch {}

/// Checks a claim against a key. `now` is in milliseconds since 1970 and matters to tokens only.
///
/// # Errors
/// When the claim does not hold, for whatever reason.
pub fn verify(claim: &Claim<'_>, key: Key<'_>, now: i64) -> Result<Verified, Mismatch> {
    match claim.scheme {
        Scheme::JwtHs256 => jwt::verify_hs256(claim.message, key.secret()?, now)?,
        Scheme::JwtRs256 => jwt::verify_rs256(claim.message, key.public()?, now)?,
        scheme => {
            let tag = encoding::decode(claim.tag, claim.encoding)?;
            match scheme {
                Scheme::HmacSha1 => hmac::verify_sha1(key.secret()?, claim.message, &tag)?,
                Scheme::HmacSha256 => hmac::verify_sha256(key.secret()?, claim.message, &tag)?,
                Scheme::HmacSha512 => hmac::verify_sha512(key.secret()?, claim.message, &tag)?,
                Scheme::Ed25519 => ed25519::verify(key.public()?, claim.message, &tag)?,
                Scheme::EcdsaP256Sha256 => ecdsa_p256::verify(key.public()?, claim.message, &tag)?,
                Scheme::RsaPkcs1Sha256 => rsa_pkcs1::verify_sha256(key.public()?, claim.message, &tag)?,
                Scheme::RsaPkcs1Sha1 => rsa_pkcs1::verify_sha1(key.public()?, claim.message, &tag)?,
                Scheme::SharedSecret | Scheme::Basic | Scheme::Bearer | Scheme::JwtHs256 | Scheme::JwtRs256 => {
                    credential::verify(key.secret()?, &tag)?;
                }
            }
        }
    }
    Ok(Verified(()))
}

/// Makes a MAC: the answer to a challenge, or the signature of a call to a provider.
///
/// # Errors
/// When the scheme is not a MAC, or the key is empty.
pub fn mac(scheme: Scheme, secret: &[u8], message: &[u8]) -> Result<Vec<u8>, Mismatch> {
    let secret = Key::Secret(secret).secret()?;
    match scheme {
        Scheme::HmacSha1 => hmac::sha1(secret, message),
        Scheme::HmacSha256 => hmac::sha256(secret, message),
        Scheme::HmacSha512 => hmac::sha512(secret, message),
        _ => Err(Mismatch::Key("only the HMAC schemes can make a MAC; the others are for verification")),
    }
}

/// Signs what we send: a MAC with a shared secret, or an RSA signature with a private key of ours (PEM).
///
/// # Errors
/// When the scheme is one that we only verify, or the key is not of its kind.
pub fn sign(scheme: Scheme, secret: &[u8], message: &[u8]) -> Result<Vec<u8>, Mismatch> {
    match scheme {
        Scheme::RsaPkcs1Sha256 => rsa_pkcs1::sign_sha256(Key::Secret(secret).secret()?, message),
        scheme => mac(scheme, secret, message),
    }
}

/// Whether two byte strings are equal, in time that depends on neither content.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    credential::equal(a, b)
}
