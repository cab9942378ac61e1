//! For axum: the session as an extractor, the error as an answer.
//!
//! ```
//! use axum::{Router, routing::get};
//! use sessile_core::{Key, Memory, Sessions};
//! use sessile_tower::{SessionLayer, axum::{Error, Session}};
//!
//! const VISITS: Key<u64> = Key::new("visits");
//!
//! async fn index(session: Session) -> Result<String, Error> {
//!     let visits = session.update(VISITS, |visits| visits.unwrap_or(0) + 1)?;
//!     Ok(format!("visit {visits}"))
//! }
//!
//! let sessions = Sessions::new(Memory::new());
//! let app: Router = Router::new().route("/", get(index)).layer(SessionLayer::new(sessions));
//! ```

use std::{fmt, ops::Deref};

use axum_core::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;
use sessile_core::ErrorKind;

use crate::{
    answer::{log, prepare},
    deadline::within,
    scope::exchange,
};

/// The request's [`Session`](sessile_core::Session), loaded once per request, by the first
/// extractor that asks.
///
/// Without a live session the handle is empty, and using it begins one. `Option<Session>` is `None`
/// then, but never because the store failed: that is an answer 503.
#[derive(Debug, Clone)]
pub struct Session(pub sessile_core::Session);

impl Deref for Session {
    type Target = sessile_core::Session;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let exchange = exchange(&parts.headers, &parts.extensions)?;
        let limit = exchange.sessions().policy().store_timeout;
        Ok(Self(within(limit, "load", exchange.session()).await?))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Error> {
        let session = <Self as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Ok(session.exists().then_some(session))
    }
}

/// A session's error as an answer: the [`status`](crate::status) and a sentence without internals,
/// which go to the log. Made by `?` from any [`sessile_core::Error`].
pub struct Error(pub sessile_core::Error);

impl From<sessile_core::Error> for Error {
    fn from(error: sessile_core::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        log(&self.0);
        let text = match self.0.kind() {
            _ if self.0.is_transient() => "Sessions are unavailable at the moment. Please try again.\n",
            ErrorKind::Config => "No SessionLayer around this handler: the application is set up wrongly.\n",
            ErrorKind::Ended => "The session was ended while this request ran.\n",
            ErrorKind::TooLarge => "Too much for one session.\n",
            _ => "The session could not be used.\n",
        };
        prepare(text.into_response(), &self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
