//! The spool in the played world: every step of the store and of the key-value store fails in turn.

use channel_sdk::types::{Authentication, Outcome, RefusalReason, Response, TenantProfile, Translation};
use serde_json::Value;

use crate::bindings::log::{Disposition, StoreError};
use crate::fake::{Fake, NOW, any_case, check, event, sign};
use crate::settings::neutral_profile;

fn down() -> StoreError {
    StoreError::Unavailable("down".into())
}

/// A world with a spool, whose store fails so often.
fn world(failures: usize) -> Fake {
    let mut world = Fake::new(b"x");
    world.spool = "auto";
    world.record_errors.borrow_mut().extend((0..failures).map(|_| down()));
    world
}

fn post(world: &Fake, headers: &[(&str, &[u8])]) -> (u16, Value) {
    let headers = [&[("authorization", &b"Bearer courier"[..])], headers].concat();
    let Response { status, body, .. } = world.serve("POST", "/telephony/acme/-/spool", &headers);
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn drain(world: &Fake) -> Value {
    let (status, answer) = post(world, &[]);
    assert_eq!(status, 200, "{answer}");
    answer
}

fn waiting(world: &Fake) -> Vec<String> {
    let pairs = world.pairs.borrow();
    pairs.keys().filter(|key| key.starts_with("ventanilla:envelope:")).cloned().collect()
}

/// Sends a signed request with this body at this time.
fn deliver(world: &mut Fake, body: &[u8], at: i64) -> Response {
    world.body = Ok(body.to_vec());
    world.now.set(at);
    world.serve_signed()
}

fn bodies(world: &Fake) -> Vec<Vec<u8>> {
    world.stored.borrow().iter().map(|(envelope, ..)| envelope.body.clone()).collect()
}

#[test]
fn while_the_store_answers_the_key_value_store_is_not_touched() {
    let world = world(0);
    assert_eq!(world.serve_signed().status, 200);
    let touched = ["kept", "keep", "forget", "contents"];
    assert!(world.trace().iter().all(|step| !touched.contains(step)), "{:?}", world.trace());
}

#[test]
fn what_the_store_can_not_take_is_spooled_acknowledged_and_drained_as_it_came() {
    let world = world(1);
    assert_eq!(world.serve_signed().status, 200);
    assert_eq!(*world.outcome.borrow(), Some(Outcome::Quarantined(vec![])));
    assert!(world.stored.borrow().is_empty() && waiting(&world).len() == 1);
    assert!(world.lines.borrow()[0].contains("spooled tenant=madrid connector=telephony/acme"));
    world.now.set(NOW + 60_000);
    assert_eq!(drain(&world)["recorded"], 1);
    let stored = world.stored.borrow();
    let (envelope, disposition, events) = &stored[0];
    assert_eq!((envelope.received_at, envelope.verified_by.as_str()), (NOW, "hmac-sha256 auth_token"));
    assert_eq!((envelope.target.as_str(), envelope.body.as_slice()), ("/voice?a=%20b", &b"x"[..]));
    assert!(matches!(disposition, Disposition::Accepted) && events.len() == 1);
    assert!(waiting(&world).is_empty());
}

#[test]
fn a_spool_that_is_off_or_fails_means_come_again() {
    for (spool, host_retries, keeps) in [("off", true, None), ("auto", false, None), ("auto", true, Some(0))] {
        let mut world = world(1);
        (world.spool, world.host_retries) = (spool, host_retries);
        world.journal = Err(down());
        world.keeps.set(keeps);
        let answer = world.serve_signed();
        assert_eq!(answer.status, 503, "{spool} {host_retries}");
        assert!(answer.headers.contains(&("retry-after".into(), "30".into())));
        assert!(waiting(&world).is_empty());
    }
}

#[test]
fn on_a_host_that_does_not_come_back_it_is_spooled_before_it_is_translated() {
    let mut world = world(0);
    (world.spool, world.host_retries, world.journal) = ("on", false, Err(down()));
    assert_eq!(world.serve_signed().status, 200);
    assert_eq!(waiting(&world).len(), 1);
    assert!(!world.trace().contains(&"translate"));
}

#[test]
fn a_journalled_envelope_keeps_its_id_through_the_spool() {
    let mut world = world(1);
    (world.spool, world.host_retries) = ("on", false);
    assert_eq!(world.serve_signed().status, 200);
    drain(&world);
    let stored = world.stored.borrow();
    assert_eq!((stored[0].0.id.as_deref(), &stored[0].0.nonce), (Some("journalled"), &None));
}

/// Whatever fails, and after how many steps: what was acknowledged is stored once in the end, and what was not is the provider's to
/// bring again.
#[test]
fn at_every_step_that_can_fail_nothing_is_both_lost_and_acknowledged_and_nothing_is_stored_twice() {
    for size in [1, 600_000] {
        for steps in 0..40 {
            let mut world = world(1);
            world.descriptor.max_body = 1_000_000;
            let body = vec![b'b'; size];
            world.keeps.set(Some(steps));
            let acknowledged = deliver(&mut world, &body, NOW).status == 200;
            assert!(acknowledged || bodies(&world).is_empty());
            // The store is back; the key-value store fails again while draining, after as many steps.
            for keeps in [Some(steps), Some(steps), None, None] {
                world.keeps.set(keeps);
                post(&world, &[]);
            }
            if acknowledged {
                assert!(!bodies(&world).is_empty(), "lost: {size} {steps}");
            }
            assert!(waiting(&world).is_empty(), "{size} {steps}");
            // A crash between the record and the removal records it again, as the same: one nonce.
            let stored = world.stored.borrow();
            assert!(stored.iter().all(|(envelope, ..)| envelope.body == body && envelope.nonce == stored[0].0.nonce));
            assert!(
                stored.iter().all(|(envelope, ..)| envelope.nonce.as_deref().is_some_and(|n| n.starts_with("spool:")))
            );
        }
    }
}

#[test]
fn a_store_that_fails_while_draining_keeps_the_rest_and_the_order() {
    let mut world = world(4);
    for (number, body) in [b"1", b"2", b"3", b"4"].into_iter().enumerate() {
        assert_eq!(deliver(&mut world, body, NOW + number as i64).status, 200);
    }
    assert_eq!(waiting(&world).len(), 4);
    world.record_errors.borrow_mut().push_back(down());
    let answer = drain(&world);
    assert_eq!((&answer["recorded"], &answer["left"], &answer["more"]), (&0.into(), &4.into(), &false.into()));
    assert_eq!(answer["store"], "down", "who asks is told why");
    assert!(!world.trace().contains(&"translate") || bodies(&world).is_empty());
    world.record_errors.borrow_mut().clear();
    assert_eq!(drain(&world)["recorded"], 4);
    assert_eq!(bodies(&world), [b"1", b"2", b"3", b"4"]);
}

#[test]
fn a_poisoned_envelope_does_not_hold_up_the_others() {
    let mut world = world(2);
    deliver(&mut world, b"1", NOW);
    deliver(&mut world, b"2", NOW + 1);
    // The first is invalid with its events, then taken without.
    world.record_errors.borrow_mut().push_back(StoreError::Invalid("odd".into()));
    let answer = drain(&world);
    assert_eq!((&answer["recorded"], &answer["quarantined"]), (&1.into(), &1.into()));
    assert!(matches!(&world.stored.borrow()[0].1, Disposition::Quarantined(why) if why.contains("odd")));
    assert_eq!(bodies(&world), [b"1", b"2"]);
}

#[test]
fn what_the_store_refuses_even_so_and_what_is_damaged_is_set_aside_and_never_deleted() {
    let mut world = world(3);
    for (number, body) in [b"1", b"2", b"3"].into_iter().enumerate() {
        deliver(&mut world, body, NOW + number as i64);
    }
    let damaged = waiting(&world)[1].clone();
    world.pairs.borrow_mut().get_mut(&damaged).unwrap()[30] ^= 1;
    world.record_errors.borrow_mut().extend([StoreError::Invalid("a".into()), StoreError::Invalid("b".into())]);
    let answer = drain(&world);
    assert_eq!((&answer["recorded"], &answer["set_aside"], &answer["left"]), (&1.into(), &2.into(), &0.into()));
    let refused = world.pairs.borrow().keys().filter(|key| key.starts_with("ventanilla:refused:")).count();
    assert_eq!((refused, bodies(&world)), (2, vec![b"3".to_vec()]));
    let told = world.serve("GET", "/telephony/acme/-/spool", &[("authorization", b"Bearer courier")]);
    let told: Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!((told["set_aside"].as_array().unwrap().len(), told["spool"].as_array().unwrap().len()), (2, 0));
}

#[test]
fn a_single_use_value_that_came_with_another_request_is_quarantined_and_not_lost() {
    let mut world = world(2);
    world.authenticate = Box::new(|request, _| {
        Authentication::Check(vec![channel_sdk::types::Check { nonce: Some("n".into()), ..check(request) }])
    });
    deliver(&mut world, b"first", NOW);
    deliver(&mut world, b"second", NOW + 1);
    drain(&world);
    let stored = world.stored.borrow();
    assert!(matches!(stored[0].1, Disposition::Accepted) && stored[0].0.nonce.as_deref() == Some("n"));
    assert!(matches!(&stored[1].1, Disposition::Quarantined(why) if why.contains("single-use")));
    assert_eq!((stored[1].0.body.as_slice(), stored[1].2.len()), (&b"second"[..], 0));
}

#[test]
fn a_store_that_does_not_know_the_id_it_gave_still_gets_the_envelope() {
    let mut world = world(1);
    (world.spool, world.host_retries) = ("on", false);
    world.serve_signed();
    world.translate = Box::new(|_, _| Translation::Events(vec![]));
    world.record_errors.borrow_mut().push_back(StoreError::Invalid("no such envelope".into()));
    drain(&world);
    let stored = world.stored.borrow();
    assert_eq!(stored[0].0.id, None);
    assert!(matches!(&stored[0].1, Disposition::Quarantined(_)));
}

#[test]
fn no_events_are_a_record_too() {
    let mut world = world(1);
    world.translate = Box::new(|_, _| Translation::Events(vec![]));
    assert_eq!(world.serve_signed().status, 200);
    assert_eq!(drain(&world)["recorded"], 1);
    assert!(matches!(world.stored.borrow()[0].1, Disposition::Accepted));
}

#[test]
fn a_tenant_without_settings_by_then_is_quarantined() {
    let mut world = world(1);
    world.serve_signed();
    world.settings = "{}".into();
    assert_eq!(drain(&world)["quarantined"], 1);
    assert!(!world.trace().iter().rev().take_while(|step| **step != "contents").any(|step| *step == "translate"));
}

#[test]
fn what_stopped_a_component_is_spooled_with_that_and_never_translated() {
    let world = world(1);
    let signature = sign(b"x");
    let headers = [("ventanilla-quarantine", b"trap".as_slice()), ("x-signature", &signature)];
    assert_eq!(world.serve("POST", "/telephony/acme/madrid/voice", &headers).status, 200);
    assert_eq!(drain(&world)["quarantined"], 1);
    assert!(!world.trace().contains(&"translate"));
    assert!(matches!(&world.stored.borrow()[0].1, Disposition::Quarantined(why) if why.contains("trap")));
}

#[test]
fn an_envelope_on_which_a_component_stops_while_draining_is_quarantined_after_some_tries() {
    let mut world = world(2);
    deliver(&mut world, b"1", NOW);
    deliver(&mut world, b"2", NOW + 1);
    let mark = "ventanilla:draining:telephony:acme";
    let first = waiting(&world)[0].split(':').nth(2).unwrap().to_owned();
    // As a run leaves it that stopped, three times, at the first.
    world.pairs.borrow_mut().insert(mark.into(), format!("{first} 3").into_bytes());
    let answer = drain(&world);
    assert_eq!((&answer["quarantined"], &answer["recorded"]), (&1.into(), &1.into()));
    assert!(!world.pairs.borrow().contains_key(mark));
    assert!(matches!(&world.stored.borrow()[0].1, Disposition::Quarantined(why) if why.contains("stopped")));
}

#[test]
fn our_host_says_at_once_that_a_component_stopped() {
    let mut world = world(1);
    deliver(&mut world, b"1", NOW);
    let first = waiting(&world)[0].split(':').nth(2).unwrap().to_owned();
    world.pairs.borrow_mut().insert("ventanilla:draining:telephony:acme".into(), format!("{first} 1").into_bytes());
    let (_, answer) = post(&world, &[("ventanilla-quarantine", b"trap")]);
    assert_eq!(answer["quarantined"], 1);
}

#[test]
fn a_run_that_was_killed_quarantines_nothing() {
    let mut world = world(1);
    deliver(&mut world, b"1", NOW);
    for mark in ["-", "garbage", "0 9"] {
        world.pairs.borrow_mut().insert("ventanilla:draining:telephony:acme".into(), mark.into());
    }
    assert_eq!(drain(&world)["recorded"], 1);
}

#[test]
fn a_caller_hears_the_tenant_s_own_words_while_the_store_is_away() {
    let mut world = world(0);
    let profile =
        TenantProfile { name: "Ayuntamiento".into(), languages: vec!["es".into()], ..neutral_profile("madrid") };
    world.profile = Ok(Some(profile.clone()));
    drain(&world);
    let kept = world.pairs.borrow()["ventanilla:profile:madrid"].clone();
    assert!(world.pairs.borrow().contains_key("ventanilla:store-seen"));
    // Kept again only when it changed.
    world.trace.borrow_mut().clear();
    drain(&world);
    assert!(!world.trace().contains(&"keep"), "{:?}", world.trace());
    assert_eq!(world.pairs.borrow()["ventanilla:profile:madrid"], kept);

    world.profile = Err(down());
    assert_eq!(crate::fake::run(super::profile(&world, "madrid")), Some(profile));
    assert_eq!(world.serve_signed().status, 200);
    assert_eq!(waiting(&world).len(), 1);
    assert!(!world.trace().contains(&"record"), "a store that has just failed is not asked again");
}

#[test]
fn what_needs_the_store_s_answer_and_what_is_not_genuine_is_not_spooled() {
    let mut world = world(0);
    world.profile = Err(down());
    assert_eq!(world.serve("POST", "/telephony/acme/madrid/voice", &[]).status, 401);
    world.authenticate = Box::new(|_, _| Authentication::Lookup(any_case(1)));
    assert_eq!(world.serve("GET", "/telephony/acme/madrid/voice", &[]).status, 503);
    world.authenticate = Box::new(|_, _| {
        Authentication::Refuse(channel_sdk::types::Refusal { reason: RefusalReason::Stale, detail: "x".into() })
    });
    assert_eq!(world.serve_signed().status, 403);
    assert!(waiting(&world).is_empty());
}

#[test]
fn a_run_has_an_end_and_says_that_there_is_more() {
    let mut world = world(130);
    for number in 0..130 {
        deliver(&mut world, b"x", NOW + number);
    }
    let answer = drain(&world);
    assert_eq!((&answer["recorded"], &answer["left"], &answer["more"]), (&100.into(), &30.into(), &true.into()));
    let answer = drain(&world);
    assert_eq!((&answer["recorded"], &answer["more"]), (&30.into(), &false.into()));
}

#[test]
fn nobody_drains_or_looks_without_the_courier_s_token() {
    let world = world(0);
    for method in ["GET", "POST"] {
        assert_eq!(world.serve(method, "/telephony/acme/-/spool", &[]).status, 401);
        assert_eq!(world.serve(method, "/telephony/acme/-/spool", &[("authorization", b"Bearer first")]).status, 401);
    }
    assert!(world.trace().is_empty());
}

#[test]
fn pieces_of_what_was_never_complete_are_forgotten_after_an_hour() {
    let world = world(0);
    let old = service_sdk::spool::part(&service_sdk::spool::id(NOW - 3_700_000, [1; 10]), 1);
    let young = service_sdk::spool::part(&service_sdk::spool::id(NOW - 1000, [1; 10]), 1);
    for key in [&old, &young] {
        world.pairs.borrow_mut().insert(key.clone(), vec![1]);
    }
    drain(&world);
    assert!(!world.pairs.borrow().contains_key(&old) && world.pairs.borrow().contains_key(&young));
}

#[test]
fn nothing_of_a_request_is_in_the_log() {
    let mut world = world(1);
    world.authenticate = Box::new(|request, _| Authentication::Check(vec![check(request)]));
    world.translate = Box::new(|_, _| Translation::Events(vec![event("secret-key")]));
    deliver(&mut world, b"From=%2B34600111222", NOW);
    drain(&world);
    let lines = world.lines.borrow();
    assert!(lines.len() >= 2 && lines.iter().all(|l| !l.contains("34600") && !l.contains("secret-key")), "{lines:?}");
}
