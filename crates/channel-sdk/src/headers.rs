//! Headers that decide something must be there once.

use crate::types::{Header, Refusal, RefusalReason};

/// The only value of a header, or nothing when it is absent.
///
/// # Errors
///
/// A refusal when it came several times (two parties might each read another one) or is longer than `max` bytes.
pub fn single<'a>(headers: &'a [Header], name: &str, max: usize) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let Some(first) = values.next() else {
        return Ok(None);
    };
    let fault = if values.next().is_some() {
        "came more than once"
    } else if first.value.len() > max {
        "is too long"
    } else {
        return Ok(Some(first.value.trim_ascii()));
    };
    Err(Refusal { reason: RefusalReason::BadSignature, detail: format!("header {name} {fault}") })
}

/// As [`single`], but absent or empty is a refusal too.
///
/// # Errors
///
/// As [`single`], and `missing-signature`.
pub fn required<'a>(headers: &'a [Header], name: &str, max: usize) -> Result<&'a [u8], Refusal> {
    match single(headers, name, max)? {
        Some(value) if !value.is_empty() => Ok(value),
        _ => Err(Refusal {
            reason: RefusalReason::MissingSignature,
            detail: format!("header {name} is missing or empty"),
        }),
    }
}

/// The media type of `content-type` in lower case without parameters; empty when absent.
pub fn media_type(headers: &[Header]) -> String {
    headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-type"))
        .map(|header| String::from_utf8_lossy(&header.value).into_owned())
        .and_then(|value| value.split(';').next().map(|media| media.trim().to_ascii_lowercase()))
        .unwrap_or_default()
}

/// The first value of a header as text.
pub fn text(headers: &[Header], name: &str) -> Option<String> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| crate::forms::text(&header.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Vec<Header> {
        pairs.iter().map(|(name, value)| Header { name: (*name).into(), value: value.as_bytes().to_vec() }).collect()
    }

    #[test]
    fn a_header_that_decides_must_be_there_once() {
        let reason = |pairs: &[(&str, &str)]| {
            required(&headers(pairs), "x-sig", 5).map(<[u8]>::to_vec).map_err(|refusal| refusal.reason)
        };
        assert_eq!(reason(&[("x-sig", " abc ")]), Ok(b"abc".to_vec()));
        assert_eq!(reason(&[("X-Sig", "abc")]), Ok(b"abc".to_vec()));
        assert_eq!(reason(&[]), Err(RefusalReason::MissingSignature));
        assert_eq!(reason(&[("x-sig", " ")]), Err(RefusalReason::MissingSignature));
        assert_eq!(reason(&[("x-sig", "abc"), ("x-sig", "abc")]), Err(RefusalReason::BadSignature));
        assert_eq!(reason(&[("x-sig", "abcdef")]), Err(RefusalReason::BadSignature));
    }

    #[test]
    fn the_media_type_has_no_parameters() {
        assert_eq!(media_type(&headers(&[("content-type", "Application/JSON; charset=utf-8")])), "application/json");
        assert_eq!(media_type(&[]), "");
    }
}
