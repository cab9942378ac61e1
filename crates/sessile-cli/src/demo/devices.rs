//! Your devices: where you are signed in, and signing out here, there and everywhere else.

use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect},
};
use sessile::{EndReason, Filter, SessionId, SessionInfo, Sessions, State as Life, axum::Session};

use crate::demo::{
    app::App,
    page::{FLASH, Frame, Result, not_found, render},
    when::When,
};

/// Most devices shown, and most that are read to choose them from.
const SHOWN: usize = 50;
const READ: usize = 1000;

struct Device {
    id: String,
    name: String,
    here: bool,
    created: When,
    seen: When,
    expires: When,
    ended: Option<Over>,
}

struct Over {
    reason: &'static str,
    when: When,
}

impl Device {
    fn new(info: SessionInfo, here: Option<SessionId>) -> Self {
        Self {
            here: here == Some(info.id),
            id: info.id.to_string(),
            name: info.device.unwrap_or_else(|| "unknown device".to_owned()),
            created: When::new(info.created),
            seen: When::new(info.seen),
            expires: When::new(info.expires),
            ended: info.ended.map(|ended| Over { reason: words(ended.reason), when: When::new(ended.at) }),
        }
    }
}

fn words(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Logout => "signed out there",
        EndReason::Killed => "signed out from another device",
        EndReason::Idle => "not used for too long",
        EndReason::Absolute => "time was up",
        EndReason::TokenReuse => "an old copy of its cookie was used",
        other => other.as_str(),
    }
}

#[derive(Template)]
#[template(path = "devices.html")]
struct Page {
    frame: Frame,
    live: Vec<Device>,
    others: usize,
    ended: Vec<Device>,
}

pub(super) async fn list(State(app): State<App>, session: Session) -> Result {
    let frame = Frame::new(&session, "devices")?;
    let (mut live, mut ended) = (Vec::new(), Vec::new());
    if let Some(user) = &frame.user {
        live = read(&app.sessions, Filter::user(user)).await?;
        ended = read(&app.sessions, Filter::user(user).state(Life::Ended)).await?;
    }
    let here = session.id();
    live.sort_by_key(|info| (Some(info.id) != here, std::cmp::Reverse(info.seen)));
    ended.sort_by_key(|info| std::cmp::Reverse(info.ended.as_ref().map(|ended| ended.at)));
    let others = live.iter().filter(|info| Some(info.id) != here).count();
    let show = |infos: Vec<SessionInfo>| {
        infos.into_iter().take(SHOWN).map(|info| Device::new(info, here)).collect::<Vec<_>>()
    };
    Ok(render(StatusCode::OK, &Page { frame, live: show(live), others, ended: show(ended) }))
}

async fn read(sessions: &Sessions, filter: Filter) -> Result<Vec<SessionInfo>> {
    let mut found = Vec::new();
    let mut list = sessions.list(filter);
    while found.len() < READ
        && let Some(info) = list.next().await
    {
        found.push(info?);
    }
    Ok(found)
}

/// Signs one device out: only one that belongs to who asks.
pub(super) async fn end_one(State(app): State<App>, session: Session, Path(id): Path<String>) -> Result {
    let (Some(user), Ok(id)) = (session.user(), id.parse::<SessionId>()) else {
        return not_found(session).await;
    };
    if session.id() == Some(id) {
        session.destroy();
        return Ok(Redirect::to("/sign-in?out").into_response());
    }
    let found = app.sessions.get(&id).await?;
    let Some(found) = found.filter(|info| info.user.as_ref() == Some(&user)) else {
        return not_found(session).await;
    };
    let device = found.device.unwrap_or_else(|| "unknown device".to_owned());
    let told = match app.sessions.end(&id, EndReason::Killed, Some(&user)).await? {
        true => format!("Signed out: {device}"),
        false => format!("That was over already: {device}"),
    };
    session.insert(FLASH, told)?;
    Ok(Redirect::to("/devices").into_response())
}

/// Signs out everywhere else.
pub(super) async fn end_others(State(app): State<App>, session: Session) -> Result {
    let ended = app.sessions.end_others(&session, EndReason::Killed).await?;
    if session.user().is_some() {
        let devices = if ended == 1 { "device" } else { "devices" };
        session.insert(FLASH, format!("Signed out of {ended} other {devices}"))?;
    }
    Ok(Redirect::to("/devices").into_response())
}
