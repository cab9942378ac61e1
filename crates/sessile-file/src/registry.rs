//! One environment for each directory and process: the engine forbids a second.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use sessile_core::{Error, ErrorKind};

use crate::{Options, handle::Handle, open};

static OPEN: Mutex<Option<HashMap<PathBuf, Weak<Handle>>>> = Mutex::new(None);

/// The database in the directory `path`: the one that is open already, or opened now, then even if
/// it needs repair.
pub(crate) fn open(path: &Path, options: &Options, repair: bool) -> Result<Arc<Handle>, Error> {
    let path = open::directory(path)?;
    let mut guard = lock();
    let databases = guard.get_or_insert_default();
    if let Some(handle) = databases.get(&path).and_then(Weak::upgrade) {
        return join(handle, options);
    }
    let handle = Arc::new(open::open(&path, options, repair)?);
    databases.retain(|_, handle| handle.strong_count() > 0);
    databases.insert(path, Arc::downgrade(&handle));
    Ok(handle)
}

/// Nothing can be left half done under this lock, so a panic elsewhere doesn't matter.
fn lock() -> MutexGuard<'static, Option<HashMap<PathBuf, Weak<Handle>>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A second opener may leave settings open, but not contradict the first.
fn join(handle: Arc<Handle>, options: &Options) -> Result<Arc<Handle>, Error> {
    let contradicts = options.durability.is_some_and(|durability| durability != handle.durability())
        || options.max_size.is_some() && options.max_size != handle.options.max_size;
    if contradicts {
        let path = handle.engine.path().display();
        let detail = format!("the database {path} is open in this process with other options; use the same");
        return Err(Error::new(ErrorKind::Config, "open", detail));
    }
    Ok(handle)
}
