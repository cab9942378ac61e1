//! Group commit: one thread writes; what arrives while it flushes shares the next flush.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use futures_channel::oneshot;
use sessile_core::Error;

use crate::{
    Durability,
    engine::{Engine, Versions},
    failure::Failure,
    ops::Writing,
};

/// Most operations in one transaction: bounds what a crash in it costs, and its latency.
const BATCH: usize = 1000;

/// How late a relaxed commit may reach the disk.
const RELAXED_WINDOW: Duration = Duration::from_secs(1);

/// An operation on its way through the writer.
pub(crate) trait Work: Send {
    /// Does it. May be done again in another transaction if this one fails.
    fn apply(&mut self, writing: &mut Writing<'_, '_>) -> Result<(), Failure>;

    /// Tells whoever waits, once it is committed or has failed.
    fn answer(self: Box<Self>, failed: Option<Error>);

    /// Whether nobody waits any more.
    fn is_abandoned(&self) -> bool;
}

/// An operation and where its outcome goes.
pub(crate) struct Job<T, F> {
    run: F,
    outcome: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

/// Makes work of a closure, and the receiver of what it returns.
pub(crate) fn job<T, F>(run: F) -> (Box<dyn Work>, oneshot::Receiver<Result<T, Error>>)
where
    T: Send + 'static,
    F: FnMut(&mut Writing<'_, '_>) -> Result<T, Failure> + Send + 'static,
{
    let (reply, receiver) = oneshot::channel();
    (Box::new(Job { run, outcome: None, reply }), receiver)
}

impl<T, F> Work for Job<T, F>
where
    T: Send,
    F: FnMut(&mut Writing<'_, '_>) -> Result<T, Failure> + Send,
{
    fn apply(&mut self, writing: &mut Writing<'_, '_>) -> Result<(), Failure> {
        self.outcome = Some(match (self.run)(writing) {
            Ok(value) => Ok(value),
            Err(Failure::Refused(error)) => Err(error),
            Err(error) => return Err(error),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, failed: Option<Error>) {
        let outcome = failed.map(Err).or(self.outcome);
        if let Some(outcome) = outcome {
            // Nobody waits any more: that future was dropped, and may have happened or not.
            let _ = self.reply.send(outcome);
        }
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_canceled()
    }
}

/// Serves `queue` until all its senders are gone and everything queued is committed.
pub(crate) fn run(engine: &Engine, queue: &Receiver<Box<dyn Work>>, durability: Durability) {
    let mut unsynced: Option<Instant> = None;
    let mut batch = Vec::new();
    let mut rhythm = Rhythm::default();
    loop {
        match next(queue, unsynced.map(|since| since + RELAXED_WINDOW)) {
            Next::Work(first) => {
                batch.push(first);
                rhythm.gather(queue, &mut batch);
                batch.retain(|work| !work.is_abandoned());
                let begun = Instant::now();
                let size = batch.len();
                commit(engine, &mut batch);
                rhythm = Rhythm { size, took: begun.elapsed() };
                if durability == Durability::Relaxed {
                    unsynced.get_or_insert_with(Instant::now);
                }
            }
            Next::Sync => {}
            Next::End => break,
        }
        if unsynced.is_some_and(|since| since.elapsed() >= RELAXED_WINDOW) {
            sync(engine);
            unsynced = None;
        }
    }
    if unsynced.is_some() {
        sync(engine);
    }
}

/// How the last commit was: those whom it answered are likely to write again at once.
#[derive(Default)]
struct Rhythm {
    size: usize,
    took: Duration,
}

impl Rhythm {
    /// Takes what is queued. If the last commit had more, waits a moment for the rest, a fraction
    /// of what a flush of its own would cost them; a writer who is alone never waits.
    fn gather(&self, queue: &Receiver<Box<dyn Work>>, batch: &mut Vec<Box<dyn Work>>) {
        let until = Instant::now() + self.took / 4;
        loop {
            batch.extend(queue.try_iter().take(BATCH - batch.len()));
            if batch.len() >= self.size.min(BATCH) || Instant::now() >= until {
                return;
            }
            thread::yield_now();
        }
    }
}

enum Next {
    Work(Box<dyn Work>),
    Sync,
    End,
}

fn next(queue: &Receiver<Box<dyn Work>>, sync_at: Option<Instant>) -> Next {
    let Some(sync_at) = sync_at else {
        return queue.recv().map_or(Next::End, Next::Work);
    };
    match queue.recv_timeout(sync_at.saturating_duration_since(Instant::now())) {
        Ok(work) => Next::Work(work),
        Err(RecvTimeoutError::Timeout) => Next::Sync,
        Err(RecvTimeoutError::Disconnected) => Next::End,
    }
}

/// Commits all of `batch` at once and answers; if that fails, each by itself, so that only the
/// culprit gets the error.
fn commit(engine: &Engine, batch: &mut Vec<Box<dyn Work>>) {
    if batch.is_empty() {
        return;
    }
    let alone = batch.len() == 1;
    match attempt(engine, batch) {
        Ok(()) => batch.drain(..).for_each(|work| work.answer(None)),
        Err(failure) if alone => {
            let error = failure.into_error("write", engine.path());
            let mut failed = Some(error);
            batch.drain(..).for_each(|work| work.answer(failed.take()));
        }
        Err(_) => {
            engine.forget_dead_readers();
            for work in batch.drain(..) {
                commit(engine, &mut vec![work]);
            }
        }
    }
}

fn attempt(engine: &Engine, batch: &mut [Box<dyn Work>]) -> Result<(), Failure> {
    engine.write(|txn| {
        let versions = Versions::new(txn);
        let mut writing = Writing { engine, txn, versions };
        batch.iter_mut().try_for_each(|work| work.apply(&mut writing))
    })
}

fn sync(engine: &Engine) {
    // A failure shows at the next commit, which writes through the same file.
    let _ = engine.env.force_sync();
}
