//! `spin:sqlite`: one writer thread per database file, which commits concurrent writes together, one that moves the log into the file, and a few readers.

mod checkpoint;
mod classify;
mod errors;
mod guest;
mod run;
mod writer;

pub use errors::SqlError;
pub use guest::{SqliteData, SqliteView, add_to_linker};
pub use run::Rows;

use crate::metrics::Metrics;
use anyhow::{Context, Result};
use classify::{Kind, classify};
use guest::bindings::spin::sqlite::sqlite::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
};
use tokio::sync::oneshot;

/// A value bound to a statement or read from a row.
pub type SqlValue = Value;

/// Reader threads of one database. More than the cores there are brings nothing for a page cache in memory.
const READERS: usize = 2;

/// One statement on its way to a thread and its answer on the way back.
pub(crate) struct Task {
    sql: String,
    parameters: Vec<Value>,
    reply: oneshot::Sender<Result<Rows, SqlError>>,
}

/// All databases of an application, by label.
#[derive(Default)]
pub struct Databases {
    by_label: BTreeMap<String, Arc<Database>>,
}

impl Databases {
    /// Opens (and creates) the files `<folder>/<label>.sqlite`.
    pub fn open<'a>(folder: &Path, labels: impl IntoIterator<Item = &'a str>, metrics: &Arc<Metrics>) -> Result<Self> {
        let mut by_label = BTreeMap::new();
        for label in labels {
            if !by_label.contains_key(label) {
                by_label
                    .insert(label.to_owned(), Database::open(label, &folder.join(format!("{label}.sqlite")), metrics)?);
            }
        }
        Ok(Self { by_label })
    }

    /// The database of a label.
    pub fn get(&self, label: &str) -> Option<&Arc<Database>> {
        self.by_label.get(label)
    }

    /// Whether so many bytes more fit on the disk of each file. A disk that can't be asked counts as roomy: writes will tell.
    pub fn have_room(&self, bytes: u64) -> bool {
        self.by_label.values().all(|database| {
            // What an unprivileged writer may use, as `df` shows it.
            rustix::fs::statvfs(&database.file)
                .map_or(true, |disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= bytes)
        })
    }

    /// Writes the log back into the files and closes them. Blocks.
    pub fn close(&self) {
        for database in self.by_label.values() {
            database.close();
        }
    }
}

/// One database file and its threads.
pub struct Database {
    label: String,
    file: PathBuf,
    writer: mpsc::Sender<writer::Job>,
    readers: mpsc::Sender<Task>,
}

impl Database {
    /// Opens (and creates) the file and starts its threads.
    pub fn open(label: &str, file: &Path, metrics: &Arc<Metrics>) -> Result<Arc<Self>> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).with_context(|| {
                format!("can't create the data folder {}: give a writable --data folder", folder.display())
            })?;
        }
        let opened = || run::open(file).map_err(|error| errors::opening(label, file, &error));
        let mut connection = opened()?;
        let turn = checkpoint::install(&mut connection, opened()?, label)?;
        let (writer_sender, writer_jobs) = mpsc::channel();
        writer::start(connection, turn, writer_jobs, label, Arc::clone(metrics))?;
        let (readers, tasks) = mpsc::channel::<Task>();
        let tasks = Arc::new(Mutex::new(tasks));
        for number in 0..READERS {
            let connection = opened()?;
            connection.pragma_update(None, "query_only", true).map_err(|error| errors::opening(label, file, &error))?;
            let (tasks, writer, label) = (Arc::clone(&tasks), writer_sender.clone(), label.to_owned());
            std::thread::Builder::new()
                .name(format!("sqlite-read-{number}"))
                .spawn(move || read(connection, &tasks, &writer, &label))
                .context("can't start a database thread")?;
        }
        Ok(Arc::new(Self { label: label.to_owned(), file: file.to_owned(), writer: writer_sender, readers }))
    }

    /// Where it is.
    pub fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn close(&self) {
        let (done, wait) = mpsc::channel();
        if self.writer.send(writer::Job::Close(done)).is_ok() {
            // An error means the writer is gone already, which is what we want.
            let _ = wait.recv();
        }
    }
}

fn read(
    mut connection: rusqlite::Connection,
    tasks: &Mutex<mpsc::Receiver<Task>>,
    writer: &mpsc::Sender<writer::Job>,
    label: &str,
) {
    let watch = run::Watch::install(&mut connection);
    loop {
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = task else { return };
        match run::is_readonly(&connection, &task.sql) {
            Ok(true) => {
                let result = run::statement(&connection, &watch, &task.sql, &task.parameters);
                // The guest may have gone away meanwhile.
                let _ = task.reply.send(result.map_err(|error| SqlError::new(label, &error)));
            }
            Ok(false) => {
                if let Err(mpsc::SendError(writer::Job::Execute(task))) = writer.send(writer::Job::Execute(task)) {
                    let _ = task.reply.send(Err(SqlError::closed(label)));
                }
            }
            Err(error) => {
                let _ = task.reply.send(Err(SqlError::new(label, &error)));
            }
        }
    }
}

/// What one guest handle knows. Dropping it ends its transaction.
pub struct Handle {
    database: Arc<Database>,
    state: Arc<Mutex<HandleState>>,
}

#[derive(Default)]
struct HandleState {
    /// The way to the writer while a transaction of this handle is open.
    transaction: Option<mpsc::Sender<Task>>,
    changes: u64,
    last_insert_rowid: i64,
}

impl Handle {
    /// A handle without a transaction. Costs nothing.
    pub fn new(database: Arc<Database>) -> Self {
        Self { database, state: Arc::default() }
    }

    /// Rows changed by the last writing statement of this handle.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Row id of the last insert of this handle.
    pub fn last_insert_rowid(&self) -> i64 {
        self.lock().last_insert_rowid
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HandleState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a statement where it belongs; the future waits for its commit.
    pub fn execute(
        &self,
        sql: String,
        parameters: Vec<Value>,
    ) -> impl Future<Output = Result<Rows, SqlError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let sent = self.send(Task { sql, parameters, reply });
        let state = Arc::clone(&self.state);
        let label = self.database.label.clone();
        async move {
            sent?;
            let result = answer.await.unwrap_or_else(|_| Err(SqlError::transaction_gone(&label)));
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            match &result {
                Ok(rows) => {
                    if let Some((changes, rowid)) = rows.written {
                        state.changes = changes;
                        state.last_insert_rowid = rowid;
                    }
                    if !rows.in_transaction {
                        state.transaction = None;
                    }
                }
                Err(error) if !error.in_transaction => state.transaction = None,
                Err(_) => {}
            }
            result
        }
    }

    fn send(&self, task: Task) -> Result<(), SqlError> {
        let label = &self.database.label;
        let closed = || SqlError::closed(label);
        let kind = classify(&task.sql).map_err(|why| SqlError::refused(label, why))?;
        let mut state = self.lock();
        if let Some(transaction) = &state.transaction {
            if transaction.send(task).is_err() {
                state.transaction = None;
                return Err(SqlError::transaction_gone(label));
            }
            return Ok(());
        }
        match kind {
            Kind::Read => self.database.readers.send(task).map_err(|_| closed()),
            Kind::Write => self.database.writer.send(writer::Job::Execute(task)).map_err(|_| closed()),
            Kind::Alone => self.database.writer.send(writer::Job::Alone(task)).map_err(|_| closed()),
            Kind::Begin => {
                let (sender, statements) = mpsc::channel();
                state.transaction = Some(sender);
                self.database.writer.send(writer::Job::Transaction { begin: task, statements }).map_err(|_| closed())
            }
            Kind::End => Err(SqlError::refused(label, "there is no transaction on this connection")),
        }
    }
}
