//! Sweep: what is due is buried or removed, in small batches, by several sweepers, and nothing else.

use super::{
    fixture::{
        Fixture, HOUR, MILLISECOND, MINUTE, RACERS, begin, id, killed, record, record_of,
        record_without_retention, sweep_out, tombstone,
    },
    report::{Outcome, ensure, same},
    run::Gate,
};
use crate::{
    filter::{Filter, State},
    record::{EndReason, Ended, Lifetime, Record},
    store::Swept,
};

fn idle(record: &Record) -> Record {
    tombstone(record, Ended { reason: EndReason::Idle, at: record.expires(), by: None })
}

pub(super) async fn the_expired_become_tombstones(kit: &Fixture<'_>) -> Outcome {
    let lazy = Record { groups: vec!["g".into()], ..record_of("ferris", kit.now) };
    let short = Lifetime { deadline: kit.now + 10 * MINUTE, ..lazy.lifetime };
    let busy = Record { lifetime: short, ..lazy.clone() };
    kit.begin(&id(1), &lazy).await?;
    kit.begin(&id(2), &busy).await?;
    kit.store.touch(&id(2), kit.now + 9 * MINUTE).await?;

    // Late, so that the moment of the sweep and that of the end differ.
    let now = kit.now + HOUR;
    let swept = kit.sweep_out(10, now).await?;
    same("sweep of two expired sessions", Swept { entombed: 2, removed: 0, more: false }, swept)?;
    kit.holds("idle for too long, then swept", &id(1), &idle(&lazy)).await?;
    let ended = Ended { reason: EndReason::Absolute, at: busy.expires(), by: None };
    let touched = Record { seen: kit.now + 9 * MINUTE, ..busy };
    kit.holds("past its deadline, then swept", &id(2), &tombstone(&touched, ended)).await?;
    same("a second sweep", Swept::default(), kit.store.sweep(now, 10).await?)
}

pub(super) async fn old_tombstones_are_removed(kit: &Fixture<'_>) -> Outcome {
    let record = record(kit.now);
    kit.begin(&id(1), &record).await?;
    kit.begin(&id(2), &record).await?;
    let ended = killed(kit.now + MINUTE);
    kit.store.end(&id(1), &ended).await?;
    same("sweep of a new tombstone", Swept::default(), kit.store.sweep(ended.at, 10).await?)?;
    kit.sweep_out(10, record.expires()).await?;

    let first = ended.at + 24 * HOUR;
    let early = kit.sweep_out(10, first - MILLISECOND).await?;
    same("sweep just before a tombstone's time is up", Swept::default(), early)?;
    kit.holds("a tombstone just before its time is up", &id(1), &tombstone(&record, ended)).await?;
    let removed = Swept { removed: 1, ..Swept::default() };
    same("sweep at the end of a tombstone's time", removed, kit.sweep_out(10, first).await?)?;
    kit.lacks("a tombstone that was swept", &id(1)).await?;
    kit.holds("a tombstone whose time isn't up", &id(2), &idle(&record)).await?;
    let second = record.expires() + 24 * HOUR;
    same("sweep at the end of another's time", removed, kit.sweep_out(10, second).await?)?;
    kit.lacks("a tombstone that was swept", &id(2)).await
}

pub(super) async fn without_retention_nothing_remains(kit: &Fixture<'_>) -> Outcome {
    let vanishing = record_without_retention(kit.now);
    kit.begin(&id(1), &vanishing).await?;
    let kept = record(kit.now);
    kit.begin(&id(2), &kept).await?;
    let now = kit.now + 30 * HOUR;
    // Nobody swept for a day: both are due for removal, without being tombstones first.
    let swept = kit.sweep_out(10, now).await?;
    same("sweep of two sessions due for removal", Swept { entombed: 0, removed: 2, more: false }, swept)?;
    kit.lacks("without retention, then swept", &id(1)).await?;
    kit.lacks("long dead, then swept", &id(2)).await
}

pub(super) async fn a_sweep_keeps_to_its_limit(kit: &Fixture<'_>) -> Outcome {
    kit.populate(20, |_| record(kit.now)).await?;
    let now = kit.now + HOUR;
    for (limit, due) in [(1, 20), (3, 19)] {
        let swept = kit.store.sweep(now, limit).await?;
        let done = swept.entombed + swept.removed;
        ensure(
            done <= limit as u64,
            format_args!("a sweep of at most {limit} records did {done}, {due} were due"),
        )?;
        ensure(swept.more, format_args!("sweep of {limit}: {due} were due, yet no more: {swept:?}"))?;
    }
    kit.sweep_out(3, now).await?;
    for number in 0..20 {
        kit.holds("swept in batches", &id(number), &idle(&record(kit.now))).await?;
    }
    same("sweep of all tombstones", 20, kit.sweep_out(7, now + 48 * HOUR).await?.removed)?;
    let everything = Filter::all().state(State::Any);
    same("sessions after all were swept", 0, kit.store.count(&everything, kit.now).await?)?;
    kit.populate(1, |_| record(now)).await?;
    same("sweep without a limit", Swept::default(), kit.store.sweep(now, usize::MAX).await?)
}

/// Whatever moves the expiry, by touch or by put, the sweep goes by the record.
pub(super) async fn the_living_are_left_alone(kit: &Fixture<'_>) -> Outcome {
    let mut population = kit.populate(9, |_| record_of("ferris", kit.now)).await?;
    let now = kit.now + 32 * MINUTE;
    let mut due = 0;
    for (number, (id, record)) in population.iter_mut().enumerate() {
        match number % 3 {
            0 => {
                same("touch of a live session", true, kit.store.touch(id, now).await?)?;
                record.seen = now;
            }
            1 => {
                record.lifetime.idle = 10 * HOUR;
                let version = kit.load(id).await?.version;
                kit.change(id, record, version, now).await?;
            }
            _ => due += 1,
        }
    }
    let old_expiry = kit.now + 33 * MINUTE;
    same("records that a sweep did", due, kit.sweep_out(2, old_expiry).await?.entombed)?;
    for (number, (id, record)) in population.iter_mut().enumerate() {
        if number % 3 == 2 {
            *record = idle(record);
        }
        kit.holds("after a sweep", id, record).await?;
    }
    let everything = Filter::user("ferris").state(State::Any);
    kit.lists(&population, &everything, 10, old_expiry).await?;
    // When their time does come, they aren't forgotten.
    same("touched sessions swept", 3, kit.sweep_out(2, now + 33 * MINUTE).await?.entombed)?;
    same("extended sessions swept", 3, kit.sweep_out(2, kit.now + 11 * HOUR).await?.entombed)
}

pub(super) async fn a_shorter_life_is_swept_in_time(kit: &Fixture<'_>) -> Outcome {
    let long = record(kit.now);
    let version = kit.begin(&id(1), &long).await?;
    let short = Record { lifetime: Lifetime { idle: MINUTE, ..long.lifetime }, ..long };
    kit.change(&id(1), &short, version, kit.now).await?;
    same("sweep of a shortened session", 1, kit.sweep_out(10, short.expires()).await?.entombed)?;
    kit.holds("a shortened session, swept", &id(1), &idle(&short)).await
}

pub(super) async fn several_sweepers_share_the_work(kit: &Fixture<'_>) -> Outcome {
    const SESSIONS: usize = 60;
    kit.populate(SESSIONS, |number| {
        let (kept, vanishing) = (record(kit.now), record_without_retention(kit.now));
        if number % 3 == 0 { vanishing } else { kept }
    })
    .await?;
    for (now, expected) in [(kit.now + HOUR, (40, 20)), (kit.now + 48 * HOUR, (0, 40))] {
        let gate = Gate::new(RACERS);
        let sweepers = (0..RACERS).map(|_| {
            let (store, gate) = (kit.store.clone(), gate.clone());
            async move {
                gate.pass().await;
                sweep_out(&store, 3, now).await
            }
        });
        let swept = kit.together(sweepers.collect()).await?;
        let total = |of: fn(&Swept) -> u64| swept.iter().map(of).sum::<u64>();
        // What one sweeper had in hand when the others saw nothing more is finished by now.
        same("a sweep after all sweepers", Swept::default(), kit.sweep_out(10, now).await?)?;
        let came = (total(|swept| swept.entombed), total(|swept| swept.removed));
        same(format_args!("(entombed, removed) by {RACERS} sweepers together"), expected, came)?;
    }
    same("sessions left", 0, kit.store.count(&Filter::all().state(State::Any), kit.now).await?)
}

/// Touches just before expiry race with sweeps at expiry: a session is touched or swept, never both.
pub(super) async fn a_sweep_and_a_touch_agree(kit: &Fixture<'_>) -> Outcome {
    const ROUNDS: usize = 8;
    const BATCH: usize = 24;
    let record = record(kit.now);
    let (expires, before) = (record.expires(), record.expires() - MILLISECOND);
    let gate = Gate::new(RACERS);
    let racers = (0..RACERS).map(|racer| {
        let (store, gate, record) = (kit.store.clone(), gate.clone(), record.clone());
        async move {
            let mut touched = Vec::new();
            for round in 0..ROUNDS {
                let batch = (0..BATCH).map(|number| id(round * BATCH + number));
                if racer == 0 {
                    for id in batch.clone() {
                        begin(&store, &id, &record).await?;
                    }
                }
                gate.pass().await;
                // One sweeps slowly, the others touch all that is left.
                for id in batch.cycle().skip(racer).take(BATCH) {
                    if racer == 0 {
                        store.sweep(expires, 1).await?;
                    } else if store.touch(&id, before).await? {
                        touched.push(id);
                    }
                }
            }
            Ok(touched)
        }
    });
    let touched: Vec<_> = kit.together(racers.collect()).await?.concat();
    kit.sweep_out(10, expires).await?;
    for number in 0..ROUNDS * BATCH {
        let was_touched = touched.contains(&id(number));
        let expected = if was_touched { Record { seen: before, ..record.clone() } } else { idle(&record) };
        let what = format!("after a touch ({was_touched}) that raced with a sweep");
        kit.holds(&what, &id(number), &expected).await?;
    }
    Ok(())
}
