//! The manifest of what came with a message: name, type, size and hash. The bytes stay in the envelope.

use sha2::{Digest as _, Sha256};

use crate::multipart::{self, Parameter};
use crate::types::Attachment;

use super::structure::{Part, Tree};
use super::{body, charset, words};

/// Attachments and the marks they give a message.
pub(crate) struct Manifest {
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) flags: Vec<&'static str>,
}

/// All leaves that are not text of the message.
pub(crate) fn list(tree: &Tree<'_>, used: &[usize]) -> Manifest {
    let mut manifest = Manifest { attachments: Vec::new(), flags: Vec::new() };
    let mut flag = |name: &'static str| {
        if !manifest.flags.contains(&name) {
            manifest.flags.push(name);
        }
    };
    for (index, part) in tree.parts.iter().enumerate() {
        let kind = part.media.name.as_str();
        match kind {
            "application/pkcs7-mime" | "application/x-pkcs7-mime" => {
                flag("smime");
                if part.media.lower("smime-type") != "signed-data" {
                    flag("encrypted");
                }
            }
            "application/pkcs7-signature" | "application/x-pkcs7-signature" => flag("smime"),
            "application/pgp-encrypted" => {
                flag("pgp");
                flag("encrypted");
            }
            "application/pgp-signature" => flag("pgp"),
            "application/ms-tnef" | "application/vnd.ms-tnef" => flag("tnef"),
            "text/calendar" => flag("calendar"),
            _ => {}
        }
        if part.children.is_empty() && !used.contains(&index) {
            let related = tree
                .parts
                .iter()
                .any(|parent| parent.media.name == "multipart/related" && parent.children.contains(&index));
            let entry = describe(part, related);
            if entry.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case("winmail.dat")) {
                flag("tnef");
            }
            manifest.attachments.push(entry);
        }
    }
    manifest
}

fn describe(part: &Part<'_>, related: bool) -> Attachment {
    let content = body::content(part);
    let disposition =
        part.fields.raw("content-disposition").map(|value| multipart::parameters(&value)).unwrap_or_default();
    let named = |parameters: &[Parameter], name: &str| {
        parameters.iter().find(|parameter| parameter.name == name).and_then(file_name)
    };
    let content_id = part
        .fields
        .text("content-id")
        .map(|id| id.trim_matches(['<', '>', ' ']).to_owned())
        .filter(|id| !id.is_empty());
    let said = part.fields.keyword("content-disposition").filter(|said| said == "inline" || said == "attachment");
    let inline = related || content_id.is_some();
    of_bytes(
        &content,
        named(&disposition, "filename").or_else(|| named(&part.media.parameters, "name")),
        Some(part.media.name.clone()),
        content_id,
        Some(said.unwrap_or_else(|| if inline { "inline" } else { "attachment" }.into())),
    )
}

/// The entry of a file that is here.
pub fn of_bytes(
    bytes: &[u8],
    name: Option<String>,
    content_type: Option<String>,
    content_id: Option<String>,
    disposition: Option<String>,
) -> Attachment {
    Attachment {
        name,
        content_type,
        size: u64::try_from(bytes.len()).ok(),
        sha256: Some(sha256(bytes)),
        url: None,
        media_id: None,
        content_id,
        disposition,
    }
}

/// Lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 2231 says how; most senders write encoded words or raw bytes instead. Without folders and control characters.
fn file_name(parameter: &Parameter) -> Option<String> {
    let text = match &parameter.charset {
        Some(charset) => words::clean(&charset::decode(Some(charset), &parameter.value).text),
        None => words::decode(&parameter.value),
    };
    let name: String = multipart::last_component(&text).chars().take(255).collect();
    (!name.is_empty()).then_some(name)
}
