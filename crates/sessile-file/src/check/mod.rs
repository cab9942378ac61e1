//! Checks a database before the engine maps it into memory, and its content.

use std::{fs::File, io, path::Path, thread, time::Duration};

use heed::{Env, WithTls};
use sessile_core::{Error, ErrorKind};

use self::{
    content::Content,
    layout::{META, Meta, Tree},
    pages::{Pages, read_at},
    tree::Walker,
};
use crate::{
    failure::{damaged_detail, engine_error},
    open::DATA,
    tables::{FORMAT, FORMAT_KEY, RECORDS, SESSILE},
};

mod content;
mod layout;
mod pages;
mod tree;

pub use content::Report;

/// Why a database can't be used.
#[derive(Debug)]
enum Finding {
    Damage(String),
    Unreadable(io::Error),
    /// A database of something else.
    Foreign,
    /// Made by a newer version of Sessile.
    Newer(u32),
}

impl Finding {
    #[cold]
    fn damage(what: impl Into<String>) -> Self {
        Self::Damage(what.into())
    }

    #[cold]
    fn into_error(self, operation: &'static str, path: &Path) -> Error {
        let shown = path.display();
        match self {
            Self::Damage(what) => Error::new(ErrorKind::Corrupt, operation, damaged_detail(&shown, &what)),
            Self::Unreadable(source) => {
                let detail =
                    format!("the database {shown} can't be read; check the disk and the permissions");
                Error::new(ErrorKind::Unavailable, operation, detail).with_source(source)
            }
            Self::Foreign => {
                let detail = format!(
                    "{shown} is not a Sessile database, but something else's; nothing was changed: \
                     give another directory"
                );
                Error::new(ErrorKind::Config, operation, detail)
            }
            Self::Newer(format) => {
                let detail = format!(
                    "the database {shown} has format {format}, this version of Sessile reads {FORMAT}: \
                     upgrade Sessile"
                );
                Error::new(ErrorKind::Unsupported, operation, detail)
            }
        }
    }
}

impl From<io::Error> for Finding {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::damage("the file is cut short"),
            _ => Self::Unreadable(error),
        }
    }
}

/// What the headers of a file say.
#[derive(Debug)]
pub(crate) struct Headers {
    /// Address space that it was opened with.
    pub(crate) map_size: u64,
    /// Address space that its pages take.
    pub(crate) data_size: u64,
}

/// Another process may write while this reads: what looks wrong is looked at again.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// Reads and checks the headers of the file in the directory `path`, before the engine does;
/// `None` if there is no file yet, or it is empty.
pub(crate) fn headers(path: &Path) -> Result<Option<Headers>, Error> {
    let check = || {
        let file = match File::open(path.join(DATA)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        if file.metadata()?.len() == 0 {
            return Ok(None);
        }
        let metas = metas(&file)?;
        let [even, odd] = &metas;
        let newest = if even.txn > odd.txn { even } else { odd };
        // Can't overflow: the header was checked for that.
        let data_size = (newest.last_page + 1) * newest.page_size as u64;
        Ok(Some(Headers { map_size: newest.map_size, data_size }))
    };
    again(check).map_err(|finding: Finding| finding.into_error("open", path))
}

fn again<T>(mut check: impl FnMut() -> Result<T, Finding>) -> Result<T, Finding> {
    let mut tries = 1;
    loop {
        match check() {
            Err(Finding::Damage(_)) if tries < TRIES => tries += 1,
            done => return done,
        }
        thread::sleep(PAUSE);
    }
}

/// Both headers, if they make sense together.
fn metas(file: &File) -> Result<[Meta; 2], Finding> {
    let mut buffer = [0; META];
    read_at(file, &mut buffer, 0)?;
    let even = Meta::read(&buffer)?;
    read_at(file, &mut buffer, even.page_size as u64)?;
    let odd = Meta::read(&buffer)?;
    // Transactions are numbered and take turns; before the first there is none.
    let turns = even.txn % 2 == 0 && odd.txn % 2 == 1 && even.txn.abs_diff(odd.txn) == 1;
    if even.page_size != odd.page_size || !(turns || even.txn == 0 && odd.txn == 0) {
        return Err(Finding::damage("its two headers contradict each other"));
    }
    Ok([even, odd])
}

/// Checks the newest snapshot's structure, then its content. Safe while others write.
pub(crate) fn snapshot(env: &Env<WithTls>, operation: &'static str) -> Result<Report, Error> {
    let path = env.path();
    let fail = |error| engine_error(error, operation, path);
    let file = env.try_clone_inner_file().map_err(fail)?;
    for _ in 0..TRIES {
        // While this transaction lasts, no page of its snapshot is used again.
        let txn = env.read_txn().map_err(fail)?;
        let found = again(|| metas(&file)).map_err(|finding| finding.into_error(operation, path))?;
        if let Some(meta) = found.into_iter().find(|meta| meta.txn == txn.id() as u64) {
            return walk(&file, &meta).map_err(|finding| finding.into_error(operation, path));
        }
    }
    Err(Finding::damage("its headers change without a transaction").into_error(operation, path))
}

fn walk(file: &File, meta: &Meta) -> Result<Report, Finding> {
    let pages = Pages::new(file, meta.page_size)?;
    let mut walker = Walker::new(&pages, meta.last_page);
    if meta.main.flags != 0 {
        return Err(Finding::Foreign);
    }
    let mut tables = Vec::new();
    let mut other = false;
    walker.walk(&meta.main, &mut |name, value, is_table| {
        other |= !is_table;
        if is_table {
            tables.push((name.to_vec(), Tree::read(value)?));
        }
        Ok(())
    })?;
    if meta.main.root.is_none() {
        return Ok(Report::default());
    }
    let ours = tables.iter().position(|(name, _)| name == SESSILE.as_bytes()).ok_or(Finding::Foreign)?;
    if other {
        return Err(Finding::damage("it holds what is not Sessile's"));
    }
    check_format(&mut walker, &tables.swap_remove(ours).1)?;
    let mut content = Content::default();
    for (name, tree) in tables {
        if tree.flags != 0 {
            return Err(Finding::damage("a table is of an unknown kind"));
        }
        walker.walk(&tree, &mut |key, value, is_table| {
            if is_table {
                return Err(Finding::damage("a table is where none should be"));
            }
            if name == RECORDS.as_bytes() {
                return content.record(key, value);
            }
            content.entry(&name, key);
            Ok(())
        })?;
    }
    check_free_pages(&mut walker, &pages, meta)?;
    Ok(content.finish())
}

fn check_format(walker: &mut Walker<'_>, tree: &Tree) -> Result<(), Finding> {
    let mut format = None;
    walker.walk(tree, &mut |key, value, _| {
        if key == FORMAT_KEY.as_bytes() {
            format = value.try_into().ok().map(u32::from_be_bytes);
        }
        Ok(())
    })?;
    match format {
        Some(FORMAT) => Ok(()),
        Some(newer) if newer > FORMAT => Err(Finding::Newer(newer)),
        _ => Err(Finding::damage("it doesn't say which format it has")),
    }
}

/// A page that is in use must not be on the list of free ones, or it would be overwritten.
fn check_free_pages(walker: &mut Walker<'_>, pages: &Pages<'_>, meta: &Meta) -> Result<(), Finding> {
    let mut free = Vec::new();
    walker.walk(&meta.free, &mut |_, value, _| {
        free.extend(layout::free_pages(value)?);
        Ok(())
    })?;
    let mut beyond = 0;
    for page in free {
        walker.claim_free(page, &mut beyond)?;
    }
    // The file may be shorter than its header says by pages at its end that are free.
    if (meta.last_page + 1).saturating_sub(pages.count()) > beyond {
        return Err(Finding::damage("the file is cut short"));
    }
    Ok(())
}
