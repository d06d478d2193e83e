//! Case references: nine digits and a check digit, dictated by telephone in groups: `482-109-3726`.
//!
//! The check digit is Damm's (H. M. Damm, "Total anti-symmetrische Quasigruppen", 2004): it catches every single wrong
//! digit and every swap of neighbours, the two mistakes people make when they hear and key numbers.

use core::fmt;

/// Digits of a reference, the check digit included.
pub const LENGTH: usize = 10;

/// The weakly totally anti-symmetric quasigroup of order 10 from Damm's thesis.
const TABLE: [[u8; 10]; 10] = [
    [0, 3, 1, 7, 5, 9, 8, 6, 4, 2],
    [7, 0, 9, 2, 1, 5, 4, 8, 6, 3],
    [4, 2, 0, 6, 8, 7, 1, 3, 5, 9],
    [1, 7, 5, 0, 9, 8, 3, 4, 2, 6],
    [6, 1, 2, 3, 0, 4, 5, 9, 7, 8],
    [3, 6, 7, 4, 2, 0, 9, 5, 8, 1],
    [5, 8, 6, 9, 7, 2, 0, 1, 3, 4],
    [8, 9, 4, 5, 3, 6, 2, 0, 1, 7],
    [9, 4, 3, 8, 6, 1, 7, 2, 0, 5],
    [2, 5, 8, 1, 4, 3, 6, 7, 9, 0],
];

/// Why a text is not a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceError {
    /// It has this many digits instead of ten.
    Length {
        /// Digits found.
        digits: usize,
    },
    /// It has a character that is neither a digit nor a separator.
    Character {
        /// The character found.
        found: char,
    },
    /// Ten digits, but mistyped or misheard: the check digit does not fit.
    CheckDigit,
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { digits } => write!(f, "a reference has ten digits, this has {digits}"),
            Self::Character { found } => write!(f, "a reference has digits only, this has {found:?}"),
            Self::CheckDigit => f.write_str("the reference is mistyped: its check digit does not fit"),
        }
    }
}

impl std::error::Error for ReferenceError {}

/// Damm's interim digit of a run of decimal digits: 0 when the last one is a fitting check digit.
fn interim(digits: &[u8]) -> u8 {
    digits.iter().fold(0, |interim, digit| {
        TABLE.get(usize::from(interim)).and_then(|row| row.get(usize::from(*digit))).copied().unwrap_or(0)
    })
}

/// The reference, as ten bare digits, whose first nine are `number` modulo 10⁹.
pub fn from_number(number: u32) -> String {
    let body = format!("{:09}", number % 1_000_000_000);
    let check = interim(&body.bytes().map(|byte| byte - b'0').collect::<Vec<_>>());
    format!("{body}{check}")
}

/// Ten bare digits in the groups people dictate: `482-109-3726`. Anything else is given back as it is.
pub fn format(bare: &str) -> String {
    match (bare.get(..3), bare.get(3..6), bare.get(6..)) {
        (Some(first), Some(second), Some(third)) if bare.len() == LENGTH => format!("{first}-{second}-{third}"),
        _ => bare.to_owned(),
    }
}

/// The ten bare digits of what somebody typed, keyed or said.
///
/// Spaces, dashes, dots and slashes between digits are fine.
///
/// # Errors
///
/// [`ReferenceError`] names what is wrong; a wrong check digit is never taken for another case's reference.
pub fn parse(text: &str) -> Result<String, ReferenceError> {
    let mut digits = Vec::with_capacity(LENGTH);
    for character in text.chars() {
        match character {
            '0'..='9' => digits.push(character as u8 - b'0'),
            '-' | '.' | '/' | '\u{2010}'..='\u{2015}' => {}
            space if space.is_whitespace() => {}
            found => return Err(ReferenceError::Character { found }),
        }
    }
    if digits.len() != LENGTH {
        return Err(ReferenceError::Length { digits: digits.len() });
    }
    if interim(&digits) != 0 {
        return Err(ReferenceError::CheckDigit);
    }
    Ok(digits.iter().map(|digit| char::from(b'0' + digit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digit_of_the_published_example_is_four() {
        // Damm's and Wikipedia's example: 572 has check digit 4.
        assert_eq!(interim(&[5, 7, 2]), 4);
        assert_eq!(interim(&[5, 7, 2, 4]), 0);
    }

    #[test]
    fn every_single_wrong_digit_is_refused() {
        for number in [0, 1, 482_109_372, 999_999_999, 123_456_789] {
            let right = from_number(number);
            assert_eq!(parse(&right).as_deref(), Ok(right.as_str()));
            for place in 0..LENGTH {
                for digit in b'0'..=b'9' {
                    let mut wrong = right.clone().into_bytes();
                    if wrong[place] == digit {
                        continue;
                    }
                    wrong[place] = digit;
                    assert_eq!(parse(std::str::from_utf8(&wrong).unwrap()), Err(ReferenceError::CheckDigit));
                }
            }
        }
    }

    #[test]
    fn every_swap_of_neighbours_is_refused() {
        for number in (0..1_000_000_000).step_by(7_654_321) {
            let right = from_number(number).into_bytes();
            for place in 0..LENGTH - 1 {
                let mut wrong = right.clone();
                wrong.swap(place, place + 1);
                if wrong != right {
                    assert_eq!(parse(std::str::from_utf8(&wrong).unwrap()), Err(ReferenceError::CheckDigit));
                }
            }
        }
    }

    #[test]
    fn groups_are_read_back() {
        let bare = from_number(482_109_372);
        let shown = format(&bare);
        assert_eq!(shown.len(), 12);
        assert_eq!(parse(&shown), Ok(bare.clone()));
        assert_eq!(parse(&shown.replace('-', " ")), Ok(bare));
    }

    #[test]
    fn what_is_not_a_reference_says_why() {
        assert_eq!(parse(""), Err(ReferenceError::Length { digits: 0 }));
        assert_eq!(parse("12345678901"), Err(ReferenceError::Length { digits: 11 }));
        assert_eq!(parse("12345a7890"), Err(ReferenceError::Character { found: 'a' }));
    }
}
