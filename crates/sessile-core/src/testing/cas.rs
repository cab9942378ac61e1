//! Compare and set: of writes that expect the same, one wins, and none is lost.

use std::{collections::HashSet, sync::Arc};

use super::{
    fixture::{Fixture, HOUR, RACERS, ROUNDS, data, id, killed, record, record_of, tombstone},
    report::{Flaw, Outcome, ensure, same, same_record},
    run::Gate,
};
use crate::{
    filter::{Filter, State},
    record::Record,
    store::{Expect, Put, Version},
};

pub(super) async fn a_session_begins_once(kit: &Fixture<'_>) -> Outcome {
    let first = record_of("first", kit.now);
    let version = kit.begin(&id(1), &first).await?;
    let second = record_of("second", kit.now);
    let answer = kit.store.put(&id(1), &second, Expect::Absent, kit.now).await?;
    same("put of a new session over a live one", Put::Conflict, answer)?;
    kit.holds("after a put that lost", &id(1), &first).await?;
    same("version after a put that lost", version, kit.load(&id(1)).await?.version)
}

pub(super) async fn a_session_begins_on_no_grave(kit: &Fixture<'_>) -> Outcome {
    let (buried, expired) = (record(kit.now), record(kit.now));
    kit.begin(&id(1), &buried).await?;
    kit.begin(&id(2), &expired).await?;
    kit.store.end(&id(1), &killed(kit.now)).await?;

    let now = kit.now + HOUR;
    let new = record_of("new", now);
    let answer = kit.store.put(&id(1), &new, Expect::Absent, now).await?;
    same("put of a new session over a tombstone", Put::Conflict, answer)?;
    let answer = kit.store.put(&id(2), &new, Expect::Absent, now).await?;
    same("put of a new session over an expired one", Put::Conflict, answer)?;
    kit.holds("a tombstone after a put", &id(1), &tombstone(&buried, killed(kit.now))).await?;
    kit.holds("an expired session after a put", &id(2), &expired).await
}

pub(super) async fn a_wrong_version_is_a_conflict(kit: &Fixture<'_>) -> Outcome {
    let first = kit.begin(&id(1), &record(kit.now)).await?;
    let winner = record_of("winner", kit.now);
    let second = kit.change(&id(1), &winner, first, kit.now).await?;
    let loser = record_of("loser", kit.now);
    for wrong in [first, Version(second.0 ^ 1 << 40)] {
        let answer = kit.store.put(&id(1), &loser, Expect::Version(wrong), kit.now).await?;
        same("put that expects a version which isn't there", Put::Conflict, answer)?;
        kit.holds("after a put that lost", &id(1), &winner).await?;
        same("version after a put that lost", second, kit.load(&id(1)).await?.version)?;
    }
    Ok(())
}

pub(super) async fn a_missing_session_is_gone(kit: &Fixture<'_>) -> Outcome {
    let version = kit.begin(&id(1), &record(kit.now)).await?;
    let answer = kit.store.put(&id(2), &record(kit.now), Expect::Version(version), kit.now).await?;
    same("put that expects a version of a session that never was", Put::Gone, answer)?;
    kit.lacks("a session that never was, after a put that expects a version", &id(2)).await?;
    let everything = Filter::all().state(State::Any);
    same("number of sessions", 1, kit.store.count(&everything, kit.now).await?)
}

pub(super) async fn versions_never_repeat(kit: &Fixture<'_>) -> Outcome {
    let record = record(kit.now);
    let mut version = kit.begin(&id(1), &record).await?;
    let mut past = HashSet::from([version]);
    for round in 0..50 {
        // The same record again is a put like any other.
        version = kit.change(&id(1), &record, version, kit.now).await?;
        ensure(past.insert(version), format_args!("put number {round} gave {version:?} for a second time"))?;
        same("version of what was put", version, kit.load(&id(1)).await?.version)?;
    }
    Ok(())
}

pub(super) async fn one_of_parallel_puts_wins(kit: &Fixture<'_>) -> Outcome {
    let mut versions = Vec::new();
    for round in 0..ROUNDS {
        versions.push(kit.begin(&id(round), &record(kit.now)).await?);
    }
    race(kit, &versions.into_iter().map(Expect::Version).collect::<Vec<_>>()).await
}

pub(super) async fn one_of_parallel_beginnings_wins(kit: &Fixture<'_>) -> Outcome {
    race(kit, &[Expect::Absent; ROUNDS]).await
}

/// In each round, all racers put the same session and expect the same.
async fn race(kit: &Fixture<'_>, rounds: &[Expect]) -> Outcome {
    let gate = Gate::new(RACERS);
    let racers = (0..RACERS).map(|racer| {
        let (store, now, gate, rounds) = (kit.store.clone(), kit.now, gate.clone(), rounds.to_vec());
        let mine = contender(racer, &record(now));
        async move {
            let mut answers = Vec::new();
            for (round, expect) in rounds.into_iter().enumerate() {
                gate.pass().await;
                answers.push(store.put(&id(round), &mine, expect, now).await?);
            }
            Ok((racer, answers))
        }
    });
    let answers = kit.together(racers.collect()).await?;

    for (round, expect) in rounds.iter().enumerate() {
        let mut winners = Vec::new();
        for (racer, answers) in &answers {
            match answers[round] {
                Put::Stored(version) => winners.push((*racer, version)),
                Put::Conflict => {}
                Put::Gone => return Err(Flaw::new("a live session was Gone for a parallel put")),
            }
        }
        let [(winner, version)] = winners[..] else {
            return Err(Flaw::new(format_args!(
                "{RACERS} parallel puts that expect {expect:?}: one must win, {} did",
                winners.len()
            )));
        };
        let loaded = kit.load(&id(round)).await?;
        same_record("after a race", &contender(winner, &record(kit.now)), Some(&loaded.record))?;
        same("version after a race", version, loaded.version)?;
    }
    Ok(())
}

fn contender(racer: usize, record: &Record) -> Record {
    Record { user: Some(format!("racer {racer}")), ..record.clone() }
}

/// Everybody counts on one key, and marks on a key of his own how far he came.
pub(super) async fn every_increment_counts(kit: &Fixture<'_>) -> Outcome {
    const ATTEMPTS: usize = 100_000;
    kit.begin(&id(1), &Record { data: data(&[]), ..record(kit.now) }).await?;
    let gate = Gate::new(RACERS);
    let racers = (0..RACERS).map(|racer| {
        let (store, now, gate) = (kit.store.clone(), kit.now, gate.clone());
        async move {
            gate.pass().await;
            let (mut done, mut attempts) = (0, 0);
            while done < ROUNDS && attempts < ATTEMPTS {
                attempts += 1;
                let Some(mut loaded) = store.load(&id(1)).await? else {
                    return Err(Flaw::new("a session went missing while it was written to"));
                };
                let sum = number(&loaded.record, "sum") + 1;
                let record = Arc::make_mut(&mut loaded.record);
                record.data.set("sum", sum.to_string().as_bytes());
                record.data.set(&format!("of {racer}"), (done + 1).to_string().as_bytes());
                let expect = Expect::Version(loaded.version);
                match store.put(&id(1), &loaded.record, expect, now).await? {
                    Put::Stored(_) => done += 1,
                    Put::Conflict => {}
                    Put::Gone => return Err(Flaw::new("a live session was Gone for a put")),
                }
            }
            ensure(done == ROUNDS, format_args!("{ATTEMPTS} attempts to put all conflicted"))
        }
    });
    kit.together(racers.collect()).await?;

    let record = kit.load(&id(1)).await?.record;
    for racer in 0..RACERS {
        same("a key that one task wrote", ROUNDS, number(&record, &format!("of {racer}")))?;
    }
    same("a key that all tasks incremented", RACERS * ROUNDS, number(&record, "sum"))
}

fn number(record: &Record, name: &str) -> usize {
    let digits = record.data.get(name).and_then(|value| std::str::from_utf8(value).ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
}
