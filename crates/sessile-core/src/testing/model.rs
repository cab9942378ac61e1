//! Random operations against a plain model in memory: after each, everything that can be asked of
//! the store must be as in the model.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    fixture::{Fixture, HOUR, MINUTE, Population, Rng, data, id, record},
    report::{Flaw, Outcome, ensure, same, same_record},
    run::catch_panics,
};
use crate::{
    clock::Timestamp,
    filter::{Filter, State},
    record::{EndReason, Ended, Fate, Lifetime, Record},
    store::{Expect, Put, Store, Version, Versioned},
    token::SessionId,
};

const STEPS: usize = 40;
const SESSIONS: usize = 7;
const USERS: [Option<&str>; 5] = [None, Some("ann"), Some("bob"), Some("bob "), Some("")];
const GROUPS: [&[&str]; 4] = [&[], &["x"], &["x", "y"], &["y", "z"]];

/// How long to look for a shorter history of a failure.
const SHORTENING: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy)]
enum Op {
    Begin,
    Change,
    ChangeStale,
    Touch,
    End,
    EndAll,
    Sweep,
    Wait,
}

/// One operation. What it is about (which record, filter, time) depends on nothing but `dice`, so
/// that it means the same after other steps were left out.
#[derive(Debug, Clone)]
struct Step {
    op: Op,
    number: usize,
    dice: u64,
}

impl Step {
    fn random(dice: &mut Rng) -> Self {
        use Op::{Begin, Change, ChangeStale, End, EndAll, Sweep, Touch, Wait};
        let likely =
            [Begin, Begin, Begin, Change, Change, Change, ChangeStale, Touch, Touch, End, Wait, Wait];
        let op = if dice.once_in(8) { dice.pick(&[EndAll, Sweep, Sweep]) } else { dice.pick(&likely) };
        Self { op, number: dice.below(SESSIONS), dice: dice.next() }
    }
}

pub(super) async fn random_operations_agree(kit: &Fixture<'_>) -> Outcome {
    let mut dice = kit.dice.clone();
    // One store for all sequences; each leaves it empty.
    let mut start = kit.now;
    for sequence in 0..kit.sequences {
        let steps: Vec<_> = (0..STEPS).map(|_| Step::random(&mut dice)).collect();
        let mut run = Run::new(kit, kit.store.clone(), start);
        let outcome = catch_panics(run.all(&steps)).await.and_then(|outcome| outcome);
        if let Err(flaw) = outcome {
            let (flaw, history) = shortest(kit, steps, flaw, run.history).await;
            return Err(Flaw {
                detail: format!(
                    "random operations, seed {}, sequence {sequence}: {}\n  after\n    {}",
                    kit.seed,
                    flaw.detail,
                    history.join("\n    ")
                ),
                ..flaw
            });
        }
        start = run.latest;
    }
    Ok(())
}

/// Leaves out step after step, as long as what remains still fails on a store of its own.
async fn shortest(
    kit: &Fixture<'_>,
    mut steps: Vec<Step>,
    mut flaw: Flaw,
    mut history: Vec<String>,
) -> (Flaw, Vec<String>) {
    let begun = Instant::now();
    for left_out in (0..steps.len()).rev() {
        let Ok(store) = (kit.open)().await else { break };
        let mut fewer = steps.clone();
        fewer.remove(left_out);
        let mut run = Run::new(kit, store, kit.now);
        if let Err(same_or_other) = catch_panics(run.all(&fewer)).await.and_then(|outcome| outcome) {
            (steps, flaw, history) = (fewer, same_or_other, run.history);
        }
        if begun.elapsed() > SHORTENING {
            break;
        }
    }
    (flaw, history)
}

/// A session as the model has it.
struct Kept {
    record: Record,
    version: Version,
    past: HashSet<Version>,
}

struct Run<'a> {
    kit: Fixture<'a>,
    kept: BTreeMap<SessionId, Kept>,
    start: Timestamp,
    now: Timestamp,
    /// The latest moment that the store has heard of.
    latest: Timestamp,
    history: Vec<String>,
}

impl<'a> Run<'a> {
    fn new(kit: &Fixture<'a>, store: Arc<dyn Store>, start: Timestamp) -> Self {
        let kit = Fixture { store, dice: kit.dice.clone(), ..*kit };
        Self { kit, kept: BTreeMap::new(), start, now: start, latest: start, history: Vec::new() }
    }

    async fn all(&mut self, steps: &[Step]) -> Outcome {
        for step in steps {
            let mut dice = Rng::new(step.dice);
            if let Err(flaw) = self.step(step, &mut dice).await {
                if flaw.is_error {
                    self.note(format_args!("{:?} of #{}: fails", step.op, step.number));
                }
                return Err(flaw);
            }
            self.compare(&mut dice).await?;
        }
        self.compare_owners().await?;
        self.clear().await
    }

    async fn step(&mut self, step: &Step, dice: &mut Rng) -> Outcome {
        let id = id(step.number);
        let by = dice.once_in(2).then(|| format!("operator {}", dice.below(9)));
        let ended = Ended { reason: EndReason::Killed, at: self.now, by };
        match step.op {
            Op::Begin => self.put(step.number, Expect::Absent, dice).await,
            Op::Change => {
                let version = self.kept.get(&id).map_or(Version(1), |kept| kept.version);
                self.put(step.number, Expect::Version(version), dice).await
            }
            Op::ChangeStale => {
                let kept = self.kept.get(&id);
                let stale = kept.and_then(|kept| kept.past.iter().find(|past| **past != kept.version));
                self.put(step.number, Expect::Version(stale.copied().unwrap_or(Version(u64::MAX))), dice)
                    .await
            }
            Op::Touch => {
                // Clocks differ a little from node to node.
                let now = self.now - dice.pick(&[0, 0, 1, 5]) * MINUTE;
                let answer = self.kit.store.touch(&id, now).await?;
                self.note(format_args!("touch of #{} at {}: {answer}", step.number, self.moment(now)));
                let kept = self.kept.get_mut(&id).filter(|kept| kept.record.is_live(now));
                same("touch", kept.is_some(), answer)?;
                if let Some(kept) = kept {
                    kept.record.seen = kept.record.seen.max(now);
                }
                Ok(())
            }
            Op::End => {
                let answer = self.kit.store.end(&id, &ended).await?;
                self.note(format_args!("end of #{}: {answer}", step.number));
                let kept = self.kept.get_mut(&id).filter(|kept| kept.record.is_live(ended.at));
                same("end", kept.is_some(), answer)?;
                if let Some(kept) = kept {
                    kept.record.entomb(ended);
                }
                Ok(())
            }
            Op::EndAll => {
                let filter = self.filter(dice);
                let answer = self.kit.store.end_all(&filter, &ended).await?;
                self.note(format_args!("end_all of {filter:?}: {answer}"));
                let mut expected = 0;
                for (id, kept) in &mut self.kept {
                    if kept.record.is_live(ended.at) && filter.matches(id, &kept.record, ended.at) {
                        kept.record.entomb(ended.clone());
                        expected += 1;
                    }
                }
                same("sessions that end_all ended", expected, answer)
            }
            Op::Sweep => self.sweep(dice.pick(&[1, 2, 100])).await,
            Op::Wait => {
                let minutes = dice.pick(&[1, 5, 10, 30, 90]);
                self.now = self.now + minutes * MINUTE;
                self.latest = self.latest.max(self.now);
                self.note(format_args!("{minutes} minutes pass"));
                Ok(())
            }
        }
    }

    async fn put(&mut self, number: usize, expect: Expect, dice: &mut Rng) -> Outcome {
        let (id, now) = (id(number), self.now);
        let mut record = self.record(dice);
        let answer = self.kit.store.put(&id, &record, expect, now).await?;
        self.note(format_args!(
            "put of #{number} that expects {expect:?}: {answer:?}; user {:?}, groups {:?}, seen {}, idle {:?}, \
             deadline {}, retention {:?}",
            record.user,
            record.groups,
            self.moment(record.seen),
            record.lifetime.idle,
            self.moment(record.lifetime.deadline),
            record.lifetime.retention
        ));
        let kept = self.kept.get(&id);
        let expected = match (kept, expect) {
            (None, Expect::Absent) => None,
            (Some(_), Expect::Absent) => Some(Put::Conflict),
            (None, Expect::Version(_)) => Some(Put::Gone),
            (Some(kept), Expect::Version(_)) if !kept.record.is_live(now) => Some(Put::Gone),
            (Some(kept), Expect::Version(version)) => (version != kept.version).then_some(Put::Conflict),
        };
        match (expected, answer) {
            (None, Put::Stored(version)) => {
                let mut past = HashSet::new();
                if let Some(kept) = self.kept.remove(&id) {
                    record.seen = record.seen.max(kept.record.seen);
                    past = kept.past;
                }
                ensure(past.insert(version), format_args!("put gave {version:?}, which was there before"))?;
                self.kept.insert(id, Kept { record, version, past });
                Ok(())
            }
            (None, other) => Err(Flaw::new(format_args!("put: expected Stored, got {other:?}"))),
            // The store may have removed on its own what was due for it.
            (Some(Put::Conflict), Put::Stored(version))
                if expect == Expect::Absent && kept.is_some_and(|kept| self.may_be_gone(&kept.record)) =>
            {
                self.kept.insert(id, Kept { record, version, past: HashSet::from([version]) });
                Ok(())
            }
            (Some(expected), answer) => same("put", expected, answer),
        }
    }

    /// What a sweep does first is the store's business; each record must be as before or as its
    /// fate says, and what the sweep counts must have happened.
    async fn sweep(&mut self, limit: usize) -> Outcome {
        let now = self.now;
        self.forget().await?;
        let swept = self.kit.store.sweep(now, limit).await?;
        self.note(format_args!("sweep of {limit}: {swept:?}"));
        let (mut entombed, mut removed, mut due) = (0, 0, 0);
        let ids: Vec<_> = self.kept.keys().copied().collect();
        for id in ids {
            let loaded = self.kit.store.load(&id).await?.map(Versioned::into_record);
            let Some(kept) = self.kept.get_mut(&id) else { continue };
            match kept.record.fate(now) {
                Fate::Remove if loaded.is_none() => {
                    removed += 1;
                    self.kept.remove(&id);
                    continue;
                }
                Fate::Entomb(ended) if loaded.as_ref() != Some(&kept.record) => {
                    entombed += 1;
                    kept.record.entomb(ended);
                }
                Fate::Keep => {}
                Fate::Remove | Fate::Entomb(_) => due += 1,
            }
            same_record("after a sweep", &kept.record, loaded.as_ref())?;
        }
        let came = (swept.entombed, swept.removed);
        same("sweep: (entombed, removed), as load shows and as it says", (entombed, removed), came)?;
        ensure(entombed + removed <= limit as u64, format_args!("sweep: more records than {limit}"))?;
        ensure(swept.more || due == 0, format_args!("sweep: {due} records are still due, yet no more"))
    }

    /// Everything that can be asked.
    async fn compare(&mut self, dice: &mut Rng) -> Outcome {
        self.forget().await?;
        for number in 0..SESSIONS {
            let id = id(number);
            let loaded = self.kit.store.load(&id).await?;
            let Some(kept) = self.kept.get(&id) else {
                same(format_args!("load of #{number}, which isn't there"), None, loaded)?;
                continue;
            };
            let what = format_args!("load of #{number}");
            same_record(what, &kept.record, loaded.as_ref().map(|loaded| &*loaded.record))?;
            if kept.record.is_live(self.now) {
                let version = loaded.map(|loaded| loaded.version);
                same(format_args!("version of #{number}"), Some(kept.version), version)?;
            }
        }
        let (population, limit) = (self.population(), dice.pick(&[1, 2, 7, 100]));
        for filter in [Filter::all().state(State::Any), self.filter(dice), self.filter(dice)] {
            self.kit.lists(&population, &filter, limit, self.now).await?;
        }
        self.kit.lists_users(&population, limit, self.now).await
    }

    async fn compare_owners(&mut self) -> Outcome {
        let population = self.population();
        for user in USERS.into_iter().flatten() {
            self.kit.lists(&population, &Filter::user(user).state(State::Any), 3, self.now).await?;
        }
        for group in ["x", "y", "z"] {
            self.kit.lists(&population, &Filter::group(group).state(State::Any), 3, self.now).await?;
        }
        Ok(())
    }

    /// Whatever happened, in the end all is swept: nothing stays behind in the store.
    async fn clear(&mut self) -> Outcome {
        self.kit
            .store
            .end_all(&Filter::all(), &Ended { reason: EndReason::Logout, at: self.now, by: None })
            .await?;
        self.latest = self.latest + 48 * HOUR;
        self.note(format_args!("all are ended, two days pass, all is swept"));
        self.kit.sweep_out(3, self.latest).await?;
        for number in 0..SESSIONS {
            self.kit.lacks("a session whose tombstone is old, after a sweep", &id(number)).await?;
        }
        self.kit.lists(&Population::new(), &Filter::all().state(State::Any), 7, self.start).await?;
        self.kit.lists_users(&Population::new(), 7, self.start).await
    }

    /// Leaves out what the store has removed on its own, as it may when it is due for that.
    async fn forget(&mut self) -> Outcome {
        for number in 0..SESSIONS {
            let due = self.kept.get(&id(number)).is_some_and(|kept| self.may_be_gone(&kept.record));
            if due && self.kit.store.load(&id(number)).await?.is_none() {
                self.kept.remove(&id(number));
            }
        }
        Ok(())
    }

    fn may_be_gone(&self, record: &Record) -> bool {
        record.fate(self.latest) == Fate::Remove
    }

    fn population(&self) -> Population {
        self.kept.iter().map(|(id, kept)| (*id, kept.record.clone())).collect()
    }

    fn record(&self, dice: &mut Rng) -> Record {
        let now = self.now;
        let size = dice.below(40);
        Record {
            user: dice.pick(&USERS).map(str::to_owned),
            groups: dice.pick(&GROUPS).iter().map(|group| (*group).to_owned()).collect(),
            device: dice.pick(&[None, Some("iPhone"), Some("Firefox")]).map(str::to_owned),
            created: self.start,
            seen: now - dice.pick(&[0, 0, 3]) * MINUTE,
            lifetime: Lifetime {
                idle: dice.pick(&[10 * MINUTE, 30 * MINUTE, Duration::MAX]),
                slack: dice.pick(&[Duration::ZERO, 3 * MINUTE]),
                deadline: now + dice.pick(&[20, 60, 600]) * MINUTE,
                retention: dice.pick(&[Duration::ZERO, 15 * MINUTE, 2 * HOUR]),
            },
            persistent: dice.once_in(2),
            data: data(&[("n", &vec![b'x'; size])]),
            ..record(self.start)
        }
    }

    fn filter(&self, dice: &mut Rng) -> Filter {
        let mut filter = match dice.below(3) {
            0 => Filter::all(),
            1 => Filter::user(dice.pick(&["ann", "bob", "bob ", ""])),
            _ => Filter::group(dice.pick(&["x", "y", "z", "ann"])),
        };
        filter = filter.state(dice.pick(&[State::Live, State::Live, State::Ended, State::Any]));
        let around = self.now - 10 * MINUTE..=self.now + 20 * MINUTE;
        match dice.below(8) {
            0 => filter.seen_within(5 * MINUTE),
            1 => filter.created(around),
            2 => filter.expires(around),
            3 => filter.device("phone"),
            4 => filter.except(id(dice.below(SESSIONS))),
            _ => filter,
        }
    }

    fn note(&mut self, what: impl std::fmt::Display) {
        let line = format!("{}: {what}", self.moment(self.now));
        self.history.push(line);
    }

    fn moment(&self, at: Timestamp) -> String {
        if at < self.start {
            return format!("-{}m", self.start.since(at).as_secs() / 60);
        }
        format!("+{}m", at.since(self.start).as_secs() / 60)
    }
}
