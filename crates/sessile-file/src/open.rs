//! Opening: the directory, the environment, the tables.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::AtomicU64,
    time::Duration,
};

use heed::{CommitOrAbort, Env, EnvFlags, EnvOpenOptions, MdbError, WithTls, types::Bytes};
use sessile_core::{Error, ErrorKind};

use crate::{
    Durability, Options, check,
    engine::{Engine, Table, Tables},
    failure::engine_error,
    handle::Handle,
    tables::{BY_GROUP, BY_SEEN, BY_USER, DEAD, FORMAT, FORMAT_KEY, LIVE, RECORDS, SESSILE},
};

/// The file with all data, in the directory.
pub(crate) const DATA: &str = "data.mdb";
const GIB: u64 = 1 << 30;
const DEFAULT_MAX_SIZE: u64 =
    if cfg!(all(target_pointer_width = "64", not(windows))) { 16 * GIB } else { GIB / 4 };
/// The map's size is a multiple of this, and so of any system's page; also the least `max_size`.
const STEP: u64 = 1 << 20;
const TABLES: u32 = 8;
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
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) { fs::File::open(path)?.sync_all() } else { Ok(()) }
}

/// Opens the database in the existing directory `path`, or makes one there.
///
/// # Errors
/// As [`Embedded::open`](crate::Embedded::open); `repair` allows damage that leaves the structure
/// whole.
pub(crate) fn open(path: &Path, options: &Options, repair: bool) -> Result<Handle, Error> {
    let known = check::headers(path)?;
    let map_size = match &known {
        None => map_size(options.max_size.unwrap_or(DEFAULT_MAX_SIZE))?,
        // Never so small that what is there couldn't even be ended and swept.
        Some(headers) => map_size(headers.data_size.max(STEP))?.max(match options.max_size {
            Some(max_size) => map_size(max_size)?,
            None => map_size(DEFAULT_MAX_SIZE)?.max(map_size(headers.map_size / 9 * 8)?),
        }),
    };
    let fail = |error| engine_error(error, "open", path);
    let env = match environment(path, options, map_size) {
        // The last handle is being dropped on another thread: its writer finishes first.
        Err(heed::Error::EnvAlreadyOpened) if wait_for_close(path) => environment(path, options, map_size),
        opened => opened,
    };
    let env = env.map_err(fail)?;
    env.clear_stale_readers().map_err(fail)?;
    if known.is_some() {
        let report = check::snapshot(&env, "open")?;
        if !report.is_clean() && !repair {
            return Err(repairable(path, &report));
        }
    }
    let tables = tables(&env).map_err(fail)?;
    if known.is_none() {
        sync_directory(path).map_err(|error| fail(error.into()))?;
    }
    let engine = Engine {
        env,
        tables,
        path: path.to_owned(),
        max_size: options.max_size.unwrap_or(map_size as u64 / 9 * 8),
        commits: AtomicU64::new(0),
    };
    Handle::new(engine, options.clone())
}

fn repairable(path: &Path, report: &check::Report) -> Error {
    let what = if report.damaged > 0 {
        format!("{} of {} records", report.damaged, report.damaged + report.intact)
    } else {
        format!("the indexes {} don't agree with the records", report.indexes.join(", "))
    };
    let detail = format!(
        "the database {} is damaged: {what}; nothing was changed: restore a backup, or run \
         `sessile repair DIRECTORY`, which drops damaged records and makes the indexes anew",
        path.display(),
    );
    Error::new(ErrorKind::Corrupt, "open", detail)
}

/// Address space for a database of `max_size`: an eighth more, so that a full database can still
/// end and sweep sessions, for even that needs new pages.
fn map_size(max_size: u64) -> Result<usize, Error> {
    let bytes = max_size.checked_add(max_size / 8).and_then(|bytes| bytes.checked_next_multiple_of(STEP));
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    bytes.filter(|_| max_size >= STEP).ok_or_else(|| {
        let detail = format!("max_size {max_size} is not possible: it must be at least {STEP} bytes");
        Error::new(ErrorKind::Config, "open", detail)
    })
}

fn wait_for_close(path: &Path) -> bool {
    heed::env_closing_event(path).is_none_or(|closing| closing.wait_timeout(CLOSING))
}

fn environment(path: &Path, options: &Options, map_size: usize) -> heed::Result<Env<WithTls>> {
    let mut settings = EnvOpenOptions::new().read_txn_with_tls();
    settings.max_dbs(TABLES).max_readers(MAX_READERS).map_size(map_size);
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

/// Opens the tables; makes them if the database is empty.
fn tables(env: &Env<WithTls>) -> heed::Result<Tables> {
    let txn = env.read_txn()?;
    let found = env.open_databases_and_commit(txn, |opener, txn| {
        let open = |name| opener.open_database(txn, Some(name));
        let marked = open(SESSILE)?.is_some();
        Ok::<_, heed::Error>(match every(open)?.filter(|_| marked) {
            Some(tables) => CommitOrAbort::Commit(tables),
            None => CommitOrAbort::Abort(()),
        })
    })?;
    if let Some(tables) = found.commit() {
        return Ok(name(tables));
    }
    let txn = env.write_txn()?;
    let made = env.create_databases_and_commit(txn, |opener, txn| {
        let mark = opener.create_database::<Bytes, Bytes>(txn, Some(SESSILE))?;
        mark.put(txn, FORMAT_KEY.as_bytes(), &FORMAT.to_be_bytes())?;
        let tables = every(|name| opener.create_database(txn, Some(name)).map(Some))?;
        Ok::<_, heed::Error>(tables.map_or(CommitOrAbort::Abort(()), CommitOrAbort::Commit))
    })?;
    made.commit().map(name).ok_or(heed::Error::Mdb(MdbError::NotFound))
}

type Six<T> = (T, T, T, T, T, T);

fn every<T>(mut open: impl FnMut(&'static str) -> heed::Result<Option<T>>) -> heed::Result<Option<Six<T>>> {
    let mut next = |name| open(name);
    let all = (next(RECORDS)?, next(BY_USER)?, next(BY_GROUP)?, next(LIVE)?, next(DEAD)?, next(BY_SEEN)?);
    Ok(match all {
        (Some(a), Some(b), Some(c), Some(d), Some(e), Some(f)) => Some((a, b, c, d, e, f)),
        _ => None,
    })
}

fn name((records, by_user, by_group, live, dead, by_seen): Six<Table>) -> Tables {
    Tables { records, by_user, by_group, live, dead, by_seen }
}
