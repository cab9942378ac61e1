//! Writing to the terminal. Nobody may be listening (a closed pipe), which is no reason to stop.

use std::io::{ErrorKind, Write, stderr, stdout};

/// Prints `text` and a newline to stdout, at once.
pub(crate) fn say(text: &str) {
    let mut out = stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        tracing::warn!(%error, "can't write to stdout");
    }
}

/// Prints `text` and a newline to stderr. If even that fails, there is nowhere left to say so.
pub(crate) fn complain(text: &str) {
    let _nowhere_left = writeln!(stderr().lock(), "{text}");
}
