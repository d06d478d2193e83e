//! Twilio Voice: its webhooks and TwiML.

use channel_sdk::connector::Guest;
use channel_sdk::types::*;

struct Twilio;

impl Guest for Twilio {
    fn describe() -> Descriptor {
        Descriptor {
            channel: "telephony".into(),
            vendor: "twilio".into(),
            title: "Twilio Voice".into(),
            stability: Stability::Development,
            settings: vec![],
            routes: vec![],
            capability: Capability { reply: false, reply_window_s: None, max_text: None, subject: false, can_start: false, attachments: false },
            strength: Strength::Signature,
            max_body: 65_536,
            hosts: vec![],
        }
    }
    fn authenticate(_: Request, _: Context, _: Vec<Fetched>) -> Authentication {
        Authentication::Check(vec![])
    }
    fn translate(_: Request, _: Context, _: Vec<Fetched>) -> Translation {
        Translation::Events(vec![])
    }
    fn acknowledge(_: Request, _: Outcome, _: Context) -> Response {
        Response { status: 200, headers: vec![], body: vec![] }
    }
    fn render(_: Outgoing, _: Context) -> Result<Vec<Call>, Refusal> {
        Ok(vec![])
    }
}

channel_sdk::export_connector!(Twilio);
