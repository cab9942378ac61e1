//! Everything that looks into a memory store.

use std::{collections::BTreeMap, ops::ControlFlow};

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
    filter::{Filter, Owner},
    record::{Record, SessionInfo},
    store::{Cursor, Page, UserSessions, Version, Versioned},
    token::SessionId,
};

use super::{
    Memory,
    owners::{Name, Owners},
    place::{Place, SHARDS, hash, shard},
};

/// Sessions that are looked up between two locks.
const CHUNK: usize = 256;
/// Slots that are passed over under one lock.
const STRIDE: usize = 4_096;
/// Chunks without a match after which a scan gives what it has, so that no call takes long.
const PATIENCE: usize = 16;

impl Memory {
    pub(super) fn load_now(&self, id: &SessionId) -> Result<Option<Versioned>, Error> {
        let shard = self.lock(shard(hash(id)));
        let Some(at) = shard.find(id) else { return Ok(None) };
        let version = Version(shard.slots[at].version);
        shard.record(at).map(|record| Some(Versioned { record: record.into(), version }))
    }

    pub(super) fn scan_now(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Page<SessionInfo>, Error> {
        let (mut items, mut patience) = (Vec::new(), PATIENCE);
        let mut from = after.map_or(Ok(Place(0)), place)?;
        loop {
            let before = items.len();
            let (places, next) = self.candidates(filter, now, from, limit - before);
            for place in places {
                if items.len() == limit {
                    return Ok(Page { items, next: Some(cursor(place)) });
                }
                if let Some((id, record)) = self.look(place, filter, now)? {
                    items.push(SessionInfo::new(id, &record, now));
                }
            }
            patience -= usize::from(items.len() == before);
            match next {
                Some(next) if items.len() < limit && patience > 0 => from = next,
                next => return Ok(Page { items, next: next.map(cursor) }),
            }
        }
    }

    pub(super) fn users_now(
        &self,
        after: Option<&Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Page<UserSessions>, Error> {
        let (mut items, mut patience) = (Vec::new(), STRIDE);
        let (mut from, mut last) = after.map_or(Ok((Name::FIRST, None)), user)?;
        while let Some(name) = self.users.first(from) {
            if name != from {
                last = None;
            }
            let before = items.len();
            // Nearly always one user: several only if their names have one hash.
            for (user, sessions) in self.users_named(name, now)? {
                if last.as_ref().is_some_and(|last| user <= *last) {
                    continue;
                }
                if items.len() == limit {
                    return Ok(Page { items, next: Some(user_cursor(name, last.as_deref())) });
                }
                last = Some(user.clone());
                items.push(UserSessions { user, sessions });
            }
            let Some(next) = name.next() else { break };
            (from, last) = (next, None);
            patience -= usize::from(items.len() == before);
            if patience == 0 {
                return Ok(Page { items, next: Some(user_cursor(from, None)) });
            }
        }
        Ok(Page { items, next: None })
    }

    /// The users of a hash who have live sessions, in order.
    fn users_named(&self, name: Name, now: Timestamp) -> Result<BTreeMap<String, u64>, Error> {
        let (mut users, mut from) = (BTreeMap::new(), Some(Place(0)));
        while let Some(start) = from {
            let (places, next) = chunk(&self.users, name, start, CHUNK);
            for place in places {
                let shard = self.lock(place.shard());
                let Some(slot) = shard.slots.get(place.slot()) else { continue };
                if !slot.entry.is_live(now) {
                    continue;
                }
                // The slot may have passed to a session of somebody else meanwhile.
                if let Some(user) = slot.entry.record()?.user.filter(|user| self.users.name(user) == name) {
                    *users.entry(user).or_insert(0) += 1;
                }
            }
            from = next;
        }
        Ok(users)
    }

    /// Places of sessions that may match, in order, from `from` on, and where to look further.
    /// About as many as are `wanted`; all that match are among them.
    pub(super) fn candidates(
        &self,
        filter: &Filter,
        now: Timestamp,
        from: Place,
        wanted: usize,
    ) -> (Vec<Place>, Option<Place>) {
        let limit = wanted.clamp(1, CHUNK);
        match &filter.owner {
            Owner::User(user) => chunk(&self.users, self.users.name(user), from, limit),
            Owner::Group(group) => chunk(&self.groups, self.groups.name(group), from, limit),
            Owner::Anyone => self.walk(filter, now, from, limit),
        }
    }

    /// Candidates among all sessions.
    fn walk(
        &self,
        filter: &Filter,
        now: Timestamp,
        from: Place,
        limit: usize,
    ) -> (Vec<Place>, Option<Place>) {
        let (mut places, mut passed) = (Vec::new(), 0);
        for number in from.shard()..SHARDS {
            let shard = self.lock(number);
            let start = if number == from.shard() { from.slot() } else { 0 };
            let since = filter.seen_within.map(|within| now - within);
            let stop = shard.each(since, start, |at| {
                if shard.slots[at].matches(filter, now) != Some(false) {
                    places.push(Place::new(number, at));
                }
                passed += 1;
                if places.len() == limit || passed == STRIDE {
                    return ControlFlow::Break(Place::new(number, at).next());
                }
                ControlFlow::Continue(())
            });
            if let ControlFlow::Break(next) = stop {
                return (places, next);
            }
        }
        (places, None)
    }

    /// The session at `place`, if it matches.
    pub(super) fn look(
        &self,
        place: Place,
        filter: &Filter,
        now: Timestamp,
    ) -> Result<Option<(SessionId, Record)>, Error> {
        let shard = self.lock(place.shard());
        match shard.slots.get(place.slot()) {
            Some(slot) if slot.matches(filter, now) != Some(false) => {
                let record = slot.entry.record()?;
                Ok(filter.matches(&slot.id, &record, now).then_some((slot.id, record)))
            }
            _ => Ok(None),
        }
    }
}

/// Places of the sessions under one name.
fn chunk(owners: &Owners, name: Name, from: Place, limit: usize) -> (Vec<Place>, Option<Place>) {
    let places = owners.places(name, from, limit);
    let next = places.last().filter(|_| places.len() == limit).and_then(|last| last.next());
    (places, next)
}

fn cursor(place: Place) -> Cursor {
    Cursor::new(place.0.to_be_bytes())
}

fn place(cursor: &Cursor) -> Result<Place, Error> {
    let bytes = cursor.as_bytes().try_into().map_err(|_| foreign("scan"))?;
    Ok(Place(u32::from_be_bytes(bytes)))
}

/// A place between users: a name's hash, and the last user of that name who was given.
fn user_cursor(name: Name, last: Option<&str>) -> Cursor {
    let mut bytes = vec![name.shard];
    bytes.extend(name.key.to_be_bytes());
    if let Some(last) = last {
        bytes.push(1);
        bytes.extend(last.as_bytes());
    }
    Cursor::new(bytes)
}

fn user(cursor: &Cursor) -> Result<(Name, Option<String>), Error> {
    let read = || {
        let (head, last) = cursor.as_bytes().split_first_chunk::<5>()?;
        let (shard, key) = head.split_first_chunk::<1>()?;
        let name = Name { shard: shard[0], key: u32::from_be_bytes(key.try_into().ok()?) };
        let last = match last.split_first() {
            Some((_, last)) => Some(String::from_utf8(last.to_vec()).ok()?),
            None => None,
        };
        Some((name, last))
    };
    read().ok_or_else(|| foreign("users"))
}

#[cold]
fn foreign(operation: &'static str) -> Error {
    let detail = "this cursor comes from another store or another method; begin without one";
    Error::new(ErrorKind::Decode, operation, detail)
}
