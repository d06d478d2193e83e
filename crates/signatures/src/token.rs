//! Our own signed tokens: a short text that names a case inside a mail address or a header and can't be made up.
//!
//! `4821093726-<16 characters>`: the payload, and 80 bits of HMAC-SHA256 in base32 (RFC 4648 §6, lower case). Local parts of
//! mail addresses lose their case on the way, so the token has none. The same payload always gives the same token: it
//! opens nothing, it only lets a message join a case.

use subtle::ConstantTimeEq as _;

use crate::{Mismatch, hmac};

const CHARACTERS: usize = 16;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Makes the token of `payload` (digits, lower-case letters, hyphens) for one tenant.
///
/// # Errors
/// When the secret is empty or the payload has other characters.
pub fn issue(secret: &[u8], tenant: &str, payload: &str) -> Result<String, Mismatch> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if payload.is_empty() || payload.len() > 64 || !payload.bytes().all(fits) {
        return Err(Mismatch::Tag("a token carries up to 64 digits, lower-case letters and hyphens"));
    }
    Ok(format!("{payload}-{}", seal(secret, tenant, payload)?))
}

/// The payload of a token of ours, in lower case.
///
/// # Errors
/// When it is not ours, or another tenant's.
pub fn open(secret: &[u8], tenant: &str, token: &str) -> Result<String, Mismatch> {
    if token.len() > 128 {
        return Err(Mismatch::Tag("it is too long"));
    }
    let token = token.trim().to_ascii_lowercase();
    let (payload, tag) = token.rsplit_once('-').ok_or(Mismatch::Tag("it has no seal"))?;
    if seal(secret, tenant, payload)?.as_bytes().ct_eq(tag.as_bytes()).into() {
        Ok(payload.to_owned())
    } else {
        Err(Mismatch::Wrong)
    }
}

fn seal(secret: &[u8], tenant: &str, payload: &str) -> Result<String, Mismatch> {
    if secret.is_empty() {
        return Err(Mismatch::Key("the secret is empty"));
    }
    // The length keeps (tenant, payload) apart from any other pair with the same concatenation.
    let message = format!("ventanilla thread token 1\n{}\n{tenant}\n{payload}", tenant.len());
    let mac = hmac::sha256(secret, message.as_bytes())?;
    let mut bits = mac.iter().flat_map(|byte| (0..8).rev().map(move |shift| byte >> shift & 1));
    Ok((0..CHARACTERS)
        .filter_map(|_| {
            let index = bits.by_ref().take(5).fold(0_u8, |index, bit| index << 1 | bit);
            ALPHABET.get(usize::from(index)).copied().map(char::from)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_in_whatever_case_the_mail_system_leaves_it() {
        let token = issue(b"secret", "madrid", "4821093726").unwrap();
        assert_eq!(token, issue(b"secret", "madrid", "4821093726").unwrap());
        assert_eq!(token.len(), 10 + 1 + 16);
        assert_eq!(open(b"secret", "madrid", &token).unwrap(), "4821093726");
        assert_eq!(open(b"secret", "madrid", &token.to_ascii_uppercase()).unwrap(), "4821093726");
    }

    #[test]
    fn a_token_is_worthless_for_another_case_tenant_or_secret() {
        let token = issue(b"secret", "madrid", "4821093726").unwrap();
        let other = token.replace("4821093726", "4821093727");
        assert_eq!(open(b"secret", "madrid", &other), Err(Mismatch::Wrong));
        assert_eq!(open(b"secret", "sevilla", &token), Err(Mismatch::Wrong));
        assert_eq!(open(b"another", "madrid", &token), Err(Mismatch::Wrong));
        assert!(open(b"secret", "madrid", "4821093726").is_err());
        assert!(open(b"secret", "madrid", "4821093726-").is_err());
        assert!(open(b"secret", "madrid", "").is_err());
        assert!(open(b"", "madrid", &token).is_err());
    }

    #[test]
    fn tenant_and_payload_can_not_be_shifted_into_each_other() {
        let token = issue(b"secret", "a\nb", "c").unwrap();
        let shifted = token.replacen("c-", "b\nc-", 1);
        assert!(open(b"secret", "a", &shifted).is_err());
    }
}
