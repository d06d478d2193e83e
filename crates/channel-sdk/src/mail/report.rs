//! Mail that machines send about mail: delivery reports (RFC 3464), bounces that are none, complaints (RFC 5965) and
//! receipts (RFC 8098). All of them are facts about something we sent, found by its Message-ID.

use super::fields::{self, Fields};
use super::{Envelope, Letter, words};

/// What a report says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// `failed delayed delivered relayed expanded`, `complaint`, or a receipt's `displayed deleted …`.
    pub(crate) status: String,
    /// Of the message that it is about.
    pub(crate) original_id: Option<String>,
    /// Whom that was for.
    pub(crate) final_recipient: Option<String>,
    /// `5.1.1` (RFC 3463).
    pub(crate) code: Option<String>,
    /// The remote server's words.
    pub(crate) diagnostic: Option<String>,
}

/// How programs that know no RFC 3464 begin their subject.
const BOUNCE_SUBJECTS: [&str; 17] = [
    "undeliverable",
    "undelivered mail",
    "delivery status notification",
    "delivery failure",
    "delivery has failed",
    "failure notice",
    "returned mail",
    "mail delivery failed",
    "mail delivery failure",
    "mail system error",
    "message status - undeliverable",
    "unzustellbar",
    "no se puede entregar",
    "no se pudo entregar",
    "correo devuelto",
    "message non distribu",
    "mensagem n\u{e3}o entregue",
];

/// The report a message is, if it is one.
pub(crate) fn read(letter: &Letter<'_>, envelope: &Envelope) -> Option<Report> {
    let has = |name: &str| letter.report_parts.iter().any(|(media, _)| media == name);
    let kind = letter.report_type.as_str();
    if kind == "feedback-report" || has("message/feedback-report") {
        return Some(complaint(letter));
    }
    if kind == "disposition-notification" || has("message/disposition-notification") {
        return Some(receipt(letter));
    }
    if kind == "delivery-status" || has("message/delivery-status") || has("message/global-delivery-status") {
        return Some(delivery(letter));
    }
    bounce(letter, envelope)
}

fn delivery(letter: &Letter<'_>) -> Report {
    let mut report = Report { original_id: original_id(letter), ..Report::default() };
    let blocks = letter
        .report_parts
        .iter()
        .filter(|(media, _)| media.ends_with("delivery-status"))
        .flat_map(|(_, bytes)| blocks(bytes));
    for block in blocks {
        if let Some(action) = block.keyword("action") {
            // The worst of several recipients decides.
            if report.status.is_empty() || action == "failed" {
                report.status = action;
                report.final_recipient =
                    block.text("final-recipient").or_else(|| block.text("original-recipient")).map(after_type);
                report.code = block.keyword("status");
                report.diagnostic = block.text("diagnostic-code").map(after_type);
            }
        }
    }
    if report.status.is_empty() {
        report.status = "failed".into();
    }
    report
}

fn complaint(letter: &Letter<'_>) -> Report {
    let parts = || {
        letter
            .report_parts
            .iter()
            .filter(|(media, _)| media == "message/feedback-report")
            .flat_map(|(_, bytes)| blocks(bytes))
    };
    Report {
        status: "complaint".into(),
        original_id: original_id(letter),
        final_recipient: parts()
            .find_map(|block| block.text("original-rcpt-to"))
            .and_then(|address| fields::address(&address)),
        code: parts().find_map(|block| block.keyword("feedback-type")),
        diagnostic: None,
    }
}

fn receipt(letter: &Letter<'_>) -> Report {
    let parts = || {
        letter
            .report_parts
            .iter()
            .filter(|(media, _)| media == "message/disposition-notification")
            .flat_map(|(_, bytes)| blocks(bytes))
    };
    // `Disposition: manual-action/MDN-sent-manually; displayed`
    let disposition = parts().find_map(|block| block.text("disposition"));
    let status = disposition.and_then(|text| {
        text.split_once(';')
            .map(|(_, kind)| kind.split(['/', ',']).next().unwrap_or_default().trim().to_ascii_lowercase())
    });
    Report {
        status: status.filter(|status| !status.is_empty()).unwrap_or_else(|| "displayed".into()),
        original_id: parts()
            .find_map(|block| block.ids("original-message-id").into_iter().next())
            .or_else(|| original_id(letter)),
        final_recipient: parts().find_map(|block| block.text("final-recipient")).map(after_type),
        code: None,
        diagnostic: None,
    }
}

/// qmail, Exim, old Exchange: no report part. A null return path alone proves nothing (vacation replies have it too).
fn bounce(letter: &Letter<'_>, envelope: &Envelope) -> Option<Report> {
    let failed = letter.fields.mailboxes("x-failed-recipients").into_iter().next().map(|mailbox| mailbox.address);
    let from = letter
        .fields
        .mailboxes("from")
        .into_iter()
        .next()
        .map(|mailbox| mailbox.address.to_ascii_lowercase())
        .unwrap_or_default();
    let daemon =
        from.starts_with("mailer-daemon@") || from.starts_with("postmaster@") || from.starts_with("microsoftexchange");
    let null_path = envelope.from.as_deref() == Some("")
        || letter.fields.raw("return-path").is_some_and(|path| path.as_slice() == b"<>");
    if !daemon && !null_path {
        return None;
    }
    let subject = letter.fields.text("subject").unwrap_or_default().to_lowercase();
    let qmail = letter.body.text.trim_start().starts_with("Hi. This is the qmail-send program");
    if failed.is_none()
        && !qmail
        && !(BOUNCE_SUBJECTS.iter().any(|known| subject.starts_with(known)) && (daemon || null_path))
    {
        return None;
    }
    let delayed = subject.contains("delay") || subject.contains("warning");
    Some(Report {
        status: if delayed { "delayed" } else { "failed" }.into(),
        original_id: original_id(letter).or_else(|| id_in_text(&letter.body.text)),
        final_recipient: failed,
        code: None,
        diagnostic: None,
    })
}

/// Of the returned message or of its header.
fn original_id(letter: &Letter<'_>) -> Option<String> {
    let returned = letter.report_parts.iter().filter(|(media, _)| {
        matches!(
            media.as_str(),
            "message/rfc822"
                | "message/global"
                | "text/rfc822-headers"
                | "message/rfc822-headers"
                | "message/global-headers"
        )
    });
    returned.flat_map(|(_, bytes)| fields::parse(bytes, true, &[]).0.ids("message-id")).next()
}

fn id_in_text(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.trim_start_matches(['>', ' ', '\t']);
        let value =
            line.get(..11).filter(|name| name.eq_ignore_ascii_case("message-id:")).and_then(|_| line.get(11..))?;
        fields::message_ids(value.as_bytes()).into_iter().next()
    })
}

/// `rfc822; a@b` without its type.
fn after_type(value: String) -> String {
    words::clean(value.split_once(';').map_or(value.as_str(), |(_, rest)| rest))
}

/// Groups of fields separated by empty lines (RFC 3464 §2.1).
fn blocks(bytes: &[u8]) -> Vec<Fields<'_>> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() && found.len() < 50 {
        let (fields, length, _) = fields::parse(rest, true, &[]);
        if !fields.is_empty() {
            found.push(fields);
        }
        rest = rest.get(length.max(1)..).unwrap_or_default();
    }
    found
}
