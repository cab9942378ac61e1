//! Serving until Ctrl-C or a request to terminate, then ending without cutting anybody off.

use std::{io, pin::pin, time::Duration};

use axum::Router;
use tokio::{sync::oneshot, time::sleep};

use crate::{demo::listen::Loopback, failure::Failure, output::say};

/// How long requests may take to finish: the lab's slowest take ten seconds.
const GRACE: Duration = Duration::from_secs(12);

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Every request was answered, or had [`GRACE`] to be.
    Gently,
    /// Asked a second time: not a moment longer.
    AtOnce,
}

/// Serves `app` until a signal comes.
pub(super) async fn serve(loopback: Loopback, app: Router, mut signals: Signals) -> Result<Stopped, Failure> {
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = axum::serve(loopback, app).with_graceful_shutdown(async move {
        // Told to stop, or nobody is left who could tell.
        let _either = stopped.await;
    });
    let mut serving = pin!(serving.into_future());
    tokio::select! {
        ended = &mut serving => return finished(ended),
        () = signals.next() => {}
    }
    say("\nFinishing what is under way. Ctrl-C again stops at once.");
    drop(stop);
    tokio::select! {
        ended = &mut serving => finished(ended),
        () = sleep(GRACE) => Ok(Stopped::Gently),
        () = signals.next() => Ok(Stopped::AtOnce),
    }
}

fn finished(ended: io::Result<()>) -> Result<Stopped, Failure> {
    ended
        .map(|()| Stopped::Gently)
        .map_err(|error| Failure::new(format!("the server stopped by itself: {error}")))
}

/// Ctrl-C and, on Unix, SIGTERM. From its making on, neither kills the process.
#[derive(Debug)]
pub(super) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    pub(super) fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen =
            |kind| signal(kind).map_err(|error| Failure::new(format!("can't listen for Ctrl-C: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "can't listen for Ctrl-C");
            std::future::pending::<()>().await;
        }
    }
}
