//! BCP 47 tags: which of a tenant's languages is meant.

use crate::types::{Localized, TenantProfile};

/// The primary subtag, e.g. `ca` of `ca-ES-valencia`.
pub fn primary(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or(tag)
}

/// The offered tag that serves a wanted one: equal, else by cutting the wanted one from the right (RFC 4647 §3.4), else of the
/// same primary language.
pub fn matching<'a, T: AsRef<str>>(offered: &'a [T], wanted: &str) -> Option<&'a str> {
    let mut range = wanted.replace('_', "-");
    while !range.is_empty() {
        if let Some(found) = offered.iter().find(|tag| tag.as_ref().eq_ignore_ascii_case(&range)) {
            return Some(found.as_ref());
        }
        range.truncate(range.rfind('-').unwrap_or(0));
    }
    let language = primary(wanted);
    offered.iter().map(AsRef::as_ref).find(|tag| !language.is_empty() && primary(tag).eq_ignore_ascii_case(language))
}

/// The tenant's language for a wanted tag, else its default one, else English.
pub fn of_tenant<'a>(profile: &'a TenantProfile, wanted: Option<&str>) -> &'a str {
    wanted
        .and_then(|wanted| matching(&profile.languages, wanted))
        .or_else(|| profile.languages.first().map(String::as_str))
        .unwrap_or("en")
}

/// The text in a language, else the fallback, which is the first; absent only when there is none at all.
pub fn pick<'a>(texts: &'a [Localized], language: &str) -> Option<&'a Localized> {
    let tags: Vec<&str> = texts.iter().map(|text| text.language.as_str()).collect();
    let tag = matching(&tags, language);
    texts.iter().find(|text| Some(text.language.as_str()) == tag).or_else(|| texts.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_offered_language_is_taken() {
        let offered = ["es", "ca-ES", "pt-PT"];
        for (wanted, found) in [
            ("ES", Some("es")),
            ("es-MX", Some("es")),
            ("ca", Some("ca-ES")),
            ("ca-ES-valencia", Some("ca-ES")),
            ("pt_BR", Some("pt-PT")),
            ("fr", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(matching(&offered, wanted), found, "{wanted}");
        }
    }

    #[test]
    fn the_first_text_is_the_fallback() {
        let text = |language: &str, text: &str| Localized { language: language.into(), text: text.into() };
        let texts = [text("es", "hola"), text("eu", "kaixo")];
        assert_eq!(pick(&texts, "eu-ES").unwrap().text, "kaixo");
        assert_eq!(pick(&texts, "gl").unwrap().text, "hola");
        assert!(pick(&[], "gl").is_none());
    }
}
