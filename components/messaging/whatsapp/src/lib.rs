//! WhatsApp Cloud API: its webhooks, and replies within the service window.

mod acknowledge;
mod authenticate;
mod content;
mod render;
mod translate;
mod wire;

use channel_sdk::connector::Guest;
use channel_sdk::types::{
    Authentication, Call, Capability, Context, Descriptor, Fetched, Outcome, Outgoing, Refusal, Request, Response,
    RouteSpec, SettingSpec, Stability, Strength, Translation,
};

struct WhatsApp;

impl Guest for WhatsApp {
    fn describe() -> Descriptor {
        let setting = |name: &str, secret, required, description: &str| SettingSpec {
            name: name.into(),
            secret,
            required,
            description: description.into(),
        };
        Descriptor {
            channel: "messaging".into(),
            vendor: "whatsapp".into(),
            title: "WhatsApp Business Platform (Cloud API)".into(),
            stability: Stability::Alpha,
            settings: vec![
                setting("app_secret", true, true, "App secret (App settings > Basic): signs every delivery"),
                setting("verify_token", true, true, "A word of your own, also entered beside the callback URL"),
                setting("access_token", true, false, "System user token with whatsapp_business_messaging; for replies"),
                setting(
                    "appsecret_proof",
                    true,
                    false,
                    "Hex HMAC-SHA256 of the access token with the app secret; if the app requires it",
                ),
                setting(
                    "phone_number_id",
                    false,
                    false,
                    "Replies leave by this number when the conversation does not say which",
                ),
                setting("graph_version", false, false, "Graph API version for replies; v25.0 if absent"),
            ],
            routes: vec![RouteSpec {
                methods: vec!["GET".into(), "POST".into()],
                suffix: String::new(),
                purpose: "Callback URL of the app's webhook; any suffix is the same".into(),
            }],
            capability: Capability {
                reply: true,
                reply_window_s: Some(wire::WINDOW_S),
                max_text: Some(wire::MAX_TEXT),
                subject: false,
                // Only with a template Meta has approved.
                can_start: false,
                attachments: false,
            },
            strength: Strength::Signature,
            // Meta's limit of a delivery.
            max_body: 3 << 20,
            hosts: vec![wire::HOST.into()],
        }
    }

    fn authenticate(request: Request, _: Context, _: Vec<Fetched>) -> Authentication {
        authenticate::authenticate(&request)
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

channel_sdk::export_connector!(WhatsApp);

#[cfg(test)]
testkit::connector_suite!(WhatsApp);
