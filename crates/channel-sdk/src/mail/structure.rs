//! The MIME tree of a message: headers and byte ranges, in one pass, whatever the bytes are.
//!
//! Parts and levels are bounded and nothing here recurses: a message with ten thousand parts or a thousand levels gives a
//! short tree and a fault. `message/rfc822` is a leaf: what a citizen attached is one file, with one hash.

use crate::multipart::{self, Lines, between};

use super::fields::{self, Fields};

/// Levels of multipart that are opened.
const MAX_DEPTH: usize = 32;

/// Parts that are listed.
const MAX_PARTS: usize = 500;

/// Longer boundaries are not looked for. RFC 2046 §5.1.1 allows 70.
const MAX_BOUNDARY: usize = 250;

/// One entity.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) fields: Fields<'a>,
    pub(crate) media: Media,
    /// Still in its transfer encoding; of a multipart everything in it.
    pub(crate) body: &'a [u8],
    /// Indices of its parts; empty for a leaf and for a multipart whose boundary never comes.
    pub(crate) children: Vec<usize>,
}

/// The content type of an entity.
#[derive(Debug, Clone, Default)]
pub(crate) struct Media {
    /// Lower case `type/subtype`; empty when there is none or it is not one.
    pub(crate) name: String,
    pub(crate) parameters: Vec<multipart::Parameter>,
}

impl Media {
    pub(crate) fn parse(value: &[u8]) -> Self {
        let name = value.split(|byte| *byte == b';').next().unwrap_or_default();
        let name: String =
            String::from_utf8_lossy(name).chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
        let name = name.to_ascii_lowercase();
        let valid = name.split_once('/').is_some_and(|(main, sub)| !main.is_empty() && !sub.is_empty());
        // `text` alone is what some old clients send for plain text.
        let name = if valid { name } else { String::new() };
        Self { name, parameters: multipart::parameters(value) }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&multipart::Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// The value of a parameter in lower case; empty when absent.
    pub(crate) fn lower(&self, name: &str) -> String {
        self.parameter(name).map(|parameter| parameter.text().to_ascii_lowercase()).unwrap_or_default()
    }
}

/// A message's parts; the first is the message itself.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    pub(crate) parts: Vec<Part<'a>>,
    /// What could not be read, for the operator.
    pub(crate) faults: Vec<&'static str>,
}

struct Open {
    boundary: Vec<u8>,
    part: usize,
    body: usize,
}

struct Reader<'a> {
    raw: &'a [u8],
    tree: Tree<'a>,
    /// Multiparts whose end has not come, outermost first.
    open: Vec<Open>,
    /// The leaf being read and where its body begins.
    leaf: Option<(usize, usize)>,
}

/// Reads a message. Total.
pub(crate) fn parse(raw: &[u8]) -> Tree<'_> {
    let mut reader = Reader { raw, tree: Tree { parts: Vec::new(), faults: Vec::new() }, open: Vec::new(), leaf: None };
    let mut skip_to = reader.begin(0, None);
    for line in Lines::new(raw) {
        if line.start < skip_to || !line.content.starts_with(b"--") {
            continue;
        }
        let found = reader
            .open
            .iter()
            .enumerate()
            .rev()
            .find_map(|(at, open)| multipart::delimiter(line.content, &open.boundary).map(|closing| (at, closing)));
        let Some((at, closing)) = found else { continue };
        reader.close(line.start, if closing { at } else { at + 1 });
        if !closing {
            let parent = reader.open.get(at).map(|open| open.part);
            if reader.tree.parts.len() >= MAX_PARTS {
                reader.fault("more than 500 parts");
            } else {
                skip_to = reader.begin(line.next, parent);
            }
        }
    }
    reader.close(raw.len(), 0);
    reader.tree
}

impl<'a> Reader<'a> {
    fn fault(&mut self, fault: &'static str) {
        if !self.tree.faults.contains(&fault) {
            self.tree.faults.push(fault);
        }
    }

    /// Begins a part at `at`; says where its body begins.
    fn begin(&mut self, at: usize, parent: Option<usize>) -> usize {
        let rest = self.raw.get(at..).unwrap_or_default();
        let boundaries: Vec<&[u8]> = self.open.iter().map(|open| open.boundary.as_slice()).collect();
        let (fields, length, too_long) = fields::parse(rest, parent.is_none(), &boundaries);
        if too_long {
            self.fault("a header is too long");
        }
        let body = at + length;
        let digest = parent
            .and_then(|parent| self.tree.parts.get(parent))
            .is_some_and(|part| part.media.name == "multipart/digest");
        let mut media = fields.raw("content-type").map(|value| Media::parse(&value)).unwrap_or_default();
        if media.name.is_empty() {
            // RFC 2046 §5.1.5 and §5.2: the default depends on where it is.
            media.name = if digest { "message/rfc822" } else { "text/plain" }.into();
        }
        let index = self.tree.parts.len();
        if let Some(parent) = parent.and_then(|parent| self.tree.parts.get_mut(parent)) {
            parent.children.push(index);
        }
        let boundary = media.name.starts_with("multipart/").then(|| media.parameter("boundary")).flatten();
        let boundary =
            boundary.map(|parameter| parameter.value.clone()).filter(|value| (1..=MAX_BOUNDARY).contains(&value.len()));
        match boundary {
            Some(boundary) if self.open.len() < MAX_DEPTH => self.open.push(Open { boundary, part: index, body }),
            Some(_) => {
                self.fault("more than 32 levels");
                self.leaf = Some((index, body));
            }
            None => self.leaf = Some((index, body)),
        }
        self.tree.parts.push(Part { fields, media, body: &[], children: Vec::new() });
        body
    }

    /// Ends the leaf, and the multiparts beyond the first `keep`, at the line that begins at `end`.
    fn close(&mut self, end: usize, keep: usize) {
        let last = end == self.raw.len();
        let content = |raw: &'a [u8], start: usize| {
            if last { raw.get(start..).unwrap_or_default() } else { between(raw, start, end) }
        };
        if let Some((part, start)) = self.leaf.take()
            && let Some(part) = self.tree.parts.get_mut(part)
        {
            part.body = content(self.raw, start);
        }
        for open in self.open.drain(keep.min(self.open.len())..) {
            if let Some(part) = self.tree.parts.get_mut(open.part) {
                part.body = content(self.raw, open.body);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(raw: &str) -> Vec<(String, Vec<usize>, String)> {
        let tree = parse(raw.as_bytes());
        tree.parts
            .iter()
            .map(|part| {
                (part.media.name.clone(), part.children.clone(), String::from_utf8_lossy(part.body).into_owned())
            })
            .collect()
    }

    #[test]
    fn an_outer_boundary_ends_an_inner_part_and_prefixes_are_not_boundaries() {
        let raw = "Content-Type: multipart/mixed; boundary=x\n\npre\n--x\nContent-Type: multipart/alternative; boundary=\"x1\"\n\n--x1\n\nplain\n--x1\nContent-Type: text/html\n\n<b>\n--x\n\n--x1 is text\n--xx\n--x--\nepilogue\n--x\n\nno";
        let parts = shape(raw);
        let names: Vec<&str> = parts.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/plain"]);
        assert_eq!((parts[0].1.clone(), parts[1].1.clone()), (vec![1, 4], vec![2, 3]));
        assert_eq!((parts[2].2.as_str(), parts[3].2.as_str()), ("plain", "<b>"));
        assert_eq!(parts[4].2, "--x1 is text\n--xx");
    }

    #[test]
    fn a_missing_end_keeps_what_came() {
        let parts = shape("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nhello\r\n");
        assert_eq!(parts[1].2, "hello\r\n");
        let none = shape("Content-Type: multipart/mixed; boundary=x\r\n\r\nhello");
        assert_eq!((none[0].1.len(), none[0].2.as_str()), (0, "hello"));
    }

    #[test]
    fn ten_thousand_parts_and_a_thousand_levels_are_bounded() {
        let raw = format!("Content-Type: multipart/mixed; boundary=x\n\n{}", "--x\n\na\n".repeat(10_000));
        let tree = parse(raw.as_bytes());
        assert_eq!((tree.parts.len(), tree.faults.as_slice()), (MAX_PARTS, ["more than 500 parts"].as_slice()));
        let raw: String = (0..1_000)
            .map(|level| format!("Content-Type: multipart/mixed; boundary=b{level}e\n\n--b{level}e\n"))
            .collect();
        let tree = parse(raw.as_bytes());
        assert_eq!((tree.parts.len(), tree.faults.as_slice()), (MAX_DEPTH + 1, ["more than 32 levels"].as_slice()));
        let raw = "Content-Type: message/rfc822\n\n".repeat(100_000);
        assert_eq!(parse(raw.as_bytes()).parts.len(), 1);
    }
}
