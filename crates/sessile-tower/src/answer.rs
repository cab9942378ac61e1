//! What the client hears when its session could not be had or saved.

use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, RETRY_AFTER, VARY},
};
use sessile_core::{Error, ErrorKind};

/// Makes the answer that replaces a response whose session could not be saved.
///
/// Any `Fn(&Error) -> Response<B>` does; [`Plain`] is the default.
pub trait Answer<B> {
    /// The answer. The layer adds `Cache-Control: no-store` and `Vary: Cookie`.
    fn answer(&self, error: &Error) -> Response<B>;
}

/// An empty body and the [`status`], with `Retry-After: 1` if trying again can help.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl<B: Default> Answer<B> for Plain {
    fn answer(&self, error: &Error) -> Response<B> {
        prepare(Response::new(B::default()), error)
    }
}

impl<B, F: Fn(&Error) -> Response<B>> Answer<B> for F {
    fn answer(&self, error: &Error) -> Response<B> {
        self(error)
    }
}

/// The status that an error deserves: 503 if trying again can help, 409 if the session was ended
/// meanwhile, 413 over a limit on data, else 500.
#[must_use]
pub fn status(error: &Error) -> StatusCode {
    match error.kind() {
        _ if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Ended => StatusCode::CONFLICT,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Sets status and `Retry-After`.
pub(crate) fn prepare<B>(mut response: Response<B>, error: &Error) -> Response<B> {
    *response.status_mut() = status(error);
    if error.is_transient() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Logs the error and makes the answer, which no cache may keep.
pub(crate) fn refuse<B>(answer: &impl Answer<B>, error: &Error) -> Response<B> {
    log(error);
    let mut response = answer.answer(error);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().append(VARY, HeaderValue::from_static("Cookie"));
    response
}

/// The whole error goes to the log; the client hears a status.
pub(crate) fn log(error: &Error) {
    let source = std::error::Error::source(error).map(tracing::field::display);
    match error.kind() {
        ErrorKind::Ended | ErrorKind::TooLarge => tracing::warn!(%error, source, "session not saved"),
        _ => tracing::error!(%error, source, "session failed"),
    }
}
