//! A browser played by the server: it has a cookie jar and goes through the whole site.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{
        HeaderMap, Request, StatusCode,
        header::{CONTENT_TYPE, COOKIE, SET_COOKIE, USER_AGENT},
    },
};
use tower::ServiceExt;

/// More than any answer of the site.
const LONGEST: usize = 1 << 20;

/// A client of the site with its own cookie. Clones share nothing from then on, like a copied jar.
#[derive(Clone)]
pub(super) struct Browser {
    site: Router,
    /// `name=value`
    cookie: Option<String>,
}

/// What the site answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()).collect()
    }

    /// Whether a header has a value that contains `part`.
    pub(super) fn says(&self, header: &str, part: &str) -> bool {
        let mut values = self.headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
        values.any(|value| value.to_ascii_lowercase().contains(&part.to_ascii_lowercase()))
    }
}

impl Browser {
    /// One that has never been here.
    pub(super) fn new(site: &Router) -> Self {
        Self { site: site.clone(), cookie: None }
    }

    /// One that brings a cookie along.
    pub(super) fn with_cookie(site: &Router, cookie: String) -> Self {
        Self { site: site.clone(), cookie: Some(cookie) }
    }

    pub(super) fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty())).await
    }

    pub(super) async fn post(&mut self, path: &str, form: String) -> Answer {
        let kind = "application/x-www-form-urlencoded";
        self.send(Request::post(path).header(CONTENT_TYPE, kind).body(form.into())).await
    }

    async fn send(&mut self, request: axum::http::Result<Request<Body>>) -> Answer {
        let Ok(mut request) = request else {
            return Answer {
                status: StatusCode::BAD_REQUEST,
                headers: HeaderMap::new(),
                text: String::new(),
            };
        };
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, axum::http::HeaderValue::from_static("lab"));
        if let Some(cookie) = self.cookie.as_ref().and_then(|cookie| cookie.parse().ok()) {
            headers.insert(COOKIE, cookie);
        }
        let response = match self.site.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (head, body) = response.into_parts();
        let bytes = to_bytes(body, LONGEST).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let answer = Answer { status: head.status, headers: head.headers, text };
        self.keep(&answer);
        answer
    }

    fn keep(&mut self, answer: &Answer) {
        for set in answer.set_cookies() {
            let cookie = set.split(';').next().unwrap_or_default();
            self.cookie = Some(cookie.to_owned()).filter(|cookie| !cookie.ends_with('='));
        }
    }
}
