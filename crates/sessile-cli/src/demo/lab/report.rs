//! What came out of a race, as lines of text.

use axum::response::{IntoResponse, Response};

/// Lines told one after the other. `ok:` and `NOT:` begin what was checked; the last line is
/// `PASS` or `FAIL`.
#[derive(Debug, Default)]
pub(super) struct Report {
    text: String,
    failed: bool,
}

impl Report {
    /// Says what is being done.
    pub(super) fn step(&mut self, text: &str) {
        self.line("", text);
    }

    /// Says what has to be so, and whether it is.
    pub(super) fn check(&mut self, good: bool, text: &str) {
        self.failed |= !good;
        self.line(if good { "ok: " } else { "NOT: " }, text);
    }

    fn line(&mut self, mark: &str, text: &str) {
        self.text.push_str(mark);
        self.text.push_str(text);
        self.text.push('\n');
    }
}

impl IntoResponse for Report {
    fn into_response(mut self) -> Response {
        let verdict = if self.failed { "FAIL" } else { "PASS" };
        self.line("", verdict);
        self.text.into_response()
    }
}
