//! Running futures without a runtime: in parallel, guarded against panics and hanging.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use super::report::{Flaw, Outcome};
use crate::store::BoxFuture;

/// Runs a future on this thread until it is done.
///
/// ```
/// assert_eq!(sessile_core::testing::block_on(async { 1 + 1 }), 2);
/// ```
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// How a future is set running beside others.
pub(super) type Spawn = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// The spawner that needs no runtime: a thread for each future.
pub(super) fn threads(future: BoxFuture<'static, ()>) {
    thread::spawn(|| block_on(future));
}

/// Runs all `tasks` at once and waits for them; the first flaw or panic among them is the outcome.
pub(super) async fn together<T: Send + 'static>(
    spawn: &Spawn,
    tasks: Vec<impl Future<Output = Outcome<T>> + Send + 'static>,
) -> Outcome<Vec<T>> {
    let count = tasks.len();
    let board = Arc::new(Mutex::new(Board { results: Vec::new(), waker: None }));
    for task in tasks {
        let board = board.clone();
        spawn(Box::pin(async move {
            let result = catch_panics(task).await.and_then(|result| result);
            let mut board = lock(&board);
            board.results.push(result);
            board.waker.take().into_iter().for_each(Waker::wake);
        }));
    }
    let results = poll_fn(|cx| {
        let mut board = lock(&board);
        if board.results.len() == count {
            return Poll::Ready(std::mem::take(&mut board.results));
        }
        board.waker = Some(cx.waker().clone());
        Poll::Pending
    });
    results.await.into_iter().collect()
}

struct Board<T> {
    results: Vec<Outcome<T>>,
    waker: Option<Waker>,
}

/// Where parallel tasks wait for each other, round after round, so that they really collide.
pub(super) struct Gate {
    parties: usize,
    arrived: Mutex<(usize, Vec<Waker>)>,
}

impl Gate {
    pub(super) fn new(parties: usize) -> Arc<Self> {
        Arc::new(Self { parties, arrived: Mutex::new((0, Vec::new())) })
    }

    /// Waits until every party has come as often as this one.
    pub(super) async fn pass(&self) {
        let target = {
            let mut arrived = lock(&self.arrived);
            arrived.0 += 1;
            if arrived.0.is_multiple_of(self.parties) {
                arrived.1.drain(..).for_each(Waker::wake);
            }
            arrived.0.next_multiple_of(self.parties)
        };
        poll_fn(|cx| {
            let mut arrived = lock(&self.arrived);
            if arrived.0 >= target {
                return Poll::Ready(());
            }
            arrived.1.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Polls `future` at most `polls` times, then drops it: `None` if it wasn't done by then.
pub(super) async fn cancelled<T>(polls: usize, mut future: BoxFuture<'_, T>) -> Option<T> {
    let mut left = polls;
    poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Turns a panic into a flaw.
pub(super) async fn catch_panics<T>(future: impl Future<Output = T>) -> Outcome<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(payload) => Poll::Ready(Err(Flaw::panic(&*payload))),
    })
    .await
}

/// Gives up on a future that nothing has woken for as long as `patience`.
pub(super) async fn watched<T>(patience: Duration, future: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let watch = Arc::new(Mutex::new(Watch { waiting: None, rang: false }));
    // Dropped at the end, which ends the thread.
    let (_running, done) = mpsc::channel::<()>();
    let alarm = watch.clone();
    thread::spawn(move || {
        while done.recv_timeout(patience / 8) == Err(mpsc::RecvTimeoutError::Timeout) {
            let mut watch = lock(&alarm);
            if watch.waiting.as_ref().is_some_and(|(since, _)| since.elapsed() > patience) {
                watch.rang = true;
                watch.waiting.take().into_iter().for_each(|(_, waker)| waker.wake());
            }
        }
    });

    let mut future = pin!(future);
    poll_fn(|cx| {
        lock(&watch).waiting = None;
        if let Poll::Ready(outcome) = future.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        let mut watch = lock(&watch);
        if watch.rang {
            return Poll::Ready(Err(Flaw::new(format_args!("the store hangs: nothing for {patience:?}"))));
        }
        watch.waiting = Some((Instant::now(), cx.waker().clone()));
        Poll::Pending
    })
    .await
}

struct Watch {
    /// Since when the future waits, and how to wake it; `None` while it runs.
    waiting: Option<(Instant, Waker)>,
    rang: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
