//! Sessions on the local disk: [`Embedded`], Sessile's built-in database store.
//!
//! One directory, no server, nothing to configure. What is acknowledged survives `kill -9` and,
//! unless [relaxed](Durability::Relaxed), a power cut; writers that come together share one flush;
//! any number of processes may have it open, so that an operator's command sees the sessions of a
//! running application.
//!
//! ```
//! use sessile_core::{Filter, Store, SystemClock, Clock};
//! use sessile_file::{Durability, Embedded};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("sessions");
//! let store = Embedded::options()
//!     .durability(Durability::EveryCommit)
//!     .max_size(2 << 30)
//!     .open(path)?;
//! # sessile_core::testing::block_on(async {
//! let live = store.count(&Filter::all(), SystemClock.now()).await?;
//! assert_eq!(live, 0);
//! # Ok::<_, sessile_core::Error>(()) })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # The directory
//! `data.mdb` holds the sessions, `lock.mdb` is how processes agree; both are for their owner alone.
//! It must be on a local disk: network file systems don't keep the promises that this is built on.
//! Containers that share it must share their process ids too, or differ in them; else the second
//! gets an error. The file never shrinks; room of removed sessions is used again.
//! [`Embedded::backup`] copies it while it is used; copying the file otherwise needs the application
//! stopped.
//!
//! # Damage
//! Opening reads the whole file once and checks its structure, every record's checksum and that
//! indexes and records agree: a few milliseconds for ten thousand sessions, under a second for a
//! million. A damaged database is refused with an error that says what to do, and is not changed.
//! [`Embedded::repair`] drops damaged records and makes the indexes anew.

mod backup;
mod check;
mod embedded;
mod engine;
mod envelope;
mod failure;
mod handle;
mod index;
mod keys;
mod open;
mod ops;
mod options;
mod query;
mod registry;
mod repair;
mod sweep;
mod tables;
mod writer;

pub use check::Report;
pub use embedded::Embedded;
pub use options::{Durability, Options};
