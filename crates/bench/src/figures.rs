//! Latencies and how they are summed up.

use std::time::Duration;

/// What one run of a load gave.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Latency of every answer that was 2xx.
    pub latencies: Vec<Duration>,
    /// Answers that were not 2xx, and requests without an answer.
    pub failures: usize,
    /// Of those, politely turned away: 429 or 503 with `Retry-After`.
    pub refused: usize,
    /// Of those turned away, with a document that the caller hears.
    pub spoken: usize,
    /// How long the load lasted.
    pub elapsed: Duration,
}

impl Figures {
    /// Good answers in a second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The latency that `percent` of the answers did not exceed.
    pub fn percentile(&self, percent: f64) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        let index = (last as f64 * percent / 100.0).round() as usize;
        sorted.get(index).copied().unwrap_or_default()
    }

    /// Adds another client's part.
    pub fn absorb(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.failures += other.failures;
        self.refused += other.refused;
        self.spoken += other.spoken;
        self.elapsed = self.elapsed.max(other.elapsed);
    }
}

impl Figures {
    /// Counts an answer, or that there was none.
    pub fn count(&mut self, answer: Option<Answer>, latency: Duration) {
        match answer {
            Some(Answer::Good) => self.latencies.push(latency),
            other => {
                self.failures += 1;
                if let Some(Answer::Refused { spoken }) = other {
                    self.refused += 1;
                    self.spoken += usize::from(spoken);
                }
            }
        }
    }
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 2xx
    Good,
    /// 429 or 503 that says when to come again; with a document in the provider's words, or without.
    Refused {
        /// Whether there was one.
        spoken: bool,
    },
    /// Anything else.
    Other,
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// `1.23` in milliseconds.
pub fn millis(latency: Duration) -> String {
    format!("{:.2}", latency.as_secs_f64() * 1000.0)
}
