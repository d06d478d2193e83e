//! What people write about a pothole is public; their e-mail address and telephone number, written into it, are not.

/// Stands for what is left out.
const LEFT_OUT: &str = "***";
/// E.164 has at most fifteen digits; national numbers are rarely shorter than nine.
const DIGITS: core::ops::RangeInclusive<usize> = 9..=15;

/// The text without e-mail addresses and telephone numbers.
pub(crate) fn contacts(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let number = number(rest);
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (length, left_out) = if first.is_whitespace() {
            (first.len_utf8(), false)
        } else if number > 0 {
            (number, true)
        } else if rest.get(..word).is_some_and(is_address) {
            (word, true)
        } else {
            // A number may follow a colon or a bracket, so words are left at what may begin one; not within digits or letters.
            let end = rest
                .char_indices()
                .skip(1)
                .find(|(at, c)| {
                    let before = rest.get(..*at).and_then(|text| text.chars().next_back());
                    c.is_whitespace() || starts_number(*c) && before.is_some_and(|c| !c.is_alphanumeric())
                })
                .map_or(rest.len(), |(at, _)| at);
            (end, false)
        };
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        out.push_str(if left_out { LEFT_OUT } else { piece });
        rest = after;
    }
    out
}

fn starts_number(character: char) -> bool {
    character.is_ascii_digit() || matches!(character, '+' | '(')
}

fn is_address(word: &str) -> bool {
    word.split_once('@').is_some_and(|(local, domain)| {
        let named = |text: &str| text.chars().any(char::is_alphanumeric);
        named(local) && domain.split_once('.').is_some_and(|(host, top)| named(host) && named(top))
    })
}

/// The length of the telephone number that the text begins with; 0 if it begins with none.
fn number(text: &str) -> usize {
    if !text.chars().next().is_some_and(starts_number) {
        return 0;
    }
    let mut digits = 0;
    let mut end = 0;
    let mut group = String::new();
    let mut has_year = false;
    let mut separators = 0;
    let mut close = |group: &mut String| {
        has_year |= group.len() == 4 && (group.starts_with("19") || group.starts_with("20"));
        group.clear();
    };
    for (at, character) in text.char_indices() {
        match character {
            '0'..='9' => {
                digits += 1;
                if digits > *DIGITS.end() {
                    return 0;
                }
                separators = 0;
                end = at + 1;
                group.push(character);
            }
            '+' if at == 0 => {}
            ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' if separators < 2 => {
                separators += 1;
                close(&mut group);
            }
            _ => break,
        }
    }
    close(&mut group);
    // `2026-11-21 10` is a date.
    if DIGITS.contains(&digits) && !has_year { end } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_numbers_are_left_out_wherever_they_stand() {
        for (text, shown) in [
            ("Call 600 111 222 please", "Call *** please"),
            ("tel:+34600111222, thanks", "tel:***, thanks"),
            ("(+34) 600-11-12-22", "(***"),
            ("mail ana.p@example.org", "mail ***"),
            ("<ana@example.org>; 600111222.", "*** ***."),
            ("+34\u{a0}600.111.222", "***"),
        ] {
            assert_eq!(contacts(text), shown, "{text}");
        }
    }

    #[test]
    fn everything_else_stays() {
        for text in [
            "",
            " ",
            "Farola nº 12345678 frente al 14, 28013",
            "since 2026-11-21 10:30",
            "el 21.11.2026 10:30",
            "40.41678, -3.70379",
            "a@b",
            "50 @ 3.50",
            "1234567890123456",
            "ñ€\u{1f600} (a) + b",
            "\n\u{2003}x\r\n",
        ] {
            assert_eq!(contacts(text), text);
        }
    }
}
