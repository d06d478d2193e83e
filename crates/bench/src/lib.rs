//! What the benchmark's programs share. `cargo xtask bench` runs them; the results are in `docs/performance.md`.
//!
//! Figures of different machines or runs are not comparable, so everything is measured beside its rival in one run,
//! in turn, and reported as a ratio.

pub mod calls;
pub mod figures;
pub mod load;
pub mod postgres;
pub mod process;
pub mod stores;
