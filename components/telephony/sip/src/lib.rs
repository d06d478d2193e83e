//! A SIP proxy (Kamailio with `infra/sip/kamailio.cfg`): it asks where a call goes and reports what became of it.

mod acknowledge;
mod authenticate;
mod render;
mod translate;
mod wire;

use channel_sdk::connector::Guest;
use channel_sdk::types::*;

/// The connector.
pub struct Sip;

impl Guest for Sip {
    fn describe() -> Descriptor {
        Descriptor {
            channel: "telephony".into(),
            vendor: "sip".into(),
            title: "SIP proxy".into(),
            stability: Stability::Beta,
            settings: settings(),
            routes: vec![RouteSpec {
                methods: vec!["POST".into()],
                suffix: String::new(),
                purpose: "Every report of the proxy (VENTANILLA_URL)".into(),
            }],
            capability: Capability {
                reply: false,
                reply_window_s: None,
                max_text: None,
                subject: false,
                can_start: false,
                attachments: false,
            },
            strength: Strength::Credential,
            // A SIP message over TCP may be 64 KiB; JSON may double it.
            max_body: 131_072,
            hosts: Vec::new(),
        }
    }

    fn authenticate(request: Request, _: Context, _: Vec<Fetched>) -> Authentication {
        authenticate::authenticate(&request)
    }

    fn translate(request: Request, context: Context, _: Vec<Fetched>) -> Translation {
        translate::translate(&request, &context)
    }

    fn acknowledge(request: Request, outcome: Outcome, context: Context) -> Response {
        acknowledge::acknowledge(&request, &outcome, &context)
    }

    fn render(_: Outgoing, _: Context) -> Result<Vec<Call>, Refusal> {
        render::render()
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
        spec(
            "shared_secret",
            true,
            true,
            "What the proxy shows in X-Ventanilla-Secret; a list while it is being changed.",
        ),
        spec("numbers", false, false, "Object: dialled number or user part to department code."),
        spec("default_department", false, false, "Code of the department for all other numbers."),
        spec("fallback_uri", false, false, "SIP URI when the department does not answer, e.g. the switchboard."),
        spec("announcement_uri", false, false, "SIP URI of the announcement outside opening hours."),
        spec(
            "gateway_host",
            false,
            false,
            "Host of the gateway to the telephone network, for departments that have a number only.",
        ),
        spec("ring_timeout_s", false, false, "How long one target rings; 25 if absent."),
        spec("trusted_sources", false, false, "List of peers' addresses whose P-Asserted-Identity is believed."),
    ]
}

channel_sdk::export_connector!(Sip);

#[cfg(test)]
testkit::connector_suite!(Sip);
