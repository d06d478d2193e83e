//! What a webhook means in the course of a call. `translate` and `acknowledge` both ask here, so that what is stored and what
//! is said never differ.

use channel_sdk::e164::{self, Caller};
use channel_sdk::language;
use channel_sdk::menu::{self, Choice};
use channel_sdk::reference;
use channel_sdk::types::{Context, Department};

use crate::wire::{Payload, Step, Webhook};

/// What the caller did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Turn<'a> {
    /// Nothing that wants an answer: a status, a transcription.
    None,
    /// The call came in.
    Arrived,
    /// Kept silent at a question.
    Silent,
    Language(&'a str),
    Department(&'a Department),
    Message,
    CallBack,
    State,
    Repeat,
    NotUnderstood,
    /// Keyed or said a reference whose check digit fits.
    Reference(String),
    WrongReference,
    /// Keyed a number to be called at.
    Number(String),
    /// The department took the call.
    Attended,
    /// The department did not take it.
    Unattended,
    /// Left a recording.
    Recorded,
}

/// Reads the caller's turn.
pub(crate) fn turn<'a>(webhook: &Webhook, context: &'a Context) -> Turn<'a> {
    match webhook.payload {
        Payload::Voice if webhook.state.step == Step::Start => Turn::Arrived,
        Payload::Voice => Turn::Silent,
        Payload::Input => input(webhook, context),
        Payload::DialEnded => match webhook.filled("DialCallStatus").as_deref() {
            Some("completed" | "answered") => Turn::Attended,
            _ => Turn::Unattended,
        },
        // Only the action of `<Record>` has no status; the status callback wants no TwiML.
        Payload::Recording if webhook.filled("RecordingStatus").is_none() => Turn::Recorded,
        _ => Turn::None,
    }
}

fn input<'a>(webhook: &Webhook, context: &'a Context) -> Turn<'a> {
    let profile = &context.profile;
    let digits = webhook.filled("Digits");
    let speech = webhook.filled("SpeechResult");
    let language = spoken_language(webhook, context);
    match webhook.state.step {
        Step::Language => menu::language_choice(profile, digits.as_deref(), speech.as_deref())
            .map_or(Turn::NotUnderstood, Turn::Language),
        Step::Reference => {
            let said = digits.or(speech).unwrap_or_default();
            let only: String = said.chars().filter(char::is_ascii_digit).collect();
            reference::parse(&only).map_or(Turn::WrongReference, Turn::Reference)
        }
        Step::Number => {
            let keyed = digits.unwrap_or_default();
            match e164::number_of(&keyed) {
                // The shortest numbers anybody can be called at have three digits, but those are services.
                Some(number) if number.len() >= 5 => Turn::Number(number),
                _ => Turn::NotUnderstood,
            }
        }
        Step::Start | Step::Menu | Step::Dial | Step::Message => {
            let choice = match (&digits, &speech) {
                (Some(digits), _) => menu::by_digits(profile, digits),
                (None, Some(speech)) => menu::by_speech(profile, speech, language),
                (None, None) => None,
            };
            match choice {
                Some(Choice::Department(department)) => Turn::Department(department),
                Some(Choice::Message) => Turn::Message,
                Some(Choice::CallBack) => Turn::CallBack,
                Some(Choice::State) => Turn::State,
                Some(Choice::Repeat) => Turn::Repeat,
                None => Turn::NotUnderstood,
            }
        }
    }
}

/// The language the call is held in.
pub(crate) fn spoken_language<'a>(webhook: &Webhook, context: &'a Context) -> &'a str {
    language::of_tenant(&context.profile, webhook.state.language.as_deref())
}

/// Whether the caller's number is withheld.
pub(crate) fn is_withheld(webhook: &Webhook) -> bool {
    webhook.caller() == Caller::Withheld
}
