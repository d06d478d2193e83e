//! Which of a message's parts is its text, and which are files.

use crate::types::TextSource;

use super::structure::{Part, Tree};
use super::{charset, html, transfer};

/// Bytes of one text part that are read; what is longer stays whole in the envelope.
const MAX_TEXT: usize = 1 << 20;

/// The text of a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Body {
    /// Line ends are LF. Empty when there is no text.
    pub text: String,
    /// `plain`, or `html` when any of it was converted.
    pub source: Option<TextSource>,
    /// A charset label was wrong.
    pub guessed: bool,
    /// More text than is kept.
    pub cut: bool,
}

impl Body {
    /// Text as a provider gives it, already decoded.
    pub fn of_plain(text: &str) -> Self {
        let mut body = Self::default();
        body.add(&lines(text), TextSource::Plain);
        body
    }

    /// HTML as a provider gives it, already decoded.
    pub fn of_html(text: &str) -> Self {
        let mut body = Self::default();
        body.add(&html::to_text(text), TextSource::Html);
        body
    }

    fn add(&mut self, text: &str, source: TextSource) {
        if text.trim().is_empty() {
            return;
        }
        if !self.text.is_empty() {
            self.text.truncate(self.text.trim_end().len());
            self.text.push_str("\n\n");
        }
        let room = MAX_TEXT.saturating_sub(self.text.len());
        self.cut |= text.len() > room;
        self.text.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or_default());
        if self.source != Some(TextSource::Html) {
            self.source = Some(source);
        }
    }

    fn join(&mut self, other: Body) {
        self.guessed |= other.guessed;
        self.cut |= other.cut;
        if let Some(source) = other.source {
            self.add(&other.text, source);
        }
    }
}

/// The text, and the indices of the leaves that are part of it (or another form of it): all other leaves are files.
pub(crate) fn choose(tree: &Tree<'_>) -> (Body, Vec<usize>) {
    let mut used = Vec::new();
    let body = of_part(tree, 0, &mut used);
    (body, used)
}

/// Recursion is as deep as the tree, which [`super::structure`] bounds.
fn of_part(tree: &Tree<'_>, index: usize, used: &mut Vec<usize>) -> Body {
    let Some(part) = tree.parts.get(index) else { return Body::default() };
    if part.children.is_empty() {
        return of_leaf(part, index, used);
    }
    match part.media.name.as_str() {
        "multipart/alternative" => alternative(tree, part, used),
        "multipart/related" => {
            // RFC 2387 §3.2: the start parameter names the root, else it is the first part.
            let start = part.media.parameter("start").map(|start| start.text());
            let root = start.and_then(|start| {
                part.children.iter().find(|child| {
                    tree.parts
                        .get(**child)
                        .and_then(|child| child.fields.text("content-id"))
                        .is_some_and(|id| id == start)
                })
            });
            root.or_else(|| part.children.first()).map(|root| of_part(tree, *root, used)).unwrap_or_default()
        }
        // RFC 1847: the second part is the signature, or everything is encrypted.
        "multipart/signed" => part.children.first().map(|first| of_part(tree, *first, used)).unwrap_or_default(),
        "multipart/encrypted" => Body::default(),
        // The first part of a report is for people (RFC 6522 §3), the others for machines.
        "multipart/report" => part.children.first().map(|first| of_part(tree, *first, used)).unwrap_or_default(),
        _ => {
            let mut body = Body::default();
            for child in &part.children {
                body.join(of_part(tree, *child, used));
            }
            body
        }
    }
}

/// Plain text wins when it says anything; the other forms are the same text and no files.
fn alternative(tree: &Tree<'_>, part: &Part<'_>, used: &mut Vec<usize>) -> Body {
    let mut best = Body::default();
    for child in &part.children {
        let found = of_part(tree, *child, used);
        // RFC 1896 marks up with words in angle brackets.
        let enriched = tree.parts.get(*child).is_some_and(|child| child.media.name == "text/enriched");
        let better = match (best.source, found.source) {
            (None, Some(_)) | (Some(TextSource::Html), Some(TextSource::Plain)) => true,
            // RFC 2046 §5.1.4: of the same kind the last is the best.
            (Some(old), Some(new)) => old == new && !enriched,
            _ => false,
        };
        if better {
            best = found;
        }
    }
    best
}

fn of_leaf(part: &Part<'_>, index: usize, used: &mut Vec<usize>) -> Body {
    // A multipart without parts shows what it has; S/MIME keeps its name.
    let kind = match part.media.name.as_str() {
        "text/html" | "application/xhtml+xml" => TextSource::Html,
        "text/plain" | "text/enriched" | "text/markdown" | "text/x-markdown" => TextSource::Plain,
        name if name.starts_with("multipart/") && name != "multipart/encrypted" => TextSource::Plain,
        _ => return Body::default(),
    };
    if is_file(part) {
        return Body::default();
    }
    used.push(index);
    let bytes = content(part);
    let cut = bytes.len() > MAX_TEXT * 2;
    let bytes = bytes.get(..MAX_TEXT * 2).unwrap_or(&bytes);
    let charset = part.media.parameter("charset").map(|charset| charset.text());
    let mut decoded = charset::decode(charset.as_deref(), bytes);
    if kind == TextSource::Html
        && charset.is_none()
        && decoded.guessed
        && let Some(label) = html_charset(bytes)
    {
        decoded = charset::decode(Some(&label), bytes);
    }
    let text = match kind {
        TextSource::Html => html::to_text(&decoded.text),
        _ if part.media.lower("format") == "flowed" => {
            unflow(&lines(&decoded.text), part.media.lower("delsp") == "yes")
        }
        _ => lines(&decoded.text),
    };
    let mut body = Body { guessed: decoded.guessed && !text.is_empty(), cut, ..Body::default() };
    body.add(&text, kind);
    body
}

/// The content without its transfer encoding.
pub(crate) fn content<'a>(part: &Part<'a>) -> std::borrow::Cow<'a, [u8]> {
    transfer::decode(&part.fields.keyword("content-transfer-encoding").unwrap_or_default(), part.body)
}

/// Whether a text part is a file: it says so, or it is inline with a file's name.
fn is_file(part: &Part<'_>) -> bool {
    match part.fields.keyword("content-disposition").as_deref() {
        Some("attachment") => true,
        Some("inline") | None => {
            let disposition = part
                .fields
                .raw("content-disposition")
                .map(|value| crate::multipart::parameters(&value))
                .unwrap_or_default();
            disposition.iter().any(|parameter| parameter.name == "filename" && !parameter.value.is_empty())
                || part.media.parameter("name").is_some_and(|name| !name.value.is_empty())
        }
        // RFC 2183 §2.8: unknown ones are attachments. `form-data` of odd gateways is text.
        Some(other) => other != "form-data" && other.chars().all(|c| c.is_ascii_alphabetic()),
    }
}

/// `<meta charset=…>` in the first kilobyte (HTML §13.2.3.2).
fn html_charset(bytes: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(bytes.get(..1_024).unwrap_or(bytes)).to_ascii_lowercase();
    let (_, after) = head.split_once("charset=")?;
    let label: String = after
        .trim_start_matches(['"', '\'', ' '])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "-_:.".contains(*c))
        .collect();
    (!label.is_empty()).then_some(label)
}

/// LF at line ends.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// RFC 3676 §4: a line that ends in a space goes on in the next one of the same quote depth.
fn unflow(text: &str, delete_space: bool) -> String {
    let mut whole: Vec<String> = Vec::new();
    let mut open: Option<usize> = None;
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        let depth = line.bytes().take_while(|byte| *byte == b'>').count();
        let content = line.get(depth..).unwrap_or_default();
        // Space-stuffing.
        let content = content.strip_prefix(' ').unwrap_or(content);
        // RFC 3676 §4.3: a signature's mark ends in a space and is no flowed line.
        let flowed = content.ends_with(' ') && content != "-- ";
        let piece = if flowed && delete_space { content.strip_suffix(' ').unwrap_or(content) } else { content };
        match whole.last_mut() {
            Some(last) if open == Some(depth) && content != "-- " => last.push_str(piece),
            _ => {
                let marks = if depth > 0 { ">".repeat(depth.min(100)) + " " } else { String::new() };
                whole.push(if piece.is_empty() { marks.trim_end().to_owned() } else { marks + piece });
            }
        }
        open = flowed.then_some(depth);
    }
    whole.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::structure;

    fn body(raw: &str) -> (String, Option<TextSource>, usize) {
        let tree = structure::parse(raw.as_bytes());
        let (body, used) = choose(&tree);
        let leaves = tree.parts.iter().filter(|part| part.children.is_empty()).count();
        (body.text, body.source, leaves - used.len())
    }

    fn multipart(kind: &str, parts: &[&str]) -> String {
        let inner: String = parts.iter().map(|part| format!("--{kind}\n{part}\n")).collect();
        format!("Content-Type: multipart/{kind}; boundary={kind}\n\n{inner}--{kind}--\n")
    }

    const PLAIN: &str = "Content-Type: text/plain\n\nplain";
    const HTML: &str = "Content-Type: text/html\n\n<p>html</p>";
    const IMAGE: &str = "Content-Type: image/png\n\nx";

    #[test]
    fn plain_text_wins_and_alternatives_are_no_files() {
        let plain = Some(TextSource::Plain);
        let html = Some(TextSource::Html);
        for (raw, text, source, files) in [
            (PLAIN.to_owned(), "plain", plain, 0),
            (HTML.to_owned(), "html", html, 0),
            (multipart("alternative", &[PLAIN, HTML]), "plain", plain, 0),
            (multipart("alternative", &[HTML, PLAIN]), "plain", plain, 0),
            (multipart("alternative", &["\n \n", HTML]), "html", html, 0),
            (multipart("alternative", &[PLAIN, "Content-Type: text/enriched\n\n<bold>x</bold>"]), "plain", plain, 0),
            (multipart("alternative", &[PLAIN, &multipart("related", &[HTML, IMAGE])]), "plain", plain, 1),
            (multipart("mixed", &[PLAIN, IMAGE, PLAIN]), "plain\n\nplain", plain, 1),
            (multipart("mixed", &[&multipart("alternative", &[PLAIN, HTML]), HTML]), "plain\n\nhtml", html, 0),
            (multipart("mixed", &[PLAIN, "Content-Type: text/plain; name=a.txt\n\nfile"]), "plain", plain, 1),
            (
                multipart("mixed", &[PLAIN, "Content-Type: text/html\nContent-Disposition: attachment\n\nfile"]),
                "plain",
                plain,
                1,
            ),
            (multipart("mixed", &[IMAGE]), "", None, 1),
            (multipart("signed", &[PLAIN, "Content-Type: application/pgp-signature\n\nx"]), "plain", plain, 1),
            ("Content-Type: multipart/mixed; boundary=never\n\ntext".to_owned(), "text", plain, 0),
            ("Content-Type: nonsense\n\ntext".to_owned(), "text", plain, 0),
        ] {
            assert_eq!(body(&raw), (text.to_owned(), source, files), "{raw}");
        }
    }

    #[test]
    fn flowed_lines_are_joined_again() {
        for (text, whole) in [
            ("a \nb\nc\n", "a b\nc\n"),
            ("> a \n> b\n>> c\n", "> a b\n>> c\n"),
            ("a \n> b\n", "a \n> b\n"),
            ("x\n-- \nsig\n", "x\n-- \nsig\n"),
            ("\na\n", "\na\n"),
        ] {
            assert_eq!(unflow(text, false), whole, "{text:?}");
        }
        assert_eq!(unflow("\u{4f60} \n\u{597d}\n", true), "\u{4f60}\u{597d}\n");
    }
}
