//! A connector that does everything a connector must not do, each when its suffix says so: `/translate-panic`,
//! `/authenticate-loop` and so on. With the setting `repaired` it behaves. For `tests/traps`.

use channel_sdk::connector::Guest;
use channel_sdk::types::*;

/// The connector.
pub struct Hostile;

fn misbehave(function: &str, request: &Request, context: &Context) {
    let repaired = context.settings.iter().any(|setting| setting.name == "repaired");
    let Some(deed) =
        request.suffix.strip_prefix('/').and_then(|suffix| suffix.strip_prefix(function)).filter(|_| !repaired)
    else {
        return;
    };
    match deed {
        #[expect(clippy::panic, reason = "this is what it is for")]
        "-panic" => panic!("on purpose"),
        "-loop" => {
            let mut round = 0_u64;
            while core::hint::black_box(round) < u64::MAX {
                round = round.wrapping_add(1);
            }
        }
        "-greed" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(core::hint::black_box(vec![1; 8 << 20]));
            }
        }
        "-recursion" => {
            core::hint::black_box(deeper(0));
        }
        _ => {}
    }
}

fn deeper(depth: u64) -> u64 {
    let frame = core::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { deeper(depth + 1).wrapping_add(frame.iter().sum()) }
}

impl Guest for Hostile {
    fn describe() -> Descriptor {
        let setting = |name: &str, secret, required| SettingSpec {
            name: name.into(),
            secret,
            required,
            description: "For the test.".into(),
        };
        Descriptor {
            channel: "tests".into(),
            vendor: "hostile".into(),
            title: "Hostile".into(),
            stability: Stability::Development,
            settings: vec![setting("key", true, true), setting("repaired", false, false)],
            routes: vec![RouteSpec { methods: vec!["POST".into()], suffix: "".into(), purpose: "mischief".into() }],
            capability: Capability {
                reply: false,
                reply_window_s: None,
                max_text: None,
                subject: false,
                can_start: false,
                attachments: false,
            },
            strength: Strength::Credential,
            max_body: 65_536,
            hosts: Vec::new(),
        }
    }

    fn authenticate(request: Request, context: Context, _: Vec<Fetched>) -> Authentication {
        misbehave("authenticate", &request, &context);
        let tag = request.headers.into_iter().find(|header| header.name == "x-key").map(|header| header.value);
        Authentication::Check(vec![Check {
            scheme: Scheme::SharedSecret,
            key: Key::Secret("key".into()),
            message: Vec::new(),
            tag: tag.unwrap_or_default(),
            encoding: Encoding::Raw,
            signed_at: None,
            nonce: None,
            body_digest: None,
            credential_header: Some("x-key".into()),
        }])
    }

    fn translate(request: Request, context: Context, _: Vec<Fetched>) -> Translation {
        misbehave("translate", &request, &context);
        let mut event = Event::new(Kind::Message, String::from_utf8_lossy(&request.body).into_owned());
        event.threading = Threading::Key(event.idempotency_key.clone());
        event.text = Some(event.idempotency_key.clone());
        Translation::Events(vec![event])
    }

    fn acknowledge(request: Request, outcome: Outcome, context: Context) -> Response {
        misbehave("acknowledge", &request, &context);
        let (status, body) = match outcome {
            Outcome::Accepted(_) => (200, "accepted"),
            Outcome::Quarantined(_) => (200, "quarantined"),
            Outcome::Refused(_) => (403, "refused"),
            Outcome::Unavailable(_) => (503, "unavailable"),
            Outcome::Found(_) => (404, "found"),
        };
        Response { status, headers: vec![("content-type".into(), "text/plain".into())], body: body.into() }
    }

    fn render(_: Outgoing, _: Context) -> Result<Vec<Call>, Refusal> {
        Err(Refusal { reason: RefusalReason::Unsupported, detail: "no replies".into() })
    }
}

channel_sdk::export_connector!(Hostile);
