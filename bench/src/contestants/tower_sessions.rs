//! tower-sessions with its own `MemoryStore`, as its README sets it up.

use super::{PAYLOAD, USER};
use anyhow::Result;
use axum::{Router, http::StatusCode, routing::get};
use tower_sessions::{MemoryStore, Session, SessionManagerLayer, cookie::SameSite, session};

pub(super) async fn app() -> Result<Router> {
    let layer =
        SessionManagerLayer::new(MemoryStore::default()).with_secure(false).with_same_site(SameSite::Lax);
    Ok(Router::new()
        .route("/none", get(async || "ok"))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(new))
        .layer(layer))
}

async fn read(session: Session) -> Result<String, StatusCode> {
    Ok(counter(&session).await?.to_string())
}

async fn write(session: Session) -> Result<String, StatusCode> {
    let n = counter(&session).await? + 1;
    session.insert("n", n).await.map_err(failed)?;
    Ok(n.to_string())
}

async fn new(session: Session) -> Result<&'static str, StatusCode> {
    session.insert("user", USER).await.map_err(failed)?;
    session.insert("n", 0_u64).await.map_err(failed)?;
    session.insert("payload", PAYLOAD).await.map_err(failed)?;
    Ok("ok")
}

async fn counter(session: &Session) -> Result<u64, StatusCode> {
    let n = session.get("n").await.map_err(failed)?;
    n.ok_or(StatusCode::UNAUTHORIZED)
}

fn failed(_: session::Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}
