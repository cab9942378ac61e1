//! The one error of the workspace: what went wrong, doing what, and whether to try again.

use std::{error, fmt};

type Source = Box<dyn error::Error + Send + Sync>;

/// Why something failed. Never contains a token or session data.
///
/// Ask [`kind`](Error::kind) what happened and [`is_transient`](Error::is_transient) whether
/// trying again may help. `Display` says what failed, where, and what to do about it.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: &'static str,
    detail: String,
    source: Option<Source>,
}

/// What sort of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is wrong; nothing was started.
    Config,
    /// Other requests kept winning the race for this session. Transient.
    Conflict,
    /// A stored record can't be read. It is left as it is.
    Corrupt,
    /// A value can't be turned into the type asked for.
    Decode,
    /// A value can't be encoded.
    Encode,
    /// The session was ended while this request ran; its changes were dropped.
    Ended,
    /// The store is at its bound and takes no new session. Transient.
    Full,
    /// The response's head has left: a cookie can't be sent any more.
    Late,
    /// A limit on data, names or keys was exceeded. Nothing was changed.
    TooLarge,
    /// The store did not answer in time. Transient.
    Timeout,
    /// The store can't be reached or failed. Transient.
    Unavailable,
    /// This build, store or format version can't do that.
    Unsupported,
}

impl Error {
    /// An error of `kind` met while doing `operation`. `detail` says what and where, and what
    /// to do; it must hold neither tokens nor session data.
    #[cold]
    pub fn new(kind: ErrorKind, operation: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, operation, detail: detail.into(), source: None }))
    }

    /// Keeps what caused this error, for [`source`](error::Error::source).
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What sort of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was being done: `"load"`, `"put"`, `"insert"`, `"open"`, …
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// Whether the same call may succeed later. Adapters answer 503 with `Retry-After` then.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        use ErrorKind::{Conflict, Full, Timeout, Unavailable};
        matches!(self.0.kind, Conflict | Full | Timeout | Unavailable)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.operation, self.0.detail)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("operation", &self.0.operation)
            .field("detail", &self.0.detail)
            .field("source", &self.0.source)
            .finish()
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
