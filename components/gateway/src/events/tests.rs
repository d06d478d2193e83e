//! Events made fit for the store lose nothing but what no store can hold.

use super::*;
use crate::fake::{self, URL, descriptor, event};
use channel_sdk::types::Location;

fn settings(more: &str) -> Settings {
    let json = format!(r#"{{"madrid": {{"public_url": "{URL}", "auth_token": "t"{more}}}}}"#);
    crate::settings::entry(&json, "madrid").unwrap().check("madrid", &descriptor()).unwrap()
}

fn fit_one(event: Event) -> (Event, Option<String>) {
    let (mut events, reason) = fit(vec![event], &settings(""), &fake::request(b"x"));
    (events.remove(0), reason)
}

#[test]
fn an_ordinary_event_is_left_alone() {
    assert_eq!(fit_one(event("e1")), (event("e1"), None));
}

#[test]
fn nul_is_removed_and_said_so() {
    let mut odd = event("e1");
    odd.text = Some("a\0b".into());
    odd.fields = vec![("na\0me".into(), "\0".into())];
    odd.sender = Some(Handle { scheme: "phone".into(), value: "+34\0600".into() });
    let (fit, reason) = fit_one(odd);
    assert_eq!(fit.text.as_deref(), Some("ab"));
    assert_eq!(fit.fields, [("name".to_owned(), String::new())]);
    assert_eq!(fit.sender.unwrap().value, "+34600");
    assert_eq!((fit.flags, reason), (vec!["nul_removed".to_owned()], None));
}

#[test]
fn long_texts_are_cut_between_characters() {
    let mut long = event("e1");
    long.text = Some("\u{20ac}".repeat(MAX_TEXT));
    let (fit, _) = fit_one(long);
    let text = fit.text.unwrap();
    assert!(text.len() <= MAX_TEXT && text.len() > MAX_TEXT - 3 && text.ends_with('\u{20ac}'));
    assert_eq!(fit.flags, ["truncated"]);
}

#[test]
fn an_event_without_an_idempotency_key_gets_a_stable_one_and_is_looked_at() {
    let (first, reason) = fit_one(event(""));
    assert!(first.idempotency_key.starts_with("envelope:") && first.idempotency_key.ends_with(":0"));
    assert!(reason.is_some());
    assert_eq!(fit_one(event("")).0.idempotency_key, first.idempotency_key);
    let (both, _) = fit(vec![event(""), event("")], &settings(""), &fake::request(b"x"));
    assert_ne!(both[0].idempotency_key, both[1].idempotency_key);
    let (other, _) = fit(vec![event("")], &settings(""), &fake::request(b"y"));
    assert_ne!(other[0].idempotency_key, first.idempotency_key);
    assert!(!fit_one(event("\0")).0.idempotency_key.is_empty());
}

#[test]
fn long_keys_stay_different_when_they_are_shortened() {
    let key = "k".repeat(MAX_KEY + 1);
    let (a, _) = fit_one(event(&format!("{key}a")));
    let (b, _) = fit_one(event(&format!("{key}b")));
    assert_ne!(a.idempotency_key, b.idempotency_key);
    assert!(a.idempotency_key.len() < MAX_KEY);
}

#[test]
fn an_empty_threading_key_matches_nothing() {
    for threading in [Threading::Key(String::new()), Threading::Existing("\0".into())] {
        let mut odd = event("e1");
        odd.threading = threading;
        let (fit, reason) = fit_one(odd);
        assert_eq!(fit.threading, Threading::Detached);
        assert!(reason.is_some());
    }
}

#[test]
fn only_our_own_tokens_survive_and_become_the_reference_they_carry() {
    let with = |token: &str, more: &str| {
        let mut mail = event("e1");
        mail.threading = Threading::Correspondence(Correspondence {
            token: Some(token.into()),
            message_ids: vec![String::new(), "<a@b>".into(), " ".into()],
        });
        match fit(vec![mail], &settings(more), &fake::request(b"x")).0.remove(0).threading {
            Threading::Correspondence(by) => by,
            other => panic!("{other:?}"),
        }
    };
    let secret = r#", "thread_secret": ["new", "old"]"#;
    let token = signatures::token::issue(b"old", "madrid", "4821093726").unwrap();
    assert_eq!(with(&token, secret).token.as_deref(), Some("4821093726"));
    assert_eq!(with(&token, secret).message_ids, ["<a@b>"]);
    assert_eq!(with(&token, "").token, None);
    assert_eq!(with("4821093726", secret).token, None);
    let other_tenant = signatures::token::issue(b"old", "sevilla", "4821093726").unwrap();
    assert_eq!(with(&other_tenant, secret).token, None);
}

#[test]
fn numbers_that_are_none_and_places_that_are_nowhere_are_absent() {
    let mut odd = event("e1");
    odd.confidence = Some(f64::NAN);
    odd.location = Some(Location { lat: f64::INFINITY, long: 0.0 });
    let (fit, _) = fit_one(odd);
    assert_eq!((fit.confidence, fit.location), (None, None));
}

#[test]
fn lists_have_an_end() {
    let mut long = event("e1");
    long.references = vec!["<a@b>".into(); 10_000];
    assert_eq!(fit_one(long).0.references.len(), MAX_LIST);
    let (events, reason) = fit(vec![event("e"); MAX_EVENTS + 1], &settings(""), &fake::request(b"x"));
    assert_eq!(events.len(), MAX_EVENTS);
    assert!(reason.is_some());
}
