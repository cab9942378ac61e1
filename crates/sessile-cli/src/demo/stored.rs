//! What the server stores about you: read back from the store while you look.

use askama::Template;
use axum::{extract::State, http::StatusCode};
use serde_json::Value;
use sessile::{SessionInfo, axum::Session, store::Versioned};

use crate::demo::{
    app::App,
    page::{Frame, Result, render},
    when::When,
};

struct Header {
    id: String,
    user: Option<String>,
    device: Option<String>,
    created: When,
    seen: When,
    expires: When,
    persistent: bool,
    size: usize,
}

impl Header {
    fn new(info: SessionInfo) -> Self {
        Self {
            id: info.id.to_string(),
            user: info.user,
            device: info.device,
            created: When::new(info.created),
            seen: When::new(info.seen),
            expires: When::new(info.expires),
            persistent: info.persistent,
            size: info.size,
        }
    }
}

struct Row {
    key: String,
    bytes: usize,
    value: String,
}

#[derive(Template)]
#[template(path = "stored.html")]
struct Page {
    frame: Frame,
    store: String,
    cookie: String,
    idle: u64,
    absolute: u64,
    touch: u64,
    header: Option<Header>,
    rows: Vec<Row>,
}

pub(super) async fn show(State(app): State<App>, session: Session) -> Result {
    let header = session.info().map(Header::new);
    let stored = match session.id() {
        Some(id) => app.sessions.store().load(&id).await?,
        None => None,
    };
    // Before the frame takes the flash message out: it is stored until this page is answered.
    let rows = stored.map_or_else(Vec::new, |stored| rows(&session, &stored));
    let policy = app.sessions.policy();
    let page = Page {
        frame: Frame::new(&session, "stored")?,
        store: app.store.to_string(),
        cookie: policy.cookie.name.clone(),
        idle: policy.idle_timeout.as_secs() / 60,
        absolute: policy.absolute_timeout.as_secs() / 3600,
        touch: policy.idle_timeout.as_secs() / 600,
        header,
        rows,
    };
    Ok(render(StatusCode::OK, &page))
}

/// Every key of the record, with the bytes that its value takes. The values are the visitor's own.
fn rows(session: &Session, stored: &Versioned) -> Vec<Row> {
    let row = |(key, value): (&str, &[u8])| {
        let shown = match session.get::<Value>(key) {
            Ok(value) => value.map_or_else(|| "gone meanwhile".to_owned(), |value| value.to_string()),
            Err(error) => error.to_string(),
        };
        Row { key: key.to_owned(), bytes: value.len(), value: shown }
    };
    let mut rows: Vec<Row> = stored.record.data.iter().map(row).collect();
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows
}
