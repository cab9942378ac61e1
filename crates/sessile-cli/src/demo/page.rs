//! What all pages have in common.

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header::CACHE_CONTROL},
    response::{Html, IntoResponse, Response},
};
use sessile::{EndReason, Ended, Key, axum::Session};

use crate::demo::{shop, when::When};

/// Shown on the next page, once. Its name and the cart's are none that `/lab/slow` can set.
pub(super) const FLASH: Key<String> = Key::new("flash-message");

pub(super) type Result<T = Response, E = sessile::axum::Error> = std::result::Result<T, E>;

/// The top of a page: where the visitor is, who they are, and what they have to be told.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) here: &'static str,
    pub(super) user: Option<String>,
    pub(super) cart: u64,
    pub(super) flash: Option<String>,
    pub(super) over: Option<String>,
}

impl Frame {
    /// The frame of the page `here`. Takes the flash message out of the session.
    pub(super) fn new(session: &Session, here: &'static str) -> Result<Self> {
        Ok(Self {
            here,
            user: session.user(),
            cart: shop::total(session)?,
            flash: session.take(FLASH)?,
            over: session.over().filter(|_| !session.exists()).map(|ended| told(&ended)),
        })
    }
}

/// Why a session is over, told to whom it belonged.
fn told(ended: &Ended) -> String {
    let when = When::new(ended.at).short;
    match ended.reason {
        EndReason::Killed => format!("You were signed out of this browser from another device, {when}."),
        EndReason::Logout => format!("This session was signed out, {when}."),
        EndReason::Idle | EndReason::Absolute => {
            format!("Your session ran out of time, {when}. Please sign in again.")
        }
        EndReason::TokenReuse => {
            format!("Your session was ended, {when}: an old copy of its cookie was used.")
        }
        reason => format!("Your session was ended ({reason}), {when}."),
    }
}

/// A rendered page. It is about one visitor, so no cache may keep it, nor the back button show it
/// after they signed out.
pub(super) fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => {
            let no_store = (CACHE_CONTROL, HeaderValue::from_static("no-store"));
            (status, [no_store], Html(text)).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page can't be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "This page can't be shown.\n").into_response()
        }
    }
}

#[derive(Template)]
#[template(path = "not_found.html")]
struct NotFound {
    frame: Frame,
}

/// The answer where nothing is.
pub(super) async fn not_found(session: Session) -> Result {
    let frame = Frame::new(&session, "nowhere")?;
    Ok(render(StatusCode::NOT_FOUND, &NotFound { frame }))
}
