//! What the contract leaves open, the kit leaves open: stores that take such a liberty pass.
#![cfg(feature = "testing")]

mod toy;

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Poll, Waker},
    thread,
    time::Duration,
};

use sessile_core::{
    BoxFuture, Cursor, Ended, Error, Expect, Fate, Filter, Page, Put, Record, SessionId, SessionInfo, State,
    Store, Swept, Timestamp, UserSessions, Versioned,
    testing::{self, Broken, Kit, Passed},
};
use toy::Toy;

/// Liberties that stores may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Liberty {
    /// A server goes on with calls that were dropped, in any order.
    WorksElsewhere,
    /// Whatever is due for removal is removed at once, by a server's own expiry.
    Forgets,
    /// Pages are short or empty.
    ShortPages,
    /// A sweep does less than it might.
    SmallSweeps,
}

#[derive(Debug, Clone)]
struct Free {
    toy: Arc<Toy>,
    liberty: Liberty,
    calls: Arc<AtomicU64>,
}

impl Free {
    fn new(liberty: Liberty) -> Self {
        Self { toy: Arc::default(), liberty, calls: Arc::default() }
    }

    fn takes(&self, liberty: Liberty) -> bool {
        self.liberty == liberty
    }

    fn call<T, F, Fut>(&self, now: Option<Timestamp>, work: F) -> BoxFuture<'static, T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Toy>) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send,
    {
        let (toy, number) = (self.toy.clone(), self.calls.fetch_add(1, Ordering::SeqCst));
        let (forgets, elsewhere) = (self.takes(Liberty::Forgets), self.takes(Liberty::WorksElsewhere));
        Box::pin(async move {
            if let Some(now) = now.filter(|_| forgets) {
                toy.sessions().retain(|_, (record, _)| record.fate(now) != Fate::Remove);
            }
            if elsewhere {
                return in_a_thread(Duration::from_micros(number % 7 * 20), move || {
                    testing::block_on(work(toy))
                })
                .await;
            }
            work(toy).await
        })
    }
}

/// Runs `work` to its end, whether somebody still waits for it or not.
async fn in_a_thread<T: Send + 'static>(delay: Duration, work: impl FnOnce() -> T + Send + 'static) -> T {
    let slot = Arc::new(Mutex::new((None, None::<Waker>)));
    let filled = slot.clone();
    thread::spawn(move || {
        thread::sleep(delay);
        let done = work();
        let mut slot = filled.lock().unwrap_or_else(PoisonError::into_inner);
        slot.0 = Some(done);
        slot.1.take().into_iter().for_each(Waker::wake);
    });
    poll_fn(|cx| {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.1 = Some(cx.waker().clone());
        slot.0.take().map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

impl Store for Free {
    fn load<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        let id = *id;
        self.call(None, move |toy| async move { toy.load(&id).await })
    }

    fn put<'a>(
        &'a self,
        id: &'a SessionId,
        record: &'a Record,
        expect: Expect,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Put, Error>> {
        let (id, record) = (*id, record.clone());
        self.call(Some(now), move |toy| async move { toy.put(&id, &record, expect, now).await })
    }

    fn touch<'a>(&'a self, id: &'a SessionId, now: Timestamp) -> BoxFuture<'a, Result<bool, Error>> {
        let id = *id;
        self.call(Some(now), move |toy| async move { toy.touch(&id, now).await })
    }

    fn end<'a>(&'a self, id: &'a SessionId, ended: &'a Ended) -> BoxFuture<'a, Result<bool, Error>> {
        let (id, ended, forgets) = (*id, ended.clone(), self.takes(Liberty::Forgets));
        self.call(Some(ended.at), move |toy| async move {
            let done = toy.end(&id, &ended).await;
            if forgets {
                toy.sessions().retain(|_, (record, _)| record.fate(ended.at) != Fate::Remove);
            }
            done
        })
    }

    fn scan<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<SessionInfo>, Error>> {
        let (filter, after, short) = (filter.clone(), after.cloned(), self.takes(Liberty::ShortPages));
        self.call(Some(now), move |toy| async move {
            if !short {
                return toy.scan(&filter, after.as_ref(), limit, now).await;
            }
            // A page of everything, of which little remains.
            let all = Filter::all().state(State::Any);
            let mut page = toy.scan(&all, after.as_ref(), limit.min(2), now).await?;
            page.items.retain(|info| {
                let record = toy.sessions().get(&info.id).map(|(record, _)| record.clone());
                record.is_some_and(|record| filter.matches(&info.id, &record, now))
            });
            Ok(page)
        })
    }

    fn count<'a>(&'a self, filter: &'a Filter, now: Timestamp) -> BoxFuture<'a, Result<u64, Error>> {
        let filter = filter.clone();
        self.call(Some(now), move |toy| async move { toy.count(&filter, now).await })
    }

    fn users<'a>(
        &'a self,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<UserSessions>, Error>> {
        let after = after.cloned();
        self.call(Some(now), move |toy| async move { toy.users(after.as_ref(), limit, now).await })
    }

    fn end_all<'a>(&'a self, filter: &'a Filter, ended: &'a Ended) -> BoxFuture<'a, Result<u64, Error>> {
        let (filter, ended) = (filter.clone(), ended.clone());
        self.call(Some(ended.at), move |toy| async move { toy.end_all(&filter, &ended).await })
    }

    fn sweep<'a>(&'a self, now: Timestamp, limit: usize) -> BoxFuture<'a, Result<Swept, Error>> {
        let limit = if self.takes(Liberty::SmallSweeps) { limit.min(1) } else { limit };
        self.call(None, move |toy| async move { toy.sweep(now, limit).await })
    }
}

fn run(liberty: Liberty, sequences: u32) -> Result<Passed, Broken> {
    let kit = Kit::new().sequences(sequences);
    testing::block_on(kit.run(|| async { Ok(Free::new(liberty)) }))
}

#[test]
fn a_server_that_goes_on_after_dropped_calls_passes() {
    run(Liberty::WorksElsewhere, 1).unwrap();
}

#[test]
fn a_server_with_an_expiry_of_its_own_passes() {
    run(Liberty::Forgets, 200).unwrap();
}

#[test]
fn short_and_empty_pages_pass() {
    run(Liberty::ShortPages, 50).unwrap();
}

#[test]
fn small_sweeps_pass() {
    run(Liberty::SmallSweeps, 50).unwrap();
}
