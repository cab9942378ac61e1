//! The races, from outside: many connections at once, one cookie jar.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

mod support;

use std::{collections::BTreeSet, thread, time::Duration};

use support::{Client, Demo, each_store};

/// Sends one request from each of `count` threads, all with the jar of `client`.
fn at_once<T: Send + 'static>(
    client: &Client,
    count: usize,
    send: impl Fn(&mut Client) -> T + Clone + Send + 'static,
) -> Vec<T> {
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let (mut client, send) = (client.clone(), send.clone());
            thread::spawn(move || send(&mut client))
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

#[test]
fn two_hundred_clicks_at_once_are_two_hundred() {
    each_store(|demo| {
        let mut client = demo.client();
        client.sign_in("Ann");
        let statuses = at_once(&client, 200, |client| client.post("/cart", "").status);
        assert_eq!(statuses, [303; 200]);
        assert_eq!(client.cart(), 200);

        client.get("/lab/new");
        let numbers = at_once(&client, 100, |client| client.text("/lab/write"));
        assert_eq!(BTreeSet::from_iter(numbers).len(), 100, "each is told its own number");
        assert_eq!(client.text("/lab/read"), "100");
    });
}

#[test]
fn the_plain_routes_answer_as_promised() {
    each_store(|demo| {
        let mut client = demo.client();
        for path in
            ["/lab/read", "/lab/write", "/lab/slow?ms=5000&key=a", "/lab/slowread?ms=5000", "/lab/keys"]
        {
            let answer = client.get(path);
            assert_eq!((answer.status, answer.set_cookie()), (404, None), "{path}");
        }
        assert_eq!(client.text("/lab/destroy"), "ok");
        assert_eq!(client.text("/lab/none"), "ok");
        let new = client.get("/lab/new");
        assert_eq!((new.text.as_str(), new.header("content-type")), ("ok", "text/plain; charset=utf-8"));
        assert!(new.set_cookie().is_some());
        assert_eq!(client.text("/lab/read"), "0");
        assert_eq!(client.text("/lab/write"), "1");
        assert_eq!(client.text("/lab/slowread?ms=10"), "1");
        assert_eq!(client.text("/lab/keys"), "user=1 n=1 a=0 b=0");
        assert_eq!(client.text("/lab/slow?ms=10&key=b"), "ok");
        assert_eq!(client.text("/lab/keys"), "user=1 n=1 a=0 b=1");
        assert!(client.text("/stored").contains(&"x".repeat(160)));
        for path in ["/lab/slow?ms=0", "/lab/slow?key=A", "/lab/slow?key=a-b", "/lab/slow?ms=x&key=a"] {
            assert_eq!(client.get(path).status, 400, "{path}");
        }
        let none = client.get("/lab/none");
        assert_eq!((none.set_cookie(), none.all("vary")), (None, vec![]));
        let mut before = client.clone();
        assert_eq!(client.text("/lab/new"), "ok");
        assert_eq!(before.get("/lab/keys").status, 404);
        assert_eq!(client.text("/lab/keys"), "user=1 n=0 a=0 b=0");
        assert!(client.get("/lab/destroy").set_cookie().unwrap().contains("Max-Age=0"));
        assert_eq!(client.get("/lab/keys").status, 404);
    });
}

#[test]
fn slow_requests_that_set_different_keys_both_count() {
    each_store(|demo| {
        let mut client = demo.client();
        client.get("/lab/new");
        let (mut a, mut b) = (client.clone(), client.clone());
        let a = thread::spawn(move || a.text("/lab/slow?ms=900&key=a"));
        let b = thread::spawn(move || b.text("/lab/slow?ms=800&key=b"));
        thread::sleep(Duration::from_millis(300));
        assert_eq!(client.text("/lab/write"), "1");
        assert_eq!((a.join().unwrap().as_str(), b.join().unwrap().as_str()), ("ok", "ok"));
        assert_eq!(client.text("/lab/keys"), "user=1 n=1 a=1 b=1");
    });
}

#[test]
fn a_slow_writer_does_not_bring_back_what_was_ended() {
    each_store(|demo| {
        for end in ["/lab/destroy", "/lab/new"] {
            let mut client = demo.client();
            client.get("/lab/new");
            let mut late = client.clone();
            let mut slow = client.clone();
            let slow = thread::spawn(move || slow.get("/lab/slow?ms=900&key=a"));
            thread::sleep(Duration::from_millis(350));
            assert_eq!(client.text(end), "ok");
            let slow = slow.join().unwrap();
            assert_eq!((slow.status, slow.set_cookie()), (409, None));
            assert_eq!(late.get("/lab/keys").status, 404);
            assert_eq!(late.get("/lab/write").status, 404);
        }
    });
}

#[test]
fn a_slow_reader_does_not_put_the_old_state_back() {
    each_store(|demo| {
        let mut client = demo.client();
        client.get("/lab/new");
        let mut slow = client.clone();
        let slow = thread::spawn(move || slow.text("/lab/slowread?ms=900"));
        thread::sleep(Duration::from_millis(300));
        client.text("/lab/write");
        assert_eq!(slow.join().unwrap(), "0");
        assert_eq!(client.text("/lab/read"), "1");
    });
}

#[test]
fn every_race_that_the_server_plays_passes() {
    each_store(|demo| {
        let mut client = demo.client();
        client.sign_in("Ann");
        let page = client.text("/lab");
        let names: Vec<&str> =
            page.split("data-name=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(names.len(), 13);
        let mut played = 0;
        for name in names {
            let answer = client.get(&format!("/lab/race/{name}"));
            if answer.status == 404 {
                assert!(answer.text.starts_with("Your browser runs this race"), "{name}");
                continue;
            }
            assert!(
                answer.text.ends_with("\nPASS\n") && !answer.text.contains("NOT:"),
                "{name}: {}",
                answer.text
            );
            played += 1;
        }
        assert_eq!(played, 10);
        assert_eq!(client.get("/lab/race/nonsense").status, 404);
        assert_eq!(client.user().as_deref(), Some("Ann"), "the visitor's own session was left alone");
    });
}

#[test]
fn the_lab_serves_nobody_elses_sessions() {
    let demo = Demo::start("memory:");
    let mut client = demo.client();
    client.sign_in("Ann");
    client.get("/lab/join");
    assert_eq!(client.text("/lab/keys"), "user=0 n=0 a=0 b=0");
    assert_eq!(client.text("/lab/slow?key=a"), "ok");
    client.get("/lab/leave");
    assert_eq!(client.text("/lab/keys"), "user=0 n=0 a=0 b=0");
    assert_eq!(client.get("/lab/read").status, 404);
    assert_eq!(client.user().as_deref(), Some("Ann"));
}
