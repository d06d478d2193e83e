//! `multipart/form-data` (RFC 7578) and the pieces every multipart body is made of: delimiter lines and parameters.
//!
//! A part's content is the bytes between its delimiter lines, never decoded: `multipart/form-data` has no transfer
//! encoding (RFC 7578 §4.7), and a signature or a hash covers what came.

use core::fmt;

/// More parts than any form or mail gateway sends.
pub const MAX_PARTS: usize = 1_000;

/// The header of one part: more is an attack.
const MAX_PART_HEADER: usize = 16 * 1024;

/// RFC 2046 §5.1.1 allows 70; some senders make longer ones.
const MAX_BOUNDARY: usize = 200;

/// Why a body is no form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The content type names no usable boundary.
    NoBoundary,
    /// The boundary never comes at the beginning of a line.
    NoParts,
    /// More than [`MAX_PARTS`].
    TooManyParts,
    /// A part's header is too long.
    HeaderTooLong,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoBoundary => "the content type names no boundary",
            Self::NoParts => "the boundary of the content type separates nothing in the body",
            Self::TooManyParts => "the form has more than 1000 parts",
            Self::HeaderTooLong => "a part's header is longer than 16 KiB",
        })
    }
}

impl std::error::Error for Fault {}

/// One part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// The field's name; parts without one are kept, too.
    pub name: Option<String>,
    /// The last component of the file's name. `Some("")` is an empty file input.
    pub file_name: Option<String>,
    /// As sent, with parameters.
    pub content_type: Option<String>,
    /// The part's content.
    pub body: &'a [u8],
}

impl Part<'_> {
    /// Whether it is a file rather than a field. An empty file input is neither.
    pub fn is_file(&self) -> bool {
        self.file_name.as_ref().is_some_and(|name| !name.is_empty() || !self.body.is_empty())
    }

    /// The content as text. See [`crate::forms::text`].
    pub fn text(&self) -> String {
        crate::forms::text(self.body)
    }
}

/// Reads a body by the boundary of its content type.
///
/// The closing delimiter may be missing (a truncated upload is still what came); text before the first and after the
/// last delimiter is no part.
///
/// # Errors
///
/// See [`Fault`].
pub fn parse<'a>(content_type: &str, body: &'a [u8]) -> Result<Vec<Part<'a>>, Fault> {
    let boundary = parameters(content_type.as_bytes())
        .into_iter()
        .find(|parameter| parameter.name == "boundary")
        .map(|parameter| parameter.value)
        .filter(|boundary| !boundary.is_empty() && boundary.len() <= MAX_BOUNDARY)
        .ok_or(Fault::NoBoundary)?;
    let mut parts = Vec::new();
    let mut start = None;
    let mut found = false;
    for line in Lines::new(body) {
        let Some(closing) = delimiter(line.content, &boundary) else { continue };
        found = true;
        if let Some(start) = start.take() {
            parts.push(part(between(body, start, line.start))?);
        }
        if closing {
            return Ok(parts);
        }
        if parts.len() == MAX_PARTS {
            return Err(Fault::TooManyParts);
        }
        start = Some(line.next);
    }
    if let Some(start) = start {
        parts.push(part(body.get(start..).unwrap_or_default())?);
    }
    if found { Ok(parts) } else { Err(Fault::NoParts) }
}

fn part(bytes: &[u8]) -> Result<Part<'_>, Fault> {
    let mut part = Part { name: None, file_name: None, content_type: None, body: &[] };
    let mut field: Vec<u8> = Vec::new();
    for line in Lines::new(bytes) {
        if line.next > MAX_PART_HEADER {
            return Err(Fault::HeaderTooLong);
        }
        if line.content.first().is_some_and(|byte| b" \t".contains(byte)) {
            field.extend_from_slice(line.content);
            continue;
        }
        header(&mut part, &field);
        field = line.content.to_vec();
        if line.content.is_empty() {
            part.body = bytes.get(line.next..).unwrap_or_default();
            return Ok(part);
        }
    }
    header(&mut part, &field);
    Ok(part)
}

fn header(part: &mut Part<'_>, field: &[u8]) {
    let Some(colon) = field.iter().position(|byte| *byte == b':') else { return };
    let (name, value) = field.split_at(colon);
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    if name.eq_ignore_ascii_case(b"content-type") {
        part.content_type = Some(crate::forms::text(value));
    } else if name.eq_ignore_ascii_case(b"content-disposition") {
        for parameter in parameters(value) {
            match parameter.name.as_str() {
                "name" => part.name = Some(unescape(&parameter.text())),
                "filename" => part.file_name = Some(last_component(&unescape(&parameter.text()))),
                _ => {}
            }
        }
    }
}

/// Browsers percent-encode exactly these three in names (WHATWG HTML "multipart/form-data encoding algorithm").
fn unescape(text: &str) -> String {
    text.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

/// What stands after the last `/` or `\`: a sender's folders are its own business (RFC 7578 §4.2).
pub fn last_component(name: &str) -> String {
    name.rsplit(['/', '\\']).next().unwrap_or_default().trim().to_owned()
}

/// A parameter of a header such as `Content-Type` or `Content-Disposition`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Lower case, without RFC 2231 marks.
    pub name: String,
    /// Unquoted, percent-decoded if it came in extended form, continuations joined.
    pub value: Vec<u8>,
    /// Of the extended form (RFC 2231 §4); absent otherwise.
    pub charset: Option<String>,
}

impl Parameter {
    /// The value as text: UTF-8 if it is that, else one byte is one character.
    pub fn text(&self) -> String {
        match core::str::from_utf8(&self.value) {
            Ok(text) => text.replace('\0', "\u{fffd}"),
            Err(_) => self.value.iter().map(|byte| char::from(*byte)).collect::<String>().replace('\0', "\u{fffd}"),
        }
    }
}

/// The parameters after the first `;`, with RFC 2231 extended values and continuations put together. Where a name comes
/// both ways, the extended value is kept (RFC 6266 §4.3); of several plain ones the first.
pub fn parameters(value: &[u8]) -> Vec<Parameter> {
    struct Piece {
        name: String,
        index: Option<u32>,
        extended: bool,
        value: Vec<u8>,
    }
    let mut pieces: Vec<Piece> = Vec::new();
    for (name, value) in raw_parameters(value) {
        let name = String::from_utf8_lossy(&name).to_ascii_lowercase();
        let (name, extended) = name.strip_suffix('*').map_or((name.as_str(), false), |name| (name, true));
        let (name, index) = match name.split_once('*') {
            Some((name, index)) => (name, index.parse().ok()),
            None => (name, None),
        };
        if !name.is_empty() {
            pieces.push(Piece { name: name.to_owned(), index, extended, value });
        }
    }
    let mut joined: Vec<Parameter> = Vec::new();
    let mut order: Vec<&Piece> = Vec::with_capacity(pieces.len());
    // Extended single values first, then continuations by number, then plain ones: the first of a name stays. There are a
    // hundred at most, and a sort of the standard library would be a thirtieth of a component's budget.
    let rank = |piece: &Piece| (piece.index.is_none() && !piece.extended, piece.index);
    for piece in &pieces {
        let place = order.partition_point(|other| rank(other) <= rank(piece));
        order.insert(place, piece);
    }
    for piece in order {
        let (charset, bytes) = if piece.extended {
            let text = piece.value.as_slice();
            let marks: Vec<usize> =
                text.iter().enumerate().filter(|(_, byte)| **byte == b'\'').map(|(at, _)| at).take(2).collect();
            match (piece.index.is_none_or(|index| index == 0), marks.as_slice()) {
                (true, [first, second]) => {
                    let charset = String::from_utf8_lossy(text.get(..*first).unwrap_or_default()).into_owned();
                    (Some(charset), percent_decode(text.get(second + 1..).unwrap_or_default()))
                }
                _ => (None, percent_decode(text)),
            }
        } else {
            (None, piece.value.clone())
        };
        match joined.iter_mut().find(|parameter| parameter.name == piece.name) {
            None => joined.push(Parameter { name: piece.name.clone(), value: bytes, charset }),
            Some(parameter) if piece.index.is_some_and(|index| index > 0) => parameter.value.extend(bytes),
            Some(_) => {}
        }
    }
    joined
}

fn percent_decode(bytes: &[u8]) -> Vec<u8> {
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => return decoded,
            [b'%', high, low, after @ ..] if let (Some(high), Some(low)) = (nibble(*high), nibble(*low)) => {
                decoded.push(high << 4 | low);
                after
            }
            [byte, after @ ..] => {
                decoded.push(*byte);
                after
            }
        };
    }
}

fn raw_parameters(value: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = value;
    // The first token is the value itself.
    let mut name: Option<Vec<u8>> = None;
    let mut word: Vec<u8> = Vec::new();
    let mut first = true;
    loop {
        match rest {
            [] | [b';', ..] => {
                if let Some(name) = name.take() {
                    found.push((name, word.trim_ascii().to_vec()));
                }
                word.clear();
                first = false;
                match rest {
                    [_, after @ ..] => rest = after,
                    [] => return found,
                }
                if found.len() == 100 {
                    return found;
                }
            }
            [b'=', after @ ..] if name.is_none() && !first => {
                name = Some(word.trim_ascii().to_vec());
                word.clear();
                rest = after.trim_ascii_start();
                if let [b'"', quoted @ ..] = rest {
                    (word, rest) = unquote(quoted);
                    if let Some(name) = name.take() {
                        found.push((name, core::mem::take(&mut word)));
                    }
                    // Whatever stands between the closing quote and the next `;` is junk.
                    let next = rest.iter().position(|byte| *byte == b';').unwrap_or(rest.len());
                    rest = rest.get(next..).unwrap_or_default();
                }
            }
            [byte, after @ ..] => {
                if !matches!(byte, b'\r' | b'\n') {
                    word.push(*byte);
                }
                rest = after;
            }
        }
    }
}

/// A backslash escapes only `"` and itself: browsers and old clients send file names with bare backslashes.
fn unquote(quoted: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut word = Vec::new();
    let mut rest = quoted;
    loop {
        rest = match rest {
            [] => return (word, rest),
            [b'"', after @ ..] => return (word, after),
            [b'\\', escaped @ (b'"' | b'\\'), after @ ..] => {
                word.push(*escaped);
                after
            }
            [b'\r' | b'\n', after @ ..] => after,
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
        };
    }
}

/// Whether a line (without its end) is a delimiter of `boundary`, and if so whether the closing one. Text that only begins
/// like one is content (RFC 2046 §5.1.1: after the boundary only white space may follow).
pub fn delimiter(line: &[u8], boundary: &[u8]) -> Option<bool> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    let blank = |text: &[u8]| text.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
    if blank(rest) {
        return Some(false);
    }
    blank(rest.strip_prefix(b"--")?).then_some(true)
}

/// The bytes from `start` up to the line that begins at `end`, without the line end before it: that belongs to the delimiter.
pub(crate) fn between(bytes: &[u8], start: usize, end: usize) -> &[u8] {
    let content = bytes.get(start..end).unwrap_or_default();
    match content {
        [content @ .., b'\r', b'\n'] | [content @ .., b'\n'] => content,
        _ => content,
    }
}

/// A line of a body.
pub(crate) struct Line<'a> {
    /// Where it begins.
    pub(crate) start: usize,
    /// Without its end (LF or CRLF).
    pub(crate) content: &'a [u8],
    /// Where the next one begins.
    pub(crate) next: usize,
}

/// The lines of a body.
pub(crate) struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|byte| *byte == b'\n');
        let content = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
        let start = self.at;
        self.at += length.map_or(rest.len(), |length| length + 1);
        Some(Line { start, content: content.strip_suffix(b"\r").unwrap_or(content), next: self.at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=\"a b\"";

    fn form(body: &[u8]) -> Vec<Part<'_>> {
        parse(TYPE, body).unwrap()
    }

    #[test]
    fn fields_and_files_come_in_order_with_their_bytes() {
        let body = b"preamble\r\n--a b\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n\xff one\r\n\r\n--a b \r\ncontent-disposition: form-data; name=f;\r\n filename=\"x.bin\"\r\nContent-Type: image/png\r\n\r\n\r\n--a b x\r\n--a bc\r\n --a b\r\n--a b--\r\nepilogue\r\n--a b\r\n\r\nno";
        let parts = form(body);
        assert_eq!(parts.len(), 2);
        assert_eq!((parts[0].name.as_deref(), parts[0].body), (Some("text"), b"\xff one\r\n".as_slice()));
        assert!(!parts[0].is_file());
        assert_eq!(parts[1].body, b"\r\n--a b x\r\n--a bc\r\n --a b", "what only looks like a delimiter is content");
        assert_eq!(
            (parts[1].name.as_deref(), parts[1].file_name.as_deref(), parts[1].content_type.as_deref()),
            (Some("f"), Some("x.bin"), Some("image/png"))
        );
        assert!(parts[1].is_file());
    }

    #[test]
    fn line_feeds_alone_and_a_missing_end_are_tolerated() {
        let parts = form(
            b"--a b\nContent-Disposition: form-data; name=a\n\n1\n--a b\nContent-Disposition: form-data; name=b\n\n2",
        );
        assert_eq!(parts.iter().map(|part| part.body).collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(form(b"--a b\r\nContent-Disposition: form-data; name=a")[0].name.as_deref(), Some("a"));
    }

    #[test]
    fn an_empty_file_input_is_no_file() {
        let parts = form(b"--a b\r\nContent-Disposition: form-data; name=\"p\"; filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\n\r\n--a b--");
        assert!(!parts[0].is_file());
        assert_eq!(parts[0].body, b"");
    }

    #[test]
    fn file_names_lose_folders_and_escapes_but_not_letters() {
        for (disposition, name) in [
            ("filename=\"C:\\fakepath\\bache.jpg\"", "bache.jpg"),
            ("filename=\"../../etc/passwd\"", "passwd"),
            ("filename=\"a%22b\\\"c.txt\"", "a\"b\"c.txt"),
            ("filename=\"ni\u{f1}o.pdf\"", "ni\u{f1}o.pdf"),
            ("filename=\"nino.pdf\"; filename*=UTF-8''ni%C3%B1o.pdf", "ni\u{f1}o.pdf"),
            ("filename*0*=utf-8''ni%C3; filename*1*=%B1o; filename*2=.pdf", "ni\u{f1}o.pdf"),
            ("filename = plain.txt ; x=y", "plain.txt"),
        ] {
            let body = format!("--a b\r\nContent-Disposition: form-data; name=f; {disposition}\r\n\r\nx\r\n--a b--");
            assert_eq!(form(body.as_bytes())[0].file_name.as_deref(), Some(name), "{disposition}");
        }
    }

    #[test]
    fn what_is_no_form_is_said() {
        assert_eq!(parse("multipart/form-data", b"x"), Err(Fault::NoBoundary));
        assert_eq!(parse("multipart/form-data; boundary=", b"x"), Err(Fault::NoBoundary));
        assert_eq!(parse(TYPE, b"x\r\n-a b\r\n"), Err(Fault::NoParts));
        assert_eq!(parse(TYPE, "--a b\r\n\r\n\r\n".repeat(MAX_PARTS + 1).as_bytes()), Err(Fault::TooManyParts));
        assert_eq!(
            parse(TYPE, format!("--a b\r\nX: {}\r\n\r\n", "x".repeat(20_000)).as_bytes()),
            Err(Fault::HeaderTooLong)
        );
        assert_eq!(parse(TYPE, b"--a b--\r\n"), Ok(vec![]));
    }

    #[test]
    fn no_prefix_and_no_changed_byte_panics() {
        let body = b"--a b\r\nContent-Disposition: form-data; name=\"f\"; filename*0*=utf-8''%C3; filename*1*=%B1\r\n\r\nx\r\n--a b--\r\n";
        for end in 0..body.len() {
            let _ = parse(TYPE, &body[..end]);
            for byte in [0, b'"', b'*', b'\'', b';', b'\n', 0xff] {
                let mut changed = body.to_vec();
                changed[end] = byte;
                let _ = parse(TYPE, &changed);
                let _ = parameters(&changed);
            }
        }
    }
}
