//! Keys are listed while nobody else in this instance uses the key-value store.
//!
//! Spin 4.1 holds its SQLite connection while it gives out keys one by one, and takes it for a `set` by blocking the very task that would
//! read the keys, if both are of one instance: then neither goes on, for ever, nor does any other instance. Our host has no such thing,
//! and gives an instance one request at a time, so there nobody ever waits here.

use core::cell::Cell;
use spin_sdk::wasip3::clocks::monotonic_clock;

/// How long between two looks whether it is one's turn.
const LOOK_NS: u64 = 2_000_000;

thread_local! {
    /// Whether somebody lists, or waits for it; and how many do something else.
    static TAKEN: (Cell<bool>, Cell<u32>) = const { (Cell::new(false), Cell::new(0)) };
}

/// Ends with the turn.
pub(crate) struct Turn {
    alone: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.with(|(listing, others)| {
            if self.alone {
                listing.set(false);
            } else {
                others.set(others.get().saturating_sub(1));
            }
        });
    }
}

/// For everything but listing.
pub(crate) async fn shared() -> Turn {
    while TAKEN.with(|(listing, _)| listing.get()) {
        monotonic_clock::wait_for(LOOK_NS).await;
    }
    TAKEN.with(|(_, others)| others.set(others.get() + 1));
    Turn { alone: false }
}

/// For listing.
pub(crate) async fn alone() -> Turn {
    while TAKEN.with(|(listing, _)| listing.replace(true)) {
        monotonic_clock::wait_for(LOOK_NS).await;
    }
    // Given back also when nobody waits for it any more.
    let turn = Turn { alone: true };
    while TAKEN.with(|(_, others)| others.get() > 0) {
        monotonic_clock::wait_for(LOOK_NS).await;
    }
    turn
}
