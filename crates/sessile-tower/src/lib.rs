//! Sessile for tower: one layer that gives every request its session and commits it before the
//! response's head leaves. With the feature `axum`, extractors for handlers.
//!
//! The layer works for any `Service<http::Request<_>, Response = http::Response<_>>`. Handlers
//! without axum call [`exchange`] and ask it for the [`session`](sessile_core::Exchange::session).
//!
//! A request that doesn't ask for its session costs one small allocation and no store call; its
//! cookies aren't looked at. A response that looked at it gets `Vary: Cookie`; one that sets the cookie gets
//! `Cache-Control: no-store` too, unless it has a private policy of its own.
//!
//! # Features
//! - `axum`: the extractors [`Session`](axum::Session) and `Option<Session>`, and
//!   [`Error`](axum::Error) as an answer.

mod answer;
#[cfg(feature = "axum")]
pub mod axum;
mod deadline;
mod future;
mod head;
mod layer;
mod scope;
mod service;

pub use answer::{Answer, Plain, status};
pub use future::ResponseFuture;
pub use layer::SessionLayer;
pub use scope::exchange;
pub use service::SessionService;
