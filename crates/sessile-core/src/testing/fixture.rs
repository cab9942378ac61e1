//! What checks share: an empty store, a present moment, sessions to begin and lists to compare.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    report::{Flaw, Outcome, ensure, same, same_record},
    run::{self, Spawn},
};
use crate::{
    clock::Timestamp,
    data::Data,
    error::Error,
    filter::Filter,
    record::{EndReason, Ended, Lifetime, Record, SessionInfo},
    store::{BoxFuture, Expect, Put, Store, Swept, UserSessions, Version, Versioned},
    token::{SecretHash, SessionId},
};

pub(super) type Opener<'a> = dyn Fn() -> BoxFuture<'a, Result<Arc<dyn Store>, Error>> + Send + Sync + 'a;

/// What a check gets.
pub(super) struct Fixture<'a> {
    /// A store of its own, empty.
    pub(super) store: Arc<dyn Store>,
    /// The caller's clock, which may be far from any other.
    pub(super) now: Timestamp,
    /// How many random sequences to try.
    pub(super) sequences: u32,
    /// What the random numbers come from.
    pub(super) seed: u64,
    pub(super) dice: Rng,
    pub(super) spawn: &'a Spawn,
    pub(super) open: &'a Opener<'a>,
}

/// Sessions as the store should have them.
pub(super) type Population = BTreeMap<SessionId, Record>;

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);

/// Tasks that race.
pub(super) const RACERS: usize = 8;
/// Rounds that they race.
pub(super) const ROUNDS: usize = 25;

/// Pages before a scan counts as endless.
const ENDLESS: usize = 10_000;

/// The session number `number`. Numbers that follow each other have ids far apart.
pub(super) fn id(number: usize) -> SessionId {
    let [high, low] = [1, 2].map(|half| Rng::new(number as u64 * 2 + half).next().to_be_bytes());
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&high);
    bytes[8..].copy_from_slice(&low);
    SessionId::from_bytes(bytes)
}

/// A session that begins at `now`: nobody's, half an hour idle at most, twelve hours in all, its
/// tombstone kept for a day.
pub(super) fn record(now: Timestamp) -> Record {
    let lifetime =
        Lifetime { idle: 30 * MINUTE, slack: 3 * MINUTE, deadline: now + 12 * HOUR, retention: 24 * HOUR };
    Record {
        secret: SecretHash::from_bytes([7; 32]),
        previous: None,
        user: None,
        groups: Vec::new(),
        created: now,
        seen: now,
        renewed: now,
        lifetime,
        persistent: false,
        device: None,
        ended: None,
        data: data(&[("n", b"0")]),
    }
}

/// Like [`record`], of `user`.
pub(super) fn record_of(user: &str, now: Timestamp) -> Record {
    Record { user: Some(user.to_owned()), ..record(now) }
}

/// Like [`record`], without a tombstone.
pub(super) fn record_without_retention(now: Timestamp) -> Record {
    let plain = record(now);
    Record { lifetime: Lifetime { retention: Duration::ZERO, ..plain.lifetime }, ..plain }
}

pub(super) fn data(entries: &[(&str, &[u8])]) -> Data {
    let mut data = Data::new();
    for (name, value) in entries {
        data.set(name, value);
    }
    data
}

/// An operator's kill.
pub(super) fn killed(at: Timestamp) -> Ended {
    Ended { reason: EndReason::Killed, at, by: Some("operator".to_owned()) }
}

/// `record` as a tombstone.
pub(super) fn tombstone(record: &Record, ended: Ended) -> Record {
    let mut record = record.clone();
    record.entomb(ended);
    record
}

impl Fixture<'_> {
    /// Begins a session, which must be allowed.
    pub(super) async fn begin(&self, id: &SessionId, record: &Record) -> Outcome<Version> {
        begin(&self.store, id, record).await
    }

    /// Begins `count` sessions from number 0 on.
    pub(super) async fn populate(&self, count: usize, of: impl Fn(usize) -> Record) -> Outcome<Population> {
        let mut population = Population::new();
        for number in 0..count {
            let record = of(number);
            self.begin(&id(number), &record).await?;
            population.insert(id(number), record);
        }
        Ok(population)
    }

    /// Writes `record` over `version`, which must be allowed.
    pub(super) async fn change(
        &self,
        id: &SessionId,
        record: &Record,
        version: Version,
        now: Timestamp,
    ) -> Outcome<Version> {
        match self.store.put(id, record, Expect::Version(version), now).await? {
            Put::Stored(version) => Ok(version),
            other => Err(Flaw::new(format_args!(
                "put of a live session in the expected version: expected Stored, got {other:?}"
            ))),
        }
    }

    /// What is there, which must be something.
    pub(super) async fn load(&self, id: &SessionId) -> Outcome<Versioned> {
        self.store.load(id).await?.ok_or_else(|| Flaw::new("load: the record is missing"))
    }

    /// That `load` gives `record`.
    pub(super) async fn holds(&self, what: &str, id: &SessionId, record: &Record) -> Outcome {
        let loaded = self.store.load(id).await?;
        same_record(what, record, loaded.map(Versioned::into_record).as_ref())
    }

    /// That `load` gives nothing.
    pub(super) async fn lacks(&self, what: &str, id: &SessionId) -> Outcome {
        same(what, None, self.store.load(id).await?)
    }

    /// Everything that a scan in pages of `limit` gives.
    pub(super) async fn scan(
        &self,
        filter: &Filter,
        limit: usize,
        now: Timestamp,
    ) -> Outcome<Vec<SessionInfo>> {
        let (mut items, mut after) = (Vec::new(), None);
        for _ in 0..ENDLESS {
            let page = self.store.scan(filter, after.as_ref(), limit, now).await?;
            let len = page.items.len();
            ensure(len <= limit, format_args!("scan: a page of at most {limit} sessions has {len}"))?;
            items.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(items),
            }
        }
        Err(Flaw::new(format_args!("scan: no last page after {ENDLESS} pages of {limit}")))
    }

    /// Everything that `users` gives in pages of `limit`.
    pub(super) async fn users(&self, limit: usize, now: Timestamp) -> Outcome<Vec<UserSessions>> {
        let (mut items, mut after) = (Vec::new(), None);
        for _ in 0..ENDLESS {
            let page = self.store.users(after.as_ref(), limit, now).await?;
            let len = page.items.len();
            ensure(len <= limit, format_args!("users: a page of at most {limit} users has {len}"))?;
            items.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(items),
            }
        }
        Err(Flaw::new(format_args!("users: no last page after {ENDLESS} pages of {limit}")))
    }

    /// That `scan` in pages of `limit`, and `count`, give those of `population` that match.
    pub(super) async fn lists(
        &self,
        population: &Population,
        filter: &Filter,
        limit: usize,
        now: Timestamp,
    ) -> Outcome {
        let expected: Vec<_> = population
            .iter()
            .filter(|(id, record)| filter.matches(id, record, now))
            .map(|(id, record)| SessionInfo::new(*id, record, now))
            .collect();
        let came = self.scan(filter, limit, now).await?;
        same_sessions(filter, now, &expected, came)?;
        let count = self.store.count(filter, now).await?;
        same(format_args!("count of {filter:?} at {now:?}"), expected.len() as u64, count)
    }

    /// That `users` in pages of `limit` gives the users of `population` who are there at `now`.
    pub(super) async fn lists_users(&self, population: &Population, limit: usize, now: Timestamp) -> Outcome {
        let mut expected = BTreeMap::<_, u64>::new();
        for user in population.values().filter(|record| record.is_live(now)).filter_map(|r| r.user.as_ref()) {
            *expected.entry(user).or_default() += 1;
        }
        let mut came = BTreeMap::new();
        for UserSessions { user, sessions } in self.users(limit, now).await? {
            if came.insert(user.clone(), sessions).is_some() {
                return Err(Flaw::new(format_args!("users at {now:?} lists {user:?} twice")));
            }
        }
        for (user, sessions) in expected {
            let what = format!("users at {now:?}: live sessions of {user:?}");
            same(what, sessions, came.remove(user).unwrap_or_default())?;
        }
        match came.into_iter().next() {
            None => Ok(()),
            Some(extra) => {
                Err(Flaw::new(format_args!("users at {now:?} lists one without sessions: {extra:?}")))
            }
        }
    }

    /// Sweeps in steps of `limit` until the store says that nothing is due any more.
    pub(super) async fn sweep_out(&self, limit: usize, now: Timestamp) -> Outcome<Swept> {
        sweep_out(&self.store, limit, now).await
    }

    /// Runs all `tasks` at once; see [`run::together`].
    pub(super) async fn together<T: Send + 'static>(
        &self,
        tasks: Vec<impl Future<Output = Outcome<T>> + Send + 'static>,
    ) -> Outcome<Vec<T>> {
        run::together(self.spawn, tasks).await
    }
}

pub(super) async fn begin(store: &dyn Store, id: &SessionId, record: &Record) -> Outcome<Version> {
    match store.put(id, record, Expect::Absent, record.seen).await? {
        Put::Stored(version) => Ok(version),
        other => Err(Flaw::new(format_args!("put of a new session: expected Stored, got {other:?}"))),
    }
}

pub(super) async fn sweep_out(store: &dyn Store, limit: usize, now: Timestamp) -> Outcome<Swept> {
    let mut total = Swept::default();
    for _ in 0..ENDLESS {
        let swept = store.sweep(now, limit).await?;
        let done = swept.entombed + swept.removed;
        ensure(done <= limit as u64, format_args!("sweep: did {done} records, {limit} were allowed"))?;
        total.entombed += swept.entombed;
        total.removed += swept.removed;
        if !swept.more {
            return Ok(total);
        }
    }
    Err(Flaw::new(format_args!("sweep: after {ENDLESS} sweeps of {limit} there is still more")))
}

/// That a scan gave these sessions, each once, in whatever order.
fn same_sessions(
    filter: &Filter,
    now: Timestamp,
    expected: &[SessionInfo],
    came: Vec<SessionInfo>,
) -> Outcome {
    let what = format!("scan of {filter:?} at {now:?}");
    let mut found = BTreeMap::new();
    for info in came {
        if let Some(twice) = found.insert(info.id, info) {
            return Err(Flaw::new(format_args!("{what} lists a session twice: {twice:?}")));
        }
    }
    for info in expected {
        let came = found.remove(&info.id);
        ensure(came.is_some(), format_args!("{what} misses {info:?}"))?;
        same(format_args!("{what} lists a session that load shows otherwise"), Some(info), came.as_ref())?;
    }
    match found.into_values().next() {
        None => Ok(()),
        Some(extra) => Err(Flaw::new(format_args!("{what} lists a session that doesn't match: {extra:?}"))),
    }
}

/// Random enough for tests, and the same everywhere: SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of `choices`.
    pub(super) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}
