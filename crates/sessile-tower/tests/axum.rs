//! The layer and the extractors in an axum router.
#![allow(clippy::unwrap_used, reason = "test code")]
#![cfg(feature = "axum")]
mod common;

use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use common::get as ask;
use http::StatusCode;
use sessile_core::{Memory, Sessions};
use sessile_tower::{
    SessionLayer,
    axum::{Error, Session},
};

fn sessions() -> Sessions {
    Sessions::new(Memory::new())
}

async fn write(session: Session) -> Result<String, Error> {
    Ok(session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?.to_string())
}

async fn read(session: Option<Session>) -> Result<String, Error> {
    let Some(session) = session else { return Ok("none".into()) };
    Ok(session.get::<u64>("n")?.unwrap_or(0).to_string())
}

fn app() -> Router {
    Router::new()
        .route("/write", get(write))
        .route("/read", get(read))
        .route("/none", get(|| async { "plain" }))
        .route("/out", get(|session: Session| async move { session.destroy() }))
        .layer(SessionLayer::new(sessions()))
}

#[tokio::test]
async fn a_session_lives_from_its_first_write_to_its_end() {
    let app = app();
    assert_eq!(ask(&app, "/read", &[]).await.text, "none");
    let first = ask(&app, "/write", &[]).await;
    let set = first.all("set-cookie")[0];
    assert!(
        set.starts_with("__Host-id=") && set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"),
        "{set}"
    );
    let cookie = first.cookie();

    let second = ask(&app, "/write", &[&cookie]).await;
    assert_eq!((second.text.as_str(), second.all("set-cookie").len()), ("2", 0));
    assert_eq!(ask(&app, "/read", &["a=b", &cookie]).await.text, "2", "several Cookie fields");
    assert_eq!(ask(&app, "/read", &["__Host-id=forged"]).await.text, "none");

    let out = ask(&app, "/out", &[&cookie]).await;
    assert!(out.all("set-cookie")[0].starts_with("__Host-id=; Max-Age=0; "));
    assert_eq!(ask(&app, "/read", &[&cookie]).await.text, "none");
}

#[tokio::test]
async fn caches_are_told_exactly_what_they_must_know() {
    let app = app();
    let cookie = ask(&app, "/write", &[]).await.cookie();
    for (path, cookies, vary, cache) in [
        ("/none", vec![], vec![], vec![]),
        ("/none", vec![&*cookie], vec![], vec![]),
        ("/read", vec![], vec!["Cookie"], vec![]),
        ("/read", vec![&*cookie], vec!["Cookie"], vec![]),
        ("/write", vec![&*cookie], vec!["Cookie"], vec![]),
        ("/write", vec![], vec!["Cookie"], vec!["no-store"]),
    ] {
        let answer = ask(&app, path, &cookies).await;
        assert_eq!((answer.all("vary"), answer.all("cache-control")), (vary, cache), "{path} {cookies:?}");
    }
}

#[tokio::test]
async fn what_the_application_says_to_caches_stays_unless_it_would_leak() {
    for (said, expected) in [
        ("public, max-age=60", "no-store"),
        ("private, max-age=60", "private, max-age=60"),
        ("no-store", "no-store"),
        ("max-age=60", "no-store"),
    ] {
        let handler = move |session: Session| async move {
            session.insert("k", 1).unwrap();
            [("cache-control", said), ("vary", "Accept, cookie")]
        };
        let app = Router::new().route("/", get(handler)).layer(SessionLayer::new(sessions()));
        let answer = ask(&app, "/", &[]).await;
        assert_eq!(answer.all("cache-control"), [expected]);
        assert_eq!(answer.all("vary"), ["Accept, cookie"], "said already");
    }
}

#[tokio::test]
async fn one_cookie_of_a_name_in_a_response() {
    let handler = |session: Session| async move {
        session.insert("k", 1).unwrap();
        session.renew().unwrap();
        session.log_in("ann").unwrap();
        session.persist(true).unwrap();
        let mut response = "".into_response();
        for cookie in ["__Host-id=mine; Path=/", "theme=dark", "__Host-id2=x"] {
            response.headers_mut().append("set-cookie", cookie.parse().unwrap());
        }
        response
    };
    let app = Router::new().route("/", get(handler)).layer(SessionLayer::new(sessions()));
    let answer = ask(&app, "/", &[]).await;
    let names: Vec<_> = answer.all("set-cookie").iter().map(|set| set.split('=').next().unwrap()).collect();
    assert_eq!(names, ["theme", "__Host-id2", "__Host-id"]);
    assert!(!answer.all("set-cookie")[2].contains("mine"));
}

#[tokio::test]
async fn an_extractor_without_its_layer_names_the_layer() {
    let app = Router::new().route("/write", get(write)).route("/read", get(read));
    for path in ["/write", "/read"] {
        let answer = ask(&app, path, &[]).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(answer.text.contains("SessionLayer"), "{}", answer.text);
    }
}

#[tokio::test]
async fn two_layers_around_one_handler_are_an_error() {
    let app = app().layer(SessionLayer::new(sessions()));
    let answer = ask(&app, "/none", &[]).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.all("set-cookie").is_empty());
}

#[tokio::test]
async fn middleware_and_handler_see_one_session() {
    async fn count(session: Session, request: Request, next: Next) -> Response {
        session.insert("by-middleware", 1).unwrap();
        next.run(request).await
    }
    let app = Router::new()
        .route("/", get(|session: Session| async move { session.keys().join(",") }))
        .layer(middleware::from_fn(count))
        .layer(SessionLayer::new(sessions()));
    assert_eq!(ask(&app, "/", &[]).await.text, "by-middleware");
}

#[tokio::test]
async fn a_panicking_handler_saves_nothing_and_the_next_request_works() {
    let handler = |session: Session, request: Request| async move {
        session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1).unwrap();
        assert!(request.uri().path() != "/panic", "on purpose");
    };
    let app = Router::new()
        .route("/ok", get(handler))
        .route("/panic", get(handler))
        .route("/read", get(read))
        .layer(SessionLayer::new(sessions()));
    let cookie = ask(&app, "/ok", &[]).await.cookie();
    let (router, sent) = (app.clone(), cookie.clone());
    tokio::spawn(async move { ask(&router, "/panic", &[&sent]).await.text }).await.unwrap_err();
    assert_eq!(ask(&app, "/read", &[&cookie]).await.text, "1");
}

#[tokio::test]
async fn a_dropped_request_saves_nothing_and_the_next_one_works() {
    let handler = |session: Session| async move {
        session.insert("n", 9_u64).unwrap();
        std::future::pending::<()>().await;
    };
    let app = Router::new()
        .route("/hang", get(handler))
        .route("/write", get(write))
        .route("/read", get(read))
        .layer(SessionLayer::new(sessions()));
    let cookie = ask(&app, "/write", &[]).await.cookie();
    let waited =
        tokio::time::timeout(std::time::Duration::from_millis(20), ask(&app, "/hang", &[&cookie])).await;
    assert!(waited.is_err());
    assert_eq!(ask(&app, "/read", &[&cookie]).await.text, "1");
}

#[tokio::test]
async fn a_streamed_body_can_use_and_save_the_session() {
    let handler = |session: Session| async move {
        session.insert("before", 1).unwrap();
        let body = futures_util::stream::once(async move {
            session.insert("in-body", 1).unwrap();
            session.save().await.unwrap();
            Ok::<_, std::io::Error>("streamed")
        });
        Body::from_stream(body)
    };
    let keys = |session: Session| async move {
        let mut keys = session.keys();
        keys.sort();
        keys.join(",")
    };
    let app = Router::new()
        .route("/stream", get(handler))
        .route("/keys", get(keys))
        .layer(SessionLayer::new(sessions()));
    let answer = ask(&app, "/stream", &[]).await;
    assert_eq!(answer.text, "streamed");
    assert_eq!(ask(&app, "/keys", &[&answer.cookie()]).await.text, "before,in-body");
}

#[tokio::test]
async fn a_session_ended_while_a_request_ran_is_told() {
    let entered = std::sync::Arc::new(tokio::sync::Notify::new());
    let proceed = std::sync::Arc::new(tokio::sync::Notify::new());
    let (signal, wait) = (entered.clone(), proceed.clone());
    let slow = move |session: Session| {
        let (signal, wait) = (signal.clone(), wait.clone());
        async move {
            session.insert("a", 1).unwrap();
            signal.notify_one();
            wait.notified().await;
        }
    };
    let app = Router::new()
        .route("/slow", get(slow))
        .route("/out", get(|session: Session| async move { session.destroy() }))
        .route("/write", get(write))
        .route("/read", get(read))
        .layer(SessionLayer::new(sessions()));
    let cookie = ask(&app, "/write", &[]).await.cookie();
    let (router, sent) = (app.clone(), cookie.clone());
    let slow = tokio::spawn(async move { ask(&router, "/slow", &[&sent]).await });
    entered.notified().await;
    ask(&app, "/out", &[&cookie]).await;
    proceed.notify_one();
    let answer = slow.await.unwrap();
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.all("set-cookie").is_empty());
    assert_eq!(ask(&app, "/read", &[&cookie]).await.text, "none");
}
