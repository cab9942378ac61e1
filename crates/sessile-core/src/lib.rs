//! The heart of Sessile: HTTP sessions that are never lost, never overwritten by a neighbour and
//! never alive after they were ended.
//!
//! Data flows one way: `Cookie` header → [`Token`] → [`Store::load`] → [`Session`] → change → plan →
//! [`Store::put`] → `Set-Cookie`. This crate holds all of it but I/O: no runtime, no web framework,
//! no server's protocol. Applications use the crate `sessile`; this one is for those who write a
//! store (see [`Store`] and the conformance kit, feature `testing`) or an adapter to a framework
//! (see [`Sessions::begin`] and [`Exchange`]).
//!
//! # Features
//! - `testing`: the conformance kit that proves a [`Store`] right.

mod change;
mod clock;
mod codec;
mod commit;
mod cookie;
mod data;
mod error;
mod exchange;
mod filter;
mod key;
mod list;
mod memory;
mod plan;
mod policy;
mod random;
mod record;
mod session;
mod sessions;
mod state;
mod store;
mod sweep;
#[cfg(feature = "testing")]
pub mod testing;
mod token;
mod value;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use cookie::{Cookie, SameSite};
pub use data::Data;
pub use error::{Error, ErrorKind};
pub use exchange::{Exchange, Head};
pub use filter::{Filter, Owner, State};
pub use key::{AsKey, Key, Name};
pub use list::List;
pub use memory::{Memory, MemoryBuilder, WhenFull};
pub use policy::{Limits, Policy};
pub use record::{EndReason, Ended, Fate, Lifetime, Previous, Record, SessionInfo, UnknownEndReason};
pub use session::Session;
pub use sessions::{Sessions, SessionsBuilder};
pub use store::{BoxFuture, Cursor, Expect, Page, Put, Store, Swept, UserSessions, Version, Versioned};
pub use token::{InvalidSessionId, Nonce, SecretHash, SessionId, Token};
