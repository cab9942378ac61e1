//! The heart of Sessile.
mod clock;
mod codec;
mod data;
mod error;
mod filter;
mod record;
mod store;
mod token;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use data::Data;
pub use error::{Error, ErrorKind};
pub use filter::{Filter, Owner, State};
pub use record::{EndReason, Ended, Fate, Lifetime, Previous, Record, SessionInfo, UnknownEndReason};
pub use store::{BoxFuture, Cursor, Expect, Page, Put, Store, Swept, UserSessions, Version, Versioned};
pub use token::{InvalidSessionId, Nonce, SecretHash, SessionId, Token};
