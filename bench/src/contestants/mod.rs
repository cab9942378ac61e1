//! The applications under test: one file each, one line each in [`ALL`].
//!
//! They serve the same four routes, do the same work and send the same bodies, so that the
//! difference between two of them is the session library:
//!
//! | route | what the handler does | body |
//! |---|---|---|
//! | `/none` | nothing with the session, though the request carries its cookie | `ok` |
//! | `/read` | reads `n` | `n` |
//! | `/write` | sets `n` to `n + 1` | the new `n` |
//! | `/new` | begins a session holding `user`, `n = 0` and `payload` | `ok` |
//!
//! `/read` and `/write` answer with a failing status when the session isn't there, and the load
//! generator counts that: nobody can be fast by forgetting.

mod axum_session;
mod bare;
mod sessile;
mod tower_sessions;

use anyhow::{Context, Result};
use axum::Router;
use std::pin::Pin;

/// Every contestant, in the order of the tables.
pub const ALL: &[Contestant] = &[
    contestant!("bare", "axum (bare)", bare::app),
    contestant!("tower-sessions", "tower-sessions, MemoryStore", tower_sessions::app),
    contestant!("sessile-memory", "Sessile, memory", sessile::memory),
    contestant!("sessile-embedded", "Sessile, embedded", sessile::embedded),
    contestant!("axum-session", "axum_session, null pool", axum_session::app),
];

/// What everything else is measured from: the same handlers without any sessions.
pub const BASELINE: &str = "bare";

/// The library whose overhead is 1.00 in the tables.
pub const YARDSTICK: &str = "tower-sessions";

/// What every session holds, together about 205 bytes when written as JSON.
pub const USER: &str = "ferris";
/// See [`USER`].
pub const PAYLOAD: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCD\
                           0123456789abcdefghijklmnopqrstuvwxyzABCD\
                           0123456789abcdefghijklmnopqrstuvwxyzABCD\
                           0123456789abcdefghijklmnopqrstuvwxyzABCD";

/// An application that can be measured.
pub struct Contestant {
    /// How the command line calls it.
    pub name: &'static str,
    /// How the tables call it.
    pub title: &'static str,
    /// Builds it. Runs in a process of its own whose current directory is empty and its own, so
    /// a store that needs files may put them there.
    pub app: fn() -> AppFuture,
}

/// An application being built.
pub type AppFuture = Pin<Box<dyn Future<Output = Result<Router>>>>;

/// The contestant of this name.
pub fn named(name: &str) -> Result<&'static Contestant> {
    ALL.iter().find(|contestant| contestant.name == name).with_context(|| {
        let names: Vec<_> = ALL.iter().map(|contestant| contestant.name).collect();
        format!("no contestant is called {name}; there are {}", names.join(", "))
    })
}

/// The contestants to run: those named, or all. The baseline always takes part and comes first.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Contestant>> {
    for name in names {
        named(name)?;
    }
    let wanted = |name: &str| names.is_empty() || name == BASELINE || names.iter().any(|n| n == name);
    Ok(ALL.iter().filter(|contestant| wanted(contestant.name)).collect())
}

/// A line of [`ALL`]: the name, the title, and its `async fn() -> Result<Router>`.
macro_rules! contestant {
    ($name:literal, $title:literal, $app:path) => {
        Contestant { name: $name, title: $title, app: || Box::pin($app()) }
    };
}
use contestant;
