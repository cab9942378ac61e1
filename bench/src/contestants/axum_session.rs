//! axum_session with its null pool, which keeps sessions in the process and nowhere else.

use super::{PAYLOAD, USER};
use anyhow::Result;
use axum::{Router, http::StatusCode, routing::get};
use axum_session::{Session, SessionConfig, SessionLayer, SessionNullPool, SessionStore};

pub(super) async fn app() -> Result<Router> {
    let store = SessionStore::<SessionNullPool>::new(None, SessionConfig::default()).await?;
    Ok(Router::new()
        .route("/none", get(async || "ok"))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(new))
        .layer(SessionLayer::new(store)))
}

async fn read(session: Session<SessionNullPool>) -> Result<String, StatusCode> {
    Ok(counter(&session)?.to_string())
}

async fn write(session: Session<SessionNullPool>) -> Result<String, StatusCode> {
    let n = counter(&session)? + 1;
    session.set("n", n);
    Ok(n.to_string())
}

async fn new(session: Session<SessionNullPool>) -> &'static str {
    session.set("user", USER);
    session.set("n", 0_u64);
    session.set("payload", PAYLOAD);
    "ok"
}

fn counter(session: &Session<SessionNullPool>) -> Result<u64, StatusCode> {
    session.get("n").ok_or(StatusCode::UNAUTHORIZED)
}
