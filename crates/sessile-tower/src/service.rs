//! The service: begins an exchange for each request.

use std::task::{Context, Poll};

use http::{Request, Response, header::COOKIE};
use sessile_core::{Error, ErrorKind, Sessions};
use tower_service::Service;

use crate::{
    answer::{Answer, Plain},
    future::ResponseFuture,
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
        let cookies = request.headers().get_all(COOKIE).iter().map(http::HeaderValue::as_bytes);
        let exchange = self.sessions.begin(cookies);
        if request.extensions_mut().insert(exchange.clone()).is_some() {
            return ResponseFuture::refuse(self.answer.clone(), nested());
        }
        ResponseFuture::handle(self.inner.call(request), exchange, self.answer.clone())
    }
}

#[cold]
fn nested() -> Error {
    let detail = "two SessionLayers around one handler: remove one, they would overwrite each other's cookie";
    Error::new(ErrorKind::Config, "layer", detail)
}
