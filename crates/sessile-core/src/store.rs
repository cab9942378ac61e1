//! The contract between the lifecycle and the places where records live.

use std::{fmt, pin::Pin, sync::Arc};

use crate::{
    clock::Timestamp,
    error::Error,
    filter::Filter,
    record::{Ended, Record, SessionInfo},
    token::SessionId,
};

/// What a store's methods return, so that a store can be chosen at run time.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where sessions live.
///
/// # Contract
/// `testing::conformance` (feature `testing`) checks all of it against any implementation.
///
/// 1. **Compare and set.** [`put`](Self::put) writes only if its [`Expect`] holds at that instant;
///    of two puts that expect one version, one wins. Each put gives a version that this session
///    never had before. There is no way to write without expecting something.
/// 2. **Dead stays dead.** Once `end` or `end_all` ended a session, or `now` has passed its
///    [expiry](Record::expires), neither `put` nor `touch` changes it: they answer
///    [`Put::Gone`] and `false`. The first end stays: reason, time and actor don't change.
/// 3. **The clock is the caller's.** Liveness is judged by [`Record::ended_at`] with the `now`
///    that came as an argument, never by the clock of this or another machine. A server's own
///    expiry may only remove what [`Record::fate`] already calls `Remove`.
/// 4. **Touch is monotonic.** [`touch`](Self::touch) moves `seen` forward or not at all, and
///    changes neither data nor version. `put` stores the record as given, but for `seen`, which
///    it doesn't move back either.
/// 5. **Indexes agree with records.** As soon as `put`, `end`, `end_all` or `sweep` has returned,
///    `scan`, `count` and `users` agree with `load`. Stale index entries are filtered out and
///    mended; missing ones must not be.
/// 6. **Whole or not at all.** Dropping a future, or a crash, leaves the state before or after the
///    call. What was acknowledged survives what the store promises to survive.
/// 7. **Any text is data.** Ids are 16 arbitrary bytes; users, groups, devices and keys are any
///    UTF-8, empty, with NUL or 64 KiB long.
/// 8. **Expected answers aren't errors.** Missing, lost races and dead sessions are return values.
///    An `Err` means that the store failed, and says by its kind whether trying again can help.
///
/// No method has a default: a wrapper that forgets one doesn't compile.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The record under `id`, dead or alive: the caller judges. One round trip.
    fn load<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<Option<Versioned>, Error>>;

    /// Writes `record` if `expect` holds, with its index entries. One round trip.
    ///
    /// With [`Expect::Absent`] anything under `id`, dead or alive, is a [`Put::Conflict`]. With
    /// [`Expect::Version`] a missing or dead session is [`Put::Gone`].
    fn put<'a>(
        &'a self,
        id: &'a SessionId,
        record: &'a Record,
        expect: Expect,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Put, Error>>;

    /// Moves `seen` forward to `now`, and expiry with it; `false` if the session is missing or
    /// dead. At most one round trip, and cheap: this is most of what a busy store writes.
    fn touch<'a>(&'a self, id: &'a SessionId, now: Timestamp) -> BoxFuture<'a, Result<bool, Error>>;

    /// Ends the session at `ended.at`, whatever its version: the record becomes a tombstone, or
    /// is removed if its retention is zero. `false` if it was missing or dead already.
    fn end<'a>(&'a self, id: &'a SessionId, ended: &'a Ended) -> BoxFuture<'a, Result<bool, Error>>;

    /// A page of at most `limit` sessions that [match](Filter::matches) at `now`, after `after`.
    ///
    /// A page may be short, even empty, before the last; the last has no cursor. A session that
    /// matches during all of a scan comes exactly once, whatever else is written meanwhile.
    fn scan<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<SessionInfo>, Error>>;

    /// How many sessions [match](Filter::matches) at `now`: as many as `scan` would give.
    fn count<'a>(&'a self, filter: &'a Filter, now: Timestamp) -> BoxFuture<'a, Result<u64, Error>>;

    /// A page of at most `limit` users who have live sessions, each once, with their number.
    fn users<'a>(
        &'a self,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<UserSessions>, Error>>;

    /// Ends every live session that matches; returns how many. Those that matched when the call
    /// began are all dead when it returns; those that began meanwhile may be.
    fn end_all<'a>(&'a self, filter: &'a Filter, ended: &'a Ended) -> BoxFuture<'a, Result<u64, Error>>;

    /// Does what [`Record::fate`] says to at most `limit` records that are due at `now`. Several
    /// sweepers may run at once; each record is counted by one of them.
    fn sweep<'a>(&'a self, now: Timestamp, limit: usize) -> BoxFuture<'a, Result<Swept, Error>>;
}

/// What [`Store::put`] expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: the session begins.
    Absent,
    /// A live session in exactly this version.
    Version(Version),
}

/// A record's version: no order, only equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(pub u64);

/// What [`Store::put`] did.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The record was written and has this version.
    Stored(Version),
    /// Nothing was written: somebody else was faster.
    Conflict,
    /// Nothing was written: the session is missing or dead.
    Gone,
}

/// A record and the version to expect when it is written back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The record, shared: a store in front of another may keep it.
    pub record: Arc<Record>,
    /// Its version.
    pub version: Version,
}

impl Versioned {
    /// The record alone, to be changed: copied only if somebody else holds it too.
    #[must_use]
    pub fn into_record(self) -> Record {
        Arc::unwrap_or_clone(self.record)
    }
}

/// A part of a longer answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

/// How many live sessions a user has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSessions {
    /// The user.
    pub user: String,
    /// Number of live sessions, at least one.
    pub sessions: u64,
}

/// What a [`Store::sweep`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Expired sessions that became tombstones.
    pub entombed: u64,
    /// Records that were removed.
    pub removed: u64,
    /// Whether more are due already: call again.
    pub more: bool,
}

/// A place in a scan, to go on from. Its bytes mean something to its store only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    /// The cursor with these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn load<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        (**self).load(id)
    }

    fn put<'a>(
        &'a self,
        id: &'a SessionId,
        record: &'a Record,
        expect: Expect,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Put, Error>> {
        (**self).put(id, record, expect, now)
    }

    fn touch<'a>(&'a self, id: &'a SessionId, now: Timestamp) -> BoxFuture<'a, Result<bool, Error>> {
        (**self).touch(id, now)
    }

    fn end<'a>(&'a self, id: &'a SessionId, ended: &'a Ended) -> BoxFuture<'a, Result<bool, Error>> {
        (**self).end(id, ended)
    }

    fn scan<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<SessionInfo>, Error>> {
        (**self).scan(filter, after, limit, now)
    }

    fn count<'a>(&'a self, filter: &'a Filter, now: Timestamp) -> BoxFuture<'a, Result<u64, Error>> {
        (**self).count(filter, now)
    }

    fn users<'a>(
        &'a self,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<UserSessions>, Error>> {
        (**self).users(after, limit, now)
    }

    fn end_all<'a>(&'a self, filter: &'a Filter, ended: &'a Ended) -> BoxFuture<'a, Result<u64, Error>> {
        (**self).end_all(filter, ended)
    }

    fn sweep<'a>(&'a self, now: Timestamp, limit: usize) -> BoxFuture<'a, Result<Swept, Error>> {
        (**self).sweep(now, limit)
    }
}
