//! axum alone: the same routes and bodies, and no session anywhere.

use anyhow::Result;
use axum::{Router, routing::get};

pub(super) async fn app() -> Result<Router> {
    Ok(Router::new()
        .route("/none", get(async || "ok"))
        .route("/read", get(async || 0_u64.to_string()))
        .route("/write", get(async || 1_u64.to_string()))
        .route("/new", get(async || "ok")))
}
