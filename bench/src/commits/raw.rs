//! The embedded store's engine used directly: one thread that gathers writes as the store's does,
//! puts them and commits. Nothing is compared, checked, numbered or looked up in indexes.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, types::Bytes};
use sessile::SessionId;
use tokio::sync::oneshot;

use super::{Plan, Writer};

/// Address space, as much as the store takes.
const MAP_SIZE: usize = 18 << 30;
/// How long a commit waits for more writes: only at the end of a window are there none.
const PATIENCE: Duration = Duration::from_millis(20);

/// A database with its writing thread, which ends with the last clone.
#[derive(Clone)]
pub struct Raw {
    queue: mpsc::Sender<Write>,
    engine: Arc<Engine>,
}

struct Engine {
    env: Env,
    records: Database<'static, Bytes, Bytes>,
    /// Writes that a commit waits for.
    batch: AtomicUsize,
    commits: AtomicU64,
}

struct Write {
    id: SessionId,
    value: Vec<u8>,
    done: oneshot::Sender<()>,
}

impl Raw {
    /// Opens a store's database as the store does.
    pub fn open(path: &Path) -> Result<Self> {
        let mut options = EnvOpenOptions::new();
        options.max_dbs(8).map_size(MAP_SIZE);
        // SAFETY: the file is this run's own, and the store has closed it.
        #[allow(unsafe_code)]
        let env = unsafe { options.flags(EnvFlags::NO_READ_AHEAD).open(path)? };
        let txn = env.read_txn()?;
        let records = env.open_databases_and_commit(txn, |opener, txn| {
            let records = opener.open_database(txn, Some("records"))?;
            Ok::<_, heed::Error>(records.map_or(CommitOrAbort::Abort(()), CommitOrAbort::Commit))
        })?;
        let records = records.commit().context("no records in the store's database")?;
        let (batch, commits) = (AtomicUsize::new(1), AtomicU64::new(0));
        let engine = Arc::new(Engine { env, records, batch, commits });
        let (queue, writes) = mpsc::channel();
        let writer = Arc::clone(&engine);
        thread::spawn(move || {
            if let Err(error) = writer.serve(&writes) {
                eprintln!("the engine failed: {error}");
            }
        });
        Ok(Self { queue, engine })
    }

    /// From now on a commit has as many writes.
    pub fn gather(&self, batch: usize) {
        self.engine.batch.store(batch, Relaxed);
    }

    /// Writes, and returns when it is committed.
    async fn put(&self, id: SessionId, value: Vec<u8>) -> Result<()> {
        let (done, committed) = oneshot::channel();
        self.queue.send(Write { id, value, done }).ok().context("the engine has failed")?;
        Ok(committed.await?)
    }

    fn get(&self, id: &SessionId) -> Result<Vec<u8>> {
        let txn = self.engine.env.read_txn()?;
        let value = self.engine.records.get(&txn, id.as_bytes())?;
        Ok(value.context("a session is missing")?.to_vec())
    }
}

impl Engine {
    fn serve(&self, queue: &mpsc::Receiver<Write>) -> heed::Result<()> {
        let mut batch = Vec::new();
        while let Ok(first) = queue.recv() {
            batch.push(first);
            self.fill(&mut batch, queue);
            let mut txn = self.env.write_txn()?;
            for write in &batch {
                self.records.put(&mut txn, write.id.as_bytes(), &write.value)?;
            }
            txn.commit()?;
            self.commits.fetch_add(1, Relaxed);
            for write in batch.drain(..) {
                // Whoever has stopped waiting needs no answer.
                let _ = write.done.send(());
            }
        }
        Ok(())
    }

    /// Spins for the rest of the batch, as the store's writer does.
    fn fill(&self, batch: &mut Vec<Write>, queue: &mpsc::Receiver<Write>) {
        let (size, until) = (self.batch.load(Relaxed), Instant::now() + PATIENCE);
        loop {
            batch.extend(queue.try_iter().take(size.saturating_sub(batch.len())));
            if batch.len() >= size || Instant::now() >= until {
                return;
            }
            thread::yield_now();
        }
    }
}

/// Writes the bytes of a session's record as they were, but for the stamp.
pub struct Direct {
    raw: Raw,
    ids: Vec<SessionId>,
    value: Vec<u8>,
    written: u64,
}

impl Direct {
    /// All writers.
    pub fn all(raw: &Raw, plan: &Plan) -> Result<Vec<Self>> {
        let writer = |ids: Vec<SessionId>| {
            let value = raw.get(ids.first().context("a writer without a session")?)?;
            Ok(Self { raw: raw.clone(), ids, value, written: 0 })
        };
        plan.shares().map(writer).collect()
    }
}

impl Writer for Direct {
    async fn write(&mut self) -> Result<()> {
        stamp(&mut self.value, self.written);
        let id = self.ids[self.written as usize % self.ids.len()];
        self.raw.put(id, self.value.clone()).await?;
        self.written += 1;
        Ok(())
    }

    fn commits(&self) -> u64 {
        self.raw.engine.commits.load(Relaxed)
    }

    async fn check(&self) -> Result<()> {
        let last = self.written.checked_sub(1).context("nothing was written")?;
        let id = &self.ids[last as usize % self.ids.len()];
        ensure!(self.raw.get(id)? == self.value, "session {id} is another");
        Ok(())
    }
}

/// Makes a value differ from the last one.
pub fn stamp(value: &mut [u8], number: u64) {
    if let Some(end) = value.last_chunk_mut() {
        *end = number.to_be_bytes();
    }
}
