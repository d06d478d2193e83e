//! Names, identities and encodings of the Cloud API.

use channel_sdk::json_access::Pick;
use channel_sdk::types::Handle;
use serde_json::Value;

/// Where replies go.
pub(crate) const HOST: &str = "graph.facebook.com";
/// Free text may be sent so many seconds after the person's last message.
pub(crate) const WINDOW_S: u32 = 86_400;
/// Characters of a text message.
pub(crate) const MAX_TEXT: u32 = 4096;

/// A person, as far as one delivery says.
///
/// Since 2026 a person may hide the telephone number behind a username. Then there is only the business-scoped user id
/// (BSUID, `ES.1349…`), which is stable for one business portfolio; before, there was only the number.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Person {
    /// Digits in international form.
    pub(crate) wa_id: Option<String>,
    /// BSUID.
    pub(crate) user_id: Option<String>,
}

impl Person {
    pub(crate) fn new(wa_id: Option<String>, user_id: Option<String>) -> Self {
        Self { wa_id, user_id }
    }

    /// What a conversation is known by: the BSUID stays when a number is hidden, so it comes first.
    pub(crate) fn id(&self) -> Option<&str> {
        self.user_id.as_deref().or(self.wa_id.as_deref())
    }

    /// The number if known, else the id.
    pub(crate) fn handle(&self) -> Option<Handle> {
        match self.wa_id.as_deref().and_then(phone) {
            Some(number) => Some(Handle { scheme: "phone".into(), value: number }),
            None => self.id().map(whatsapp),
        }
    }

    /// The id beside the number.
    pub(crate) fn claimed(&self) -> Vec<Handle> {
        let main = self.handle();
        self.user_id.as_deref().map(whatsapp).filter(|handle| Some(handle) != main.as_ref()).into_iter().collect()
    }
}

fn whatsapp(id: &str) -> Handle {
    Handle { scheme: "whatsapp".into(), value: id.into() }
}

/// Our number that a delivery is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    /// Digits of `phone_number_id`.
    pub(crate) id: Option<String>,
    /// E.164.
    pub(crate) number: Option<String>,
}

impl Line {
    pub(crate) fn of(value: &Value) -> Self {
        let metadata = value.at("metadata");
        Self {
            id: metadata.id("phone_number_id"),
            number: metadata.id("display_phone_number").as_deref().and_then(phone),
        }
    }

    /// `<phone_number_id>:<person>`: where an answer goes, and what the thread is known by.
    pub(crate) fn conversation(&self, person: &Person) -> Option<String> {
        Some(format!("{}:{}", self.id.as_deref().unwrap_or_default(), person.id()?))
    }
}

/// Digits in international form, as the API gives them without `+`, as E.164. Separators of display numbers are dropped.
pub(crate) fn phone(raw: &str) -> Option<String> {
    let digits: String = raw.chars().filter(|character| !" +-().\u{a0}".contains(*character)).collect();
    // E.164 §6.2.1: 15 digits at most. Shorter than 7 is no subscriber's number.
    let is_number = (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| format!("+{digits}"))
}

/// Lower-case hex of a media hash, which webhooks give in base64 and the media endpoint in hex.
pub(crate) fn sha256_hex(claimed: &str) -> Option<String> {
    if claimed.len() == 64 && claimed.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(claimed.to_ascii_lowercase());
    }
    let symbols = claimed.trim_end_matches('=');
    // 32 bytes are 43 symbols, of which the last carries two bits of nothing.
    if symbols.len() != 43 {
        return None;
    }
    let mut hex = String::with_capacity(64);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for symbol in symbols.bytes() {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        while count >= 4 && hex.len() < 64 {
            count -= 4;
            hex.push(char::from_digit(bits >> count & 15, 16)?);
        }
    }
    Some(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_numbers_become_e164_and_other_things_do_not() {
        for (raw, number) in [
            ("34600111222", Some("+34600111222")),
            ("+1 (555) 078-3881", Some("+15550783881")),
            ("123456", None),
            ("1234567890123456", None),
            ("ES.1349120865530274", None),
            ("", None),
        ] {
            assert_eq!(phone(raw).as_deref(), number, "{raw}");
        }
    }

    #[test]
    fn a_hash_is_hex_however_it_came() {
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";
        assert_eq!(sha256_hex("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHv8=").unwrap(), hex);
        assert_eq!(sha256_hex(&hex.to_ascii_uppercase()).unwrap(), hex);
        for claimed in ["", "abc", &"!".repeat(43), &"z".repeat(64)] {
            assert_eq!(sha256_hex(claimed), None, "{claimed}");
        }
    }

    #[test]
    fn the_user_id_names_the_conversation_and_the_number_the_person() {
        let both = Person::new(Some("34600111222".into()), Some("ES.42".into()));
        assert_eq!(both.id(), Some("ES.42"));
        assert_eq!(both.handle(), Some(Handle { scheme: "phone".into(), value: "+34600111222".into() }));
        assert_eq!(both.claimed(), [Handle { scheme: "whatsapp".into(), value: "ES.42".into() }]);
        let hidden = Person::new(None, Some("ES.42".into()));
        assert_eq!(hidden.handle(), Some(Handle { scheme: "whatsapp".into(), value: "ES.42".into() }));
        assert_eq!(hidden.claimed(), []);
    }
}
