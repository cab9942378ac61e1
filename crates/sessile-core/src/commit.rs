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
    exchange::Inner,
    state::{CookieChange, Job},
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
            let (id, record, expect, token) = match job {
                Job::Done => return Ok(()),
                Job::Touch(id) => {
                    store.touch(&id, now).await?;
                    return Ok(());
                }
                Job::End(id, reason) => {
                    self.sessions.end(&id, reason, None).await?;
                    let mut state = self.state();
                    state.base = None;
                    state.ending = None;
                    state.cookie = Some(CookieChange::Clear);
                    continue;
                }
                Job::Put(id, record, expect, token) => (id, record, expect, token),
            };
            match (store.put(&id, &record, expect, now).await?, expect) {
                (Put::Stored(version), _) => {
                    match (expect, &token) {
                        (Expect::Absent, _) => tracing::info!(session.id = %id, "session created"),
                        (_, Some(_)) => tracing::info!(session.id = %id, "session renewed"),
                        _ => tracing::debug!(session.id = %id, "session changed"),
                    }
                    return self.state().stored(record, version, token, policy, now);
                }
                (Put::Gone, Expect::Version(_)) => self.state().gone(policy, now)?,
                (Put::Conflict, Expect::Version(_)) => {
                    if turn.is_none() {
                        turn = Some(self.sessions.queues().wait(&id).await);
                    }
                    self.reload(&id).await?;
                }
                // 128 random bits were taken already: with the next ones it works.
                (Put::Conflict | Put::Gone, Expect::Absent) => {}
            }
            lost += 1;
            if lost >= ATTEMPTS {
                let detail = format!("other requests won the race for session {id} {lost} times; try again");
                return Err(Error::new(ErrorKind::Conflict, "commit", detail));
            }
            pause(lost).await;
        }
    }

    /// Puts the changes on the record that is in the store now.
    async fn reload(&self, id: &SessionId) -> Result<(), Error> {
        let token = self.state().base.as_ref().map(|base| base.token.clone());
        let found = self.sessions.store().load(id).await?;
        let base = match (token, found) {
            (Some(token), Some(found)) => self.admit(&token, found).await?,
            _ => None,
        };
        let (policy, now) = (self.sessions.policy(), self.sessions.now());
        let mut state = self.state();
        match base {
            Some(base) => state.replay(base, policy, now),
            None => state.gone(policy, now),
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
    /// One round trip if there is anything to save.
    ///
    /// # Errors
    /// When the store fails; the changes stay and can be saved again. [`ErrorKind::Ended`] if the
    /// session was ended meanwhile.
    pub async fn save(&self) -> Result<(), Error> {
        let inner: &Arc<Inner> = &self.0;
        inner.commit().await
    }
}
