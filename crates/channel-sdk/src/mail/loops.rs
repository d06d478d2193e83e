//! What must not be answered by a machine (RFC 3834 §2). Such mail is stored and marked, never dropped.

use super::{Envelope, Letter};

/// Marks of a message; with any of them nothing automatic may answer it.
pub(crate) fn flags(
    letter: &Letter<'_>,
    envelope: &Envelope,
    own: &[String],
    recipient: Option<&str>,
) -> Vec<&'static str> {
    let fields = &letter.fields;
    let mut flags = Vec::new();
    let automatic = fields.keyword("auto-submitted").is_some_and(|value| value != "no")
        || ["x-autoreply", "x-autorespond", "x-autoreply-from"]
            .iter()
            .any(|name| fields.keyword(name).is_some_and(|value| value != "no"));
    if automatic {
        flags.push("auto_submitted");
    }
    let precedence = fields
        .keyword("precedence")
        .is_some_and(|value| ["bulk", "junk", "list", "auto_reply"].contains(&value.as_str()));
    if precedence || ["list-id", "list-unsubscribe", "list-post", "list-help"].iter().any(|name| fields.has(name)) {
        flags.push("bulk");
    }
    if fields.keyword("x-auto-response-suppress").is_some_and(|value| value != "none") {
        flags.push("suppress");
    }
    if null_return_path(letter, envelope) {
        flags.push("null_return_path");
    }
    let senders = || {
        let from =
            fields.mailboxes("from").into_iter().chain(fields.mailboxes("sender")).map(|mailbox| mailbox.address);
        from.chain(envelope.from.clone().filter(|from| !from.is_empty()))
    };
    if senders().any(|address| is_daemon(&address)) {
        flags.push("daemon_sender");
    }
    let is_own = |address: &str| {
        let address = bare(address);
        own.iter().map(String::as_str).chain(recipient).any(|known| bare(known) == address)
    };
    if senders().any(|address| is_own(&address)) {
        flags.push("own_address");
    }
    if fields.all("x-loop").iter().any(|value| is_own(&String::from_utf8_lossy(value))) {
        flags.push("echo");
    }
    // RFC 3834 §2: only when one of the recipient's addresses is in To, Cc or their Resent forms.
    let named =
        || ["to", "cc", "resent-to", "resent-cc", "apparently-to"].iter().flat_map(|name| fields.mailboxes(name));
    if recipient.is_some() && !fields.is_empty() && !named().any(|mailbox| is_own(&mailbox.address)) {
        flags.push("not_addressed");
    }
    flags
}

/// `MAIL FROM:<>`.
pub(crate) fn null_return_path(letter: &Letter<'_>, envelope: &Envelope) -> bool {
    match &envelope.from {
        Some(from) => from.is_empty(),
        None => letter
            .fields
            .raw("return-path")
            .is_some_and(|path| path.iter().filter(|byte| !byte.is_ascii_whitespace()).eq(b"<>".iter())),
    }
}

/// In lower case and without a plus suffix: two spellings of one mailbox are one mailbox.
pub(crate) fn bare(address: &str) -> String {
    let address = address.trim().trim_matches(['<', '>']).to_ascii_lowercase();
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{}@{domain}", local.split('+').next().unwrap_or_default()),
        None => address,
    }
}

fn is_daemon(address: &str) -> bool {
    let local = address.rsplit_once('@').map_or(address, |(local, _)| local).to_ascii_lowercase();
    let plain: String = local.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    matches!(
        plain.as_str(),
        "mailerdaemon"
            | "postmaster"
            | "noreply"
            | "donotreply"
            | "nobody"
            | "listserv"
            | "majordomo"
            | "noresponder"
            | "nonrispondere"
            | "nepasrepondre"
    ) || plain.starts_with("noreply")
        || plain.starts_with("microsoftexchange")
        || local.ends_with("-request")
        || local.starts_with("owner-")
        || local.starts_with("bounce")
        || local.starts_with("msprvs1=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str, from: Option<&str>) -> Vec<&'static str> {
        let raw = format!("{header}\r\n\r\ntext");
        let letter = Letter::from_mime(raw.as_bytes());
        let envelope = Envelope { from: from.map(str::to_owned), to: vec![] };
        flags(&letter, &envelope, &["info@city.example".into(), "waste@city.example".into()], Some("info@city.example"))
    }

    #[test]
    fn what_must_not_be_answered_is_marked() {
        const TO: &str = "\r\nTo: Info <INFO+x@city.example>";
        for (header, flag) in [
            ("From: a@b.example\r\nAuto-Submitted: auto-replied (vacation)", "auto_submitted"),
            ("From: a@b.example\r\nAuto-Submitted: auto-generated; x=y", "auto_submitted"),
            ("From: a@b.example\r\nPrecedence: Bulk", "bulk"),
            ("From: a@b.example\r\nList-Id: <x.example>", "bulk"),
            ("From: a@b.example\r\nX-Auto-Response-Suppress: OOF, AutoReply", "suppress"),
            ("From: a@b.example\r\nReturn-Path: <>", "null_return_path"),
            ("From: MAILER-DAEMON@b.example", "daemon_sender"),
            ("From: no-reply@b.example", "daemon_sender"),
            ("From: list-request@b.example", "daemon_sender"),
            ("From: waste+token@city.example", "own_address"),
            ("From: a@b.example\r\nX-Loop: info@city.example", "echo"),
        ] {
            assert_eq!(of(&format!("{header}{TO}"), None), [flag], "{header}");
        }
        assert_eq!(
            of(
                "From: a@b.example\r\nAuto-Submitted: no\r\nPrecedence: first-class\r\nTo: info@city.example",
                Some("a@b.example")
            ),
            [""; 0]
        );
        assert_eq!(of("From: a@b.example\r\nTo: info@city.example\r\nReturn-Path: <>", Some("")), ["null_return_path"]);
        assert_eq!(of("From: a@b.example\r\nTo: other@b.example", None), ["not_addressed"]);
    }
}
