//! The files that pages need, built into the program.

use axum::{
    Router,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};

const STYLE: &str = include_str!("../../assets/demo.css");
const LAB: &str = include_str!("../../assets/lab.js");

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/demo.css", get(|| async { file("text/css; charset=utf-8", STYLE) }))
        .route("/lab.js", get(|| async { file("text/javascript; charset=utf-8", LAB) }))
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text)
}
