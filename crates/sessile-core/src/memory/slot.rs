//! One session in a shard's slab, and the slab.

use std::cell::RefCell;

use zeroize::Zeroize;

use crate::{
    clock::{Timestamp, millis},
    error::Error,
    filter::{Filter, Owner, State},
    record::Record,
    token::SessionId,
};

use super::timeline::bucket;

/// No slot: the end of a list.
pub(super) const NONE: u32 = u32::MAX;

/// One session: 88 bytes, and its record as bytes on the heap.
pub(super) struct Slot {
    pub(super) id: SessionId,
    pub(super) version: u64,
    pub(super) entry: Entry,
    /// Neighbours in the timelines; see [`Timeline`](super::timeline::Timeline).
    pub(super) links: [Link; 2],
}

#[derive(Clone, Copy)]
pub(super) struct Link {
    pub(super) previous: u32,
    pub(super) next: u32,
}

impl Link {
    pub(super) const NONE: Self = Self { previous: NONE, next: NONE };
}

/// What a slot knows of its record without decoding it.
pub(super) struct Entry {
    /// [`Record::to_bytes`]. Empty in a free slot only. Its last-seen is as old as the last put:
    /// `seen` is the truth.
    pub(super) bytes: Box<[u8]>,
    pub(super) seen: Timestamp,
    /// The deadline, or when a tombstone is to be removed.
    ends: Timestamp,
    /// Idle time and slack in milliseconds; no limit for a tombstone.
    idle: u64,
    /// The bucket that holds this slot in the timeline of expiry or of tombstones: that of
    /// [`due`](Self::due), or an earlier one.
    pub(super) queued: u32,
    pub(super) tombstone: bool,
    /// Has a user.
    pub(super) owned: bool,
    /// Has a user or a group, so that the owner indexes know it.
    pub(super) indexed: bool,
}

/// The record's bytes in an allocation of their size. Written elsewhere first: shrinking in place
/// leaves holes that nothing fits into.
fn exact(record: &Record) -> Box<[u8]> {
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    /// What a thread keeps between two records.
    const KEPT: usize = 64 << 10;
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        record.write_to(scratch);
        let bytes = scratch.as_slice().into();
        // A session's data must not stay in memory longer than the session.
        scratch.zeroize();
        scratch.shrink_to(KEPT);
        bytes
    })
}

impl Entry {
    pub(super) fn new(record: &Record) -> Self {
        let lifetime = &record.lifetime;
        let (ends, idle) = match &record.ended {
            Some(ended) => (ended.at + lifetime.retention, u64::MAX),
            // A record's bytes can't say that the deadline came before the beginning.
            None => (
                lifetime.deadline.max(record.created),
                millis(lifetime.idle).saturating_add(millis(lifetime.slack)),
            ),
        };
        let mut entry = Self {
            bytes: exact(record),
            seen: record.seen,
            ends,
            idle,
            queued: 0,
            tombstone: record.ended.is_some(),
            owned: record.user.is_some(),
            indexed: record.user.is_some() || !record.groups.is_empty(),
        };
        entry.queued = bucket(entry.due());
        entry
    }

    /// [`Record::due`], without the record.
    pub(super) fn due(&self) -> Timestamp {
        let idle = Timestamp::from_millis(self.seen.as_millis().saturating_add(self.idle));
        self.ends.min(idle)
    }

    /// Whether [`Record::is_live`].
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        !self.tombstone && now < self.due()
    }

    /// The record: about 0.1 µs.
    pub(super) fn record(&self) -> Result<Record, Error> {
        let mut record = Record::from_bytes(&self.bytes)?;
        record.seen = self.seen;
        Ok(record)
    }
}

impl Slot {
    /// Whether `filter` may match, as far as can be told without the record; `None` if only the
    /// record can tell.
    pub(super) fn matches(&self, filter: &Filter, now: Timestamp) -> Option<bool> {
        let entry = &self.entry;
        let late = filter.seen_within.is_some_and(|within| entry.seen < now - within);
        if entry.bytes.is_empty() || late || filter.except == Some(self.id) {
            return Some(false);
        }
        let state = match (filter.state, entry.is_live(now)) {
            (State::Live | State::Any, true) => Some(true),
            (State::Live, false) | (State::Ended, true) => Some(false),
            (State::Ended | State::Any, false) if entry.tombstone => Some(now < entry.due()),
            // Expired, but not swept: how long it counts is written in the record.
            (State::Ended | State::Any, false) => None,
        };
        if state == Some(false) || is_plain(filter) { state } else { None }
    }
}

/// Whether nothing but the state, last-seen and the id counts.
pub(super) fn is_plain(filter: &Filter) -> bool {
    filter.owner == Owner::Anyone
        && filter.created.is_none()
        && filter.expires.is_none()
        && filter.device.is_none()
}

/// Slots under small numbers that don't change while a session is in its slot.
#[derive(Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    /// First free slot; the others follow by `links[0].next`.
    free: Option<u32>,
}

impl Slots {
    /// Puts `slot` in a free place; gives it back if all `max` are taken.
    pub(super) fn insert(&mut self, slot: Slot, max: u32) -> Result<u32, Slot> {
        if let Some(at) = self.free {
            let place = &mut self.slots[at as usize];
            let next = place.links[0].next;
            self.free = (next != NONE).then_some(next);
            *place = slot;
            return Ok(at);
        }
        match u32::try_from(self.slots.len()) {
            Ok(at) if at < max => {
                self.slots.push(slot);
                Ok(at)
            }
            _ => Err(slot),
        }
    }

    /// Empties a slot.
    pub(super) fn remove(&mut self, at: u32) -> Entry {
        let free = Entry {
            bytes: Box::default(),
            seen: Timestamp::MAX,
            ends: Timestamp::MAX,
            idle: 0,
            queued: 0,
            tombstone: false,
            owned: false,
            indexed: false,
        };
        let next = self.free.replace(at).unwrap_or(NONE);
        let slot = &mut self.slots[at as usize];
        slot.links = [Link { previous: NONE, next }, Link::NONE];
        std::mem::replace(&mut slot.entry, free)
    }

    /// The session in a slot, if there is one.
    pub(super) fn get(&self, at: u32) -> Option<&Slot> {
        self.slots.get(at as usize).filter(|slot| !slot.entry.bytes.is_empty())
    }

    /// The number after the last slot's.
    pub(super) fn end(&self) -> u32 {
        self.slots.len() as u32
    }
}

impl std::ops::Index<u32> for Slots {
    type Output = Slot;

    fn index(&self, at: u32) -> &Slot {
        &self.slots[at as usize]
    }
}

impl std::ops::IndexMut<u32> for Slots {
    fn index_mut(&mut self, at: u32) -> &mut Slot {
        &mut self.slots[at as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_stays_small() {
        assert_eq!(size_of::<Slot>(), 88);
    }
}
