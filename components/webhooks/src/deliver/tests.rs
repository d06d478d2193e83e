//! Runs in the played world.

use serde_json::Value;

use crate::bindings::feed::{Condition, Outlook};
use crate::fake::{Fake, NOW, SECRET, change, entry};

const TWO: &str = r#"{"madrid": [
    {"name": "crm", "url": "https://crm.example/in", "secret": "SECRET", "start": "beginning"},
    {"name": "gis", "url": "https://gis.example/", "secret": "SECRET", "start": "beginning", "events": ["case.*"]}]}"#;

fn run(world: &Fake) -> Value {
    let answer = world.serve("POST", "/webhooks/-/deliver", "courier");
    assert_eq!(answer.status, 200);
    serde_json::from_slice(&answer.body).unwrap()
}

fn crm(world: &Fake) -> crate::bindings::feed::DestinationState {
    world.states.borrow()[&("madrid".to_owned(), "crm".to_owned())].clone()
}

#[test]
fn everybody_is_told_what_they_want_in_order_and_signed() {
    let world = Fake::new(TWO, vec![entry(1), change(2), entry(3)]);
    let told = run(&world);
    assert_eq!((&told["sent"], &told["retry"], &told["more"]), (&4.into(), &0.into(), &false.into()));
    assert_eq!(world.told("crm.example"), ["e1", "c2", "e3"]);
    assert_eq!(world.told("gis.example"), ["c2"]);
    let sent = world.sent.borrow();
    let first = sent.iter().find(|request| request.authority == "crm.example").unwrap();
    assert_eq!((first.method.as_str(), first.path_and_query.as_str(), first.plain), ("POST", "/in", false));
    let names: Vec<&str> = first.headers.iter().map(|(name, _)| name.as_str()).collect();
    for wanted in ["webhook-id", "webhook-timestamp", "webhook-signature", "content-type", "content-length"] {
        assert!(names.contains(&wanted), "{wanted}");
    }
    assert!(world.states.borrow().values().all(|state| state.position == "03" && state.leased_until.is_none()));
    assert!(world.lines.borrow().iter().all(|line| !line.contains("hello") && !line.contains(SECRET)));
}

#[test]
fn the_first_that_is_not_taken_ends_the_turn_and_the_rest_waits() {
    let world =
        Fake::new(TWO, vec![entry(1), entry(2), entry(3)]).answering("crm.example", &[(200, None), (500, None)]);
    assert_eq!(run(&world)["retry"], 1);
    assert_eq!(world.told("crm.example"), ["e1", "e2"]);
    let state = crm(&world);
    assert_eq!((state.position.as_str(), state.attempts, state.delivered), ("01", 1, 1));
    let wait = state.due_at.unwrap() - NOW;
    assert!((5000..=6000).contains(&wait), "{wait}");
    assert_eq!(run(&world)["sent"], 0, "not before");
    world.clock.set(NOW + 6000);
    run(&world);
    assert_eq!(world.told("crm.example"), ["e1", "e2", "e2", "e3"]);
}

#[test]
fn who_is_down_does_not_keep_the_other_from_being_told() {
    let world = Fake::new(&TWO.replace(r#", "events": ["case.*"]"#, ""), vec![entry(1), entry(2)])
        .answering("crm.example", &[(0, None)]);
    run(&world);
    assert_eq!((world.told("crm.example").len(), world.told("gis.example").len()), (1, 2));
    assert!(crm(&world).reason.unwrap().contains("was not reached"));
}

#[test]
fn a_busy_receiver_is_asked_again_when_it_says() {
    for status in [429, 503] {
        let world = Fake::new(TWO, vec![entry(1)]).answering("crm.example", &[(status, Some("90"))]);
        run(&world);
        assert_eq!(crm(&world).due_at, Some(NOW + 90_000));
    }
}

#[test]
fn a_receiver_that_wants_no_more_is_stopped_and_goes_on_when_it_is_resumed() {
    let world = Fake::new(TWO, vec![entry(1), entry(2)]).answering("crm.example", &[(410, None)]);
    assert_eq!(run(&world)["stopped"], 1);
    assert_eq!((crm(&world).condition, crm(&world).position.as_str()), (Condition::Stopped, ""));
    assert_eq!(world.serve("POST", "/webhooks/madrid/crm/resume", "m1").status, 200);
    run(&world);
    assert_eq!(world.told("crm.example"), ["e1", "e1", "e2"]);
}

#[test]
fn who_fails_for_days_is_stopped_with_its_reason_and_loses_nothing() {
    let world = Fake::new(TWO, vec![entry(1)]);
    let mut tries = 0;
    while crm_is_running(&world) {
        world.answers.borrow_mut().insert("crm.example".into(), [(302, None)].into());
        run(&world);
        tries += 1;
        let due = world.states.borrow().values().filter_map(|state| state.due_at).max();
        world.clock.set(due.unwrap_or_else(|| world.clock.get()).max(world.clock.get() + 1));
    }
    let state = crm(&world);
    assert!((35..60).contains(&tries), "{tries} tries in five days");
    let reason = state.reason.unwrap();
    assert!(reason.contains("given up after 5 days") && reason.contains("redirects (302)"), "{reason}");
    assert_eq!(state.position, "");
    assert!((5 * 86_400_000..6 * 86_400_000).contains(&(world.clock.get() - NOW)));
}

fn crm_is_running(world: &Fake) -> bool {
    let states = world.states.borrow();
    states.get(&("madrid".to_owned(), "crm".to_owned())).is_none_or(|state| state.condition == Condition::Running)
}

#[test]
fn progress_is_written_down_while_a_slow_receiver_takes_its_time() {
    let world = Fake::new(TWO, (1..=9).map(entry).collect());
    world.slowness.set(700);
    let told = run(&world);
    assert_eq!(told["sent"], 9);
    let settled = world.settled.borrow();
    let keeps = settled.iter().filter(|(_, settlement)| matches!(settlement.outlook, Outlook::Keep(_))).count();
    assert!((3..=5).contains(&keeps), "{keeps}");
    assert_eq!(crm(&world).delivered, 9, "each is counted once");
}

#[test]
fn a_run_ends_in_time_and_says_that_there_is_more() {
    let world = Fake::new(TWO, (1..=30).map(entry).collect());
    world.slowness.set(5000);
    let told = run(&world);
    assert_eq!(told["more"], true);
    assert!(world.clock.get() - NOW <= 28_000, "the host ends a request after 30 s");
    assert_eq!(crm(&world).delivered, world.told("crm.example").len() as u64);
    assert!(crm(&world).leased_until.is_none(), "the next run may go on at once");
}

#[test]
fn a_large_backlog_of_one_tenant_lets_the_others_have_their_turn() {
    let mut all = Vec::new();
    for number in 0..12 {
        all.push(format!(
            r#"{{"name": "d{number}", "url": "https://d{number}.example/", "secret": "SECRET", "start": "beginning"}}"#
        ));
    }
    let calm = r#"{"name": "crm", "url": "https://calm.example/", "secret": "SECRET", "start": "beginning"}"#;
    let config = format!(r#"{{"storm": [{}], "toledo": [{calm}]}}"#, all.join(","));
    let world = Fake::new(&config, (1..=90).map(entry).collect());
    world.slowness.set(10);
    run(&world);
    let calm = world.sent.borrow().iter().position(|request| request.authority == "calm.example").unwrap();
    assert!(calm <= 20, "after one batch of the storm: {calm}");
}

#[test]
fn without_the_courier_s_token_nothing_is_told() {
    let world = Fake::new(TWO, vec![entry(1)]);
    for token in ["", "m1", "courie"] {
        assert_eq!(world.serve("POST", "/webhooks/-/deliver", token).status, 401);
        assert_eq!(world.serve("GET", "/webhooks/-/due", token).status, 401);
    }
    assert_eq!(world.serve("GET", "/webhooks/-/deliver", "courier").status, 405);
    assert_eq!(world.serve("POST", "/webhooks/-/other", "courier").status, 404);
    assert!(world.sent.borrow().is_empty());
    world.down.set(true);
    assert_eq!(world.serve("POST", "/webhooks/-/deliver", "courier").status, 503);
}

#[test]
fn whether_there_is_something_to_do_is_told_without_doing_it() {
    let due = |world: &Fake| -> Value {
        serde_json::from_slice(&world.serve("GET", "/webhooks/-/due", "courier").body).unwrap()
    };
    let world = Fake::new(TWO, vec![entry(1)]);
    assert_eq!(due(&world)["due"], true, "new ones have to be begun");
    run(&world);
    assert_eq!(due(&world)["due"], false);
    world.feed.borrow_mut().push(entry(2));
    assert_eq!(due(&world)["due"], true);
    assert_eq!(due(&Fake::new("{}", vec![]))["due"], false);
    assert_eq!(world.told("crm.example"), ["e1"]);
}

#[test]
fn people_see_hosts_states_and_faults_of_their_tenant_and_no_secret() {
    let world = Fake::new(&TWO.replace("\"start\"", "\"strat\"").replacen("\"strat\"", "\"start\"", 1), vec![entry(1)]);
    run(&world);
    let answer = world.serve("GET", "/webhooks/madrid", "m1");
    let text = String::from_utf8(answer.body).unwrap();
    assert!(!text.contains("whsec_") && !text.contains("/in\""), "{text}");
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&told["destinations"][0]["host"], &told["destinations"][0]["delivered"]),
        (&"crm.example".into(), &1.into())
    );
    assert_eq!(told["destinations"][0]["condition"], "running");
    assert_eq!(told["faults"][0]["destination"], "gis");
    assert!(told["faults"][0]["fault"].as_str().unwrap().contains("did you mean `start`?"));
    assert_eq!(world.serve("GET", "/webhooks/madrid", "courier").status, 401);
    assert_eq!(world.serve("GET", "/webhooks/toledo", "m1").status, 401);
    assert_eq!(world.serve("POST", "/webhooks/madrid/nobody/pause", "m1").status, 404);
    assert_eq!(world.serve("POST", "/webhooks/madrid/crm/pause", "m1").status, 200);
    assert_eq!(crm(&world).condition, Condition::Paused);
}
