//! Making room at the bound.

use std::sync::atomic::Ordering::Relaxed;

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
    token::SessionId,
};

use super::{
    Memory, WhenFull,
    place::{Place, SHARDS},
    slot::Entry,
};

/// Sessions that a put sweeps in passing before it gives up for want of room.
const SWEEP_WHEN_FULL: usize = 64;

impl Memory {
    /// Frees some room, if anything may go. No lock is held. `spare` is not evicted.
    pub(super) fn make_room(&self, spare: &SessionId, now: Timestamp) -> Result<bool, Error> {
        let evict = self.when_full == WhenFull::EvictAnonymous;
        if evict && self.evict_oldest(spare)? {
            return Ok(true);
        }
        let swept = self.sweep_now(now, SWEEP_WHEN_FULL)?;
        Ok(swept.removed + swept.entombed > 0 || evict && self.evict_tombstone()?)
    }

    /// Removes the anonymous session that was seen longest ago.
    fn evict_oldest(&self, spare: &SessionId) -> Result<bool, Error> {
        // What is noted for a shard is never later than the truth. What turns out to be earlier is
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
    pub(super) fn full(&self) -> Error {
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

    /// Keeps `oldest` of a locked shard from being later than the truth. Comes before room is
    /// taken, so that whoever finds none left finds the session that took it.
    pub(super) fn note_anonymous(&self, number: usize, entry: &Entry) {
        let (oldest, seen) = (&self.oldest[number], entry.seen.as_millis());
        if !entry.owned && seen < oldest.load(Relaxed) {
            oldest.store(seen, Relaxed);
        }
    }
}
