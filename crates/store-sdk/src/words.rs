//! The words a search finds an event by, and what a search asks for.
//!
//! A word is found by its beginning, whatever its case and accents. Both sides go through [`kept`] and [`asked`], so that they are cut in
//! the same way: what is stored is `" word word "`, and a word begins with `x` exactly if that text has `" x"` in it. The databases keep the
//! words in a table beside it, whose index has the beginnings in order.
//!
//! Numbers are found by their end too, because that is what people know of a telephone number: a word of digits is kept a second time,
//! backwards, behind a `~`. And however they are grouped: `600 111 222` is also the word `600111222`.

use std::collections::BTreeSet;

use channel_sdk::reference;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Characters of an event that are looked at.
pub const SEARCHED: usize = 16_384;
/// Words of an event that are kept: the first ones.
pub const WORDS: usize = 200;
/// Characters of a word that count.
pub const LENGTH: usize = 40;
/// Rows of an index, or cases, that one page of a search looks at.
pub const LOOKED_AT: i64 = 2_000;
/// Words of a question that are looked for.
const ASKED: usize = 8;
/// Digits from which on a number is kept backwards, and asked for so.
const KEPT_BACKWARDS: usize = 5;
const ASKED_BACKWARDS: usize = 4;
/// Digits of a telephone number (E.164 §6: 15), with a prefix for calls abroad.
const LONGEST_NUMBER: usize = 17;

/// What a search asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Nothing in particular.
    Everything,
    /// The case with this reference.
    Reference(String),
    /// All of these. None: there is no word in the question, and nothing is found.
    Words(Vec<Word>),
}

/// A word that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// It is found if a stored word begins with one of these.
    pub stems: Vec<String>,
    /// Or if a reference begins so.
    pub reference: Option<String>,
}

/// What comes behind every word that begins with `stem`, in the order of code points: U+10FFFF is in no word.
pub fn behind(stem: &str) -> String {
    format!("{stem}\u{10ffff}")
}

/// What a search looks into: the words of the parts, with a space before and behind each. Empty if there are none.
pub fn kept<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut words = Words::default();
    let mut room = SEARCHED;
    for part in parts {
        let characters = part.chars().take(room).inspect(|_| room -= 1);
        words.read(characters, true);
    }
    if words.list.is_empty() { String::new() } else { format!(" {} ", words.list.join(" ")) }
}

/// What a question asks for.
pub fn asked(question: &str) -> Asked {
    let question = question.trim();
    if question.is_empty() {
        return Asked::Everything;
    }
    if let Ok(bare) = reference::parse(question) {
        return Asked::Reference(bare);
    }
    let word = |word: String| {
        let digits = is_number(&word);
        let stems = match digits && word.len() >= ASKED_BACKWARDS {
            true => vec![word.clone(), backwards(&word)],
            false => vec![word.clone()],
        };
        Word { stems, reference: digits.then_some(word) }
    };
    if let Some(number) = one_number(question) {
        return Asked::Words(vec![word(number)]);
    }
    let mut words = Words::default();
    words.read(question.chars().take(SEARCHED), false);
    Asked::Words(words.list.into_iter().take(ASKED).map(word).collect())
}

/// A question that is nothing but one number, however its digits are grouped.
fn one_number(question: &str) -> Option<String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain: String = plain(question.chars()).collect();
    let number = plain.strip_prefix('+').unwrap_or(&plain);
    let groups: Vec<&str> = number.split(groups_digits).filter(|group| !group.is_empty()).collect();
    let joined = groups.concat();
    let one = groups.len() > 1 && digits(&joined) && is_one(joined.len(), number.contains(' '));
    one.then_some(joined)
}

/// Whether groups of so many digits in all are one number. Two house numbers with a space between them are two.
fn is_one(digits: usize, spaced: bool) -> bool {
    (if spaced { 7 } else { 4 }..=LONGEST_NUMBER).contains(&digits)
}

/// What stands between the groups of a number.
fn groups_digits(character: char) -> bool {
    matches!(character, ' ' | '-' | '\u{2010}' | '\u{2013}' | '.' | '(' | ')')
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

fn backwards(number: &str) -> String {
    std::iter::once('~').chain(number.chars().rev()).collect()
}

/// Without case, accents, and other ways of writing the same (NFKD, UAX #15). Letters that Unicode does not decompose, as people without
/// that key write them.
fn plain(characters: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    characters
        .nfkd()
        .filter(|character| !is_combining_mark(*character) && !is_invisible(*character))
        .flat_map(char::to_lowercase)
        .flat_map(|character| {
            let (first, second) = match character {
                'ß' => ('s', Some('s')),
                'æ' => ('a', Some('e')),
                'œ' => ('o', Some('e')),
                'ø' => ('o', None),
                'ł' => ('l', None),
                'đ' => ('d', None),
                'ı' => ('i', None),
                'ς' => ('σ', None),
                other => (other, None),
            };
            std::iter::once(first).chain(second)
        })
}

/// Inside a word and not seen: soft hyphens, joiners. The point of Catalan's `col·legi` is left out by many who write it.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{b7}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
}

/// Of scripts that put no space between words: each character is taken for one.
fn stands_alone(character: char) -> bool {
    matches!(character, '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{20000}'..='\u{3ffff}')
}

/// Different words, in their order.
#[derive(Default)]
struct Words {
    list: Vec<String>,
    known: BTreeSet<String>,
}

/// Groups of digits that may be one number.
#[derive(Default)]
struct Number {
    digits: String,
    groups: usize,
    /// A space stands between two of them.
    spaced: bool,
    /// Characters since the last group, and whether a space is among them.
    gap: usize,
    space: bool,
}

impl Words {
    fn read(&mut self, characters: impl Iterator<Item = char>, numbers: bool) {
        let (mut word, mut number) = (String::new(), Number::default());
        let mut length = 0;
        for character in plain(characters) {
            if self.list.len() >= WORDS {
                return;
            }
            let alone = stands_alone(character);
            if character.is_alphanumeric() && !alone {
                if length < LENGTH {
                    word.push(character);
                    length += 1;
                }
                continue;
            }
            self.end_word(&mut word, &mut number, numbers);
            length = 0;
            if alone {
                self.end_number(&mut number);
                self.add(character.to_string(), false);
            } else if groups_digits(character) && number.gap < 2 {
                number.gap += 1;
                number.space |= character == ' ';
            } else {
                self.end_number(&mut number);
            }
        }
        self.end_word(&mut word, &mut number, numbers);
        self.end_number(&mut number);
    }

    fn end_word(&mut self, word: &mut String, number: &mut Number, numbers: bool) {
        if word.is_empty() {
            return;
        }
        let word = std::mem::take(word);
        if !is_number(&word) {
            self.end_number(number);
        } else if numbers {
            number.spaced |= number.space && number.groups > 0;
            number.digits.push_str(&word);
            number.groups += 1;
            (number.gap, number.space) = (0, false);
        }
        self.add(word, numbers);
    }

    fn end_number(&mut self, number: &mut Number) {
        let number = std::mem::take(number);
        if number.groups > 1 && is_one(number.digits.len(), number.spaced) {
            self.add(number.digits, true);
        }
    }

    fn add(&mut self, word: String, backwards_too: bool) {
        let other = (backwards_too && word.len() >= KEPT_BACKWARDS && is_number(&word)).then(|| backwards(&word));
        for word in std::iter::once(word).chain(other) {
            if self.list.len() < WORDS && self.known.insert(word.clone()) {
                self.list.push(word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stems(question: &str) -> Vec<Vec<String>> {
        match asked(question) {
            Asked::Words(words) => words.into_iter().map(|word| word.stems).collect(),
            other => panic!("{question}: {other:?}"),
        }
    }

    /// Whether a question finds a text, as the databases decide it.
    fn finds(question: &str, text: &str) -> bool {
        let kept = kept([text]);
        let words = stems(question);
        !words.is_empty() && words.iter().all(|stems| stems.iter().any(|stem| kept.contains(&format!(" {stem}"))))
    }

    #[test]
    fn a_word_is_found_by_its_beginning_whatever_its_case_and_accents() {
        for (question, text) in [
            ("garcia", "Sra. GARCÍA"),
            ("García", "sra. garcia"),
            ("farola", "Farolas rotas"),
            ("nandu", "Nu\u{301}ria N\u{303}andu\u{301}"),
            ("ÑANDÚ", "ñandú"),
            ("col·legi", "collegi"),
            ("collegi", "col·legi"),
            ("strasse", "Straße"),
            ("ΟΔΟΣ", "οδός"),
            ("１２", "12"),
            ("ajuntament", "l'Ajuntament"),
            ("nuria@EXAMPLE.org", "nuria@example.org"),
            ("道路", "この道路は"),
            ("路", "道路"),
            ("улиц", "УЛИЦА"),
            ("שלום", "(שלום)"),
        ] {
            assert!(finds(question, text), "{question} in {text}: {}", kept([text]));
        }
        for (question, text) in [("arola", "farolas"), ("farolas", "farola"), ("nada-en", "nada"), ("a_b", "ab")] {
            assert!(!finds(question, text), "{question} in {text}");
        }
    }

    #[test]
    fn a_number_is_found_by_its_end_and_however_it_is_grouped() {
        for text in ["+34600111222", "+34 600 111 222", "call 34-600-111.222.", "(+34) 600-111-222 tomorrow"] {
            for question in
                ["+34600111222", "+34 600 111 222", "600111222", "600-111-222", "111222", "1222", "600 111 222"]
            {
                assert!(finds(question, text), "{question} in {text}: {}", kept([text]));
            }
            assert!(!finds("600111", text), "{text}: neither the beginning nor the end");
        }
        assert!(finds("12 2026", "house 12, in 2026"), "two numbers");
        assert!(finds("22-11-2026", "on 22-11-2026 at ten"));
        assert!(!kept(["1 2 3"]).contains("123"));
        assert_eq!(kept(["600111222 600333444"]).matches(' ').count(), 5, "two telephones are not one");
        assert_eq!(kept(["28013"]), " 28013 ~31082 ");
        assert_eq!(kept(["2801", "3"]), " 2801 3 ");
        let beginning = Word { stems: vec!["482109".into(), "~901284".into()], reference: Some("482109".into()) };
        assert_eq!(asked("482-109"), Asked::Words(vec![beginning]));
    }

    #[test]
    fn a_question_without_words_is_not_one_for_everything() {
        assert_eq!(asked(" \t"), Asked::Everything);
        assert_eq!(asked(""), Asked::Everything);
        for question in ["!!!", "%", "_", "\\", "'", "\0", "\u{301}", "…"] {
            assert_eq!(asked(question), Asked::Words(Vec::new()), "{question}");
        }
        let reference = reference::from_number(482_109_372);
        assert_eq!(asked(&reference::format(&reference)), Asked::Reference(reference));
    }

    #[test]
    fn what_is_kept_is_bounded_and_has_nothing_that_a_database_could_mistake() {
        let many: String = (0..5_000).map(|number| format!("w{number} ")).collect();
        assert_eq!(kept([many.as_str()]).split_whitespace().count(), WORDS);
        assert_eq!(kept([&*"x".repeat(100_000)]).chars().count(), LENGTH + 2);
        assert_eq!(kept([&*" ".repeat(SEARCHED), "late"]), "");
        assert_eq!(kept(["farola farola", "FAROLA"]), " farola ");
        assert_eq!(kept([]), "");
        let hostile = "'\"\\\0\n{}[]$$ \u{202e}%_~-- \u{1f4a9}\u{10ffff}\u{fdd0} a\u{0}b";
        assert_eq!(kept([hostile]), " a b ");
        let long = "1".repeat(300);
        assert!(finds(&long, &long));
        assert_eq!(stems("a b c d e f g h i j").len(), 8);
    }
}
