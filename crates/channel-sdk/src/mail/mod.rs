//! What e-mail means, for every connector that brings some: one place for body choice, charsets that lie, attachments,
//! threading, loops and bounces.
//!
//! A [`Letter`] is a message taken apart, from its bytes or from a provider's fields; [`translation`] says what it means.
//! Any bytes at all give a letter. Structure, transfer encodings and encoded words are read here, bounded and without
//! recursion over input; addresses, dates and rare charsets by `mail-parser`.

mod attachments;
mod body;
mod charset;
mod compose;
mod fields;
mod html;
mod loops;
mod meaning;
mod quote;
mod report;
mod structure;
mod transfer;
mod words;

pub use attachments::{of_bytes, sha256};
pub use body::Body;
pub use charset::{Decoded, decode};
pub use compose::{Composed, compose, reply_headers};
pub use fields::{Fields, Mailbox, address, mailboxes, message_ids};
pub use html::to_text;
pub use meaning::{own_addresses, translation};

use crate::types::Attachment;

/// Bytes of one report part that are read.
const MAX_REPORT: usize = 64 * 1024;

/// Who handed the message over and for whom (RFC 5321), as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// `Some("")` is the null return path; absent is unknown.
    pub from: Option<String>,
    /// Every address gets an event of its own: each desk sees its mail.
    pub to: Vec<String>,
}

impl Envelope {
    /// Reads what a mail server or gateway says: brackets may be there, several recipients may stand in one value.
    pub fn new(from: Option<&str>, to: &[String]) -> Self {
        let from = from.map(|from| {
            if from.trim().trim_matches(['<', '>']).is_empty() {
                String::new()
            } else {
                fields::address(from).unwrap_or_default()
            }
        });
        let mut all: Vec<String> = Vec::new();
        for address in to.iter().flat_map(|value| value.split([',', ' '])).filter_map(fields::address) {
            if !all.iter().any(|known| known.eq_ignore_ascii_case(&address)) && all.len() < 50 {
                all.push(address);
            }
        }
        Self { from, to: all }
    }
}

/// A message taken apart.
#[derive(Debug, Clone, Default)]
pub struct Letter<'a> {
    /// The message's header.
    pub fields: Fields<'a>,
    /// Its text.
    pub body: Body,
    /// Everything else in it.
    pub attachments: Vec<Attachment>,
    /// `report-type` of a `multipart/report` (RFC 6522), lower case; else empty.
    pub report_type: String,
    /// Media type and content of the parts that machines wrote for machines.
    pub report_parts: Vec<(String, Vec<u8>)>,
    /// `smime pgp encrypted tnef calendar`.
    pub flags: Vec<&'static str>,
    /// Hash of what came: the identity of a message that has no id.
    pub hash: String,
    /// What could not be read.
    pub faults: Vec<&'static str>,
}

impl<'a> Letter<'a> {
    /// Takes a message's bytes apart (RFC 5322, RFC 2045). Total.
    pub fn from_mime(raw: &'a [u8]) -> Letter<'a> {
        let mut tree = structure::parse(raw);
        let (body, used) = body::choose(&tree);
        let manifest = attachments::list(&tree, &used);
        let report_parts = tree
            .parts
            .iter()
            .filter(|part| part.children.is_empty() && is_report_part(&part.media.name))
            .take(10)
            .map(|part| {
                let bytes = body::content(part);
                (part.media.name.clone(), bytes.get(..MAX_REPORT).unwrap_or(&bytes).to_vec())
            })
            .collect();
        let mut faults = core::mem::take(&mut tree.faults);
        let top = tree.parts.into_iter().next();
        let report_type = top
            .as_ref()
            .filter(|top| top.media.name == "multipart/report")
            .map(|top| top.media.lower("report-type"))
            .unwrap_or_default();
        let fields = top.map(|top| top.fields).unwrap_or_default();
        if fields.is_empty() {
            faults.push("no header");
        }
        if body.cut {
            faults.push("the text is longer than 1 MiB");
        }
        Letter {
            fields,
            body,
            attachments: manifest.attachments,
            report_type,
            report_parts,
            flags: manifest.flags,
            hash: sha256(raw),
            faults,
        }
    }

    /// A message a provider has taken apart. `hash` stands for its content where it has no id.
    pub fn from_fields(fields: Fields<'a>, body: Body, hash: String) -> Letter<'a> {
        let media = fields.raw("content-type").map(|value| structure::Media::parse(&value)).unwrap_or_default();
        let report_type = if media.name == "multipart/report" { media.lower("report-type") } else { String::new() };
        let mut faults = Vec::new();
        if fields.is_empty() {
            faults.push("no header");
        }
        if body.cut {
            faults.push("the text is longer than 1 MiB");
        }
        Letter { fields, body, report_type, hash, faults, ..Letter::default() }
    }

    /// Adds a file of a provider that takes messages apart itself, and what it says about the message.
    pub fn add_file(
        &mut self,
        bytes: &[u8],
        name: Option<String>,
        content_type: Option<&str>,
        content_id: Option<String>,
    ) {
        let media =
            content_type.map(|value| structure::Media::parse(value.as_bytes()).name).filter(|name| !name.is_empty());
        if let Some(media) = media.as_deref().filter(|media| is_report_part(media)) {
            self.report_parts.push((media.to_owned(), bytes.get(..MAX_REPORT).unwrap_or(bytes).to_vec()));
        }
        let flag = match media.as_deref() {
            Some("text/calendar") => Some("calendar"),
            Some("application/ms-tnef") => Some("tnef"),
            Some("application/pgp-signature" | "application/pgp-encrypted") => Some("pgp"),
            Some(
                "application/pkcs7-mime"
                | "application/pkcs7-signature"
                | "application/x-pkcs7-mime"
                | "application/x-pkcs7-signature",
            ) => Some("smime"),
            _ => None,
        };
        if let Some(flag) = flag.filter(|flag| !self.flags.contains(flag)) {
            self.flags.push(flag);
        }
        let disposition = if content_id.is_some() { "inline" } else { "attachment" };
        self.attachments.push(of_bytes(bytes, name, media, content_id, Some(disposition.into())));
    }
}

fn is_report_part(media: &str) -> bool {
    matches!(
        media,
        "message/delivery-status"
            | "message/global-delivery-status"
            | "message/feedback-report"
            | "message/disposition-notification"
            | "message/rfc822"
            | "message/global"
            | "text/rfc822-headers"
            | "message/rfc822-headers"
            | "message/global-headers"
    )
}
