//! A request's slot serves nobody else, and knows when its head is gone.
#![allow(clippy::all, clippy::unwrap_used, unused, reason = "test code")]
use http::{Request, Response};
use sessile_core::*;
use sessile_tower::{SessionLayer, exchange};
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tower::{Layer, Service, ServiceExt, service_fn};

#[derive(Debug, Clone, Default)]
struct Dead(Arc<Memory>);
fn never<'a, T: Send + 'a>() -> BoxFuture<'a, T> {
    Box::pin(std::future::pending())
}
impl Store for Dead {
    fn load<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        never()
    }
    fn put<'a>(
        &'a self,
        id: &'a SessionId,
        r: &'a Record,
        e: Expect,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Put, Error>> {
        never()
    }
    fn touch<'a>(&'a self, id: &'a SessionId, now: Timestamp) -> BoxFuture<'a, Result<bool, Error>> {
        never()
    }
    fn end<'a>(&'a self, id: &'a SessionId, ended: &'a Ended) -> BoxFuture<'a, Result<bool, Error>> {
        never()
    }
    fn scan<'a>(
        &'a self,
        f: &'a Filter,
        a: Option<&'a Cursor>,
        l: usize,
        n: Timestamp,
    ) -> BoxFuture<'a, Result<Page<SessionInfo>, Error>> {
        never()
    }
    fn count<'a>(&'a self, f: &'a Filter, n: Timestamp) -> BoxFuture<'a, Result<u64, Error>> {
        never()
    }
    fn users<'a>(
        &'a self,
        a: Option<&'a Cursor>,
        l: usize,
        n: Timestamp,
    ) -> BoxFuture<'a, Result<Page<UserSessions>, Error>> {
        never()
    }
    fn end_all<'a>(&'a self, f: &'a Filter, e: &'a Ended) -> BoxFuture<'a, Result<u64, Error>> {
        never()
    }
    fn sweep<'a>(&'a self, n: Timestamp, l: usize) -> BoxFuture<'a, Result<Swept, Error>> {
        never()
    }
}

fn with_cookie() -> Request<()> {
    Request::builder()
        .header("cookie", format!("__Host-id={}", Token::generate().unwrap().reveal()))
        .body(())
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn after_the_503_nobody_can_log_in() {
    let kept = Arc::new(Mutex::new(None));
    let k = kept.clone();
    let app = SessionLayer::new(Sessions::new(Dead::default())).layer(service_fn(move |r: Request<()>| {
        let k = k.clone();
        async move {
            let s = exchange(r.headers(), r.extensions()).unwrap().session().await.unwrap();
            s.insert("n", 1).unwrap();
            *k.lock().unwrap() = Some(s);
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    }));
    let answer = app.oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.status(), 503);
    let s = kept.lock().unwrap().take().unwrap();
    assert!(s.log_in("ferris").is_err(), "Ok, but no cookie can be sent");
}

/// Two requests wait for one shared piece of work (`Shared`, a coalescing cache): what is polled by
/// the other request's task.
#[tokio::test]
async fn shared_work_never_gets_the_other_requests_session() {
    use futures_util::{FutureExt, future::Shared};
    type Work = Shared<Pin<Box<dyn Future<Output = Option<String>> + Send>>>;
    let sessions = Sessions::new(Memory::new());
    let log_in = |user: &'static str| {
        let sessions = sessions.clone();
        async move {
            let e = sessions.begin([]);
            e.session().await.unwrap().log_in(user).unwrap();
            e.finish().await.unwrap().set_cookie.unwrap().split(';').next().unwrap().to_owned()
        }
    };
    let (alice, bob) = (log_in("alice").await, log_in("bob").await);
    let work: Arc<Mutex<Option<Work>>> = Arc::default();
    let w = work.clone();
    let app = SessionLayer::new(sessions.clone()).layer(service_fn(move |r: Request<()>| {
        let w = w.clone();
        async move {
            let first = w.lock().unwrap().is_none();
            let r2 = (Some(r.headers().clone()), Some(r.extensions().clone()));
            if first {
                // alice's request makes the work from her request; it is polled by bob's first
                let job: Pin<Box<dyn Future<Output = Option<String>> + Send>> = Box::pin(async move {
                    exchange(r.headers(), r.extensions()).ok()?.session().await.ok()?.user()
                });
                *w.lock().unwrap() = Some(job.shared());
                tokio::task::yield_now().await;
            } else {
                exchange(r2.0.as_ref().unwrap(), r2.1.as_ref().unwrap()).unwrap().session().await.unwrap();
            }
            let job = w.lock().unwrap().clone().unwrap();
            Ok::<_, Infallible>(Response::new(job.await.unwrap_or_default()))
        }
    }));
    let request = |c: &str| Request::builder().header("cookie", c).body(()).unwrap();
    let (a, _b) = tokio::join!(app.clone().oneshot(request(&alice)), app.clone().oneshot(request(&bob)));
    assert_ne!(a.unwrap().body(), "bob", "alice's headers opened bob's session");
}
