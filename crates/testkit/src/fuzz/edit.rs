//! One change of a text, as eight bytes of an input say it.

use std::collections::BTreeSet;

/// Bytes of an input that make one edit.
pub const EDIT: usize = 8;

/// A text is not made longer than this by edits: what is longer is tried by name elsewhere.
const LONGEST: usize = 1 << 16;

/// What parsers take for the end of something.
const ENDS: &[u8] = b"\0\t\n\r \"#%&'(),/:;<=>?@[\\]{|}";

/// Values at the edge of what a field may hold.
const EDGES: [&[u8]; 40] = [
    b"",
    b"0",
    b"-1",
    b"1",
    b"00",
    b"1.5",
    b"-0.0",
    b"1e999",
    b"NaN",
    b"255",
    b"256",
    b"65536",
    b"2147483648",
    b"4294967296",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551616",
    b"99999999999999999999999999",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"\"\"",
    b"\\u0000",
    b"\\ud800",
    b"%00",
    b"%",
    b"%ff",
    b"\0",
    b"\r\n",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xe2\x80\xae",
    b"\xf0\x9f\x98\x80",
    b"1970-01-01T00:00:00Z",
    b"9999-12-31T23:59:60Z",
    b"0000-00-00T99:99:99+99:99",
    b"+34",
    b"anonymous",
];

/// Words to put in: those of the texts that are changed, and values at the edge.
#[derive(Debug, Clone, Default)]
pub struct Words(Vec<Vec<u8>>);

impl Words {
    /// The words of these texts, each once.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut words = BTreeSet::new();
        for text in texts {
            words.extend(text.split(|byte| ENDS.contains(byte)).filter(|word| word.len() < 200).map(<[u8]>::to_vec));
        }
        let mut all: Vec<Vec<u8>> = EDGES.iter().map(|edge| edge.to_vec()).collect();
        all.extend(words);
        Self(all)
    }

    /// Leaves out words that hold one of these.
    pub fn without(mut self, secrets: &[&str]) -> Self {
        let holds = |word: &[u8], secret: &str| {
            secret.is_empty() || word.windows(secret.len()).any(|window| window == secret.as_bytes())
        };
        self.0.retain(|word| !secrets.iter().any(|secret| holds(word, secret)));
        self
    }

    /// One of them; values at the edge half of the time.
    pub fn pick(&self, by: u16) -> &[u8] {
        let range = if by.is_multiple_of(2) { EDGES.len().min(self.0.len()) } else { self.0.len() };
        self.0.get(usize::from(by / 2) % range.max(1)).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Changes a text. The first two bytes of `how` are the caller's; `others` are texts of the same kind.
pub fn edit(text: &mut Vec<u8>, how: [u8; EDIT], words: &Words, others: &[&[u8]]) {
    let [_, kind, a, b, c, d, e, f] = how;
    let at = usize::from(u16::from_be_bytes([a, b])) % (text.len() + 1);
    let choice = u16::from_be_bytes([c, d]);
    let word = || words.pick(choice).to_vec();
    let after = |most: u8| at..(at + usize::from(most) + 1).min(text.len());
    let (range, with) = match kind % 12 {
        0 => (after(0), vec![c]),
        1 => (at..at, word()),
        2 => (after(c), Vec::new()),
        3 => (at..at, text[after(c)].repeat(usize::from(d % 16) + 1)),
        4 | 5 => (around(text, at), word()),
        6 => (around(text, at), Vec::new()),
        7 => {
            let other = others.get(usize::from(c) % others.len().max(1)).copied().unwrap_or_default();
            let from = usize::from(u16::from_be_bytes([d, e])) % (other.len() + 1);
            let to = (from + usize::from(f) + 1).min(other.len());
            (at..at, other[from..to].to_vec())
        }
        8 => (at..at, vec![c; 1 << (d % 14)]),
        9 => (after(0), text[after(0)].iter().map(|byte| byte ^ (1 << (c % 8))).collect()),
        10 => (at..text.len(), Vec::new()),
        // A word with the end behind it, put elsewhere too: a field before another, a member in another object.
        _ => {
            let from = around(text, at);
            let there = usize::from(choice) % (text.len() + 1);
            (there..there, text[from.start..(from.end + 1).min(text.len())].to_vec())
        }
    };
    if text.len() + with.len() <= LONGEST.max(text.len()) {
        text.splice(range, with);
    }
}

/// The word at a place: from one end to the next.
fn around(text: &[u8], at: usize) -> std::ops::Range<usize> {
    let is_end = |byte: &u8| ENDS.contains(byte);
    let start = text[..at].iter().rposition(is_end).map_or(0, |end| end + 1);
    let end = text[at..].iter().position(is_end).map_or(text.len(), |end| at + end);
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edit_of_any_text_is_possible() {
        let words = Words::of([b"From=%2B34&To=x".as_slice()]);
        for start in [b"".as_slice(), b"a", b"From=%2B34&To=x", b"\xff\0"] {
            for kind in 0..=255 {
                for filler in [0_u8, 1, 77, 255] {
                    let mut text = start.to_vec();
                    edit(&mut text, [0, kind, filler, filler, filler, filler, filler, filler], &words, &[b"other"]);
                    edit(&mut text, [0, kind, 0, filler, 3, filler, 0, filler], &words, &[]);
                    assert!(text.len() <= LONGEST);
                }
            }
        }
    }

    #[test]
    fn a_word_is_replaced_from_end_to_end() {
        assert_eq!(around(b"a=bcd&e", 3), 2..5);
        assert_eq!(around(b"a=bcd&e", 7), 6..7);
        assert_eq!(around(b"", 0), 0..0);
    }

    #[test]
    fn a_secret_is_no_word() {
        let words = Words::of([b"Bearer fake-token;x".as_slice()]).without(&["fake-token"]);
        assert!(!(0..=u16::MAX).any(|by| words.pick(by) == b"fake-token"));
        assert!((0..=u16::MAX).any(|by| words.pick(by) == b"Bearer"));
    }
}
