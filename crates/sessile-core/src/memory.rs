//! Sessions in this process's memory.

mod bounds;
mod count;
mod owners;
mod place;
mod read;
mod room;
mod shard;
mod slot;
mod timeline;
mod write;

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use crate::{
    clock::Timestamp,
    error::Error,
    filter::Filter,
    record::{Ended, Record, SessionInfo},
    store::{BoxFuture, Cursor, Expect, Page, Put, Store, Swept, UserSessions, Versioned},
    token::SessionId,
};

use self::{bounds::Bounds, owners::Owners, place::SHARDS, shard::Shard};

/// A [`Store`] in memory, for one process: sessions end with it.
///
/// Nothing here waits: every method does its work when first polled, under a lock that covers a
/// 64th of the sessions, and is ready.
///
/// ```
/// use std::sync::Arc;
/// use sessile_core::{Memory, WhenFull};
///
/// let store = Arc::new(Memory::new());
/// let small = Memory::builder().max_entries(10_000).when_full(WhenFull::Refuse).build();
/// assert_eq!((small.entries(), small.bytes()), (0, 0));
/// ```
///
/// # Bounds
/// A store holds at most [`max_entries`](MemoryBuilder::max_entries) sessions (tombstones count)
/// and at most [`max_bytes`](MemoryBuilder::max_bytes) bytes; a session counts for its record,
/// encoded, and 128 bytes of upkeep, which is about what it takes. By default there is no bound on
/// entries, and one GiB of bytes: some three million sessions. A put that would pass a bound, be
/// it a new session or one that grows, does what [`WhenFull`] says. A put too large even for an
/// empty store is [`TooLarge`](crate::ErrorKind::TooLarge). Ending a session is never refused.
///
/// # Costs
/// Of a million sessions with 190 bytes of data each takes some 370 bytes, and 17 more with a user
/// (the example `memory_footprint` measures it).
///
/// | what | costs |
/// |---|---|
/// | `load`, `put`, `touch`, `end` | one look-up; a put that changes owners one more for each |
/// | `scan` or `count` of a user or group | their sessions |
/// | `scan` of all | the page, and what lies between its matches |
/// | `count` of all by state | what expired and isn't swept yet |
/// | `scan` or `count` of all by last-seen | what was seen, if that is little; else all |
/// | `sweep` | what is due, and what was due unless it had been touched |
///
/// The memory of removed sessions goes back to the allocator, but for some 100 bytes each that are
/// kept for new ones.
pub struct Memory {
    shards: Box<[Padded]>,
    /// Of each shard: when its anonymous session that was seen longest ago was seen, or earlier.
    oldest: [AtomicU64; SHARDS],
    users: Owners,
    groups: Owners,
    bounds: Bounds,
    when_full: WhenFull,
    evicted: AtomicU64,
    /// Where the next sweep starts.
    turn: AtomicUsize,
}

/// Keeps the locks of two shards out of one cache line.
#[derive(Default)]
#[repr(align(128))]
struct Padded(Mutex<Shard>);

/// What a [`Memory`] at its bound does with a put that needs room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// Sweeps what is due; if that isn't enough, fails with [`Full`](crate::ErrorKind::Full), and
    /// nothing is written. No session is lost before its time.
    Refuse,
    /// Removes sessions that have no user, dead or alive, those seen longest ago first, until
    /// there is room. If none is left, sweeps what is due, then drops tombstones before their
    /// time, and then fails as [`Refuse`](Self::Refuse) does. A live session with a user is never
    /// evicted, nor is the one being put.
    ///
    /// The order is that of last-seen over all of the store. Only where sessions were put out of
    /// that order (an import, say), two that were seen within half a minute of each other may
    /// swap; and what other threads do during the search may be missed.
    #[default]
    EvictAnonymous,
}

/// Settings of a [`Memory`]; see [`Memory::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct MemoryBuilder {
    max_entries: usize,
    max_bytes: usize,
    when_full: WhenFull,
}

impl Memory {
    /// An empty store with the default bounds.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Settings to choose from.
    pub fn builder() -> MemoryBuilder {
        MemoryBuilder { max_entries: usize::MAX, max_bytes: 1 << 30, when_full: WhenFull::default() }
    }

    /// Number of sessions, live, expired or tombstones, that the store holds.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.bounds.entries()
    }

    /// Bytes that they count for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bounds.bytes()
    }

    /// Number of sessions and tombstones that were removed before their time, to make room.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Relaxed)
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("entries", &self.entries())
            .field("bytes", &self.bytes())
            .field("max_entries", &self.bounds.max_entries)
            .field("max_bytes", &self.bounds.max_bytes)
            .field("when_full", &self.when_full)
            .finish_non_exhaustive()
    }
}

impl MemoryBuilder {
    /// The most sessions to hold, tombstones included. Default: no bound.
    pub fn max_entries(mut self, max: usize) -> Self {
        self.max_entries = max;
        self
    }

    /// The most bytes to hold; see [`Memory`] for what counts. [`usize::MAX`] for no bound.
    /// Default: 1 GiB.
    pub fn max_bytes(mut self, max: usize) -> Self {
        self.max_bytes = max;
        self
    }

    /// What to do at a bound. Default: [`WhenFull::EvictAnonymous`].
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// The store.
    #[must_use]
    pub fn build(self) -> Memory {
        Memory {
            shards: (0..SHARDS).map(|_| Padded::default()).collect(),
            oldest: std::array::from_fn(|_| AtomicU64::new(u64::MAX)),
            users: Owners::default(),
            groups: Owners::default(),
            bounds: Bounds::new(self.max_entries, self.max_bytes),
            when_full: self.when_full,
            evicted: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
        }
    }
}

impl Store for Memory {
    fn load<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        Box::pin(async move { self.load_now(id) })
    }

    fn put<'a>(
        &'a self,
        id: &'a SessionId,
        record: &'a Record,
        expect: Expect,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Put, Error>> {
        Box::pin(async move { self.put_now(id, record, expect, now) })
    }

    fn touch<'a>(&'a self, id: &'a SessionId, now: Timestamp) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move { Ok(self.touch_now(id, now)) })
    }

    fn end<'a>(&'a self, id: &'a SessionId, ended: &'a Ended) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move { self.end_now(id, ended) })
    }

    fn scan<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<SessionInfo>, Error>> {
        Box::pin(async move { self.scan_now(filter, after, limit, now) })
    }

    fn count<'a>(&'a self, filter: &'a Filter, now: Timestamp) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move { self.count_now(filter, now) })
    }

    fn users<'a>(
        &'a self,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<UserSessions>, Error>> {
        Box::pin(async move { self.users_now(after, limit, now) })
    }

    fn end_all<'a>(&'a self, filter: &'a Filter, ended: &'a Ended) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move { self.end_all_now(filter, ended) })
    }

    fn sweep<'a>(&'a self, now: Timestamp, limit: usize) -> BoxFuture<'a, Result<Swept, Error>> {
        Box::pin(async move { self.sweep_now(now, limit) })
    }
}
