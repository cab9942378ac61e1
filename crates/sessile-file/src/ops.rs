//! What each write does to the records and their indexes, inside one transaction.

use heed::RwTxn;
use sessile_core::{Data, Ended, Expect, Fate, Filter, Put, Record, SessionId, Timestamp};

use crate::{
    engine::{Engine, Stored, Versions},
    envelope::{self, Head},
    failure::{Failure, full},
    index::{GRAIN, Place, lazy_head, move_time, reindex},
    query,
};

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
        let place = Place { record: &draft.header, head };
        reindex(tables, self.txn, &draft.id, stored.as_ref().map(Stored::place), Some(place))?;
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
            move_time(tables.by_seen, self.txn, id, Some(head.seen), Some(now))?;
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
    pub(crate) fn bury(&mut self, id: &SessionId, stored: &Stored, ended: Ended) -> Result<(), Failure> {
        let at = ended.at;
        let mut record = stored.record.clone();
        record.entomb(ended);
        if record.fate(at) == Fate::Remove {
            return self.remove(id, stored);
        }
        let head = Head { version: self.versions.next(), due: record.due(), seen: record.seen };
        self.store(id, Some(stored.place()), Place { record: &record, head })
    }

    /// Writes a record and moves its index entries.
    pub(crate) fn store(
        &mut self,
        id: &SessionId,
        old: Option<Place<'_>>,
        new: Place<'_>,
    ) -> Result<(), Failure> {
        let tables = &self.engine.tables;
        reindex(tables, self.txn, id, old, Some(new))?;
        let mut value = envelope::enclose(new.record);
        envelope::seal(&mut value, id, new.head);
        tables.records.put(self.txn, id.as_bytes(), &value)?;
        Ok(())
    }

    /// Removes a record and its index entries.
    pub(crate) fn remove(&mut self, id: &SessionId, stored: &Stored) -> Result<(), Failure> {
        let tables = &self.engine.tables;
        reindex(tables, self.txn, id, Some(stored.place()), None)?;
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
        let candidates = query::owned(&self.engine.tables, self.txn, &filter.owner, after)?.take(step);
        let candidates = candidates.collect::<heed::Result<Vec<_>>>()?;
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
