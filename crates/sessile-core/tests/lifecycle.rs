//! Promises 7 to 11 as far as core keeps them: clocks, costs, late changes, limits, outages.
#![allow(clippy::unwrap_used, reason = "test code")]
mod common;

use std::time::Duration;

use common::{Browser, World, run};
use sessile_core::{EndReason, ErrorKind, Filter, Key, Limits, Policy, Session};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn idle_sessions_die_to_the_millisecond() {
    let world = World::with(Policy::default().touch_after(Duration::ZERO));
    let browser = world.visitor();
    world.clock.advance(30 * MINUTE - Duration::from_millis(1));
    assert_eq!(browser.n(&world), Some(0));
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(browser.n(&world), None);
}

#[test]
fn the_throttle_of_touches_never_ends_a_session_early_nor_much_later() {
    let world = World::new(); // 30 minutes idle, 3 minutes slack
    let mut browser = world.visitor();
    world.clock.advance(3 * MINUTE - Duration::from_millis(1));
    assert_eq!(world.calls(|| browser.visit(&world, |_| ())), ["load"], "no touch yet");
    world.clock.advance(30 * MINUTE);
    assert_eq!(browser.n(&world), Some(0), "30 minutes after that visit");
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(browser.n(&world), None, "33 minutes after the last touch");
}

#[test]
fn reading_keeps_a_session_alive_until_the_absolute_timeout() {
    let world = World::new();
    let mut browser = world.visitor();
    let mut minutes = 0;
    while browser.n(&world).is_some() {
        browser.visit(&world, |_| ());
        world.clock.advance(MINUTE);
        minutes += 1;
    }
    assert_eq!(minutes, 12 * 60);
}

#[test]
fn reasons_tell_the_two_clocks_apart() {
    for (step, reason) in [(40 * MINUTE, EndReason::Idle), (20 * MINUTE, EndReason::Absolute)] {
        let world = World::new();
        let mut browser = world.visitor();
        browser.visit(&world, |session| session.log_in("ann").unwrap());
        let over = loop {
            world.clock.advance(step);
            if let Some(over) = browser.visit(&world, Session::over) {
                break over;
            }
        };
        assert_eq!(over.reason, reason);
    }
}

#[test]
fn log_in_begins_the_absolute_timeout_anew() {
    let world = World::with(Policy::default().idle_timeout(Duration::MAX));
    let mut browser = world.visitor();
    world.clock.advance(11 * 60 * MINUTE);
    browser.visit(&world, |session| session.log_in("ann").unwrap());
    world.clock.advance(11 * 60 * MINUTE);
    assert_eq!(browser.user(&world).as_deref(), Some("ann"));
    world.clock.advance(60 * MINUTE);
    assert_eq!(browser.user(&world), None);
}

#[test]
fn each_path_costs_what_it_must_and_no_more() {
    let world = World::new();
    let none: [&str; 0] = [];
    let mut stranger = Browser::default();
    assert_eq!(world.calls(|| run(stranger.begin(&world).finish()).unwrap()), none, "nobody asked");
    assert_eq!(
        world.calls(|| stranger.visit(&world, |session| assert!(!session.has("n")))),
        none,
        "no token"
    );
    assert_eq!(world.calls(|| stranger.visit(&world, |session| session.insert("n", 1).unwrap())), ["put"]);

    let mut browser = world.visitor();
    assert_eq!(
        world.calls(|| run(browser.begin(&world).finish()).unwrap()),
        none,
        "a token nobody asked for"
    );
    assert_eq!(world.calls(|| browser.visit(&world, |session| session.get::<u64>("n").unwrap())), ["load"]);
    assert_eq!(world.calls(|| browser.visit(&world, |session| session.insert("n", 0).unwrap())), ["load"]);
    assert_eq!(
        world.calls(|| browser.visit(&world, |session| session.insert("n", 1).unwrap())),
        ["load", "put"]
    );
    assert_eq!(
        world.calls(|| browser.visit(&world, |session| session.log_in("ann").unwrap())),
        ["load", "put"]
    );
    world.clock.advance(4 * MINUTE);
    assert_eq!(world.calls(|| browser.visit(&world, |_| ())), ["load", "touch"]);
    assert_eq!(world.calls(|| browser.visit(&world, |_| ())), ["load"]);
    assert_eq!(world.calls(|| browser.visit(&world, Session::destroy)), ["load", "end"]);
}

#[test]
fn asking_twice_loads_once() {
    let world = World::new();
    let browser = world.visitor();
    let exchange = browser.begin(&world);
    let calls = world.calls(|| {
        run(exchange.session()).unwrap().insert("k", 1).unwrap();
        assert!(run(exchange.session()).unwrap().has("k"), "and both see one session");
    });
    assert_eq!(calls, ["load"]);
}

#[test]
fn a_session_that_holds_nothing_is_not_stored_unless_asked() {
    let world = World::new();
    let mut browser = Browser::default();
    browser.visit(&world, |session| {
        session.insert("k", 1).unwrap();
        session.remove("k");
        session.set_device("Firefox").unwrap();
    });
    assert_eq!(browser.token, None);
    browser.visit(&world, |session| session.start().unwrap());
    assert!(browser.token.is_some() && browser.open(&world).1.exists());
    browser.visit(&world, |session| session.restart().unwrap());
    assert_eq!(run(world.sessions.count(&Filter::all())).unwrap(), 1);
}

#[test]
fn vary_exactly_when_the_session_was_looked_at() {
    let world = World::new();
    let browser = world.visitor();
    assert_eq!(run(browser.begin(&world).finish()).unwrap(), sessile_core::Head::default());
    let head = run(browser.open(&world).0.finish()).unwrap();
    assert!(head.vary_cookie && head.set_cookie.is_none());
    assert!(run(Browser::default().open(&world).0.finish()).unwrap().vary_cookie);
}

#[test]
fn remember_me_is_a_choice_and_told_by_the_cookie() {
    let world = World::new();
    let browser = world.visitor();
    let (exchange, session) = browser.open(&world);
    session.persist(true).unwrap();
    let cookie = run(exchange.finish()).unwrap().set_cookie.unwrap();
    assert!(cookie.contains("; Max-Age=43200; "), "{cookie}");
    let (exchange, session) = browser.open(&world);
    session.persist(false).unwrap();
    let cookie = run(exchange.finish()).unwrap().set_cookie.unwrap();
    assert!(!cookie.contains("Max-Age"), "{cookie}");
}

#[test]
fn changes_after_the_head_are_saved_when_asked_and_refused_when_they_need_a_cookie() {
    let world = World::new();
    let browser = world.visitor();
    let (exchange, session) = browser.open(&world);
    run(exchange.finish()).unwrap();
    session.insert("late", 1).unwrap();
    run(session.save()).unwrap();
    assert!(browser.open(&world).1.has("late"));
    assert_eq!(session.log_in("ann").unwrap_err().kind(), ErrorKind::Late);
    assert_eq!(session.renew().unwrap_err().kind(), ErrorKind::Late);
    assert_eq!(session.persist(true).unwrap_err().kind(), ErrorKind::Late);
    session.destroy();
    assert_eq!(session.insert("k", 1).unwrap_err().kind(), ErrorKind::Late, "that would begin a session");
    run(session.save()).unwrap();
    assert_eq!(browser.n(&world), None);

    let (exchange, session) = Browser::default().open(&world);
    run(exchange.finish()).unwrap();
    assert_eq!(session.insert("k", 1).unwrap_err().kind(), ErrorKind::Late);
}

#[test]
fn limits_are_errors_and_change_nothing() {
    let mut limits = Limits::default();
    (limits.data, limits.keys, limits.depth, limits.name) = (200, 3, 2, 10);
    let world = World::with(Policy::default().limits(limits));
    let mut browser = world.visitor();
    browser.visit(&world, |session| {
        let refused = |outcome: Result<(), sessile_core::Error>| {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::TooLarge);
        };
        refused(session.insert("big", "x".repeat(200)));
        refused(session.insert("x".repeat(200), 1));
        refused(session.insert("deep", vec![vec![vec![1]]]));
        refused(session.log_in("a long name for a user"));
        refused(session.join("a long name for a group"));
        session.insert("a", 1).unwrap();
        session.insert("b", 1).unwrap();
        refused(session.insert("c", 1));
        session.insert("b", 2).unwrap();
        refused(session.update("b", |_: Option<String>| "x".repeat(200)).map(drop).map_err(|error| {
            assert_eq!(error.kind(), ErrorKind::Decode, "b is a number");
            sessile_core::Error::new(ErrorKind::TooLarge, "", "")
        }));
    });
    let (_, session) = browser.open(&world);
    let mut keys = session.keys();
    keys.sort();
    assert_eq!((keys, session.user()), (vec!["a".into(), "b".into(), "n".into()], None));
}

#[test]
fn values_keep_their_types_and_wrong_types_are_errors() {
    const NAME: Key<String> = Key::new("name");
    let world = World::new();
    let mut browser = world.visitor();
    browser.visit(&world, |session| {
        session.insert(NAME, "Ferris".to_owned()).unwrap();
        session.insert("nothing", None::<u8>).unwrap();
        session.insert("", vec![1.5_f64]).unwrap();
    });
    browser.visit(&world, |session| {
        assert_eq!(session.get(NAME).unwrap().as_deref(), Some("Ferris"));
        assert_eq!(
            session.get::<Option<u8>>("nothing").unwrap(),
            Some(None),
            "stored nothing is not missing"
        );
        assert_eq!(session.get::<Option<u8>>("missing").unwrap(), None);
        assert_eq!(session.get::<Vec<f64>>("").unwrap(), Some(vec![1.5]));
        assert_eq!(session.get::<u64>("name").unwrap_err().kind(), ErrorKind::Decode);
        assert_eq!(session.take::<u64>("name").unwrap_err().kind(), ErrorKind::Decode);
        assert_eq!(session.take(NAME).unwrap().as_deref(), Some("Ferris"), "a failed take loses nothing");
        assert!(!session.remove("name") && session.remove("nothing"));
        session.clear();
        assert!(session.is_empty());
    });
}

#[test]
fn an_outage_is_told_and_loses_nothing_that_was_said_to_be_saved() {
    let world = World::new();
    let browser = world.visitor();
    let (exchange, session) = browser.open(&world);
    session.insert("n", 5).unwrap();
    world.store.set_down(true);
    let error = run(session.save()).unwrap_err();
    assert!(error.is_transient() && error.kind() == ErrorKind::Unavailable);
    assert!(run(browser.begin(&world).session()).unwrap_err().is_transient());
    assert_eq!(run(Browser::default().begin(&world).finish()).unwrap(), sessile_core::Head::default());
    run(Browser::default().begin(&world).session()).unwrap();

    world.store.set_down(false);
    run(session.save()).unwrap();
    run(exchange.finish()).unwrap();
    assert_eq!(browser.n(&world), Some(5), "a failed save can be repeated");

    let (exchange, session) = browser.open(&world);
    session.insert("n", 6).unwrap();
    world.store.set_down(true);
    run(exchange.finish()).unwrap_err();
    world.store.set_down(false);
    assert_eq!(browser.n(&world), Some(5));
}

#[test]
fn a_damaged_record_is_an_error_once_and_the_client_begins_anew() {
    let world = World::new();
    let mut browser = world.visitor();
    world.store.set_corrupt(true);
    let exchange = browser.begin(&world);
    assert_eq!(run(exchange.session()).unwrap_err().kind(), ErrorKind::Corrupt);
    browser.receive(&run(exchange.finish()).unwrap());
    assert_eq!(browser.token, None);
}

#[test]
fn unsafe_policies_are_refused_when_built() {
    let refused = |policy: Policy| {
        let built = sessile_core::Sessions::builder(sessile_core::Memory::new()).policy(policy).build();
        assert_eq!(built.unwrap_err().kind(), ErrorKind::Config);
    };
    let cookie = sessile_core::Cookie::default;
    refused(Policy::default().idle_timeout(Duration::ZERO));
    refused(Policy::default().absolute_timeout(Duration::ZERO));
    refused(Policy::default().touch_after(Duration::from_secs(3600)));
    refused(Policy::default().cookie(cookie().domain("example.org")));
    refused(Policy::default().cookie(cookie().path("/app")));
}
