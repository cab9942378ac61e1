//! A part of the sessions, under one lock: table, slab, timelines and their upkeep.

use std::ops::ControlFlow;

use hashbrown::HashTable;

use crate::{clock::Timestamp, error::Error, record::Record, token::SessionId};

use super::{
    place::{MAX_SLOTS, hash},
    slot::{Entry, Link, NONE, Slot, Slots},
    timeline::{DUE, SEEN, Timeline, bucket},
};

/// Recently seen sessions of a shard up to which the last-seen index is quicker than the slab.
const FEW: usize = 1_024;

/// Every session is in `table`, in one of `expiry` and `tombstones`, and in one of `anonymous` and
/// `owned`.
#[derive(Default)]
pub(super) struct Shard {
    table: HashTable<u32>,
    pub(super) slots: Slots,
    /// Sessions that nobody ended, by a moment that is never later than their expiry: a touch
    /// leaves them where they are, whoever looks at what is due carries them on.
    expiry: Timeline<DUE>,
    /// Tombstones, by the moment of their removal.
    tombstones: Timeline<DUE>,
    /// By last-seen, exactly: sessions without a user, and with.
    anonymous: Timeline<SEEN>,
    owned: Timeline<SEEN>,
    tombs: usize,
    versions: u64,
}

impl Shard {
    /// Number of sessions that nobody ended, expired ones too.
    pub(super) fn unended(&self) -> usize {
        self.table.len() - self.tombs
    }

    /// Number of tombstones, those past their time too.
    pub(super) fn tombs(&self) -> usize {
        self.tombs
    }

    /// The slot of a session.
    pub(super) fn find(&self, id: &SessionId) -> Option<u32> {
        self.table.find(hash(id), |at| self.slots[*at].id == *id).copied()
    }

    /// The record in a slot that holds one.
    pub(super) fn record(&self, at: u32) -> Result<Record, Error> {
        self.slots[at].entry.record()
    }

    /// Adds a session that isn't there; `None` if the shard holds as many as it can number.
    pub(super) fn insert(&mut self, id: SessionId, entry: Entry) -> Option<(u32, u64)> {
        let version = self.next_version();
        let slot = Slot { id, version, entry, links: [Link::NONE; 2] };
        let at = self.slots.insert(slot, MAX_SLOTS).ok()?;
        let slots = &self.slots;
        self.table.insert_unique(hash(&id), at, |at| hash(&slots[*at].id));
        self.link_due(at);
        self.link_seen(at);
        Some((at, version))
    }

    /// Puts `entry` in the place of the one in slot `at`, which it may follow in any way but with
    /// an earlier last-seen. Returns the new version.
    pub(super) fn replace(&mut self, at: u32, mut entry: Entry) -> u64 {
        let old = &self.slots[at].entry;
        entry.seen = entry.seen.max(old.seen);
        let requeue = entry.tombstone != old.tombstone || entry.queued < old.queued;
        let resort = entry.owned != old.owned || entry.seen != old.seen;
        if requeue {
            self.unlink_due(at);
        } else {
            entry.queued = old.queued;
        }
        if resort {
            self.unlink_seen(at);
        }
        let version = self.next_version();
        let slot = &mut self.slots[at];
        slot.entry = entry;
        slot.version = version;
        if requeue {
            self.link_due(at);
        }
        if resort {
            self.link_seen(at);
        }
        version
    }

    /// Moves last-seen forward.
    pub(super) fn touch(&mut self, at: u32, seen: Timestamp) {
        if self.slots[at].entry.seen < seen {
            self.unlink_seen(at);
            self.slots[at].entry.seen = seen;
            self.link_seen(at);
        }
    }

    /// Removes a session.
    pub(super) fn remove(&mut self, at: u32) -> Entry {
        self.unlink_due(at);
        self.unlink_seen(at);
        if let Ok(found) = self.table.find_entry(hash(&self.slots[at].id), |other| *other == at) {
            found.remove();
        }
        self.slots.remove(at)
    }

    /// The anonymous session that was seen longest ago, and when, `spare` left out.
    pub(super) fn oldest_anonymous(&self, spare: Option<u32>) -> Option<(u32, Timestamp)> {
        let at = self.anonymous.iter(&self.slots, 0).find(|at| Some(*at) != spare)?;
        Some((at, self.slots[at].entry.seen))
    }

    /// The tombstone that has the least time left.
    pub(super) fn oldest_tombstone(&self) -> Option<u32> {
        self.tombstones.first(0).map(|(_, at)| at)
    }

    /// Calls `act` for the slots from `start` on, in order, free ones too; if the sessions that were
    /// seen at `since` or later are few, for those only, and some that were seen a little earlier.
    pub(super) fn each<B>(
        &self,
        since: Option<Timestamp>,
        start: u32,
        act: impl FnMut(u32) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if let Some(from) = since.map(bucket) {
            let anonymous = self.anonymous.iter(&self.slots, from);
            let seen = anonymous.chain(self.owned.iter(&self.slots, from));
            let mut few: Vec<u32> = seen.take(FEW + 1).collect();
            if few.len() <= FEW {
                few.sort_unstable();
                return few.into_iter().filter(|at| *at >= start).try_for_each(act);
            }
        }
        (start..self.slots.end()).try_for_each(act)
    }

    /// Calls `act` for every tombstone (or else every other session) that is due at `now`, and
    /// carries on in the queue what was touched since it was queued. `act` may do to the slot
    /// it is given what it likes, and to no other.
    pub(super) fn due<B>(
        &mut self,
        tombstones: bool,
        now: Timestamp,
        mut act: impl FnMut(&mut Self, u32) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut from = 0;
        while let Some((current, head)) =
            self.queue(tombstones).first(from).filter(|(b, _)| *b <= bucket(now))
        {
            let mut at = head;
            while at != NONE {
                let next = self.slots[at].links[DUE].next;
                let due = self.slots[at].entry.due();
                if due <= now {
                    act(self, at)?;
                } else if bucket(due) != current {
                    self.unlink_due(at);
                    self.slots[at].entry.queued = bucket(due);
                    self.link_due(at);
                }
                at = next;
            }
            let Some(following) = current.checked_add(1) else { break };
            from = following;
        }
        ControlFlow::Continue(())
    }

    fn next_version(&mut self) -> u64 {
        self.versions += 1;
        self.versions
    }

    fn queue(&self, tombstones: bool) -> &Timeline<DUE> {
        if tombstones { &self.tombstones } else { &self.expiry }
    }

    fn link_due(&mut self, at: u32) {
        let Entry { tombstone, queued, .. } = self.slots[at].entry;
        self.tombs += usize::from(tombstone);
        let queue = if tombstone { &mut self.tombstones } else { &mut self.expiry };
        queue.insert(&mut self.slots, at, queued);
    }

    fn unlink_due(&mut self, at: u32) {
        let Entry { tombstone, queued, .. } = self.slots[at].entry;
        self.tombs -= usize::from(tombstone);
        let queue = if tombstone { &mut self.tombstones } else { &mut self.expiry };
        queue.remove(&mut self.slots, at, queued);
    }

    fn link_seen(&mut self, at: u32) {
        let Entry { owned, seen, .. } = self.slots[at].entry;
        let list = if owned { &mut self.owned } else { &mut self.anonymous };
        list.insert(&mut self.slots, at, bucket(seen));
    }

    fn unlink_seen(&mut self, at: u32) {
        let Entry { owned, seen, .. } = self.slots[at].entry;
        let list = if owned { &mut self.owned } else { &mut self.anonymous };
        list.remove(&mut self.slots, at, bucket(seen));
    }
}
