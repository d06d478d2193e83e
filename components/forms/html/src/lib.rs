//! The administration's own web form: the page at `GET`, what people send with it at `POST`, and the page that thanks them.

mod acknowledge;
mod authenticate;
mod check;
mod form_page;
mod html;
mod origin;
mod page;
mod render;
mod settings;
mod thanks;
mod token;
mod translate;
mod wire;
mod words;

use channel_sdk::connector::Guest;
use channel_sdk::types::{
    Authentication, Call, Capability, Context, Descriptor, Fetched, Outcome, Outgoing, Refusal, Request, Response,
    RouteSpec, SettingSpec, Stability, Strength, Translation,
};

struct Form;

impl Guest for Form {
    fn describe() -> Descriptor {
        let setting = |name: &str, secret, required, description: &str| SettingSpec {
            name: name.into(),
            secret,
            required,
            description: description.into(),
        };
        let route = |methods: &[&str], suffix: &str, purpose: &str| RouteSpec {
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            suffix: suffix.into(),
            purpose: purpose.into(),
        };
        Descriptor {
            channel: "forms".into(),
            vendor: "html".into(),
            title: "Web form".into(),
            stability: Stability::Alpha,
            settings: vec![
                setting("form_secret", true, true, "A long random text of your own: seals the forms handed out"),
                setting("api_key", true, false, "Lets a server of yours post JSON, as Authorization: Bearer"),
                setting(
                    "origins",
                    false,
                    false,
                    "Other sites whose forms may post here, e.g. https://www.vilanova.example",
                ),
                setting("frame_ancestors", false, false, "Sites that may show the form in a frame"),
                setting(
                    "contact_required",
                    false,
                    false,
                    "true: nobody can send without an e-mail address or a telephone number",
                ),
                setting(
                    "min_seconds",
                    false,
                    false,
                    "Who sends sooner than this after opening is asked to look again; 3 if absent",
                ),
                setting("work_bits", false, false, "Proof of work done by the browser, 1 to 20 bits; none if absent"),
            ],
            routes: vec![
                route(&["GET", "OPTIONS", "POST"], "", "The form: link to it, or show it in a frame"),
                route(&["GET"], wire::STYLE, "The form's style sheet"),
                route(&["GET"], wire::SCRIPT, "The form's script, which it works without"),
            ],
            capability: Capability {
                reply: false,
                reply_window_s: None,
                max_text: None,
                subject: false,
                can_start: false,
                attachments: false,
            },
            // The token proves that the form was handed out here, not what is written into it.
            strength: Strength::Credential,
            max_body: wire::MAX_BODY,
            hosts: Vec::new(),
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

    fn render(_: Outgoing, _: Context) -> Result<Vec<Call>, Refusal> {
        render::render()
    }
}

channel_sdk::export_connector!(Form);

#[cfg(test)]
testkit::connector_suite!(Form);
