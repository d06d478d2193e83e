//! The outbox.

use channel_sdk::types::{Event, Kind};
use store_sdk::Store;
use store_sdk::log::StoreError;
use store_sdk::outbox::{Item, Settlement};

use super::make::*;
use super::{World, block_on, together};

fn reply<S: Store>(store: &S, tenant: &str, reference: &str, text: &str, at: i64) -> String {
    block_on(store.reply(tenant.into(), reference.into(), text.into(), "ana".into(), at)).expect("in the outbox")
}

fn claim<S: Store>(store: &S, now: i64, limit: u32) -> Vec<Item> {
    block_on(store.claim(MAIL.into(), now, now + 60_000, limit)).expect("claimed")
}

/// With what the provider needs to put it in its place.
pub fn a_reply_goes_out_by_the_channel_of_the_last_message<W: World>(world: &W) {
    let store = world.open();
    let mut event = mail("<1@a>", "a@example.org", &[]);
    event.references = vec!["<0@a>".into()];
    event.thread_id = Some("t".into());
    event.conversation_id = Some("c".into());
    event.language = Some("gl".into());
    event.recipient = Some("us@city.example".into());
    let reference = reference(&record(&store, MAIL, event));
    let echo = Event { flags: vec!["echo".into()], ..mail("<2@us>", "us@city.example", &["<1@a>"]) };
    record(&store, MAIL, echo);
    let text = "Ya está ✓\0\\";
    let id = reply(&store, TENANT, &reference, text, T0 + 100);
    assert!(block_on(store.claim("email/other".into(), T0 + 200, T0 + 300, 10)).expect("claimed").is_empty());
    let mut items = claim(&store, T0 + 200, 10);
    assert_eq!(items.len(), 1);
    let Item { id: claimed, tenant, connector, message, attempt } = items.remove(0);
    assert_eq!((claimed, tenant.as_str(), connector.as_str(), attempt), (id.clone(), TENANT, MAIL, 0));
    assert_eq!((message.id, message.text.as_str(), message.automatic, message.now), (id, text, false, T0 + 200));
    assert_eq!(message.recipient, handle("email", "a@example.org"));
    assert_eq!(
        (message.sender.as_deref(), message.subject.as_deref()),
        (Some("us@city.example"), Some("The street lamp"))
    );
    assert_eq!(
        (message.in_reply_to.as_deref(), message.references),
        (Some("<1@a>"), vec!["<0@a>".into(), "<1@a>".into()])
    );
    assert_eq!((message.thread_id.as_deref(), message.conversation_id.as_deref()), (Some("t"), Some("c")));
    assert_eq!((message.language.as_deref(), message.last_inbound_at), (Some("gl"), Some(T0)));
    assert_eq!((message.case_reference.as_ref(), message.answers), (Some(&reference), Some(Kind::Message)));
    let detail = case(&store, &reference);
    assert_eq!(detail.summary.first_response_at, Some(T0 + 100));
    assert_eq!(detail.history.last().expect("history").field, "reply");
    reply(&store, TENANT, &reference, "again", T0 + 500);
    assert_eq!(case(&store, &reference).summary.first_response_at, Some(T0 + 100));
    let empty = block_on(store.reply(TENANT.into(), reference, "  ".into(), "ana".into(), T0));
    assert!(matches!(empty, Err(StoreError::Invalid(_))), "{empty:?}");
}

/// Until the lease ends.
pub fn a_leased_item_is_nobody_else_s<W: World>(world: &W) {
    let store = world.open();
    let reference = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    let mut sent: Vec<String> =
        (0..40).map(|index| reply(&store, TENANT, &reference, &index.to_string(), T0)).collect();
    let claimed = together(world, 8, |_, store| {
        let items: Vec<String> = (0..10).flat_map(|_| claim(&store, T0 + 1, 3)).map(|item| item.id).collect();
        items
    });
    let mut claimed: Vec<String> = claimed.into_iter().flatten().collect();
    claimed.sort();
    sent.sort();
    assert_eq!(claimed, sent);
    assert!(claim(&store, T0 + 60_000, 100).is_empty());
    let again = claim(&store, T0 + 60_001, 100);
    assert_eq!(again.len(), 40);
    assert!(again.iter().all(|item| item.attempt == 1));
}

/// And one that was sent or failed for good does not.
pub fn an_item_that_failed_once_comes_again_when_it_is_due<W: World>(world: &W) {
    let store = world.open();
    let reference = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    let id = reply(&store, TENANT, &reference, "hello", T0);
    let settle = |settlement| block_on(store.settle(id.clone(), T0 + 10, settlement)).expect("settled");
    assert_eq!(claim(&store, T0 + 1, 1).len(), 1);
    settle(Settlement::Retry((T0 + 5000, "busy".into())));
    assert!(claim(&store, T0 + 4999, 1).is_empty());
    assert_eq!(claim(&store, T0 + 5000, 1)[0].attempt, 1);
    settle(Settlement::Sent(Some("<out@us>".into())));
    settle(Settlement::Retry((T0, "a second courier".into())));
    assert!(claim(&store, T0 + 1_000_000, 1).is_empty());
    let hopeless = reply(&store, TENANT, &reference, "no", T0);
    assert_eq!(claim(&store, T0 + 1, 1)[0].id, hopeless);
    block_on(store.settle(hopeless, T0 + 2, Settlement::Failed("window closed".into()))).expect("settled");
    assert!(claim(&store, T0 + 1_000_000, 1).is_empty());
    let unknown = block_on(store.settle("nothing".into(), T0, Settlement::Sent(None)));
    assert!(matches!(unknown, Err(StoreError::Invalid(_))), "{unknown:?}");
}

/// The first of each comes before the second of any.
pub fn a_busy_tenant_does_not_starve_another<W: World>(world: &W) {
    let store = world.open();
    let mut queued = 0;
    for (tenant, replies) in [("storm", 50), ("calm", 2), ("quiet", 1)] {
        let reference = reference(&record_for(&store, tenant, MAIL, mail("<1@a>", "a@example.org", &[])));
        for index in 0..replies {
            reply(&store, tenant, &reference, &index.to_string(), T0 + i64::from(queued));
            queued += 1;
        }
    }
    let tenants = |items: &[Item]| {
        let mut tenants: Vec<String> = items.iter().map(|item| item.tenant.clone()).collect();
        tenants.sort();
        tenants
    };
    assert_eq!(tenants(&claim(&store, T0 + 1000, 3)), ["calm", "quiet", "storm"]);
    assert_eq!(tenants(&claim(&store, T0 + 1000, 2)), ["calm", "storm"]);
    assert_eq!(claim(&store, T0 + 1000, 500).len(), 48);
}

/// A withheld number.
pub fn nobody_can_be_answered_without_a_sender<W: World>(world: &W) {
    let store = world.open();
    let reference = reference(&record(&store, VOICE, Event { sender: None, ..call(Kind::CallStarted, "s", "CA1") }));
    let answer = block_on(store.reply(TENANT.into(), reference.clone(), "hello".into(), "ana".into(), T0));
    assert!(matches!(answer, Err(StoreError::Invalid(_))), "{answer:?}");
    assert_eq!(case(&store, &reference).summary.first_response_at, None);
}

/// By our message id, and only from those who take part.
pub fn a_reply_to_what_we_sent_joins_its_case<W: World>(world: &W) {
    let store = world.open();
    let first = reference(&record(&store, MAIL, mail("<1@a>", "a@example.org", &[])));
    let id = reply(&store, TENANT, &first, "hello", T0);
    claim(&store, T0, 1);
    block_on(store.settle(id, T0 + 1, Settlement::Sent(Some("<out@us>".into())))).expect("settled");
    assert_eq!(reference(&record(&store, MAIL, mail("<2@a>", "a@example.org", &["<out@us>"]))), first);
    assert!(record(&store, MAIL, mail("<2@b>", "b@example.org", &["<out@us>"])).opened);
}
