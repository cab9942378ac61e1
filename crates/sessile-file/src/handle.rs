//! What all handles to one database share: the engine and the two threads that serve it.

use std::{
    io,
    sync::{Arc, OnceLock, mpsc},
    thread::{self, JoinHandle},
};

use futures_channel::oneshot;
use sessile_core::{Error, ErrorKind};

use crate::{
    Durability, Options,
    engine::{Engine, Reading, Tables},
    failure::{Failure, stopped},
    writer::{self, Work},
};

type Query = Box<dyn FnOnce(&Engine) + Send>;

/// An open database with its threads. Dropped with the last [`Embedded`](crate::Embedded).
pub(crate) struct Handle {
    pub(crate) engine: Arc<Engine>,
    pub(crate) options: Options,
    writer: Thread<Box<dyn Work>>,
    /// Started by the first list or count.
    reader: OnceLock<Thread<Query>>,
}

impl Handle {
    pub(crate) fn new(engine: Engine, options: Options) -> Result<Self, Error> {
        let engine = Arc::new(engine);
        let durability = options.durability.unwrap_or_default();
        let serve = move |engine: &Engine, queue: &mpsc::Receiver<_>| writer::run(engine, queue, durability);
        let writer = Thread::start("sessile-writer", &engine, serve)?;
        Ok(Self { engine, options, writer, reader: OnceLock::new() })
    }

    /// Queues `work` for the writer.
    pub(crate) fn write(&self, work: Box<dyn Work>) -> Result<(), ()> {
        self.writer.send(work)
    }

    /// Runs `query` in a read transaction on the reader's thread.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        query: impl FnOnce(&Tables, &Reading<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        self.query(move |engine| engine.read(operation, |txn| query(&engine.tables, txn))).await
    }

    /// Runs `query` on the reader's thread.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Engine) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, outcome) = oneshot::channel();
        let run = move |engine: &Engine| {
            if !reply.is_canceled() {
                let _ = reply.send(query(engine));
            }
        };
        let lost = || stopped("read", self.engine.path());
        self.reader()?.send(Box::new(run)).map_err(|()| lost())?;
        outcome.await.map_err(|_| lost())?
    }

    fn reader(&self) -> Result<&Thread<Query>, Error> {
        if let Some(reader) = self.reader.get() {
            return Ok(reader);
        }
        let started = Thread::start("sessile-reader", &self.engine, |engine, queue| {
            queue.iter().for_each(|query: Query| query(engine));
        })?;
        // Two may start one at once; the one that comes second ends at once, idle.
        Ok(self.reader.get_or_init(|| started))
    }

    pub(crate) fn durability(&self) -> Durability {
        self.options.durability.unwrap_or_default()
    }
}

/// A thread that serves a queue. Dropping it lets the thread finish what is queued, and waits.
struct Thread<T> {
    queue: Option<mpsc::Sender<T>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Thread<T> {
    fn start(
        name: &str,
        engine: &Arc<Engine>,
        serve: impl FnOnce(&Engine, &mpsc::Receiver<T>) + Send + 'static,
    ) -> Result<Self, Error> {
        let (sender, queue) = mpsc::channel();
        let engine = Arc::clone(engine);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || serve(&engine, &queue))
            .map_err(no_thread)?;
        Ok(Self { queue: Some(sender), thread: Some(thread) })
    }

    fn send(&self, item: T) -> Result<(), ()> {
        self.queue.as_ref().ok_or(())?.send(item).map_err(drop)
    }
}

impl<T> Drop for Thread<T> {
    fn drop(&mut self) {
        self.queue = None;
        // A waker may drop the last handle on this very thread: it can't wait for itself.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

fn no_thread(source: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "open", "the system gave no thread for the database")
        .with_source(source)
}
