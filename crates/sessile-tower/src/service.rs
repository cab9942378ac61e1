//! The service: gives each request its slot.

use std::task::{Context, Poll};

use http::{Request, Response};
use sessile_core::{Error, ErrorKind, Sessions};
use tower_service::Service;

use crate::{
    answer::{Answer, Plain},
    future::ResponseFuture,
    scope::{self, Layered, Slot},
};

/// A service whose requests have sessions; made by [`SessionLayer`](crate::SessionLayer).
#[derive(Debug, Clone)]
pub struct SessionService<S, A = Plain> {
    inner: S,
    sessions: Sessions,
    answer: A,
}

impl<S, A> SessionService<S, A> {
    pub(crate) fn new(inner: S, sessions: Sessions, answer: A) -> Self {
        Self { inner, sessions, answer }
    }
}

impl<S, A, Q, B> Service<Request<Q>> for SessionService<S, A>
where
    S: Service<Request<Q>, Response = Response<B>>,
    A: Answer<B> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, A, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        let number = Layered::new();
        if request.extensions_mut().insert(number).is_some() {
            return ResponseFuture::refuse(self.answer.clone(), nested());
        }
        let mut slot = Some(Slot::new(self.sessions.clone(), number));
        let handler = scope::enter(&mut slot, || self.inner.call(request));
        ResponseFuture::handle(handler, slot, self.answer.clone())
    }
}

#[cold]
fn nested() -> Error {
    let detail = "two SessionLayers around one handler: remove one, they would overwrite each other's cookie";
    Error::new(ErrorKind::Config, "layer", detail)
}
