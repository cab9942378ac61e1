//! Old tokens, planted tokens, and what the cookie says.

use axum::http::StatusCode;
use sessile::{Error, Filter};

use super::{Lab, somebody};
use crate::demo::lab::{browser::Browser, report::Report};

pub(super) async fn old(lab: &Lab) -> Report {
    let mut report = Report::default();
    let name = somebody();
    let mut browser = Browser::new(&lab.site);
    browser.post("/cart", String::new()).await;
    report.step("An anonymous browser puts one thing into its cart. Somebody copies its cookie.");
    let mut thief = browser.clone();
    report.check(thief.get("/cart.txt").await.text.trim() == "1", "the copy opens the cart");
    let answer = browser.post("/sign-in", format!("name={name}")).await;
    report.step("The browser signs in.");
    report.check(answer.set_cookies().len() == 1, "the answer set one cookie");
    report.check(browser.cookie() != thief.cookie(), "with a new token");
    report.check(browser.get("/cart.txt").await.text.trim() == "1", "the cart is still there");
    report.check(browser.get("/").await.text.contains(&name), "and the browser is signed in");
    let page = thief.get("/").await.text;
    report.check(!page.contains(&name), "the copy is a stranger at once");
    report.check(thief.get("/cart.txt").await.text.trim() == "0", "without a cart");
    browser.post("/sign-out", String::new()).await;
    report
}

pub(super) async fn planted(lab: &Lab) -> Result<Report, Error> {
    let mut report = Report::default();
    let cookie = &lab.sessions.policy().cookie.name;
    let mut own = Browser::new(&lab.site);
    own.get("/lab/new").await;
    let own_token = own.cookie().and_then(|cookie| cookie.split_once('=')).map_or("", |(_, token)| token);
    // The id of a session that exists, with a secret of the attacker's.
    let forged = format!("{}{}", own_token.get(..22).unwrap_or_default(), "A".repeat(32));
    let planted = [
        ("that looks like a real one", "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU".to_owned()),
        ("with the id of a real session", forged),
        ("of a readable word", "admin".to_owned()),
        ("that is empty", String::new()),
        ("of 4,000 characters", "x".repeat(4000)),
    ];
    for (kind, token) in planted {
        let name = somebody();
        let trap = format!("{cookie}={token}");
        let mut victim = Browser::with_cookie(&lab.site, trap.clone());
        let mut attacker = Browser::with_cookie(&lab.site, trap.clone());
        report.step(&format!("A victim signs in with a planted token {kind}."));
        let answer = victim.post("/sign-in", format!("name={name}")).await;
        let fresh = answer.set_cookies().len() == 1 && victim.cookie().is_some_and(|got| got != trap);
        report.check(fresh, "the victim got a token of the server's making");
        report.check(!attacker.get("/").await.text.contains(&name), "the attacker's copy is a stranger");
        let live = lab.sessions.count(&Filter::user(&name)).await?;
        report.check(live == 1, &format!("the store has {live} session of the victim's"));
        victim.post("/sign-out", String::new()).await;
    }
    report.check(own.get("/lab/read").await.text == "0", "the real session was not touched");
    own.get("/lab/destroy").await;
    Ok(report)
}

pub(super) async fn unused(lab: &Lab) -> Report {
    let mut report = Report::default();
    let mut browser = Browser::new(&lab.site);
    let answer = browser.get("/lab/none").await;
    report.step("A new browser asks for something that looks at no session.");
    report.check(answer.set_cookies().is_empty(), "no Set-Cookie");
    report.check(!answer.says("vary", "cookie"), "no Vary: Cookie, so caches may share the answer");
    let answer = browser.get("/lab/read").await;
    report.step("It asks for something that looks for a session and finds none.");
    report.check(answer.status == StatusCode::NOT_FOUND, "there is none");
    report.check(answer.set_cookies().is_empty(), "none was begun: no Set-Cookie");
    report.check(answer.says("vary", "cookie"), "Vary: Cookie, since the answer depends on it");
    browser.get("/lab/new").await;
    let answer = browser.get("/lab/none").await;
    report.step("It has a session by now and asks for what needs none.");
    let silent = answer.set_cookies().is_empty() && !answer.says("vary", "cookie");
    report.check(silent, "no Set-Cookie, no Vary");
    browser.get("/lab/destroy").await;
    report
}

pub(super) async fn cookie(lab: &Lab) -> Report {
    let mut report = Report::default();
    let name = &lab.sessions.policy().cookie.name;
    let mut browser = Browser::new(&lab.site);
    let begun = browser.get("/lab/new").await;
    let signed_in = browser.post("/sign-in", format!("name={}", somebody())).await;
    let signed_out = browser.post("/sign-out", String::new()).await;
    for (what, answer) in [("begins", begun), ("signs in", signed_in), ("signs out", signed_out)] {
        report.step(&format!("A browser {what}."));
        let cookies = answer.set_cookies();
        report.check(cookies.len() == 1, "Set-Cookie comes once");
        let cookie = cookies.first().copied().unwrap_or_default();
        report.check(cookie.starts_with(&format!("{name}=")), &format!("its name is {name}"));
        let mut wanted = vec!["HttpOnly", "SameSite=Lax", "Path=/"];
        if name.starts_with("__") {
            wanted.push("Secure");
        }
        for attribute in wanted {
            report.check(cookie.split("; ").any(|part| part == attribute), attribute);
        }
        report.check(!cookie.contains("Domain"), "no Domain: this very host only");
        report.check(answer.says("cache-control", "no-store"), "Cache-Control: no-store");
        report.check(answer.says("vary", "cookie"), "Vary: Cookie");
    }
    report
}
