//! Twilio Voice: its webhooks, its signature and its TwiML.
//!
//! The connector has no memory. Where a call is in its dialogue stands in the query of the URLs we give Twilio, which its
//! signature covers.

mod acknowledge;
mod authenticate;
mod dialogue;
mod render;
mod translate;
mod twiml;
mod wire;

use channel_sdk::connector::Guest;
use channel_sdk::types::*;

/// The connector.
pub struct Twilio;

impl Guest for Twilio {
    fn describe() -> Descriptor {
        Descriptor {
            channel: "telephony".into(),
            vendor: "twilio".into(),
            title: "Twilio Voice".into(),
            stability: Stability::Beta,
            settings: settings(),
            routes: routes(),
            capability: Capability {
                reply: true,
                reply_window_s: None,
                max_text: Some(render::MAX_TEXT),
                subject: false,
                can_start: true,
                attachments: false,
            },
            strength: Strength::Signature,
            // 50 kB of speech, every byte of it percent-encoded, and the rest.
            max_body: 262_144,
            hosts: vec![render::API_HOST.into()],
        }
    }

    fn authenticate(request: Request, context: Context, _: Vec<Fetched>) -> Authentication {
        authenticate::authenticate(&request, &context)
    }

    fn translate(request: Request, context: Context, _: Vec<Fetched>) -> Translation {
        translate::translate(&request, &context)
    }

    fn acknowledge(request: Request, outcome: Outcome, context: Context) -> Response {
        acknowledge::acknowledge(&request, &outcome, &context)
    }

    fn render(message: Outgoing, context: Context) -> Result<Vec<Call>, Refusal> {
        render::render(&message, &context)
    }
}

fn settings() -> Vec<SettingSpec> {
    let spec = |name: &str, secret, required, description: &str| SettingSpec {
        name: name.into(),
        secret,
        required,
        description: description.into(),
    };
    vec![
        spec("auth_token", true, true, "The account's primary auth token: it signs the webhooks."),
        spec(
            "shared_key",
            true,
            false,
            "Secret of a SharedKey, if webhooks are signed with one; a list while keys are rotated.",
        ),
        spec("account_sid", false, false, "AC…, for calls out."),
        spec("api_key_sid", false, false, "SK…, an API key for calls out in place of the auth token."),
        spec("api_key_secret", true, false, "The API key's secret."),
        spec("caller_id", false, false, "Number calls out come from, E.164 with +."),
        spec("emergency_number", false, false, "Named when we can't take a call; 112 if absent."),
        spec("dial_timeout_s", false, false, "How long a department's telephone rings; 20 if absent."),
        spec("record_max_s", false, false, "How long a message may be; 120 if absent."),
        spec("transcribe", false, false, "true: have recordings transcribed (English only, at extra cost)."),
        spec("voice_es", false, false, "Voice for Spanish, e.g. Polly.Lucia-Neural."),
        spec("voice_ca", false, false, "Voice for Catalan, e.g. Polly.Arlet-Neural."),
        spec("voice_gl", false, false, "Voice for Galician; Google's standard one if absent."),
        spec("voice_eu", false, false, "Voice for Basque; Google's standard one if absent."),
        spec("voice_en", false, false, "Voice for English, e.g. Polly.Amy-Neural."),
    ]
}

fn routes() -> Vec<RouteSpec> {
    let route = |suffix: &str, purpose: &str| RouteSpec {
        methods: vec!["POST".into(), "GET".into()],
        suffix: suffix.into(),
        purpose: purpose.into(),
    };
    vec![
        route("/voice", "A call comes in"),
        route("/status", "Call status changes"),
        route("/fallback", "Primary handler fails"),
        route("/recording", "Recording status; given to Twilio by us"),
        route("/transcription", "Transcription; given to Twilio by us"),
        route("", "Any of these: the payload tells which"),
    ]
}

channel_sdk::export_connector!(Twilio);

#[cfg(test)]
testkit::connector_suite!(Twilio);
