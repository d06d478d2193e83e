//! Telephone numbers and SIP addresses as providers write them.

use crate::types::Handle;

/// Who is calling, as far as the provider says.
#[derive(Debug, Clone, PartialEq)]
pub enum Caller {
    /// Nothing, or one of the words providers use for a withheld number.
    Withheld,
    /// An address.
    Known(Handle),
}

impl Caller {
    /// The address, if there is one.
    pub fn handle(self) -> Option<Handle> {
        match self {
            Self::Withheld => None,
            Self::Known(handle) => Some(handle),
        }
    }
}

/// Words that stand where a number should: Twilio's, ISUP's, SIP's (RFC 3323 §4.1) and those of common exchanges.
const WITHHELD: [&str; 12] = [
    "anonymous",
    "restricted",
    "unknown",
    "unavailable",
    "private",
    "withheld",
    "blocked",
    "no-caller-id",
    "asserted",
    "nobody",
    "null",
    "undefined",
];

/// Digits that spell a word on the keypad, as Twilio gives them: ANONYMOUS, RESTRICTED, UNKNOWN, UNAVAILABLE, BLOCKED, PRIVATE.
const WITHHELD_DIGITS: [&str; 6] = ["266696687", "7378742833", "8656696", "86282452253", "2562533", "7748283"];

/// Reads what stands in a `From` field: a number, `sip:`/`sips:`/`tel:` address, `client:` name.
///
/// A number gets a `+` only where the provider gave one: a country code is never guessed.
pub fn caller(raw: &str) -> Caller {
    let raw = raw.trim().trim_start_matches('<').trim_end_matches('>');
    let lower = raw.to_ascii_lowercase();
    for scheme in ["sip:", "sips:"] {
        if lower.starts_with(scheme) {
            return sip(raw.get(scheme.len()..).unwrap_or_default());
        }
    }
    if lower.starts_with("client:") {
        return known("client", raw.get("client:".len()..).unwrap_or_default());
    }
    let number = if lower.starts_with("tel:") { raw.get("tel:".len()..).unwrap_or_default() } else { raw };
    let number = number.split(';').next().unwrap_or_default();
    if is_withheld(number) {
        return Caller::Withheld;
    }
    match number_of(number) {
        Some(number) => known("phone", &number),
        None if number.contains('@') => known("sip", number),
        None => known("account", number),
    }
}

/// A number with its visual separators (RFC 3966 §5.1.1) removed, if it is one. `+` stays if it was there.
pub fn number_of(raw: &str) -> Option<String> {
    let mut number = String::with_capacity(raw.len());
    for (place, character) in raw.trim().chars().enumerate() {
        match character {
            '0'..='9' => number.push(character),
            '+' if place == 0 => number.push('+'),
            '-' | '.' | '(' | ')' | ' ' | '/' => {}
            _ => return None,
        }
    }
    let digits = number.trim_start_matches('+').len();
    // E.164 §6.2.1: 15 digits at most; some networks put a prefix before it.
    (1..=20).contains(&digits).then_some(number)
}

/// Whether it says that the caller's number is withheld or not known.
pub fn is_withheld(raw: &str) -> bool {
    let raw = raw.trim();
    let lower = raw.to_ascii_lowercase();
    let digits = lower.trim_start_matches('+');
    lower.is_empty()
        || digits.is_empty()
        || WITHHELD.contains(&lower.as_str())
        || WITHHELD_DIGITS.contains(&digits)
        || lower.ends_with("@anonymous.invalid")
        || lower.ends_with("@unknown.invalid")
}

fn sip(address: &str) -> Caller {
    let address = address.split(['?', '>']).next().unwrap_or_default();
    let (user_and_host, parameters) = address.split_once(';').unwrap_or((address, ""));
    let (user, host) = match user_and_host.rsplit_once('@') {
        // RFC 3966 parameters may stand in the user part: `+34600111222;phone-context=…@host`.
        Some((user, host)) => (user, host),
        None if parameters.contains('@') => (user_and_host, parameters.rsplit_once('@').map_or("", |(_, host)| host)),
        None => ("", user_and_host),
    };
    let user = user.split(';').next().unwrap_or_default();
    let host_name = host.split(';').next().unwrap_or_default();
    if is_withheld(user) && (host_name.ends_with(".invalid") || !user.is_empty())
        || host_name.ends_with("anonymous.invalid")
    {
        return Caller::Withheld;
    }
    match number_of(user) {
        Some(number) => known("phone", &number),
        None if host_name.is_empty() => Caller::Withheld,
        None if user.is_empty() => known("sip", host_name),
        None => known("sip", &format!("{user}@{host_name}")),
    }
}

fn known(scheme: &str, value: &str) -> Caller {
    if value.is_empty() {
        return Caller::Withheld;
    }
    Caller::Known(Handle { scheme: scheme.into(), value: value.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Option<(String, String)> {
        caller(raw).handle().map(|handle| (handle.scheme, handle.value))
    }

    #[test]
    fn withheld_numbers_have_many_names() {
        for raw in [
            "",
            " ",
            "+",
            "anonymous",
            "Anonymous",
            "Restricted",
            "+266696687",
            "266696687",
            "+7378742833",
            "unknown",
            "sip:anonymous@anonymous.invalid",
            "<sip:anonymous@anonymous.invalid>",
            "sip:Anonymous@10.0.0.1;user=phone",
            "sip:x@anonymous.invalid",
            "tel:anonymous",
            "sip:",
            "client:",
            "sip:@",
        ] {
            assert_eq!(read(raw), None, "{raw}");
        }
    }

    #[test]
    fn numbers_keep_their_plus_and_never_get_one() {
        for (raw, number) in [
            ("+34600111222", "+34600111222"),
            (" +34 600-111-222 ", "+34600111222"),
            ("tel:+34-600-111-222;phone-context=x", "+34600111222"),
            ("sip:+34600111222@carrier.example;user=phone", "+34600111222"),
            ("<sip:+34600111222@carrier.example:5060;user=phone>", "+34600111222"),
            ("sips:+34600111222;npdi@carrier.example", "+34600111222"),
            ("sip:600111222@192.0.2.1", "600111222"),
            ("0034600111222", "0034600111222"),
            ("010", "010"),
        ] {
            assert_eq!(read(raw), Some(("phone".into(), number.into())), "{raw}");
        }
    }

    #[test]
    fn addresses_that_are_not_numbers_are_kept() {
        assert_eq!(read("sip:alice@example.org;transport=tcp"), Some(("sip".into(), "alice@example.org".into())));
        assert_eq!(read("client:desk-3"), Some(("client".into(), "desk-3".into())));
        assert_eq!(read("City Hall"), Some(("account".into(), "City Hall".into())));
    }
}
