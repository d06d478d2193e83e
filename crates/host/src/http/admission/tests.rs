//! Who is let in first, and that every place comes back.

use super::*;

fn door(places: usize, change: impl FnOnce(&mut Limits)) -> Arc<Admission> {
    let mut limits = Limits {
        concurrent_requests: places,
        component_share_percent: 100,
        tenant_share_percent: 100,
        queued_requests: 100,
        queue_wait: Duration::from_secs(60),
        ..Limits::default()
    };
    change(&mut limits);
    let door = Admission::new(limits);
    for component in 0..4 {
        for tenant in ["a", "b", "c"] {
            door.answered(component, tenant, 200);
        }
    }
    door
}

/// Lets these wait in this order, gives back one place at a time, and says in which order they came in.
async fn order(door: &Arc<Admission>, held: Place, who: &[(Class, usize, &'static str)]) -> Vec<String> {
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
    for (class, component, tenant) in who.iter().copied() {
        let (waits, said, before) = (Arc::clone(door), said.clone(), door.queued());
        tokio::spawn(async move {
            let place = waits.enter(class, component, tenant).await;
            let _ = said.send((format!("{class:?} {tenant}"), place));
        });
        while door.queued() == before {
            tokio::task::yield_now().await;
        }
    }
    drop(held);
    let mut names = Vec::new();
    for _ in who {
        let (name, place) = heard.recv().await.unwrap();
        names.push(name);
        drop(place.unwrap());
    }
    assert_eq!(door.queued(), 0);
    names
}

#[tokio::test]
async fn voice_comes_before_messages_before_the_rest() {
    let door = door(1, |_| {});
    let held = door.enter(Class::Other, 0, "a").await.unwrap();
    let waiting = [(Class::Other, 0, "a"), (Class::Message, 1, "a"), (Class::Voice, 2, "a"), (Class::Voice, 2, "b")];
    assert_eq!(order(&door, held, &waiting).await, ["Voice a", "Voice b", "Message a", "Other a"]);
}

#[tokio::test]
async fn a_tenant_with_one_request_does_not_wait_for_another_s_hundred() {
    let door = door(2, |_| {});
    let held = door.enter(Class::Voice, 0, "a").await.unwrap();
    let kept = door.enter(Class::Voice, 0, "a").await.unwrap();
    let mut waiting = vec![(Class::Voice, 0, "a"); 50];
    waiting.push((Class::Voice, 0, "b"));
    let came = order(&door, held, &waiting).await;
    assert_eq!(came.first().map(String::as_str), Some("Voice b"));
    drop(kept);
}

#[tokio::test]
async fn a_tenant_and_a_component_hold_their_share_and_no_more() {
    let door = door(16, |limits| (limits.tenant_share_percent, limits.component_share_percent) = (25, 50));
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(door.enter(Class::Voice, 0, "a").await.unwrap());
    }
    let soon = |tenant: &'static str, component| {
        let door = Arc::clone(&door);
        async move {
            tokio::time::timeout(Duration::from_millis(20), door.enter(Class::Voice, component, tenant)).await.ok()
        }
    };
    assert!(soon("a", 0).await.is_none(), "a fifth of one tenant");
    for _ in 0..4 {
        held.push(soon("b", 0).await.unwrap().unwrap());
    }
    assert!(soon("c", 0).await.is_none(), "a ninth of one component");
    assert!(soon("a", 1).await.is_some(), "the same tenant by another channel");
    assert_eq!(door.queued(), 0, "who went away waits no longer");
}

#[tokio::test]
async fn the_last_places_are_kept_for_voice() {
    let door = door(8, |_| {});
    let mut held = Vec::new();
    for class in [Class::Other, Class::Message] {
        while let Ok(Ok(place)) = tokio::time::timeout(Duration::from_millis(20), door.enter(class, 0, "a")).await {
            held.push(place);
        }
    }
    assert_eq!(held.len(), 7);
    assert!(door.enter(Class::Voice, 0, "b").await.is_ok());
}

#[tokio::test]
async fn names_that_nobody_knows_share_one_turn() {
    let door = door(4, |limits| limits.tenant_share_percent = 50);
    let _held = (door.enter(Class::Voice, 0, "made-up-1").await, door.enter(Class::Voice, 0, "made-up-2").await);
    let third = tokio::time::timeout(Duration::from_millis(20), door.enter(Class::Voice, 0, "made-up-3")).await;
    assert!(third.is_err());
    assert!(door.enter(Class::Voice, 0, "b").await.is_ok());
    door.answered(0, "made-up-3", 404);
    assert!(tokio::time::timeout(Duration::from_millis(20), door.enter(Class::Voice, 0, "made-up-3")).await.is_err());
}

#[tokio::test]
async fn a_long_queue_is_the_tenant_s_own_fault_until_everybody_waits() {
    let door = door(1, |limits| limits.queued_requests = 4);
    let held = door.enter(Class::Voice, 0, "a").await.unwrap();
    let mut waiting = Vec::new();
    let wait = |tenant: &'static str| {
        let door = Arc::clone(&door);
        tokio::spawn(async move { door.enter(Class::Voice, 0, tenant).await.map(drop) })
    };
    for (number, tenant) in ["a", "a", "b", "c"].into_iter().enumerate() {
        waiting.push(wait(tenant));
        while door.queued() == number {
            tokio::task::yield_now().await;
        }
        if number == 1 {
            assert_eq!(door.enter(Class::Voice, 0, "a").await.map(drop), Err(Turned::Tenant));
        }
    }
    assert_eq!(door.enter(Class::Voice, 0, "b").await.map(drop), Err(Turned::Full));
    drop(held);
    for one in waiting {
        assert_eq!(one.await.unwrap(), Ok(()));
    }
}

#[tokio::test]
async fn who_waits_too_long_is_turned_away_and_leaves_the_queue() {
    let door = door(1, |limits| limits.queue_wait = Duration::from_millis(10));
    let held = door.enter(Class::Voice, 0, "a").await.unwrap();
    assert_eq!(door.enter(Class::Voice, 0, "b").await.map(drop), Err(Turned::Full));
    assert_eq!(door.queued(), 0);
    drop(held);
    assert!(door.enter(Class::Voice, 0, "b").await.is_ok());
}

#[tokio::test]
async fn a_rate_is_one_tenant_s_and_comes_back() {
    let door = door(10, |limits| limits.tenant_rate = Some(80));
    let mut taken = 0;
    while door.enter(Class::Voice, 0, "a").await.is_ok() {
        taken += 1;
    }
    // A quarter of a second's, not a whole second's: others would feel that.
    assert!((20..60).contains(&taken), "{taken}");
    assert!(door.enter(Class::Voice, 0, "b").await.is_ok());
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(door.enter(Class::Voice, 0, "a").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_place_comes_back_whoever_goes_away_when() {
    let door = door(3, |limits| limits.tenant_share_percent = 70);
    let tasks = (0..300_u64).map(|number| {
        let door = Arc::clone(&door);
        tokio::spawn(async move {
            let tenant = ["a", "b", "c", "unknown"][usize::try_from(number % 4).unwrap()];
            let class = [Class::Voice, Class::Message, Class::Other][usize::try_from(number % 3).unwrap()];
            let patience = Duration::from_micros(number * 7 % 900);
            if let Ok(Ok(place)) =
                tokio::time::timeout(patience, door.enter(class, usize::try_from(number % 2).unwrap(), tenant)).await
            {
                tokio::time::sleep(Duration::from_micros(number * 13 % 400)).await;
                drop(place);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let state = door.lock();
    assert_eq!((state.held, state.queued, state.tenants.len(), state.waiting.len()), (0, 0, 0, 0));
}

#[test]
fn a_class_is_the_channel_s() {
    for (route, class) in [
        ("/telephony/a/...", Class::Voice),
        ("/messaging/b/...", Class::Message),
        ("/open311/c/...", Class::Message),
        ("/email/d/...", Class::Other),
        ("/api/...", Class::Other),
        ("/...", Class::Other),
    ] {
        assert_eq!(Class::of(route), class, "{route}");
    }
}

#[tokio::test]
async fn a_caller_waits_a_second_for_a_place_however_long_others_may() {
    let door = door(1, |limits| limits.queue_wait = Duration::from_secs(60));
    let _held = door.enter(Class::Voice, 0, "a").await.unwrap();
    let turned = tokio::time::timeout(Duration::from_secs(20), door.enter(Class::Voice, 0, "b")).await;
    assert_eq!(turned.expect("a caller hears why").map(drop), Err(Turned::Full));
}
