//! The telephone menu of a tenant: digits and spoken words to departments and standing choices.

use crate::language;
use crate::phrases::Phrases;
use crate::types::{Department, TenantProfile};

/// Key for "leave a message".
pub const MESSAGE: char = '0';
/// Key for "call me back".
pub const CALL_BACK: char = '#';
/// Key for "hear the state of my case".
pub const STATE: char = '*';
/// Key for "repeat", unless a department has it.
pub const REPEAT: char = '9';

/// What a caller chose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Choice<'a> {
    /// A department of the profile.
    Department(&'a Department),
    /// To leave a message.
    Message,
    /// To be called back.
    CallBack,
    /// To hear the state of a case.
    State,
    /// To hear the menu again.
    Repeat,
}

/// Departments that are in the menu, in its order.
pub fn departments(profile: &TenantProfile) -> impl Iterator<Item = (&Department, char)> {
    profile.departments.iter().filter_map(|department| {
        let mut digits = department.digit.as_deref()?.chars();
        let digit = digits.next().filter(|digit| ('1'..='9').contains(digit))?;
        digits.next().is_none().then_some((department, digit))
    })
}

/// A department by its code.
pub fn department<'a>(profile: &'a TenantProfile, code: &str) -> Option<&'a Department> {
    profile.departments.iter().find(|department| department.code == code)
}

/// A department's name in a language; its code when it has none.
pub fn name<'a>(department: &'a Department, language: &str) -> &'a str {
    language::pick(&department.name, language).map_or(department.code.as_str(), |name| name.text.as_str())
}

/// What a key means. The first key counts when several came.
pub fn by_digits<'a>(profile: &'a TenantProfile, digits: &str) -> Option<Choice<'a>> {
    let key = digits.trim().chars().next()?;
    if let Some((department, _)) = departments(profile).find(|(_, digit)| *digit == key) {
        return Some(Choice::Department(department));
    }
    match key {
        MESSAGE => Some(Choice::Message),
        CALL_BACK => Some(Choice::CallBack),
        STATE => Some(Choice::State),
        REPEAT => Some(Choice::Repeat),
        _ => None,
    }
}

/// What spoken words mean: the longest keyword that is said wins, in the caller's language before any other.
///
/// Words are compared without case and accents, as recognisers disagree on both.
pub fn by_speech<'a>(profile: &'a TenantProfile, spoken: &str, language: &str) -> Option<Choice<'a>> {
    let spoken = folded(spoken);
    let mut best: Option<(usize, Choice<'a>)> = None;
    let mut offer = |keyword: &str, bonus: usize, choice: Choice<'a>| {
        let keyword = folded(keyword);
        if keyword.trim().is_empty() || !spoken.contains(&keyword) {
            return;
        }
        let weight = keyword.len() * 2 + bonus;
        if best.is_none_or(|(heaviest, _)| weight > heaviest) {
            best = Some((weight, choice));
        }
    };
    for department in &profile.departments {
        for word in department.keywords.iter().chain(&department.name) {
            let own = language::primary(&word.language).eq_ignore_ascii_case(language::primary(language));
            for keyword in word.text.split([',', ';', '\n']) {
                offer(keyword, usize::from(own), Choice::Department(department));
            }
        }
    }
    let phrases = Phrases::of(language);
    for (words, choice) in [
        (phrases.words_message, Choice::Message),
        (phrases.words_call_back, Choice::CallBack),
        (phrases.words_state, Choice::State),
        (phrases.words_repeat, Choice::Repeat),
    ] {
        for word in words {
            offer(word, 0, choice);
        }
    }
    best.map(|(_, choice)| choice).or_else(|| spoken_digit(profile, &spoken))
}

/// "3", "pulso 3": recognisers write numbers as digits.
fn spoken_digit<'a>(profile: &'a TenantProfile, folded: &str) -> Option<Choice<'a>> {
    let mut numbers =
        folded.split(' ').filter(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()));
    let number = numbers.next().filter(|number| number.len() == 1)?;
    if numbers.next().is_some() { None } else { by_digits(profile, number) }
}

/// Lower case, without accents, words separated by one space and surrounded by spaces, so that `contains` finds whole words.
fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len() + 2);
    folded.push(' ');
    for character in text.chars().flat_map(char::to_lowercase) {
        let plain = match character {
            'á' | 'à' | 'ä' | 'â' | 'ã' | 'å' => 'a',
            'é' | 'è' | 'ë' | 'ê' => 'e',
            'í' | 'ì' | 'ï' | 'î' => 'i',
            'ó' | 'ò' | 'ö' | 'ô' | 'õ' => 'o',
            'ú' | 'ù' | 'ü' | 'û' => 'u',
            'ñ' => 'n',
            'ç' => 'c',
            // The middle dot of Catalan `l·l`, combining accents and apostrophes join.
            '·' | '\u{300}'..='\u{36f}' => continue,
            other if other.is_alphanumeric() => other,
            _ => ' ',
        };
        if plain != ' ' || !folded.ends_with(' ') {
            folded.push(plain);
        }
    }
    if !folded.ends_with(' ') {
        folded.push(' ');
    }
    folded
}

/// Which of the offered languages the caller chose: by its place in the list, or by its name.
pub fn language_choice<'a>(profile: &'a TenantProfile, digits: Option<&str>, spoken: Option<&str>) -> Option<&'a str> {
    if let Some(digits) = digits {
        let place = digits.trim().chars().next()?.to_digit(10)?.checked_sub(1)?;
        return profile.languages.get(usize::try_from(place).ok()?).map(String::as_str);
    }
    let spoken = folded(spoken?);
    let named = profile.languages.iter().find(|tag| {
        let names = Phrases::exactly(tag).map(|phrases| phrases.language_names).unwrap_or_default();
        names.iter().any(|name| spoken.contains(&folded(name)))
    });
    named.map(String::as_str).or_else(|| {
        let mut digits =
            spoken.split(' ').filter(|word| word.len() == 1 && word.bytes().all(|byte| byte.is_ascii_digit()));
        let digit = digits.next()?;
        language_choice(profile, Some(digit), None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Localized;

    fn text(language: &str, text: &str) -> Localized {
        Localized { language: language.into(), text: text.into() }
    }

    fn profile() -> TenantProfile {
        let department = |code: &str, digit: Option<&str>, keywords: Vec<Localized>| Department {
            code: code.into(),
            name: vec![],
            digit: digit.map(Into::into),
            keywords,
            phone: None,
            sip: None,
        };
        TenantProfile {
            tenant: "t".into(),
            name: "T".into(),
            languages: vec!["es".into(), "ca".into(), "eu".into()],
            greeting: vec![],
            announcement: vec![],
            departments: vec![
                department(
                    "waste",
                    Some("1"),
                    vec![text("es", "basura"), text("ca", "escombraries"), text("es", "recogida de muebles")],
                ),
                department("streets", Some("2"), vec![text("es", "muebles urbanos"), text("es", "iluminación")]),
                department("archive", None, vec![text("es", "archivo")]),
                department("odd", Some("10"), vec![]),
            ],
            services: vec![],
            time_zone: String::new(),
            opening_hours: vec![],
            links: vec![],
            acknowledge: false,
        }
    }

    fn code(choice: Option<Choice<'_>>) -> String {
        match choice {
            Some(Choice::Department(department)) => department.code.clone(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn keys_choose_departments_and_standing_choices() {
        let profile = profile();
        for (digits, chosen) in [
            ("1", "waste"),
            ("2", "streets"),
            ("3", "None"),
            ("0", "Some(Message)"),
            ("#", "Some(CallBack)"),
            ("*", "Some(State)"),
            ("9", "Some(Repeat)"),
            ("", "None"),
            ("10", "waste"),
            ("é", "None"),
        ] {
            assert_eq!(code(by_digits(&profile, digits)), chosen, "{digits}");
        }
    }

    #[test]
    fn spoken_words_choose_without_case_and_accents() {
        let profile = profile();
        for (spoken, chosen) in [
            ("Quiero hablar de la BASURA.", "waste"),
            ("iluminacion", "streets"),
            ("recogida de muebles, por favor", "waste"),
            ("muebles urbanos", "streets"),
            ("basuraleza", "None"),
            ("escombraries", "waste"),
            ("archivo", "archive"),
            ("dejar un mensaje", "Some(Message)"),
            ("el estado de mi expediente", "Some(State)"),
            ("uno 2", "streets"),
            ("1 2", "None"),
            ("", "None"),
        ] {
            assert_eq!(code(by_speech(&profile, spoken, "es")), chosen, "{spoken}");
        }
    }

    #[test]
    fn a_long_sentence_is_only_slow_in_proportion() {
        let sentence = "bla ".repeat(12_500) + "basura";
        assert_eq!(code(by_speech(&profile(), &sentence, "es")), "waste");
    }

    #[test]
    fn a_language_is_chosen_by_place_or_by_its_own_name() {
        let profile = profile();
        assert_eq!(language_choice(&profile, Some("2"), None), Some("ca"));
        assert_eq!(language_choice(&profile, Some("0"), None), None);
        assert_eq!(language_choice(&profile, Some("4"), None), None);
        assert_eq!(language_choice(&profile, None, Some("Euskaraz, mesedez")), Some("eu"));
        assert_eq!(language_choice(&profile, None, Some("en català")), Some("ca"));
        assert_eq!(language_choice(&profile, None, Some("3")), Some("eu"));
        assert_eq!(language_choice(&profile, None, None), None);
    }
}
