//! What the lifecycle tests share: a browser with one cookie, and a store that counts its calls.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test code of which each file uses a part"
)]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use sessile_core::{
    BoxFuture, Clock, Cursor, Ended, Error, ErrorKind, Exchange, Expect, Filter, Head, ManualClock, Memory,
    Page, Policy, Put, Record, Session, SessionId, SessionInfo, Sessions, Store, Swept, Timestamp,
    UserSessions, Versioned,
};

/// Runs a future that never waits for I/O.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    pollster::block_on(future)
}

/// Sessions in memory on a clock that stands still, and the store's calls.
pub struct World {
    pub sessions: Sessions,
    pub clock: ManualClock,
    pub store: Watched,
}

impl World {
    pub fn new() -> Self {
        Self::with(Policy::default())
    }

    pub fn with(policy: Policy) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
        let store = Watched::default();
        let sessions = Sessions::builder(store.clone()).policy(policy).clock(clock.clone()).build().unwrap();
        Self { sessions, clock, store }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Forgets the calls so far and tells those of `work`.
    pub fn calls<T>(&self, work: impl FnOnce() -> T) -> Vec<&'static str> {
        self.store.calls();
        work();
        self.store.calls()
    }

    /// A browser that has just made a session with `n = 0`.
    pub fn visitor(&self) -> Browser {
        let mut browser = Browser::default();
        browser.visit(self, |session| session.insert("n", 0).unwrap());
        assert!(browser.token.is_some());
        browser
    }
}

/// Holds at most one session cookie, like a browser.
#[derive(Debug, Clone, Default)]
pub struct Browser {
    pub token: Option<String>,
}

impl Browser {
    pub fn begin(&self, world: &World) -> Exchange {
        let cookie = self.token.as_ref().map(|token| format!("a=b; __Host-id={token}"));
        world.sessions.begin(cookie.iter().map(String::as_bytes))
    }

    /// A request under way: its exchange and session.
    pub fn open(&self, world: &World) -> (Exchange, Session) {
        let exchange = self.begin(world);
        let session = run(exchange.session()).unwrap();
        (exchange, session)
    }

    /// Takes in a response.
    pub fn receive(&mut self, head: &Head) {
        let Some(cookie) = &head.set_cookie else { return };
        let value = cookie.strip_prefix("__Host-id=").unwrap().split(';').next().unwrap();
        self.token = (!value.is_empty()).then(|| value.to_owned());
    }

    /// A whole request.
    pub fn visit<T>(&mut self, world: &World, handler: impl FnOnce(&Session) -> T) -> T {
        let (exchange, session) = self.open(world);
        let answer = handler(&session);
        let head = run(exchange.finish()).unwrap();
        self.receive(&head);
        answer
    }

    /// The counter that this browser sees; `None` without a session.
    pub fn n(&self, world: &World) -> Option<u64> {
        let (_, session) = self.open(world);
        session.get("n").unwrap()
    }

    pub fn user(&self, world: &World) -> Option<String> {
        self.open(world).1.user()
    }
}

/// A memory store that tells which methods were called, and can be broken.
#[derive(Debug, Clone, Default)]
pub struct Watched(Arc<WatchedInner>);

#[derive(Debug, Default)]
struct WatchedInner {
    store: Memory,
    calls: Mutex<Vec<&'static str>>,
    down: AtomicBool,
    corrupt: AtomicBool,
    deaf: AtomicBool,
}

impl Watched {
    /// The store does its work, but its answer never arrives.
    pub fn set_deaf(&self, deaf: bool) {
        self.0.deaf.store(deaf, Ordering::SeqCst);
    }

    pub fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.calls.lock().unwrap())
    }

    pub fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }

    pub fn set_corrupt(&self, corrupt: bool) {
        self.0.corrupt.store(corrupt, Ordering::SeqCst);
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        name: &'static str,
        work: BoxFuture<'a, Result<T, Error>>,
    ) -> BoxFuture<'a, Result<T, Error>> {
        Box::pin(async move {
            self.0.calls.lock().unwrap().push(name);
            if self.0.down.load(Ordering::SeqCst) {
                return Err(Error::new(ErrorKind::Unavailable, name, "the store is down"));
            }
            if name == "load" && self.0.corrupt.load(Ordering::SeqCst) {
                return Err(Error::new(ErrorKind::Corrupt, name, "the record is damaged"));
            }
            let answer = work.await;
            if self.0.deaf.load(Ordering::SeqCst) {
                return Err(Error::new(ErrorKind::Timeout, name, "no answer"));
            }
            answer
        })
    }
}

// `work` does nothing until it is awaited, so a store that is down isn't asked.
impl Store for Watched {
    fn load<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        self.call("load", Box::pin(async { self.0.store.load(id).await }))
    }

    fn put<'a>(
        &'a self,
        id: &'a SessionId,
        record: &'a Record,
        expect: Expect,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Put, Error>> {
        self.call("put", Box::pin(async move { self.0.store.put(id, record, expect, now).await }))
    }

    fn touch<'a>(&'a self, id: &'a SessionId, now: Timestamp) -> BoxFuture<'a, Result<bool, Error>> {
        self.call("touch", Box::pin(async move { self.0.store.touch(id, now).await }))
    }

    fn end<'a>(&'a self, id: &'a SessionId, ended: &'a Ended) -> BoxFuture<'a, Result<bool, Error>> {
        self.call("end", Box::pin(async { self.0.store.end(id, ended).await }))
    }

    fn scan<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<SessionInfo>, Error>> {
        self.call("scan", Box::pin(async move { self.0.store.scan(filter, after, limit, now).await }))
    }

    fn count<'a>(&'a self, filter: &'a Filter, now: Timestamp) -> BoxFuture<'a, Result<u64, Error>> {
        self.call("count", Box::pin(async move { self.0.store.count(filter, now).await }))
    }

    fn users<'a>(
        &'a self,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<UserSessions>, Error>> {
        self.call("users", Box::pin(async move { self.0.store.users(after, limit, now).await }))
    }

    fn end_all<'a>(&'a self, filter: &'a Filter, ended: &'a Ended) -> BoxFuture<'a, Result<u64, Error>> {
        self.call("end_all", Box::pin(async { self.0.store.end_all(filter, ended).await }))
    }

    fn sweep<'a>(&'a self, now: Timestamp, limit: usize) -> BoxFuture<'a, Result<Swept, Error>> {
        self.call("sweep", Box::pin(async move { self.0.store.sweep(now, limit).await }))
    }
}
