//! What is checked, in which order, and that nothing passes by default.

use super::*;
use crate::fake::{NOW, SECRET, URL, check, descriptor, request, sign};
use crate::settings::entry;
use channel_sdk::types::{Header, SignedTime};

fn settings(json: &str) -> Settings {
    let all = format!(r#"{{"madrid": {{"public_url": "{URL}", {json}}}}}"#);
    entry(&all, "madrid").unwrap().check("madrid", &descriptor()).unwrap()
}

fn plain() -> Settings {
    settings(&format!(r#""auth_token": "{SECRET}""#))
}

fn signed(body: &[u8]) -> Request {
    let mut request = request(body);
    request.headers.push(Header { name: "x-signature".into(), value: sign(body) });
    request
}

fn reason(proof: Proof) -> RefusalReason {
    match proof {
        Proof::Refused(refusal) => refusal.reason,
        other => panic!("{other:?}"),
    }
}

fn decide_checks(checks: Vec<Check>, request: &Request) -> Proof {
    decide(Authentication::Check(checks), &plain(), request)
}

#[test]
fn no_check_at_all_is_a_refusal() {
    assert_eq!(reason(decide_checks(vec![], &signed(b"x"))), RefusalReason::MissingSignature);
}

#[test]
fn one_check_that_passes_suffices() {
    let request = signed(b"x");
    let mut wrong = check(&request);
    wrong.message = b"y".to_vec();
    let proof = decide_checks(vec![wrong.clone(), check(&request)], &request);
    assert!(matches!(proof, Proof::Genuine(genuine) if genuine.verified_by == "hmac-sha256 auth_token"));
    assert_eq!(reason(decide_checks(vec![wrong.clone(), wrong], &request)), RefusalReason::BadSignature);
}

#[test]
fn every_value_of_a_secret_is_tried_and_nothing_else() {
    let request = signed(b"x");
    let answer = || Authentication::Check(vec![check(&request)]);
    let rotated = settings(&format!(r#""auth_token": ["new", "{SECRET}"]"#));
    assert!(matches!(decide(answer(), &rotated, &request), Proof::Genuine(_)));
    let other = settings(r#""auth_token": ["new", "old"]"#);
    assert_eq!(reason(decide(answer(), &other, &request)), RefusalReason::BadSignature);
}

#[test]
fn a_secret_that_is_not_there_is_a_refusal_that_names_it() {
    let request = signed(b"x");
    let mut check = check(&request);
    check.key = Key::Secret("signing_key".into());
    match decide_checks(vec![check], &request) {
        Proof::Refused(refusal) => assert!(refusal.detail.contains("`signing_key` is not there"), "{}", refusal.detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_public_key_can_not_stand_in_for_a_secret() {
    let request = signed(b"x");
    let mut check = check(&request);
    check.key = Key::Public(SECRET.as_bytes().to_vec());
    assert_eq!(reason(decide_checks(vec![check], &request)), RefusalReason::BadSignature);
}

#[test]
fn a_right_signature_outside_its_window_is_stale() {
    let request = signed(b"x");
    for (offset, fine) in [(0, true), (-300_000, true), (300_000, true), (-300_001, false), (300_001, false)] {
        let mut check = check(&request);
        check.signed_at = Some(SignedTime { at: NOW + offset, window_s: 300 });
        match decide_checks(vec![check], &request) {
            Proof::Genuine(_) => assert!(fine, "{offset}"),
            proof => assert_eq!((reason(proof), fine), (RefusalReason::Stale, false)),
        }
    }
}

#[test]
fn a_forged_old_request_is_called_forged_and_not_stale() {
    let mut request = signed(b"x");
    request.headers[0].value = vec![b'0'; 64];
    let mut check = check(&request);
    check.signed_at = Some(SignedTime { at: 0, window_s: 300 });
    assert_eq!(reason(decide_checks(vec![check], &request)), RefusalReason::BadSignature);
}

#[test]
fn a_digest_has_to_be_the_bodys() {
    let request = signed(b"x");
    let digest = |body: &[u8]| Digest {
        algorithm: DigestAlgorithm::Sha256,
        value: signatures::encoding::encode(&signatures::digest::sha256(body), signatures::Encoding::Hex),
        encoding: Encoding::Hex,
    };
    let mut check = check(&request);
    check.body_digest = Some(digest(b"x"));
    assert!(matches!(decide_checks(vec![check.clone()], &request), Proof::Genuine(_)));
    check.body_digest = Some(digest(b"y"));
    assert_eq!(reason(decide_checks(vec![check], &request)), RefusalReason::BadSignature);
}

#[test]
fn the_nonce_of_the_check_that_passed_goes_to_the_store() {
    let request = signed(b"x");
    let mut check = check(&request);
    check.nonce = Some("n1".into());
    assert!(
        matches!(decide_checks(vec![check.clone()], &request), Proof::Genuine(g) if g.nonce.as_deref() == Some("n1"))
    );
    check.nonce = Some(String::new());
    assert!(matches!(decide_checks(vec![check], &request), Proof::Genuine(g) if g.nonce.is_none()));
}

#[test]
fn unsigned_requests_need_the_operators_word() {
    let answer = || Authentication::Unsigned("the provider signs nothing".into());
    assert_eq!(reason(decide(answer(), &plain(), &request(b""))), RefusalReason::Unsigned);
    let allowed = settings(r#""auth_token": "t", "allow_unsigned": true"#);
    assert!(matches!(decide(answer(), &allowed, &request(b"")), Proof::Genuine(g) if g.verified_by == "unsigned"));
}

#[test]
fn allowing_unsigned_requests_does_not_allow_forged_ones() {
    let allowed = settings(&format!(r#""auth_token": "{SECRET}", "allow_unsigned": true"#));
    let answer = Authentication::Check(vec![check(&request(b"x"))]);
    assert_eq!(reason(decide(answer, &allowed, &request(b"x"))), RefusalReason::MissingSignature);
}

#[test]
fn all_checks_of_a_handshake_must_hold() {
    let good = signed(b"x");
    let mut bad = check(&good);
    bad.message = b"y".to_vec();
    let shake = |checks| {
        let answer = Response { status: 200, headers: vec![], body: b"challenge".to_vec() };
        decide(Authentication::Handshake(Handshake { checks, answer, mac: None }), &plain(), &good)
    };
    assert!(matches!(shake(vec![check(&good)]), Proof::Handshake(answer) if answer.body == b"challenge"));
    assert_eq!(reason(shake(vec![check(&good), bad])), RefusalReason::BadSignature);
}

#[test]
fn a_base64_secret_is_decoded_before_it_is_used() {
    let request = request(b"x");
    let mac = signatures::mac(signatures::Scheme::HmacSha256, b"foobar", b"x").unwrap();
    let mut check = check(&request);
    check.key = Key::SecretBase64("auth_token".into());
    check.tag = signatures::encoding::encode(&mac, signatures::Encoding::Base64);
    check.encoding = Encoding::Base64;
    let decided = |json: &str| decide(Authentication::Check(vec![check.clone()]), &settings(json), &request);
    assert!(matches!(decided(r#""auth_token": "whsec_Zm9vYmFy""#), Proof::Genuine(_)));
    assert!(matches!(decided(r#""auth_token": "Zm9vYmFy""#), Proof::Genuine(_)));
    assert!(matches!(decided(r#""auth_token": "foobar!""#), Proof::Refused(_)));
}

#[test]
fn a_mac_is_put_wherever_its_placeholder_stands() {
    assert_eq!(replace(b"a@@b@@", b"@@", b"xyz"), b"axyzbxyz");
    assert_eq!(replace(b"@", b"@@", b"x"), b"@");
    assert_eq!(replace(b"", b"@@", b"x"), b"");
}
