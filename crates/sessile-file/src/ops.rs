//! What each write does to the records and their indexes, inside one transaction.

use std::{ops::Bound, time::Duration};

use heed::RwTxn;
use sessile_core::{
    Data, Ended, Expect, Fate, Filter, Owner, Put, Record, SessionId, Swept, Timestamp, Version,
};

use crate::{
    engine::{Engine, Stored, Table, Tables, Versions},
    envelope::{self, Head},
    failure::{Failure, full},
    keys::{HIGHEST, LOWEST, id_of, owner_hash, owner_key, time_key},
};

/// How far a session's entry in `by_seen` may lag behind: entry ≤ last seen < entry + grain.
/// Larger: fewer index writes; smaller: fewer candidates that a "seen within" has to drop.
pub(crate) const GRAIN: Duration = Duration::from_secs(15 * 60);

/// A transaction with what operations in it need.
pub(crate) struct Writing<'a, 'e> {
    pub(crate) engine: &'a Engine,
    pub(crate) txn: &'a mut RwTxn<'e>,
    pub(crate) versions: Versions,
}

/// A record on its way to the writer: encoded where it comes from, to keep the one writer free.
#[derive(Debug)]
pub(crate) struct Draft {
    id: SessionId,
    /// The record without its data: what the indexes need.
    header: Record,
    /// The enclosed record.
    value: Vec<u8>,
}

impl Draft {
    pub(crate) fn new(id: SessionId, record: &Record) -> Self {
        let header = Record {
            secret: record.secret,
            previous: record.previous,
            user: record.user.clone(),
            groups: record.groups.clone(),
            created: record.created,
            seen: record.seen,
            renewed: record.renewed,
            lifetime: record.lifetime,
            persistent: record.persistent,
            device: None,
            ended: record.ended.clone(),
            data: Data::new(),
        };
        Self { id, header, value: envelope::enclose(record) }
    }
}

impl Writing<'_, '_> {
    pub(crate) fn put(&mut self, draft: &mut Draft, expect: Expect, now: Timestamp) -> Result<Put, Failure> {
        let tables = &self.engine.tables;
        let stored = tables.stored(self.txn, &draft.id)?;
        match (expect, &stored) {
            (Expect::Absent, Some(_)) => return Ok(Put::Conflict),
            (Expect::Absent, None) if self.engine.is_full(self.txn)? => {
                return Err(full("put", &self.engine.path().display()).into());
            }
            (Expect::Absent, None) => {}
            (Expect::Version(_), None) => return Ok(Put::Gone),
            (Expect::Version(_), Some(stored)) if !stored.record.is_live(now) => return Ok(Put::Gone),
            (Expect::Version(version), Some(stored)) if stored.head.version != version => {
                return Ok(Put::Conflict);
            }
            (Expect::Version(_), Some(stored)) => {
                // A touch may have come between the caller's load and this.
                draft.header.seen = draft.header.seen.max(stored.record.seen);
                Record::touch_bytes(envelope::record_bytes(&mut draft.value), draft.header.seen)?;
            }
        }
        let version = self.versions.next();
        let head = lazy_head(stored.as_ref(), &draft.header, version);
        reindex(tables, self.txn, &draft.id, stored.as_ref(), Some((&draft.header, head)))?;
        envelope::seal(&mut draft.value, &draft.id, head);
        tables.records.put(self.txn, draft.id.as_bytes(), &draft.value)?;
        Ok(Put::Stored(version))
    }

    pub(crate) fn touch(&mut self, id: &SessionId, now: Timestamp) -> Result<bool, Failure> {
        let tables = &self.engine.tables;
        let Some(value) = tables.records.get(self.txn, id.as_bytes())? else { return Ok(false) };
        let stored = Stored::read(id, value)?;
        if !stored.record.is_live(now) {
            return Ok(false);
        }
        if stored.record.seen >= now {
            return Ok(true);
        }
        let mut value = value.to_vec();
        Record::touch_bytes(envelope::record_bytes(&mut value), now)?;
        let mut head = stored.head;
        if now >= head.seen + GRAIN {
            tables.by_seen.delete(self.txn, &time_key(head.seen, id))?;
            tables.by_seen.put(self.txn, &time_key(now, id), &[])?;
            head.seen = now;
        }
        envelope::seal(&mut value, id, head);
        tables.records.put(self.txn, id.as_bytes(), &value)?;
        Ok(true)
    }

    pub(crate) fn end(&mut self, id: &SessionId, ended: &Ended) -> Result<bool, Failure> {
        let Some(stored) = self.engine.tables.stored(self.txn, id)? else { return Ok(false) };
        if !stored.record.is_live(ended.at) {
            return Ok(false);
        }
        self.bury(id, &stored, ended.clone())?;
        Ok(true)
    }

    /// Makes a tombstone of a stored session, or removes it if nothing is to be kept.
    fn bury(&mut self, id: &SessionId, stored: &Stored, ended: Ended) -> Result<(), Failure> {
        let at = ended.at;
        let mut record = stored.record.clone();
        record.entomb(ended);
        if record.fate(at) == Fate::Remove {
            return self.remove(id, stored);
        }
        let head = Head { version: self.versions.next(), due: record.due(), seen: record.seen };
        let tables = &self.engine.tables;
        reindex(tables, self.txn, id, Some(stored), Some((&record, head)))?;
        let mut value = envelope::enclose(&record);
        envelope::seal(&mut value, id, head);
        tables.records.put(self.txn, id.as_bytes(), &value)?;
        Ok(())
    }

    fn remove(&mut self, id: &SessionId, stored: &Stored) -> Result<(), Failure> {
        let tables = &self.engine.tables;
        reindex(tables, self.txn, id, Some(stored), None)?;
        tables.records.delete(self.txn, id.as_bytes())?;
        Ok(())
    }

    /// Ends those that match among the next `step` candidates after `after`.
    pub(crate) fn end_some(
        &mut self,
        filter: &Filter,
        ended: &Ended,
        after: Option<SessionId>,
        step: usize,
    ) -> Result<EndedSome, Failure> {
        let candidates = candidates(&self.engine.tables, self.txn, &filter.owner, after, step)?;
        let mut done = EndedSome { next: None, ended: 0, damaged: None };
        if candidates.len() == step {
            done.next = candidates.last().copied();
        }
        for id in candidates {
            match self.engine.tables.stored(self.txn, &id) {
                Ok(Some(stored)) if filter.matches(&id, &stored.record, ended.at) => {
                    if stored.record.is_live(ended.at) {
                        self.bury(&id, &stored, ended.clone())?;
                        done.ended += 1;
                    }
                }
                Ok(_) => {}
                Err(Failure::Refused(error)) => done.damaged = Some(error),
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

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
        let tables = &self.engine.tables;
        let head = Head { due: stored.record.due(), ..stored.head };
        if head.due == stored.head.due {
            return Ok(());
        }
        reindex(tables, self.txn, id, Some(stored), Some((&stored.record, head)))?;
        let mut value = envelope::enclose(&stored.record);
        envelope::seal(&mut value, id, head);
        tables.records.put(self.txn, id.as_bytes(), &value)?;
        Ok(())
    }
}

/// What [`Writing::end_some`] did.
#[derive(Debug)]
pub(crate) struct EndedSome {
    /// Go on after this session; `None` at the end.
    pub(crate) next: Option<SessionId>,
    pub(crate) ended: u64,
    /// A record that can't be read, and so can't be ended.
    pub(crate) damaged: Option<sessile_core::Error>,
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

/// Where a record stands in the indexes from now on. Entries of a session that stays alive are
/// left where they are as long as they are early enough; a sweep moves them when they are due.
fn lazy_head(stored: Option<&Stored>, record: &Record, version: Version) -> Head {
    let mut head = Head { version, due: record.due(), seen: record.seen };
    if let Some(stored) = stored
        && stored.record.ended.is_none()
        && record.ended.is_none()
    {
        head.due = head.due.min(stored.head.due);
        if head.seen < stored.head.seen + GRAIN {
            head.seen = stored.head.seen;
        }
    }
    head
}

/// Moves index entries from where `old` stood to where `new` stands.
pub(crate) fn reindex(
    tables: &Tables,
    txn: &mut RwTxn<'_>,
    id: &SessionId,
    old: Option<&Stored>,
    new: Option<(&Record, Head)>,
) -> Result<(), Failure> {
    let old = old.map(|stored| (&stored.record, stored.head));
    let user = |side: Option<(&Record, Head)>| side.and_then(|(record, _)| record.user.clone());
    let (old_user, new_user) = (user(old), user(new));
    if old_user != new_user {
        move_owner(tables.by_user, txn, id, old_user.as_deref(), new_user.as_deref())?;
    }
    let none = Vec::new();
    let old_groups = old.map_or(&none, |(record, _)| &record.groups);
    let new_groups = new.map_or(&none, |(record, _)| &record.groups);
    for group in old_groups.iter().filter(|group| !new_groups.contains(group)) {
        move_owner(tables.by_group, txn, id, Some(group), None)?;
    }
    for group in new_groups.iter().filter(|group| !old_groups.contains(group)) {
        move_owner(tables.by_group, txn, id, None, Some(group))?;
    }
    let dead = |side: Option<(&Record, Head)>| {
        side.filter(|(record, _)| record.ended.is_some()).map(|(_, head)| head.due)
    };
    let live = |side: Option<(&Record, Head)>| {
        side.filter(|(record, _)| record.ended.is_none()).map(|(_, head)| head)
    };
    move_time(tables.dead, txn, id, dead(old), dead(new))?;
    move_time(tables.live, txn, id, live(old).map(|head| head.due), live(new).map(|head| head.due))?;
    move_time(tables.by_seen, txn, id, live(old).map(|head| head.seen), live(new).map(|head| head.seen))
}

fn move_owner(
    table: Table,
    txn: &mut RwTxn<'_>,
    id: &SessionId,
    old: Option<&str>,
    new: Option<&str>,
) -> Result<(), Failure> {
    if let Some(name) = old {
        table.delete(txn, &owner_key(&owner_hash(name), id))?;
    }
    if let Some(name) = new {
        table.put(txn, &owner_key(&owner_hash(name), id), &[])?;
    }
    Ok(())
}

fn move_time(
    table: Table,
    txn: &mut RwTxn<'_>,
    id: &SessionId,
    old: Option<Timestamp>,
    new: Option<Timestamp>,
) -> Result<(), Failure> {
    if old == new {
        return Ok(());
    }
    if let Some(time) = old {
        table.delete(txn, &time_key(time, id))?;
    }
    if let Some(time) = new {
        table.put(txn, &time_key(time, id), &[])?;
    }
    Ok(())
}

/// The next `limit` sessions after `after`, in the order of their ids, that `owner` may own.
fn candidates(
    tables: &Tables,
    txn: &RwTxn<'_>,
    owner: &Owner,
    after: Option<SessionId>,
    limit: usize,
) -> Result<Vec<SessionId>, Failure> {
    crate::query::owned(tables, txn, owner, after)?.take(limit).map(|id| id.map_err(Failure::from)).collect()
}
