//! One delivery with many facts: the good ones are kept, what is wrong with the others is said.

use std::collections::BTreeSet;

use crate::types::{Event, Translation};

/// How many problems are told; the rest is counted.
const TOLD: usize = 5;

/// Gathers the events of one delivery.
#[derive(Debug, Default)]
pub struct Batch {
    events: Vec<Event>,
    keys: BTreeSet<String>,
    problems: Vec<String>,
    more: usize,
}

impl Batch {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fact, its fields in order of their names, as the public JSON has them. One that is in this delivery already
    /// is left out: providers repeat themselves within one, too.
    pub fn push(&mut self, mut event: Event) {
        event.fields.sort_by(|one, other| one.0.cmp(&other.0));
        if self.keys.insert(event.idempotency_key.clone()) {
            self.events.push(event);
        }
    }

    /// Notes what could not be understood, by its place in the delivery. Never quotes it.
    pub fn problem(&mut self, place: &str, problem: &str) {
        if self.problems.len() < TOLD {
            self.problems.push(format!("{place}: {problem}"));
        } else {
            self.more += 1;
        }
    }

    /// What the delivery means.
    pub fn finish(self) -> Translation {
        if self.problems.is_empty() {
            return Translation::Events(self.events);
        }
        let mut reason = self.problems.join("; ");
        if self.more > 0 {
            reason.push_str(&format!("; and {} more", self.more));
        }
        Translation::Degraded((self.events, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Kind;

    #[test]
    fn one_bad_element_does_not_take_the_good_ones_with_it() {
        let mut batch = Batch::new();
        batch.push(Event::new(Kind::Message, "a"));
        batch.problem("entry[0]", "has no id");
        batch.push(Event::new(Kind::Message, "b"));
        let Translation::Degraded((events, reason)) = batch.finish() else { panic!("not degraded") };
        assert_eq!(events.len(), 2);
        assert_eq!(reason, "entry[0]: has no id");
    }

    #[test]
    fn a_fact_told_twice_in_one_delivery_is_one_event() {
        let mut batch = Batch::new();
        for key in ["a", "b", "a"] {
            batch.push(Event::new(Kind::Message, key));
        }
        let Translation::Events(events) = batch.finish() else { panic!("degraded") };
        assert_eq!(events.len(), 2);
    }

    #[test]
    fn the_reason_stays_short_however_many_problems_there_are() {
        let mut batch = Batch::new();
        for place in 0..1000 {
            batch.problem(&place.to_string(), "bad");
        }
        let Translation::Degraded((_, reason)) = batch.finish() else { panic!("not degraded") };
        assert_eq!(reason, "0: bad; 1: bad; 2: bad; 3: bad; 4: bad; and 995 more");
    }
}
