//! A connector that accepts anything and fails while translating, in the way the body names.

use channel_sdk::connector::Guest;
use channel_sdk::types::*;

struct Failing;

impl Guest for Failing {
    fn describe() -> Descriptor {
        Descriptor {
            channel: "telephony".into(),
            vendor: "test".into(),
            title: "Fails".into(),
            stability: Stability::Development,
            settings: Vec::new(),
            routes: vec![RouteSpec { methods: vec!["POST".into()], suffix: String::new(), purpose: "Fails".into() }],
            capability: Capability {
                reply: false,
                reply_window_s: None,
                max_text: None,
                subject: false,
                can_start: false,
                attachments: false,
            },
            strength: Strength::None,
            max_body: 65_536,
            hosts: Vec::new(),
        }
    }

    fn authenticate(_: Request, _: Context, _: Vec<Fetched>) -> Authentication {
        Authentication::Unsigned("a test".into())
    }

    fn translate(request: Request, _: Context, _: Vec<Fetched>) -> Translation {
        match request.body.as_slice() {
            b"trap" => panic!("as asked"),
            b"timeout" => loop {
                std::hint::black_box(());
            },
            b"memory" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(vec![1_u8; 1 << 20]);
                }
            }
            _ => Translation::Events(Vec::new()),
        }
    }

    fn acknowledge(_: Request, outcome: Outcome, _: Context) -> Response {
        let status = match outcome {
            Outcome::Quarantined(_) => 202,
            Outcome::Refused(_) => 403,
            _ => 200,
        };
        Response { status, headers: Vec::new(), body: Vec::new() }
    }

    fn render(_: Outgoing, _: Context) -> Result<Vec<Call>, Refusal> {
        Ok(Vec::new())
    }
}

channel_sdk::export_connector!(Failing);
