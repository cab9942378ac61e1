//! Sessions on the local disk: the built-in database store.
//!
//! [`Embedded`] keeps sessions in one directory, with ACID transactions and without a server.

mod check;
mod embedded;
mod engine;
mod envelope;
mod failure;
mod handle;
mod keys;
mod open;
mod ops;
mod options;
mod query;
mod registry;
mod repair;
mod tables;
mod writer;

pub use check::Report;
pub use embedded::Embedded;
pub use options::{Durability, Options};
