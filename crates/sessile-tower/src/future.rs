//! The response: waits for the handler, then for the commit.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;
use sessile_core::{BoxFuture, Error, Exchange, Head};

use crate::{
    answer::{Answer, refuse},
    deadline::within,
    head,
    scope::{self, Slot},
};

pin_project! {
    /// The response of a [`SessionService`](crate::SessionService).
    pub struct ResponseFuture<F, A, B> {
        #[pin]
        state: State<F, B>,
        answer: A,
    }
}

pin_project! {
    #[project = StateNow]
    enum State<F, B> {
        Handling { #[pin] handler: F, slot: Option<Slot> },
        Finishing { response: Option<Response<B>>, exchange: Exchange, finish: BoxFuture<'static, Result<Head, Error>> },
        Refused { error: Error },
    }
}

impl<F, A, B> ResponseFuture<F, A, B> {
    pub(crate) fn handle(handler: F, slot: Option<Slot>, answer: A) -> Self {
        Self { state: State::Handling { handler, slot }, answer }
    }

    pub(crate) fn refuse(answer: A, error: Error) -> Self {
        Self { state: State::Refused { error }, answer }
    }
}

impl<F, A, B, E> Future for ResponseFuture<F, A, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    A: Answer<B>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateNow::Handling { handler, slot } => {
                    // Without a response there is nothing to save for.
                    let mut response = ready!(scope::enter(slot, || handler.poll(cx)))?;
                    let Some(exchange) = slot.take().and_then(Slot::into_exchange) else {
                        return Poll::Ready(Ok(response));
                    };
                    if let Some(head) = exchange.finish_unchanged() {
                        head::apply(head, response.headers_mut());
                        return Poll::Ready(Ok(response));
                    }
                    let limit = exchange.sessions().policy().store_timeout;
                    let closing = exchange.clone();
                    let finish = Box::pin(async move { within(limit, "save", exchange.finish()).await });
                    State::Finishing { response: Some(response), exchange: closing, finish }
                }
                StateNow::Finishing { response, exchange, finish } => {
                    let head = ready!(finish.as_mut().poll(cx));
                    // Taken once: a future isn't polled after it was ready.
                    let Some(mut response) = response.take() else { unreachable!("polled after ready") };
                    return Poll::Ready(Ok(match head {
                        Ok(head) => {
                            head::apply(head, response.headers_mut());
                            response
                        }
                        Err(error) => {
                            let mut answer = refuse(this.answer, &error);
                            head::apply(exchange.close(), answer.headers_mut());
                            answer
                        }
                    }));
                }
                StateNow::Refused { error } => return Poll::Ready(Ok(refuse(this.answer, error))),
            };
            this.state.set(next);
        }
    }
}

impl<F, A, B> fmt::Debug for ResponseFuture<F, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
