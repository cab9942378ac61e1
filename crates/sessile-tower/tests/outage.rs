//! Promise 11 at the edge: deadlines, 503, and who doesn't notice.
#![allow(clippy::unwrap_used, reason = "test code")]
#![cfg(feature = "axum")]
mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use common::get as ask;
use http::{Response, StatusCode};
use sessile_core::{
    BoxFuture, Cursor, Ended, Error, Expect, Filter, Memory, Page, Policy, Put, Record, SessionId,
    SessionInfo, Sessions, Store, Swept, Timestamp, UserSessions, Versioned,
};
use sessile_tower::{SessionLayer, axum::Session, status};

/// A memory store that can stop answering.
#[derive(Debug, Clone, Default)]
struct Stuck {
    store: Arc<Memory>,
    stuck: Arc<AtomicBool>,
}

impl Stuck {
    fn call<'a, T: Send + 'a>(
        &'a self,
        work: BoxFuture<'a, Result<T, Error>>,
    ) -> BoxFuture<'a, Result<T, Error>> {
        Box::pin(async move {
            if self.stuck.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            work.await
        })
    }
}

impl Store for Stuck {
    fn load<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        self.call(self.store.load(id))
    }
    fn put<'a>(
        &'a self,
        id: &'a SessionId,
        record: &'a Record,
        expect: Expect,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Put, Error>> {
        self.call(self.store.put(id, record, expect, now))
    }
    fn touch<'a>(&'a self, id: &'a SessionId, now: Timestamp) -> BoxFuture<'a, Result<bool, Error>> {
        self.call(self.store.touch(id, now))
    }
    fn end<'a>(&'a self, id: &'a SessionId, ended: &'a Ended) -> BoxFuture<'a, Result<bool, Error>> {
        self.call(self.store.end(id, ended))
    }
    fn scan<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<SessionInfo>, Error>> {
        self.call(self.store.scan(filter, after, limit, now))
    }
    fn count<'a>(&'a self, filter: &'a Filter, now: Timestamp) -> BoxFuture<'a, Result<u64, Error>> {
        self.call(self.store.count(filter, now))
    }
    fn users<'a>(
        &'a self,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<UserSessions>, Error>> {
        self.call(self.store.users(after, limit, now))
    }
    fn end_all<'a>(&'a self, filter: &'a Filter, ended: &'a Ended) -> BoxFuture<'a, Result<u64, Error>> {
        self.call(self.store.end_all(filter, ended))
    }
    fn sweep<'a>(&'a self, now: Timestamp, limit: usize) -> BoxFuture<'a, Result<Swept, Error>> {
        self.call(self.store.sweep(now, limit))
    }
}

fn app(store: &Stuck, breaks: bool) -> Router {
    let policy = Policy::default().store_timeout(Duration::from_millis(50));
    let sessions = Sessions::builder(store.clone()).policy(policy).build().unwrap();
    let stuck = store.stuck.clone();
    let write = move |session: Session| {
        let stuck = stuck.clone();
        async move {
            session.insert("k", 1).unwrap();
            stuck.store(breaks, Ordering::SeqCst);
        }
    };
    Router::new()
        .route("/write", get(write))
        .route("/read", get(|session: Option<Session>| async move { session.is_some().to_string() }))
        .route("/none", get(|| async {}))
        .layer(SessionLayer::new(sessions))
}

#[tokio::test(start_paused = true)]
async fn only_requests_with_a_session_notice_a_dead_store() {
    let store = Stuck::default();
    let app = app(&store, false);
    let cookie = ask(&app, "/write", &[]).await.cookie();
    store.stuck.store(true, Ordering::SeqCst);

    let answer = ask(&app, "/read", &[&cookie]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "not: there is no session");
    assert_eq!(answer.all("retry-after"), ["1"]);
    assert_eq!(ask(&app, "/none", &[&cookie]).await.status, StatusCode::OK);
    assert_eq!(ask(&app, "/read", &[]).await.text, "false");

    store.stuck.store(false, Ordering::SeqCst);
    assert_eq!(ask(&app, "/read", &[&cookie]).await.text, "true");
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_saved_is_not_said_to_be() {
    let answer = ask(&app(&Stuck::default(), true), "/write", &[]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.all("set-cookie").is_empty());
    assert_eq!(answer.all("cache-control"), ["no-store"]);
}

#[tokio::test(start_paused = true)]
async fn the_application_can_give_its_own_answer() {
    let store = Stuck::default();
    let policy = Policy::default().store_timeout(Duration::from_millis(50));
    let sessions = Sessions::builder(store.clone()).policy(policy).build().unwrap();
    let layer = SessionLayer::new(sessions).on_error(|error: &Error| {
        Response::builder().status(status(error)).body(axum::body::Body::from("sorry")).unwrap()
    });
    let write = move |session: Session| async move {
        session.insert("k", 1).unwrap();
        store.stuck.store(true, Ordering::SeqCst);
    };
    let app = Router::new().route("/write", get(write)).layer(layer);
    let answer = ask(&app, "/write", &[]).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "sorry"));
}
