//! The automatic acknowledgement of something written: that it has arrived, its reference, the administration's pages. In the
//! five languages of the first tenants; the polite form.

use crate::language;
use crate::types::TenantProfile;

struct Words {
    language: &'static str,
    /// `{}` is the administration.
    received: &'static str,
    /// `{}` is the case's reference.
    reference: &'static str,
    /// Who reads it shall not wait for an answer to an answer.
    automatic: &'static str,
    /// By the `rel` of a profile's link.
    links: [(&'static str, &'static str); 4],
}

static WORDS: [Words; 5] = [
    Words {
        language: "es",
        received: "{} ha recibido su mensaje.",
        reference: "Su número de expediente es {}.",
        automatic: "Este es un acuse de recibo automático.",
        links: [
            ("status", "Estado de su expediente"),
            ("privacy", "Protección de datos"),
            ("emergency", "Emergencias"),
            ("home", "Página web"),
        ],
    },
    Words {
        language: "ca",
        received: "{} ha rebut el vostre missatge.",
        reference: "El vostre número d'expedient és {}.",
        automatic: "Aquest és un justificant de recepció automàtic.",
        links: [
            ("status", "Estat del vostre expedient"),
            ("privacy", "Protecció de dades"),
            ("emergency", "Emergències"),
            ("home", "Pàgina web"),
        ],
    },
    Words {
        language: "gl",
        received: "{} recibiu a súa mensaxe.",
        reference: "O seu número de expediente é {}.",
        automatic: "Este é un xustificante de recepción automático.",
        links: [
            ("status", "Estado do seu expediente"),
            ("privacy", "Protección de datos"),
            ("emergency", "Emerxencias"),
            ("home", "Páxina web"),
        ],
    },
    Words {
        language: "eu",
        received: "{}: zure mezua jaso dugu.",
        reference: "Zure espediente-zenbakia {} da.",
        automatic: "Hau jaso izanaren agiri automatikoa da.",
        links: [
            ("status", "Zure espedientearen egoera"),
            ("privacy", "Datuen babesa"),
            ("emergency", "Larrialdiak"),
            ("home", "Webgunea"),
        ],
    },
    Words {
        language: "en",
        received: "{} has received your message.",
        reference: "Your case number is {}.",
        automatic: "This is an automatic acknowledgement.",
        links: [
            ("status", "State of your case"),
            ("privacy", "Data protection"),
            ("emergency", "Emergencies"),
            ("home", "Website"),
        ],
    },
];

/// The text, and its language: the citizen's if the tenant offers it, else the tenant's first, else English.
pub fn text(profile: &TenantProfile, wanted: Option<&str>, reference: &str) -> (String, &'static str) {
    let language = language::primary(language::of_tenant(profile, wanted));
    let found = WORDS.iter().find(|words| words.language.eq_ignore_ascii_case(language));
    let [.., english] = &WORDS;
    let words = found.unwrap_or(english);
    let mut text = format!(
        "{} {}\n{}\n",
        words.received.replace("{}", &profile.name),
        words.reference.replace("{}", reference),
        words.automatic
    );
    for link in &profile.links {
        let label = words.links.iter().find(|(rel, _)| *rel == link.rel).map(|(_, label)| *label);
        text.push('\n');
        if let Some(label) = label {
            text.extend([label, ": "]);
        }
        text.push_str(&link.url);
    }
    (text.trim_end().to_owned(), words.language)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse_profile;
    use serde_json::json;

    fn profile(languages: &[&str]) -> TenantProfile {
        let links =
            json!([{"rel": "status", "url": "https://c.example/s"}, {"rel": "odd", "url": "https://c.example/o"}]);
        parse_profile(&json!({"tenant": "c", "name": "Ciudad", "languages": languages, "links": links})).unwrap()
    }

    #[test]
    fn it_is_in_the_citizen_s_language_where_the_tenant_offers_it() {
        let (said, language) = text(&profile(&["es", "eu"]), Some("eu-ES"), "482-109-3726");
        assert_eq!(language, "eu");
        assert_eq!(
            said,
            "Ciudad: zure mezua jaso dugu. Zure espediente-zenbakia 482-109-3726 da.\n\
             Hau jaso izanaren agiri automatikoa da.\n\n\
             Zure espedientearen egoera: https://c.example/s\nhttps://c.example/o"
        );
        assert_eq!(text(&profile(&["es", "eu"]), Some("ca"), "1").1, "es");
        assert_eq!(text(&profile(&["es", "eu"]), None, "1").1, "es");
        assert_eq!(text(&profile(&["pt"]), Some("pt"), "1").1, "en");
    }

    #[test]
    fn every_language_has_every_word() {
        for words in &WORDS {
            assert!(words.received.contains("{}") && words.reference.contains("{}"), "{}", words.language);
            assert!(words.links.iter().all(|(_, label)| !label.is_empty()));
        }
    }
}
