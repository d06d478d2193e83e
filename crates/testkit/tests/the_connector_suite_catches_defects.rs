//! A suite that can't fail proves nothing: each defect of a small model connector must turn exactly its tests red.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use channel_sdk::connector::Guest;
use channel_sdk::types::*;
use testkit::connector_suite::Suite;

const SOUND: u8 = 0;
const PANICS_ON_A_BYTE: u8 = 1;
const SIGNS_A_PART: u8 = 2;
const KEY_FROM_THE_CLOCK: u8 = 3;
const SHOWS_THE_SECRET: u8 = 4;
const ACCEPTS_WITH_500: u8 = 5;
const BREAKS_XML: u8 = 6;
const EMPTY_KEY: u8 = 7;
const PANICS_ON_A_CUT: u8 = 8;
const WRONG_VENDOR: u8 = 9;
const REMEMBERS: u8 = 10;
const RENDERS_A_SECRET: u8 = 11;
const FORGETS_RETRY_AFTER: u8 = 12;

/// `id=1&text=hola`, signed with HMAC-SHA256 in `x-tag`.
struct Model<const DEFECT: u8>;

impl<const DEFECT: u8> Guest for Model<DEFECT> {
    fn describe() -> Descriptor {
        Descriptor {
            channel: "chat".into(),
            vendor: if DEFECT == WRONG_VENDOR { "other" } else { "echo" }.into(),
            title: "Model".into(),
            stability: Stability::Development,
            settings: vec![SettingSpec {
                name: "key".into(),
                secret: true,
                required: true,
                description: "signs".into(),
            }],
            routes: vec![RouteSpec { methods: vec!["POST".into()], suffix: "/in".into(), purpose: "messages".into() }],
            capability: Capability {
                reply: DEFECT == RENDERS_A_SECRET,
                reply_window_s: None,
                max_text: None,
                subject: false,
                can_start: false,
                attachments: false,
            },
            strength: Strength::Signature,
            max_body: 4_096,
            hosts: vec!["echo.example".into()],
        }
    }

    fn authenticate(request: Request, _: Context, _: Vec<Fetched>) -> Authentication {
        let Some(tag) = request.headers.iter().find(|header| header.name == "x-tag") else {
            return Authentication::Refuse(Refusal {
                reason: RefusalReason::MissingSignature,
                detail: "no x-tag".into(),
            });
        };
        let signed = if DEFECT == SIGNS_A_PART { &b"id=1&text=hola"[..] } else { &request.body };
        Authentication::Check(vec![Check {
            scheme: Scheme::HmacSha256,
            key: Key::Secret("key".into()),
            message: signed.to_vec(),
            tag: tag.value.clone(),
            encoding: Encoding::Hex,
            signed_at: None,
            nonce: None,
            body_digest: None,
            credential_header: None,
        }])
    }

    fn translate(request: Request, _: Context, _: Vec<Fetched>) -> Translation {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        assert!(DEFECT != PANICS_ON_A_BYTE || !body.contains('!'), "a byte");
        let field =
            |name: &str| body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned);
        let Some(id) = field("id").filter(|id| !id.is_empty() || DEFECT == EMPTY_KEY) else {
            assert!(DEFECT != PANICS_ON_A_CUT, "cut short");
            return Translation::Degraded((Vec::new(), "no id".into()));
        };
        let mut event = Event::new(Kind::Message, id);
        event.text = field("text");
        match DEFECT {
            KEY_FROM_THE_CLOCK => event.idempotency_key = request.received_at.to_string(),
            SHOWS_THE_SECRET => event.subject = Some("fake-secret-of-the-model".into()),
            REMEMBERS => {
                static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
                event.subject = Some(COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string());
            }
            _ => {}
        }
        Translation::Events(vec![event])
    }

    fn acknowledge(_: Request, outcome: Outcome, context: Context) -> Response {
        let status = match &outcome {
            Outcome::Accepted(_) if DEFECT == ACCEPTS_WITH_500 => 500,
            Outcome::Accepted(_) | Outcome::Quarantined(_) => 200,
            Outcome::Refused(_) => 403,
            Outcome::Found(_) => 404,
            Outcome::Unavailable(_) => 503,
        };
        let mut headers = vec![("content-type".into(), "text/xml".into())];
        if let (Outcome::Unavailable(seconds), true) = (outcome, DEFECT != FORGETS_RETRY_AFTER) {
            headers.push(("retry-after".into(), seconds.to_string()));
        }
        let name = if DEFECT == BREAKS_XML { context.profile.name } else { "ok".into() };
        Response { status, headers, body: format!("<Response>{name}</Response>").into_bytes() }
    }

    fn render(_: Outgoing, _: Context) -> Result<Vec<Call>, Refusal> {
        if DEFECT == RENDERS_A_SECRET {
            let url = vec![Part::Literal(b"https://elsewhere.example/".to_vec())];
            return Ok(vec![Call {
                method: "POST".into(),
                url,
                headers: vec![],
                body: vec![],
                message_id_pointer: None,
            }]);
        }
        Err(Refusal { reason: RefusalReason::Unsupported, detail: "no replies".into() })
    }
}

/// Names of the tests that are red.
fn red<const DEFECT: u8>() -> Vec<&'static str> {
    type Test<const DEFECT: u8> = (&'static str, fn(Suite<Model<DEFECT>>));
    let tests: [Test<DEFECT>; 11] = [
        ("golden", Suite::every_story_gives_what_its_folder_says),
        ("flipped", Suite::one_flipped_bit_in_what_is_signed_is_refused),
        ("prefix", Suite::every_prefix_gives_a_value_or_a_typed_error),
        ("byte", Suite::every_changed_byte_gives_a_value_or_a_typed_error),
        ("misshapen", Suite::misshapen_requests_give_a_value_or_a_typed_error),
        ("twice", Suite::the_same_request_gives_the_same_result_twice),
        ("secret", Suite::no_secret_is_in_any_output),
        ("keys", Suite::idempotency_keys_are_stable_and_distinct),
        ("outcomes", Suite::every_outcome_is_acknowledged_in_the_providers_words),
        ("replies", Suite::replies_are_rendered_without_secrets_or_refused),
        ("descriptor", Suite::the_descriptor_agrees_with_the_folder),
    ];
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/model/chat/echo");
    let fails = |test: fn(Suite<Model<DEFECT>>)| catch_unwind(AssertUnwindSafe(|| test(Suite::of(folder)))).is_err();
    tests.into_iter().filter(|(_, test)| fails(*test)).map(|(name, _)| name).collect()
}

#[test]
fn a_sound_connector_is_green() {
    assert_eq!(red::<SOUND>(), [""; 0]);
}

#[test]
fn each_defect_is_red_where_it_belongs() {
    assert!(red::<PANICS_ON_A_BYTE>().contains(&"byte"));
    assert!(red::<SIGNS_A_PART>().contains(&"flipped"));
    assert_eq!(red::<KEY_FROM_THE_CLOCK>(), ["golden", "keys"]);
    assert!(red::<SHOWS_THE_SECRET>().contains(&"secret"));
    assert!(red::<ACCEPTS_WITH_500>().contains(&"outcomes"));
    assert_eq!(red::<BREAKS_XML>(), ["golden", "outcomes"]);
    assert!(red::<EMPTY_KEY>().contains(&"prefix"));
    assert!(red::<PANICS_ON_A_CUT>().contains(&"prefix"));
    assert_eq!(red::<WRONG_VENDOR>(), ["descriptor"]);
    assert!(red::<REMEMBERS>().contains(&"twice"));
    assert_eq!(red::<RENDERS_A_SECRET>(), ["replies"]);
    assert!(red::<FORGETS_RETRY_AFTER>().contains(&"outcomes"));
}

#[test]
fn a_folder_without_stories_is_red() {
    assert!(catch_unwind(|| Suite::<Model<SOUND>>::of(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))).is_err());
}
