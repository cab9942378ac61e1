//! Signing in, by any name, and out of this browser.

use askama::Template;
use axum::{
    Form,
    extract::Query,
    http::{HeaderMap, StatusCode, header::USER_AGENT},
    response::{IntoResponse, Redirect},
};
use serde::Deserialize;
use sessile::axum::Session;

use crate::demo::{
    device,
    page::{FLASH, Frame, Result, render},
};

/// Most characters of a name.
const LONGEST: usize = 64;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page {
    frame: Frame,
    complaint: Option<&'static str>,
    name: String,
    signed_out: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// Set by the way here from signing out.
    out: Option<String>,
}

pub(super) async fn form(session: Session, Query(asked): Query<Asked>) -> Result {
    let frame = Frame::new(&session, "sign-in")?;
    let signed_out = asked.out.is_some() && frame.user.is_none();
    Ok(render(StatusCode::OK, &Page { frame, complaint: None, name: String::new(), signed_out }))
}

#[derive(Debug, Deserialize)]
pub(super) struct Filled {
    #[serde(default)]
    name: String,
}

pub(super) async fn sign_in(session: Session, headers: HeaderMap, Form(filled): Form<Filled>) -> Result {
    let name = filled.name.trim();
    if let Some(complaint) = complaint(name) {
        let frame = Frame::new(&session, "sign-in")?;
        let name = name.chars().take(LONGEST).collect();
        let page = Page { frame, complaint: Some(complaint), name, signed_out: false };
        return Ok(render(StatusCode::UNPROCESSABLE_ENTITY, &page));
    }
    // The demo believes every name. A real site checks a password before this line.
    session.log_in(name)?;
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    session.set_device(device::name(agent))?;
    session.insert(FLASH, format!("Welcome, {name}"))?;
    Ok(Redirect::to("/").into_response())
}

fn complaint(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("Please give a name. Any will do.")
    } else if name.chars().count() > LONGEST {
        Some("That is long. Please use at most 64 characters.")
    } else if name.chars().any(char::is_control) {
        Some("Please leave out control characters.")
    } else {
        None
    }
}

pub(super) async fn sign_out(session: Session) -> Redirect {
    session.destroy();
    Redirect::to("/sign-in?out")
}
