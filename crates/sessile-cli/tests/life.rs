//! Starting, stopping, being killed, and what is left on disk and in the log.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

mod support;

use std::{
    net::TcpListener,
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use support::{Client, Demo, PROGRAM, files, wait};

/// Runs the program to its end.
fn run(args: &[&str]) -> (i32, String, String) {
    let child = Command::new(PROGRAM).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let code = wait(&mut child).code().unwrap();
    let Output { stdout, stderr, .. } = child.wait_with_output().unwrap();
    (code, String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn help_tells_what_there_is() {
    let (code, out, _) = run(&["demo", "--help"]);
    assert_eq!(code, 0);
    for part in
        ["--port", "--store", "--insecure-cookie", "3000", "embedded:./sessile-data", "/lab/slowread?ms="]
    {
        assert!(out.contains(part), "{part}");
    }
    let (code, out, _) = run(&["--help"]);
    assert_eq!((code, out.contains("demo")), (0, true));
    assert_eq!(run(&[]).0, 2);
    assert_eq!(run(&["demo", "--port", "x"]).0, 2);
}

#[test]
fn what_is_wrong_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, out, err) = run(&["demo", "--store", "memory:", "--port", &port]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.starts_with("error: ") && err.contains(&format!("port {port} is in use")), "{err}");
    assert!(err.contains("--port 0"));

    for (store, part) in [
        ("nonsense:x", "no store is called `nonsense`"),
        ("memory", "no store is called `memory`"),
        ("embedded:", "needs a directory"),
        ("memory:?colour=red", "no option `colour`"),
        ("embedded:/dev/null/x", "/dev/null/x"),
    ] {
        let (code, out, err) = run(&["demo", "--port", "0", "--store", store]);
        assert_eq!((code, out.as_str()), (2, ""), "{store}");
        assert!(err.starts_with("error: ") && err.contains(part), "{store}: {err}");
    }
}

#[test]
fn the_default_store_is_a_database_in_the_working_directory() {
    let demo = Demo::start_with(&["--port", "0"], "warn");
    let mut client = demo.client();
    client.sign_in("Ann");
    assert!(client.text("/stored").contains("embedded:./sessile-data"));
}

#[test]
fn a_killed_server_has_lost_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("embedded:{}", directory.path().join("data").display());
    let demo = Demo::start(&store);
    let mut client = demo.client();
    client.sign_in("Ann");

    // Killed in the midst of clicks: each one that was answered counts.
    let (sent, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let clickers: Vec<_> = (0..4)
        .map(|_| {
            let (mut client, sent, answered) = (client.clone(), sent.clone(), answered.clone());
            thread::spawn(move || {
                loop {
                    sent.fetch_add(1, Ordering::SeqCst);
                    match client.try_send("POST", "/cart", "", &[]) {
                        Ok(answer) => assert_eq!(answer.status, 303),
                        Err(_) => break,
                    }
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    while answered.load(Ordering::SeqCst) < 50 {
        thread::sleep(Duration::from_millis(5));
    }
    demo.kill();
    for clicker in clickers {
        clicker.join().unwrap();
    }

    let again = Demo::start(&store);
    let mut client = Client { cookie: client.cookie, ..again.client() };
    assert_eq!(client.user().as_deref(), Some("Ann"));
    let cart = client.cart();
    let (sent, answered) = (sent.load(Ordering::SeqCst), answered.load(Ordering::SeqCst));
    assert!((answered..=sent).contains(&cart), "{answered} answered, {sent} sent, {cart} in the cart");
    client.post("/cart", "");
    assert_eq!(client.cart(), cart + 1);
}

#[test]
fn ctrl_c_finishes_what_is_under_way() {
    for signal in ["INT", "TERM"] {
        let directory = tempfile::tempdir().unwrap();
        let store = format!("embedded:{}", directory.path().join("data").display());
        let mut demo = Demo::start(&store);
        let mut client = demo.client();
        client.get("/lab/new");
        let mut slow = client.clone();
        let slow = thread::spawn(move || slow.text("/lab/slow?ms=800&key=a"));
        thread::sleep(Duration::from_millis(200));
        demo.signal(signal);
        let (status, printed) = demo.ended();
        assert_eq!((status.code(), slow.join().unwrap().as_str()), (Some(0), "ok"), "{signal}");
        assert!(printed.ends_with("\nbye\n"), "{printed}");

        let again = Demo::start(&store);
        let mut client = Client { cookie: client.cookie, ..again.client() };
        assert_eq!(client.text("/lab/keys"), "user=1 n=0 a=1 b=0");
    }
}

#[test]
fn a_second_ctrl_c_waits_for_nobody() {
    let mut demo = Demo::start("memory:");
    let mut client = demo.client();
    client.get("/lab/new");
    let slow = thread::spawn(move || client.try_send("GET", "/lab/slow?ms=10000&key=a", "", &[]));
    thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    demo.signal("INT");
    thread::sleep(Duration::from_millis(300));
    demo.signal("INT");
    let (status, printed) = demo.ended();
    assert!(start.elapsed() < Duration::from_secs(6));
    assert_eq!(status.code(), Some(130));
    assert!(!printed.contains("bye"));
    assert!(slow.join().unwrap().is_err());
}

#[test]
fn neither_log_nor_database_can_sign_anybody_in() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("data");
    let store = format!("embedded:{}", place.display());
    let mut demo = Demo::start_with(&["--port", "0", "--store", &store], "trace");
    let mut tokens = Vec::new();
    let mut client = demo.client();
    let mut seen = |client: &Client| tokens.push(client.token().to_owned());
    client.post("/cart", "");
    seen(&client);
    let mut old = client.clone();
    client.sign_in("A-name-to-find");
    seen(&client);
    old.get("/");
    for path in ["/", "/devices", "/stored", "/lab", "/nowhere", "/lab/race/planted", "/lab/slow?key="] {
        client.get(path);
    }
    // A token with a wrong secret, a malformed one, one that is dead, and a refused request.
    let mut forger = client.clone();
    forger.cookie = Some(format!("__Host-id={}{}", &client.token()[..22], "B".repeat(32)));
    forger.get("/");
    forger.cookie = Some(format!("__Host-id={}x", client.token()));
    forger.get("/");
    client.send("POST", "/cart", "", &[("Sec-Fetch-Site", "cross-site")]);
    client.send("POST", "/cart", "item=%FF%00", &[]);
    let mut other = demo.client();
    other.sign_in("A-name-to-find");
    seen(&other);
    other.post("/devices/others/end", "");
    client.get("/");
    other.get("/lab/new");
    seen(&other);
    let running = files(&place);
    demo.signal("INT");
    demo.ended();

    let log = demo.log();
    let in_store = [running, files(&place)].concat();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log is on");
    let holds = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(in_store.iter().any(|(_, bytes)| holds(bytes, b"A-name-to-find")), "names can be found");
    for token in tokens {
        let (id, secret) = token.split_at(22);
        assert!(log.contains(id), "ids are logged");
        let raw = decode(secret);
        let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = format!("{raw:?}");
        for form in [secret.as_bytes(), &raw, hex.as_bytes(), &list.as_bytes()[1..list.len() - 1]] {
            assert!(!holds(log.as_bytes(), form), "the log holds a secret");
            for (path, bytes) in &in_store {
                assert!(!holds(bytes, form), "{} holds a secret", path.display());
            }
        }
    }
}

/// Decodes base64url without padding.
fn decode(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for byte in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == byte).unwrap();
        bits = bits << 6 | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}
