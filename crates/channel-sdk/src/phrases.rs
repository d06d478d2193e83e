//! What a machine says on the telephone, in the five languages of the first tenants: neutral words, the polite form, no
//! grammatical gender for the caller. `{}` is filled in by [`say`].

/// The words of one language.
#[derive(Debug, PartialEq)]
pub struct Phrases {
    /// Language of these words, for the synthesiser.
    pub tag: &'static str,
    /// How people call the language.
    pub language_names: &'static [&'static str],
    /// `{}` is a digit.
    pub press_for_language: &'static str,
    /// `{}` is the administration.
    pub welcome: &'static str,
    /// `{}` are a department and a digit.
    pub press_for: &'static str,
    /// “To leave a message, press zero.”
    pub press_message: &'static str,
    /// “To be called back, press hash.”
    pub press_call_back: &'static str,
    /// “To hear the state of your case, press star.”
    pub press_state: &'static str,
    /// “To hear these options again, press nine.”
    pub press_repeat: &'static str,
    /// “You can also say what you need.”
    pub say_it: &'static str,
    /// “We did not understand you.”
    pub not_understood: &'static str,
    /// `{}` is a department.
    pub connecting: &'static str,
    /// Outside opening hours.
    pub closed: &'static str,
    /// Called, but nobody took it.
    pub nobody: &'static str,
    /// “We will call you back.”
    pub will_call: &'static str,
    /// “Leave your message after the tone. It will be recorded. To finish, press hash or hang up.”
    pub record: &'static str,
    /// “No message was recorded.”
    pub not_recorded: &'static str,
    /// “We have received your message.”
    pub message_kept: &'static str,
    /// “Your call has been registered.”
    pub call_kept: &'static str,
    /// `{}` are digits.
    pub reference: &'static str,
    /// `{}` are digits.
    pub once_more: &'static str,
    /// “Key in or say the ten digits of your case number.”
    pub ask_reference: &'static str,
    /// “That number is not correct.”
    pub reference_wrong: &'static str,
    /// “We can find no case with that number.”
    pub reference_unknown: &'static str,
    /// “Your case is registered and waiting to be looked at.”
    pub state_new: &'static str,
    /// “Your case is being worked on.”
    pub state_open: &'static str,
    /// “Your case is waiting for a third party.”
    pub state_pending: &'static str,
    /// “Your case is resolved.”
    pub state_resolved: &'static str,
    /// “Your case is closed.”
    pub state_closed: &'static str,
    /// `{}` is a department.
    pub state_department: &'static str,
    /// “Key in the telephone number you want us to call and finish with hash.”
    pub ask_number: &'static str,
    /// “Thank you for calling. Goodbye.”
    pub thanks: &'static str,
    /// `{}` is the emergency number.
    pub unavailable: &'static str,
    /// Words that choose it when spoken.
    pub words_message: &'static [&'static str],
    /// Words that choose it when spoken.
    pub words_call_back: &'static [&'static str],
    /// Words that choose it when spoken.
    pub words_state: &'static [&'static str],
    /// Words that choose it when spoken.
    pub words_repeat: &'static [&'static str],
}

static ES: Phrases = Phrases {
    tag: "es-ES",
    language_names: &["español", "castellano"],
    press_for_language: "Para español, pulse {}.",
    welcome: "Está en contacto con {}.",
    press_for: "Para {}, pulse {}.",
    press_message: "Para dejar un mensaje, pulse cero.",
    press_call_back: "Para que le llamemos, pulse almohadilla.",
    press_state: "Para conocer el estado de su expediente, pulse asterisco.",
    press_repeat: "Para volver a escuchar estas opciones, pulse nueve.",
    say_it: "También puede decir lo que necesita.",
    not_understood: "No le hemos entendido.",
    connecting: "Le pasamos con {}.",
    closed: "Ahora mismo no hay atención en directo.",
    nobody: "En este momento nadie puede atender su llamada.",
    will_call: "Le llamaremos.",
    record: "Deje su mensaje después de la señal. Quedará grabado. Para terminar, pulse almohadilla o cuelgue.",
    not_recorded: "No se ha grabado ningún mensaje.",
    message_kept: "Hemos recibido su mensaje.",
    call_kept: "Hemos registrado su llamada.",
    reference: "Su número de expediente es: {}",
    once_more: "Repetimos: {}",
    ask_reference: "Marque o diga los diez dígitos de su número de expediente.",
    reference_wrong: "Ese número no es correcto.",
    reference_unknown: "No encontramos ningún expediente con ese número.",
    state_new: "Su expediente está registrado y pendiente de revisión.",
    state_open: "Su expediente está en trámite.",
    state_pending: "Su expediente está a la espera de un tercero.",
    state_resolved: "Su expediente está resuelto.",
    state_closed: "Su expediente está cerrado.",
    state_department: "Se encarga {}.",
    ask_number: "Marque el número de teléfono en el que quiere recibir la llamada y termine con almohadilla.",
    thanks: "Gracias por llamar. Adiós.",
    unavailable: "Lo sentimos, ahora no podemos atender su llamada. Llame de nuevo en unos minutos. En caso de emergencia, llame al {}.",
    words_message: &["mensaje", "buzón", "recado"],
    words_call_back: &[
        "llámenme",
        "llámame",
        "que me llamen",
        "me llamen",
        "devolver la llamada",
        "devuélvanme la llamada",
    ],
    words_state: &["expediente", "estado de mi caso", "referencia"],
    words_repeat: &["repetir", "repita", "repite", "otra vez"],
};

static CA: Phrases = Phrases {
    tag: "ca-ES",
    language_names: &["català", "catalán", "valencià"],
    press_for_language: "Per a català, premeu {}.",
    welcome: "Us atén {}.",
    press_for: "Per a {}, premeu {}.",
    press_message: "Per deixar un missatge, premeu zero.",
    press_call_back: "Perquè us truquem, premeu coixinet.",
    press_state: "Per conèixer l'estat del vostre expedient, premeu asterisc.",
    press_repeat: "Per tornar a escoltar aquestes opcions, premeu nou.",
    say_it: "També podeu dir què necessiteu.",
    not_understood: "No us hem entès.",
    connecting: "Us passem amb {}.",
    closed: "Ara mateix no hi ha atenció en directe.",
    nobody: "En aquest moment ningú no pot atendre la vostra trucada.",
    will_call: "Us trucarem.",
    record: "Deixeu el vostre missatge després del senyal. Quedarà gravat. Per acabar, premeu coixinet o pengeu.",
    not_recorded: "No s'ha gravat cap missatge.",
    message_kept: "Hem rebut el vostre missatge.",
    call_kept: "Hem registrat la vostra trucada.",
    reference: "El vostre número d'expedient és: {}",
    once_more: "Repetim: {}",
    ask_reference: "Marqueu o digueu els deu dígits del vostre número d'expedient.",
    reference_wrong: "Aquest número no és correcte.",
    reference_unknown: "No trobem cap expedient amb aquest número.",
    state_new: "El vostre expedient està registrat i pendent de revisió.",
    state_open: "El vostre expedient està en tràmit.",
    state_pending: "El vostre expedient està a l'espera d'un tercer.",
    state_resolved: "El vostre expedient està resolt.",
    state_closed: "El vostre expedient està tancat.",
    state_department: "Se n'encarrega {}.",
    ask_number: "Marqueu el número de telèfon on voleu rebre la trucada i acabeu amb coixinet.",
    thanks: "Gràcies per trucar. Adeu.",
    unavailable: "Ho sentim, ara no podem atendre la vostra trucada. Torneu a trucar d'aquí a uns minuts. En cas d'emergència, truqueu al {}.",
    words_message: &["missatge", "bústia"],
    words_call_back: &["truqueu-me", "truca'm", "que em truquin", "em truquin", "tornar la trucada"],
    words_state: &["expedient", "estat del meu cas", "referència"],
    words_repeat: &["repetir", "repetiu", "repeteix", "una altra vegada"],
};

static GL: Phrases = Phrases {
    tag: "gl-ES",
    language_names: &["galego", "gallego"],
    press_for_language: "Para galego, prema {}.",
    welcome: "Está en contacto con {}.",
    press_for: "Para {}, prema {}.",
    press_message: "Para deixar unha mensaxe, prema cero.",
    press_call_back: "Para que lle devolvamos a chamada, prema cancelo.",
    press_state: "Para coñecer o estado do seu expediente, prema asterisco.",
    press_repeat: "Para escoitar de novo estas opcións, prema nove.",
    say_it: "Tamén pode dicir o que precisa.",
    not_understood: "Non entendemos a súa resposta.",
    connecting: "Pasamos a súa chamada a {}.",
    closed: "Neste momento non hai atención en directo.",
    nobody: "Neste momento ninguén pode atender a súa chamada.",
    will_call: "Devolverémoslle a chamada.",
    record: "Deixe a súa mensaxe despois do sinal. Quedará gravada. Para rematar, prema cancelo ou colgue.",
    not_recorded: "Non se gravou ningunha mensaxe.",
    message_kept: "Recibimos a súa mensaxe.",
    call_kept: "Rexistramos a súa chamada.",
    reference: "O seu número de expediente é: {}",
    once_more: "Repetimos: {}",
    ask_reference: "Marque ou diga os dez díxitos do seu número de expediente.",
    reference_wrong: "Ese número non é correcto.",
    reference_unknown: "Non atopamos ningún expediente con ese número.",
    state_new: "O seu expediente está rexistrado e pendente de revisión.",
    state_open: "O seu expediente está en trámite.",
    state_pending: "O seu expediente está á espera dun terceiro.",
    state_resolved: "O seu expediente está resolto.",
    state_closed: "O seu expediente está pechado.",
    state_department: "Encárgase {}.",
    ask_number: "Marque o número de teléfono no que quere recibir a chamada e remate con cancelo.",
    thanks: "Grazas por chamar. Adeus.",
    unavailable: "Sentímolo, agora non podemos atender a súa chamada. Chame de novo nuns minutos. En caso de emerxencia, chame ao {}.",
    words_message: &["mensaxe", "recado"],
    words_call_back: &["chámenme", "chámame", "que me chamen", "me chamen", "devolver a chamada"],
    words_state: &["expediente", "estado do meu caso", "referencia"],
    words_repeat: &["repetir", "repita", "outra vez"],
};

static EU: Phrases = Phrases {
    tag: "eu-ES",
    language_names: &["euskara", "euskaraz", "euskera"],
    press_for_language: "Euskararako, sakatu {}.",
    welcome: "{}. Ongi etorri.",
    press_for: "{}: sakatu {}.",
    press_message: "Mezu bat uzteko, sakatu zero.",
    press_call_back: "Guk zuri deitzeko, sakatu traola.",
    press_state: "Zure espedientearen egoera jakiteko, sakatu izartxoa.",
    press_repeat: "Aukera hauek berriro entzuteko, sakatu bederatzi.",
    say_it: "Behar duzuna esan ere egin dezakezu.",
    not_understood: "Ez dizugu ulertu.",
    connecting: "Zure deia pasatuko dugu: {}.",
    closed: "Une honetan ez dago zuzeneko arretarik.",
    nobody: "Une honetan inork ezin du zure deia hartu.",
    will_call: "Guk deituko dizugu.",
    record: "Utzi zure mezua seinalearen ondoren. Grabatuta geratuko da. Amaitzeko, sakatu traola edo eskegi.",
    not_recorded: "Ez da mezurik grabatu.",
    message_kept: "Zure mezua jaso dugu.",
    call_kept: "Zure deia erregistratu dugu.",
    reference: "Zure espediente-zenbakia hau da: {}",
    once_more: "Berriro esango dugu: {}",
    ask_reference: "Markatu edo esan zure espediente-zenbakiaren hamar digituak.",
    reference_wrong: "Zenbaki hori ez da zuzena.",
    reference_unknown: "Ez dugu zenbaki hori duen espedienterik aurkitu.",
    state_new: "Zure espedientea erregistratuta dago, berrikusteko zain.",
    state_open: "Zure espedientea izapidetzen ari gara.",
    state_pending: "Zure espedientea hirugarren baten zain dago.",
    state_resolved: "Zure espedientea ebatzita dago.",
    state_closed: "Zure espedientea itxita dago.",
    state_department: "Arduraduna: {}.",
    ask_number: "Markatu zein telefono-zenbakitan jaso nahi duzun deia, eta amaitu traolarekin.",
    thanks: "Eskerrik asko deitzeagatik. Agur.",
    unavailable: "Sentitzen dugu, orain ezin dugu zure deia hartu. Deitu berriro minutu batzuk barru. Larrialdirik baduzu, deitu {} zenbakira.",
    words_message: &["mezua", "mezu bat", "mezu"],
    words_call_back: &["deitu niri", "dei iezadazue", "deitzea nahi dut"],
    words_state: &["espedientea", "espediente", "espedientearen", "erreferentzia"],
    words_repeat: &["errepikatu", "berriro"],
};

static EN: Phrases = Phrases {
    tag: "en-GB",
    language_names: &["english", "inglés", "anglès"],
    press_for_language: "For English, press {}.",
    welcome: "You have reached {}.",
    press_for: "For {}, press {}.",
    press_message: "To leave a message, press zero.",
    press_call_back: "To be called back, press hash.",
    press_state: "To hear the state of your case, press star.",
    press_repeat: "To hear these options again, press nine.",
    say_it: "You can also say what you need.",
    not_understood: "We did not understand you.",
    connecting: "We are putting you through to {}.",
    closed: "Nobody can answer live at the moment.",
    nobody: "Nobody can take your call at the moment.",
    will_call: "We will call you back.",
    record: "Leave your message after the tone. It will be recorded. To finish, press hash or hang up.",
    not_recorded: "No message was recorded.",
    message_kept: "We have received your message.",
    call_kept: "Your call has been registered.",
    reference: "Your case number is: {}",
    once_more: "Once more: {}",
    ask_reference: "Key in or say the ten digits of your case number.",
    reference_wrong: "That number is not correct.",
    reference_unknown: "We can find no case with that number.",
    state_new: "Your case is registered and waiting to be looked at.",
    state_open: "Your case is being worked on.",
    state_pending: "Your case is waiting for a third party.",
    state_resolved: "Your case is resolved.",
    state_closed: "Your case is closed.",
    state_department: "It is with {}.",
    ask_number: "Key in the telephone number you want us to call and finish with hash.",
    thanks: "Thank you for calling. Goodbye.",
    unavailable: "We are sorry, we cannot take your call now. Please call again in a few minutes. In an emergency, call {}.",
    words_message: &["message", "voicemail"],
    words_call_back: &["call me back", "call back", "callback"],
    words_state: &["case", "state of my case", "reference"],
    words_repeat: &["repeat", "again"],
};

/// Every language there are words in.
pub static ALL: [&Phrases; 5] = [&ES, &CA, &GL, &EU, &EN];

impl Phrases {
    /// The words of a tag's language; English where there are none.
    pub fn of(tag: &str) -> &'static Self {
        Self::exactly(tag).unwrap_or(&EN)
    }

    /// The words of a tag's language, if there are any.
    pub fn exactly(tag: &str) -> Option<&'static Self> {
        let language = crate::language::primary(tag);
        ALL.iter().find(|phrases| crate::language::primary(phrases.tag).eq_ignore_ascii_case(language)).copied()
    }
}

/// Fills the `{}` of a phrase in order. What is filled in is never searched for `{}` itself.
pub fn say(phrase: &str, values: &[&str]) -> String {
    let mut pieces = phrase.split("{}");
    let mut said = pieces.next().unwrap_or_default().to_owned();
    for (place, piece) in pieces.enumerate() {
        said.push_str(values.get(place).copied().unwrap_or_default());
        said.push_str(piece);
    }
    said
}

/// Digits to be heard one by one, in groups as they are dictated: `482-109-3726` is `4, 8, 2. 1, 0, 9. 3, 7, 2, 6.`
///
/// A synthesiser reads single digits in its own language and pauses at commas and full stops, with any voice and without mark-up.
pub fn spoken_digits(grouped: &str) -> String {
    let mut said = String::new();
    for group in grouped.split(|character: char| !character.is_ascii_digit()).filter(|group| !group.is_empty()) {
        for (place, digit) in group.chars().enumerate() {
            said.push_str(match (said.is_empty(), place) {
                (true, _) => "",
                (false, 0) => ". ",
                (false, _) => ", ",
            });
            said.push(digit);
        }
    }
    if !said.is_empty() {
        said.push('.');
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_is_found_by_its_tags_and_others_get_english() {
        for (tag, found) in [
            ("es", "es-ES"),
            ("ca-ES-valencia", "ca-ES"),
            ("GL", "gl-ES"),
            ("eu", "eu-ES"),
            ("en-US", "en-GB"),
            ("fr", "en-GB"),
            ("", "en-GB"),
        ] {
            assert_eq!(Phrases::of(tag).tag, found, "{tag}");
        }
        assert_eq!(Phrases::exactly("fr"), None);
    }

    #[test]
    fn every_language_has_the_same_places_to_fill_in() {
        let places = |text: &str| text.matches("{}").count();
        for phrases in ALL {
            for (text, expected) in [
                (phrases.press_for_language, 1),
                (phrases.welcome, 1),
                (phrases.press_for, 2),
                (phrases.connecting, 1),
                (phrases.reference, 1),
                (phrases.once_more, 1),
                (phrases.state_department, 1),
                (phrases.unavailable, 1),
                (phrases.record, 0),
                (phrases.thanks, 0),
            ] {
                assert_eq!(places(text), expected, "{} {text}", phrases.tag);
            }
        }
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        assert_eq!(say("{} and {}", &["{}", "b"]), "{} and b");
        assert_eq!(say("{} and {}", &["a"]), "a and ");
    }

    #[test]
    fn a_reference_is_heard_digit_by_digit_in_groups() {
        assert_eq!(spoken_digits("482-109-3726"), "4, 8, 2. 1, 0, 9. 3, 7, 2, 6.");
        assert_eq!(spoken_digits(""), "");
    }
}
