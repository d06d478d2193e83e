//! Deliveries in the played world.

use channel_sdk::types::{Call, CallHeader, Handle, Part, Refusal, RefusalReason, Response};
use serde_json::Value;

use crate::bindings::log::StoreError;
use crate::bindings::outbox::{Item, Settlement};
use crate::fake::{Fake, NOW, SECRET, outgoing};
use crate::ports::Inbound;

fn item(id: &str) -> Item {
    Item {
        id: id.into(),
        tenant: "madrid".into(),
        connector: "telephony/acme".into(),
        message: outgoing(),
        attempt: 0,
        created_at: NOW,
        done: 0,
    }
}

fn call(url: &str, text: &str) -> Call {
    let literal = |text: &str| Part::Literal(text.as_bytes().to_vec());
    Call {
        method: "POST".into(),
        url: vec![literal(url), Part::Secret("auth_token".into()), literal("/send")],
        headers: vec![CallHeader {
            name: "Authorization".into(),
            value: vec![Part::Basic(("user".into(), "auth_token".into()))],
        }],
        body: vec![literal(text)],
        message_id_pointer: Some("/id".into()),
    }
}

fn world(items: Vec<Item>) -> Fake {
    let mut world = Fake::new(b"");
    world.descriptor.capability.reply = true;
    world.render = Box::new(|message, _| Ok(vec![call("https://keys.acme.example/bot", &message.text)]));
    world.outbox.borrow_mut().push_back(items);
    world
}

/// Status, headers, body.
type Answer<'a> = (u16, &'a [(&'a str, &'a str)], &'a str);

fn answers(world: &Fake, answers: &[Answer<'_>]) {
    for (status, headers, body) in answers {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        let answer = Inbound { status: *status, headers, body: body.as_bytes().to_vec(), cut: false };
        world.sends.borrow_mut().push_back(Ok(answer));
    }
}

fn run(world: &Fake) -> (u16, Value) {
    let Response { status, body, .. } =
        world.serve("POST", "/telephony/acme/-/deliver", &[("authorization", b"Bearer courier")]);
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn settled(world: &Fake) -> Settlement {
    world.settled.borrow().last().expect("settled").1.clone()
}

fn failed(world: &Fake) -> String {
    match settled(world) {
        Settlement::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

fn retried(world: &Fake) -> (i64, String) {
    match settled(world) {
        Settlement::Retry(retry) => retry,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reply_leaves_with_its_secrets_filled_in_and_is_settled_with_the_provider_s_id() {
    let world = world(vec![item("o1")]);
    answers(&world, &[(201, &[], r#"{"id":"SM1"}"#)]);
    let (status, counts) = run(&world);
    assert_eq!((status, &counts["sent"], &counts["more"]), (200, &1.into(), &false.into()));
    let sent = world.sent.borrow();
    assert_eq!(sent[0].authority, "keys.acme.example");
    assert_eq!(sent[0].path_and_query, format!("/bot{SECRET}/send"));
    assert_eq!(
        (sent[0].method.as_str(), sent[0].plain, sent[0].body.as_slice()),
        ("POST", false, &b"The lamp is mended"[..])
    );
    let header = |name: &str| sent[0].headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let basic = signatures::encoding::encode(format!("user:{SECRET}").as_bytes(), signatures::Encoding::Base64);
    assert_eq!(header("authorization"), Some([b"Basic ".to_vec(), basic].concat()));
    assert_eq!(header("content-length"), Some(b"18".to_vec()));
    assert!(matches!(settled(&world), Settlement::Sent(Some(id)) if id == "SM1"));
    assert!(world.lines.borrow().iter().all(|line| !line.contains(SECRET) && !line.contains("lamp")));
}

#[test]
fn nothing_is_sent_for_whoever_has_not_the_courier_s_token() {
    let world = world(vec![item("o1")]);
    for headers in [vec![], vec![("authorization", &b"Bearer first"[..])], vec![("authorization", b"Bearer ")]] {
        assert_eq!(world.serve("POST", "/telephony/acme/-/deliver", &headers).status, 401);
    }
    let right = [("authorization", &b"Bearer courier"[..])];
    assert_eq!(world.serve("GET", "/telephony/acme/-/deliver", &right).status, 405);
    assert_eq!(world.serve("POST", "/telephony/acme/-/other", &right).status, 404);
    assert!(world.trace().is_empty());
}

#[test]
fn who_is_due_is_told() {
    let answer = world(vec![]).serve("GET", "/telephony/acme/-/due", &[("authorization", b"Bearer courier")]);
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(told["queues"][0]["connector"], "a/b");
    assert_eq!((&told["queues"][0]["due"], &told["queues"][1]["due"]), (&true.into(), &false.into()));
}

#[test]
fn a_busy_provider_is_asked_again_when_it_says_or_after_a_while() {
    for (headers, wait) in [(&[("retry-after", "90")][..], 90_000), (&[], 5000)] {
        let world = world(vec![item("o1")]);
        answers(&world, &[(429, headers, "")]);
        assert_eq!(run(&world).1["retry"], 1);
        assert_eq!(retried(&world).0, NOW + wait);
    }
    let unreached = world(vec![item("o1")]);
    run(&unreached);
    assert_eq!(retried(&unreached), (NOW + 5000, "the provider was not reached: no answer".into()));
}

#[test]
fn a_provider_that_wants_to_be_left_alone_is_not_asked_by_the_same_tenant_again() {
    let mut world = world(vec![item("o1"), item("o2"), Item { tenant: "sevilla".into(), ..item("o3") }]);
    world.settings =
        world.settings.replace("}}", r#"}, "sevilla": {"public_url": "https://x.example/y", "auth_token": "z"}}"#);
    answers(&world, &[(429, &[("retry-after", "90")], ""), (200, &[], "")]);
    let (_, counts) = run(&world);
    assert_eq!((&counts["retry"], &counts["sent"]), (&2.into(), &1.into()));
    assert_eq!(world.sent.borrow().len(), 2);
    let settled = world.settled.borrow();
    assert!(settled[..2].iter().all(|(_, s)| matches!(s, Settlement::Retry((at, _)) if *at == NOW + 90_000)));
}

#[test]
fn what_is_refused_has_failed_and_what_the_channel_can_not_carry_needs_another() {
    let refused = world(vec![item("o1")]);
    answers(&refused, &[(400, &[], r#"{"message":"bad"}"#)]);
    assert_eq!(run(&refused).1["failed"], 1);
    assert_eq!(failed(&refused), "the provider refused it (400): bad");

    let mut closed = world(vec![item("o1")]);
    closed.descriptor.capability.reply_window_s = Some(86_400);
    closed.outbox.borrow_mut()[0][0].message.last_inbound_at = Some(NOW - 86_400_000);
    run(&closed);
    assert_eq!(failed(&closed), "needs another channel: the person's last message is more than 24 hours old");

    let mut long = world(vec![item("o1")]);
    long.descriptor.capability.max_text = Some(5);
    run(&long);
    assert_eq!(failed(&long), "needs another channel: the text is longer than 5 characters");

    let mut no = world(vec![item("o1")]);
    no.render = Box::new(|_, _| Err(Refusal { reason: RefusalReason::Unsupported, detail: "not set up".into() }));
    run(&no);
    assert_eq!(failed(&no), "needs another channel: not set up");

    let mut silent = world(vec![item("o1")]);
    silent.descriptor.capability.reply = false;
    run(&silent);
    assert!(failed(&silent).starts_with("needs another channel"));
    for world in [&closed, &long, &no, &silent] {
        assert!(world.sent.borrow().is_empty());
    }
}

#[test]
fn a_connector_can_not_send_where_it_may_not() {
    for url in [
        "https://evil.example/",
        "http://keys.acme.example/",
        "https://127.0.0.1/",
        "https://keys.acme.example@evil.example/",
    ] {
        let mut world = world(vec![item("o1")]);
        world.descriptor.hosts.push("127.0.0.1".into());
        world.render = Box::new(move |_, _| Ok(vec![call(url, "x")]));
        run(&world);
        assert!(retried(&world).1.starts_with("it could not be made ready"), "{url}");
        assert!(world.sent.borrow().is_empty(), "{url}");
    }
}

#[test]
fn the_operator_s_own_host_may_be_private_and_plain_and_no_other_is() {
    for (url, goes) in
        [("http://127.0.0.1:2580/x", true), ("http://127.0.0.1:2581/x", false), ("https://127.0.0.1:2580/x", false)]
    {
        let mut world = world(vec![item("o1")]);
        world.settings =
            world.settings.replace(r#""auth_token""#, r#""region": "http://127.0.0.1:2580/submit", "auth_token""#);
        world.descriptor.hosts = vec!["{region}".into()];
        world.render = Box::new(move |_, _| Ok(vec![call(url, "x")]));
        answers(&world, &[(200, &[], "")]);
        run(&world);
        assert_eq!(world.sent.borrow().len(), usize::from(goes), "{url}");
        assert!(!goes || world.sent.borrow()[0].plain);
    }
}

#[test]
fn a_header_with_a_line_end_is_not_sent() {
    let mut world = world(vec![item("o1")]);
    world.render = Box::new(|_, _| {
        let mut call = call("https://keys.acme.example/", "x");
        call.headers[0].value = vec![Part::Literal(b"a\r\nb: c".to_vec())];
        Ok(vec![call])
    });
    run(&world);
    assert!(retried(&world).1.contains("line end") && world.sent.borrow().is_empty());
}

#[test]
fn of_a_message_of_several_calls_those_that_are_done_are_not_made_again() {
    let calls = |_: &channel_sdk::types::Outgoing, _: &channel_sdk::types::Context| {
        Ok(["one", "two", "three"].iter().map(|text| call("https://keys.acme.example/", text)).collect())
    };
    let mut stopped = world(vec![item("o1")]);
    stopped.render = Box::new(calls);
    answers(&stopped, &[(200, &[], r#"{"id":"m1"}"#), (503, &[], "")]);
    run(&stopped);
    let Settlement::Resume(resumption) = settled(&stopped) else { panic!("{:?}", settled(&stopped)) };
    assert_eq!((resumption.done, resumption.message_id.as_deref(), resumption.at), (1, Some("m1"), NOW + 5000));

    let mut resumed = world(vec![Item { done: 1, ..item("o1") }]);
    resumed.render = Box::new(calls);
    answers(&resumed, &[(200, &[], ""), (200, &[], "")]);
    run(&resumed);
    let bodies: Vec<Vec<u8>> = resumed.sent.borrow().iter().map(|sent| sent.body.clone()).collect();
    assert_eq!(bodies, [b"two".to_vec(), b"three".to_vec()]);
    assert!(matches!(settled(&resumed), Settlement::Sent(None)));
}

#[test]
fn what_is_old_is_given_up() {
    let world = world(vec![Item { created_at: NOW - 3 * 86_400_000 + 1000, ..item("o1") }]);
    answers(&world, &[(503, &[], "")]);
    run(&world);
    assert_eq!(failed(&world), "given up after 72 hours: the provider can't take it now (503)");
}

#[test]
fn an_item_tried_before_has_its_next_try_written_down_before_it_is_touched() {
    let world = world(vec![Item { attempt: 1, ..item("o1") }]);
    answers(&world, &[(200, &[], "")]);
    run(&world);
    assert_eq!(world.trace(), ["settle", "render", "send", "settle"]);
    assert!(matches!(&world.settled.borrow()[0].1, Settlement::Retry((at, _)) if *at >= NOW + super::LEASE_MS));
    assert!(matches!(settled(&world), Settlement::Sent(None)));
}

#[test]
fn a_tenant_without_settings_is_tried_again_and_others_are_sent() {
    let world = world(vec![Item { tenant: "sevilla".into(), ..item("o1") }, item("o2")]);
    answers(&world, &[(200, &[], "")]);
    let (_, counts) = run(&world);
    assert_eq!((&counts["retry"], &counts["sent"]), (&1.into(), &1.into()));
    assert!(
        matches!(&world.settled.borrow()[0], (id, Settlement::Retry((_, why))) if id == "o1" && why.contains("no settings"))
    );
}

#[test]
fn what_was_sent_is_settled_even_if_the_store_is_busy_for_a_moment() {
    let world = world(vec![item("o1")]);
    answers(&world, &[(200, &[], "")]);
    world.settle_errors.borrow_mut().push_back(StoreError::Unavailable("locked".into()));
    run(&world);
    assert!(matches!(settled(&world), Settlement::Sent(None)));
}

#[test]
fn after_a_trap_nothing_is_sent_by_the_second_instance() {
    let world = world(vec![item("o1")]);
    let headers = [("authorization", &b"Bearer courier"[..]), ("ventanilla-quarantine", b"trap")];
    let answer = world.serve("POST", "/telephony/acme/-/deliver", &headers);
    assert_eq!(answer.status, 200);
    assert!(world.trace().is_empty());
}

#[test]
fn an_acknowledgement_is_written_in_the_citizen_s_language_and_an_answer_finds_its_case() {
    let mut letter = item("o1");
    letter.message.automatic = true;
    letter.message.text = String::new();
    letter.message.language = Some("ca".into());
    letter.message.recipient = Handle { scheme: "email".into(), value: "a@b.example".into() };
    letter.message.sender = Some("info+x@city.example".into());
    let mut world = world(vec![letter]);
    let mut profile = crate::settings::neutral_profile("madrid");
    profile.languages = vec!["es".into(), "ca".into()];
    world.profile = Ok(Some(profile));
    world.settings = world.settings.replace(r#""auth_token""#, r#""thread_secret": "seal", "auth_token""#);
    world.render = Box::new(|message, _| {
        let token = signatures::token::issue(b"seal", "madrid", "4821093726").unwrap();
        assert_eq!(message.sender.as_deref(), Some(format!("info+{token}@city.example").as_str()));
        assert_eq!(message.language.as_deref(), Some("ca"));
        Ok(vec![call("https://keys.acme.example/", &message.text)])
    });
    answers(&world, &[(200, &[], "")]);
    run(&world);
    let text = String::from_utf8(world.sent.borrow()[0].body.clone()).unwrap();
    assert!(text.contains("El vostre número d'expedient és 482-109-3726."), "{text}");
}
