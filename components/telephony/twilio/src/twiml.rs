//! TwiML: what is said and asked next.

use channel_sdk::language;
use channel_sdk::menu;
use channel_sdk::phrases::{self, Phrases, say};
use channel_sdk::types::{CaseState, CaseStatus, Context, Department, Localized};
use channel_sdk::xml::Writer;

use crate::wire::{State, Step};

/// Twilio's limit for `hints` is 500 words of 100 characters; the first of them matter most.
const MAX_HINTS: usize = 1_000;

/// One TwiML document in the making, in the caller's language.
pub(crate) struct Script<'a> {
    xml: Writer,
    context: &'a Context,
    language: &'a str,
    pub(crate) phrases: &'static Phrases,
}

impl<'a> Script<'a> {
    pub(crate) fn new(context: &'a Context, language: &'a str) -> Self {
        Self { xml: Writer::new("Response"), context, language, phrases: Phrases::of(language) }
    }

    pub(crate) fn finish(self) -> String {
        self.xml.finish()
    }

    /// Says our own words.
    pub(crate) fn say(&mut self, words: &str) {
        self.say_in(self.phrases.tag, words);
    }

    /// Says the tenant's words in the language they are in.
    fn say_localized(&mut self, words: &Localized) {
        self.say_in(&words.language, &words.text);
    }

    pub(crate) fn say_in(&mut self, tag: &str, words: &str) {
        let words = words.trim();
        if words.is_empty() {
            return;
        }
        let tag = locale(tag);
        let voice = voice(self.context, &tag);
        let mut attributes = vec![("language", tag.as_str())];
        if let Some(voice) = &voice {
            attributes.push(("voice", voice));
        }
        self.xml.element("Say", &attributes, words);
    }

    /// The emergency announcement, in every language there is: it is for everybody who calls.
    pub(crate) fn announcement(&mut self) {
        for words in &self.context.profile.announcement {
            self.say_localized(words);
        }
    }

    pub(crate) fn greeting(&mut self) {
        match language::pick(&self.context.profile.greeting, self.language) {
            Some(words) => self.say_localized(words),
            None => self.say(&say(self.phrases.welcome, &[&self.context.profile.name])),
        }
    }

    fn gather(&mut self, state: &State, attributes: &[(&'static str, &str)]) {
        let action = state.url(self.context, "/voice");
        let tag = locale(self.language);
        let mut all = vec![("action", action.as_str()), ("method", "POST"), ("language", tag.as_str())];
        all.extend_from_slice(attributes);
        self.xml.open("Gather", &all);
    }

    /// Ends a question: silence comes back to us, counted.
    fn gathered(&mut self, state: &State) {
        self.xml.close();
        self.again(state);
    }

    fn again(&mut self, state: &State) {
        let silent = State { attempt: state.attempt.saturating_add(1), ..state.clone() };
        self.xml.element("Redirect", &[("method", "POST")], &silent.url(self.context, "/voice"));
    }

    /// "Para español, pulse 1. Per a català, premeu 2."
    pub(crate) fn ask_language(&mut self, state: &State) {
        let state = State { step: Step::Language, language: None, ..state.clone() };
        self.gather(
            &state,
            &[("input", "dtmf speech"), ("numDigits", "1"), ("timeout", "6"), ("speechTimeout", "auto")],
        );
        // A key has one digit: nine languages are more than anybody listens to.
        for (tag, place) in self.context.profile.languages.iter().zip(1..=9) {
            let phrases = Phrases::of(tag);
            let place = place.to_string();
            match Phrases::exactly(tag) {
                Some(own) => self.say_in(tag, &say(own.press_for_language, &[&place])),
                None => self.say_in(phrases.tag, &say(phrases.press_for, &[tag, &place])),
            }
        }
        self.gathered(&state);
    }

    pub(crate) fn ask_menu(&mut self, state: &State) {
        let state = self.at(state, Step::Menu);
        let hints = self.hints();
        self.gather(
            &state,
            // Without `finishOnKey` the hash key would end the input instead of being one.
            &[
                ("input", "dtmf speech"),
                ("numDigits", "1"),
                ("finishOnKey", ""),
                ("timeout", "6"),
                ("speechTimeout", "auto"),
                ("hints", &hints),
            ],
        );
        let mut words = Vec::new();
        let mut repeat = true;
        for (department, digit) in menu::departments(&self.context.profile) {
            repeat &= digit != menu::REPEAT;
            words.push(say(self.phrases.press_for, &[menu::name(department, self.language), &digit.to_string()]));
        }
        for standing in [self.phrases.press_message, self.phrases.press_call_back, self.phrases.press_state] {
            words.push(standing.to_owned());
        }
        if repeat {
            words.push(self.phrases.press_repeat.to_owned());
        }
        words.push(self.phrases.say_it.to_owned());
        self.say(&words.join(" "));
        self.gathered(&state);
    }

    pub(crate) fn ask_reference(&mut self, state: &State) {
        let state = self.at(state, Step::Reference);
        self.gather(
            &state,
            &[("input", "dtmf speech"), ("numDigits", "10"), ("timeout", "8"), ("speechTimeout", "auto")],
        );
        self.say(self.phrases.ask_reference);
        self.gathered(&state);
    }

    pub(crate) fn ask_number(&mut self, state: &State) {
        let state = self.at(state, Step::Number);
        self.gather(&state, &[("input", "dtmf"), ("finishOnKey", "#"), ("timeout", "8")]);
        self.say(self.phrases.ask_number);
        self.gathered(&state);
    }

    /// Connects with a department's telephones.
    pub(crate) fn dial(&mut self, state: &State, department: &Department) {
        self.say(&say(self.phrases.connecting, &[menu::name(department, self.language)]));
        let state = State { department: Some(department.code.clone()), attempt: 0, ..self.at(state, Step::Dial) };
        let action = state.url(self.context, "/voice");
        let timeout = number_setting(self.context, "dial_timeout_s", 20, 5, 120);
        self.xml.open("Dial", &[("action", &action), ("method", "POST"), ("timeout", &timeout)]);
        match (&department.phone, &department.sip) {
            (Some(phone), _) => self.xml.element("Number", &[], phone),
            (None, Some(sip)) => self.xml.element("Sip", &[], sip),
            (None, None) => {}
        }
        self.xml.close();
    }

    pub(crate) fn record(&mut self, state: &State) {
        let state = State { attempt: 0, ..self.at(state, Step::Message) };
        self.say(self.phrases.record);
        let action = state.url(self.context, "/voice");
        let status = state.url(self.context, "/recording");
        let transcription = state.url(self.context, "/transcription");
        let longest = number_setting(self.context, "record_max_s", 120, 5, 3_600);
        let mut attributes = vec![
            ("action", action.as_str()),
            ("method", "POST"),
            ("maxLength", longest.as_str()),
            ("timeout", "5"),
            ("finishOnKey", "#"),
            ("playBeep", "true"),
            ("recordingStatusCallback", status.as_str()),
            ("recordingStatusCallbackMethod", "POST"),
        ];
        if setting(self.context, "transcribe") == Some("true") {
            attributes.push(("transcribe", "true"));
            attributes.push(("transcribeCallback", &transcription));
        }
        self.xml.element("Record", &attributes, "");
        // Only silence comes here.
        self.again(&state);
    }

    /// The reference, twice, digit by digit.
    pub(crate) fn reference(&mut self, reference: &str) {
        let digits = phrases::spoken_digits(reference);
        if digits.is_empty() {
            return;
        }
        self.say(&say(self.phrases.reference, &[&digits]));
        self.xml.element("Pause", &[("length", "1")], "");
        self.say(&say(self.phrases.once_more, &[&digits]));
    }

    pub(crate) fn case_state(&mut self, state: &CaseState) {
        self.say(match state.status {
            CaseStatus::New => self.phrases.state_new,
            CaseStatus::Open => self.phrases.state_open,
            CaseStatus::Pending => self.phrases.state_pending,
            CaseStatus::Resolved => self.phrases.state_resolved,
            CaseStatus::Closed => self.phrases.state_closed,
        });
        let department = state.department.as_deref().and_then(|code| menu::department(&self.context.profile, code));
        if let Some(department) = department {
            self.say(&say(self.phrases.state_department, &[menu::name(department, self.language)]));
        }
    }

    pub(crate) fn goodbye(&mut self) {
        self.say(self.phrases.thanks);
        self.xml.element("Hangup", &[], "");
    }

    pub(crate) fn hang_up(&mut self) {
        self.xml.element("Hangup", &[], "");
    }

    fn at(&self, state: &State, step: Step) -> State {
        let attempt = if state.step == step { state.attempt } else { 0 };
        State { step, attempt, language: Some(self.language.to_owned()), ..state.clone() }
    }

    /// What the recogniser should expect.
    fn hints(&self) -> String {
        let mut hints = String::new();
        let own = |text: &&Localized| language::primary(&text.language) == language::primary(self.language);
        for department in &self.context.profile.departments {
            for words in department.keywords.iter().chain(&department.name).filter(own) {
                let words = words.text.as_str();
                if hints.len() + words.len() + 2 > MAX_HINTS {
                    return hints;
                }
                if !hints.is_empty() {
                    hints.push_str(", ");
                }
                hints.push_str(words);
            }
        }
        hints
    }
}

/// A public setting's value.
pub(crate) fn setting<'a>(context: &'a Context, name: &str) -> Option<&'a str> {
    context
        .settings
        .iter()
        .find(|setting| setting.name == name)
        .map(|setting| setting.value.trim())
        .filter(|value| !value.is_empty())
}

fn number_setting(context: &Context, name: &str, default: u32, least: u32, most: u32) -> String {
    setting(context, name).and_then(|value| value.parse().ok()).unwrap_or(default).clamp(least, most).to_string()
}

/// Twilio wants a region with the language.
fn locale(tag: &str) -> String {
    if tag.contains('-') {
        return tag.to_owned();
    }
    Phrases::exactly(tag).map_or(tag, |phrases| phrases.tag).to_owned()
}

/// The voice for a language: the operator's, else one that exists. Galician and Basque have none among the basic voices.
fn voice(context: &Context, tag: &str) -> Option<String> {
    let language = language::primary(tag).to_ascii_lowercase();
    if let Some(voice) = setting(context, &format!("voice_{language}")) {
        return Some(voice.to_owned());
    }
    match language.as_str() {
        "gl" => Some("Google.gl-ES-Standard-A".into()),
        "eu" => Some("Google.eu-ES-Standard-A".into()),
        _ => None,
    }
}
