//! The store itself: what applications hold.

use std::{
    fmt,
    path::Path,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Wake},
    thread,
};

use sessile_core::{
    BoxFuture, Cursor, Ended, Error, Expect, Filter, Page, Put, Record, SessionId, SessionInfo, Store, Swept,
    Timestamp, UserSessions, Versioned,
};

use crate::{
    Options, Report, backup, check,
    failure::{Failure, stopped},
    handle::Handle,
    ops::{Draft, Writing},
    query, registry, repair,
    sweep::SweepFrom,
    writer::job,
};

/// Most records that one transaction of `end_all` or `sweep` looks at: a large one is done in
/// steps, and other writers get their turn between them.
const STEP: usize = 500;

/// The built-in database: sessions in a directory on the local disk.
///
/// Cheap to clone. The clones, and all who open the same directory in this process, share one
/// environment and two threads. Several processes may have the directory open at once.
///
/// # Costs
/// - `load`: about half a microsecond while the page is in memory; never leaves the caller's thread.
/// - `put`, `touch`, `end`: one transaction of the writer's thread, which takes whatever has
///   gathered and commits it with one flush. A touch writes the record alone; its index entries
///   move seldom.
/// - `scan`, `count`, `users`: on a thread of their own, so that a cold disk never stops an
///   executor. Counting all live sessions looks only at those that are due; a user's or a group's
///   are found by index; what no index serves reads all records.
/// - `end_all` and `sweep`: in steps of some hundred records, between which others write.
///
/// Dropping the last handle waits until what was queued is committed.
///
/// # Errors
/// [`Full`](sessile_core::ErrorKind::Full) when `max_size` or the disk is exhausted,
/// [`Corrupt`](sessile_core::ErrorKind::Corrupt) for a damaged record: it is left as it is and
/// others are not affected, but a list, count or end that would have to read it fails rather than
/// leave it out.
///
/// # Example
/// ```
/// use sessile_core::{Filter, Store, Timestamp};
/// use sessile_file::Embedded;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("sessions");
/// let store = Embedded::open(&path)?;
/// # sessile_core::testing::block_on(async {
/// let live = store.count(&Filter::user("ferris"), Timestamp::from_millis(0)).await?;
/// assert_eq!(live, 0);
/// # Ok::<_, sessile_core::Error>(()) })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Embedded {
    handle: Arc<Handle>,
}

impl Embedded {
    /// Opens the database in the directory `path` with the default [`Options`]; makes it if it
    /// isn't there, for this user alone (mode 0700, files 0600).
    ///
    /// Blocks while it reads the file once to check it.
    ///
    /// # Errors
    /// [`Config`](sessile_core::ErrorKind::Config) if `path` isn't a directory that can be
    /// written, holds something else's database, or is open in this process with other options;
    /// [`Corrupt`](sessile_core::ErrorKind::Corrupt) if it is damaged: nothing is changed then;
    /// [`Unsupported`](sessile_core::ErrorKind::Unsupported) if a newer version of Sessile made it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::options().open(path)
    }

    /// Options to open a database with.
    pub fn options() -> Options {
        Options::default()
    }

    pub(crate) fn open_with(path: &Path, options: &Options) -> Result<Self, Error> {
        registry::open(path, options, false).map(|handle| Self { handle })
    }

    /// Drops the records whose checksum is wrong, and makes all indexes anew from the others: for
    /// a database that [`open`](Self::open) refuses for that. All or nothing. The sessions in
    /// damaged records are lost: their users have to log in again.
    ///
    /// Blocks until done. Returns what was found before.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    /// let report = sessile_file::Embedded::repair(path)?;
    /// assert!(report.is_clean(), "nothing was to be done");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](Self::open); damage to the file's structure can't be repaired.
    pub fn repair(path: impl AsRef<Path>) -> Result<Report, Error> {
        let handle = registry::open(path.as_ref(), &Options::default(), true)?;
        let report = check::snapshot(&handle.engine.env, "repair")?;
        if !report.is_clean() {
            let (work, outcome) = job(repair::rebuild);
            let lost = || stopped("repair", handle.engine.path());
            handle.write(work).map_err(|()| lost())?;
            block_on(outcome).ok_or_else(lost)??;
        }
        Ok(report)
    }

    /// Reads the whole database as it is now and compares the indexes with the records. Others
    /// may go on reading and writing; takes under a second for a million sessions.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = sessile_file::Embedded::open(dir.path())?;
    /// # sessile_core::testing::block_on(async {
    /// let report = store.verify().await?;
    /// assert!(report.is_clean(), "{} damaged records: {:?}", report.damaged, report.examples);
    /// # Ok::<_, sessile_core::Error>(()) })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Corrupt`](sessile_core::ErrorKind::Corrupt) if the file's structure is damaged; what is
    /// wrong with records and indexes is in the report.
    pub async fn verify(&self) -> Result<Report, Error> {
        self.handle.query(|engine| check::snapshot(&engine.env, "verify")).await
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.handle.engine.path()
    }

    /// Transactions committed since it was opened in this process. Compared with the number of
    /// writes it tells how many shared a flush.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.handle.engine.commits.load(Ordering::Relaxed)
    }

    /// Copies the database as it is now into another directory, while it is used: that is a
    /// database like this one, without room to spare.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let store = sessile_file::Embedded::open(dir.path().join("sessions"))?;
    /// # let copy = dir.path().join("monday");
    /// # sessile_core::testing::block_on(async {
    /// store.backup(copy).await?;
    /// # Ok::<_, sessile_core::Error>(()) })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Config`](sessile_core::ErrorKind::Config) if `directory` can't be made or holds a database
    /// already; what the disk says.
    pub async fn backup(&self, directory: impl AsRef<Path>) -> Result<(), Error> {
        let directory = directory.as_ref().to_owned();
        self.handle.query(move |engine| backup::backup(engine, &directory)).await
    }

    /// Runs `run` on the writer's thread; resolves when it is committed.
    async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        run: impl FnMut(&mut Writing<'_, '_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let (work, outcome) = job(run);
        let lost = || stopped(operation, self.path());
        self.handle.write(work).map_err(|()| lost())?;
        outcome.await.map_err(|_| lost())?
    }
}

impl Store for Embedded {
    fn load<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        Box::pin(async move { self.handle.engine.load(id) })
    }

    fn put<'a>(
        &'a self,
        id: &'a SessionId,
        record: &'a Record,
        expect: Expect,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Put, Error>> {
        Box::pin(async move {
            let mut draft = Draft::new(*id, record);
            self.write("put", move |writing| writing.put(&mut draft, expect, now)).await
        })
    }

    fn touch<'a>(&'a self, id: &'a SessionId, now: Timestamp) -> BoxFuture<'a, Result<bool, Error>> {
        let id = *id;
        Box::pin(async move { self.write("touch", move |writing| writing.touch(&id, now)).await })
    }

    fn end<'a>(&'a self, id: &'a SessionId, ended: &'a Ended) -> BoxFuture<'a, Result<bool, Error>> {
        let id = *id;
        Box::pin(async move {
            let ended = ended.clone();
            self.write("end", move |writing| writing.end(&id, &ended)).await
        })
    }

    fn scan<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<SessionInfo>, Error>> {
        Box::pin(async move {
            let (filter, after) = (filter.clone(), after.cloned());
            let scan = self.handle.read("scan", move |tables, txn| {
                query::scan(tables, txn, &filter, after.as_ref(), limit, now)
            });
            scan.await
        })
    }

    fn count<'a>(&'a self, filter: &'a Filter, now: Timestamp) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let filter = filter.clone();
            self.handle.read("count", move |tables, txn| query::count(tables, txn, &filter, now)).await
        })
    }

    fn users<'a>(
        &'a self,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<UserSessions>, Error>> {
        Box::pin(async move {
            let after = after.cloned();
            let users = self
                .handle
                .read("users", move |tables, txn| query::users(tables, txn, after.as_ref(), limit, now));
            users.await
        })
    }

    fn end_all<'a>(&'a self, filter: &'a Filter, ended: &'a Ended) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let (mut after, mut count, mut damaged) = (None, 0, None);
            loop {
                let (filter, ended) = (filter.clone(), ended.clone());
                let done = self
                    .write("end_all", move |writing| writing.end_some(&filter, &ended, after, STEP))
                    .await?;
                count += done.ended;
                damaged = damaged.or(done.damaged);
                after = done.next;
                if after.is_none() {
                    return damaged.map_or(Ok(count), Err);
                }
            }
        })
    }

    fn sweep<'a>(&'a self, now: Timestamp, limit: usize) -> BoxFuture<'a, Result<Swept, Error>> {
        Box::pin(async move {
            let (mut from, mut all) = (SweepFrom::start(), Swept::default());
            loop {
                let left = (limit as u64).saturating_sub(all.entombed + all.removed);
                let done =
                    self.write("sweep", move |writing| writing.sweep_some(now, from, left, STEP)).await?;
                all.entombed += done.swept.entombed;
                all.removed += done.swept.removed;
                all.more |= done.swept.more;
                match done.next {
                    Some(next) if !all.more => from = next,
                    _ => return Ok(all),
                }
            }
        })
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// Waits for the writer's answer on this thread.
fn block_on<T>(answer: futures_channel::oneshot::Receiver<T>) -> Option<T> {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut answer = pin!(answer);
    loop {
        match answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer.ok(),
            Poll::Pending => thread::park(),
        }
    }
}
