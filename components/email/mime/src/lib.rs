//! Raw mail (RFC 5322) as any mail server or worker posts it, with its envelope beside it.
//!
//! Nothing in a message is a reason to refuse it: a mail server would send the refusal back to the citizen. What can't be
//! read completely is stored with what could be read, and quarantined.

mod acknowledge;
mod authenticate;
mod render;
mod wire;

use channel_sdk::connector::Guest;
use channel_sdk::mail::{self, Letter};
use channel_sdk::types::*;

/// The connector.
pub struct Mime;

impl Guest for Mime {
    fn describe() -> Descriptor {
        Descriptor {
            channel: "email".into(),
            vendor: "mime".into(),
            title: "Raw e-mail (any mail server)".into(),
            stability: Stability::Beta,
            settings: settings(),
            routes: vec![RouteSpec {
                methods: vec!["POST".into()],
                suffix: String::new(),
                purpose: "A message as received, body message/rfc822; envelope in X-Envelope-From and X-Envelope-To or in the query as from and to".into(),
            }],
            capability: Capability { reply: true, reply_window_s: None, max_text: Some(render::MAX_TEXT), subject: true, can_start: true, attachments: false },
            strength: Strength::Credential,
            // 30 MiB: what large mail providers send at most, with base64's third on top, is 25 MB.
            max_body: 30 << 20,
            // Where replies go is the operator's setting.
            hosts: vec!["{submit_url}".into()],
        }
    }

    fn authenticate(request: Request, context: Context, _: Vec<Fetched>) -> Authentication {
        authenticate::authenticate(&request, &context)
    }

    fn translate(request: Request, context: Context, _: Vec<Fetched>) -> Translation {
        mail::translation(&Letter::from_mime(&request.body), &wire::envelope(&request), &context)
    }

    fn acknowledge(request: Request, outcome: Outcome, _: Context) -> Response {
        acknowledge::acknowledge(&request, &outcome)
    }

    fn render(message: Outgoing, context: Context) -> Result<Vec<Call>, Refusal> {
        render::render(&message, &context)
    }
}

fn settings() -> Vec<SettingSpec> {
    let spec = |name: &str, secret, description: &str| SettingSpec {
        name: name.into(),
        secret,
        required: false,
        description: description.into(),
    };
    vec![
        spec(
            "token",
            true,
            "What the mail server sends as `Authorization: Bearer …` or in X-Webhook-Secret; a list while it is changed.",
        ),
        spec("basic", true, "`user:password`, for mail servers that can only do basic authentication."),
        spec(
            "addresses",
            false,
            "All mailboxes of the administration, as a list: mail from them is never answered by a machine.",
        ),
        spec(
            "authserv_id",
            false,
            "The name under which the own mail server writes Authentication-Results (RFC 8601); others are not believed.",
        ),
        spec("from", false, "The mailbox that replies, e.g. info@city.example."),
        spec("from_name", false, "Shown beside it; the administration's name if absent."),
        spec(
            "submit_url",
            false,
            "Where replies are posted as message/rfc822: infra/mail's relay or anything like it. Absent: no replies.",
        ),
        spec("submit_token", true, "Sent there as `Authorization: Bearer …`."),
    ]
}

channel_sdk::export_connector!(Mime);

#[cfg(test)]
testkit::connector_suite!(Mime);
