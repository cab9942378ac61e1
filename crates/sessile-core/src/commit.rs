//! Bringing one request's changes into the store: compare and set, and after a lost race again on
//! the fresher record.

use std::{
    future::poll_fn,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    task::Poll,
};

use async_lock::{Mutex, MutexGuard};

use crate::{
    error::{Error, ErrorKind},
    exchange::{Admission, Inner, admit},
    state::{Job, Write},
    store::{Expect, Put},
    token::SessionId,
};

/// How often a commit tries before it gives up with [`ErrorKind::Conflict`]. In one process
/// losers wait for each other, so only races with other processes and newcomers use these up.
const ATTEMPTS: u32 = 64;

impl Inner {
    /// Writes what the handlers did. Cancel-safe: dropped, it has written all of it or nothing.
    pub(crate) async fn commit(&self) -> Result<(), Error> {
        let _one_at_a_time = self.committing.lock().await;
        let (store, policy) = (self.sessions.store(), self.sessions.policy());
        let mut turn: Option<MutexGuard<'_, ()>> = None;
        let mut lost = 0;
        loop {
            let now = self.sessions.now();
            let job = self.state().next_job(policy, now)?;
            let write = match job {
                Job::Done => return Ok(()),
                Job::Touch(id) => {
                    store.touch(&id, now).await?;
                    if self.state().is_dirty() {
                        continue;
                    }
                    return Ok(());
                }
                Job::End(id, reason) => {
                    self.sessions.end(&id, reason, None).await?;
                    self.state().ended();
                    continue;
                }
                Job::Put(write) => write,
            };
            match store.put(&write.id, &write.record, write.expect, now).await? {
                Put::Stored(version) => {
                    match (write.expect, &write.token) {
                        (Expect::Absent, _) => tracing::info!(session.id = %write.id, "session created"),
                        (_, Some(_)) => tracing::info!(session.id = %write.id, "session renewed"),
                        _ => tracing::debug!(session.id = %write.id, "session changed"),
                    }
                    let mut state = self.state();
                    state.stored(write, version, policy, now)?;
                    if state.is_dirty() {
                        // Something was done to the session during the write.
                        continue;
                    }
                    return Ok(());
                }
                Put::Gone => self.state().gone(false, policy, now)?,
                Put::Conflict => {
                    if turn.is_none() {
                        turn = Some(self.sessions.queues().wait(&write.id).await);
                    }
                    self.reload(&write).await?;
                }
            }
            lost += 1;
            if lost >= ATTEMPTS {
                let id = write.id;
                let detail = format!("other requests won the race for session {id} {lost} times; try again");
                return Err(Error::new(ErrorKind::Conflict, "commit", detail));
            }
            pause(lost).await;
        }
    }

    /// Puts the changes on the record that is in the store now.
    async fn reload(&self, write: &Write) -> Result<(), Error> {
        let found = self.sessions.store().load(&write.id).await?;
        let (policy, now) = (self.sessions.policy(), self.sessions.now());
        let alive = found.as_ref().is_some_and(|found| found.record.is_live(now));
        let mut state = self.state();
        // The token was good when it was presented, however long the handler took since.
        let presented_at = state.loaded.unwrap_or(now);
        let tokens = state.tokens().into_iter().flatten().filter(|token| token.id() == write.id);
        let base = found.and_then(|found| {
            tokens.into_iter().find_map(|token| match admit(&token, found.clone(), presented_at, now) {
                Admission::Open(base) => Some(base),
                _ => None,
            })
        });
        match (base, write.expect) {
            (Some(base), Expect::Version(_)) => state.replay(base, policy, now),
            (Some(base), Expect::Absent) => {
                state.adopt(base);
                Ok(())
            }
            (None, Expect::Version(_)) => state.gone(alive, policy, now),
            (None, Expect::Absent) => {
                state.take_another_id();
                Ok(())
            }
        }
    }
}

/// Where losers of one process wait, so that they don't race each other again: first come, first
/// served. Sessions that share a queue by chance only wait a little longer.
#[derive(Debug)]
pub(crate) struct Queues([Mutex<()>; 64]);

impl Default for Queues {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(())))
    }
}

impl Queues {
    async fn wait(&self, id: &SessionId) -> MutexGuard<'_, ()> {
        let queue = usize::from(id.as_bytes()[0]) % self.0.len();
        self.0[queue].lock().await
    }
}

/// Lets others go first: a random number of yields, more after each lost race. Jitter between
/// processes without a timer, which core has none of.
async fn pause(lost: u32) {
    let most = 1_u64 << lost.min(6);
    let mut left = RandomState::new().hash_one(lost) % most;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl crate::session::Session {
    /// Saves now, without waiting for the response: for what happens after its head has left
    /// (streamed bodies, WebSockets, spawned tasks), or to be sure before a long step. What is not
    /// saved after the head is lost, with an error in the log.
    ///
    /// One round trip if there is anything to save. Waits for the store as long as that takes: bound it
    /// with your runtime's timeout.
    ///
    /// # Errors
    /// When the store fails; the changes stay and can be saved again. If it failed without an answer
    /// the changes may have been stored, and saving again does them again: harmless for all but
    /// [`update`](Self::update), which may then count twice. [`ErrorKind::Ended`] if the
    /// session was ended meanwhile.
    pub async fn save(&self) -> Result<(), Error> {
        let inner: &Arc<Inner> = &self.0;
        inner.commit().await
    }
}
