//! Who is let in when there is not a place for everybody: voice before messages before the rest, tenants in turn.
//!
//! Places are requests inside components. A waiting request is let in by the class of its channel first, then by how few
//! places its tenant holds, then by how long it has waited. Nobody can wait others out: a tenant and a component hold only a
//! share of the places, and the last ones are kept for voice.

use super::problem::Problem;
use crate::options::Limits;
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Tenants remembered as real. More than a deployment has; a bound for whoever makes names up.
const MOST_TENANTS: usize = 4096;

/// How long a request can wait, by what waits at its other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A person with a telephone at their ear.
    Voice,
    /// A person who sees whether a message or a form was taken; a provider that gives up after some tries.
    Message,
    /// A mail server that keeps its queue for days; staff, who can ask again.
    Other,
}

impl Class {
    /// Of the route a component serves: its first part is the channel.
    pub fn of(route: &str) -> Self {
        match route.trim_start_matches('/').split('/').next() {
            Some("telephony") => Self::Voice,
            Some("messaging" | "social" | "forms" | "open311") => Self::Message,
            _ => Self::Other,
        }
    }

    /// How long it waits for a place. Then a caller hears why: the strictest carrier waits three seconds, of which the store may need two.
    fn patience(self, longest: Duration) -> Duration {
        match self {
            Self::Voice => longest.min(Duration::from_secs(1)),
            Self::Message | Self::Other => longest,
        }
    }

    /// Places of all that this class may not take.
    fn kept(self, all: usize) -> usize {
        match self {
            Self::Voice => 0,
            Self::Message => all / 8,
            Self::Other => all / 4,
        }
    }
}

/// A component and one of its tenants.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    component: usize,
    tenant: Arc<str>,
}

/// The door.
pub struct Admission {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: usize,
    components: HashMap<usize, usize>,
    tenants: HashMap<Key, usize>,
    /// By class and key, so that only the heads of queues are compared.
    waiting: BTreeMap<(Class, Key), VecDeque<Waiting>>,
    queued: usize,
    next: u64,
    /// Tenants that a component has answered other than with 404, so that made-up names share one place in the rotation.
    known: HashSet<Key>,
    rates: HashMap<Key, Bucket>,
}

struct Waiting {
    number: u64,
    place: oneshot::Sender<Place>,
}

/// A request's place, given back when it is dropped.
pub struct Place {
    door: Option<Arc<Admission>>,
    key: Key,
}

/// Tokens of one tenant, when it has a rate.
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// The tenant has more under way than its share.
    Tenant,
    /// Everybody has.
    Full,
}

impl From<Turned> for Problem {
    fn from(turned: Turned) -> Self {
        match turned {
            Turned::Tenant => Self::TooManyRequests,
            Turned::Full => Self::Overloaded,
        }
    }
}

impl Admission {
    /// With these limits.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, state: Mutex::default() })
    }

    /// Waits for a place, within bounds. `component` is its number, `tenant` what the path says.
    ///
    /// # Errors
    ///
    /// There is none, and none came free in time.
    pub async fn enter(self: &Arc<Self>, class: Class, component: usize, tenant: &str) -> Result<Place, Turned> {
        let waiting = {
            let mut state = self.lock();
            let mut key = Key { component, tenant: tenant.into() };
            if !state.known.contains(&key) {
                key.tenant = "".into();
            }
            if !state.token(&key, &self.limits) {
                return Err(Turned::Tenant);
            }
            // What waits, waits because its own share is held: each place that came free was given away at once.
            if state.may_enter(class, &key, &self.limits) {
                state.count(&key);
                return Ok(Place { door: Some(Arc::clone(self)), key });
            }
            let own = state.waiting.get(&(class, key.clone())).map_or(0, VecDeque::len);
            if state.queued >= self.limits.queued_requests {
                return Err(Turned::Full);
            }
            if own >= self.limits.queued_of_tenant() {
                return Err(Turned::Tenant);
            }
            self.queue(&mut state, class, key)
        };
        waiting.place(class.patience(self.limits.queue_wait)).await
    }

    /// What the component made of a request: a tenant it does not know has no queue of its own.
    pub fn answered(&self, component: usize, tenant: &str, status: u16) {
        if status == 404 || tenant.is_empty() {
            return;
        }
        let mut state = self.lock();
        let key = Key { component, tenant: tenant.into() };
        if state.known.len() < MOST_TENANTS && !state.known.contains(&key) {
            state.known.insert(key);
        }
    }

    /// Requests waiting.
    pub fn queued(&self) -> usize {
        self.lock().queued
    }

    fn queue(self: &Arc<Self>, state: &mut State, class: Class, key: Key) -> Ticket {
        let (place, answer) = oneshot::channel();
        state.next += 1;
        state.queued += 1;
        let number = state.next;
        state.waiting.entry((class, key.clone())).or_default().push_back(Waiting { number, place });
        Ticket { door: Arc::clone(self), class, key, number, answer: Some(answer) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(self: &Arc<Self>, key: &Key) {
        let mut state = self.lock();
        state.uncount(key);
        // One place came free, but a share that came free with it may be what several waited for.
        while let Some((waiting, key)) = state.first(&self.limits) {
            state.count(&key);
            if let Err(mut place) = waiting.place.send(Place { door: Some(Arc::clone(self)), key: key.clone() }) {
                // Whoever waited went away at this moment. The lock is held: nothing may be dropped that takes it again.
                place.door = None;
                state.uncount(&key);
            }
        }
    }
}

impl State {
    fn may_enter(&self, class: Class, key: &Key, limits: &Limits) -> bool {
        let all = limits.concurrent_requests.max(1);
        let free = self.held + class.kept(all) < all || self.held == 0;
        let component = self.components.get(&key.component).copied().unwrap_or(0);
        let tenant = self.tenants.get(key).copied().unwrap_or(0);
        free && component < limits.share(limits.component_share_percent)
            && tenant < limits.share(limits.tenant_share_percent)
    }

    /// The next to be let in, taken out of its queue.
    fn first(&mut self, limits: &Limits) -> Option<(Waiting, Key)> {
        let order = |class: Class, key: &Key, number: u64| (class, self.tenants.get(key).copied().unwrap_or(0), number);
        let next = self
            .waiting
            .iter()
            .filter(|((class, key), _)| self.may_enter(*class, key, limits))
            .filter_map(|((class, key), queue)| Some((order(*class, key, queue.front()?.number), key)))
            .min_by(|left, right| left.0.cmp(&right.0))
            .map(|((class, ..), key)| (class, key.clone()))?;
        let queue = self.waiting.get_mut(&next)?;
        let waiting = queue.pop_front()?;
        if queue.is_empty() {
            self.waiting.remove(&next);
        }
        self.queued -= 1;
        Some((waiting, next.1))
    }

    fn count(&mut self, key: &Key) {
        self.held += 1;
        *self.components.entry(key.component).or_default() += 1;
        *self.tenants.entry(key.clone()).or_default() += 1;
    }

    fn uncount(&mut self, key: &Key) {
        self.held = self.held.saturating_sub(1);
        if let Some(count) = self.components.get_mut(&key.component) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.tenants.get_mut(key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.tenants.remove(key);
            }
        }
    }

    /// Takes one of the tenant's tokens: so many come back every second, and no more than a quarter of a second's (or ten) are kept:
    /// a whole second's, let in at once, others would feel.
    fn token(&mut self, key: &Key, limits: &Limits) -> bool {
        let Some(rate) = limits.tenant_rate.map(f64::from) else { return true };
        let most = (rate / 4.0).max(rate.min(10.0));
        let now = Instant::now();
        if self.rates.len() >= MOST_TENANTS {
            // A bucket that is full again says the same as none.
            self.rates.retain(|_, bucket| now.duration_since(bucket.at) < Duration::from_secs(1));
        }
        let bucket = self.rates.entry(key.clone()).or_insert(Bucket { tokens: most, at: now });
        bucket.tokens = (bucket.tokens + now.duration_since(bucket.at).as_secs_f64() * rate).min(most);
        bucket.at = now;
        let enough = bucket.tokens >= 1.0;
        if enough {
            bucket.tokens -= 1.0;
        }
        enough
    }
}

/// A turn in the queue, left when whoever waits goes away.
struct Ticket {
    door: Arc<Admission>,
    class: Class,
    key: Key,
    number: u64,
    answer: Option<oneshot::Receiver<Place>>,
}

impl Ticket {
    async fn place(mut self, wait: Duration) -> Result<Place, Turned> {
        let Some(answer) = self.answer.as_mut() else { return Err(Turned::Full) };
        match tokio::time::timeout(wait, answer).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(Turned::Full),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.door.lock();
        let queue = (self.class, self.key.clone());
        if let Some(waiting) = state.waiting.get_mut(&queue) {
            let before = waiting.len();
            waiting.retain(|one| one.number != self.number);
            let left = before - waiting.len();
            if waiting.is_empty() {
                state.waiting.remove(&queue);
            }
            state.queued -= left;
        }
        drop(state);
        // A place given at this very moment comes back by itself, now that nothing is locked.
        self.answer = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(door) = self.door.take() {
            door.leave(&self.key);
        }
    }
}

#[cfg(test)]
mod tests;
