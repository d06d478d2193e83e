//! Places for connections: a caller's request is served before a message's, and nobody waits for ever.
//!
//! There are few at first, and more one by one. A connection's first statements cost PostgreSQL twenty times what they cost later (a process
//! is started, functions are compiled, every statement is planned): thirty at once, at the beginning of a storm, took it most of a second.

use crate::http::admission::Class;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Places at the beginning.
const FIRST: usize = 2;
/// One more comes after the one before it has been given back once, or so much later.
const GROWTH: Duration = Duration::from_millis(100);

/// So often the one who has waited longest is served, whoever it is: callers alone could take all there is.
const TURN_OF_THE_OLDEST: u64 = 4;

/// So many places, and who waits for one.
pub(super) struct Places(Mutex<State>);

struct State {
    most: usize,
    all: usize,
    free: usize,
    /// When the last one was added, until it comes back.
    grown: Option<Instant>,
    /// By class, then by arrival.
    waiting: BTreeMap<(Class, u64), oneshot::Sender<Place>>,
    arrivals: u64,
    given: u64,
}

/// A place, given to the next one when it is dropped.
pub(super) struct Place {
    places: Option<Arc<Places>>,
    /// It is the last that was added.
    new: bool,
}

impl Places {
    /// No more than this.
    pub(super) fn new(most: usize) -> Arc<Self> {
        let all = most.min(FIRST);
        let waiting = BTreeMap::new();
        Arc::new(Self(Mutex::new(State { most, all, free: all, grown: None, waiting, arrivals: 0, given: 0 })))
    }

    fn place(self: &Arc<Self>, new: bool) -> Place {
        Place { places: Some(Arc::clone(self)), new }
    }

    /// One more place, for somebody who has waited: if there may be one, and the last one is no longer new.
    pub(super) fn grow(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.all >= state.most || state.grown.is_some_and(|when| when.elapsed() < GROWTH) {
            return;
        }
        state.all += 1;
        state.grown = Some(Instant::now());
        self.give(state, true);
    }

    /// A place whose connection was closed is no place until somebody has waited for it.
    pub(super) fn shrink(&self, by: usize) {
        let mut state = self.lock();
        let by = by.min(state.free).min(state.all.saturating_sub(state.most.min(FIRST)));
        state.all -= by;
        state.free -= by;
    }

    /// A place if one is free. What waits has been given what came free before.
    pub(super) fn now(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.lock();
        state.free = state.free.checked_sub(1)?;
        Some(self.place(false))
    }

    /// A place, as soon as it is this one's turn. Whoever stops waiting leaves the queue.
    pub(super) async fn wait(self: &Arc<Self>, class: Class) -> Option<Place> {
        let (turn, place) = {
            let mut state = self.lock();
            if let Some(free) = state.free.checked_sub(1) {
                state.free = free;
                return Some(self.place(false));
            }
            let (send, receive) = oneshot::channel();
            state.arrivals += 1;
            let turn = (class, state.arrivals);
            state.waiting.insert(turn, send);
            (turn, receive)
        };
        let _turn = Turn { places: self, turn };
        place.await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(self: &Arc<Self>, mut state: MutexGuard<'_, State>, new: bool) {
        while let Some(next) = state.next() {
            let Err(mut unwanted) = next.send(self.place(new)) else { return };
            // Whoever waited went away at this moment. The lock is held: nothing may be dropped that takes it again.
            unwanted.places = None;
        }
        state.free += 1;
    }
}

impl State {
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        self.given += 1;
        let turn = if self.given.is_multiple_of(TURN_OF_THE_OLDEST) {
            self.waiting.keys().min_by_key(|(_, arrival)| *arrival).copied()
        } else {
            self.waiting.keys().next().copied()
        };
        self.waiting.remove(&turn?)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(places) = self.places.take() {
            let mut state = places.lock();
            if self.new {
                state.grown = None;
            }
            places.give(state, false);
        }
    }
}

/// A turn in the queue.
struct Turn<'a> {
    places: &'a Places,
    turn: (Class, u64),
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Dropped before the receiver: a place that is sent at this very moment comes back by itself.
        let waiting = self.places.lock().waiting.remove(&self.turn);
        drop(waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::{sync::mpsc, time::timeout};

    async fn queue(places: &Arc<Places>, who: &[(Class, &'static str)]) -> mpsc::UnboundedReceiver<&'static str> {
        let (served, order) = mpsc::unbounded_channel();
        for (number, (class, name)) in who.iter().copied().enumerate() {
            let (places, served) = (Arc::clone(places), served.clone());
            let waiting = Arc::clone(&places);
            tokio::spawn(async move {
                let place = places.wait(class).await;
                served.send(name).unwrap();
                drop(place);
            });
            while waiting.lock().waiting.len() <= number {
                tokio::task::yield_now().await;
            }
        }
        order
    }

    async fn served(mut order: mpsc::UnboundedReceiver<&'static str>) -> Vec<&'static str> {
        let mut all = Vec::new();
        while let Some(name) = order.recv().await {
            all.push(name);
        }
        all
    }

    #[tokio::test]
    async fn callers_come_first_and_the_one_who_waited_longest_every_fourth_time() {
        let places = Places::new(1);
        let held = places.now().unwrap();
        assert!(places.now().is_none());
        let mut who = vec![(Class::Other, "mail"), (Class::Message, "chat")];
        who.extend(["v1", "v2", "v3", "v4", "v5"].map(|name| (Class::Voice, name)));
        let order = queue(&places, &who).await;
        drop(held);
        assert_eq!(served(order).await, ["v1", "v2", "v3", "mail", "v4", "v5", "chat"]);
        assert_eq!(places.lock().free, 1);
    }

    #[tokio::test]
    async fn whoever_stops_waiting_leaves_no_place_behind() {
        let places = Places::new(1);
        let held = places.now().unwrap();
        for _ in 0..3 {
            assert!(timeout(Duration::from_millis(1), places.wait(Class::Voice)).await.is_err());
        }
        assert!(places.lock().waiting.is_empty());
        // Given, and not taken any more: the future is dropped between the two.
        let mut late = Box::pin(places.wait(Class::Voice));
        assert!(timeout(Duration::from_millis(1), &mut late).await.is_err());
        drop(held);
        assert_eq!(places.lock().free, 0, "it is on its way");
        drop(late);
        assert_eq!(places.lock().free, 1);
        assert!(places.wait(Class::Other).await.is_some());
    }

    #[tokio::test]
    async fn there_are_more_one_by_one_and_fewer_when_connections_are_closed() {
        let places = Places::new(4);
        let mut held: Vec<Place> = std::iter::from_fn(|| places.now()).collect();
        assert_eq!(held.len(), FIRST);
        let order = queue(&places, &[(Class::Voice, "first"), (Class::Voice, "second")]).await;
        places.grow();
        places.grow();
        assert_eq!(places.lock().all, 3, "the second has to wait until the first comes back");
        assert_eq!(served(order).await, ["first", "second"]);
        places.grow();
        places.grow();
        tokio::time::sleep(GROWTH).await;
        places.grow();
        held.extend(std::iter::from_fn(|| places.now()));
        assert_eq!(held.len(), 4, "no more than there may be");
        places.shrink(9);
        assert_eq!(places.lock().all, 4, "what is held stays");
        held.clear();
        places.shrink(9);
        let state = places.lock();
        assert_eq!((state.all, state.free), (FIRST, FIRST));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn never_more_than_there_are_and_none_is_lost() {
        let places = Places::new(3);
        places.grow();
        let mut all = Vec::new();
        for number in 0..400_u64 {
            let places = Arc::clone(&places);
            all.push(tokio::spawn(async move {
                let class = [Class::Voice, Class::Message, Class::Other][number as usize % 3];
                let patience = Duration::from_micros(number % 7 * 300);
                if let Ok(Some(_place)) = timeout(patience, places.wait(class)).await {
                    tokio::time::sleep(Duration::from_micros(number % 5 * 100)).await;
                }
            }));
        }
        for one in all {
            one.await.unwrap();
        }
        let state = places.lock();
        assert_eq!((state.free, state.waiting.len()), (3, 0));
    }
}
