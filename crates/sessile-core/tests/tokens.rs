//! Promises 4 to 6: strict, a leak logs nobody in, renewal is atomic and kind.
#![allow(clippy::unwrap_used, reason = "test code")]
mod common;

use std::time::Duration;

use common::{Browser, World, run};
use sessile_core::{EndReason, ErrorKind, Filter, Policy, Session, Token};

#[test]
fn a_planted_token_is_never_adopted() {
    let world = World::new();
    for planted in [Token::generate().unwrap().reveal(), "A".repeat(54), "x".into(), "A".repeat(100_000)] {
        let mut browser = Browser { token: Some(planted.clone()) };
        assert_eq!(browser.n(&world), None);
        browser.visit(&world, |session| session.log_in("ann").unwrap());
        let issued = browser.token.clone().unwrap();
        assert_ne!(issued, planted);
        assert_ne!(issued[..22], planted[..planted.len().min(22)], "not even the id");
        assert_eq!(Browser { token: Some(planted) }.user(&world), None);
    }
}

#[test]
fn malformed_tokens_never_reach_the_store() {
    let world = World::new();
    let good = world.visitor().token.unwrap();
    for text in
        ["", "\0", "a\r\nb", "' OR 1=1 --", &good[1..], &format!("{good}A"), &good.replace(&good[..1], "é")]
    {
        let browser = Browser { token: Some(text.into()) };
        assert_eq!(world.calls(|| browser.n(&world)), [""; 0], "{text:?}");
    }
}

#[test]
fn an_id_alone_opens_nothing() {
    let world = World::new();
    let browser = world.visitor();
    let token = browser.token.clone().unwrap();
    let guess = format!("{}{}", &token[..22], &Token::generate().unwrap().reveal()[22..]);
    assert_eq!(Browser { token: Some(guess) }.n(&world), None);
    assert_eq!(browser.n(&world), Some(0), "and a wrong guess harms nobody");
}

#[test]
fn log_in_changes_the_token_and_the_old_one_is_dead_at_once() {
    let world = World::new();
    let mut browser = world.visitor();
    let before = browser.clone();
    let id = browser.open(&world).1.id();
    browser.visit(&world, |session| session.log_in("ann").unwrap());
    assert_ne!(browser.token, before.token);
    assert_eq!(before.n(&world), None);
    assert_eq!(before.user(&world), None);
    let (_, session) = browser.open(&world);
    assert_eq!((session.user().as_deref(), session.id()), (Some("ann"), id), "same session, data kept");
    assert_eq!(browser.n(&world), Some(0));
}

#[test]
fn what_was_under_way_with_the_old_token_cannot_write_after_the_log_in() {
    let world = World::new();
    let mut browser = world.visitor();
    let (planted, planted_session) = browser.open(&world);
    planted_session.insert("address", "mallory's").unwrap();
    browser.visit(&world, |session| session.log_in("ann").unwrap());
    assert_eq!(run(planted.finish()).unwrap_err().kind(), ErrorKind::Ended);
    assert!(!browser.open(&world).1.has("address"));
}

#[test]
fn another_user_gets_a_new_session_without_the_first_ones_data() {
    let world = World::new();
    let mut browser = world.visitor();
    browser.visit(&world, |session| session.log_in("ann").unwrap());
    let ann = browser.clone();
    browser.visit(&world, |session| session.log_in("bob").unwrap());
    assert_eq!((browser.user(&world).as_deref(), browser.n(&world)), (Some("bob"), None));
    assert_eq!(ann.user(&world), None);
    assert_eq!(run(world.sessions.count(&Filter::user("ann"))).unwrap(), 0);
}

#[test]
fn no_token_in_debug_output_or_errors() {
    let world = World::new();
    let browser = world.visitor();
    let token = browser.token.clone().unwrap();
    let secret = &token[22..];
    let (exchange, session) = browser.open(&world);
    session.insert("password", "hunter2").unwrap();
    let mut shown = format!("{exchange:?} {session:?} {:?}", world.sessions);
    world.store.set_down(true);
    shown += &format!("{:?}", run(session.save()).unwrap_err());
    assert!(!shown.contains(secret) && !shown.contains("hunter2"), "{shown}");
}

fn renewing() -> (World, Browser) {
    let world = World::with(Policy::default().renew_after(Duration::from_secs(900)));
    let browser = world.visitor();
    world.clock.advance(Duration::from_secs(900));
    (world, browser)
}

#[test]
fn parallel_requests_at_a_renewal_agree_on_the_new_token() {
    let (world, browser) = renewing();
    let open: Vec<_> = (0..5).map(|_| browser.open(&world)).collect();
    let tokens: Vec<_> = open
        .iter()
        .map(|(exchange, _)| {
            let mut jar = browser.clone();
            jar.receive(&run(exchange.finish()).unwrap());
            jar.token.unwrap()
        })
        .collect();
    assert_ne!(tokens[0], browser.token.unwrap());
    assert!(tokens.iter().all(|token| *token == tokens[0]), "whichever answer comes last is right");
    assert_eq!(Browser { token: Some(tokens[0].clone()) }.n(&world), Some(0));
}

#[test]
fn a_lost_answer_at_a_renewal_logs_nobody_out() {
    let (world, mut browser) = renewing();
    let lost = run(browser.open(&world).0.finish()).unwrap();
    assert!(lost.set_cookie.is_some());
    world.clock.advance(Duration::from_secs(1200));
    let old = browser.clone();
    browser.visit(&world, |session| assert_eq!(session.get("n").unwrap(), Some(0)));
    assert_ne!(browser.token, old.token, "the new token is sent again");
    assert_eq!(browser.n(&world), Some(0));
}

#[test]
fn a_retired_token_works_for_the_grace_window_and_then_ends_the_session() {
    let (world, mut browser) = renewing();
    let thief = browser.clone();
    browser.visit(&world, |_| ());
    browser.visit(&world, |_| ()); // first use of the new token: the window opens
    world.clock.advance(Duration::from_secs(59));
    assert_eq!(thief.n(&world), Some(0));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(thief.n(&world), None);
    let (_, session) = browser.open(&world);
    assert!(!session.exists());
    assert_eq!(thief.n(&world), None);
}

#[test]
fn the_end_by_reuse_is_on_record() {
    let (world, mut browser) = renewing();
    browser.visit(&world, |session| session.log_in("ann").unwrap());
    world.clock.advance(Duration::from_secs(900));
    let thief = browser.clone();
    browser.visit(&world, |_| ());
    browser.visit(&world, |_| ());
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(thief.user(&world), None);
    assert_eq!(browser.open(&world).1.over().unwrap().reason, EndReason::TokenReuse);
}

#[test]
fn renewing_moves_no_deadline_and_no_id() {
    let (world, mut browser) = renewing();
    let before = browser.open(&world).1.info().unwrap();
    browser.visit(&world, |session| session.renew().unwrap());
    let after = browser.open(&world).1.info().unwrap();
    assert_eq!((before.id, before.created), (after.id, after.created));
    for _ in 0..100 {
        world.clock.advance(Duration::from_secs(900));
        browser.visit(&world, |_| ());
    }
    assert_eq!(browser.n(&world), None, "12 hours are 12 hours");
}

#[test]
fn clearing_and_setting_use_one_cookie_each() {
    let world = World::new();
    let mut browser = world.visitor();
    let (exchange, session) = browser.open(&world);
    session.destroy();
    session.insert("flash", "bye").unwrap();
    let head = run(exchange.finish()).unwrap();
    assert!(!head.set_cookie.as_ref().unwrap().contains("Max-Age=0"));
    let old = browser.clone();
    browser.receive(&head);
    assert_eq!(browser.open(&world).1.take::<String>("flash").unwrap().as_deref(), Some("bye"));
    assert_eq!((browser.n(&world), old.n(&world)), (None, None));
    browser.visit(&world, Session::destroy);
    assert_eq!(browser.token, None);
}
