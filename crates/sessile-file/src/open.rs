//! Opening: the directory, the environment, the tables.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::AtomicU64,
    time::Duration,
};

use heed::{CommitOrAbort, Env, EnvFlags, EnvOpenOptions, WithoutTls};
use sessile_core::{Error, ErrorKind};

use crate::{
    Durability, Options,
    engine::{Engine, Table, Tables},
    failure::engine_error,
    handle::Handle,
};

const GIB: u64 = 1 << 30;
const DEFAULT_MAX_SIZE: u64 =
    if cfg!(all(target_pointer_width = "64", not(windows))) { 16 * GIB } else { GIB / 4 };
const MIN_MAX_SIZE: u64 = 1 << 20;
/// How long an opener waits for an earlier handle to finish.
const CLOSING: Duration = Duration::from_secs(30);
const MAX_READERS: u32 = 4096;

/// The canonical path of the directory `path`, which is made if it isn't there.
pub(crate) fn directory(path: &Path) -> Result<PathBuf, Error> {
    let fail = |what: &str, source: io::Error| {
        let detail = format!("{what} the directory {} for the database: {source}", path.display());
        Error::new(ErrorKind::Config, "open", detail).with_source(source)
    };
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            let detail = format!(
                "{} is not a directory; the database is a directory: give another path",
                path.display()
            );
            return Err(Error::new(ErrorKind::Config, "open", detail));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path).map_err(|source| fail("can't make", source))?;
        }
        Err(source) => return Err(fail("can't look at", source)),
    }
    path.canonicalize().map_err(|source| fail("can't find", source))
}

fn create(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    let canonical = path.canonicalize()?;
    canonical.parent().map_or(Ok(()), sync_directory)
}

/// Makes the directory's entries survive a power cut.
fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) { fs::File::open(path)?.sync_all() } else { Ok(()) }
}

/// Opens the database in the existing directory `path`.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Handle, Error> {
    let max_size = options.max_size.unwrap_or(DEFAULT_MAX_SIZE);
    if max_size < MIN_MAX_SIZE || map_size(max_size).is_none() {
        let detail = format!("max_size {max_size} is not possible: it must be at least {MIN_MAX_SIZE} bytes");
        return Err(Error::new(ErrorKind::Config, "open", detail));
    }
    let fail = |error| engine_error(error, "open", path);
    let env = match environment(path, options, max_size) {
        // The last handle is being dropped on another thread: its writer finishes first.
        Err(heed::Error::EnvAlreadyOpened) if wait_for_close(path) => environment(path, options, max_size),
        opened => opened,
    };
    let env = env.map_err(fail)?;
    env.clear_stale_readers().map_err(fail)?;
    let tables = tables(&env).map_err(fail)?;
    let engine = Engine { env, tables, path: path.to_owned(), max_size, commits: AtomicU64::new(0) };
    Handle::new(engine, options.clone())
}

fn wait_for_close(path: &Path) -> bool {
    heed::env_closing_event(path).is_none_or(|closing| closing.wait_timeout(CLOSING))
}

/// Address space for a database of `max_size`: an eighth more, so that a full database can still
/// end and sweep sessions, for even that needs new pages.
fn map_size(max_size: u64) -> Option<usize> {
    let bytes = max_size.checked_add(max_size / 8)?.checked_next_multiple_of(MIN_MAX_SIZE)?;
    usize::try_from(bytes).ok()
}

fn environment(path: &Path, options: &Options, max_size: u64) -> heed::Result<Env<WithoutTls>> {
    let mut settings = EnvOpenOptions::new().read_txn_without_tls();
    settings.max_dbs(8).max_readers(MAX_READERS);
    if let Some(bytes) = map_size(max_size) {
        settings.map_size(bytes);
    }
    let flags = match options.durability.unwrap_or_default() {
        Durability::EveryCommit => EnvFlags::NO_READ_AHEAD,
        Durability::Relaxed => EnvFlags::NO_READ_AHEAD | EnvFlags::NO_META_SYNC,
    };
    // SAFETY: the map stays valid as long as nobody changes the file but through the engine, which
    // keeps a lock file for that; `NO_META_SYNC` may lose the last commit in a power cut, not more.
    #[allow(unsafe_code)]
    unsafe {
        settings.flags(flags).open(path)
    }
}

fn tables(env: &Env<WithoutTls>) -> heed::Result<Tables> {
    let txn = env.write_txn()?;
    let tables = env.create_databases_and_commit(txn, |opener, txn| {
        let mut create = |name| opener.create_database(txn, Some(name));
        let tables = (
            create("records")?,
            create("by_user")?,
            create("by_group")?,
            create("live")?,
            create("dead")?,
            create("by_seen")?,
        );
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(tables))
    })?;
    let (records, by_user, by_group, live, dead, by_seen): (Table, Table, Table, Table, Table, Table) =
        tables.unwrap_commit();
    Ok(Tables { records, by_user, by_group, live, dead, by_seen })
}
