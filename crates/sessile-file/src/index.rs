//! Keeps the indexes in step with the records, and leaves entries alone as long as they serve.

use std::time::Duration;

use heed::RwTxn;
use sessile_core::{Record, SessionId, Timestamp, Version};

use crate::{
    engine::{Stored, Table, Tables},
    envelope::Head,
    failure::Failure,
    keys::{owner_hash, owner_key, time_key},
};

/// How far a session's entry in `by_seen` may lag behind: entry ≤ last seen < entry + grain.
/// Larger: fewer index writes; smaller: fewer candidates that a "seen within" has to drop.
pub(crate) const GRAIN: Duration = Duration::from_secs(15 * 60);

/// Where a record stands in the indexes from now on. Entries of a session that stays alive are
/// left where they are as long as they are early enough; a sweep moves them when they are due.
pub(crate) fn lazy_head(stored: Option<&Stored>, record: &Record, version: Version) -> Head {
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

/// A record and where it stands in the indexes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'r> {
    pub(crate) record: &'r Record,
    pub(crate) head: Head,
}

impl<'r> Place<'r> {
    fn user(self) -> Option<&'r str> {
        self.record.user.as_deref()
    }

    fn groups(self) -> &'r [String] {
        &self.record.groups
    }

    fn dead(self) -> Option<Timestamp> {
        self.record.ended.is_some().then_some(self.head.due)
    }

    fn live(self) -> Option<Timestamp> {
        self.record.ended.is_none().then_some(self.head.due)
    }

    fn seen(self) -> Option<Timestamp> {
        self.record.ended.is_none().then_some(self.head.seen)
    }
}

/// Moves index entries from where the session stood to where it stands.
pub(crate) fn reindex(
    tables: &Tables,
    txn: &mut RwTxn<'_>,
    id: &SessionId,
    old: Option<Place<'_>>,
    new: Option<Place<'_>>,
) -> Result<(), Failure> {
    let (old_user, new_user) = (old.and_then(Place::user), new.and_then(Place::user));
    if old_user != new_user {
        move_owner(tables.by_user, txn, id, old_user, new_user)?;
    }
    let (old_groups, new_groups) = (old.map_or(&[][..], Place::groups), new.map_or(&[][..], Place::groups));
    for group in old_groups.iter().filter(|group| !new_groups.contains(group)) {
        move_owner(tables.by_group, txn, id, Some(group), None)?;
    }
    for group in new_groups.iter().filter(|group| !old_groups.contains(group)) {
        move_owner(tables.by_group, txn, id, None, Some(group))?;
    }
    move_time(tables.dead, txn, id, old.and_then(Place::dead), new.and_then(Place::dead))?;
    move_time(tables.live, txn, id, old.and_then(Place::live), new.and_then(Place::live))?;
    move_time(tables.by_seen, txn, id, old.and_then(Place::seen), new.and_then(Place::seen))
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

pub(crate) fn move_time(
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
