//! A bound on how long a request waits for its store.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use sessile_core::{Error, ErrorKind};
use tokio::{
    runtime::Handle,
    time::{Sleep, sleep},
};

/// The outcome of `work`, or a [`Timeout`](ErrorKind::Timeout) after `limit`. Sets no timer unless
/// `work` has to wait; outside of a tokio runtime there is none to set, so it waits for as long as
/// it takes.
pub(crate) fn within<F>(limit: Duration, operation: &'static str, work: F) -> Within<F> {
    Within { work, timer: None, limit, operation }
}

pin_project! {
    /// A type of its own because an `async fn` would hold `work` twice.
    pub(crate) struct Within<F> {
        #[pin]
        work: F,
        timer: Option<Pin<Box<Sleep>>>,
        limit: Duration,
        operation: &'static str,
    }
}

impl<T, F: Future<Output = Result<T, Error>>> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(outcome) = this.work.poll(cx) {
            return Poll::Ready(outcome);
        }
        if this.timer.is_none() && Handle::try_current().is_ok() {
            *this.timer = Some(Box::pin(sleep(*this.limit)));
        }
        match this.timer {
            Some(timer) => timer.as_mut().poll(cx).map(|()| Err(late(*this.limit, this.operation))),
            None => Poll::Pending,
        }
    }
}

#[cold]
fn late(limit: Duration, operation: &'static str) -> Error {
    let detail =
        format!("the session store did not answer within {limit:?}; whether it did its work is unknown");
    Error::new(ErrorKind::Timeout, operation, detail)
}
