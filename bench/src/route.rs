//! The routes that every contestant serves, and the requests for them.

use clap::ValueEnum;

/// One of the four things that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Route {
    /// The session is not used, though its cookie is sent.
    None,
    /// One value is read.
    Read,
    /// One value is changed.
    Write,
    /// A session begins. The request has no cookie.
    New,
}

impl Route {
    /// All of them. `/new` is last because it makes the store bigger.
    pub const ALL: [Self; 4] = [Self::None, Self::Read, Self::Write, Self::New];

    /// The path of the URL.
    pub fn path(self) -> &'static str {
        match self {
            Self::None => "/none",
            Self::Read => "/read",
            Self::Write => "/write",
            Self::New => "/new",
        }
    }

    /// The requests to send, one for each session where the session matters.
    pub fn requests(self, cookies: &[String]) -> Vec<Vec<u8>> {
        match self {
            Self::New => vec![get(self.path(), None)],
            _ => cookies.iter().map(|cookie| get(self.path(), Some(cookie))).collect(),
        }
    }
}

/// A request as it goes over the wire.
pub fn get(path: &str, cookie: Option<&str>) -> Vec<u8> {
    let cookie = cookie.map(|pairs| format!("Cookie: {pairs}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n").into_bytes()
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path()[1..])
    }
}
