//! Meta: a Page's feed and mentions, Messenger, Instagram comments, mentions and direct messages.

mod acknowledge;
mod authenticate;
mod instagram;
mod messenger;
mod page;
mod render;
mod translate;
mod wire;

use channel_sdk::connector::Guest;
use channel_sdk::types::{
    Authentication, Call, Capability, Context, Descriptor, Fetched, Outcome, Outgoing, Refusal, Request, Response,
    RouteSpec, SettingSpec, Stability, Strength, Translation,
};

struct Meta;

impl Guest for Meta {
    fn describe() -> Descriptor {
        let setting = |name: &str, secret, required, description: &str| SettingSpec {
            name: name.into(),
            secret,
            required,
            description: description.into(),
        };
        Descriptor {
            channel: "social".into(),
            vendor: "meta".into(),
            title: "Facebook Page, Messenger and Instagram".into(),
            stability: Stability::Alpha,
            settings: vec![
                setting("app_secret", true, true, "App secret (App settings > Basic): signs every delivery"),
                setting("verify_token", true, true, "A word of your own, also entered beside the callback URL"),
                setting("access_token", true, false, "Page token; for replies and for what Instagram mentions say"),
                setting(
                    "appsecret_proof",
                    true,
                    false,
                    "Hex HMAC-SHA256 of the access token with the app secret; if the app requires it",
                ),
                setting("graph_version", false, false, "Graph API version; v25.0 if absent"),
            ],
            routes: vec![RouteSpec {
                methods: vec!["GET".into(), "POST".into()],
                suffix: String::new(),
                purpose: "Callback URL of the app's Page and Instagram webhooks; any suffix is the same".into(),
            }],
            capability: Capability {
                reply: true,
                // Of Messenger and Instagram messages. Comments have none; `render` knows which it is.
                reply_window_s: Some(wire::WINDOW_S),
                max_text: Some(wire::MAX_TEXT),
                subject: false,
                can_start: false,
                attachments: false,
            },
            strength: Strength::Signature,
            max_body: 3 << 20,
            hosts: vec![wire::HOST.into()],
        }
    }

    fn authenticate(request: Request, _: Context, _: Vec<Fetched>) -> Authentication {
        authenticate::authenticate(&request)
    }

    fn translate(request: Request, context: Context, fetched: Vec<Fetched>) -> Translation {
        translate::translate(&request, &context, &fetched)
    }

    fn acknowledge(_: Request, outcome: Outcome, _: Context) -> Response {
        acknowledge::acknowledge(&outcome)
    }

    fn render(message: Outgoing, context: Context) -> Result<Vec<Call>, Refusal> {
        render::render(&message, &context)
    }
}

channel_sdk::export_connector!(Meta);

#[cfg(test)]
testkit::connector_suite!(Meta);
