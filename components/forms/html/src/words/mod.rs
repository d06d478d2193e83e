//! What the pages say, in the five languages of the first tenants: plain words, the polite form, no grammatical gender for
//! who reads. `{}` is filled in by [`channel_sdk::phrases::say`].

mod ca;
mod en;
mod es;
mod eu;
mod gl;

use channel_sdk::language;
use channel_sdk::types::TenantProfile;

/// The words of one language. What each is for is said by its English.
pub(crate) struct Words {
    pub(crate) tag: &'static str,
    /// As its speakers call it.
    pub(crate) own_name: &'static str,
    pub(crate) languages: &'static str,
    pub(crate) skip: &'static str,
    pub(crate) title: &'static str,
    pub(crate) intro: &'static str,
    pub(crate) notice: &'static str,
    pub(crate) optional: &'static str,
    pub(crate) service: &'static str,
    pub(crate) choose_service: &'static str,
    pub(crate) other_service: &'static str,
    pub(crate) questions: &'static str,
    pub(crate) questions_hint: &'static str,
    pub(crate) text: &'static str,
    /// `{}` is a number of characters.
    pub(crate) text_hint: &'static str,
    pub(crate) place: &'static str,
    pub(crate) address: &'static str,
    pub(crate) address_hint: &'static str,
    pub(crate) locate: &'static str,
    pub(crate) locating: &'static str,
    pub(crate) located: &'static str,
    pub(crate) not_located: &'static str,
    pub(crate) coordinates: &'static str,
    pub(crate) latitude: &'static str,
    pub(crate) longitude: &'static str,
    pub(crate) photos: &'static str,
    /// `{}` are a number of photos and one of megabytes.
    pub(crate) photos_hint: &'static str,
    pub(crate) photo_position_hint: &'static str,
    pub(crate) contact: &'static str,
    pub(crate) contact_hint: &'static str,
    pub(crate) name: &'static str,
    pub(crate) email: &'static str,
    pub(crate) phone: &'static str,
    pub(crate) trap: &'static str,
    pub(crate) privacy: &'static str,
    pub(crate) emergency: &'static str,
    pub(crate) send: &'static str,
    pub(crate) sending: &'static str,
    pub(crate) error: &'static str,
    pub(crate) errors: &'static str,
    pub(crate) text_missing: &'static str,
    /// `{}` are the characters there are and those there may be.
    pub(crate) text_long: &'static str,
    /// `{}` are a field and a number of characters.
    pub(crate) line_long: &'static str,
    pub(crate) service_missing: &'static str,
    pub(crate) service_unknown: &'static str,
    pub(crate) place_missing: &'static str,
    pub(crate) coordinates_wrong: &'static str,
    pub(crate) email_wrong: &'static str,
    pub(crate) phone_wrong: &'static str,
    pub(crate) contact_missing: &'static str,
    /// `{}` is a file's name.
    pub(crate) photo_wrong: &'static str,
    /// `{}` is a number of photos.
    pub(crate) photos_many: &'static str,
    /// `{}` is a question.
    pub(crate) answer_missing: &'static str,
    /// `{}` is a question.
    pub(crate) answer_wrong: &'static str,
    pub(crate) photos_again: &'static str,
    pub(crate) look_again: &'static str,
    pub(crate) open_too_long: &'static str,
    pub(crate) not_verified: &'static str,
    pub(crate) unavailable: &'static str,
    /// `{}` is a number of megabytes.
    pub(crate) too_large: &'static str,
    pub(crate) not_understood: &'static str,
    pub(crate) not_found: &'static str,
    pub(crate) to_form: &'static str,
    pub(crate) received: &'static str,
    pub(crate) reference: &'static str,
    pub(crate) keep_reference: &'static str,
    pub(crate) held: &'static str,
    /// `{}` are a date and a time.
    pub(crate) received_at: &'static str,
    pub(crate) next: &'static str,
    pub(crate) next_read: &'static str,
    pub(crate) next_answer: &'static str,
    pub(crate) next_no_contact: &'static str,
    pub(crate) next_ask: &'static str,
    pub(crate) status_page: &'static str,
    pub(crate) sent: &'static str,
    pub(crate) sent_photos: &'static str,
    pub(crate) print: &'static str,
    pub(crate) again: &'static str,
}

/// Every language there are words in.
pub(crate) const ALL: [&Words; 5] = [&es::WORDS, &ca::WORDS, &gl::WORDS, &eu::WORDS, &en::WORDS];

fn of(tag: &str) -> Option<&'static Words> {
    ALL.into_iter().find(|words| language::primary(tag).eq_ignore_ascii_case(words.tag))
}

/// The languages a tenant's form can be read in, its default first.
pub(crate) fn offered(profile: &TenantProfile) -> Vec<&'static Words> {
    let mut offered: Vec<&'static Words> = Vec::new();
    for words in profile.languages.iter().filter_map(|tag| of(tag)) {
        if !offered.iter().any(|known| known.tag == words.tag) {
            offered.push(words);
        }
    }
    match (offered.is_empty(), profile.languages.is_empty()) {
        (true, true) => ALL.to_vec(),
        (true, false) => vec![&en::WORDS],
        (false, _) => offered,
    }
}

/// The language somebody wants: as chosen, else as their browser says, else the tenant's.
pub(crate) fn wanted(profile: &TenantProfile, chosen: Option<&str>, accept_language: Option<&str>) -> &'static Words {
    let offered = offered(profile);
    let tags: Vec<&str> = offered.iter().map(|words| words.tag).collect();
    let tag = chosen
        .and_then(|tag| language::matching(&tags, tag))
        .or_else(|| preferences(accept_language.unwrap_or_default()).find_map(|tag| language::matching(&tags, tag)));
    offered.iter().find(|words| Some(words.tag) == tag).or(offered.first()).copied().unwrap_or(&en::WORDS)
}

/// RFC 9110 §12.5.4: tags with a weight, the heaviest first; of equal ones the first.
fn preferences(header: &str) -> impl Iterator<Item = &str> {
    let mut ranges: Vec<(u32, &str)> = header
        .split(',')
        .take(20)
        .filter_map(|range| {
            let (tag, parameter) = range.split_once(';').unwrap_or((range, "q=1"));
            Some((weight(parameter.trim().strip_prefix("q=")?.trim())?, tag.trim()))
        })
        .filter(|(weight, _)| *weight > 0)
        .collect();
    core::iter::from_fn(move || {
        let heaviest = ranges.iter().map(|(weight, _)| *weight).max()?;
        let place = ranges.iter().position(|(weight, _)| *weight == heaviest)?;
        Some(ranges.remove(place).1)
    })
}

/// `1`, `0`, `0.8`, `0.875` in thousandths.
fn weight(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let whole: u32 = whole.parse().ok().filter(|whole| *whole <= 1)?;
    let digits = part.get(..part.len().min(3))?;
    let thousandths: u32 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let scale = [1000, 100, 10, 1].get(digits.len())?;
    Some((whole * 1000 + thousandths * scale).min(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn profile(languages: &[&str]) -> TenantProfile {
        channel_sdk::json::parse_profile(&json!({"tenant": "t", "name": "T", "languages": languages})).unwrap()
    }

    #[test]
    fn the_chosen_language_wins_then_the_browsers_then_the_tenants() {
        let profile = profile(&["ca-ES", "es", "fr"]);
        for (chosen, accept, tag) in [
            (Some("es"), Some("ca"), "es"),
            (Some("eu"), Some("es-MX,es;q=0.9,ca;q=0.8"), "es"),
            (None, Some("en;q=0.9, es;q=0.1, ca-ES-valencia;q=0.2"), "ca"),
            (None, Some("en, de;q=x, es;q=0"), "ca"),
            (None, None, "ca"),
        ] {
            assert_eq!(wanted(&profile, chosen, accept).tag, tag, "{chosen:?} {accept:?}");
        }
    }

    #[test]
    fn a_tenant_without_languages_offers_all_and_one_of_others_english() {
        assert_eq!(offered(&profile(&["fr"])).iter().map(|words| words.tag).collect::<Vec<_>>(), ["en"]);
        let mut none = profile(&["fr"]);
        none.languages.clear();
        assert_eq!(offered(&none).len(), 5);
    }

    #[test]
    fn every_language_has_the_same_places_to_fill_in() {
        let places = |text: &str| text.matches("{}").count();
        for words in ALL {
            for (text, count) in [
                (words.text_hint, 1),
                (words.photos_hint, 2),
                (words.text_long, 2),
                (words.line_long, 2),
                (words.photo_wrong, 1),
                (words.photos_many, 1),
                (words.answer_missing, 1),
                (words.answer_wrong, 1),
                (words.too_large, 1),
                (words.received_at, 2),
                (words.intro, 0),
            ] {
                assert_eq!(places(text), count, "{}: {text}", words.tag);
            }
        }
    }
}
