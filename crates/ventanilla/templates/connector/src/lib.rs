//! {{vendor}}, channel {{channel}}: what this connector is. Replace this line by the product's name and what it sends.

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

struct Connector;

impl Guest for Connector {
    fn describe() -> Descriptor {
        let setting = |name: &str, secret, required, description: &str| SettingSpec {
            name: name.into(),
            secret,
            required,
            description: description.into(),
        };
        let route = |suffix: &str, purpose: &str| RouteSpec {
            methods: vec!["POST".into()],
            suffix: suffix.into(),
            purpose: purpose.into(),
        };
        Descriptor {
            channel: "{{channel}}".into(),
            vendor: "{{vendor}}".into(),
            title: "{{vendor}}".into(),
            stability: Stability::Development,
            settings: vec![setting("signing_secret", true, true, "Signs every webhook")],
            routes: vec![route("/events", "Webhook for every event")],
            capability: Capability {
                reply: false,
                reply_window_s: None,
                max_text: None,
                subject: false,
                can_start: false,
                attachments: false,
            },
            strength: Strength::Signature,
            max_body: 65_536,
            hosts: Vec::new(),
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

    fn render(message: Outgoing, _: Context) -> Result<Vec<Call>, Refusal> {
        render::render(&message)
    }
}

channel_sdk::export_connector!(Connector);

#[cfg(test)]
testkit::connector_suite!(Connector);
