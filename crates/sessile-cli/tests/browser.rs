//! The site in a real browser: Chromium without a window, driven by WebDriver.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

mod support;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::{Demo, SOON, http::request};
use tempfile::TempDir;

const ARGUMENTS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,900",
];

/// A browser with an empty profile of its own.
struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

impl Browser {
    fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is needed: install the packages chromium and chromium-driver");
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines
            .map(Result::unwrap)
            .find_map(|line| {
                line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver did not start");
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", browser._profile.path().display()));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.command("POST", "/session", &wanted).expect("Chromium did not start");
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        browser
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let (path, body) = (format!("{}{path}", self.session), body.to_string());
        let answer =
            request(self.port, method, &path, &[("Content-Type", "application/json")], &body).unwrap();
        let mut value: Value = serde_json::from_str(&answer.text).unwrap();
        let value = value["value"].take();
        if answer.status == 200 { Ok(value) } else { Err(value) }
    }

    fn go(&self, url: &str) {
        self.command("POST", "/url", &json!({"url": url})).unwrap();
    }

    fn run(&self, script: &str) -> Value {
        self.command("POST", "/execute/sync", &json!({"script": script, "args": []})).unwrap()
    }

    /// Waits until `script` gives a true value.
    fn until(&self, script: &str) {
        let start = Instant::now();
        while self.run(&format!("return Boolean({script})")) != true {
            assert!(start.elapsed() < SOON, "never came true: {script}\n{}", self.text("body"));
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Does something with the element that `selector` finds, once it is there: the page may just
    /// be changing.
    fn element(&self, selector: &str, action: &str, body: &Value) {
        let start = Instant::now();
        loop {
            let find = json!({"using": "css selector", "value": selector});
            let done = self.command("POST", "/element", &find).and_then(|found| {
                let id =
                    found.as_object().and_then(|found| found.values().next()?.as_str()).unwrap().to_owned();
                self.command("POST", &format!("/element/{id}/{action}"), body)
            });
            let Err(error) = done else { return };
            assert!(start.elapsed() < SOON, "{selector}: {error}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn click(&self, selector: &str) {
        self.element(selector, "click", &json!({}));
    }

    /// Clicks what loads another page, and waits for that.
    fn follow(&self, selector: &str) {
        self.run("document.documentElement.dataset.before = 'yes'");
        self.click(selector);
        self.until("!document.documentElement.dataset.before && document.readyState === 'complete'");
    }

    fn write(&self, selector: &str, text: &str) {
        self.element(selector, "value", &json!({"text": text}));
    }

    fn text(&self, selector: &str) -> String {
        let text = self.run(&format!("return document.querySelector('{selector}')?.innerText ?? ''"));
        text.as_str().unwrap().to_owned()
    }

    /// Everything the browser complained about: scripts that failed, content that was refused.
    fn complaints(&self) -> Vec<Value> {
        let log = self.command("POST", "/se/log", &json!({"type": "browser"})).unwrap();
        log.as_array().unwrap().iter().filter(|entry| entry["level"] != "INFO").cloned().collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _closed = self.command("DELETE", "", &json!({}));
        }
        let _ended_already = self.driver.kill();
        let _reaped_already = self.driver.wait();
    }
}

#[test]
fn a_browser_signs_in_shops_and_signs_out() {
    let demo = Demo::start("embedded:data");
    let browser = Browser::start();
    let site = demo.site();
    browser.go(&site);
    browser.follow("#add-coral");
    browser.write("#name", "Ann");
    browser.follow(".hero button");
    assert_eq!(browser.text(".flash"), "Welcome, Ann");
    assert_eq!(browser.text("#user"), "Ann");
    browser.go(&site);
    assert_eq!(browser.text(".flash"), "", "shown once");
    assert_eq!(browser.run("return document.cookie"), "", "no script can read the cookie");
    let cookies = browser.command("GET", "/cookie", &json!({})).unwrap();
    let cookie = &cookies[0];
    assert_eq!((&cookie["name"], &cookie["sameSite"]), (&json!("__Host-id"), &json!("Lax")));
    assert_eq!((&cookie["secure"], &cookie["httpOnly"]), (&json!(true), &json!(true)));

    browser.follow("#add-coral");
    browser.follow("#add-mussel");
    browser.go(&format!("{site}/cart"));
    assert_eq!(browser.text("#count"), "3");
    assert!(browser.text("main").contains("Coral") && browser.text("main").contains("Mussel"));

    let mut elsewhere = demo.client();
    elsewhere.sign_in("Ann");
    browser.go(&format!("{site}/devices"));
    assert_eq!(browser.run("return document.querySelectorAll('.devices li').length"), 2);
    assert!(browser.text(".devices .here").starts_with("Chrome on Linux this device"));
    browser.follow(".devices li:not(.here) button");
    assert_eq!(browser.text(".flash"), "Signed out: Firefox on Linux");
    assert_eq!(elsewhere.user(), None);
    assert!(browser.text("table").contains("signed out from another device"));

    browser.go(&format!("{site}/stored"));
    assert!(browser.text("main").contains("shop-cart"));
    browser.follow("#sign-out");
    assert!(browser.text("main").contains("You are signed out."));
    assert_eq!(browser.command("GET", "/cookie", &json!({})).unwrap(), json!([]));
    assert_eq!(browser.complaints(), [json!(null); 0]);
}

#[test]
fn a_browser_runs_every_race() {
    for (store, host) in [("memory:", "localhost"), ("embedded:data", "127.0.0.1")] {
        let mut demo = Demo::start(store);
        let browser = Browser::start();
        let site = format!("http://{host}:{}", demo.port);
        browser.go(&format!("{site}/sign-in"));
        browser.write("#name", "Ann");
        browser.follow("main button");
        browser.go(&format!("{site}/lab"));
        browser.click("#run-all");
        let finished =
            "document.querySelectorAll('.race[data-verdict=pass], .race[data-verdict=fail]').length";
        browser.until(&format!("{finished} === 13 && !document.querySelector('#run-all').disabled"));
        let failed = browser.run(
            "return [...document.querySelectorAll('.race:not([data-verdict=pass])')].map(race => race.innerText)",
        );
        assert_eq!(failed, json!([]), "{store}");
        browser.click(".race[data-name=clicks] button");
        browser.until("document.querySelector('.race[data-name=clicks]').dataset.verdict === 'pass'");
        assert!(browser.text(".race[data-name=clicks] .steps").contains("afterwards n is 24"));
        browser.go(&format!("{site}/devices"));
        assert_eq!(browser.text("#user"), "Ann", "the races left the visitor's session alone");
        assert_eq!(browser.complaints(), [json!(null); 0]);

        // The browser's idle connections don't hold the server up.
        let start = Instant::now();
        demo.signal("INT");
        assert_eq!(demo.ended().0.code(), Some(0));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}
