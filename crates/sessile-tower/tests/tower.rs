//! The layer without axum: any service, any body; and a WebSocket upgrade over a real socket.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use sessile_core::{ErrorKind, Memory, Sessions};
use sessile_tower::{SessionLayer, exchange};
use tower::{Layer, ServiceExt, service_fn};

async fn handler<Q>(request: Request<Q>) -> Result<Response<Full<Bytes>>, Infallible> {
    let exchange = exchange(request.headers(), request.extensions()).unwrap();
    let session = exchange.session().await.unwrap();
    let n = session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1).unwrap();
    Ok(Response::new(Full::from(n.to_string())))
}

#[tokio::test]
async fn any_service_and_body_has_sessions() {
    let layer = SessionLayer::new(Sessions::new(Memory::new()));
    let first = layer.layer(service_fn(handler)).oneshot(Request::new(Empty::<Bytes>::new())).await.unwrap();
    let cookie = first.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let request = Request::builder().header("cookie", cookie).body("a body of text").unwrap();
    let second = layer.layer(service_fn(handler)).oneshot(request).await.unwrap();
    assert_eq!(second.into_body().collect().await.unwrap().to_bytes(), "2");
}

#[tokio::test]
async fn the_services_own_error_passes_through() {
    let failing = service_fn(|_: Request<()>| async { Err::<Response<String>, _>("broken") });
    let layer = SessionLayer::new(Sessions::new(Memory::new()));
    assert_eq!(layer.layer(failing).oneshot(Request::new(())).await.unwrap_err(), "broken");
}

#[tokio::test]
async fn a_request_in_the_middle_of_another_has_its_own_session() {
    let layer = SessionLayer::new(Sessions::new(Memory::new()));
    let inner = layer.layer(service_fn(handler::<Empty<Bytes>>));
    let outer = layer.layer(service_fn(move |request: Request<Empty<Bytes>>| {
        let inner = inner.clone();
        async move {
            let before = handler(request).await?;
            let asked = inner.oneshot(Request::new(Empty::new())).await?;
            assert!(asked.headers().contains_key("set-cookie"));
            Ok::<_, Infallible>(before)
        }
    }));
    let answer = outer.oneshot(Request::new(Empty::new())).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "1", "not 2: two clients");
}

#[tokio::test]
async fn a_request_without_the_layer_borrows_nobodys_session() {
    let layer = SessionLayer::new(Sessions::new(Memory::new()));
    let outer = layer.layer(service_fn(|request: Request<()>| async move {
        exchange(request.headers(), request.extensions()).unwrap();
        let other = Request::new(());
        let error = exchange(other.headers(), other.extensions()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let task =
            tokio::spawn(async move { exchange(request.headers(), request.extensions()).unwrap_err() });
        assert_eq!(task.await.unwrap().kind(), ErrorKind::Config);
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    outer.oneshot(Request::new(())).await.unwrap();
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn a_websocket_upgrade_sets_the_cookie_and_saves_later() {
    use axum::{Router, extract::ws::WebSocketUpgrade, routing::get};
    use sessile_tower::axum::Session;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let sessions = Sessions::new(Memory::new());
    let upgrade = |upgrade: WebSocketUpgrade, session: Session| async move {
        session.insert("before", 1).unwrap();
        upgrade.on_upgrade(move |_socket| async move {
            session.insert("after", 1).unwrap();
            session.save().await.unwrap();
        })
    };
    let app = Router::new().route("/", get(upgrade)).layer(SessionLayer::new(sessions.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });

    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.contains("\r\n\r\n") {
        answer.push(char::from(socket.read_u8().await.unwrap()));
    }
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    let value = answer.split("__Host-id=").nth(1).unwrap().split(';').next().unwrap();
    let cookie = format!("__Host-id={value}");
    for _ in 0..1000 {
        let session = sessions.begin([cookie.as_bytes()]).session().await.unwrap();
        assert!(session.has("before"));
        if session.has("after") {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("what the socket's task saved is not there");
}
