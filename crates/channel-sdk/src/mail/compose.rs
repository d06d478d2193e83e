//! A reply as mail: RFC 5322, threaded, and safe to put a citizen's words into.

use mail_parser::DateTime;

use crate::types::{Outgoing, Refusal, RefusalReason};

use super::{fields, transfer, words};

/// RFC 5322 §2.1.1: lines have at most 998 characters; more references than this say nothing.
const MAX_REFERENCES: usize = 20;

/// A message ready for submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The message, with CRLF line ends.
    pub raw: Vec<u8>,
    /// Its Message-ID.
    pub message_id: String,
    /// The return path: empty for automatic messages (RFC 3834 §3.3).
    pub envelope_from: String,
    /// Whom it is for.
    pub envelope_to: String,
}

/// The header of a reply, apart from the content's own fields: what providers with an API want as fields, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyHeaders {
    /// The recipient's address.
    pub to: String,
    /// The mailbox that writes.
    pub from: String,
    /// Decoded; with `Re:` where it answers something.
    pub subject: String,
    /// Name and value of everything else, in order, ASCII, without line ends.
    pub others: Vec<(&'static str, String)>,
    /// Its Message-ID.
    pub message_id: String,
}

/// The header of a reply that is written by `from`. Where the outgoing message names another sender (our mailbox with a thread
/// token), answers are asked to go there.
///
/// # Errors
///
/// `unsupported` when there is no usable address.
pub fn reply_headers(message: &Outgoing, from: &str) -> Result<ReplyHeaders, Refusal> {
    let refuse = |detail: &str| Refusal { reason: RefusalReason::Unsupported, detail: detail.to_owned() };
    let to = Some(&message.recipient)
        .filter(|recipient| recipient.scheme == "email")
        .and_then(|recipient| fields::address(&recipient.value))
        .filter(|address| address.is_ascii())
        .ok_or_else(|| refuse("the recipient is no e-mail address that can be written to"))?;
    let from = fields::address(from)
        .filter(|from| from.is_ascii())
        .ok_or_else(|| refuse("there is no sender address; set `from` to the mailbox that replies"))?;
    let domain = from.rsplit_once('@').map(|(_, domain)| domain.to_owned()).unwrap_or_default();
    let id: String = message.id.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).take(200).collect();
    if id.is_empty() {
        return Err(refuse("the message has no id of ours"));
    }
    let message_id = format!("<{id}@{domain}>");
    let subject = words::clean(message.subject.as_deref().unwrap_or_default());
    let answers = message.in_reply_to.is_some();
    let prefixed = subject.get(..3).is_some_and(|prefix| prefix.eq_ignore_ascii_case("re:"));
    let subject = if answers && !prefixed { format!("Re: {subject}").trim().to_owned() } else { subject };

    let mut others: Vec<(&'static str, String)> = Vec::new();
    if let Some(sender) =
        message.sender.as_deref().and_then(fields::address).filter(|sender| sender.is_ascii() && *sender != from)
    {
        others.push(("Reply-To", sender));
    }
    let safe = |id: &String| id.is_ascii() && !id.contains(|c: char| c.is_control() || c == ' ');
    let parent = message
        .in_reply_to
        .as_deref()
        .map(|id| fields::message_ids(id.as_bytes()))
        .and_then(|ids| ids.into_iter().next())
        .filter(safe);
    let mut references: Vec<String> =
        message.references.iter().flat_map(|id| fields::message_ids(id.as_bytes())).filter(safe).collect();
    if let Some(parent) = &parent {
        others.push(("In-Reply-To", parent.clone()));
        references.retain(|id| id != parent);
        references.push(parent.clone());
    }
    // The first one names the thread, the last ones the place in it.
    if references.len() > MAX_REFERENCES {
        references.drain(1..references.len() - (MAX_REFERENCES - 1));
    }
    if !references.is_empty() {
        others.push(("References", references.join(" ")));
    }
    if message.automatic {
        others.push(("Auto-Submitted", "auto-replied".into()));
        others.push(("X-Auto-Response-Suppress", "All".into()));
    }
    others.push(("X-Loop", from.clone()));
    if let Some(language) = message
        .language
        .as_deref()
        .filter(|tag| !tag.is_empty() && tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
    {
        others.push(("Content-Language", language.to_owned()));
    }
    Ok(ReplyHeaders { to, from, subject, others, message_id })
}

/// The reply as bytes. `name` is shown beside the address.
///
/// # Errors
///
/// As [`reply_headers`].
pub fn compose(message: &Outgoing, from: &str, name: &str) -> Result<Composed, Refusal> {
    let headers = reply_headers(message, from)?;
    let mut raw = String::new();
    let mut put = |name: &str, value: &str| raw.extend([name, ": ", value, "\r\n"]);
    let name = words::clean(name);
    let shown = if name.is_empty() {
        String::new()
    } else if name.is_ascii() {
        format!("\"{}\" ", name.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        words::encode(&name) + " "
    };
    put("From", &format!("{shown}<{}>", headers.from));
    put("To", &format!("<{}>", headers.to));
    put("Subject", &words::encode(&headers.subject));
    put("Date", &DateTime::from_timestamp(message.now.div_euclid(1_000)).to_rfc822());
    put("Message-ID", &headers.message_id);
    for (name, value) in &headers.others {
        // References get a line each: no line is too long.
        put(name, &if *name == "References" { value.replace(' ', "\r\n ") } else { value.clone() });
    }
    put("MIME-Version", "1.0");
    put("Content-Type", "text/plain; charset=utf-8");
    put("Content-Transfer-Encoding", "quoted-printable");
    raw.push_str("\r\n");
    raw.push_str(&transfer::encode_quoted_printable(&message.text));
    let return_to =
        headers.others.iter().find(|(name, _)| *name == "Reply-To").map_or(&headers.from, |(_, address)| address);
    let envelope_from = if message.automatic { String::new() } else { return_to.clone() };
    Ok(Composed { raw: raw.into_bytes(), message_id: headers.message_id, envelope_from, envelope_to: headers.to })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Letter;
    use crate::types::{Handle, Kind};

    fn outgoing() -> Outgoing {
        Outgoing {
            id: "0193-ab".into(),
            case_reference: Some("482-109-3726".into()),
            recipient: Handle { scheme: "email".into(), value: "ana@example.org".into() },
            sender: Some("info+4821093726-abcdefghijklmnop@city.example".into()),
            subject: Some("Farola a\u{f1}o\r\nBcc: x@y.example".into()),
            text: "Hola:\n\nA\u{f1}o =\n.\nFrom x".into(),
            language: Some("es".into()),
            in_reply_to: Some("<m2@example.org>".into()),
            conversation_id: None,
            thread_id: None,
            references: vec!["<m1@example.org>".into(), "<m2@example.org>".into()],
            last_inbound_at: None,
            automatic: false,
            answers: Some(Kind::Message),
            now: 1_795_255_200_000,
        }
    }

    #[test]
    fn a_reply_is_threaded_and_reads_back_as_written() {
        let composed = compose(&outgoing(), "info@city.example", "Ayuntamiento de M\u{e1}laga").unwrap();
        let letter = Letter::from_mime(&composed.raw);
        assert_eq!(letter.body.text.trim_end(), "Hola:\n\nA\u{f1}o =\n.\nFrom x");
        assert_eq!(letter.fields.text("subject").unwrap(), "Re: Farola a\u{f1}o  Bcc: x@y.example");
        assert!(!letter.fields.has("bcc") && !letter.fields.has("auto-submitted"));
        assert_eq!(letter.fields.ids("in-reply-to"), ["<m2@example.org>"]);
        assert_eq!(letter.fields.ids("references"), ["<m1@example.org>", "<m2@example.org>"]);
        assert_eq!(letter.fields.ids("message-id"), ["<0193-ab@city.example>"]);
        assert_eq!(letter.fields.date(), Some(1_795_255_200_000));
        assert_eq!(letter.fields.mailboxes("from")[0].name.as_deref(), Some("Ayuntamiento de M\u{e1}laga"));
        assert_eq!(composed.envelope_from, "info+4821093726-abcdefghijklmnop@city.example");
        assert!(letter.faults.is_empty());
    }

    #[test]
    fn an_automatic_reply_says_so_and_has_no_return_path() {
        let composed = compose(&Outgoing { automatic: true, ..outgoing() }, "info@city.example", "").unwrap();
        let letter = Letter::from_mime(&composed.raw);
        assert_eq!(letter.fields.keyword("auto-submitted").as_deref(), Some("auto-replied"));
        assert_eq!(composed.envelope_from, "");
    }

    #[test]
    fn what_can_not_be_written_to_is_refused() {
        let to = |scheme: &str, value: &str| Outgoing {
            recipient: Handle { scheme: scheme.into(), value: value.into() },
            ..outgoing()
        };
        for message in [
            to("phone", "+34600111222"),
            to("email", "a@b\r\nBcc: c@d"),
            to("email", "nobody"),
            Outgoing { id: "\r\n".into(), ..outgoing() },
        ] {
            assert_eq!(compose(&message, "info@city.example", "x").unwrap_err().reason, RefusalReason::Unsupported);
        }
        assert!(compose(&outgoing(), "", "x").is_err());
    }
}
