//! Everything that changes a memory store.

use std::{ops::ControlFlow, sync::atomic::Ordering::Relaxed};

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
    filter::{Filter, State},
    record::{Ended, Fate, Record},
    store::{Expect, Put, Swept, Version},
    token::SessionId,
};

use super::{
    Memory, WhenFull,
    bounds::OVERHEAD,
    owners::Owners,
    place::{Place, SHARDS, hash, shard},
    shard::Shard,
    slot::Entry,
};

/// Sessions that a put removes in passing before it gives up for want of room.
const SWEEP_WHEN_FULL: usize = 64;

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
            if let Some(put) = self.try_put(id, record, expect, now)? {
                return Ok(put);
            }
            if !self.make_room(id, now)? {
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
        self.bounds.check(cost)?;
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
                if !self.bounds.resize(self::cost(&slot.entry), cost) {
                    return Ok(None);
                }
                let place = Place::new(number, at);
                self.note_anonymous(number, &entry);
                self.each_owner(record, old.as_ref(), |owners, name| owners.insert(name, place));
                let version = shard.replace(at, entry);
                if let Some(old) = &old {
                    self.each_owner(old, Some(record), |owners, name| owners.remove(name, place));
                }
                Ok(Some(Put::Stored(Version(version))))
            }
            (None, Expect::Absent) => {
                if !self.bounds.begin(cost) {
                    return Ok(None);
                }
                self.note_anonymous(number, &entry);
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

    fn remove(&self, shard: &mut Shard, place: Place, record: &Record) {
        self.each_owner(record, None, |owners, name| owners.remove(name, place));
        self.bounds.end(cost(&shard.remove(place.slot())));
    }

    /// Calls `act` for every owner that `record` has and `other` has not.
    fn each_owner(&self, record: &Record, other: Option<&Record>, act: impl Fn(&Owners, &str)) {
        if let Some(user) = &record.user
            && other.is_none_or(|other| other.user.as_ref() != Some(user))
        {
            act(&self.users, user);
        }
        for group in &record.groups {
            if other.is_none_or(|other| !other.groups.contains(group)) {
                act(&self.groups, group);
            }
        }
    }

    /// Frees some room, if anything may go. No lock is held. `spare` is not evicted.
    fn make_room(&self, spare: &SessionId, now: Timestamp) -> Result<bool, Error> {
        let evict = self.when_full == WhenFull::EvictAnonymous;
        if evict && self.evict_oldest(spare)? {
            return Ok(true);
        }
        let swept = self.sweep_now(now, SWEEP_WHEN_FULL)?;
        Ok(swept.removed + swept.entombed > 0 || evict && self.evict_tombstone()?)
    }

    /// Removes the anonymous session that was seen longest ago.
    fn evict_oldest(&self, spare: &SessionId) -> Result<bool, Error> {
        // What is noted for a shard is never later than the truth; what turns out to be earlier is
        // put right, and the search goes on.
        let mut oldest: [Timestamp; SHARDS] =
            std::array::from_fn(|number| Timestamp::from_millis(self.oldest[number].load(Relaxed)));
        loop {
            let earliest = oldest.iter().enumerate().min_by_key(|(_, seen)| **seen);
            let Some((number, &noted)) = earliest.filter(|(_, seen)| **seen < Timestamp::MAX) else {
                return Ok(false);
            };
            let mut shard = self.lock(number);
            let first = shard.oldest_anonymous(None).map_or(Timestamp::MAX, |(_, seen)| seen);
            self.oldest[number].store(first.as_millis(), Relaxed);
            match shard.oldest_anonymous(shard.find(spare)) {
                None => oldest[number] = Timestamp::MAX,
                Some((_, seen)) if seen > noted => oldest[number] = seen,
                Some((at, _)) => {
                    let record = shard.record(at)?;
                    self.remove(&mut shard, Place::new(number, at), &record);
                    self.evicted.fetch_add(1, Relaxed);
                    return Ok(true);
                }
            }
        }
    }

    /// Removes a tombstone before its time.
    fn evict_tombstone(&self) -> Result<bool, Error> {
        for number in 0..SHARDS {
            let mut shard = self.lock(number);
            if let Some(at) = shard.oldest_tombstone() {
                let record = shard.record(at)?;
                self.remove(&mut shard, Place::new(number, at), &record);
                self.evicted.fetch_add(1, Relaxed);
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[cold]
    fn full(&self) -> Error {
        let detail = format!(
            "the memory store holds {} sessions in {} bytes, its bounds are {} and {}, and none may be \
             evicted; sweep more often, raise the bounds, or choose a store on disk",
            self.entries(),
            self.bytes(),
            self.bounds.max_entries,
            self.bounds.max_bytes,
        );
        Error::new(ErrorKind::Full, "put", detail)
    }

    /// Keeps `oldest` of a locked shard from being later than the truth.
    fn note_anonymous(&self, number: usize, entry: &Entry) {
        let (oldest, seen) = (&self.oldest[number], entry.seen.as_millis());
        if !entry.owned && seen < oldest.load(Relaxed) {
            oldest.store(seen, Relaxed);
        }
    }
}

/// What a session counts for against the bound.
fn cost(entry: &Entry) -> usize {
    entry.bytes.len() + OVERHEAD
}
