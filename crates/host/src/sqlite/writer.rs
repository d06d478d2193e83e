//! The one thread that writes to a database file.
//!
//! Statements that wait while another commit syncs the disk are committed together, with one sync. Nothing is answered
//! before its commit. A statement that fails fails alone; if SQLite rolls the whole transaction back because of it, or
//! the commit finds a violated deferred constraint, the others, which nobody has been told about, are run again one by one.

use super::{Rows, SqlError, Task, checkpoint::Turn, classify, run};
use crate::metrics::Metrics;
use anyhow::{Context, Result};
use rusqlite::{Connection, ErrorCode};
use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

/// Statements of one commit at most, so that the first does not wait for too many others.
const GROUP: usize = 256;
/// Pages a group may change before they are written ahead of its commit.
const CACHE_KIB: i64 = 8 << 10;
/// A guest's transaction that does nothing for so long is rolled back: it keeps everybody else from writing.
const TRANSACTION_IDLE: Duration = Duration::from_secs(5);
/// A guest's transaction in all.
const TRANSACTION_TIME: Duration = Duration::from_secs(30);

/// What the writer is asked to do.
pub(super) enum Job {
    /// One statement, together with others.
    Execute(Task),
    /// One statement outside any transaction.
    Alone(Task),
    /// A guest's own transaction; it ends when its statements do.
    Transaction {
        /// The statement that begins it.
        begin: Task,
        /// What follows, until the sender is dropped.
        statements: mpsc::Receiver<Task>,
    },
    /// Write the log back into the file and stop.
    Close(mpsc::Sender<()>),
}

/// Starts the thread.
pub(super) fn start(
    mut connection: Connection,
    turn: Turn,
    jobs: mpsc::Receiver<Job>,
    label: &str,
    metrics: Arc<Metrics>,
) -> Result<()> {
    let label = label.to_owned();
    std::thread::Builder::new()
        .name("sqlite-write".into())
        .spawn(move || {
            let watch = run::Watch::install(&mut connection);
            if let Err(error) = connection.pragma_update(None, "cache_size", -CACHE_KIB) {
                tracing::warn!(database = label, %error, "the page cache keeps its default size: large commits are slower");
            }
            let done = Writer { connection: &connection, turn: &turn, watch, label: &label, metrics: &metrics }.serve(&jobs);
            let nobody_else = turn.take();
            if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
                tracing::warn!(database = label, %error, "the log was not written back into the file; the next start does it");
            }
            drop(nobody_else);
            drop(connection);
            if let Some(done) = done {
                let _ = done.send(());
            }
        })
        .context("can't start a database thread")?;
    Ok(())
}

struct Writer<'a> {
    connection: &'a Connection,
    turn: &'a Turn,
    watch: run::Watch,
    label: &'a str,
    metrics: &'a Metrics,
}

impl Writer<'_> {
    fn serve(&self, jobs: &mpsc::Receiver<Job>) -> Option<mpsc::Sender<()>> {
        let mut next = jobs.recv().ok();
        while let Some(job) = next.take() {
            match job {
                Job::Execute(first) => {
                    let mut group = vec![first];
                    while group.len() < GROUP {
                        match jobs.try_recv() {
                            Ok(Job::Execute(task)) => group.push(task),
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.metrics.sqlite_group(self.label, group.len());
                    self.group(group);
                }
                Job::Alone(task) => {
                    // It may be a checkpoint (docs/privacy.md), which gives up while another one runs.
                    let nobody_else = self.turn.take();
                    self.alone(task);
                    drop(nobody_else);
                }
                Job::Transaction { begin, statements } => self.transaction(begin, &statements),
                Job::Close(done) => return Some(done),
            }
            if next.is_none() {
                next = jobs.recv().ok();
            }
        }
        None
    }

    fn run(&self, task: &Task) -> rusqlite::Result<Rows> {
        run::statement(self.connection, &self.watch, &task.sql, &task.parameters)
    }

    /// The receiver of a reply may be gone: the guest trapped or its client went away.
    fn answer(&self, task: Task, result: Result<Rows, &rusqlite::Error>) {
        let in_transaction = !self.connection.is_autocommit();
        let result = result.map_err(|error| SqlError { in_transaction, ..SqlError::new(self.label, error) });
        let _ = task.reply.send(result);
    }

    fn alone(&self, mut task: Task) {
        if let Some(question) = classify::pragma_as_question(&task.sql) {
            task.sql = question;
        }
        let result = self.run(&task);
        self.answer(task, result.as_ref().map(Clone::clone));
    }

    /// Each in its own transaction.
    fn one_by_one(&self, tasks: impl IntoIterator<Item = Task>) {
        for task in tasks {
            let result = self.run(&task);
            self.answer(task, result.as_ref().map(Clone::clone));
        }
    }

    fn group(&self, tasks: Vec<Task>) {
        if tasks.len() == 1 {
            return self.one_by_one(tasks);
        }
        if let Err(error) = self.connection.execute_batch("BEGIN IMMEDIATE") {
            return tasks.into_iter().for_each(|task| self.answer(task, Err(&error)));
        }
        let mut done: Vec<(Task, rusqlite::Result<Rows>)> = Vec::with_capacity(tasks.len());
        let mut tasks = tasks.into_iter();
        while let Some(task) = tasks.next() {
            let result = self.run(&task);
            if self.connection.is_autocommit() {
                // SQLite rolled everything back (RAISE(ROLLBACK), a full disk, an interrupt …): only this one is to blame.
                self.answer(task, result.as_ref().map(Clone::clone));
                return self.one_by_one(done.into_iter().map(|(task, _)| task).chain(tasks));
            }
            done.push((task, result.map(|rows| Rows { in_transaction: false, ..rows })));
        }
        match self.connection.execute_batch("COMMIT") {
            Ok(()) => done.into_iter().for_each(|(task, result)| match result {
                Ok(rows) => self.answer(task, Ok(rows)),
                Err(error) => self.answer(task, Err(&error)),
            }),
            Err(error) => {
                self.roll_back();
                let tasks = done.into_iter().map(|(task, _)| task);
                if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) {
                    return self.one_by_one(tasks);
                }
                tasks.for_each(|task| self.answer(task, Err(&error)));
            }
        }
    }

    fn transaction(&self, begin: Task, statements: &mpsc::Receiver<Task>) {
        let deadline = Instant::now() + TRANSACTION_TIME;
        self.alone(begin);
        while !self.connection.is_autocommit() {
            let patience = TRANSACTION_IDLE.min(deadline.saturating_duration_since(Instant::now()));
            match statements.recv_timeout(patience) {
                Ok(task) => self.alone(task),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    tracing::warn!(
                        database = self.label,
                        "a component's transaction stayed open too long and was rolled back"
                    );
                    break;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        self.roll_back();
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(database = self.label, %error, "a transaction can't be rolled back");
        }
    }
}
