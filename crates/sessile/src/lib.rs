#![cfg_attr(feature = "axum", doc = include_str!("../../../README.md"))]
#![cfg_attr(
    not(feature = "axum"),
    doc = "HTTP sessions for Rust. Enable the feature `axum` for a web application."
)]
//!
//! # Features
//! - `embedded` (default): the built-in database, `embedded:PATH`.
//! - `axum`: the layer and extractors for axum, [`sessile::axum`](axum).
//! - `tower`: the layer alone, for any tower service, [`sessile::tower`](tower).
//! - `testing`: the conformance kit for stores, [`sessile::testing`](testing).

pub mod store;
mod sweep;

#[cfg(feature = "testing")]
pub use sessile_core::testing;
pub use sessile_core::{
    AsKey, Clock, Cookie, EndReason, Ended, Error, ErrorKind, Exchange, Filter, Head, Key, Limits, List,
    ManualClock, Name, Owner, Page, Policy, SameSite, SessionId, SessionInfo, Sessions, SessionsBuilder,
    State, SystemClock, Timestamp, UserSessions,
};
pub use sweep::Sweep;

/// For tower services: the layer, and what handlers without axum need.
#[cfg(feature = "tower")]
pub mod tower {
    pub use sessile_core::Session;
    pub use sessile_tower::{Answer, Plain, ResponseFuture, SessionLayer, SessionService, exchange, status};
}

/// For axum: the layer, the extractors and the error that handlers return.
#[cfg(feature = "axum")]
pub mod axum {
    pub use sessile_tower::{
        SessionLayer,
        axum::{Error, Session},
    };
}
