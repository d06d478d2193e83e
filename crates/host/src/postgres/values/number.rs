//! NUMERIC between its text and PostgreSQL's binary form: groups of four digits, so that no digit is ever lost.

/// `src/backend/utils/adt/numeric.c`: what `numeric_send` writes.
const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xc000;
const INFINITY: u16 = 0xd000;
const MINUS_INFINITY: u16 = 0xf000;
/// Digits after the point that the server takes.
const MAX_SCALE: usize = 16_383;
/// Digits before the point that the server takes.
const MAX_WHOLE: usize = 131_072;

/// The binary form of `-12.50`, `NaN`, `Infinity` or `-Infinity`.
pub(super) fn encode(text: &str) -> Option<Vec<u8>> {
    let special = match text {
        "NaN" => Some(NOT_A_NUMBER),
        "Infinity" => Some(INFINITY),
        "-Infinity" => Some(MINUS_INFINITY),
        _ => None,
    };
    if let Some(sign) = special {
        return Some(assemble(&[], 0, sign, 0));
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (NEGATIVE, digits),
        None => (0, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    if fraction.len() > MAX_SCALE || whole.len() > MAX_WHOLE {
        return None;
    }
    let mut padded = vec![b'0'; (4 - whole.len() % 4) % 4];
    padded.extend(whole.bytes());
    let mut weight = i16::try_from(padded.len() / 4).ok()? - 1;
    padded.extend(fraction.bytes());
    padded.resize(padded.len().next_multiple_of(4), b'0');
    let mut groups: Vec<u16> = padded
        .chunks(4)
        .map(|group| group.iter().fold(0, |value, digit| value * 10 + u16::from(digit - b'0')))
        .collect();
    let leading = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..leading);
    weight -= i16::try_from(leading).ok()?;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    Some(assemble(&groups, weight, sign, u16::try_from(fraction.len()).ok()?))
}

fn assemble(groups: &[u16], weight: i16, sign: u16, scale: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + 2 * groups.len());
    // Never more than MAX_WHOLE + MAX_SCALE digits.
    out.extend(u16::try_from(groups.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(weight.to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend(scale.to_be_bytes());
    groups.iter().for_each(|group| out.extend(group.to_be_bytes()));
    out
}

/// The text of a binary form.
pub(super) fn decode(bytes: &[u8]) -> Option<String> {
    let mut words = bytes.chunks_exact(2).map(|pair| pair.try_into().map(u16::from_be_bytes).unwrap_or_default());
    let count = usize::from(words.next()?);
    let weight = i32::from(words.next()?.cast_signed());
    let sign = words.next()?;
    let scale = usize::from(words.next()?);
    match sign {
        NOT_A_NUMBER => return Some("NaN".into()),
        INFINITY => return Some("Infinity".into()),
        MINUS_INFINITY => return Some("-Infinity".into()),
        _ => {}
    }
    let groups: Vec<u16> = words.collect();
    if groups.len() != count || scale > MAX_SCALE {
        return None;
    }
    let group = |position: i32| {
        let index = usize::try_from(weight - position).ok();
        index.and_then(|index| groups.get(index)).copied().unwrap_or(0)
    };
    let mut text = String::from(if sign == NEGATIVE { "-" } else { "" });
    if weight < 0 {
        text.push('0');
    } else {
        text.push_str(&group(weight).to_string());
        (0..weight).rev().for_each(|position| text.push_str(&format!("{:04}", group(position))));
    }
    if scale > 0 {
        let mut fraction = String::new();
        for position in 1..=i32::try_from(scale.div_ceil(4)).ok()? {
            fraction.push_str(&format!("{:04}", group(-position)));
        }
        fraction.truncate(scale);
        text.push('.');
        text.push_str(&fraction);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_survives_both_ways() {
        for text in [
            "0",
            "0.00",
            "1",
            "-1",
            "9999",
            "10000",
            "100000000",
            "12345.678",
            "-0.0001",
            "0.00001",
            "0.000000001234",
            "3.14159265358979323846264338327950288419716939937510",
            "123456789012345678901234567890.10",
            "NaN",
            "Infinity",
            "-Infinity",
        ] {
            assert_eq!(decode(&encode(text).unwrap()).as_deref(), Some(text));
        }
        assert_eq!(decode(&encode("007.50").unwrap()).as_deref(), Some("7.50"));
        assert_eq!(decode(&encode("+.5").unwrap()).as_deref(), Some("0.5"));
    }

    #[test]
    fn the_binary_form_is_the_server_s() {
        // select numeric_send(12345.678)
        assert_eq!(encode("12345.678").unwrap(), [0, 3, 0, 1, 0, 0, 0, 3, 0, 1, 9, 41, 26, 124]);
    }

    #[test]
    fn what_is_no_number_is_none() {
        for bad in ["", ".", "-", "1e5", "1.2.3", "0x1", " 1", "1,5", "--1", "nan"] {
            assert_eq!(encode(bad), None, "{bad}");
        }
        assert_eq!(encode(&format!("1.{}", "0".repeat(20_000))), None);
        assert_eq!(decode(&[0, 2, 0, 0, 0, 0, 0, 0, 0, 1]), None, "fewer groups than announced");
        assert_eq!(decode(&[]), None);
    }
}
