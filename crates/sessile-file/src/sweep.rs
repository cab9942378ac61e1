//! Sweeping: what is due becomes a tombstone, is removed, or is queued again because it was used.

use std::ops::Bound;

use sessile_core::{Fate, SessionId, Swept, Timestamp};

use crate::{
    engine::Stored,
    envelope::Head,
    failure::Failure,
    index::Place,
    keys::{HIGHEST, LOWEST, id_of, time_key},
    ops::Writing,
};

impl Writing<'_, '_> {
    /// Looks at up to `step` entries of `live` or `dead` that are due, and does at most `limit`
    /// records' fate.
    pub(crate) fn sweep_some(
        &mut self,
        now: Timestamp,
        from: SweepFrom,
        limit: u64,
        step: usize,
    ) -> Result<SweptSome, Failure> {
        let tables = self.engine.tables;
        self.engine.forget_dead_readers();
        let (table, first) = match from {
            SweepFrom::Dead(first) => (tables.dead, first),
            SweepFrom::Live(first) => (tables.live, first),
        };
        let last = time_key(now, &HIGHEST);
        let mut due = Vec::with_capacity(step);
        let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
        for entry in table.range(self.txn, &range)?.take(step) {
            due.push(entry?.0.to_vec());
        }
        let mut done = SweptSome { swept: Swept::default(), next: None };
        let looked_at_all = due.len() < step;
        for key in due {
            if !self.sweep_one(&key, now, limit, &mut done.swept)? {
                done.swept.more = true;
                return Ok(done);
            }
            done.next = Some(from.past(&key));
        }
        if looked_at_all {
            done.next = from.following_table();
        }
        Ok(done)
    }

    /// `false` if the record is due, but `limit` doesn't allow to do what is to be done.
    fn sweep_one(
        &mut self,
        key: &[u8],
        now: Timestamp,
        limit: u64,
        swept: &mut Swept,
    ) -> Result<bool, Failure> {
        let Some(id) = id_of(key) else { return Ok(true) };
        let stored = match self.engine.tables.stored(self.txn, &id) {
            Ok(Some(stored)) => stored,
            // A damaged record stays for an operator; it must not keep the others from being swept.
            Ok(None) | Err(Failure::Refused(_)) => return Ok(true),
            Err(error) => return Err(error),
        };
        let fate = stored.record.fate(now);
        if fate != Fate::Keep && swept.entombed + swept.removed >= limit {
            return Ok(false);
        }
        match fate {
            Fate::Keep => self.requeue(&id, &stored)?,
            Fate::Entomb(ended) => {
                self.bury(&id, &stored, ended)?;
                swept.entombed += 1;
            }
            Fate::Remove => {
                self.remove(&id, &stored)?;
                swept.removed += 1;
            }
        }
        Ok(true)
    }

    /// Moves the entry to where the record, used since, is due: this is the lazy move's other end.
    fn requeue(&mut self, id: &SessionId, stored: &Stored) -> Result<(), Failure> {
        let head = Head { due: stored.record.due(), ..stored.head };
        if head.due == stored.head.due {
            return Ok(());
        }
        self.store(id, Some(stored.place()), Place { record: &stored.record, head })
    }
}

/// What [`Writing::sweep_some`] did.
#[derive(Debug)]
pub(crate) struct SweptSome {
    pub(crate) swept: Swept,
    /// Where to go on; `None` at the end, or when the limit is reached.
    pub(crate) next: Option<SweepFrom>,
}

/// A place in a sweep: first the tombstones, then the living.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SweepFrom {
    Dead([u8; 24]),
    Live([u8; 24]),
}

impl SweepFrom {
    pub(crate) fn start() -> Self {
        Self::Dead(time_key(Timestamp::default(), &LOWEST))
    }

    /// Just after `key`.
    fn past(self, key: &[u8]) -> Self {
        let next = key.first_chunk().and_then(successor).unwrap_or([0xff; 24]);
        match self {
            Self::Dead(_) => Self::Dead(next),
            Self::Live(_) => Self::Live(next),
        }
    }

    fn following_table(self) -> Option<Self> {
        match self {
            Self::Dead(_) => Some(Self::Live(time_key(Timestamp::default(), &LOWEST))),
            Self::Live(_) => None,
        }
    }
}

/// The key after `key`, of the same length; `None` after the last.
fn successor(key: &[u8; 24]) -> Option<[u8; 24]> {
    let mut next = *key;
    for byte in next.iter_mut().rev() {
        let (sum, carry) = byte.overflowing_add(1);
        *byte = sum;
        if !carry {
            return Some(next);
        }
    }
    None
}
