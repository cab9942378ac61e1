//! From the engine's errors to Sessile's: what failed, where, what to do.

use std::{io, path::Path};

use heed::MdbError;
use sessile_core::{Error, ErrorKind};

/// Why an operation inside a transaction failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The engine failed: the transaction must be given up.
    Engine(heed::Error),
    /// A record is damaged, or there is no room; nothing was written by this operation.
    Refused(Error),
    /// As that, but after something was written: the transaction must be given up.
    Abort(Error),
}

impl From<heed::Error> for Failure {
    fn from(error: heed::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Failure {
    pub(crate) fn into_error(self, operation: &'static str, path: &Path) -> Error {
        match self {
            Self::Engine(error) => engine_error(error, operation, path),
            Self::Refused(error) | Self::Abort(error) => error,
        }
    }
}

#[cold]
pub(crate) fn engine_error(error: heed::Error, operation: &'static str, path: &Path) -> Error {
    let path = path.display();
    let (kind, detail) = match &error {
        heed::Error::Mdb(MdbError::MapFull) => return full(operation, &path),
        heed::Error::Mdb(MdbError::MapResized) => (
            ErrorKind::Unavailable,
            format!(
                "another process made the database {path} larger than this one's max_size; \
                 open it with the same max_size in every process"
            ),
        ),
        heed::Error::Mdb(MdbError::ReadersFull) => (
            ErrorKind::Unavailable,
            format!("too many processes and threads read the database {path} at once; try again"),
        ),
        heed::Error::EnvAlreadyOpened => (
            ErrorKind::Config,
            format!("this process has opened {path} by other means than Sessile; close it there"),
        ),
        heed::Error::Mdb(MdbError::Panic) => (
            ErrorKind::Unavailable,
            format!("an earlier write to the database {path} failed; check the disk, then restart"),
        ),
        heed::Error::Mdb(
            MdbError::PageNotFound | MdbError::Corrupted | MdbError::Invalid | MdbError::Incompatible,
        )
        | heed::Error::Decoding(_) => (ErrorKind::Corrupt, damaged_detail(&path, "the engine met damage")),
        heed::Error::Io(error) => disk_error(error, operation, &path),
        _ => (ErrorKind::Unavailable, format!("the engine failed at the database {path}")),
    };
    Error::new(kind, operation, detail).with_source(error)
}

fn disk_error(error: &io::Error, operation: &str, path: &dyn std::fmt::Display) -> (ErrorKind, String) {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull, WouldBlock};
    match error.kind() {
        StorageFull => (
            ErrorKind::Full,
            format!("the disk of the database {path} is full; free space, or move the database"),
        ),
        PermissionDenied | ReadOnlyFilesystem if operation == "open" => (
            ErrorKind::Config,
            format!("the database {path} can't be written by this user ({error}); change that, or the path"),
        ),
        // The engine knows processes by their ids, which it locks.
        WouldBlock => (
            ErrorKind::Unavailable,
            format!(
                "a process with the same process id, so in another container, has the database {path} open; \
                 let the containers share their process ids, or give each its own database"
            ),
        ),
        _ => (ErrorKind::Unavailable, format!("the disk failed at the database {path} ({error})")),
    }
}

#[cold]
pub(crate) fn full(operation: &'static str, path: &dyn std::fmt::Display) -> Error {
    let detail = format!(
        "the database {path} has reached its max_size and takes no new session; \
         open it with a larger max_size, or end sessions"
    );
    Error::new(ErrorKind::Full, operation, detail)
}

/// What every error about a damaged database says.
pub(crate) fn damaged_detail(path: &dyn std::fmt::Display, what: &str) -> String {
    format!(
        "the database {path} is damaged ({what}); nothing was changed: restore a backup, \
         or move it away to begin with an empty one"
    )
}

/// The writer or reader thread is gone: it ends only with the last handle, or by a bug.
#[cold]
pub(crate) fn stopped(operation: &'static str, path: &Path) -> Error {
    let detail = format!("the thread that serves the database {} has stopped; restart", path.display());
    Error::new(ErrorKind::Unavailable, operation, detail)
}
