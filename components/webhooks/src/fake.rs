//! A world for tests: a feed in memory, receivers that answer as they are told, and what was sent.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

use channel_sdk::types::{Event, Header, Kind, Response};
use service_sdk::edge::{Inbound, Outbound};

use crate::bindings::cases::HistoryEntry;
use crate::bindings::feed::{
    Batch, CaseChange, Command, Condition, DestinationState, Entry, Fact, Outlook, Queue, Settlement, Start,
};
use crate::bindings::log::{StoreError, StoredEvent};
use crate::ports::{Key, Ports};
use crate::serve;

pub(crate) const NOW: i64 = 1_700_000_000_000;
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An event at a place.
pub(crate) fn entry(number: u32) -> Entry {
    let event = Event { text: Some("hello".into()), ..Event::new(Kind::Message, &format!("k{number}")) };
    let stored = StoredEvent {
        id: format!("e{number}"),
        tenant: "madrid".into(),
        channel: "telephony".into(),
        connector: "telephony/acme".into(),
        received_at: NOW,
        event,
        case_reference: Some("482-109-3726".into()),
    };
    Entry { id: format!("e{number}"), position: format!("{number:02}"), fact: Fact::Received(stored) }
}

/// A change at a place.
pub(crate) fn change(number: u32) -> Entry {
    let change = HistoryEntry {
        at: NOW,
        author: "ana".into(),
        field: "status".into(),
        before: Some("new".into()),
        after: Some("closed".into()),
    };
    let fact = Fact::Changed(CaseChange { case_reference: "482-109-3726".into(), change });
    Entry { id: format!("c{number}"), position: format!("{number:02}"), fact }
}

pub(crate) struct Fake {
    pub(crate) webhooks: String,
    /// What is to be told; the same for all destinations.
    pub(crate) feed: RefCell<Vec<Entry>>,
    pub(crate) states: RefCell<BTreeMap<Key, DestinationState>>,
    pub(crate) settled: RefCell<Vec<(Key, Settlement)>>,
    /// By authority: status, `Retry-After`. Without any: 204.
    pub(crate) answers: RefCell<BTreeMap<String, VecDeque<(u16, Option<&'static str>)>>>,
    pub(crate) sent: RefCell<Vec<Outbound>>,
    pub(crate) lines: RefCell<Vec<String>>,
    pub(crate) clock: Cell<i64>,
    /// What a try takes.
    pub(crate) slowness: Cell<i64>,
    pub(crate) down: Cell<bool>,
}

impl Fake {
    pub(crate) fn new(webhooks: &str, feed: Vec<Entry>) -> Self {
        Self {
            webhooks: webhooks.replace("SECRET", SECRET),
            feed: RefCell::new(feed),
            states: RefCell::default(),
            settled: RefCell::default(),
            answers: RefCell::default(),
            sent: RefCell::default(),
            lines: RefCell::default(),
            clock: Cell::new(NOW),
            slowness: Cell::new(0),
            down: Cell::new(false),
        }
    }

    pub(crate) fn answering(self, authority: &str, answers: &[(u16, Option<&'static str>)]) -> Self {
        self.answers.borrow_mut().insert(authority.into(), answers.iter().copied().collect());
        self
    }

    pub(crate) fn serve(&self, method: &str, target: &str, token: &str) -> Response {
        let headers = [Header { name: "authorization".into(), value: format!("Bearer {token}").into_bytes() }];
        let mut future = pin!(serve::serve(self, method, target, &headers));
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("nothing here waits"),
        }
    }

    /// Ids of what a host was sent.
    pub(crate) fn told(&self, authority: &str) -> Vec<String> {
        let sent = self.sent.borrow();
        let id = |request: &Outbound| {
            let header = request.headers.iter().find(|(name, _)| name == "webhook-id").map(|(_, value)| value.clone());
            String::from_utf8(header.unwrap_or_default()).unwrap()
        };
        sent.iter().filter(|request| request.authority == authority).map(id).collect()
    }

    fn has_more(&self, state: &DestinationState) -> bool {
        self.feed.borrow().iter().any(|entry| entry.position > state.position)
    }

    fn is_due(&self, state: &DestinationState, now: i64) -> bool {
        state.condition == Condition::Running
            && state.due_at.is_none_or(|due| due <= now)
            && state.leased_until.is_none_or(|until| until <= now)
            && self.has_more(state)
    }
}

fn state(key: &Key, position: String) -> DestinationState {
    DestinationState {
        tenant: key.0.clone(),
        destination: key.1.clone(),
        condition: Condition::Running,
        position,
        waiting: 0,
        attempts: 0,
        due_at: None,
        leased_until: None,
        failing_since: None,
        reason: None,
        delivered: 0,
        delivered_at: None,
        created_at: NOW,
    }
}

impl Ports for Fake {
    async fn queues(&self, now: i64) -> Result<Vec<Queue>, StoreError> {
        if self.down.get() {
            return Err(StoreError::Unavailable("down".into()));
        }
        let states = self.states.borrow();
        let queue = |((tenant, destination), state): (&Key, &DestinationState)| Queue {
            tenant: tenant.clone(),
            destination: destination.clone(),
            due: self.is_due(state, now),
        };
        Ok(states.iter().map(queue).collect())
    }

    async fn claim(
        &self,
        key: &Key,
        start: Start,
        now: i64,
        until: i64,
        limit: u32,
    ) -> Result<Option<Batch>, StoreError> {
        let mut states = self.states.borrow_mut();
        let newest = || self.feed.borrow().last().map(|entry| entry.position.clone()).unwrap_or_default();
        let position = if start == Start::Now { newest() } else { String::new() };
        let known = states.entry(key.clone()).or_insert_with(|| state(key, position));
        if !self.is_due(known, now) {
            return Ok(None);
        }
        known.leased_until = Some(until);
        let feed = self.feed.borrow();
        let entries = feed.iter().filter(|entry| entry.position > known.position).take(limit as usize).cloned();
        Ok(Some(Batch {
            lease: "l".into(),
            entries: entries.collect(),
            attempts: known.attempts,
            failing_since: known.failing_since,
        }))
    }

    async fn settle(&self, key: &Key, _: &str, at: i64, settlement: Settlement) -> Result<bool, StoreError> {
        self.settled.borrow_mut().push((key.clone(), settlement.clone()));
        let mut states = self.states.borrow_mut();
        let state = states.get_mut(key).unwrap();
        if let Some(position) = settlement.delivered {
            (state.position, state.attempts, state.failing_since) = (position, 0, None);
        }
        state.delivered += u64::from(settlement.count);
        state.leased_until = None;
        match settlement.outlook {
            Outlook::Ready => {}
            Outlook::Keep(until) => state.leased_until = Some(until),
            Outlook::Retry((due, reason)) => {
                state.attempts += 1;
                state.failing_since = state.failing_since.or(Some(at));
                (state.due_at, state.reason) = (Some(due), Some(reason));
            }
            Outlook::Stop(reason) => (state.condition, state.reason) = (Condition::Stopped, Some(reason)),
        }
        Ok(true)
    }

    async fn states(&self, tenant: &str) -> Result<Vec<DestinationState>, StoreError> {
        Ok(self.states.borrow().values().filter(|state| state.tenant == tenant).cloned().collect())
    }

    async fn control(
        &self,
        key: &Key,
        command: Command,
        _: &str,
        _: i64,
    ) -> Result<Option<DestinationState>, StoreError> {
        let mut states = self.states.borrow_mut();
        let Some(state) = states.get_mut(key) else { return Ok(None) };
        state.condition = if command == Command::Pause { Condition::Paused } else { Condition::Running };
        state.due_at = None;
        Ok(Some(state.clone()))
    }

    async fn variable(&self, name: &str) -> String {
        match name {
            "webhooks" => self.webhooks.clone(),
            "courier_token" => "courier".into(),
            _ => r#"{"madrid": ["m1"]}"#.into(),
        }
    }

    async fn send(&self, request: Outbound) -> Result<Inbound, String> {
        let answer = self.answers.borrow_mut().get_mut(&request.authority).and_then(VecDeque::pop_front);
        self.sent.borrow_mut().push(request);
        self.clock.set(self.clock.get() + self.slowness.get());
        let (status, after) = answer.unwrap_or((204, None));
        let headers = after.map(|after| ("retry-after".to_owned(), after.as_bytes().to_vec())).into_iter().collect();
        if status == 0 {
            Err("no answer".into())
        } else {
            Ok(Inbound { status, headers, body: Vec::new(), cut: false })
        }
    }

    fn now(&self) -> i64 {
        self.clock.get()
    }

    fn log(&self, line: &str) {
        self.lines.borrow_mut().push(line.to_owned());
    }
}
