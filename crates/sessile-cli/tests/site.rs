//! The site: signing in and out, cart, devices, what is stored.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

mod support;

use support::{Demo, devices, each_store};

#[test]
fn pages_need_no_session_until_something_is_kept() {
    let demo = Demo::start("memory:");
    let mut client = demo.client();
    for path in
        ["/", "/cart", "/cart.txt", "/sign-in", "/devices", "/stored", "/lab", "/demo.css", "/lab/none"]
    {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.set_cookie()), (200, None), "{path}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'; "));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(client.get("/lab/none").all("vary"), [""; 0]);
    assert_eq!(client.get("/").all("vary"), ["Cookie"]);
    assert_eq!(client.get("/nowhere").status, 404);
    assert!(client.text("/stored").contains("Nothing."));
}

#[test]
fn the_cookie_is_as_strict_as_cookies_get() {
    each_store(|demo| {
        let mut client = demo.client();
        let first = client.post("/cart", "");
        for answer in [first, client.sign_in("Ann"), client.get("/lab/new"), client.post("/sign-out", "")] {
            let cookie = answer.set_cookie().unwrap();
            assert!(cookie.starts_with("__Host-id="));
            assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"));
            assert!(!cookie.contains("Domain"));
            assert_eq!((answer.header("cache-control"), answer.header("vary")), ("no-store", "Cookie"));
        }
        assert_eq!(client.cookie, None);
    });
}

#[test]
fn tools_that_refuse_secure_cookies_get_another() {
    let demo = Demo::start_with(&["--port", "0", "--store", "memory:", "--insecure-cookie"], "warn");
    let mut client = demo.client();
    let answer = client.post("/cart", "");
    let cookie = answer.set_cookie().unwrap();
    assert!(cookie.starts_with("id=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"));
    assert_eq!(client.cart(), 1);
    assert!(client.text("/lab/race/cookie").ends_with("PASS\n"));
}

#[test]
fn signing_in_keeps_the_cart_and_greets_once() {
    each_store(|demo| {
        let mut client = demo.client();
        assert_eq!(client.post("/cart", "item=coral").status, 303);
        let mut thief = client.clone();
        client.sign_in("Ann");
        assert_ne!(client.token(), thief.token());
        assert_eq!(thief.user(), None, "the token from before is dead at once");
        assert_eq!(thief.cart(), 0);
        assert!(client.text("/").contains("Welcome, Ann"));
        assert!(!client.text("/").contains("Welcome, Ann"));
        assert_eq!((client.user().as_deref(), client.cart()), (Some("Ann"), 1));

        let mut late = client.clone();
        assert_eq!(client.post("/sign-out", "").header("location"), "/sign-in?out");
        assert_eq!((client.user(), late.user()), (None, None));
        assert!(late.text("/").contains("This session was signed out"));
    });
}

#[test]
fn names_are_checked_and_escaped() {
    let demo = Demo::start("memory:");
    let mut client = demo.client();
    for wrong in ["", "name=", "name=+++", "other=x", "name=a%00b", &format!("name={}", "x".repeat(65))] {
        let answer = client.send("POST", "/sign-in", wrong, &[("X", "y")]);
        let expected = if wrong.is_empty() { 415 } else { 422 };
        assert_eq!((answer.status, answer.set_cookie()), (expected, None), "{wrong}");
    }
    client.agent = "<b>x</b>\"'";
    client.sign_in("%3Cscript%3Ealert(1)%3C/script%3E");
    for path in ["/", "/cart", "/devices", "/stored", "/lab"] {
        let page = client.text(path);
        assert!(!page.contains("<script>alert") && !page.contains("<b>x"), "{path}");
        assert!(page.contains("&#60;script&#62;alert(1)"), "{path}");
    }
    client.sign_in(&"%C3%A9".repeat(64));
    assert_eq!(client.user().unwrap(), "é".repeat(64));
}

#[test]
fn planted_tokens_are_not_adopted() {
    each_store(|demo| {
        let mut own = demo.client();
        own.get("/lab/new");
        let forged = format!("{}{}", &own.token()[..22], "A".repeat(32));
        for planted in ["A".repeat(54), forged, "x".into(), "x".repeat(4000), "../../etc/passwd".into()] {
            let mut victim = demo.client();
            victim.cookie = Some(format!("__Host-id={planted}"));
            let mut attacker = victim.clone();
            let answer = victim.sign_in("Ann");
            assert!(!answer.set_cookie().unwrap().starts_with(&format!("__Host-id={planted};")));
            assert_eq!((victim.user().as_deref(), attacker.user()), (Some("Ann"), None), "{planted}");
        }
        assert_eq!(own.text("/lab/read"), "0");
    });
}

#[test]
fn devices_are_signed_out_here_there_and_everywhere_else() {
    each_store(|demo| {
        let mut clients = [(); 4].map(|()| demo.client());
        clients[1].agent = "curl/8.5.0";
        for client in &mut clients {
            client.sign_in("Ann");
        }
        let mut stranger = demo.client();
        stranger.sign_in("Eve");
        let [first, second, third, fourth] = &mut clients;

        let page = first.text("/devices");
        assert!(page.contains("curl 8.5.0") && page.contains("Firefox on Linux"));
        assert_eq!((devices(&page).len(), page.matches("this device").count()), (4, 1));
        let id = devices(&second.text("/devices"))[0].clone();
        assert!(second.token().starts_with(&id));

        // Only who owns it.
        let end = format!("/devices/{id}/end");
        assert_eq!(stranger.post(&end, "").status, 404);
        assert_eq!(demo.client().post(&end, "").status, 404);
        assert_eq!(first.post("/devices/nonsense/end", "").status, 404);
        assert_eq!(second.user().as_deref(), Some("Ann"));
        assert_eq!(first.post(&end, "").status, 303);
        assert_eq!(second.user(), None);
        assert!(second.text("/").contains("signed out of this browser from another device"));
        let page = first.text("/devices");
        assert!(page.contains("Signed out: curl 8.5.0") && page.contains("signed out from another device"));
        assert_eq!(devices(&page).len(), 3);

        assert_eq!(first.post("/devices/others/end", "").status, 303);
        assert_eq!((third.user(), fourth.user()), (None, None));
        assert_eq!(stranger.user().as_deref(), Some("Eve"));
        let page = first.text("/devices");
        assert!(page.contains("Signed out of 2 other devices"));
        let here = devices(&page);
        assert_eq!(here.len(), 1);
        assert_eq!(first.post(&format!("/devices/{}/end", here[0]), "").header("location"), "/sign-in?out");
        assert_eq!((first.user(), first.cookie.as_ref()), (None, None));
    });
}

#[test]
fn what_is_stored_is_shown_without_the_token() {
    each_store(|demo| {
        let mut client = demo.client();
        client.post("/cart", "item=sponge");
        client.sign_in("Ann");
        client.get("/lab/join");
        let page = client.text("/stored");
        let token = client.token().to_owned();
        let (id, secret) = token.split_at(22);
        for part in [id, "Ann", "Firefox on Linux", "shop-cart", "{&#34;sponge&#34;:1}", "flash-message"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains(secret));
        assert!(!client.text("/stored").contains("flash-message"), "shown once, gone by then");
    });
}

#[test]
fn other_sites_can_cause_nothing() {
    let demo = Demo::start("memory:");
    let mut client = demo.client();
    client.sign_in("Ann");
    let foreign = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://localhost:1"),
    ];
    for header in foreign {
        for (method, path) in
            [("POST", "/cart"), ("POST", "/sign-out"), ("GET", "/lab/new"), ("GET", "/lab/destroy")]
        {
            assert_eq!(client.send(method, path, "", &[header]).status, 403, "{header:?} {path}");
        }
    }
    assert_eq!((client.user().as_deref(), client.cart()), (Some("Ann"), 0));
    let origin = demo.site();
    for header in [("Sec-Fetch-Site", "same-origin"), ("Origin", &origin)] {
        assert_eq!(client.send("POST", "/cart", "", &[header]).status, 303, "{header:?}");
    }
    assert_eq!(client.cart(), 2);
}

#[test]
fn the_cart_takes_and_gives() {
    let demo = Demo::start("memory:");
    let mut client = demo.client();
    assert_eq!(client.post("/cart/remove", "item=coral").status, 303);
    assert_eq!(client.cookie, None, "taking out of nothing begins no session");
    for item in ["coral", "coral", "mussel"] {
        client.post("/cart", &format!("item={item}"));
    }
    assert_eq!(client.post("/cart", "item=whale").status, 422);
    client.post("/cart/remove", "item=coral");
    assert_eq!(client.cart(), 2);
    client.post("/cart/remove", "item=whale");
    client.post("/cart/empty", "");
    assert_eq!(client.cart(), 0);
}
