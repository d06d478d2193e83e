//! Telegram Bot API: its updates, and replies by `sendMessage`.

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

struct Telegram;

impl Guest for Telegram {
    fn describe() -> Descriptor {
        let setting = |name: &str, required, description: &str| SettingSpec {
            name: name.into(),
            secret: true,
            required,
            description: description.into(),
        };
        Descriptor {
            channel: "messaging".into(),
            vendor: "telegram".into(),
            title: "Telegram Bot API".into(),
            stability: Stability::Alpha,
            settings: vec![
                setting(
                    "secret_token",
                    true,
                    "The secret_token given to setWebhook: comes in a header of every update",
                ),
                setting("bot_token", false, "The bot's token from BotFather; for replies"),
            ],
            routes: vec![RouteSpec {
                methods: vec!["POST".into()],
                suffix: String::new(),
                purpose: "The url given to setWebhook; any suffix is the same".into(),
            }],
            capability: Capability {
                reply: true,
                reply_window_s: None,
                max_text: Some(wire::MAX_TEXT),
                subject: false,
                // A bot can't begin a conversation.
                can_start: false,
                attachments: false,
            },
            strength: Strength::Credential,
            max_body: 1 << 20,
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

channel_sdk::export_connector!(Telegram);

#[cfg(test)]
testkit::connector_suite!(Telegram);
