//! ActivityPub: the administration is an actor of the Fediverse (Mastodon and all that speak with it).

mod acknowledge;
mod actor;
mod authenticate;
mod documents;
mod html;
mod note;
mod render;
mod signature;
mod translate;
mod wire;

use channel_sdk::connector::Guest;
use channel_sdk::types::{
    Authentication, Call, Capability, Context, Descriptor, Fetched, Outcome, Outgoing, Refusal, Request, Response,
    RouteSpec, SettingSpec, Stability, Strength, Translation,
};

struct ActivityPub;

impl Guest for ActivityPub {
    fn describe() -> Descriptor {
        let setting = |name: &str, secret, required, description: &str| SettingSpec {
            name: name.into(),
            secret,
            required,
            description: description.into(),
        };
        let route = |method: &str, suffix: &str, purpose: &str| RouteSpec {
            methods: vec![method.into()],
            suffix: suffix.into(),
            purpose: purpose.into(),
        };
        Descriptor {
            channel: "social".into(),
            vendor: "activitypub".into(),
            title: "ActivityPub (Mastodon and the Fediverse)".into(),
            stability: Stability::Alpha,
            settings: vec![
                setting("private_key", true, true, "RSA private key of the actor in PEM, 2048 bits or more"),
                setting("public_key", false, true, "Its public key in PEM: shown in the actor's document"),
                setting("username", false, false, "The name before the @; the tenant's if absent"),
                setting("domain", false, false, "What comes after the @; the host of public_url if absent"),
                setting("icon_url", false, false, "Picture of the actor"),
            ],
            routes: vec![
                route("GET", "", "The actor: what people search for to follow and to mention"),
                route("POST", "/inbox", "What other servers deliver"),
                route("GET", "/outbox", "Collection, not listed"),
                route("GET", "/followers", "Collection, not listed"),
                route("GET", "/following", "Collection, not listed"),
                route("GET", "/nodeinfo/2.1", "NodeInfo"),
                route("GET", "/.well-known/webfinger", "WebFinger; also at the root of the host"),
                route("GET", "/.well-known/nodeinfo", "Link to NodeInfo; also at the root of the host"),
            ],
            capability: Capability {
                reply: true,
                reply_window_s: None,
                max_text: Some(wire::MAX_TEXT),
                subject: false,
                can_start: false,
                attachments: false,
            },
            strength: Strength::Signature,
            max_body: 1 << 20,
            // Everybody's server is somewhere else.
            hosts: vec!["*".into()],
        }
    }

    fn authenticate(request: Request, context: Context, fetched: Vec<Fetched>) -> Authentication {
        authenticate::authenticate(&request, &context, &fetched)
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

channel_sdk::export_connector!(ActivityPub);

#[cfg(test)]
testkit::connector_suite!(ActivityPub);
