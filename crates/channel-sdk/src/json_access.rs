//! Lenient reading of providers' JSON: a member that is missing, empty or of another type is absent, never an error.
//!
//! Ids stay exact. A whole number is read as an integer, never through a float, so that ids beyond 2^53 keep every
//! digit; what is not a 64-bit integer is absent rather than rounded.

use serde_json::Value;

/// Reads a body. Escapes of lone surrogates, which providers produce when they cut a text inside an emoji, become U+FFFD
/// instead of spoiling the whole delivery, and so does what is not UTF-8.
///
/// # Errors
///
/// Why it is not JSON, without quoting it. Nesting beyond 128 levels is an error.
pub fn parse(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body)
        .or_else(|first| {
            let repaired = without_lone_surrogates(&String::from_utf8_lossy(body));
            serde_json::from_str(&repaired).map_err(|_| first)
        })
        .map_err(|error: serde_json::Error| {
            format!("the body is not JSON (line {}, column {})", error.line(), error.column())
        })
}

/// Members of a JSON object, however it came.
pub trait Pick {
    /// The member, or `null`.
    fn at(&self, name: &str) -> &Value;

    /// The elements of an array; a missing one is empty.
    fn items(&self, name: &str) -> &[Value];

    /// A text that is not empty, without NUL, which no database's text can hold.
    fn text(&self, name: &str) -> Option<String>;

    /// An id: a text that is not empty, or a whole number with all its digits.
    fn id(&self, name: &str) -> Option<String>;

    /// A whole number, also in a text.
    fn whole(&self, name: &str) -> Option<i64>;

    /// Any number, also in a text, that is finite.
    fn number(&self, name: &str) -> Option<f64>;

    /// `true`, and nothing else.
    fn truth(&self, name: &str) -> bool;

    /// A time in seconds or milliseconds since 1970, as a number or a text, in milliseconds. Absent: none, zero, or beyond
    /// the year 9999.
    fn instant(&self, name: &str) -> Option<i64>;
}

/// A text, a whole number or a truth value as text; anything else is absent.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.replace('\0', "\u{fffd}")).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl Pick for Value {
    fn at(&self, name: &str) -> &Value {
        self.get(name).unwrap_or(&Value::Null)
    }

    fn items(&self, name: &str) -> &[Value] {
        self.at(name).as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.at(name).as_str().and_then(|_| scalar(self.at(name)))
    }

    fn id(&self, name: &str) -> Option<String> {
        match self.at(name) {
            Value::Number(number) => {
                number.as_i64().map(|id| id.to_string()).or_else(|| number.as_u64().map(|id| id.to_string()))
            }
            _ => self.text(name).map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()),
        }
    }

    fn whole(&self, name: &str) -> Option<i64> {
        match self.at(name) {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    fn number(&self, name: &str) -> Option<f64> {
        match self.at(name) {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
        .filter(|number: &f64| number.is_finite())
    }

    fn truth(&self, name: &str) -> bool {
        self.at(name) == &Value::Bool(true)
    }

    fn instant(&self, name: &str) -> Option<i64> {
        /// As milliseconds 1973, as seconds the year 5138: nothing real is on the wrong side of it.
        const FIRST_MILLISECONDS: i64 = 100_000_000_000;
        /// 9999-12-31T23:59:59.999Z
        const LAST: i64 = 253_402_300_799_999;
        let time = self.whole(name)?;
        let millis = if time < FIRST_MILLISECONDS { time.checked_mul(1000)? } else { time };
        (1..=LAST).contains(&millis).then_some(millis)
    }
}

/// A fingerprint of a value for deliveries that carry no id: equal values give equal ones, whatever the order of members.
///
/// FNV-1a, 64 bits. It tells apart the facts of a provider that has signed them; it is no protection against a forger.
pub fn fingerprint(value: &Value) -> String {
    let hash = value
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// Replaces `\uD800`–`\uDFFF` escapes that are not one half of a pair.
fn without_lone_surrogates(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        repaired.push_str(before);
        // The length in bytes of what stands here, and whether it may stay.
        let (length, keep) = match surrogate(escape) {
            None => (escape.chars().take(2).map(char::len_utf8).sum(), true),
            Some(high @ 0xd800..=0xdbff) if high < 0xdc00 => match escape.get(6..).and_then(surrogate) {
                Some(0xdc00..) => (12, true),
                _ => (6, false),
            },
            Some(_) => (6, false),
        };
        let (here, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        repaired.push_str(if keep { here } else { "\\ufffd" });
        rest = after;
    }
    repaired.push_str(rest);
    repaired
}

/// The code unit of a `\uXXXX` escape at the beginning, if it is a surrogate.
fn surrogate(escape: &str) -> Option<u32> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok().filter(|unit| (0xd800..=0xdfff).contains(unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_beyond_2_to_the_53_keep_every_digit() {
        let body =
            parse(br#"{"a":9007199254740993,"b":-1001234567890123456,"c":18446744073709551615,"d":" x1 "}"#).unwrap();
        assert_eq!(body.id("a").unwrap(), "9007199254740993");
        assert_eq!(body.id("b").unwrap(), "-1001234567890123456");
        assert_eq!(body.id("c").unwrap(), "18446744073709551615");
        assert_eq!(body.id("d").unwrap(), "x1");
    }

    #[test]
    fn an_id_that_would_be_rounded_is_absent() {
        let body = parse(br#"{"a":1e30,"b":18446744073709551616,"c":1.5,"d":true,"e":"","f":[1]}"#).unwrap();
        for name in ["a", "b", "c", "d", "e", "f", "g"] {
            assert_eq!(body.id(name), None, "{name}");
        }
    }

    #[test]
    fn times_are_seconds_or_milliseconds() {
        let body = json!({"s": "1795255200", "n": 1_795_255_200, "ms": 1_795_255_200_123_i64, "zero": 0, "far": i64::MAX, "word": "x"});
        assert_eq!(body.instant("s"), Some(1_795_255_200_000));
        assert_eq!(body.instant("n"), Some(1_795_255_200_000));
        assert_eq!(body.instant("ms"), Some(1_795_255_200_123));
        for name in ["zero", "far", "word", "none"] {
            assert_eq!(body.instant(name), None, "{name}");
        }
    }

    #[test]
    fn a_text_cut_inside_an_emoji_does_not_spoil_the_delivery() {
        let cases = [
            (r#"{"t":"ok \ud83d"}"#, "ok \u{fffd}"),
            (r#"{"t":"\udd25 ok"}"#, "\u{fffd} ok"),
            (r#"{"t":"\ud83d\ud83d\udd25"}"#, "\u{fffd}\u{1f525}"),
            (r#"{"t":"\ud83d\\udd25"}"#, "\u{fffd}\\udd25"),
            (r#"{"t":"\\ud83d \ud83d"}"#, "\\ud83d \u{fffd}"),
        ];
        for (body, text) in cases {
            assert_eq!(parse(body.as_bytes()).unwrap().text("t").unwrap(), text, "{body}");
        }
        assert_eq!(parse(b"{\"t\":\"a\xffb\"}").unwrap().text("t").unwrap(), "a\u{fffd}b");
    }

    #[test]
    fn nul_never_reaches_the_store() {
        assert_eq!(parse(br#"{"t":"a\u0000b"}"#).unwrap().text("t").unwrap(), "a\u{fffd}b");
    }

    #[test]
    fn what_is_not_json_is_an_error_that_does_not_quote_it() {
        for body in [&b""[..], b"{", b"\\", b"\\u", b"{\"secret", b"\xff"] {
            let problem = parse(body).unwrap_err();
            assert!(problem.starts_with("the body is not JSON (line "), "{problem}");
            assert!(!problem.contains("secret"));
        }
        assert!(parse(&b"[".repeat(100_000)).is_err());
    }

    #[test]
    fn fingerprints_do_not_depend_on_the_order_of_members() {
        let (one, same) = (parse(br#"{"a":1,"b":2}"#).unwrap(), parse(br#"{ "b":2, "a":1 }"#).unwrap());
        assert_eq!(fingerprint(&one), fingerprint(&same));
        assert_ne!(fingerprint(&one), fingerprint(&json!({"a": 1, "b": 3})));
    }
}
