//! The seal on every form handed out: when, which, and the gateway's MAC over both. One form opens one case, however often
//! it is sent.

use channel_sdk::photo::sha256;
use channel_sdk::types::{Check, Context, Encoding, Key, Mac, Request, Scheme, SignedTime};

/// Where the gateway writes the MAC. No text of a citizen or an operator holds it: all of it is escaped.
pub(crate) const PLACEHOLDER: &str = "<mac>";

/// The name of the secret.
pub(crate) const SECRET: &str = "form_secret";

/// WCAG 2.2, 2.2.1: a time limit of more than 20 hours needs no way to extend it.
const VALID_S: u32 = 24 * 3600;

/// A form as handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) issued: i64,
    /// 32 hex digits.
    pub(crate) id: String,
    /// base64url, or the placeholder.
    mac: String,
}

impl Token {
    /// A new one. Its id is what tells this request from all others: the moment, the client's address and port, its headers.
    pub(crate) fn new(request: &Request) -> Self {
        let mut all = format!("{}\n{}\n", request.received_at, request.url).into_bytes();
        for header in &request.headers {
            all.extend_from_slice(header.name.as_bytes());
            all.push(b':');
            all.extend_from_slice(&header.value);
            all.push(b'\n');
        }
        let mut id = sha256(&all);
        id.truncate(32);
        Self { issued: request.received_at, id, mac: PLACEHOLDER.into() }
    }

    /// Reads one that came back. What does not look like one is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('.');
        let (issued, id, mac, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
        let hex = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let base64url =
            mac.len() == 43 && mac.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let digits = issued.len() <= 14 && issued.bytes().all(|byte| byte.is_ascii_digit());
        (hex && base64url && digits).then_some(())?;
        Some(Self { issued: issued.parse().ok()?, id: id.into(), mac: mac.into() })
    }

    /// As it stands in the form.
    pub(crate) fn text(&self) -> String {
        format!("{}.{}.{}", self.issued, self.id, self.mac)
    }

    /// What a proof of work begins with.
    pub(crate) fn challenge(&self) -> String {
        format!("{}.{}", self.issued, self.id)
    }

    /// Milliseconds since it was handed out.
    pub(crate) fn age(&self, request: &Request) -> i64 {
        request.received_at.saturating_sub(self.issued)
    }

    /// Whether it was handed out a day ago at most.
    pub(crate) fn is_current(&self, request: &Request) -> bool {
        (0..=i64::from(VALID_S) * 1000).contains(&self.age(request))
    }

    fn message(&self, context: &Context) -> Vec<u8> {
        format!("form\n{}\n{}\n{}", context.tenant, self.issued, self.id).into_bytes()
    }

    /// What the gateway has to write into the form.
    pub(crate) fn mac(&self, context: &Context) -> Mac {
        Mac {
            scheme: Scheme::HmacSha256,
            key: Key::Secret(SECRET.into()),
            message: self.message(context),
            encoding: Encoding::Base64url,
            placeholder: PLACEHOLDER.into(),
        }
    }

    /// What the gateway has to check. There is no nonce: a browser that sends a photo again does so with other bytes around it,
    /// and somebody who presses twice must be given the reference twice. [`crate::translate`] makes one case of it.
    pub(crate) fn check(&self, context: &Context) -> Check {
        Check {
            scheme: Scheme::HmacSha256,
            key: Key::Secret(SECRET.into()),
            message: self.message(context),
            tag: self.mac.clone().into_bytes(),
            encoding: Encoding::Base64url,
            signed_at: Some(SignedTime { at: self.issued, window_s: VALID_S }),
            nonce: None,
            body_digest: None,
            credential_header: None,
        }
    }
}

/// Whether SHA-256 of `challenge.answer` begins with so many zero bits.
pub(crate) fn is_proven(token: &Token, answer: Option<&str>, bits: u32) -> bool {
    let Some(answer) = answer.filter(|answer| answer.len() <= 16) else { return bits == 0 };
    let digest = sha256(format!("{}.{answer}", token.challenge()).as_bytes());
    let zeros = digest.chars().take_while(|digit| *digit == '0').count();
    let next = digest.chars().nth(zeros).and_then(|digit| digit.to_digit(16)).unwrap_or(0);
    // A hex digit is four of the 32 bits of its number.
    let zeros = u32::try_from(zeros * 4).unwrap_or(0) + next.leading_zeros().saturating_sub(28) % 4;
    zeros >= bits
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn a_token_comes_back_as_it_went_out() {
        let text = format!("1795255200000.{}.{MAC}", "0a".repeat(16));
        assert_eq!(Token::parse(&text).unwrap().text(), text);
        for wrong in [
            "",
            "..",
            "1.2.3",
            &format!("-1.{}.{MAC}", "0a".repeat(16)),
            &format!("{text}.x"),
            &text.replace("0a", "0A"),
        ] {
            assert_eq!(Token::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn work_is_counted_in_bits() {
        let token = Token { issued: 1, id: "a".into(), mac: String::new() };
        let bits = |answer: u32| {
            let digest = sha256(format!("1.a.{answer}").as_bytes());
            let first = u32::from_str_radix(digest.get(..8).unwrap(), 16).unwrap();
            first.leading_zeros()
        };
        let mut seen = [false; 9];
        for answer in 0..2_000 {
            let has = bits(answer);
            for wanted in 0..=16 {
                assert_eq!(is_proven(&token, Some(&answer.to_string()), wanted), has >= wanted, "{answer} {wanted}");
            }
            if let Some(seen) = seen.get_mut(has as usize) {
                *seen = true;
            }
        }
        assert!(seen.iter().all(|seen| *seen), "answers with 0 to 8 bits were all tried");
        assert!(!is_proven(&token, None, 1) && is_proven(&token, None, 0));
    }
}
