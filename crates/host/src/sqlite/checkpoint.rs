//! Moves what stands in the log into the database file, on a thread of its own.
//!
//! SQLite's own way is that the commit which makes the log too long moves all of it, and everybody waits for that commit: up to 0.1 s with a page
//! cache in memory. Here a second connection moves it in passes while the writer goes on (a passive checkpoint locks nobody out), and the
//! writer moves the little that came meanwhile, after which SQLite begins the log anew. A longer log also moves a page that was changed
//! often once instead of many times. What is committed is in the log and synced there, so nothing of this decides about durability.

use anyhow::{Context, Result};
use rusqlite::Connection;
use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, TryLockError,
    mpsc::{self, SyncSender},
};

/// Pages of log (4 KiB each) that are left for one pass of the thread.
const PASS: i32 = 1_000;
/// A log of so many pages is begun anew.
const LONG: i32 = 16_000;
/// Pages that the writer moves itself, so that the log can begin anew.
const REST: i32 = 500;
/// At so many it moves all, however long that takes: the thread does not keep up, and the disk would fill.
const TOO_LONG: i32 = 64_000;

/// Held while somebody moves pages: SQLite does not wait for another checkpoint, it gives up. In it, how many pages of the log have been moved.
#[derive(Clone, Default)]
pub(super) struct Turn(Arc<Mutex<i32>>);

impl Turn {
    /// Waits until nobody moves pages.
    pub(super) fn take(&self) -> MutexGuard<'_, i32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing while somebody does.
    fn try_take(&self) -> Option<MutexGuard<'_, i32>> {
        match self.0.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Starts the thread, which works on a connection of its own and ends with the writer's.
pub(super) fn install(writer: &mut Connection, own: Connection, label: &str) -> Result<Turn> {
    let turn = Turn::default();
    // One call in advance is enough: a pass moves all there is.
    let (wake, calls) = mpsc::sync_channel::<()>(1);
    let (ours, label) = (turn.clone(), label.to_owned());
    std::thread::Builder::new()
        .name("sqlite-log".into())
        .spawn(move || {
            while calls.recv().is_ok() {
                let mut moved = ours.take();
                match pass(&own) {
                    Ok(pages) => *moved = pages,
                    Err(error) => tracing::warn!(
                        database = label, %error,
                        "the log was not written back into the file; it grows until that succeeds, so look at the disk's room and health"
                    ),
                }
            }
        })
        .context("can't start a database thread")?;
    let mut log = Log { turn: turn.clone(), wake, length: 0, called: 0, tried: 0, anew: true };
    writer
        .wal_hook(Some(move |wal: &mut Wal, length| {
            log.grew(length, || wal.checkpoint_v2(CheckpointMode::PASSIVE).map(|(_, moved)| moved));
            Ok(())
        }))
        .context("can't watch the database's log")?;
    Ok(turn)
}

/// Pages of the log that are in the file afterwards.
fn pass(connection: &Connection) -> rusqlite::Result<i32> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2))
}

/// What the writer knows of the log.
struct Log {
    turn: Turn,
    wake: SyncSender<()>,
    /// In pages, after the last commit.
    length: i32,
    /// As it was when the thread was called last.
    called: i32,
    /// As it was when the writer moved the rest last; a reader may have kept the log from beginning anew.
    tried: i32,
    /// It has begun anew, and nothing of it has been moved.
    anew: bool,
}

impl Log {
    /// After a commit, with the log's new length. `finish` moves all there is, and gives how many of its pages are in the file.
    fn grew(&mut self, length: i32, finish: impl FnOnce() -> rusqlite::Result<i32>) {
        if length < self.length {
            (self.called, self.tried, self.anew) = (0, 0, true);
        }
        self.length = length;
        if length < LONG && length - self.called < PASS {
            return;
        }
        let Some(mut moved) = self.turn.try_take() else { return };
        if std::mem::take(&mut self.anew) {
            *moved = 0;
        }
        let far = length - self.tried >= REST / 4;
        if far && (length >= TOO_LONG || length >= LONG && length - *moved <= REST) {
            self.tried = length;
            // The commit stands whatever comes of this. What a disk does not take, the thread reports.
            *moved = finish().unwrap_or(*moved);
            return;
        }
        if length - *moved > REST {
            drop(moved);
            // Full: it has been called and has not begun yet.
            let _ = self.wake.try_send(());
            self.called = length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (Log, mpsc::Receiver<()>) {
        let (wake, calls) = mpsc::sync_channel(1);
        (Log { turn: Turn::default(), wake, length: 0, called: 0, tried: 0, anew: true }, calls)
    }

    fn never() -> rusqlite::Result<i32> {
        panic!("the writer moves nothing now")
    }

    #[test]
    fn the_thread_is_called_once_for_each_pass_and_the_writer_moves_only_the_rest_of_a_long_log() {
        let (mut log, calls) = log();
        log.grew(PASS - 1, never);
        assert!(calls.try_recv().is_err(), "too short");
        log.grew(PASS, never);
        log.grew(PASS + 1, never);
        assert!(calls.try_recv().is_ok() && calls.try_recv().is_err(), "once");
        log.grew(LONG, never);
        assert!(calls.try_recv().is_ok(), "most of it is the thread's to move");
        *log.turn.take() = LONG;
        let mut finished = 0;
        for length in LONG + 1..LONG + REST / 4 {
            log.grew(length, || {
                finished += 1;
                Ok(length)
            });
        }
        assert_eq!(finished, 1, "a reader kept the log from beginning anew: not at every commit");
    }

    #[test]
    fn a_log_that_began_anew_is_counted_from_nothing() {
        let (mut log, calls) = log();
        *log.turn.take() = LONG;
        log.length = LONG;
        log.grew(3, never);
        log.grew(PASS + 3, never);
        assert!(calls.try_recv().is_ok());
        assert_eq!(*log.turn.take(), 0, "what was moved of the log before is none of this one's");
    }

    #[test]
    fn while_the_thread_works_the_writer_goes_on_and_a_log_that_is_too_long_is_ended_by_the_writer() {
        let (mut log, calls) = log();
        let turn = log.turn.clone();
        let at_work = turn.take();
        log.grew(TOO_LONG, never);
        drop(at_work);
        let mut moved = false;
        log.grew(TOO_LONG + 1, || {
            moved = true;
            Ok(TOO_LONG + 1)
        });
        assert!(moved && calls.try_recv().is_err());
    }
}
