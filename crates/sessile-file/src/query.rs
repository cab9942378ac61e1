//! Lists and counts: finds candidates by the narrowest index, then asks [`Filter::matches`].
//!
//! A scan goes in the order of ids, whichever index serves it: ids don't change, so whatever is
//! written between two pages, no session comes twice and none is missed.

use std::{
    collections::{BTreeMap, BinaryHeap},
    ops::Bound,
};

use heed::RoTxn;
use sessile_core::{
    Cursor, Error, ErrorKind, Filter, Owner, Page, SessionId, SessionInfo, State, Timestamp, UserSessions,
};

use crate::{
    engine::{END_OF_TIME, Reading, Stored, Table, Tables},
    failure::Failure,
    index::GRAIN,
    keys::{HIGHEST, LOWEST, OwnerHash, id_of, owner_hash, owner_key, owner_of, time_key},
};

/// Most records that one page looks at: a page comes short rather than late.
const LOOK: usize = 4096;
/// Most entries of an index by time that are sorted for a page; with more, all records are read in order.
const SORT: usize = 20_000;

type Ids<'t> = Box<dyn Iterator<Item = heed::Result<SessionId>> + 't>;

/// Ranges of tables sorted by time, from the first to the last moment.
type Ranges = Vec<(Table, Timestamp, Timestamp)>;

/// [`Store::scan`](sessile_core::Store::scan) on one snapshot.
pub(crate) fn scan(
    tables: &Tables,
    txn: &Reading<'_>,
    filter: &Filter,
    after: Option<&Cursor>,
    limit: usize,
    now: Timestamp,
) -> Result<Page<SessionInfo>, Failure> {
    let mut page = Page { items: Vec::new(), next: None };
    let after = after.map(id_cursor).transpose()?;
    let (ids, whole) = in_order(tables, txn, filter, after, now)?;
    let mut last = None;
    for (looked_at, id) in ids.enumerate() {
        if page.items.len() >= limit || looked_at == LOOK {
            page.next = last.map(|id: SessionId| Cursor::new(*id.as_bytes()));
            return Ok(page);
        }
        let id = id?;
        if let Some(stored) = tables.stored(txn, &id)?
            && filter.matches(&id, &stored.record, now)
        {
            page.items.push(SessionInfo::new(id, &stored.record, now));
        }
        last = Some(id);
    }
    if !whole {
        page.next = last.map(|id| Cursor::new(*id.as_bytes()));
    }
    Ok(page)
}

/// [`Store::count`](sessile_core::Store::count) on one snapshot.
pub(crate) fn count(
    tables: &Tables,
    txn: &Reading<'_>,
    filter: &Filter,
    now: Timestamp,
) -> Result<u64, Failure> {
    let everyone = Filter { except: None, ..filter.clone() } == Filter::all();
    if everyone {
        let excepted = match filter.except {
            Some(id) => tables.stored(txn, &id)?.is_some_and(|stored| stored.record.is_live(now)),
            None => false,
        };
        return Ok(live(tables, txn, now)?.saturating_sub(u64::from(excepted)));
    }
    let ids = match by_time(tables, filter, now) {
        Some(ranges) => entries(txn, &ranges)?,
        None => owned(tables, txn, &filter.owner, None)?,
    };
    let mut count = 0;
    for id in ids {
        let id = id?;
        if let Some(stored) = tables.stored(txn, &id)?
            && filter.matches(&id, &stored.record, now)
        {
            count += 1;
        }
    }
    Ok(count)
}

/// Live sessions: all that aren't tombstones, less those that have expired unswept.
fn live(tables: &Tables, txn: &Reading<'_>, now: Timestamp) -> Result<u64, Failure> {
    let mut live = tables.live.len(txn)?;
    for id in entries(txn, &vec![(tables.live, Timestamp::default(), now)])? {
        if tables.stored(txn, &id?)?.is_some_and(|stored| !stored.record.is_live(now)) {
            live -= 1;
        }
    }
    Ok(live)
}

/// [`Store::users`](sessile_core::Store::users) on one snapshot: in the order of the names'
/// hashes, and of names under one hash.
pub(crate) fn users(
    tables: &Tables,
    txn: &Reading<'_>,
    after: Option<&Cursor>,
    limit: usize,
    now: Timestamp,
) -> Result<Page<UserSessions>, Failure> {
    let mut page = Page { items: Vec::new(), next: None };
    let (first, mut resumed) = match after {
        Some(cursor) => {
            let (hash, name) = user_cursor(cursor)?;
            (Bound::Included(owner_key(&hash, &LOWEST)), name.map(|name| (hash, name)))
        }
        None => (Bound::Unbounded, None),
    };
    let first = first.as_ref().map(|key| &key[..]);
    let mut group: Option<(OwnerHash, BTreeMap<String, u64>)> = None;
    let mut looked_at = 0;
    for entry in tables.by_user.range(txn, &(first, Bound::Unbounded))? {
        let (key, _) = entry?;
        let (Some(hash), Some(id)) = (owner_of(key), id_of(key)) else { continue };
        if group.as_ref().is_some_and(|(current, _)| *current != hash) {
            if !close_group(&mut page, group.take(), resumed.take(), limit) {
                return Ok(page);
            }
            if looked_at >= LOOK {
                page.next = Some(Cursor::new(hash));
                return Ok(page);
            }
        }
        looked_at += 1;
        let (_, names) = group.get_or_insert_with(|| (hash, BTreeMap::new()));
        if let Some(Stored { record, .. }) = tables.stored(txn, &id)?
            && record.is_live(now)
            && let Some(user) = record.user
        {
            *names.entry(user).or_default() += 1;
        }
    }
    close_group(&mut page, group, resumed, limit);
    Ok(page)
}

/// Adds the users under one hash to the page; `false` if the page is full before they all are in.
fn close_group(
    page: &mut Page<UserSessions>,
    group: Option<(OwnerHash, BTreeMap<String, u64>)>,
    resumed: Option<(OwnerHash, String)>,
    limit: usize,
) -> bool {
    let Some((hash, names)) = group else { return true };
    let resumed = resumed.filter(|(of, _)| *of == hash).map(|(_, name)| name);
    for (user, sessions) in names {
        if resumed.as_ref().is_some_and(|last| user <= *last) {
            continue;
        }
        if page.items.len() >= limit {
            if let Some(last) = page.items.last() {
                page.next =
                    Some(Cursor::new([&owner_hash(&last.user)[..], &[AFTER], last.user.as_bytes()].concat()));
            }
            return false;
        }
        page.items.push(UserSessions { user, sessions });
    }
    true
}

/// The sessions of `owner` after `after`, in the order of their ids.
pub(crate) fn owned<'t>(
    tables: &Tables,
    txn: &'t RoTxn<'_>,
    owner: &Owner,
    after: Option<SessionId>,
) -> heed::Result<Ids<'t>> {
    let (table, hash) = match owner {
        Owner::Anyone => {
            let first = after.as_ref().map_or(Bound::Unbounded, |id| Bound::Excluded(&id.as_bytes()[..]));
            return ids(tables.records, txn, first, Bound::Unbounded);
        }
        Owner::User(name) => (tables.by_user, owner_hash(name)),
        Owner::Group(name) => (tables.by_group, owner_hash(name)),
    };
    let (lowest, last) = (owner_key(&hash, &LOWEST), owner_key(&hash, &HIGHEST));
    let after = after.map(|id| owner_key(&hash, &id));
    let first = after.as_ref().map_or(Bound::Included(&lowest[..]), |key| Bound::Excluded(&key[..]));
    ids(table, txn, first, Bound::Included(&last[..]))
}

fn ids<'t>(
    table: Table,
    txn: &'t RoTxn<'_>,
    first: Bound<&[u8]>,
    last: Bound<&[u8]>,
) -> heed::Result<Ids<'t>> {
    let range = table.range(txn, &(first, last))?;
    Ok(Box::new(range.filter_map(|entry| entry.map(|(key, _)| id_of(key)).transpose())))
}

/// Candidates in the order of ids after `after`, and whether they are all.
fn in_order<'t>(
    tables: &Tables,
    txn: &'t Reading<'_>,
    filter: &Filter,
    after: Option<SessionId>,
    now: Timestamp,
) -> Result<(Ids<'t>, bool), Failure> {
    if let Some(ranges) = by_time(tables, filter, now)
        && let Some((ids, whole)) = sorted(txn, &ranges, after)?
    {
        return Ok((Box::new(ids.into_iter().map(Ok)), whole));
    }
    Ok((owned(tables, txn, &filter.owner, after)?, true))
}

/// The first [`LOOK`] ids after `after` in the ranges, and whether they are all; `None` if the
/// ranges are too long to be sorted for every page.
fn sorted(
    txn: &Reading<'_>,
    ranges: &Ranges,
    after: Option<SessionId>,
) -> Result<Option<(Vec<SessionId>, bool)>, Failure> {
    let (mut lowest, mut whole) = (BinaryHeap::new(), true);
    for (count, id) in entries(txn, ranges)?.enumerate() {
        if count == SORT {
            return Ok(None);
        }
        let id = id?;
        if after.is_none_or(|after| id > after) {
            lowest.push(id);
            if lowest.len() > LOOK {
                lowest.pop();
                whole = false;
            }
        }
    }
    Ok(Some((lowest.into_sorted_vec(), whole)))
}

/// Where in the indexes by time all sessions stand that may match; `None` if none of them serves.
fn by_time(tables: &Tables, filter: &Filter, now: Timestamp) -> Option<Ranges> {
    if filter.owner != Owner::Anyone {
        return None;
    }
    match (filter.state, filter.seen_within, &filter.expires) {
        (State::Live, Some(within), _) => Some(vec![(tables.by_seen, now - within - GRAIN, END_OF_TIME)]),
        (State::Live, None, Some(range)) => Some(vec![(tables.live, Timestamp::default(), *range.end())]),
        (State::Ended, ..) => Some(vec![
            (tables.dead, Timestamp::default(), END_OF_TIME),
            (tables.live, Timestamp::default(), now),
        ]),
        _ => None,
    }
}

fn entries<'t>(txn: &'t Reading<'_>, ranges: &Ranges) -> heed::Result<Ids<'t>> {
    let mut all: Ids<'t> = Box::new(std::iter::empty());
    for (table, first, last) in ranges {
        let (first, last) = (time_key(*first, &LOWEST), time_key(*last, &HIGHEST));
        let range = ids(*table, txn, Bound::Included(&first[..]), Bound::Included(&last[..]))?;
        all = Box::new(all.chain(range));
    }
    Ok(all)
}

fn id_cursor(cursor: &Cursor) -> Result<SessionId, Error> {
    cursor.as_bytes().try_into().map(SessionId::from_bytes).map_err(|_| foreign_cursor())
}

/// In a cursor over users: the hash, then this and a name to go on after it; or the hash alone.
const AFTER: u8 = 1;

/// The hash to go on from, and the name under it to go on after.
fn user_cursor(cursor: &Cursor) -> Result<(OwnerHash, Option<String>), Error> {
    let (hash, rest) = cursor.as_bytes().split_first_chunk().ok_or_else(foreign_cursor)?;
    let name = match rest {
        [] => None,
        [AFTER, name @ ..] => Some(std::str::from_utf8(name).map_err(|_| foreign_cursor())?),
        _ => return Err(foreign_cursor()),
    };
    Ok((*hash, name.map(str::to_owned)))
}

#[cold]
fn foreign_cursor() -> Error {
    Error::new(ErrorKind::Config, "scan", "this cursor is not from this store; begin without one")
}
