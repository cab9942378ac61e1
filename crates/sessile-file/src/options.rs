//! How a database is opened.

use std::path::Path;

use sessile_core::Error;

use crate::Embedded;

/// When a change is safe from a power cut. The end of the process, even by `kill -9`, never loses
/// what was acknowledged, and the database is whole after a power cut, whatever is chosen here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// Before it is acknowledged. The default.
    #[default]
    EveryCommit,
    /// At most a second later: a power cut may undo the changes of that second. About half as
    /// many flushes.
    Relaxed,
}

/// Settings of an [`Embedded`] database.
///
/// ```
/// use sessile_file::{Durability, Embedded};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("sessions");
/// let store = Embedded::options().durability(Durability::Relaxed).open(path)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Options {
    pub(crate) durability: Option<Durability>,
    pub(crate) max_size: Option<u64>,
}

impl Options {
    /// When a change is safe from a power cut; by default before it is acknowledged.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Bytes that the database may take; at least 1 MiB. Beyond it, new sessions are refused
    /// with [`ErrorKind::Full`](sessile_core::ErrorKind::Full), while the existing ones can still
    /// be used, ended and swept.
    ///
    /// By default 16 GiB (256 MiB on Windows and on 32-bit systems), or what the database was
    /// opened with before, if that was more. Except on Windows it takes no disk space until used.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = Some(bytes);
        self
    }

    /// Opens the database in the directory `path`, which is made if it isn't there.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Embedded, Error> {
        Embedded::open_with(path.as_ref(), &self)
    }
}
