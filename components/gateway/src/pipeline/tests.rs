//! The order of the pipeline, traced over a connector, a store and a host that are played.

use super::*;
use crate::fake::{Fake, NOW, SECRET, URL, any_case, event, sign};
use crate::ports::Inbound;
use channel_sdk::types::{Authentication, Encoding, Fetch, Handshake, Key, Mac, Scheme};

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

#[test]
fn a_signed_request_is_checked_then_translated_then_stored_then_acknowledged() {
    let world = Fake::new(b"From=%2B34600000000");
    let response = world.serve_signed();
    assert_eq!(response.status, 200);
    assert_eq!(world.trace(), ["authenticate", "translate", "record", "acknowledge"]);
    let stored = world.stored.borrow();
    let (envelope, disposition, events) = &stored[0];
    assert_eq!(envelope.target, "/voice?a=%20b");
    assert_eq!((envelope.tenant.as_str(), envelope.connector.as_str()), ("madrid", "telephony/acme"));
    assert_eq!((envelope.verified_by.as_str(), envelope.received_at), ("hmac-sha256 auth_token", NOW));
    assert_eq!(envelope.body, b"From=%2B34600000000");
    assert!(matches!(disposition, Disposition::Accepted));
    assert_eq!(events.len(), 1);
    assert!(world.lines.borrow().is_empty());
}

#[test]
fn a_request_with_a_wrong_signature_is_never_translated_or_stored() {
    let world = Fake::new(b"body");
    let mut signature = sign(b"body");
    signature[10] ^= 1;
    for headers in [vec![], vec![("x-signature", signature.as_slice())], vec![("x-signature", b"".as_slice())]] {
        let response = world.serve("POST", "/telephony/acme/madrid/voice", &headers);
        assert!((400..500).contains(&response.status), "{}", response.status);
    }
    assert_eq!(world.trace(), ["authenticate", "acknowledge"].repeat(3));
    let lines = world.lines.borrow();
    assert_eq!(lines.len(), 3);
    assert!(
        lines.iter().all(|line| line.contains("tenant=madrid") && !line.contains(SECRET) && !line.contains("body")),
        "{lines:?}"
    );
}

#[test]
fn the_url_a_connector_sees_is_built_from_configuration() {
    let mut world = Fake::new(b"");
    world.authenticate = Box::new(|request, _| {
        assert_eq!(request.url, format!("{URL}/voice?a=%20b"));
        Authentication::Check(vec![crate::fake::check(request)])
    });
    let signature = sign(b"");
    let headers =
        [("host", b"evil.example".as_slice()), ("x-forwarded-host", b"evil.example"), ("x-signature", &signature)];
    assert_eq!(world.serve("POST", "/telephony/acme/madrid/voice?a=%20b", &headers).status, 200);
}

#[test]
fn nothing_is_acknowledged_when_the_store_fails() {
    for error in [StoreError::Unavailable("locked".into()), StoreError::Invalid("odd".into())] {
        let world = Fake::new(b"x");
        world.record_errors.borrow_mut().extend([error.clone(), error]);
        let response = world.serve_signed();
        assert_eq!((response.status, header(&response, "retry-after")), (503, Some("30")));
        assert_eq!(text(&response), "<Response/>", "the connector's own words are kept");
        assert_eq!(*world.outcome.borrow(), Some(Outcome::Unavailable(30)));
    }
}

#[test]
fn events_the_store_can_not_take_are_quarantined_with_their_envelope() {
    let world = Fake::new(b"x");
    world.record_errors.borrow_mut().push_back(StoreError::Invalid("odd".into()));
    assert_eq!(world.serve_signed().status, 200);
    let stored = world.stored.borrow();
    assert!(matches!(&stored[0].1, Disposition::Quarantined(why) if why.contains("odd")));
    assert!(stored[0].2.is_empty());
    assert_eq!(*world.outcome.borrow(), Some(Outcome::Quarantined(vec![])));
}

#[test]
fn a_replayed_nonce_is_refused() {
    let world = Fake::new(b"x");
    world.record_errors.borrow_mut().push_back(StoreError::Replayed);
    assert_eq!(world.serve_signed().status, 403);
}

#[test]
fn a_forged_request_is_refused_even_while_the_store_is_down() {
    let mut world = Fake::new(b"x");
    world.profile = Err(StoreError::Unavailable("down".into()));
    assert_eq!(world.serve("POST", "/telephony/acme/madrid/voice", &[]).status, 401);
    let response = world.serve_signed();
    assert_eq!((response.status, header(&response, "retry-after")), (503, Some("30")));
    assert!(!world.trace().contains(&"translate"));
}

#[test]
fn degraded_translations_are_stored_and_quarantined() {
    let mut world = Fake::new(b"x");
    world.translate = Box::new(|_, _| Translation::Degraded((vec![event("e1")], "unknown charset".into())));
    assert_eq!(world.serve_signed().status, 200);
    let stored = world.stored.borrow();
    assert!(matches!(&stored[0].1, Disposition::Quarantined(why) if why == "unknown charset"));
    assert_eq!(stored[0].2.len(), 1);
    assert!(matches!(&*world.outcome.borrow(), Some(Outcome::Quarantined(receipts)) if receipts.len() == 1));
}

#[test]
fn on_a_host_that_does_not_come_back_the_envelope_goes_first() {
    let mut world = Fake::new(b"x");
    world.host_retries = false;
    assert_eq!(world.serve_signed().status, 200);
    assert_eq!(world.trace(), ["authenticate", "journal", "translate", "record", "acknowledge"]);
    assert_eq!(world.stored.borrow()[0].0.id.as_deref(), Some("journalled"));

    world.journal = Err(StoreError::Unavailable("full".into()));
    assert_eq!(world.serve_signed().status, 503);
    assert_eq!(world.trace().iter().filter(|name| **name == "translate").count(), 1);
}

#[test]
fn after_a_trap_the_envelope_is_kept_without_translating_it_again() {
    let world = Fake::new(b"x");
    let signature = sign(b"x");
    let headers = [("ventanilla-quarantine", b"trap".as_slice()), ("x-signature", &signature)];
    assert_eq!(world.serve("POST", "/telephony/acme/madrid/voice", &headers).status, 200);
    assert_eq!(world.trace(), ["authenticate", "record", "acknowledge"]);
    assert!(matches!(&world.stored.borrow()[0].1, Disposition::Quarantined(why) if why.contains("trap")));
}

#[test]
fn a_client_can_not_ask_for_quarantine_on_another_host() {
    let mut world = Fake::new(b"x");
    world.host_retries = false;
    let signature = sign(b"x");
    let headers = [("ventanilla-quarantine", b"trap".as_slice()), ("x-signature", &signature)];
    assert_eq!(world.serve("POST", "/telephony/acme/madrid/voice", &headers).status, 200);
    assert!(world.trace().contains(&"translate"));
    assert!(matches!(world.stored.borrow()[0].1, Disposition::Accepted));
}

#[test]
fn a_request_without_a_place_is_told_so_by_the_connector_and_nothing_else_is_done() {
    let mut world = Fake::new(b"x");
    assert_eq!(world.serve("POST", "/telephony/acme/madrid/voice", &[("ventanilla-busy", b"5")]).status, 503);
    assert_eq!(world.trace(), ["acknowledge"]);
    // Elsewhere nobody but a client says that.
    world.host_retries = false;
    assert_eq!(world.serve("POST", "/telephony/acme/madrid/voice", &[("ventanilla-busy", b"5")]).status, 401);
}

#[test]
fn a_quarantined_request_is_still_checked() {
    let world = Fake::new(b"x");
    assert_eq!(world.serve("POST", "/telephony/acme/madrid/voice", &[("ventanilla-quarantine", b"trap")]).status, 401);
    assert!(world.stored.borrow().is_empty());
}

#[test]
fn credentials_are_blanked_in_the_store_and_the_rest_is_kept() {
    let mut world = Fake::new(b"x");
    world.authenticate = Box::new(|request, _| {
        let mut check = crate::fake::check(request);
        check.credential_header = Some("X-Token".into());
        Authentication::Check(vec![check])
    });
    let signature = sign(b"x");
    let headers = [
        ("Authorization", b"Basic xyz".as_slice()),
        ("cookie", b"a=b"),
        ("x-token", b"t"),
        ("x-odd", b"\xff\xfe"),
        ("x-signature", &signature),
    ];
    assert_eq!(world.serve("POST", "/telephony/acme/madrid/voice", &headers).status, 200);
    let stored = world.stored.borrow();
    let kept: Vec<_> =
        stored[0].0.headers.iter().map(|header| (header.name.as_str(), header.value.as_slice())).collect();
    let expected: [(&str, &[u8]); 5] = [
        ("authorization", b""),
        ("cookie", b""),
        ("x-token", b""),
        ("x-odd", b"\xff\xfe"),
        ("x-signature", &signature),
    ];
    assert_eq!(kept, expected);
}

#[test]
fn a_body_over_the_limit_is_refused_in_the_providers_words() {
    let world = Fake::new(&[b'x'; 1001]);
    for headers in [vec![("content-length", b"1001".as_slice())], vec![]] {
        let response = world.serve("POST", "/telephony/acme/madrid/voice", &headers);
        assert_eq!((response.status, text(&response).as_str()), (413, "<Response/>"));
    }
    assert_eq!(world.trace(), ["acknowledge", "acknowledge"]);
    let exact = Fake::new(&[b'x'; 1000]);
    assert_eq!(exact.serve_signed().status, 200);
}

#[test]
fn a_body_that_breaks_off_or_never_ends_is_not_stored() {
    let mut world = Fake::new(b"");
    world.body = Err(BodyError::Broken);
    assert_eq!(world.serve_signed().status, 400);
    world.body = Err(BodyError::TooSlow);
    assert_eq!(world.serve_signed().status, 413);
    assert_eq!(world.serve("POST", "/telephony/acme/madrid/voice", &[("content-length", b"x")]).status, 400);
    assert!(world.stored.borrow().is_empty());
}

#[test]
fn routes_tenants_and_settings_fail_with_a_problem_document_each() {
    let mut world = Fake::new(b"");
    for (target, slug) in
        [("/telephony/other/madrid", "no-such-route"), ("/telephony/acme/sevilla/voice", "no-such-tenant")]
    {
        let response = world.serve("POST", target, &[]);
        assert_eq!((response.status, header(&response, "content-type")), (404, Some("application/problem+json")));
        assert!(text(&response).contains(slug));
    }
    world.settings = format!(r#"{{"madrid": {{"public_url": "{URL}", "auth_tokn": "{SECRET}"}}}}"#);
    let response = world.serve("POST", "/telephony/acme/madrid/voice", &[]);
    assert_eq!((response.status, header(&response, "retry-after")), (503, Some("60")));
    assert!(text(&response).contains("did you mean `auth_token`") && !text(&response).contains(SECRET));
    assert!(world.trace().is_empty());
}

#[test]
fn methods_without_effect_are_answered_without_asking_anybody() {
    let world = Fake::new(b"");
    let options = world.serve("OPTIONS", "/telephony/acme/madrid/voice", &[]);
    assert_eq!((options.status, header(&options, "allow")), (204, Some("GET, POST")));
    for method in ["HEAD", "TRACE", "CONNECT"] {
        assert_eq!(world.serve(method, "/telephony/acme/madrid/voice", &[]).status, 405, "{method}");
    }
    assert!(world.trace().is_empty());
}

#[test]
fn a_handshake_is_answered_with_the_mac_in_its_place_and_nothing_is_stored() {
    let mut world = Fake::new(b"");
    world.authenticate = Box::new(|_, _| {
        Authentication::Handshake(Handshake {
            checks: vec![],
            answer: Response {
                status: 200,
                headers: vec![("content-type".into(), "application/json".into())],
                body: br#"{"response_token":"sha256=@@"}"#.to_vec(),
            },
            mac: Some(Mac {
                scheme: Scheme::HmacSha256,
                key: Key::Secret("auth_token".into()),
                message: b"challenge".to_vec(),
                encoding: Encoding::Hex,
                placeholder: "@@".into(),
            }),
        })
    });
    let response = world.serve("GET", "/telephony/acme/madrid?crc_token=challenge", &[]);
    let expected = format!(r#"{{"response_token":"sha256={}"}}"#, String::from_utf8(sign(b"challenge")).unwrap());
    assert_eq!((response.status, text(&response)), (200, expected));
    assert_eq!(world.trace(), ["authenticate"]);
}

#[test]
fn what_a_connector_wants_to_read_is_fetched_and_given_to_it() {
    let mut world = Fake::new(b"x");
    let wanted =
        |url: &str| Fetch { id: "key".into(), method: "GET".into(), url: url.into(), headers: vec![], max_bytes: 100 };
    world.authenticate = Box::new(move |request, fetched| match fetched {
        [] => Authentication::Fetch(vec![wanted("https://keys.acme.example/k?1")]),
        [key] if key.status == 200 && key.body == b"public" => Authentication::Check(vec![crate::fake::check(request)]),
        _ => Authentication::Check(vec![]),
    });
    let answer = |status, location: Option<&str>| {
        let headers = location.map(|to| ("Location".to_owned(), to.as_bytes().to_vec())).into_iter().collect();
        Ok(Inbound { status, headers, body: b"public".to_vec(), cut: false })
    };
    world.translate = Box::new(|_, fetched| {
        assert_eq!(fetched.len(), 1, "what proved the request is not fetched again to understand it");
        Translation::Events(vec![event("e1")])
    });
    world.sends.borrow_mut().extend([answer(302, Some("https://a.media.example/k")), answer(200, None)]);
    assert_eq!(world.serve_signed().status, 200);
    let sent = world.sent.borrow();
    assert_eq!((sent[0].authority.as_str(), sent[0].path_and_query.as_str()), ("keys.acme.example", "/k?1"));
    assert_eq!(sent[1].authority, "a.media.example");
    drop(sent);

    world.sends.borrow_mut().push_back(answer(302, Some("https://127.0.0.1/k")));
    assert_eq!(world.serve_signed().status, 401);
    assert_eq!(world.sent.borrow().len(), 3, "the redirect was not followed");
}

#[test]
fn a_connector_that_never_stops_asking_is_stopped() {
    let fetch = || {
        vec![Fetch {
            id: "x".into(),
            method: "GET".into(),
            url: "https://keys.acme.example/".into(),
            headers: vec![],
            max_bytes: 1,
        }]
    };
    let mut world = Fake::new(b"x");
    world.authenticate = Box::new(move |_, _| Authentication::Fetch(fetch()));
    assert_eq!(world.serve_signed().status, 403);
    assert!(world.trace().iter().filter(|name| **name == "authenticate").count() <= 5);

    let mut world = Fake::new(b"x");
    world.translate = Box::new(move |_, _| Translation::Fetch(fetch()));
    assert_eq!(world.serve_signed().status, 200);
    assert!(matches!(world.stored.borrow()[0].1, Disposition::Quarantined(_)));
}

#[test]
fn an_envelope_is_replayed_with_an_api_token_and_without_checking_it_again() {
    let mut world = Fake::new(b"");
    let first = Fake::new(b"x");
    first.serve_signed();
    let mut envelope = first.stored.borrow()[0].0.clone();
    envelope.id = Some("0190".into());
    world.envelopes = vec![envelope];
    let target = "/telephony/acme/madrid/-/replay/0190";
    for (method, token, status) in [
        ("POST", b"".as_slice(), 401),
        ("POST", b"Bearer third", 401),
        ("POST", b"Bearer ", 401),
        ("GET", b"Bearer second", 405),
    ] {
        assert_eq!(world.serve(method, target, &[("authorization", token)]).status, status);
    }
    assert_eq!(
        world.serve("POST", "/telephony/acme/madrid/-/replay/no", &[("authorization", b"Bearer first")]).status,
        404
    );
    assert!(world.trace().is_empty());

    let response = world.serve("POST", target, &[("authorization", b"Bearer second")]);
    assert_eq!(response.status, 200);
    assert!(
        text(&response).contains(r#""disposition":"accepted""#) && text(&response).contains("482-109-3726"),
        "{}",
        text(&response)
    );
    assert_eq!(world.trace(), ["translate", "record"]);
    let stored = world.stored.borrow();
    assert_eq!((stored[0].0.id.as_deref(), stored[0].0.target.as_str()), (Some("0190"), "/voice?a=%20b"));
}

#[test]
fn a_replay_that_traps_again_changes_nothing() {
    let world = Fake::new(b"");
    let headers = [("authorization", b"Bearer first".as_slice()), ("ventanilla-quarantine", b"trap")];
    assert_eq!(world.serve("POST", "/telephony/acme/madrid/-/replay/0190", &headers).status, 500);
    assert!(world.trace().is_empty());
}

#[test]
fn the_self_test_names_settings_and_shows_no_value() {
    let mut world = Fake::new(b"");
    world.settings =
        format!(r#"{{"madrid": {{"public_url": "http://desk.example", "auth_token": "{SECRET}", "regoin": "eu"}}}}"#);
    let target = "/telephony/acme/madrid/-/describe";
    assert_eq!(world.serve("GET", target, &[]).status, 401);
    let response = world.serve("GET", target, &[("authorization", b"Bearer first")]);
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(body["vendor"], "acme");
    assert_eq!(body["public_url_ok"], false);
    assert_eq!(body["unknown"][0]["did_you_mean"], "region");
    let token = body["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == "auth_token").unwrap();
    assert_eq!((&token["secret"], &token["present"]), (&true.into(), &true.into()));
    assert!(!text(&response).contains(SECRET));
}

#[test]
fn a_public_look_up_stores_nothing_and_is_made_with_get_only() {
    let mut world = Fake::new(b"");
    world.authenticate = Box::new(|_, _| Authentication::Lookup(any_case(u32::MAX)));
    assert_eq!(world.serve("GET", "/telephony/acme/madrid/voice", &[]).status, 200);
    assert_eq!(world.trace(), ["authenticate", "public_cases", "acknowledge"]);
    assert_eq!(*world.outcome.borrow(), Some(Outcome::Found(vec![])));
    assert!((400..500).contains(&world.serve("POST", "/telephony/acme/madrid/voice", &[]).status));
    assert!(world.stored.borrow().is_empty());
}

#[test]
fn the_gateways_own_suffixes_never_reach_the_connector() {
    let world = Fake::new(b"");
    for name in ["", "x", "replay", "replay/", "describe/x"] {
        let target = format!("/telephony/acme/madrid/-/{name}");
        assert_eq!(world.serve("POST", &target, &[("authorization", b"Bearer first")]).status, 404, "{name}");
    }
    assert!(world.trace().is_empty());
}
