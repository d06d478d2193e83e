//! Twilio Programmable Messaging: SMS, MMS, RCS, and WhatsApp by Twilio.

mod acknowledge;
mod authenticate;
mod render;
mod translate;
mod wire;

use channel_sdk::connector::Guest;
use channel_sdk::types::{
    Authentication, Call, Capability, Context, Descriptor, Fetched, Outcome, Outgoing, Refusal, Request, Response,
    RouteSpec, SettingSpec, Stability, Strength, Translation,
};

struct Messaging;

impl Guest for Messaging {
    fn describe() -> Descriptor {
        let setting = |name: &str, secret, required, description: &str| SettingSpec {
            name: name.into(),
            secret,
            required,
            description: description.into(),
        };
        let route = |suffix: &str, purpose: &str| RouteSpec {
            methods: vec!["GET".into(), "POST".into()],
            suffix: suffix.into(),
            purpose: purpose.into(),
        };
        Descriptor {
            channel: "messaging".into(),
            vendor: "twilio".into(),
            title: "Twilio Messaging (SMS, MMS, RCS, WhatsApp)".into(),
            stability: Stability::Alpha,
            settings: vec![
                setting("auth_token", true, true, "Primary AuthToken of the account: signs every webhook"),
                setting("shared_key", true, false, "Secret of a shared key (beta), if webhooks are signed with one"),
                setting("account_sid", false, false, "AC…; for replies"),
                setting("api_key", false, false, "SK…; replies are then authenticated by it and api_key_secret"),
                setting("api_key_secret", true, false, "Secret of api_key"),
                setting(
                    "messaging_service_sid",
                    false,
                    false,
                    "MG…; sender of replies whose conversation has no number",
                ),
                setting("from", false, false, "Sender of replies whose conversation has no number, E.164"),
            ],
            routes: vec![
                route("/message", "A message comes in (also as fallback URL: resent messages are recognised)"),
                route("/status", "Status callback; set by us on every reply"),
            ],
            capability: Capability {
                reply: true,
                // SMS has none. WhatsApp's 24 hours are kept by `render`.
                reply_window_s: None,
                max_text: Some(wire::MAX_TEXT),
                subject: false,
                can_start: true,
                attachments: false,
            },
            strength: Strength::Signature,
            max_body: 65_536,
            hosts: vec![wire::HOST.into()],
        }
    }

    fn authenticate(request: Request, context: Context, _: Vec<Fetched>) -> Authentication {
        authenticate::authenticate(&request, &context)
    }

    fn translate(request: Request, _: Context, _: Vec<Fetched>) -> Translation {
        translate::translate(&request)
    }

    fn acknowledge(_: Request, outcome: Outcome, _: Context) -> Response {
        acknowledge::acknowledge(&outcome)
    }

    fn render(message: Outgoing, context: Context) -> Result<Vec<Call>, Refusal> {
        render::render(&message, &context)
    }
}

channel_sdk::export_connector!(Messaging);

#[cfg(test)]
testkit::connector_suite!(Messaging);
