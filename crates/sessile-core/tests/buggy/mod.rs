//! The toy store with one deliberate bug.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::{pending, poll_fn},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use sessile_core::{
    BoxFuture, Clock, Cursor, EndReason, Ended, Error, ErrorKind, Expect, Fate, Filter, Owner, Page, Put,
    Record, SessionId, SessionInfo, State, Store, Swept, SystemClock, Timestamp, UserSessions, Version,
    Versioned,
};

use crate::toy::Toy;

/// What is wrong. Each is a mistake that a real store has made, or could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    // Compare and set.
    PutOverwritesBlindly,
    PutCreatesTheMissing,
    PutIsNotAtomic,
    BeginOverwritesTheLiving,
    BeginOverwritesTombstones,
    BeginIsNotAtomic,
    VersionsRepeat,
    // Dead stays dead.
    PutRevivesTheEnded,
    PutRevivesTheExpired,
    PutOnTheDeadIsAConflict,
    PutChecksLifeTooEarly,
    TouchRevivesTheEnded,
    TouchRevivesTheExpired,
    TouchCreates,
    ExpiryIsInclusive,
    TombstonesAreImportedAlive,
    LastEndWins,
    EndKeepsData,
    EndLosesTheActor,
    EndIsNotAtomic,
    EndBuriesTheExpired,
    EndKeepsNoTombstone,
    EndListsWithoutRetention,
    EndAllIgnoresExcept,
    EndAllCountsTheDead,
    // The clock is the caller's.
    PutHasAClock,
    TouchHasAClock,
    ScanHasAClock,
    SweepHasAClock,
    ALookKills,
    NeverOverflows,
    // Touch is monotonic.
    TouchGoesBack,
    TouchChangesTheVersion,
    TouchWritesDataBack,
    TouchIsNotAtomic,
    TouchPassesTheDeadline,
    TouchIsNotListed,
    PutMovesSeenBack,
    // Indexes agree with records.
    OldUserStaysListed,
    NewUserIsNotListed,
    ScanListsTheExpired,
    CountCountsTheDead,
    UsersCountTheDead,
    DeviceIsCaseSensitive,
    EmptyStoreNeedsSweeping,
    PagesAreOffsets,
    PagesGoBySeen,
    PagesIgnoreTheLimit,
    PagesEndWhenEmpty,
    PagesNeverEnd,
    UserPagesAreOffsets,
    // Sweep.
    SweepIgnoresTheLimit,
    SweepKeepsNoTombstone,
    SweepKeepsTombstones,
    SweepBuriesWhatIsDueForRemoval,
    SweepWritesItsOwnTime,
    SweepTakesTheTouched,
    SweepForgetsTheTouched,
    SweepForgetsTheShortened,
    SweepIsNotAtomic,
    SweepSaysNoMore,
    SweepSaysMore,
    SweepersCountTwice,
    // Whole or not at all.
    DroppedPutIsHalfDone,
    DroppedTouchIsHalfDone,
    DroppedEndIsHalfDone,
    DroppedEndAllIsHalfDone,
    DroppedSweepIsHalfDone,
    DroppedPutKeepsItsLock,
    DroppedLoadKeepsItsLock,
    // Any text is data.
    UsersIgnoreCase,
    UsersEndAtNul,
    UsersAreTrimmed,
    UsersAreCut,
    GroupsAreCut,
    GroupsAreJoined,
    DevicesAreCut,
    DevicesAreGlobs,
    ActorsAreTrimmed,
    DataIsText,
    IdsEndAtNul,
    TimesAreSeconds,
    // Expected answers aren't errors; and the rest.
    MissingIsAnError,
    TouchPanics,
    UsersHang,
}

#[derive(Debug)]
pub(crate) struct Buggy {
    toy: Toy,
    bug: Bug,
    /// What the store noted of a session when it began, and never mended.
    begun: Mutex<BTreeMap<SessionId, Record>>,
    /// Sessions whose index entries are missing.
    hidden: Mutex<BTreeSet<SessionId>>,
    touched: Mutex<BTreeSet<SessionId>>,
    locked: AtomicBool,
}

impl Buggy {
    pub(crate) fn new(bug: Bug) -> Self {
        Self {
            toy: Toy::default(),
            bug,
            begun: Mutex::default(),
            hidden: Mutex::default(),
            touched: Mutex::default(),
            locked: AtomicBool::new(false),
        }
    }

    fn is(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    /// The caller's time, or this machine's if that is the bug.
    fn clock(&self, bug: Bug, now: Timestamp) -> Timestamp {
        if self.is(bug) { SystemClock.now() } else { now }
    }

    fn stored(&self, id: &SessionId) -> Option<(Record, u64)> {
        self.toy.sessions().get(id).cloned()
    }

    /// Writes without any check.
    fn store(&self, id: &SessionId, record: Record) -> Version {
        let mut sessions = self.toy.sessions();
        let version = sessions.get(id).map_or(1, |(_, version)| version + 1);
        sessions.insert(*id, (record, version));
        Version(version)
    }

    /// What is under `id`, changed without a new version.
    fn edit(&self, id: &SessionId, change: impl FnOnce(&mut Record)) {
        if let Some((record, _)) = self.toy.sessions().get_mut(id) {
            change(record);
        }
    }

    /// Between two halves of a write: hides the session from the lists, then lets others run. Who
    /// drops the call there leaves it hidden.
    async fn half_done(&self, id: &SessionId) {
        lock(&self.hidden).insert(*id);
        step_aside().await;
        lock(&self.hidden).remove(id);
    }

    /// As the buggy store keeps it.
    fn mangled(&self, record: &Record) -> Record {
        let mut record = record.clone();
        let users = |record: &mut Record, change: fn(&str) -> String| {
            record.user = record.user.as_deref().map(change);
        };
        match self.bug {
            Bug::UsersIgnoreCase => users(&mut record, str::to_lowercase),
            Bug::UsersEndAtNul => {
                users(&mut record, |user| user.split('\0').next().unwrap_or_default().into());
            }
            Bug::UsersAreTrimmed => users(&mut record, |user| user.trim_end().into()),
            Bug::UsersAreCut => users(&mut record, |user| user.chars().take(255).collect()),
            Bug::GroupsAreCut => {
                record.groups.iter_mut().for_each(|group| *group = group.chars().take(255).collect());
            }
            Bug::GroupsAreJoined => {
                record.groups = record.groups.join(",").split(',').map(str::to_owned).collect();
            }
            Bug::DevicesAreCut => {
                record.device = record.device.map(|device| device.chars().take(255).collect());
            }
            Bug::DataIsText => {
                let entries: Vec<_> = record.data.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
                for (name, value) in entries {
                    record.data.set(&name, String::from_utf8_lossy(&value).as_bytes());
                }
            }
            Bug::TimesAreSeconds => {
                record.seen = Timestamp::from_millis(record.seen.as_millis() / 1000 * 1000);
                let deadline = record.lifetime.deadline.as_millis() / 1000 * 1000;
                record.lifetime.deadline = Timestamp::from_millis(deadline);
            }
            Bug::NeverOverflows => {
                let deadline = record.lifetime.deadline;
                record.lifetime.deadline = deadline.min(Timestamp::from_millis(i64::MAX as u64));
            }
            Bug::TombstonesAreImportedAlive => record.ended = None,
            _ => {}
        }
        record
    }

    fn key(&self, id: &SessionId) -> SessionId {
        let mut bytes = *id.as_bytes();
        if let Some(nul) = bytes.iter().position(|byte| *byte == 0).filter(|_| self.is(Bug::IdsEndAtNul)) {
            bytes[nul..].fill(0);
        }
        SessionId::from_bytes(bytes)
    }

    /// The filter as this store understands it.
    fn understood(&self, filter: &Filter) -> Filter {
        let mut filter = filter.clone();
        match (self.bug, &mut filter.owner) {
            (Bug::UsersIgnoreCase, Owner::User(user)) => *user = user.to_lowercase(),
            (Bug::UsersEndAtNul, Owner::User(user)) => {
                *user = user.split('\0').next().unwrap_or_default().into();
            }
            (Bug::UsersAreTrimmed, Owner::User(user)) => *user = user.trim_end().into(),
            (Bug::UsersAreCut, Owner::User(user)) => *user = user.chars().take(255).collect(),
            (Bug::GroupsAreCut, Owner::Group(group)) => *group = group.chars().take(255).collect(),
            _ => {}
        }
        if self.is(Bug::DevicesAreGlobs) {
            filter.device = filter.device.map(|device| device.trim_matches('*').to_owned());
        }
        if self.is(Bug::EndAllIgnoresExcept) {
            filter.except = None;
        }
        filter
    }

    /// All that this store's index finds, in its order.
    fn found(&self, filter: &Filter, now: Timestamp) -> Vec<(SessionId, Record)> {
        let filter = self.understood(filter);
        let begun = lock(&self.begun);
        let hidden = lock(&self.hidden);
        let mut found = Vec::new();
        for (id, (record, _)) in self.toy.sessions().iter().filter(|(id, _)| !hidden.contains(id)) {
            let mut matches = filter.matches(id, record, now);
            match self.bug {
                Bug::OldUserStaysListed => {
                    matches |= begun.get(id).is_some_and(|r| filter.matches(id, r, now));
                }
                Bug::NewUserIsNotListed => {
                    matches &= begun.get(id).is_none_or(|begun| {
                        let as_begun = Record { user: begun.user.clone(), ..record.clone() };
                        filter.matches(id, &as_begun, now)
                    });
                }
                Bug::ScanListsTheExpired if filter.state == State::Live => {
                    matches =
                        filter.clone().state(State::Any).matches(id, record, now) && record.ended.is_none();
                }
                Bug::EndListsWithoutRetention if filter.state != State::Live => {
                    let kept = Record { lifetime: longer(record), ..record.clone() };
                    matches |= record.ended.is_some() && filter.matches(id, &kept, now);
                }
                Bug::DeviceIsCaseSensitive => {
                    if let (Some(text), Some(device)) = (&filter.device, &record.device) {
                        matches &= device.contains(text);
                    }
                }
                Bug::TouchIsNotListed => {
                    matches &= begun.get(id).is_none_or(|begun| {
                        let untouched = Record { seen: begun.seen, ..record.clone() };
                        filter.matches(id, &untouched, now)
                    });
                }
                _ => {}
            }
            if matches {
                found.push((*id, record.clone()));
            }
        }
        if self.is(Bug::PagesGoBySeen) {
            found.sort_by_key(|(id, record)| (record.seen, *id));
        }
        found
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn longer(record: &Record) -> sessile_core::Lifetime {
    sessile_core::Lifetime { retention: Duration::from_secs(3600), ..record.lifetime }
}

/// Lets others run: pending once, and off the processor.
async fn step_aside() {
    let mut asked = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut asked, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    std::thread::sleep(Duration::from_micros(20));
}

impl Store for Buggy {
    fn load<'a>(&'a self, id: &'a SessionId) -> BoxFuture<'a, Result<Option<Versioned>, Error>> {
        Box::pin(async move {
            if self.is(Bug::DroppedLoadKeepsItsLock) {
                if self.locked.swap(true, Ordering::SeqCst) {
                    return pending().await;
                }
                step_aside().await;
                self.locked.store(false, Ordering::SeqCst);
            }
            self.toy.load(&self.key(id)).await
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
            let id = &self.key(id);
            let (record, now) = (self.mangled(record), self.clock(Bug::PutHasAClock, now));
            if self.is(Bug::DroppedPutKeepsItsLock) {
                if self.locked.swap(true, Ordering::SeqCst) {
                    return pending().await;
                }
                step_aside().await;
                self.locked.store(false, Ordering::SeqCst);
            }
            let stored = self.stored(id);
            let live = stored.as_ref().is_some_and(|(stored, _)| stored.is_live(now));
            let ended = stored.as_ref().is_some_and(|(stored, _)| stored.ended.is_some());
            let expected = stored.as_ref().map(|(_, version)| Expect::Version(Version(*version)));
            let begins = expect == Expect::Absent;
            match self.bug {
                Bug::PutOverwritesBlindly if live && !begins => {
                    return Ok(Put::Stored(self.store(id, record)));
                }
                Bug::PutCreatesTheMissing if stored.is_none() => {
                    return Ok(Put::Stored(self.store(id, record)));
                }
                Bug::PutIsNotAtomic if live && expected == Some(expect) => {
                    step_aside().await;
                    // That it isn't written over a tombstone is for another bug.
                    if self.stored(id).is_some_and(|(stored, _)| stored.is_live(now)) {
                        return Ok(Put::Stored(self.store(id, record)));
                    }
                }
                Bug::PutChecksLifeTooEarly if live => {
                    let touched = stored.map(|(stored, _)| stored.seen).unwrap_or_default();
                    step_aside().await;
                    if self.stored(id).map(|(_, version)| Expect::Version(Version(version))) == Some(expect) {
                        let seen = record.seen.max(touched);
                        return Ok(Put::Stored(self.store(id, Record { seen, ..record })));
                    }
                }
                Bug::BeginOverwritesTheLiving if begins && live => {
                    return Ok(Put::Stored(self.store(id, record)));
                }
                Bug::BeginOverwritesTombstones if begins && ended => {
                    return Ok(Put::Stored(self.store(id, record)));
                }
                Bug::BeginIsNotAtomic if begins && stored.is_none() => {
                    step_aside().await;
                    return Ok(Put::Stored(self.store(id, record)));
                }
                Bug::VersionsRepeat if live && expected == Some(expect) => {
                    let mut sessions = self.toy.sessions();
                    let version = stored.map_or(1, |(_, version)| version % 3 + 1);
                    sessions.insert(*id, (record, version));
                    return Ok(Put::Stored(Version(version)));
                }
                Bug::PutRevivesTheEnded if ended && expected == Some(expect) => {
                    return Ok(Put::Stored(self.store(id, record)));
                }
                Bug::PutRevivesTheExpired if !ended && expected == Some(expect) => {
                    return Ok(Put::Stored(self.store(id, record)));
                }
                Bug::PutOnTheDeadIsAConflict if stored.is_some() && !live => return Ok(Put::Conflict),
                Bug::ExpiryIsInclusive
                    if expected == Some(expect)
                        && stored.as_ref().is_some_and(|(r, _)| r.expires() == now) =>
                {
                    return Ok(Put::Stored(self.store(id, record)));
                }
                Bug::PutMovesSeenBack if live && expected == Some(expect) => {
                    return Ok(Put::Stored(self.store(id, record)));
                }
                Bug::MissingIsAnError if stored.is_none() && !begins => {
                    return Err(Error::new(ErrorKind::Unavailable, "put", "no such row"));
                }
                _ => {}
            }
            let put = self.toy.put(id, &record, expect, now).await?;
            if let Put::Stored(_) = put {
                lock(&self.begun).entry(*id).or_insert(record);
                if self.is(Bug::DroppedPutIsHalfDone) {
                    self.half_done(id).await;
                }
            }
            Ok(put)
        })
    }

    fn touch<'a>(&'a self, id: &'a SessionId, now: Timestamp) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let id = &self.key(id);
            let now = self.clock(Bug::TouchHasAClock, now);
            let Some((stored, _)) = self.stored(id) else {
                match self.bug {
                    Bug::TouchPanics => panic!("no such session"),
                    Bug::TouchCreates => {
                        let begun = lock(&self.begun).values().next().cloned();
                        if let Some(record) = begun {
                            self.store(id, record);
                        }
                        return Ok(true);
                    }
                    _ => return Ok(false),
                }
            };
            let (live, ended) = (stored.is_live(now), stored.ended.is_some());
            match self.bug {
                Bug::TouchRevivesTheEnded if ended => {
                    self.edit(id, |record| record.seen = now);
                    return Ok(true);
                }
                Bug::TouchRevivesTheExpired if !ended => {
                    self.edit(id, |record| record.seen = record.seen.max(now));
                    return Ok(true);
                }
                Bug::ExpiryIsInclusive if !ended && stored.expires() == now => {
                    self.edit(id, |record| record.seen = now);
                    return Ok(true);
                }
                Bug::TouchGoesBack if live => {
                    self.edit(id, |record| record.seen = now);
                    return Ok(true);
                }
                Bug::TouchChangesTheVersion if live => {
                    let seen = stored.seen.max(now);
                    self.store(id, Record { seen, ..stored });
                    return Ok(true);
                }
                Bug::TouchWritesDataBack if live => {
                    step_aside().await;
                    self.edit(id, |record| {
                        if record.is_live(now) {
                            record.data = stored.data;
                            record.seen = record.seen.max(now);
                        }
                    });
                    return Ok(true);
                }
                Bug::TouchIsNotAtomic if live => {
                    step_aside().await;
                    let seen = stored.seen.max(now);
                    self.edit(id, |record| record.seen = seen);
                    return Ok(true);
                }
                Bug::TouchPassesTheDeadline if !ended && now < stored.seen + stored.lifetime.idle => {
                    self.edit(id, |record| record.seen = record.seen.max(now));
                    return Ok(true);
                }
                Bug::DroppedTouchIsHalfDone if live => self.half_done(id).await,
                _ => {}
            }
            lock(&self.touched).insert(*id);
            self.toy.touch(id, now).await
        })
    }

    fn end<'a>(&'a self, id: &'a SessionId, ended: &'a Ended) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let id = &self.key(id);
            let mut ended = ended.clone();
            let Some((stored, _)) = self.stored(id) else { return Ok(false) };
            let live = stored.is_live(ended.at);
            match self.bug {
                Bug::LastEndWins => {
                    self.edit(id, |record| record.entomb(ended));
                    return Ok(live);
                }
                Bug::EndKeepsData if live => {
                    self.edit(id, |record| record.ended = Some(ended));
                    return Ok(true);
                }
                Bug::EndLosesTheActor => ended.by = None,
                Bug::ActorsAreTrimmed => ended.by = ended.by.map(|by| by.trim().to_owned()),
                Bug::EndIsNotAtomic if live => {
                    step_aside().await;
                    self.edit(id, |record| record.entomb(ended));
                    return Ok(true);
                }
                Bug::EndBuriesTheExpired if stored.ended.is_none() => {
                    self.edit(id, |record| record.entomb(ended));
                    return Ok(true);
                }
                Bug::EndKeepsNoTombstone if live => {
                    self.toy.sessions().remove(id);
                    return Ok(true);
                }
                Bug::DroppedEndIsHalfDone if live => self.half_done(id).await,
                _ => {}
            }
            self.toy.end(id, &ended).await
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
            let now = self.clock(Bug::ScanHasAClock, now);
            if self.is(Bug::ALookKills) {
                self.toy.sweep(now, usize::MAX).await?;
            }
            let found = self.found(filter, now);
            let place = |id: &SessionId| found.iter().position(|(found, _)| found == id);
            let bytes = after.map(|after| after.as_bytes().try_into().unwrap_or_default());
            let start = match bytes.map(SessionId::from_bytes) {
                None => 0,
                Some(id) if self.is(Bug::PagesGoBySeen) => place(&id).map_or(found.len(), |place| place + 1),
                Some(id) if self.is(Bug::PagesAreOffsets) => usize::from(id.as_bytes()[0]),
                Some(after) => found.partition_point(|(id, _)| *id <= after),
            };
            let limit = if self.is(Bug::PagesIgnoreTheLimit) { limit.max(10) } else { limit };
            let mut page = page_of(&found, start, limit, |(id, _)| id.as_bytes().to_vec());
            if self.is(Bug::PagesAreOffsets) {
                page.next = page.next.map(|_| Cursor::new([(start + limit) as u8; 16]));
            }
            if self.is(Bug::PagesNeverEnd) && page.next.is_none() {
                page.next = Some(Cursor::new([0xff; 16]));
            }
            if self.is(Bug::PagesEndWhenEmpty) {
                // Looks at a page of everything and filters that.
                let all = self.found(&Filter::all().state(State::Any), now);
                let start =
                    bytes.map_or(0, |id| all.partition_point(|(i, _)| *i <= SessionId::from_bytes(id)));
                let mut page = page_of(&all, start, limit, |(id, _)| id.as_bytes().to_vec());
                page.items.retain(|(id, record)| filter.matches(id, record, now));
                if page.items.is_empty() {
                    page.next = None;
                }
                return Ok(infos(page, now));
            }
            Ok(infos(page, now))
        })
    }

    fn count<'a>(&'a self, filter: &'a Filter, now: Timestamp) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let now = self.clock(Bug::ScanHasAClock, now);
            let any = filter.clone().state(State::Any);
            let filter = if self.is(Bug::CountCountsTheDead) { &any } else { filter };
            Ok(self.found(filter, now).len() as u64)
        })
    }

    fn users<'a>(
        &'a self,
        after: Option<&'a Cursor>,
        limit: usize,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Page<UserSessions>, Error>> {
        Box::pin(async move {
            match self.bug {
                Bug::UsersHang => pending().await,
                Bug::UserPagesAreOffsets => {
                    let skip = after.map_or(0, |after| usize::from(after.as_bytes()[0]));
                    let mut page = self.toy.users(None, skip.saturating_add(limit), now).await?;
                    page.items.drain(..skip.min(page.items.len()));
                    page.next = page.next.map(|_| Cursor::new([(skip + limit) as u8]));
                    Ok(page)
                }
                Bug::UsersCountTheDead => {
                    let mut users = BTreeMap::<_, u64>::new();
                    for (record, _) in
                        self.toy.sessions().values().filter(|(record, _)| record.ended.is_none())
                    {
                        *users.entry(record.user.clone()).or_default() += 1;
                    }
                    let named = users.into_iter().filter_map(|(user, sessions)| user.zip(Some(sessions)));
                    let users: Vec<_> =
                        named.map(|(user, sessions)| UserSessions { user, sessions }).collect();
                    let start = after.map_or(0, |after| {
                        users.partition_point(|user| user.user.as_bytes() <= after.as_bytes())
                    });
                    Ok(page_of(&users, start, limit, |user| user.user.as_bytes().to_vec()))
                }
                _ => self.toy.users(after, limit, now).await,
            }
        })
    }

    fn end_all<'a>(&'a self, filter: &'a Filter, ended: &'a Ended) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let filter = self.understood(filter);
            match self.bug {
                Bug::DroppedEndAllIsHalfDone => {
                    let mut count = 0;
                    for (id, _) in self.found(&filter, ended.at) {
                        self.half_done(&id).await;
                        count += u64::from(self.toy.end(&id, ended).await?);
                    }
                    Ok(count)
                }
                Bug::EndAllCountsTheDead => {
                    let count = self.found(&filter, ended.at).len() as u64;
                    self.toy.end_all(&filter, ended).await?;
                    Ok(count)
                }
                _ => self.toy.end_all(&filter, ended).await,
            }
        })
    }

    fn sweep<'a>(&'a self, now: Timestamp, limit: usize) -> BoxFuture<'a, Result<Swept, Error>> {
        Box::pin(async move {
            let now = self.clock(Bug::SweepHasAClock, now);
            let due = |id: &SessionId, record: &Record| match self.bug {
                Bug::SweepForgetsTheTouched if lock(&self.touched).contains(id) => Fate::Keep,
                Bug::SweepForgetsTheShortened => {
                    let begun = lock(&self.begun).get(id).map_or(Timestamp::default(), Record::expires);
                    if begun > now && record.ended.is_none() { Fate::Keep } else { record.fate(now) }
                }
                Bug::SweepTakesTheTouched => {
                    let begun = lock(&self.begun).get(id).cloned();
                    let untouched = begun.map(|begun| Record { ended: record.ended.clone(), ..begun });
                    untouched.as_ref().unwrap_or(record).fate(now)
                }
                Bug::SweepKeepsTombstones if record.ended.is_some() => Fate::Keep,
                Bug::SweepBuriesWhatIsDueForRemoval if record.ended.is_none() => {
                    record.ended_at(now).map_or(Fate::Keep, Fate::Entomb)
                }
                Bug::SweepKeepsNoTombstone if record.fate(now) != Fate::Keep => Fate::Remove,
                Bug::SweepWritesItsOwnTime => match record.fate(now) {
                    Fate::Entomb(_) => Fate::Entomb(Ended { reason: EndReason::Idle, at: now, by: None }),
                    fate => fate,
                },
                _ => record.fate(now),
            };
            let mut swept = Swept { more: self.is(Bug::SweepSaysMore), ..Swept::default() };
            let sessions = self.toy.sessions().clone();
            swept.more |= self.is(Bug::EmptyStoreNeedsSweeping) && sessions.is_empty();
            let mut left = if self.is(Bug::SweepIgnoresTheLimit) { usize::MAX } else { limit };
            for (id, (record, _)) in sessions {
                let fate = due(&id, &record);
                if fate == Fate::Keep {
                    continue;
                }
                if left == 0 {
                    swept.more = !self.is(Bug::SweepSaysNoMore);
                    break;
                }
                left -= 1;
                match self.bug {
                    Bug::SweepersCountTwice | Bug::SweepIsNotAtomic => step_aside().await,
                    Bug::DroppedSweepIsHalfDone => self.half_done(&id).await,
                    _ => {}
                }
                let mut sessions = self.toy.sessions();
                let current = sessions.get_mut(&id).filter(|(record, _)| due(&id, record) == fate);
                if current.is_none() && !self.is(Bug::SweepersCountTwice) && !self.is(Bug::SweepIsNotAtomic) {
                    continue;
                }
                match fate {
                    Fate::Entomb(ended) => {
                        swept.entombed += 1;
                        let current =
                            if self.is(Bug::SweepIsNotAtomic) { sessions.get_mut(&id) } else { current };
                        if let Some((record, _)) = current.map(|(record, _)| (record, ())) {
                            record.entomb(ended);
                        }
                    }
                    _ => {
                        swept.removed += 1;
                        sessions.remove(&id);
                    }
                }
            }
            Ok(swept)
        })
    }
}

fn page_of<T: Clone>(all: &[T], start: usize, limit: usize, place: impl Fn(&T) -> Vec<u8>) -> Page<T> {
    let rest = all.get(start..).unwrap_or_default();
    let items = rest[..limit.min(rest.len())].to_vec();
    let next = items.last().filter(|_| items.len() < rest.len()).map(|last| Cursor::new(place(last)));
    Page { items, next }
}

fn infos(page: Page<(SessionId, Record)>, now: Timestamp) -> Page<SessionInfo> {
    let items = page.items.iter().map(|(id, record)| SessionInfo::new(*id, record, now)).collect();
    Page { items, next: page.next }
}
