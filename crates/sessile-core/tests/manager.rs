//! What operators and "your devices" pages use; and the sweeper (promises 12 and 13).
#![allow(clippy::unwrap_used, reason = "test code")]
mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{Browser, World, run};
use sessile_core::{EndReason, Filter, SessionInfo, State};

fn log_in(world: &World, user: &str, device: &str) -> Browser {
    let mut browser = Browser::default();
    browser.visit(world, |session| {
        session.log_in(user).unwrap();
        session.set_device(device).unwrap();
        session.join("staff").unwrap();
    });
    world.clock.advance(Duration::from_secs(60));
    browser
}

fn list(world: &World, filter: Filter) -> Vec<SessionInfo> {
    run(async {
        let mut list = world.sessions.list(filter);
        let mut all = Vec::new();
        while let Some(session) = list.next().await {
            all.push(session.unwrap());
        }
        all
    })
}

#[test]
fn list_count_users_and_oldest_agree() {
    let world = World::new();
    let ann = log_in(&world, "ann", "iPhone");
    log_in(&world, "ann", "Firefox on Linux");
    log_in(&world, "bob", "iPhone");
    world.visitor();
    let count = |filter: Filter| {
        let listed = list(&world, filter.clone()).len() as u64;
        assert_eq!(run(world.sessions.count(&filter)).unwrap(), listed, "{filter:?}");
        listed
    };
    assert_eq!(count(Filter::all()), 4);
    assert_eq!(count(Filter::user("ann")), 2);
    assert_eq!(count(Filter::user("an")), 0);
    assert_eq!(count(Filter::group("staff")), 3);
    assert_eq!(count(Filter::all().device("iphone")), 2);
    assert_eq!(count(Filter::all().seen_within(Duration::from_secs(90))), 2);
    let mut users = run(world.sessions.users(None, 10)).unwrap().items;
    users.sort_by(|a, b| a.user.cmp(&b.user));
    let users: Vec<_> = users.iter().map(|user| (user.user.as_str(), user.sessions)).collect();
    assert_eq!(users, [("ann", 2), ("bob", 1)]);

    let oldest = run(world.sessions.oldest("ann")).unwrap().unwrap();
    assert_eq!(oldest.device.as_deref(), Some("iPhone"));
    assert_eq!(run(world.sessions.get(&oldest.id)).unwrap(), Some(oldest.clone()));
    assert!(run(world.sessions.exists(&oldest.id)).unwrap());
    assert_eq!(ann.open(&world).1.id(), Some(oldest.id));
    assert!(run(world.sessions.oldest("nobody")).unwrap().is_none());
}

#[test]
fn more_sessions_than_a_page_are_listed_once_each() {
    let world = World::new();
    for _ in 0..250 {
        world.visitor();
    }
    let mut ids: Vec<_> = list(&world, Filter::all()).iter().map(|session| session.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 250);
}

#[test]
fn ending_others_leaves_this_one_and_other_users() {
    let world = World::new();
    let (here, there) = (log_in(&world, "ann", "here"), log_in(&world, "ann", "there"));
    let bob = log_in(&world, "bob", "x");
    let (_, session) = here.open(&world);
    assert_eq!(run(world.sessions.end_others(&session, EndReason::Killed)).unwrap(), 1);
    assert_eq!(
        (here.user(&world).is_some(), there.user(&world), bob.user(&world).is_some()),
        (true, None, true)
    );
    let ended = list(&world, Filter::user("ann").state(State::Ended));
    assert_eq!(ended[0].ended.as_ref().unwrap().by.as_deref(), Some("ann"));

    let (_, stranger) = Browser::default().open(&world);
    assert_eq!(run(world.sessions.end_others(&stranger, EndReason::Killed)).unwrap(), 0);
    assert_eq!(run(world.sessions.end_all(&Filter::all(), EndReason::Killed, None)).unwrap(), 2);
    assert_eq!(run(world.sessions.count(&Filter::all())).unwrap(), 0);
}

#[test]
fn leaving_a_group_and_logging_out_move_the_indexes() {
    let world = World::new();
    let mut browser = log_in(&world, "ann", "x");
    browser.visit(&world, |session| session.leave("staff"));
    assert_eq!(run(world.sessions.count(&Filter::group("staff"))).unwrap(), 0);
    browser.visit(&world, sessile_core::Session::destroy);
    assert_eq!(run(world.sessions.count(&Filter::user("ann"))).unwrap(), 0);
}

#[test]
fn the_sweeper_goes_on_after_errors_and_leaves_nothing_dead() {
    let world = World::new();
    for _ in 0..1200 {
        world.visitor();
    }
    log_in(&world, "ann", "x");
    world.clock.advance(Duration::from_secs(3600));
    let alive = world.visitor();
    world.store.set_down(true);

    let waits = Arc::new(Mutex::new(Vec::new()));
    let (seen, store) = (waits.clone(), world.store.clone());
    let sweeper = world.sessions.sweep_with(move |wait| {
        let mut waits = seen.lock().unwrap();
        waits.push(wait);
        store.set_down(waits.len() < 3);
        let end = waits.len() == 7;
        async move {
            if end {
                std::future::pending::<()>().await;
            }
        }
    });
    let mut sweeper = Box::pin(sweeper);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(sweeper.as_mut().poll(&mut context).is_pending());

    let waits = waits.lock().unwrap();
    assert!(waits[2] > waits[0], "longer waits while the store fails: {waits:?}");
    assert!(waits[3] < Duration::from_secs(1), "short ones while more is due: {waits:?}");
    assert!(waits[6] > Duration::from_secs(40), "and a minute when all is done: {waits:?}");
    assert_eq!(list(&world, Filter::all().state(State::Any)).len(), 2, "one alive, one user's tombstone");
    assert_eq!(alive.n(&world), Some(0));
}
