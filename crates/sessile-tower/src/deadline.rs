//! A bound on how long a request waits for its store.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use sessile_core::{Error, ErrorKind};
use tokio::{
    runtime::Handle,
    time::{Sleep, sleep},
};

/// The outcome of `work`, or a [`Timeout`](ErrorKind::Timeout) after `limit`. Sets no timer unless
/// `work` has to wait; outside of a tokio runtime there is none to set, so it waits for as long as
/// it takes.
pub(crate) async fn within<T>(
    limit: Duration,
    operation: &'static str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut work = pin!(work);
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = work.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        if timer.is_none() && Handle::try_current().is_ok() {
            timer = Some(Box::pin(sleep(limit)));
        }
        match &mut timer {
            Some(timer) => timer.as_mut().poll(cx).map(|()| Err(late(limit, operation))),
            None => Poll::Pending,
        }
    })
    .await
}

#[cold]
fn late(limit: Duration, operation: &'static str) -> Error {
    let detail =
        format!("the session store did not answer within {limit:?}; whether it did its work is unknown");
    Error::new(ErrorKind::Timeout, operation, detail)
}
