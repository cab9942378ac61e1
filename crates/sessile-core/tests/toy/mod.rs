//! A whole store in one map: how to write one, against nothing but the public API.

use std::sync::Arc;
use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sessile_core::{
    BoxFuture, Cursor, Ended, Error, Expect, Fate, Filter, Page, Put, Record, SessionId, SessionInfo, Store,
    Swept, Timestamp, UserSessions, Version, Versioned,
};

/// Keeps sessions in a map behind a lock, which is never held across an await.
#[derive(Debug, Default)]
pub(crate) struct Toy {
    sessions: Mutex<Sessions>,
}

/// Records and their versions, which count the puts.
pub(crate) type Sessions = BTreeMap<SessionId, (Record, u64)>;

impl Toy {
    pub(crate) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Toy {
    fn load<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        Box::pin(async move {
            let sessions = self.sessions();
            let found = sessions.get(id);
            Ok(found.map(|(record, version)| Versioned {
                record: Arc::new(record.clone()),
                version: Version(*version),
            }))
        })
    }

    fn put<'a>(
        &'a self,
        id: &'a SessionId,
        record: &'a Record,
        expect: Expect,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Put, Error>> {
        Box::pin(async move {
            let mut sessions = self.sessions();
            let (mut record, mut version) = (record.clone(), 1);
            match (sessions.get(id), expect) {
                (None, Expect::Absent) => {}
                (Some(_), Expect::Absent) => return Ok(Put::Conflict),
                (None, Expect::Version(_)) => return Ok(Put::Gone),
                (Some((stored, _)), Expect::Version(_)) if !stored.is_live(now) => return Ok(Put::Gone),
                (Some((stored, current)), Expect::Version(expected)) => {
                    if expected != Version(*current) {
                        return Ok(Put::Conflict);
                    }
                    record.seen = record.seen.max(stored.seen);
                    version = current + 1;
                }
            }
            sessions.insert(*id, (record, version));
            Ok(Put::Stored(Version(version)))
        })
    }

    fn touch<'a>(&'a self, id: &'a SessionId, now: Timestamp) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            match self.sessions().get_mut(id) {
                Some((record, _)) if record.is_live(now) => {
                    record.seen = record.seen.max(now);
                    Ok(true)
                }
                _ => Ok(false),
            }
        })
    }

    fn end<'a>(&'a self, id: &'a SessionId, ended: &'a Ended) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            match self.sessions().get_mut(id) {
                Some((record, _)) if record.is_live(ended.at) => {
                    // Retention or not: the next sweep removes it when its time is up.
                    record.entomb(ended.clone());
                    Ok(true)
                }
                _ => Ok(false),
            }
        })
    }

    fn scan<'a>(
        &'a self,
        filter: &'a Filter,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<SessionInfo>, Error>> {
        Box::pin(async move {
            let sessions = self.sessions();
            let matches = sessions
                .range((after_id(after), Bound::Unbounded))
                .filter(|(id, (record, _))| filter.matches(id, record, now));
            let infos = matches.map(|(id, (record, _))| SessionInfo::new(*id, record, now));
            Ok(page(infos, limit, |info| info.id.as_bytes()))
        })
    }

    fn count<'a>(&'a self, filter: &'a Filter, now: Timestamp) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let sessions = self.sessions();
            Ok(sessions.iter().filter(|(id, (record, _))| filter.matches(id, record, now)).count() as u64)
        })
    }

    fn users<'a>(
        &'a self,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<UserSessions>, Error>> {
        Box::pin(async move {
            let mut users = BTreeMap::<String, u64>::new();
            for (record, _) in self.sessions().values().filter(|(record, _)| record.is_live(now)) {
                if let Some(user) = record.user.clone() {
                    *users.entry(user).or_default() += 1;
                }
            }
            let rest = users
                .into_iter()
                .filter(|(user, _)| after.is_none_or(|after| user.as_bytes() > after.as_bytes()));
            let users = rest.map(|(user, sessions)| UserSessions { user, sessions });
            Ok(page(users, limit, |user| user.user.as_bytes()))
        })
    }

    fn end_all<'a>(&'a self, filter: &'a Filter, ended: &'a Ended) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let mut count = 0;
            for (id, (record, _)) in self.sessions().iter_mut() {
                if record.is_live(ended.at) && filter.matches(id, record, ended.at) {
                    record.entomb(ended.clone());
                    count += 1;
                }
            }
            Ok(count)
        })
    }

    fn sweep<'a>(&'a self, now: Timestamp, limit: usize) -> BoxFuture<'a, Result<Swept, Error>> {
        Box::pin(async move {
            let (mut swept, mut left) = (Swept::default(), limit);
            self.sessions().retain(|_, (record, _)| {
                let fate = record.fate(now);
                if fate == Fate::Keep || left == 0 {
                    swept.more |= fate != Fate::Keep;
                    return true;
                }
                left -= 1;
                match fate {
                    Fate::Entomb(ended) => {
                        record.entomb(ended);
                        swept.entombed += 1;
                        true
                    }
                    _ => {
                        swept.removed += 1;
                        false
                    }
                }
            });
            Ok(swept)
        })
    }
}

fn after_id(cursor: Option<&Cursor>) -> Bound<SessionId> {
    let bytes = cursor.and_then(|cursor| cursor.as_bytes().try_into().ok());
    bytes.map_or(Bound::Unbounded, |bytes| Bound::Excluded(SessionId::from_bytes(bytes)))
}

/// The first `limit` items, and the place of the last if there are more.
fn page<T>(mut items: impl Iterator<Item = T>, limit: usize, place: impl Fn(&T) -> &[u8]) -> Page<T> {
    let page: Vec<_> = items.by_ref().take(limit).collect();
    let more = items.next().is_some();
    let next = page.last().filter(|_| more).map(|last| Cursor::new(place(last)));
    Page { items: page, next }
}
