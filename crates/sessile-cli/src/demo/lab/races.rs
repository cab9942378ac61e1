//! The races: what they are called, and running those that the server plays by itself.

mod ending;
mod overlap;
mod tokens;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use sessile::Sessions;

use crate::demo::{app::App, page::Result};

/// A race, as its card on the page shows it.
pub(super) struct Race {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) words: &'static str,
    /// Whether the visitor's own browser runs it, by the script. Else the server plays the
    /// browsers, so that the visitor's session isn't touched.
    pub(super) here: bool,
}

const fn here(name: &'static str, title: &'static str, words: &'static str) -> Race {
    Race { name, title, words, here: true }
}

const fn played(name: &'static str, title: &'static str, words: &'static str) -> Race {
    Race { name, title, words, here: false }
}

/// All of them, in the order of the page.
pub(super) const RACES: &[Race] = &[
    here(
        "clicks",
        "Clicks at once",
        "Twenty-four requests add one to the same counter, all at once. Where the last save wins, some are lost.",
    ),
    here(
        "keys",
        "Two slow requests, two keys",
        "Both look at the session, both take their time, each sets another key. Saving whole sessions loses one.",
    ),
    here(
        "slow-read",
        "A slow page and quick clicks",
        "A page that began before three clicks ends after them. It must not put the old session back.",
    ),
    played(
        "many",
        "200 clicks at once",
        "The same with two hundred, faster than a browser can: it opens six connections at a time.",
    ),
    played(
        "sign-out",
        "Sign out while a slow request runs",
        "The slow request holds the session in its hands when it is ended. Saving it must not bring it back.",
    ),
    played(
        "far",
        "Signed out from another device",
        "The session in your hand is ended from elsewhere. Its next request must find it dead, and learn why.",
    ),
    played(
        "others",
        "Sign out everywhere else",
        "Three devices of one user, and one of another. Two must die, two must live.",
    ),
    played(
        "old",
        "The cookie from before signing in",
        "Signing in replaces the token. Whoever copied the old one must be a stranger at once.",
    ),
    played(
        "planted",
        "Sign in with a planted token",
        "An attacker gives the victim a cookie of the attacker's making and waits for the sign-in.",
    ),
    played(
        "twice",
        "Sign in pressed twice",
        "Two sign-ins with the same cookie at the same time. Both must end signed in, one token each.",
    ),
    played(
        "restart",
        "Begin anew",
        "The session is replaced by an empty one. Nothing of the old one may be left, nor its cookie work.",
    ),
    played(
        "unused",
        "A page that needs no session",
        "No use, no cost: no cookie, nothing stored, and caches may keep the answer.",
    ),
    played(
        "cookie",
        "What the cookie says",
        "Its attributes, once per response, and what shared caches are told about it.",
    ),
];

/// What the server needs to play browsers.
#[derive(Clone)]
struct Lab {
    site: Router,
    sessions: Sessions,
}

/// The routes that run them.
pub(in crate::demo) fn routes(app: &App, site: &Router) -> Router {
    let lab = Lab { site: site.clone(), sessions: app.sessions.clone() };
    Router::new().route("/lab/race/{name}", get(run)).with_state(lab)
}

async fn run(State(lab): State<Lab>, Path(name): Path<String>) -> Result {
    let report = match name.as_str() {
        "many" => overlap::many(&lab).await,
        "sign-out" => ending::sign_out(&lab).await?,
        "far" => ending::far(&lab).await?,
        "others" => ending::others(&lab).await?,
        "restart" => ending::restart(&lab).await,
        "old" => tokens::old(&lab).await,
        "planted" => tokens::planted(&lab).await?,
        "twice" => overlap::twice(&lab).await,
        "unused" => tokens::unused(&lab).await,
        "cookie" => tokens::cookie(&lab).await,
        _ if RACES.iter().any(|race| race.name == name) => return Ok(needs_browser()),
        _ => return Ok((StatusCode::NOT_FOUND, "no such race\n").into_response()),
    };
    Ok(report.into_response())
}

fn needs_browser() -> Response {
    let text = "Your browser runs this race: it needs JavaScript. See `/lab/write` and its neighbours \
                for doing it by a script.\n";
    (StatusCode::NOT_FOUND, text).into_response()
}

/// A name that nobody has: two runs at once must not end each other's sessions.
fn somebody() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("lab-{:x}-{}", now.as_micros(), NEXT.fetch_add(1, Ordering::Relaxed))
}
