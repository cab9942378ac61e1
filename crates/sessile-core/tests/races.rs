//! Promises 1 and 2: no lost update, no resurrection; and what a late client is told (3).
#![allow(clippy::unwrap_used, reason = "test code")]
mod common;

use common::{Browser, World, run};
use sessile_core::{EndReason, ErrorKind, Filter, State};

#[test]
fn overlapping_requests_that_set_different_keys_both_survive() {
    let world = World::new();
    let browser = world.visitor();
    let (one, session_one) = browser.open(&world);
    let (two, session_two) = browser.open(&world);
    session_one.insert("a", 1).unwrap();
    session_two.insert("b", 2).unwrap();
    session_two.remove("n");
    run(one.finish()).unwrap();
    run(two.finish()).unwrap();
    let (_, session) = browser.open(&world);
    assert_eq!(session.get::<i32>("a").unwrap(), Some(1));
    assert_eq!(session.get::<i32>("b").unwrap(), Some(2));
    assert!(!session.has("n"));
}

#[test]
fn every_overlapping_update_counts() {
    let world = World::new();
    let browser = world.visitor();
    let open: Vec<_> = (0..50).map(|_| browser.open(&world)).collect();
    for (_, session) in &open {
        session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1).unwrap();
        session.push("list", 7_u8).unwrap();
    }
    for (exchange, _) in &open {
        run(exchange.finish()).unwrap();
    }
    assert_eq!(browser.n(&world), Some(50));
    assert_eq!(browser.open(&world).1.get::<Vec<u8>>("list").unwrap().unwrap().len(), 50);
}

#[test]
fn updates_from_many_threads_all_count() {
    let world = World::new();
    let browser = world.visitor();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let (exchange, session) = browser.open(&world);
                    session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1).unwrap();
                    run(exchange.finish()).unwrap();
                }
            });
        }
    });
    assert_eq!(browser.n(&world), Some(400));
}

#[test]
fn of_two_inserts_of_one_key_the_later_commit_wins_whole() {
    let world = World::new();
    let browser = world.visitor();
    let (one, session_one) = browser.open(&world);
    let (two, session_two) = browser.open(&world);
    session_one.insert("k", vec![1, 1]).unwrap();
    session_two.insert("k", vec![2]).unwrap();
    run(two.finish()).unwrap();
    run(one.finish()).unwrap();
    assert_eq!(browser.open(&world).1.get::<Vec<i32>>("k").unwrap(), Some(vec![1, 1]));
}

#[test]
fn a_slow_writer_cannot_bring_back_what_was_destroyed() {
    let world = World::new();
    let mut browser = world.visitor();
    let old = browser.clone();
    let (slow, slow_session) = browser.open(&world);
    slow_session.insert("a", 1).unwrap();
    browser.visit(&world, sessile_core::Session::destroy);
    assert_eq!(browser.token, None, "the cookie is cleared");

    let error = run(slow.finish()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ended, "the loss is not silent");
    assert_eq!(old.n(&world), None);
    assert_eq!(run(world.sessions.count(&Filter::all())).unwrap(), 0);
}

#[test]
fn a_slow_reader_cannot_either() {
    let world = World::new();
    let mut browser = world.visitor();
    let old = browser.clone();
    world.clock.advance(std::time::Duration::from_secs(600));
    let (slow, _) = browser.open(&world);
    browser.visit(&world, sessile_core::Session::destroy);
    let head = run(slow.finish()).unwrap();
    assert_eq!(head.set_cookie, None);
    assert_eq!(old.n(&world), None);
}

#[test]
fn a_late_client_can_be_told_why() {
    let world = World::new();
    let mut browser = world.visitor();
    browser.visit(&world, |session| session.log_in("ann").unwrap());
    let id = browser.open(&world).1.id().unwrap();
    assert!(run(world.sessions.end(&id, EndReason::Killed, Some("ops"))).unwrap());
    assert!(!run(world.sessions.end(&id, EndReason::Logout, None)).unwrap(), "the first end stays");

    let (exchange, session) = browser.open(&world);
    let over = session.over().unwrap();
    assert_eq!((over.reason, over.by.as_deref()), (EndReason::Killed, Some("ops")));
    assert!(!session.exists() && session.user().is_none());
    run(exchange.finish()).unwrap();

    let recent = run(world.sessions.page(&Filter::user("ann").state(State::Ended), None, 10)).unwrap().items;
    assert_eq!((recent[0].id, recent[0].keys), (id, 0), "operators see it, its data is gone");
    let stranger = Browser { token: Some(sessile_core::Token::generate().unwrap().reveal()) };
    assert!(stranger.open(&world).1.over().is_none());
}

#[test]
fn two_first_requests_make_two_sessions_and_two_saves_of_one_request_make_one() {
    let world = World::new();
    let (exchange, session) = Browser::default().open(&world);
    session.insert("n", 1).unwrap();
    run(session.save()).unwrap();
    session.insert("m", 1).unwrap();
    run(session.save()).unwrap();
    let head = run(exchange.finish()).unwrap();
    assert!(head.set_cookie.is_some());
    assert_eq!(run(world.sessions.count(&Filter::all())).unwrap(), 1);
}

#[test]
fn two_logins_at_once_both_end_logged_in() {
    let world = World::new();
    let browser = world.visitor();
    let (one, session_one) = browser.open(&world);
    let (two, session_two) = browser.open(&world);
    session_one.log_in("ann").unwrap();
    session_two.log_in("ann").unwrap();
    let (head_one, head_two) = (run(one.finish()).unwrap(), run(two.finish()).unwrap());
    for head in [head_one, head_two] {
        let mut jar = browser.clone();
        jar.receive(&head);
        assert_eq!(jar.user(&world).as_deref(), Some("ann"), "whichever answer comes last");
        assert_eq!(jar.n(&world), Some(0), "with what the visitor had");
    }
    assert_eq!(browser.user(&world), None);
}

#[test]
fn a_creation_whose_answer_was_lost_is_done_once() {
    let world = World::new();
    let (exchange, session) = Browser::default().open(&world);
    session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1).unwrap();
    world.store.set_deaf(true);
    assert_eq!(run(session.save()).unwrap_err().kind(), ErrorKind::Timeout);
    world.store.set_deaf(false);
    session.insert("more", 1).unwrap();
    let mut browser = Browser::default();
    browser.receive(&run(exchange.finish()).unwrap());
    assert_eq!(browser.n(&world), Some(1));
    assert!(browser.open(&world).1.has("more"));
    assert_eq!(run(world.sessions.count(&Filter::all())).unwrap(), 1);
}
