//! Names and addresses of Programmable Messaging.

use channel_sdk::types::Handle;

/// Where replies go.
pub(crate) const HOST: &str = "api.twilio.com";
/// Characters of `Body`.
pub(crate) const MAX_TEXT: u32 = 1600;
/// WhatsApp: free text may be sent so long after the person's last message.
pub(crate) const WHATSAPP_WINDOW_MS: i64 = 86_400_000;

/// The network a message came by: what stands before the colon of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// SMS and MMS have no prefix.
    Sms,
    WhatsApp,
    Messenger,
    Rcs,
}

/// An address without its prefix.
pub(crate) fn address(raw: &str) -> (Network, &str) {
    let raw = raw.trim();
    let networks = [("whatsapp:", Network::WhatsApp), ("messenger:", Network::Messenger), ("rcs:", Network::Rcs)];
    for (prefix, network) in networks {
        if let Some(address) = raw.strip_prefix(prefix) {
            return (network, address.trim());
        }
    }
    (Network::Sms, raw)
}

/// The person at an address. A WhatsApp user without a visible number has a business-scoped user id (`US.1349…`).
pub(crate) fn handle(raw: &str) -> Option<Handle> {
    let (network, value) = address(raw);
    let digits = value.strip_prefix('+').unwrap_or(value);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let scheme = match network {
        Network::Messenger => "messenger",
        _ if is_number => "phone",
        Network::WhatsApp => "whatsapp",
        // A sender's name, e.g. `CityHall`.
        Network::Sms | Network::Rcs => "account",
    };
    (!value.is_empty()).then(|| Handle { scheme: scheme.into(), value: value.into() })
}

/// `<our address>|<theirs>`, with their prefixes: a chat by WhatsApp is not the one by SMS.
pub(crate) fn conversation(ours: &str, theirs: &str) -> String {
    format!("{}|{}", ours.trim(), theirs.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_tell_the_network_and_are_no_part_of_the_handle() {
        for (raw, scheme, value) in [
            ("+34600111222", "phone", "+34600111222"),
            ("whatsapp:+34600111222", "phone", "+34600111222"),
            ("whatsapp:ES.13491208655302741918", "whatsapp", "ES.13491208655302741918"),
            ("rcs:+34600111222", "phone", "+34600111222"),
            ("messenger:1234567890", "messenger", "1234567890"),
            ("40404", "phone", "40404"),
            ("CityHall", "account", "CityHall"),
        ] {
            assert_eq!(handle(raw), Some(Handle { scheme: scheme.into(), value: value.into() }), "{raw}");
        }
        assert_eq!(handle("whatsapp:"), None);
        assert_eq!(handle(" "), None);
    }
}
