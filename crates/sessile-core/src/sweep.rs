//! Keeping the store free of the dead: small batches, jitter, and no end at the first error.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use crate::{error::Error, sessions::Sessions, store::Swept};

/// Records handled at once: short enough that no request waits for it.
const BATCH: usize = 500;
/// Between looks when nothing is due.
const EVERY: Duration = Duration::from_secs(60);
/// Between batches while more is due.
const BREATH: Duration = Duration::from_millis(50);
/// The longest wait while the store fails.
const LONGEST: Duration = Duration::from_secs(10 * 60);

impl Sessions {
    /// Removes or entombs at most `limit` records that are due. Any number of nodes may do this
    /// at once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep(&self, limit: usize) -> Result<Swept, Error> {
        self.store().sweep(self.now(), limit).await
    }

    /// Sweeps for ever: 500 records at a time, a look every minute or so, waits that grow while the
    /// store fails. `sleep` is the runtime's: core has no timer. Spawn it once per process.
    ///
    /// ```no_run
    /// # use std::{future::Ready, time::Duration};
    /// # mod tokio { pub mod time { pub async fn sleep(_: std::time::Duration) {} } }
    /// # async fn example(sessions: sessile_core::Sessions) {
    /// sessions.sweep_with(tokio::time::sleep).await;
    /// # }
    /// ```
    pub fn sweep_with<S, F>(&self, sleep: S) -> impl Future<Output = ()> + Send + 'static
    where
        S: Fn(Duration) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send,
    {
        let sessions = self.clone();
        async move {
            let mut failures = 0;
            loop {
                let wait = match sessions.sweep(BATCH).await {
                    Ok(swept) => {
                        failures = 0;
                        if swept.removed + swept.entombed > 0 {
                            tracing::info!(swept.removed, swept.entombed, "swept expired sessions");
                        }
                        if swept.more { BREATH } else { EVERY }
                    }
                    Err(error) => {
                        failures += 1;
                        tracing::warn!(%error, failures, "sweep failed; trying again");
                        BREATH.saturating_mul(1 << failures.min(16)).min(LONGEST)
                    }
                };
                sleep(jitter(wait)).await;
            }
        }
    }
}

/// Between three quarters and five quarters of `wait`, so that nodes don't sweep in step.
fn jitter(wait: Duration) -> Duration {
    let percent = 75 + RandomState::new().hash_one(wait) % 51;
    wait.mul_f64(percent as f64 / 100.0)
}
