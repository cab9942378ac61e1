//! What happens to a session while one of its own writes is under way, or when an answer is lost.
#![allow(clippy::all, clippy::unwrap_used, unused, reason = "test code")]
mod common;
use common::*;
use sessile_core::*;
use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Does the work at the first poll, answers at the second.
#[derive(Debug, Clone, Default)]
struct Slow(Arc<Memory>);
fn slow<'a, T: Send + 'a>(work: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
    Box::pin(async move {
        let t = work.await;
        let mut once = false;
        std::future::poll_fn(move |cx| {
            if once {
                Poll::Ready(())
            } else {
                once = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
        t
    })
}
impl Store for Slow {
    fn load<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        slow(self.0.load(id))
    }
    fn put<'a>(
        &'a self,
        id: &'a SessionId,
        r: &'a Record,
        e: Expect,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Put, Error>> {
        slow(self.0.put(id, r, e, now))
    }
    fn touch<'a>(&'a self, id: &'a SessionId, now: Timestamp) -> BoxFuture<'a, Result<bool, Error>> {
        self.0.touch(id, now)
    }
    fn end<'a>(&'a self, id: &'a SessionId, ended: &'a Ended) -> BoxFuture<'a, Result<bool, Error>> {
        self.0.end(id, ended)
    }
    fn scan<'a>(
        &'a self,
        f: &'a Filter,
        a: Option<&'a Cursor>,
        l: usize,
        n: Timestamp,
    ) -> BoxFuture<'a, Result<Page<SessionInfo>, Error>> {
        self.0.scan(f, a, l, n)
    }
    fn count<'a>(&'a self, f: &'a Filter, n: Timestamp) -> BoxFuture<'a, Result<u64, Error>> {
        self.0.count(f, n)
    }
    fn users<'a>(
        &'a self,
        a: Option<&'a Cursor>,
        l: usize,
        n: Timestamp,
    ) -> BoxFuture<'a, Result<Page<UserSessions>, Error>> {
        self.0.users(a, l, n)
    }
    fn end_all<'a>(&'a self, f: &'a Filter, e: &'a Ended) -> BoxFuture<'a, Result<u64, Error>> {
        self.0.end_all(f, e)
    }
    fn sweep<'a>(&'a self, n: Timestamp, l: usize) -> BoxFuture<'a, Result<Swept, Error>> {
        self.0.sweep(n, l)
    }
}
fn poll<F: Future>(f: Pin<&mut F>) -> Poll<F::Output> {
    f.poll(&mut Context::from_waker(Waker::noop()))
}
fn slow_sessions(policy: Policy) -> (Sessions, ManualClock) {
    let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    (Sessions::builder(Slow::default()).policy(policy).clock(clock.clone()).build().unwrap(), clock)
}
fn cookie(head: &Head) -> String {
    head.set_cookie.as_ref().unwrap().split(';').next().unwrap().to_owned()
}
fn begin(s: &Sessions, c: &str) -> Exchange {
    s.begin([c.as_bytes()])
}
fn made(s: &Sessions, f: impl Fn(&Session)) -> String {
    let e = s.begin([]);
    let x = run(e.session()).unwrap();
    f(&x);
    cookie(&run(e.finish()).unwrap())
}
fn look<T>(s: &Sessions, c: &str, f: impl Fn(&Session) -> T) -> T {
    f(&run(begin(s, c).session()).unwrap())
}

#[test]
fn two_saves_of_one_request_count_an_increment_once() {
    let (s, _) = slow_sessions(Policy::default());
    let c = made(&s, |x| x.insert("n", 0).unwrap());
    let e = begin(&s, &c);
    let x = run(e.session()).unwrap();
    x.update("n", |n: Option<u64>| n.unwrap_or(0) + 1).unwrap();
    let y = x.clone();
    let mut a = pin!(x.save());
    assert!(poll(a.as_mut()).is_pending()); // put done, answer on its way
    let mut f = pin!(e.finish());
    assert!(poll(f.as_mut()).is_pending());
    run(a).unwrap();
    run(f).unwrap();
    assert_eq!(look(&s, &c, |x| x.get::<u64>("n").unwrap()), Some(1));
}

#[test]
fn log_in_during_a_save_still_renews() {
    let (s, _) = slow_sessions(Policy::default());
    let c = made(&s, |x| x.insert("n", 0).unwrap());
    let e = begin(&s, &c);
    let x = run(e.session()).unwrap();
    x.insert("n", 1).unwrap();
    let y = x.clone();
    let mut a = pin!(y.save());
    assert!(poll(a.as_mut()).is_pending());
    x.log_in("ferris").unwrap();
    run(a).unwrap();
    run(e.finish()).unwrap();
    assert_ne!(
        look(&s, &c, Session::user),
        Some("ferris".to_owned()),
        "the old token is logged in: fixation"
    );
}

#[test]
fn insert_after_destroy_during_a_save_is_kept() {
    let (s, _) = slow_sessions(Policy::default());
    let c = made(&s, |x| x.insert("n", 0).unwrap());
    let e = begin(&s, &c);
    let x = run(e.session()).unwrap();
    x.insert("n", 1).unwrap();
    let y = x.clone();
    let mut a = pin!(y.save());
    assert!(poll(a.as_mut()).is_pending());
    x.destroy();
    x.insert("new", 7).unwrap();
    run(a).unwrap();
    let h = run(e.finish()).unwrap();
    assert_eq!(look(&s, &cookie(&h), |x| x.get::<u64>("new").unwrap()), Some(7));
}

#[test]
fn log_in_of_another_during_a_save_inherits_nothing() {
    let (s, _) = slow_sessions(Policy::default());
    let c = made(&s, |x| {
        x.log_in("alice").unwrap();
        x.insert("secret", "alice's").unwrap();
        x.join("admins").unwrap();
    });
    let e = begin(&s, &c);
    let x = run(e.session()).unwrap();
    x.insert("n", 1).unwrap();
    let y = x.clone();
    let mut a = pin!(y.save());
    assert!(poll(a.as_mut()).is_pending());
    x.log_in("bob").unwrap();
    x.insert("k", 1).unwrap();
    run(a).unwrap();
    let h = run(e.finish()).unwrap();
    let got = look(&s, &cookie(&h), |x| (x.user(), x.get::<String>("secret").unwrap(), x.groups()));
    assert_eq!(got, (Some("bob".to_owned()), None, vec![]));
}

#[test]
fn destroy_during_the_first_save_ends_it() {
    let (s, _) = slow_sessions(Policy::default());
    let e = s.begin([]);
    let x = run(e.session()).unwrap();
    x.insert("n", 1).unwrap();
    let y = x.clone();
    let mut a = pin!(y.save());
    assert!(poll(a.as_mut()).is_pending());
    x.destroy();
    run(a).unwrap();
    let h = run(e.finish()).unwrap();
    assert_eq!(run(s.count(&Filter::all())).unwrap(), 0, "{:?}", h.set_cookie.is_some());
}

#[test]
fn destroy_during_finish() {
    let (s, _) = slow_sessions(Policy::default());
    let c = made(&s, |x| x.insert("n", 0).unwrap());
    let e = begin(&s, &c);
    let x = run(e.session()).unwrap();
    x.insert("n", 1).unwrap();
    let mut a = pin!(e.finish());
    assert!(poll(a.as_mut()).is_pending());
    x.destroy();
    run(a).unwrap();
    assert_eq!(run(s.count(&Filter::all())).unwrap(), 0);
}

#[test]
fn two_loads_at_once_lose_no_neighbours_update() {
    let (s, _) = slow_sessions(Policy::default());
    let c = made(&s, |x| x.insert("n", 0).unwrap());
    let e = begin(&s, &c);
    let mut one = pin!(e.session());
    assert!(poll(one.as_mut()).is_pending()); // has read version 1
    let Poll::Ready(x) = poll(one.as_mut()) else { panic!() };
    let x = x.unwrap();
    drop(x);
    // the racing way: both begin before either is done
    let e = begin(&s, &c);
    let mut one = pin!(e.session());
    let mut two = pin!(e.session());
    assert!(poll(one.as_mut()).is_pending()); // reads version 1
    {
        let e = begin(&s, &c);
        run(e.session()).unwrap().insert("other", 5).unwrap();
        run(e.finish()).unwrap();
    }
    assert!(poll(two.as_mut()).is_pending()); // reads version 2
    let x = run(one).unwrap();
    x.insert("mine", 1).unwrap();
    run(two).unwrap();
    run(e.finish()).unwrap();
    assert_eq!(
        look(&s, &c, |x| (x.get::<u64>("mine").unwrap(), x.get::<u64>("other").unwrap())),
        (Some(1), Some(5))
    );
}

#[test]
fn slow_request_that_began_with_the_old_token_kills_nobody() {
    let policy = Policy::default().renew_after(Duration::from_secs(300));
    let w = World::with(policy);
    let mut b = w.visitor();
    w.clock.advance(Duration::from_secs(301));
    let old = b.clone();
    let (e, slow) = old.open(&w); // slow upload, begins before the renewal
    b.visit(&w, |_| ()); // renews
    assert_ne!(b.token, old.token);
    b.visit(&w, |_| ()); // confirms
    w.clock.advance(Duration::from_secs(61));
    slow.insert("upload", 1).unwrap();
    let done = run(e.finish());
    assert_eq!(b.n(&w), Some(0), "logged out; finish said {done:?}");
    done.unwrap();
}

#[test]
fn save_then_finish_does_not_confirm_a_token_nobody_has() {
    let w = World::with(Policy::default().renew_after(Duration::from_secs(300)));
    let b = w.visitor();
    w.clock.advance(Duration::from_secs(301));
    let (e, x) = b.open(&w);
    x.insert("a", 1).unwrap();
    run(x.save()).unwrap();
    x.insert("b", 1).unwrap();
    let _lost_response = run(e.finish()).unwrap();
    w.clock.advance(Duration::from_secs(61));
    assert_eq!(b.n(&w), Some(0), "lost response logs out");
}

#[test]
fn saves_of_a_websocket_log_nobody_out() {
    let w = World::with(Policy::default().renew_after(Duration::from_secs(300)));
    let b = w.visitor();
    let (e, x) = b.open(&w);
    run(e.finish()).unwrap(); // 101, the head is gone
    for i in 0..10 {
        w.clock.advance(Duration::from_secs(61));
        x.insert("i", i).unwrap();
        run(x.save()).unwrap();
    }
    assert_eq!(b.n(&w), Some(0), "the browser's only token killed the session");
}

#[test]
fn end_others_for_one_just_logged_in() {
    let w = World::new();
    let mut thief = w.visitor();
    thief.visit(&w, |x| x.log_in("ferris").unwrap());
    let mut b = Browser::default();
    b.visit(&w, |x| {
        x.log_in("ferris").unwrap();
        run(w.sessions.end_others(x, EndReason::PasswordChanged)).unwrap()
    });
    assert_eq!(thief.user(&w), None);
}

#[test]
fn a_failed_replay_is_not_success_the_second_time() {
    let mut limits = Limits::default();
    limits.keys = 2;
    let w = World::with(Policy::default().limits(limits));
    let mut b = w.visitor();
    let (e, x) = b.open(&w);
    x.insert("mine", 1).unwrap();
    b.clone().visit(&w, |y| y.insert("theirs", 1).unwrap());
    assert!(run(x.save()).is_err());
    let second = run(x.save());
    let done = run(e.finish());
    assert!(
        second.is_err() && done.is_err(),
        "save {second:?} finish {:?}; mine = {:?}",
        done.is_ok(),
        b.open(&w).1.get::<u64>("mine").unwrap()
    );
}

#[test]
fn head_debug() {
    let w = World::new();
    let e = w.sessions.begin([]);
    run(e.session()).unwrap().insert("n", 1).unwrap();
    let h = run(e.finish()).unwrap();
    let t = h.set_cookie.as_ref().unwrap()["__Host-id=".len()..][..54].to_owned();
    assert!(!format!("{h:?}").contains(&t));
}
#[test]
fn error_debug_shows_no_data() {
    let w = World::new();
    let b = w.visitor();
    let (_, x) = b.open(&w);
    x.insert("p", "hunter2").unwrap();
    let e = x.get::<u64>("p").unwrap_err();
    assert!(!format!("{e:?}").contains("hunter2"), "{e:?}");
}
#[test]
fn encode_error_shows_no_data() {
    struct S;
    impl serde::Serialize for S {
        fn serialize<Z: serde::Serializer>(&self, _: Z) -> Result<Z::Ok, Z::Error> {
            Err(serde::ser::Error::custom("bad value hunter2"))
        }
    }
    let w = World::new();
    let b = w.visitor();
    let (_, x) = b.open(&w);
    let e = x.insert("p", S).unwrap_err();
    assert!(!format!("{e:?} {}", std::error::Error::source(&e).unwrap()).contains("hunter2"));
}

#[test]
fn finish_dropped_at_the_deadline_still_means_the_head_left() {
    let (s, _) = slow_sessions(Policy::default());
    let c = made(&s, |x| x.insert("n", 0).unwrap());
    let e = begin(&s, &c);
    let x = run(e.session()).unwrap();
    x.insert("n", 1).unwrap();
    {
        let mut f = pin!(e.finish());
        assert!(poll(f.as_mut()).is_pending());
    }
    // the adapter answered 503
    assert_eq!(x.log_in("ferris").map_err(|e| e.kind()), Err(ErrorKind::Late));
}

#[test]
fn touch_leaves_no_steps_behind() {
    let w = World::new();
    let mut b = w.visitor();
    w.clock.advance(Duration::from_secs(600));
    let (e, x) = b.open(&w);
    x.insert("n", 0).unwrap(); // as it is
    run(e.finish()).unwrap(); // touch
    b.clone().visit(&w, |y| y.insert("n", 5).unwrap());
    x.insert("other", 1).unwrap();
    run(x.save()).unwrap();
    assert_eq!(b.n(&w), Some(5), "a step that was done with overwrote a later commit");
}

#[test]
fn log_in_that_fails_ends_nothing() {
    let w = World::new();
    let mut b = w.visitor();
    b.visit(&w, |x| x.log_in("alice").unwrap());
    b.visit(&w, |x| assert!(x.log_in("b".repeat(5000)).is_err()));
    assert_eq!(b.user(&w).as_deref(), Some("alice"));
}

#[test]
fn failed_insert_begins_nothing() {
    let w = World::new();
    let e = w.sessions.begin([]);
    let x = run(e.session()).unwrap();
    assert!(x.insert("n", "x".repeat(100_000)).is_err());
    assert!(!x.exists());
}

#[test]
fn sub_millisecond_retention() {
    let w = World::with(Policy::default().retention(Duration::from_micros(500)));
    w.visitor();
}

#[test]
fn over_is_for_dead_sessions() {
    let w = World::new();
    let mut dead = w.visitor();
    dead.visit(&w, |x| x.log_in("u").unwrap());
    let mut killed = dead.clone();
    killed.visit(&w, Session::destroy);
    let live = w.visitor();
    let c = format!("__Host-id={}; __Host-id={}", dead.token.unwrap(), live.token.unwrap());
    let x = run(w.sessions.begin([c.as_bytes()]).session()).unwrap();
    assert!(x.exists());
    assert_eq!(x.over(), None);
}

#[test]
fn current_and_retired_token_together() {
    let w = World::with(Policy::default().renew_after(Duration::from_secs(300)));
    let mut b = w.visitor();
    let old = b.token.clone().unwrap();
    w.clock.advance(Duration::from_secs(301));
    b.visit(&w, |_| ());
    b.visit(&w, |_| ());
    w.clock.advance(Duration::from_secs(61));
    let c = format!("__Host-id={old}; __Host-id={}", b.token.clone().unwrap());
    let x = run(w.sessions.begin([c.as_bytes()]).session()).unwrap();
    assert!(x.exists());
}

#[test]
fn saved_log_in_then_failing_finish_still_sends_the_token() {
    let w = World::new();
    let mut b = w.visitor();
    let (e, x) = b.open(&w);
    x.log_in("ferris").unwrap();
    run(x.save()).unwrap();
    x.insert("more", 1).unwrap();
    w.store.set_down(true);
    assert!(run(e.finish()).is_err());
    b.receive(&e.close());
    w.store.set_down(false);
    assert_eq!(b.n(&w), Some(0), "the new token is sent with the error");
}
#[test]
fn failed_finish_and_renew_lost() {
    // renew, then a dropped finish: unknown outcome
    let (s, _) = slow_sessions(Policy::default());
    let c = made(&s, |x| x.insert("n", 0).unwrap());
    let e = begin(&s, &c);
    let x = run(e.session()).unwrap();
    x.renew().unwrap();
    {
        let mut f = pin!(x.save());
        assert!(poll(f.as_mut()).is_pending());
    }
    let h = run(e.finish());
    assert!(h.is_ok(), "{h:?}");
}

#[test]
fn error_debug_of_an_enum() {
    let w = World::new();
    let b = w.visitor();
    let (_, x) = b.open(&w);
    x.insert("p", "hunter2").unwrap();
    let e = x.get::<std::net::IpAddr>("p").unwrap_err();
    assert!(!format!("{e:?}").contains("hunter2"), "{e:?}");
    let e = x.get::<Result<u8, u8>>("p").unwrap_err();
    assert!(!format!("{e:?}").contains("hunter2"), "{e:?}");
}

/// The session is ended elsewhere, and here while the write that finds it gone is under way.
#[test]
fn destroy_of_what_is_gone_already_is_no_loss() {
    let (s, _) = slow_sessions(Policy::default());
    let c = made(&s, |x| x.insert("n", 0).unwrap());
    let e = begin(&s, &c);
    let x = run(e.session()).unwrap();
    run(s.end(&x.id().unwrap(), EndReason::Killed, None)).unwrap();
    x.insert("n", 1).unwrap();
    let y = x.clone();
    let mut saving = pin!(y.save());
    assert!(poll(saving.as_mut()).is_pending());
    x.destroy();
    x.insert("flash", "bye").unwrap();
    run(saving).unwrap();
    let c = cookie(&run(e.finish()).unwrap());
    assert!(look(&s, &c, |x| x.has("flash") && !x.has("n")));
}
