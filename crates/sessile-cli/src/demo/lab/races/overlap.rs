//! Requests that overlap.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::{Lab, somebody};
use crate::demo::lab::{browser::Browser, report::Report};

const CLICKS: usize = 200;

pub(super) async fn many(lab: &Lab) -> Report {
    let mut report = Report::default();
    let mut browser = Browser::new(&lab.site);
    browser.get("/lab/new").await;
    report.step("One browser begins a session with n = 0 and sends 200 requests that add one, at once.");
    let mut clicks = JoinSet::new();
    for _ in 0..CLICKS {
        let mut tab = browser.clone();
        clicks.spawn(async move { tab.get("/lab/write").await });
    }
    let answers = clicks.join_all().await;
    let good = answers.iter().filter(|answer| answer.status.is_success()).count();
    report.check(good == CLICKS, &format!("{good} of {CLICKS} were answered with success"));
    let numbers: BTreeSet<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
    report.check(
        numbers.len() == CLICKS,
        &format!("each was told a number of its own: {} different ones", numbers.len()),
    );
    let n = browser.get("/lab/read").await.text;
    report.check(n == CLICKS.to_string(), &format!("afterwards n is {n}"));
    browser.get("/lab/destroy").await;
    report
}

pub(super) async fn twice(lab: &Lab) -> Report {
    let mut report = Report::default();
    let name = somebody();
    let mut first = Browser::new(&lab.site);
    first.post("/cart", String::new()).await;
    let old = first.cookie().map(str::to_owned);
    let mut second = first.clone();
    report.step("An anonymous browser has one thing in its cart. Its user presses \"Sign in\" twice.");
    let form = format!("name={name}");
    let (one, two) = tokio::join!(first.post("/sign-in", form.clone()), second.post("/sign-in", form));
    let statuses = format!("{} and {}", one.status.as_u16(), two.status.as_u16());
    let good = one.status.is_redirection() && two.status.is_redirection();
    report.check(good, &format!("both were answered as a sign-in is: {statuses}"));
    let once = one.set_cookies().len() == 1 && two.set_cookies().len() == 1;
    report.check(once, "each answer set one cookie");
    report.check(first.cookie() != old.as_deref() && second.cookie() != old.as_deref(), "both new");
    // A browser keeps the cookie of the answer that comes last: either may.
    for (which, browser) in [("first", &mut first), ("second", &mut second)] {
        let in_it = browser.get("/cart").await.text.contains(&name);
        report.check(in_it, &format!("the cookie of the {which} answer is signed in"));
    }
    if let Some(old) = old {
        let cart = Browser::with_cookie(&lab.site, old).get("/cart.txt").await.text;
        report.check(cart.trim() == "0", "the cookie from before opens nothing");
    }
    first.post("/sign-out", String::new()).await;
    second.post("/sign-out", String::new()).await;
    report
}
