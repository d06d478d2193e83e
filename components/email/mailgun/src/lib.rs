//! Mailgun: routes that forward mail (parsed or as MIME) and event webhooks.

mod acknowledge;
mod authenticate;
mod render;
mod translate;
mod wire;

use channel_sdk::connector::Guest;
use channel_sdk::types::*;

/// The connector.
pub struct Mailgun;

impl Guest for Mailgun {
    fn describe() -> Descriptor {
        let route = |suffix: &str, purpose: &str| RouteSpec {
            methods: vec!["POST".into()],
            suffix: suffix.into(),
            purpose: purpose.into(),
        };
        Descriptor {
            channel: "email".into(),
            vendor: "mailgun".into(),
            title: "Mailgun".into(),
            stability: Stability::Beta,
            settings: settings(),
            routes: vec![
                route("/mime", "Route action forward(): the ending makes Mailgun send the message as it came"),
                route("", "Route action forward(), fields taken apart by Mailgun"),
                route("/events", "Webhooks: delivered, failed, complained …"),
            ],
            capability: Capability {
                reply: true,
                reply_window_s: None,
                max_text: Some(render::MAX_TEXT),
                subject: true,
                can_start: true,
                attachments: false,
            },
            strength: Strength::Credential,
            // Messages have 25 MB at most; a form escapes them.
            max_body: 32 << 20,
            hosts: vec![render::US.into(), render::EU.into()],
        }
    }

    fn authenticate(request: Request, _: Context, _: Vec<Fetched>) -> Authentication {
        authenticate::authenticate(&request)
    }

    fn translate(request: Request, context: Context, _: Vec<Fetched>) -> Translation {
        translate::translate(&request, &context)
    }

    fn acknowledge(_: Request, outcome: Outcome, _: Context) -> Response {
        acknowledge::acknowledge(&outcome)
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
        spec("signing_key", true, true, "The HTTP webhook signing key of the account; a list while it is changed."),
        spec(
            "addresses",
            false,
            false,
            "All mailboxes of the administration, as a list: mail from them is never answered by a machine.",
        ),
        spec(
            "authserv_id",
            false,
            false,
            "The name under which the own mail server writes Authentication-Results (RFC 8601); others are not believed.",
        ),
        spec("domain", false, false, "The sending domain at Mailgun, for replies."),
        spec("region", false, false, "`eu` for the European API; the American one if absent."),
        spec("from", false, false, "The mailbox that replies, e.g. info@city.example."),
        spec("from_name", false, false, "Shown beside it; the administration's name if absent."),
        spec("api_key", true, false, "A sending key, for replies."),
    ]
}

channel_sdk::export_connector!(Mailgun);

#[cfg(test)]
testkit::connector_suite!(Mailgun);
