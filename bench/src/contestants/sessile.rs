//! Sessile as its README sets it up, on each of its stores.

use super::{PAYLOAD, USER};
use anyhow::Result;
use axum::{Router, http::StatusCode, routing::get};
use sessile::{
    Key, Sessions,
    axum::{Error, Session, SessionLayer},
    store,
};

const N: Key<u64> = Key::new("n");

pub(super) async fn memory() -> Result<Router> {
    app("memory:").await
}

pub(super) async fn embedded() -> Result<Router> {
    app("embedded:./sessions").await
}

async fn app(url: &str) -> Result<Router> {
    let sessions = Sessions::new(store::open(url).await?);
    Ok(Router::new()
        .route("/none", get(async || "ok"))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(new))
        .layer(SessionLayer::new(sessions)))
}

async fn read(session: Session) -> Result<Result<String, StatusCode>, Error> {
    let n = session.get(N)?;
    Ok(n.map(|n| n.to_string()).ok_or(StatusCode::UNAUTHORIZED))
}

async fn write(session: Option<Session>) -> Result<Result<String, StatusCode>, Error> {
    let Some(session) = session else { return Ok(Err(StatusCode::UNAUTHORIZED)) };
    let n = session.update(N, |n| n.unwrap_or(0) + 1)?;
    Ok(Ok(n.to_string()))
}

async fn new(session: Session) -> Result<&'static str, Error> {
    session.insert("user", USER)?;
    session.insert(N, 0)?;
    session.insert("payload", PAYLOAD)?;
    Ok("ok")
}
