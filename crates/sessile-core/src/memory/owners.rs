//! Which sessions a user has, or a group: names by their hash, so that an entry takes eight bytes
//! however long the name is. Two names with one hash cost time, not truth: whoever asks compares
//! the name in the record. Two owners of one session that share a hash share an entry, too.
//!
//! Entries change only while the session's shard is locked, new ones before the record is written
//! and old ones after. So a session that has an owner is always found under it. Locks are taken in
//! one order: shard, then owners; never another shard in between.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::place::{Place, SHARDS};

/// The sessions of each user, or of each group.
#[derive(Default)]
pub(super) struct Owners {
    hasher: RandomState,
    shards: Shards,
}

struct Shards([Mutex<BTreeSet<(u32, Place)>>; SHARDS]);

impl Default for Shards {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

/// How many shards and keys there are: next to none in unit tests, so that names collide.
const SPREAD: usize = if cfg!(test) { 2 } else { SHARDS };
const KEYS: u32 = if cfg!(test) { 2 } else { u32::MAX };

/// A name's hash: which shard, and the key in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) shard: u8,
    pub(super) key: u32,
}

impl Name {
    pub(super) const FIRST: Self = Self { shard: 0, key: 0 };

    /// The name after this one.
    pub(super) fn next(self) -> Option<Self> {
        match self.key.checked_add(1) {
            Some(key) => Some(Self { key, ..self }),
            None => Some(Self { shard: self.shard.checked_add(1)?, key: 0 }),
        }
    }
}

impl Owners {
    pub(super) fn name(&self, name: &str) -> Name {
        let hash = self.hasher.hash_one(name);
        Name { shard: (hash >> 32) as u8 % SPREAD as u8, key: hash as u32 % KEYS }
    }

    /// Whether one of `names` has the same hash as `name`.
    pub(super) fn has(&self, names: &[String], name: &str) -> bool {
        names.iter().any(|other| other == name)
            || !names.is_empty() && {
                let name = self.name(name);
                names.iter().any(|other| self.name(other) == name)
            }
    }

    pub(super) fn insert(&self, name: &str, place: Place) {
        let name = self.name(name);
        self.lock(name.shard).insert((name.key, place));
    }

    pub(super) fn remove(&self, name: &str, place: Place) {
        let name = self.name(name);
        self.lock(name.shard).remove(&(name.key, place));
    }

    /// At most `limit` places of sessions under `name`, in order, from `from` on.
    pub(super) fn places(&self, name: Name, from: Place, limit: usize) -> Vec<Place> {
        let range = (name.key, from)..=(name.key, Place(u32::MAX));
        self.lock(name.shard).range(range).take(limit).map(|(_, place)| *place).collect()
    }

    /// The first name with sessions from `from` on.
    pub(super) fn first(&self, from: Name) -> Option<Name> {
        (from.shard..SHARDS as u8).find_map(|shard| {
            let key = if shard == from.shard { from.key } else { 0 };
            let range = (Bound::Included((key, Place(0))), Bound::Unbounded);
            self.lock(shard).range(range).next().map(|(key, _)| Name { shard, key: *key })
        })
    }

    /// Number of entries.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        (0..SHARDS as u8).map(|shard| self.lock(shard).len()).sum()
    }

    fn lock(&self, shard: u8) -> MutexGuard<'_, BTreeSet<(u32, Place)>> {
        self.shards.0[usize::from(shard)].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
