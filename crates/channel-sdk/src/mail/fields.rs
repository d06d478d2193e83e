//! Header fields: found, unfolded, decoded, made safe to use again.

use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, Address, DateTime, HeaderValue};

use crate::multipart::{Lines, delimiter};
use crate::types::Instant;

use super::words;

/// Fields of one header that are kept.
const MAX_FIELDS: usize = 1_000;
/// Bytes of one header that are read.
const MAX_HEADER: usize = 1 << 20;
/// Bytes of one field that are decoded.
const MAX_FIELD: usize = 64 * 1024;
/// Addresses of one field that are kept.
const MAX_ADDRESSES: usize = 200;
/// RFC 5322 §2.1.1 allows a line of 998 characters.
const MAX_ID: usize = 998;
/// Ids of one field that are kept: the last ones.
const MAX_IDS: usize = 50;

/// One field.
#[derive(Debug, Clone)]
struct Field<'a> {
    /// Lower case.
    name: String,
    /// After the colon, still folded.
    value: std::borrow::Cow<'a, [u8]>,
}

/// A header in the order received.
#[derive(Debug, Clone, Default)]
pub struct Fields<'a> {
    fields: Vec<Field<'a>>,
}

/// A name and an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The display name.
    pub name: Option<String>,
    /// The address as written.
    pub address: String,
}

impl<'a> Fields<'a> {
    /// A header that a provider has taken apart already.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Fields<'static> {
        let fields = pairs.into_iter().take(MAX_FIELDS);
        Fields {
            fields: fields
                .map(|(name, value)| Field { name: name.trim().to_ascii_lowercase(), value: value.into_bytes().into() })
                .collect(),
        }
    }

    /// Whether there is no field at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The first value of a name, unfolded and trimmed, still encoded.
    pub fn raw(&self, name: &str) -> Option<Vec<u8>> {
        self.fields.iter().find(|field| field.name == name).map(|field| unfold(&field.value))
    }

    /// All values of a name.
    pub fn all(&self, name: &str) -> Vec<Vec<u8>> {
        self.fields.iter().filter(|field| field.name == name).take(100).map(|field| unfold(&field.value)).collect()
    }

    /// Whether a name is there.
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }

    /// The first value of a name as text, RFC 2047 decoded, on one line; absent when empty.
    pub fn text(&self, name: &str) -> Option<String> {
        self.raw(name).map(|value| words::decode(&value)).filter(|value| !value.is_empty())
    }

    /// The first word of a value before `;` or white space, lower case: `Auto-Submitted: auto-replied; owner=…`.
    pub fn keyword(&self, name: &str) -> Option<String> {
        let value = self.text(name)?;
        // RFC 5322 comments may stand before it.
        let word = value.split([';', ' ', '\t', ',']).find(|word| !word.is_empty() && !word.starts_with('('))?;
        Some(word.to_ascii_lowercase())
    }

    /// All addresses of all fields of a name.
    pub fn mailboxes(&self, name: &str) -> Vec<Mailbox> {
        self.all(name).iter().flat_map(|value| mailboxes(value)).take(MAX_ADDRESSES).collect()
    }

    /// The ids of a field: each `<…>` in it, never an empty one; or the value itself if it is one id without brackets.
    pub fn ids(&self, name: &str) -> Vec<String> {
        let found: Vec<String> = self.all(name).iter().flat_map(|value| message_ids(value)).collect();
        found.get(found.len().saturating_sub(MAX_IDS)..).unwrap_or_default().to_vec()
    }

    /// The `Date`, if it is one.
    pub fn date(&self) -> Option<Instant> {
        let value = self.raw("date")?;
        let text = String::from_utf8_lossy(value.get(..200).unwrap_or(&value)).into_owned();
        let date = DateTime::parse_rfc822(&text).filter(DateTime::is_valid)?;
        // Before mail existed and long after: a clock that was never set.
        (1970..=2200).contains(&date.year).then(|| date.to_timestamp().saturating_mul(1_000))
    }
}

/// Reads a header; gives its fields, its length with the empty line after it, and whether something was left out.
/// A line that begins one of `boundaries` ends it.
pub(crate) fn parse<'a>(bytes: &'a [u8], top: bool, boundaries: &[&[u8]]) -> (Fields<'a>, usize, bool) {
    let mut spans: Vec<(String, usize, usize)> = Vec::new();
    let mut too_long = false;
    let mut end = 0;
    let mut lines = Lines::new(bytes).peekable();
    while let Some(line) = lines.next() {
        if boundaries.iter().any(|boundary| delimiter(line.content, boundary).is_some()) {
            return finish(bytes, spans, line.start, too_long);
        }
        end = line.next;
        if line.content.is_empty() {
            // Some gateways put empty lines before the header.
            let mut later = Lines::new(bytes.get(line.next..).unwrap_or_default())
                .take(10)
                .skip_while(|line| line.content.is_empty());
            if top && spans.is_empty() && later.next().is_some_and(|line| field_name(line.content).is_some()) {
                continue;
            }
            return finish(bytes, spans, line.next, too_long);
        }
        if line.start > MAX_HEADER || spans.len() >= MAX_FIELDS {
            too_long = true;
            continue;
        }
        if line.content.first().is_some_and(|byte| b" \t".contains(byte)) && !spans.is_empty() {
            if let Some(span) = spans.last_mut() {
                span.2 = line.next;
            }
        } else if let Some(name) = field_name(line.content) {
            let value = line.start
                + name.len()
                + line.content.get(name.len()..).unwrap_or_default().iter().take_while(|byte| **byte != b':').count()
                + 1;
            spans.push((String::from_utf8_lossy(name).to_ascii_lowercase(), value, line.next));
        } else if line.content.starts_with(b"From ") || line.content.starts_with(b">From ") {
            // An mbox separator that a mail system left in.
        } else if !lines.peek().is_some_and(|next| field_name(next.content).is_some()) || (spans.is_empty() && !top) {
            // No field and none after it: the empty line is missing and this is the body already.
            return finish(bytes, spans, line.start, too_long);
        }
    }
    finish(bytes, spans, end, too_long)
}

fn finish(
    bytes: &[u8],
    spans: Vec<(String, usize, usize)>,
    length: usize,
    too_long: bool,
) -> (Fields<'_>, usize, bool) {
    let field = |(name, start, end): (String, usize, usize)| Field {
        name,
        value: bytes.get(start..end).unwrap_or_default().into(),
    };
    (Fields { fields: spans.into_iter().map(field).collect() }, length, too_long)
}

/// RFC 5322 §2.2: printable ASCII but the colon; white space before the colon is obsolete syntax and still seen.
fn field_name(line: &[u8]) -> Option<&[u8]> {
    let name = line.get(..line.iter().position(|byte| *byte == b':')?)?.trim_ascii_end();
    (!name.is_empty() && name.len() <= 200 && name.iter().all(u8::is_ascii_graphic)).then_some(name)
}

fn unfold(value: &[u8]) -> Vec<u8> {
    let value = value.get(..MAX_FIELD).unwrap_or(value).trim_ascii();
    value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect()
}

/// The addresses of a value such as `From:` has. Display names are decoded; only what can be an address is one.
pub fn mailboxes(value: &[u8]) -> Vec<Mailbox> {
    let mut line = words::rejoin(value);
    line.push(b'\n');
    let HeaderValue::Address(found) = MessageStream::new(&line).parse_address() else {
        return Vec::new();
    };
    let list: Vec<Addr<'_>> = match found {
        Address::List(list) => list,
        Address::Group(groups) => groups.into_iter().flat_map(|group| group.addresses).collect(),
    };
    list.into_iter()
        .filter_map(|found| {
            let address = address(found.address.as_deref()?)?;
            let name = found.name.map(|name| words::clean(&name)).filter(|name| !name.is_empty() && *name != address);
            Some(Mailbox { name, address })
        })
        .take(MAX_ADDRESSES)
        .collect()
}

/// An address without brackets, if it can be one: `local@domain`, nothing that could break out of a header.
pub fn address(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches('<').trim_end_matches('>').trim();
    let text = text
        .get(..7)
        .filter(|prefix| prefix.eq_ignore_ascii_case("mailto:"))
        .and_then(|_| text.get(7..))
        .unwrap_or(text);
    let (local, domain) = text.rsplit_once('@')?;
    let odd = |c: char| c.is_control() || c.is_whitespace() || "<>,;()".contains(c);
    let fits = !local.is_empty()
        && !domain.is_empty()
        && text.len() <= 320
        && !domain.contains(odd)
        && !domain.contains(['"', '\\']);
    // A quoted local part may hold a space (RFC 5322 §3.4.1), never a line end.
    let quoted = local.starts_with('"') && local.ends_with('"') && local.len() > 2;
    (fits && !local.contains(|c: char| if quoted { c.is_control() } else { odd(c) })).then(|| text.to_owned())
}

/// Each `<…>` of a value.
pub fn message_ids(value: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(value);
    let mut ids = Vec::new();
    let mut rest: &str = &text;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((inside, next)) = after.split_once('>') else { break };
        // `<<a@b>` and `<text <a@b>`: the innermost counts.
        let inside = inside.rsplit('<').next().unwrap_or(inside);
        let id: String = inside.chars().filter(|c| !c.is_whitespace()).collect();
        if !id.is_empty() && id.len() <= MAX_ID && !id.contains(char::is_control) {
            ids.push(format!("<{id}>"));
        }
        rest = next;
    }
    if ids.is_empty() {
        let bare = text.trim();
        let fits = bare.contains('@')
            && bare.len() <= MAX_ID
            && !bare.contains(|c: char| c.is_whitespace() || c.is_control() || "<>()".contains(c));
        if fits {
            ids.push(format!("<{bare}>"));
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields<'_> {
        parse(text.as_bytes(), true, &[]).0
    }

    #[test]
    fn ids_are_what_stands_in_brackets_and_never_empty() {
        let ids = |text: &str| message_ids(text.as_bytes());
        assert_eq!(ids("Your message of Monday <a@b> \"x\" <c@d>"), ["<a@b>", "<c@d>"]);
        assert_eq!(ids("<>, < >, <a@ b>"), ["<a@b>"]);
        assert_eq!(ids("a@b"), ["<a@b>"]);
        assert!(ids("").is_empty() && ids("nothing here").is_empty() && ids("<unfinished@x").is_empty());
    }

    #[test]
    fn addresses_are_read_with_split_encoded_names_comments_and_groups() {
        let boxes = |text: &str| -> Vec<(String, String)> {
            mailboxes(text.as_bytes())
                .into_iter()
                .map(|mailbox| (mailbox.name.unwrap_or_default(), mailbox.address))
                .collect()
        };
        let pair = |name: &str, address: &str| vec![(name.to_owned(), address.to_owned())];
        assert_eq!(boxes("=?utf-8?Q?Mu=C3?= =?utf-8?Q?=B1oz?= <m@example.org>"), pair("Mu\u{f1}oz", "m@example.org"));
        assert_eq!(boxes("\"=?iso-8859-1?Q?Mu=F1oz?=\" <m@example.org>"), pair("Mu\u{f1}oz", "m@example.org"));
        assert_eq!(boxes("=?utf-8?Q?Garc=C3=ADa=2C_Ana?= <m@example.org>"), pair("Garc\u{ed}a, Ana", "m@example.org"));
        assert_eq!(boxes("m@example.org (Ana)"), pair("Ana", "m@example.org"));
        assert_eq!(boxes("\"Garc\\\"a, A\" <m@example.org>"), pair("Garc\"a, A", "m@example.org"));
        assert_eq!(boxes("undisclosed-recipients:;").len(), 0);
        assert_eq!(boxes("friends: a@b.c, d@e.f;").len(), 2);
        assert_eq!(boxes("no address").len(), 0);
        assert_eq!(boxes("\"evil=?utf-8?Q?=0D=0ABcc:_x?=\" <m@example.org>")[0].0.find(['\r', '\n']), None);
    }

    #[test]
    fn what_could_break_out_of_a_header_is_no_address() {
        for text in ["a@b\r\nBcc: c@d", "a b@c", "@b", "a@", "a", "", "a@b>c", "a,b@c"] {
            assert_eq!(address(text), None, "{text:?}");
        }
        assert_eq!(address(" <mailto:A.b+c@Example.org> ").as_deref(), Some("A.b+c@Example.org"));
        assert_eq!(address("\"a b\"@c").as_deref(), Some("\"a b\"@c"));
    }

    #[test]
    fn a_header_ends_where_the_body_begins_even_without_an_empty_line() {
        let (fields, length, _) = parse(b"From : a@b\nnot a field\nSubject: x\n y\n\nbody", true, &[]);
        assert_eq!(
            (fields.text("from").unwrap(), fields.text("subject").unwrap(), length),
            ("a@b".into(), "x y".into(), 38)
        );
        let (_, length, _) = parse(b"Subject: x\nhello there\n\nbody", true, &[]);
        assert_eq!(length, 11);
        assert!(self::fields("From mbox Sat\nSubject: x\n\n").has("subject"));
        assert!(self::fields("\r\n\r\nSubject: x\r\n\r\n").has("subject"));
    }

    #[test]
    fn dates_are_times_or_absent() {
        let date = |text: &str| fields(&format!("Date: {text}\n")).date();
        assert_eq!(date("Sat, 21 Nov 2026 11:00:00 +0100"), Some(1_795_255_200_000));
        assert_eq!(date("21 Nov 2026 10:00:00 GMT"), Some(1_795_255_200_000));
        assert_eq!(date("yesterday"), None);
        assert_eq!(date("Sat, 99 Nov 2026 10:00:00 +0000"), None);
    }
}
