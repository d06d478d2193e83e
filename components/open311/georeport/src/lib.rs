//! Open311 GeoReport v2: service discovery, services, requests filed and followed, and the service request updates extension.
//! The standard: <https://wiki.open311.org/GeoReport_v2>.

mod acknowledge;
mod answers;
mod authenticate;
mod document;
mod fault;
mod filing;
mod question;
mod redact;
mod render;
mod translate;
mod update;
mod wire;

use channel_sdk::connector::Guest;
use channel_sdk::types::{
    Authentication, Call, Capability, Context, Descriptor, Fetched, Outcome, Outgoing, Refusal, Request, Response,
    RouteSpec, SettingSpec, Stability, Strength, Translation,
};

struct GeoReport;

impl Guest for GeoReport {
    fn describe() -> Descriptor {
        Descriptor {
            channel: "open311".into(),
            vendor: "georeport".into(),
            title: "Open311 GeoReport v2".into(),
            stability: Stability::Beta,
            settings: settings(),
            routes: routes(),
            // The standard has no way to write to whoever filed a request: they follow it.
            capability: Capability {
                reply: false,
                reply_window_s: None,
                max_text: None,
                subject: false,
                can_start: false,
                attachments: false,
            },
            strength: Strength::Credential,
            // A few photographs of a telephone.
            max_body: 16 << 20,
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

fn settings() -> Vec<SettingSpec> {
    let setting = |name: &str, secret, description: &str| SettingSpec {
        name: name.into(),
        secret,
        required: false,
        description: description.into(),
    };
    vec![
        setting(
            "api_key",
            true,
            "The key that clients file requests and updates with; a list while it is changed, or for several clients",
        ),
        setting(
            "jurisdiction_id",
            false,
            "What clients send as jurisdiction_id, e.g. city.example; the tenant's name if absent, which is always understood",
        ),
        setting("contact", false, "Service discovery: whom developers write to"),
        setting("key_service", false, "Service discovery: how developers get an api_key"),
        setting("endpoint_type", false, "Service discovery: `test` or `production`; `production` if absent"),
    ]
}

fn routes() -> Vec<RouteSpec> {
    let route = |methods: &[&str], suffix: &str, purpose: &str| RouteSpec {
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        suffix: suffix.into(),
        purpose: purpose.into(),
    };
    vec![
        route(&["GET"], "/discovery.xml", "Service discovery; every address ends in .xml or .json"),
        route(&["GET"], "/services.xml", "What can be requested"),
        route(&["GET"], "/services/{service_code}.xml", "What a service wants to know"),
        route(&["GET", "POST"], "/requests.xml", "Requests: filed by POST with an api_key, listed by GET"),
        route(&["GET", "POST"], "/requests.json", "The same in JSON"),
        route(&["GET"], "/requests/{service_request_id}.xml", "One request"),
        route(&["GET"], "/tokens/{token}.xml", "The service_request_id of a token"),
        route(
            &["GET", "POST"],
            "/servicerequestupdates.xml",
            "Extension: changes of status; something added by POST with an api_key",
        ),
        route(&["GET", "POST"], "/servicerequestupdates.json", "The same in JSON"),
    ]
}

channel_sdk::export_connector!(GeoReport);

#[cfg(test)]
testkit::connector_suite!(GeoReport);
