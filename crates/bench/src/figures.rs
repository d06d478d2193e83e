//! Latencies and how they are summed up.

use std::time::Duration;

/// What one run of a load gave.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Latency of every answer that was 2xx.
    pub latencies: Vec<Duration>,
    /// Answers that were not 2xx, and requests without an answer.
    pub failures: usize,
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
        self.elapsed = self.elapsed.max(other.elapsed);
    }
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
