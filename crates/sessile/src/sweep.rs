//! The sweeper on tokio's timer.

use sessile_core::Sessions;

/// Sweeping for ever, on tokio's timer.
pub trait Sweep {
    /// Removes expired sessions for ever, in small batches, through errors too. Spawn it once per
    /// process, or have the layer do it: `SessionLayer::new(sessions).sweeping()`. Any number of
    /// processes may sweep one store.
    ///
    /// ```
    /// use sessile::{Sessions, Sweep, store};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), sessile::Error> {
    /// let sessions = Sessions::new(store::open("memory:").await?);
    /// tokio::spawn(sessions.sweep_forever());
    /// # Ok(()) }
    /// ```
    fn sweep_forever(&self) -> impl Future<Output = ()> + Send + 'static;
}

impl Sweep for Sessions {
    fn sweep_forever(&self) -> impl Future<Output = ()> + Send + 'static {
        self.sweep_with(tokio::time::sleep)
    }
}
