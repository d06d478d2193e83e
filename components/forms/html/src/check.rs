//! Whether what somebody wrote can be used. Everything wrong is said at once, each beside its field, in their language.

use channel_sdk::phrases::say;
use channel_sdk::types::{AttributeDatatype, Context, Location, Service, ServiceAttribute, TenantProfile};
use channel_sdk::{e164, language, photo};

use crate::html::cut;
use crate::settings;
use crate::wire::{self, Encoding, Sent};
use crate::words::Words;

/// Something to be put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The control's id, which is also the name but for a service's questions.
    pub(crate) id: String,
    pub(crate) message: String,
}

/// The service chosen, if it is one of the tenant's.
pub(crate) fn service<'a>(sent: &Sent<'_>, profile: &'a TenantProfile) -> Option<&'a Service> {
    let code = sent.get(wire::SERVICE)?;
    profile.services.iter().find(|service| service.code == code)
}

/// The value for "something else". No service code is a blank and a dash.
pub(crate) const OTHER: &str = "-";

/// The id of the control for a service's question.
pub(crate) fn question_id(index: usize) -> String {
    format!("question-{}", index + 1)
}

/// A service's question in somebody's language; its code if it has no words.
pub(crate) fn question<'a>(attribute: &'a ServiceAttribute, words: &Words) -> &'a str {
    language::pick(&attribute.description, words.tag).map_or(attribute.code.as_str(), |text| text.text.as_str())
}

/// The coordinates given; an error if they are half or none at all.
pub(crate) fn coordinates(sent: &Sent<'_>) -> Result<Option<Location>, ()> {
    match (sent.get(wire::LAT), sent.get(wire::LONG)) {
        (None, None) => Ok(None),
        (Some(lat), Some(long)) => {
            let place = Location { lat: decimal(lat).ok_or(())?, long: decimal(long).ok_or(())? };
            if place.lat.abs() <= 90.0 && place.long.abs() <= 180.0 { Ok(Some(place)) } else { Err(()) }
        }
        _ => Err(()),
    }
}

/// A decimal number of at most nine digits before and six after the separator, which is that of the writer's language; the
/// minus is that of their keyboard. (The standard library's reader of floats is a fiftieth of a component's budget.)
fn decimal(text: &str) -> Option<f64> {
    let text = text.trim_end_matches('°').trim();
    let (is_negative, text) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, part) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(whole) && digits(part) && whole.len() <= 9 && !(whole.is_empty() && part.is_empty())).then_some(())?;
    let mut millionths: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    for place in 0..6 {
        millionths = millionths * 10 + part.as_bytes().get(place).map_or(0, |digit| i64::from(digit - b'0'));
    }
    let value = i32::try_from(millionths / 1_000_000).ok().map(f64::from)?
        + i32::try_from(millionths % 1_000_000).ok().map(f64::from)? / 1e6;
    Some(if is_negative { -value } else { value })
}

/// Where a photo was taken; only if nothing was said about the place.
pub(crate) fn place_of_photos(sent: &Sent<'_>) -> Option<Location> {
    let is_told = [wire::ADDRESS, wire::LAT, wire::LONG].iter().any(|name| sent.get(name).is_some());
    if is_told { None } else { sent.photos.iter().find_map(|file| photo::position(file.content)) }
}

/// Whether it looks like a mail address: enough to find a slip, not to judge RFC 5321.
pub(crate) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    !local.is_empty()
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';' | '"'))
        && !local.contains('@')
}

/// A telephone number without its separators.
pub(crate) fn telephone(text: &str) -> Option<String> {
    e164::number_of(text).filter(|number| (6..=15).contains(&number.trim_start_matches('+').len()))
}

/// Everything that has to be put right, in the order of the form.
pub(crate) fn faults(sent: &Sent<'_>, context: &Context, words: &Words) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut add = |id: &str, message: String| faults.push(Fault { id: id.to_owned(), message });
    let chosen = service(sent, &context.profile);
    match sent.get(wire::SERVICE) {
        None if sent.encoding == Encoding::Page && !context.profile.services.is_empty() => {
            add(wire::SERVICE, words.service_missing.into());
        }
        Some(code) if chosen.is_none() && code != OTHER => add(wire::SERVICE, words.service_unknown.into()),
        _ => {}
    }
    for (index, attribute) in chosen.iter().flat_map(|service| &service.attributes).enumerate() {
        if let Some(message) = answer(sent, attribute, words) {
            add(&question_id(index), message);
        }
    }
    match sent.get(wire::TEXT).map(|text| text.chars().count()) {
        None => add(wire::TEXT, words.text_missing.into()),
        Some(count) if count > wire::MAX_TEXT => {
            add(wire::TEXT, say(words.text_long, &[&count.to_string(), &wire::MAX_TEXT.to_string()]));
        }
        Some(_) => {}
    }
    let line = |name: &str, label: &str, add: &mut dyn FnMut(&str, String)| {
        let is_long = sent.get(name).is_some_and(|text| text.chars().count() > wire::MAX_LINE);
        if is_long {
            add(name, say(words.line_long, &[label, &wire::MAX_LINE.to_string()]));
        }
        is_long
    };
    line(wire::ADDRESS, words.address, &mut add);
    let coordinates = coordinates(sent);
    if coordinates.is_err() {
        add(wire::LAT, words.coordinates_wrong.into());
    } else if chosen.is_some_and(|service| service.place_required)
        && coordinates == Ok(None)
        && sent.get(wire::ADDRESS).is_none()
        && place_of_photos(sent).is_none()
    {
        add(wire::ADDRESS, words.place_missing.into());
    }
    if sent.photos.len() > wire::MAX_PHOTOS {
        add(wire::PHOTO, say(words.photos_many, &[&wire::MAX_PHOTOS.to_string()]));
    } else if let Some(file) = sent.photos.iter().find(|file| photo::kind(file.content).is_none()) {
        add(wire::PHOTO, say(words.photo_wrong, &[cut(&file.name, 80)]));
    }
    line(wire::NAME, words.name, &mut add);
    if !line(wire::EMAIL, words.email, &mut add) && sent.get(wire::EMAIL).is_some_and(|email| !is_email(email)) {
        add(wire::EMAIL, words.email_wrong.into());
    }
    if sent.get(wire::PHONE).is_some_and(|phone| telephone(phone).is_none()) {
        add(wire::PHONE, words.phone_wrong.into());
    }
    if settings::contact_required(context) && sent.get(wire::EMAIL).is_none() && sent.get(wire::PHONE).is_none() {
        add(wire::EMAIL, words.contact_missing.into());
    }
    faults
}

/// What is wrong with the answer to a service's question.
fn answer(sent: &Sent<'_>, attribute: &ServiceAttribute, words: &Words) -> Option<String> {
    let name = wire::attribute(&attribute.code);
    let mut answers = sent.all(&name).peekable();
    if answers.peek().is_none() {
        return attribute.required.then(|| say(words.answer_missing, &[question(attribute, words)]));
    }
    let fits = |answer: &str| {
        let length = answer.chars().count();
        match attribute.datatype {
            AttributeDatatype::StringValue => length <= wire::MAX_LINE,
            AttributeDatatype::Text => length <= wire::MAX_TEXT,
            AttributeDatatype::Number => is_number(answer),
            AttributeDatatype::Datetime => is_date(answer),
            AttributeDatatype::SingleValueList | AttributeDatatype::MultiValueList => {
                attribute.values.iter().any(|(key, _)| key == answer)
            }
        }
    };
    let is_fine = answers.all(fits);
    (!is_fine).then(|| say(words.answer_wrong, &[question(attribute, words)]))
}

/// Digits with one separator, and a sign.
fn is_number(text: &str) -> bool {
    let text = text.trim_start_matches(['-', '+', '\u{2212}']);
    let (whole, part) = text.split_once(['.', ',']).unwrap_or((text, ""));
    text.len() <= 30
        && !(whole.is_empty() && part.is_empty())
        && whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit())
}

/// `2026-11-21`, with or without a time: what `datetime-local` gives (WHATWG HTML §2.3.5.5).
fn is_date(text: &str) -> bool {
    let shape = text.bytes().take(16).map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    let shape: Vec<u8> = shape.collect();
    text.len() <= 35 && (shape == b"0000-00-00" || shape == b"0000-00-00T00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_in_addresses_and_numbers_are_found() {
        for good in ["a@b.example", "nombre.apellido+aviso@correo.vilanova.example", "ñ@ñ.example"] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "a@b",
            "@b.example",
            "a@.example",
            "a@b.",
            "a b@c.example",
            "a@b@c.example",
            "<a@b.example>",
            "a@b.example,c@d.example",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
        assert_eq!(telephone("+34 600-11 12.22").as_deref(), Some("+34600111222"));
        assert_eq!(telephone("600 111 222").as_deref(), Some("600111222"));
        for bad in ["", "112x", "12345", "+", "1234567890123456", "no tengo"] {
            assert_eq!(telephone(bad), None, "{bad}");
        }
    }

    #[test]
    fn coordinates_are_read_as_people_write_them() {
        for (text, value) in [
            ("41.2241", 41.2241),
            ("41,2241", 41.2241),
            ("-3.7038", -3.7038),
            ("\u{2212}3,7038°", -3.7038),
            ("+0.5", 0.5),
            ("-0.25", -0.25),
            ("180", 180.0),
            (".5", 0.5),
            ("41.22412345678", 41.224_123),
        ] {
            let read = decimal(text).unwrap();
            assert!((read - value).abs() < 1e-9, "{text} {read}");
        }
        for text in ["", "-", ".", "x", "1e3", "1.2.3", "NaN", "--1", "1234567890", "41° 13'"] {
            assert_eq!(decimal(text), None, "{text}");
        }
        assert!(is_number("-1,5") && is_number("3") && !is_number("") && !is_number("-") && !is_number("1e9"));
    }

    #[test]
    fn a_date_has_the_shape_of_one() {
        assert!(is_date("2026-11-21") && is_date("2026-11-21T10:00") && is_date("2026-11-21T10:00:30"));
        assert!(!is_date("21/11/2026") && !is_date("2026-11") && !is_date(""));
    }
}
