//! Sessions that are ended while somebody uses them.

use std::time::Duration;

use axum::http::StatusCode;
use sessile::{EndReason, Error, Filter, SessionId, State};
use tokio::time::sleep;

use super::{Lab, somebody};
use crate::demo::lab::{browser::Browser, report::Report};

pub(super) async fn sign_out(lab: &Lab) -> Result<Report, Error> {
    let mut report = Report::default();
    let name = somebody();
    let mut browser = Browser::new(&lab.site);
    browser.post("/sign-in", format!("name={name}")).await;
    browser.get("/lab/join").await;
    report.step("A browser signs in. One tab starts a request of 600 ms that sets a key at its end.");
    let mut tab = browser.clone();
    let slow = tokio::spawn(async move { tab.get("/lab/slow?ms=600&key=a").await });
    sleep(Duration::from_millis(200)).await;
    let mut thief = browser.clone();
    report.step("200 ms later another tab signs out.");
    let cleared = browser.post("/sign-out", String::new()).await;
    report.check(cleared.says("set-cookie", "max-age=0"), "signing out cleared the cookie");
    let slow = slow.await.map(|answer| answer.status);
    let refused = slow.as_ref().is_ok_and(|status| *status == StatusCode::CONFLICT);
    let status = slow.map_or_else(|error| error.to_string(), |status| status.as_u16().to_string());
    report.check(refused, &format!("the slow request was told that its session is over: {status}"));
    let status = thief.get("/lab/keys").await.status;
    report.check(status == StatusCode::NOT_FOUND, "the cookie from before opens nothing");
    let live = lab.sessions.count(&Filter::user(&name)).await?;
    report.check(live == 0, &format!("the store has {live} live sessions of this user"));
    let ended = lab.sessions.list(Filter::user(&name).state(State::Ended)).next().await.transpose()?;
    let reason = ended.and_then(|info| info.ended).map(|ended| ended.reason);
    let shown = reason.map_or("nothing", EndReason::as_str);
    report.check(reason == Some(EndReason::Logout), &format!("the store remembers why it ended: {shown}"));
    Ok(report)
}

pub(super) async fn far(lab: &Lab) -> Result<Report, Error> {
    let mut report = Report::default();
    let name = somebody();
    let (mut phone, mut laptop) = (Browser::new(&lab.site), Browser::new(&lab.site));
    phone.post("/sign-in", format!("name={name}")).await;
    let mut list = lab.sessions.list(Filter::user(&name));
    let Some(lost) = list.next().await.transpose()?.map(|info| info.id) else {
        report.check(false, "the phone is signed in");
        return Ok(report);
    };
    laptop.post("/sign-in", format!("name={name}")).await;
    report.step("One user signs in on a phone and on a laptop. The phone is lost.");
    let mut stranger = Browser::new(&lab.site);
    stranger.post("/sign-in", format!("name={}", somebody())).await;
    let status = end(&mut stranger, lost).await;
    report.check(status == StatusCode::NOT_FOUND, "another user can't sign the phone out: 404");
    report.check(lab.sessions.exists(&lost).await?, "the phone is still signed in");
    let status = end(&mut laptop, lost).await;
    report.check(status == StatusCode::SEE_OTHER, "the laptop can");
    let page = phone.get("/").await.text;
    report.check(!page.contains(&name), "the phone's next page is a stranger's");
    report.check(page.contains("signed out of this browser from another device"), "and says why");
    stranger.post("/sign-out", String::new()).await;
    laptop.post("/sign-out", String::new()).await;
    Ok(report)
}

async fn end(browser: &mut Browser, id: SessionId) -> StatusCode {
    browser.post(&format!("/devices/{id}/end"), String::new()).await.status
}

pub(super) async fn others(lab: &Lab) -> Result<Report, Error> {
    let mut report = Report::default();
    let (name, other) = (somebody(), somebody());
    let mut devices = [&name, &name, &name, &other].map(|user| (user, Browser::new(&lab.site)));
    for (user, device) in &mut devices {
        device.post("/sign-in", format!("name={user}")).await;
    }
    let live = lab.sessions.count(&Filter::user(&name)).await?;
    report.check(live == 3, &format!("one user is signed in on {live} devices, another on one"));
    devices[0].1.post("/devices/others/end", String::new()).await;
    report.step("The first device signs out everywhere else.");
    let expected = [true, false, false, true];
    let titles = ["the first device", "the second", "the third", "the other user"];
    for (((user, device), expected), title) in devices.iter_mut().zip(expected).zip(titles) {
        let signed_in = device.get("/cart").await.text.contains(user.as_str());
        let state = if signed_in { "signed in" } else { "signed out" };
        report.check(signed_in == expected, &format!("{title} is {state}"));
    }
    let live = lab.sessions.count(&Filter::user(&name)).await?;
    report.check(live == 1, &format!("list and count agree: {live} live session"));
    devices[0].1.post("/sign-out", String::new()).await;
    devices[3].1.post("/sign-out", String::new()).await;
    Ok(report)
}

pub(super) async fn restart(lab: &Lab) -> Report {
    let mut report = Report::default();
    let mut browser = Browser::new(&lab.site);
    browser.get("/lab/new").await;
    browser.get("/lab/slow?key=a").await;
    browser.get("/lab/write").await;
    let mut before = browser.clone();
    let keys = browser.get("/lab/keys").await.text;
    report.check(keys == "user=1 n=1 a=1 b=0", &format!("a session holds {keys}"));
    let again = browser.get("/lab/new").await;
    report.step("It is ended and a new one begun, in one request.");
    report.check(again.set_cookies().len() == 1, "the answer set one cookie");
    let keys = browser.get("/lab/keys").await.text;
    report.check(keys == "user=1 n=0 a=0 b=0", &format!("the new one holds {keys}"));
    let status = before.get("/lab/keys").await.status;
    report.check(status == StatusCode::NOT_FOUND, "the old cookie opens nothing");
    browser.get("/lab/destroy").await;
    report
}
