//! The laboratory: a page with a button per race, and plain routes that races are made of.

mod browser;
mod races;
mod report;

use std::time::Duration;

use askama::Template;
use axum::{
    Router,
    extract::Query,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use sessile::{Key, axum::Session};
use tokio::time::sleep;

use crate::demo::{
    app::App,
    page::{Frame, Result, render},
};

pub(super) use races::routes as races;

const USER: Key<String> = Key::new("user");
const N: Key<u64> = Key::new("n");
const PAYLOAD: Key<String> = Key::new("payload");
const PAYLOAD_BYTES: usize = 160;

/// Longest sleep that can be asked for.
const LONGEST: Duration = Duration::from_secs(10);

#[derive(Template)]
#[template(path = "lab.html")]
struct Page {
    frame: Frame,
    races: &'static [races::Race],
}

pub(super) async fn show(session: Session) -> Result {
    let frame = Frame::new(&session, "lab")?;
    Ok(render(StatusCode::OK, &Page { frame, races: races::RACES }))
}

/// The plain routes.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/lab/new", get(new))
        .route("/lab/none", get(none))
        .route("/lab/read", get(read))
        .route("/lab/write", get(write))
        .route("/lab/slow", get(slow))
        .route("/lab/slowread", get(slow_read))
        .route("/lab/keys", get(keys))
        .route("/lab/destroy", get(destroy))
        .route("/lab/join", get(join))
        .route("/lab/leave", get(leave))
}

/// Begins a session, ending the one there was.
async fn new(session: Session) -> Result<&'static str> {
    session.restart()?;
    session.insert(USER, "lab".to_owned())?;
    session.insert(N, 0)?;
    session.insert(PAYLOAD, "x".repeat(PAYLOAD_BYTES))?;
    Ok("ok")
}

/// Doesn't ask for the session.
async fn none() -> &'static str {
    "ok"
}

async fn read(session: Session) -> Result {
    Ok(number(session.get(N)?))
}

/// Adds one. Saves before answering, so that the answer is the number that this request made it:
/// if another one won the race, the closure has run again.
async fn write(session: Session) -> Result {
    if !session.has(N) {
        return Ok(missing());
    }
    session.update(N, |n| n.unwrap_or(0) + 1)?;
    session.save().await?;
    Ok(number(session.get(N)?))
}

#[derive(Debug, Deserialize)]
struct Slow {
    #[serde(default)]
    ms: u64,
    #[serde(default)]
    key: String,
}

impl Slow {
    fn time(&self) -> Duration {
        Duration::from_millis(self.ms).min(LONGEST)
    }

    fn key_is_good(&self) -> bool {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        (1..=32).contains(&self.key.len()) && self.key.bytes().all(good)
    }
}

/// A handler that takes its time between looking at the session and writing to it.
async fn slow(session: Session, Query(slow): Query<Slow>) -> Result {
    if !slow.key_is_good() {
        let text = "key: 1 to 32 characters of a-z, 0-9 and _\n";
        return Ok((StatusCode::BAD_REQUEST, text).into_response());
    }
    if session.get(N)?.is_none() {
        return Ok(missing());
    }
    sleep(slow.time()).await;
    session.insert(slow.key, 1)?;
    Ok("ok".into_response())
}

async fn slow_read(session: Session, Query(slow): Query<Slow>) -> Result {
    let n = session.get(N)?;
    if n.is_some() {
        sleep(slow.time()).await;
    }
    Ok(number(n))
}

async fn keys(session: Session) -> Result {
    if !session.exists() {
        return Ok(missing());
    }
    let there = |name: &str| u8::from(session.has(name));
    let n = session.get(N)?.unwrap_or(0);
    let text = format!("user={} n={n} a={} b={}", there("user"), there("a"), there("b"));
    Ok(text.into_response())
}

async fn destroy(session: Session) -> &'static str {
    session.destroy();
    "ok"
}

/// Puts a counter into the visitor's own session, for the races that their browser runs.
async fn join(session: Session) -> Result<&'static str> {
    session.remove("a");
    session.remove("b");
    session.insert(N, 0)?;
    Ok("ok")
}

/// Takes what [`join`] and the races put there out again.
async fn leave(session: Session) -> &'static str {
    for key in ["n", "a", "b"] {
        session.remove(key);
    }
    "ok"
}

fn number(n: Option<u64>) -> Response {
    n.map_or_else(missing, |n| n.to_string().into_response())
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "no session").into_response()
}
