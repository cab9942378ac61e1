//! The layer: what an application adds once.

use sessile_core::Sessions;
use tower_layer::Layer;

use crate::{answer::Plain, service::SessionService};

/// Gives every request its session. Add it once, outside of everything that uses sessions.
///
/// ```
/// use sessile_core::{Memory, Sessions};
/// use sessile_tower::SessionLayer;
///
/// let layer = SessionLayer::new(Sessions::new(Memory::new()));
/// ```
///
/// # Panicking handlers
/// What a handler changed before it panicked is not saved, unless a layer inside of this one
/// turned the panic into a response.
#[derive(Debug, Clone)]
pub struct SessionLayer<A = Plain> {
    sessions: Sessions,
    answer: A,
}

impl SessionLayer {
    /// The layer for these sessions.
    #[must_use]
    pub fn new(sessions: Sessions) -> Self {
        Self { sessions, answer: Plain }
    }
}

impl<A> SessionLayer<A> {
    /// Replaces the answer that a client gets when its session could not be saved: a closure
    /// `Fn(&Error) -> Response<B>`, or another [`Answer`](crate::Answer). [`status`](crate::status)
    /// gives the status that the default one would have.
    #[must_use]
    pub fn on_error<N>(self, answer: N) -> SessionLayer<N> {
        SessionLayer { sessions: self.sessions, answer }
    }

    /// Spawns the sweeper, which removes expired sessions as long as the runtime lives.
    ///
    /// # Panics
    /// Outside of a tokio runtime, as `tokio::spawn` does.
    #[must_use]
    pub fn sweeping(self) -> Self {
        tokio::spawn(self.sessions.sweep_with(tokio::time::sleep));
        self
    }
}

impl<S, A: Clone> Layer<S> for SessionLayer<A> {
    type Service = SessionService<S, A>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, self.sessions.clone(), self.answer.clone())
    }
}
