//! The environment and its tables: what every operation works on.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use heed::{Database, Env, RoTxn, RwTxn, WithTls, types::Bytes};
use sessile_core::{Error, Record, SessionId, Timestamp, Version, Versioned};

use crate::{
    envelope::{self, Head},
    failure::{Failure, engine_error},
    index::Place,
};

/// A table: bytes to bytes, sorted by key.
pub(crate) type Table = Database<'static, Bytes, Bytes>;

/// A read transaction.
pub(crate) type Reading<'a> = RoTxn<'a>;

/// The tables. In all but `records` the values are empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tables {
    /// id → envelope.
    pub(crate) records: Table,
    /// hash of the user, id: every record that has a user.
    pub(crate) by_user: Table,
    /// hash of the group, id: every record, once for each of its groups.
    pub(crate) by_group: Table,
    /// due, id: every record that isn't a tombstone. Moved lazily: due is at or before the expiry.
    pub(crate) live: Table,
    /// due, id: every tombstone; due is when it may be removed.
    pub(crate) dead: Table,
    /// seen, id: every record that isn't a tombstone. Moved lazily, once in a [`GRAIN`].
    ///
    /// [`GRAIN`]: crate::index::GRAIN
    pub(crate) by_seen: Table,
}

/// An open database.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) env: Env<WithTls>,
    pub(crate) tables: Tables,
    pub(crate) path: PathBuf,
    /// Bytes of data beyond which new sessions are refused.
    pub(crate) max_size: u64,
    pub(crate) commits: AtomicU64,
}

/// A stored session.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) head: Head,
    pub(crate) record: Record,
}

impl Engine {
    /// The record under `id`: one short transaction, on the caller's thread.
    pub(crate) fn load(&self, id: &SessionId) -> Result<Option<Versioned>, Error> {
        let stored = self.read("load", |txn| self.tables.stored(txn, id))?;
        Ok(stored.map(|stored| Versioned { record: stored.record.into(), version: stored.head.version }))
    }

    /// Runs `work` in a read transaction.
    pub(crate) fn read<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Reading<'_>) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let txn = self.env.read_txn().map_err(|error| self.error(error, operation))?;
        work(&txn).map_err(|failure| failure.into_error(operation, &self.path))
    }

    /// Runs `work` in a write transaction and commits it. Only the writer's thread calls this.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&mut RwTxn<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut txn = self.env.write_txn()?;
        let done = work(&mut txn)?;
        txn.commit()?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(done)
    }

    /// Gives up what processes that died while they read still hold: as long as they do, no page
    /// that they may need is used again, and the file grows.
    pub(crate) fn forget_dead_readers(&self) {
        // A failure is no worse than not having tried.
        let _ = self.env.clear_stale_readers();
    }

    /// Whether the data has reached `max_size`.
    pub(crate) fn is_full(&self, txn: &RoTxn<'_>) -> Result<bool, Failure> {
        let mut bytes = 0;
        for table in self.tables.all() {
            let stat = table.stat(txn)?;
            let pages = stat.branch_pages + stat.leaf_pages + stat.overflow_pages;
            bytes += pages as u64 * u64::from(stat.page_size);
        }
        Ok(bytes >= self.max_size)
    }

    pub(crate) fn error(&self, error: heed::Error, operation: &'static str) -> Error {
        engine_error(error, operation, &self.path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Tables {
    pub(crate) fn all(&self) -> [Table; 6] {
        [self.records, self.by_user, self.by_group, self.live, self.dead, self.by_seen]
    }

    /// All that follow from the records.
    pub(crate) fn indexes(&self) -> [Table; 5] {
        [self.by_user, self.by_group, self.live, self.dead, self.by_seen]
    }

    /// What is stored under `id`, checked.
    pub(crate) fn stored(&self, txn: &RoTxn<'_>, id: &SessionId) -> Result<Option<Stored>, Failure> {
        let value = self.records.get(txn, id.as_bytes())?;
        Ok(value.map(|value| Stored::read(id, value)).transpose()?)
    }
}

impl Stored {
    pub(crate) fn read(id: &SessionId, value: &[u8]) -> Result<Self, Error> {
        let (head, record) = envelope::open(id, value)?;
        Ok(Self { head, record: Record::from_bytes(record)? })
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place { record: &self.record, head: self.head }
    }
}

/// Versions that no session ever had: the transaction's number and the operation's in it.
#[derive(Debug)]
pub(crate) struct Versions(u64);

impl Versions {
    pub(crate) fn new(txn: &RwTxn<'_>) -> Self {
        Self((txn.id() as u64) << 20)
    }

    pub(crate) fn next(&mut self) -> Version {
        self.0 += 1;
        Version(self.0)
    }
}

/// A moment that no record passes.
pub(crate) const END_OF_TIME: Timestamp = Timestamp::MAX;
