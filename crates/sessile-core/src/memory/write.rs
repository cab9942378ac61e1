//! Everything that changes a memory store.

use std::{ops::ControlFlow, sync::atomic::Ordering::Relaxed};

use crate::{
    clock::Timestamp,
    error::Error,
    filter::{Filter, State},
    record::{Ended, Fate, Record},
    store::{Expect, Put, Swept, Version},
    token::SessionId,
};

use super::{
    Memory,
    bounds::OVERHEAD,
    owners::Owners,
    place::{Place, SHARDS, hash, shard},
    shard::Shard,
    slot::Entry,
};

/// Why a sweep stopped before its end.
enum Stop {
    Limit,
    Failed(Error),
}

impl Memory {
    pub(super) fn put_now(
        &self,
        id: &SessionId,
        record: &Record,
        expect: Expect,
        now: Timestamp,
    ) -> Result<Put, Error> {
        loop {
            let freed = self.bounds.freed();
            if let Some(put) = self.try_put(id, record, expect, now)? {
                return Ok(put);
            }
            // If others freed some room meanwhile, they may have left nothing to be found.
            if !self.make_room(id, now)? && self.bounds.freed() == freed {
                return Err(self.full());
            }
        }
    }

    /// `None` if the bounds leave no room.
    fn try_put(
        &self,
        id: &SessionId,
        record: &Record,
        expect: Expect,
        now: Timestamp,
    ) -> Result<Option<Put>, Error> {
        let entry = Entry::new(record);
        let (cost, number) = (cost(&entry), shard(hash(id)));
        let mut shard = self.lock(number);
        match (shard.find(id), expect) {
            (Some(_), Expect::Absent) => Ok(Some(Put::Conflict)),
            (None, Expect::Version(_)) => Ok(Some(Put::Gone)),
            (Some(at), Expect::Version(expected)) => {
                let slot = &shard.slots[at];
                if !slot.entry.is_live(now) {
                    return Ok(Some(Put::Gone));
                }
                if slot.version != expected.0 {
                    return Ok(Some(Put::Conflict));
                }
                let old = if slot.entry.indexed { Some(shard.record(at)?) } else { None };
                self.bounds.check(cost)?;
                self.note_anonymous(number, &entry);
                if !self.bounds.resize(self::cost(&slot.entry), cost) {
                    return Ok(None);
                }
                let place = Place::new(number, at);
                self.each_owner(record, old.as_ref(), |owners, name| owners.insert(name, place));
                let version = shard.replace(at, entry);
                if let Some(old) = &old {
                    self.each_owner(old, Some(record), |owners, name| owners.remove(name, place));
                }
                Ok(Some(Put::Stored(Version(version))))
            }
            (None, Expect::Absent) => {
                self.bounds.check(cost)?;
                self.note_anonymous(number, &entry);
                if !self.bounds.begin(cost) {
                    return Ok(None);
                }
                let Some((at, version)) = shard.insert(*id, entry) else {
                    self.bounds.end(cost);
                    return Err(self.full());
                };
                let place = Place::new(number, at);
                self.each_owner(record, None, |owners, name| owners.insert(name, place));
                Ok(Some(Put::Stored(Version(version))))
            }
        }
    }

    pub(super) fn touch_now(&self, id: &SessionId, now: Timestamp) -> bool {
        let mut shard = self.lock(shard(hash(id)));
        let live = shard.find(id).filter(|at| shard.slots[*at].entry.is_live(now));
        live.is_some_and(|at| {
            shard.touch(at, now);
            true
        })
    }

    pub(super) fn end_now(&self, id: &SessionId, ended: &Ended) -> Result<bool, Error> {
        let number = shard(hash(id));
        let mut shard = self.lock(number);
        match shard.find(id).filter(|at| shard.slots[*at].entry.is_live(ended.at)) {
            Some(at) => {
                let record = shard.record(at)?;
                self.finish(&mut shard, Place::new(number, at), record, ended);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    pub(super) fn end_all_now(&self, filter: &Filter, ended: &Ended) -> Result<u64, Error> {
        if filter.state == State::Ended {
            return Ok(0);
        }
        let filter = filter.clone().state(State::Live);
        let (mut count, mut from) = (0, Some(Place(0)));
        while let Some(start) = from {
            let (places, next) = self.candidates(&filter, ended.at, start, usize::MAX);
            for place in places {
                let mut shard = self.lock(place.shard());
                let Some(slot) = shard.slots.get(place.slot()) else { continue };
                let (id, record) = (slot.id, slot.entry.record()?);
                if filter.matches(&id, &record, ended.at) {
                    self.finish(&mut shard, place, record, ended);
                    count += 1;
                }
            }
            from = next;
        }
        Ok(count)
    }

    pub(super) fn sweep_now(&self, now: Timestamp, limit: usize) -> Result<Swept, Error> {
        let (mut swept, mut done) = (Swept::default(), 0);
        // The next sweep begins one shard later, so that small limits reach every shard.
        let start = self.turn.fetch_add(1, Relaxed);
        for number in (0..SHARDS).map(|offset| start.wrapping_add(offset) % SHARDS) {
            let mut shard = self.lock(number);
            for tombstones in [true, false] {
                let stop = shard.due(tombstones, now, |shard, at| {
                    if done == limit {
                        return ControlFlow::Break(Stop::Limit);
                    }
                    match self.settle(shard, Place::new(number, at), now, &mut swept) {
                        Ok(()) => {
                            done += 1;
                            ControlFlow::Continue(())
                        }
                        Err(error) => ControlFlow::Break(Stop::Failed(error)),
                    }
                });
                match stop {
                    ControlFlow::Continue(()) => {}
                    ControlFlow::Break(Stop::Limit) => return Ok(Swept { more: true, ..swept }),
                    ControlFlow::Break(Stop::Failed(error)) => return Err(error),
                }
            }
        }
        Ok(swept)
    }

    /// Does to a record that is due what its fate says.
    fn settle(
        &self,
        shard: &mut Shard,
        place: Place,
        now: Timestamp,
        swept: &mut Swept,
    ) -> Result<(), Error> {
        let record = shard.record(place.slot())?;
        match record.fate(now) {
            Fate::Keep => {}
            Fate::Remove => {
                self.remove(shard, place, &record);
                swept.removed += 1;
            }
            Fate::Entomb(ended) => {
                self.entomb(shard, place, record, ended);
                swept.entombed += 1;
            }
        }
        Ok(())
    }

    /// Ends a live session.
    fn finish(&self, shard: &mut Shard, place: Place, record: Record, ended: &Ended) {
        if record.lifetime.retention.is_zero() {
            self.remove(shard, place, &record);
        } else {
            self.entomb(shard, place, record, ended.clone());
        }
    }

    fn entomb(&self, shard: &mut Shard, place: Place, mut record: Record, ended: Ended) {
        record.entomb(ended);
        let entry = Entry::new(&record);
        self.bounds.force(cost(&shard.slots[place.slot()].entry), cost(&entry));
        shard.replace(place.slot(), entry);
    }

    pub(super) fn remove(&self, shard: &mut Shard, place: Place, record: &Record) {
        self.each_owner(record, None, |owners, name| owners.remove(name, place));
        self.bounds.end(cost(&shard.remove(place.slot())));
    }

    /// Calls `act` for every owner that `record` has and `other` has not. Owners are compared as
    /// the indexes know them: one that shares its hash with an owner in `other` is left alone.
    fn each_owner(&self, record: &Record, other: Option<&Record>, act: impl Fn(&Owners, &str)) {
        let others = other.map_or(&[][..], |other| other.user.as_slice());
        for user in record.user.iter().filter(|user| !self.users.has(others, user)) {
            act(&self.users, user);
        }
        let others = other.map_or(&[][..], |other| &other.groups);
        for group in record.groups.iter().filter(|group| !self.groups.has(others, group)) {
            act(&self.groups, group);
        }
    }
}

/// What a session counts for against the bound.
fn cost(entry: &Entry) -> usize {
    entry.bytes.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        data::Data,
        record::{EndReason, Lifetime},
        token::SecretHash,
    };

    use super::*;

    fn record(user: Option<&str>, groups: &[&str]) -> Record {
        Record {
            secret: SecretHash::from_bytes([7; 32]),
            previous: None,
            user: user.map(Into::into),
            groups: groups.iter().copied().map(Into::into).collect(),
            created: Timestamp::default(),
            seen: Timestamp::default(),
            renewed: Timestamp::default(),
            lifetime: Lifetime {
                idle: Duration::MAX,
                slack: Duration::ZERO,
                deadline: Timestamp::MAX,
                retention: Duration::ZERO,
            },
            persistent: false,
            device: None,
            ended: None,
            data: Data::new(),
        }
    }

    /// In unit tests there are four hashes only, so that names collide.
    #[test]
    fn owner_indexes_hold_what_the_records_say_and_nothing_else() {
        let (memory, id, now) = (Memory::new(), SessionId::from_bytes([1; 16]), Timestamp::default());
        let users = [None, Some("a"), Some("b"), Some("c"), Some("d"), Some("e")];
        let groups: [&[&str]; 5] = [&[], &["a"], &["b", "c"], &["a", "b", "c", "d", "e"], &["c", "f"]];
        let mut expect = Expect::Absent;
        for step in 0..1_000 {
            let (user, groups) = (users[step * 7 % 11 % 6], groups[step * 5 % 13 % 5]);
            let put = memory.put_now(&id, &record(user, groups), expect, now);
            let Ok(Put::Stored(version)) = put else { panic!("{put:?}") };
            expect = Expect::Version(version);

            let number = shard(hash(&id));
            let place = memory.lock(number).find(&id).map(|at| Place::new(number, at));
            for (owners, names) in [(&memory.users, user.as_slice()), (&memory.groups, groups)] {
                let mut known: Vec<_> = names.iter().map(|name| owners.name(name)).collect();
                known.sort();
                known.dedup();
                for name in &known {
                    let first = owners.places(*name, Place(0), 9);
                    assert_eq!((first.len(), first.first().copied()), (1, place));
                }
                assert_eq!(owners.len(), known.len());
            }
        }
        let ended = Ended { reason: EndReason::Logout, at: now, by: None };
        assert!(memory.end_now(&id, &ended).is_ok_and(|ended| ended));
        assert_eq!((memory.users.len(), memory.groups.len()), (0, 0));
    }
}
