//! Dead stays dead: nothing writes to a session that was ended or has expired, and the record
//! says why it is over.

use super::{
    fixture::{
        Fixture, MILLISECOND, MINUTE, Population, RACERS, ROUNDS, id, killed, record, record_of,
        record_without_retention, tombstone,
    },
    report::{Flaw, Outcome, ensure, same},
    run::Gate,
};
use crate::{
    filter::{Filter, State},
    record::{EndReason, Ended, Record},
    store::{Expect, Put, Version},
};

/// Every way to write, tried on a dead session, which must stay as it is.
async fn resists(kit: &Fixture<'_>, what: &str, number: usize, dead: &Record, past: &[Version]) -> Outcome {
    let (id, at) = (id(number), dead.ended.as_ref().map_or(dead.expires(), |ended| ended.at));
    for now in [at, at + MINUTE] {
        let alive = Record { seen: now, ended: None, ..record_of("undead", now) };
        let loaded = kit.load(&id).await?.version;
        for version in past.iter().copied().chain([loaded, Version(loaded.0 ^ 1 << 40)]) {
            let answer = kit.store.put(&id, &alive, Expect::Version(version), now).await?;
            same(format_args!("put on {what}"), Put::Gone, answer)?;
            kit.holds(&format!("{what} after a put"), &id, dead).await?;
        }
        same(format!("touch of {what}"), false, kit.store.touch(&id, now).await?)?;
        kit.holds(&format!("{what} after a touch"), &id, dead).await?;
        let other = Ended { reason: EndReason::Logout, at: now, by: None };
        same(format!("end of {what}"), false, kit.store.end(&id, &other).await?)?;
        kit.holds(&format!("{what} after another end"), &id, dead).await?;
        for state in [State::Live, State::Ended, State::Any] {
            let ended = kit.store.end_all(&Filter::all().state(state), &other).await?;
            same(format_args!("sessions that end_all ended where there is only {what}"), 0, ended)?;
            kit.holds(&format!("{what} after end_all"), &id, dead).await?;
        }
    }
    Ok(())
}

pub(super) async fn nothing_writes_to_an_ended_session(kit: &Fixture<'_>) -> Outcome {
    let record = record_of("ferris", kit.now);
    let first = kit.begin(&id(1), &record).await?;
    let second = kit.change(&id(1), &record, first, kit.now).await?;
    let at = kit.now + MINUTE;
    same("end of a live session", true, kit.store.end(&id(1), &killed(at)).await?)?;
    resists(kit, "an ended session", 1, &tombstone(&record, killed(at)), &[first, second]).await
}

pub(super) async fn nothing_writes_to_an_expired_session(kit: &Fixture<'_>) -> Outcome {
    let record = record_of("ferris", kit.now);
    let version = kit.begin(&id(1), &record).await?;
    resists(kit, "an expired session", 1, &record, &[version]).await
}

pub(super) async fn nothing_writes_to_a_swept_session(kit: &Fixture<'_>) -> Outcome {
    let record = record_of("ferris", kit.now);
    let version = kit.begin(&id(1), &record).await?;
    let now = record.expires();
    kit.sweep_out(10, now).await?;
    let ended = Ended { reason: EndReason::Idle, at: now, by: None };
    resists(kit, "an expired session that was swept", 1, &tombstone(&record, ended), &[version]).await
}

pub(super) async fn life_ends_at_expiry_to_the_millisecond(kit: &Fixture<'_>) -> Outcome {
    for number in 0..3 {
        let mut record = record(kit.now);
        if number == 2 {
            record.lifetime.deadline = kit.now + 10 * MINUTE;
        }
        let expires = record.expires();
        let version = kit.begin(&id(number), &record).await?;
        let answer = kit.store.put(&id(number), &record, Expect::Version(version), expires).await?;
        same("put at the moment of expiry", Put::Gone, answer)?;
        same("touch at the moment of expiry", false, kit.store.touch(&id(number), expires).await?)?;
        same("end at the moment of expiry", false, kit.store.end(&id(number), &killed(expires)).await?)?;
        let last = expires - MILLISECOND;
        match number {
            0 => kit.change(&id(number), &record, version, last).await.map(drop)?,
            1 => same("end just before expiry", true, kit.store.end(&id(number), &killed(last)).await?)?,
            _ => same("touch just before expiry", true, kit.store.touch(&id(number), last).await?)?,
        }
    }
    Ok(())
}

pub(super) async fn missing_sessions_cannot_be_touched_or_ended(kit: &Fixture<'_>) -> Outcome {
    same("touch of a missing session", false, kit.store.touch(&id(1), kit.now).await?)?;
    same("end of a missing session", false, kit.store.end(&id(1), &killed(kit.now)).await?)?;
    kit.lacks("a session that never was", &id(1)).await?;
    let everything = Filter::all().state(State::Any);
    same("number of sessions", 0, kit.store.count(&everything, kit.now).await?)
}

pub(super) async fn a_tombstone_says_who_when_and_why(kit: &Fixture<'_>) -> Outcome {
    use EndReason::{Absolute, Evicted, Idle, Killed, Logout, PasswordChanged, Restarted, TokenReuse};
    let reasons = [Logout, Killed, Evicted, PasswordChanged, Idle, Absolute, TokenReuse, Restarted];
    let groups = vec!["a".to_owned(), "b".to_owned()];
    for (number, reason) in reasons.into_iter().enumerate() {
        let record =
            Record { groups: groups.clone(), device: Some("Firefox".into()), ..record_of("ferris", kit.now) };
        kit.begin(&id(number), &record).await?;
        let by = (number % 2 == 0).then(|| "operator".to_owned());
        let ended = Ended { reason, at: kit.now + MINUTE, by };
        same("end of a live session", true, kit.store.end(&id(number), &ended).await?)?;
        kit.holds("a tombstone", &id(number), &tombstone(&record, ended)).await?;
    }
    Ok(())
}

pub(super) async fn without_retention_nothing_is_listed(kit: &Fixture<'_>) -> Outcome {
    let record = record_without_retention(kit.now);
    let version = kit.begin(&id(1), &record).await?;
    let ended = killed(kit.now + MINUTE);
    same("end of a live session", true, kit.store.end(&id(1), &ended).await?)?;
    if kit.store.load(&id(1)).await?.is_some() {
        kit.holds("a tombstone", &id(1), &tombstone(&record, ended.clone())).await?;
    }
    let answer = kit.store.put(&id(1), &record, Expect::Version(version), ended.at).await?;
    same("put on an ended session without retention", Put::Gone, answer)?;
    same("its touch", false, kit.store.touch(&id(1), ended.at).await?)?;
    same("its second end", false, kit.store.end(&id(1), &ended).await?)?;
    for state in [State::Live, State::Ended, State::Any] {
        kit.lists(&[].into(), &Filter::all().state(state), 10, ended.at).await?;
    }
    Ok(())
}

/// A move of records from elsewhere brings their tombstones along.
pub(super) async fn a_tombstone_can_be_imported(kit: &Fixture<'_>) -> Outcome {
    let dead = tombstone(&record_of("ferris", kit.now), killed(kit.now));
    let version = kit.begin(&id(1), &dead).await?;
    kit.holds("an imported tombstone", &id(1), &dead).await?;
    kit.lists(&[(id(1), dead.clone())].into(), &Filter::user("ferris").state(State::Any), 10, kit.now)
        .await?;
    resists(kit, "an imported tombstone", 1, &dead, &[version]).await
}

pub(super) async fn end_all_ends_what_matches(kit: &Fixture<'_>) -> Outcome {
    let group = vec!["g".to_owned()];
    let mut population = kit
        .populate(24, |number| Record {
            user: [None, Some("a".into()), Some("b".into())][number % 3].clone(),
            groups: if number % 4 == 0 { group.clone() } else { vec![] },
            device: (number % 5 == 0).then(|| "iPhone".into()),
            created: kit.now - number as u32 * MINUTE,
            ..record(kit.now)
        })
        .await?;
    let filters = [
        Filter::user("nobody"),
        Filter::all().state(State::Ended),
        Filter::all().created(kit.now..=kit.now),
        Filter::user("a").except(id(4)).state(State::Any),
        Filter::group("g").device("iphone"),
        Filter::group("g"),
        Filter::group("g").state(State::Any),
        Filter::all().except(id(5)),
        Filter::user("b"),
        Filter::all(),
    ];
    let now = kit.now + MINUTE;
    for (round, filter) in filters.iter().enumerate() {
        let by = Some(format!("operator {round}"));
        let ended = Ended { reason: EndReason::Killed, at: now, by };
        let mut expected = 0;
        for (id, record) in &mut population {
            if record.is_live(now) && filter.matches(id, record, now) {
                record.entomb(ended.clone());
                expected += 1;
            }
        }
        let came = kit.store.end_all(filter, &ended).await?;
        same(format_args!("sessions that end_all of {filter:?} ended"), expected, came)?;
        for (id, record) in &population {
            kit.holds(&format!("after end_all of {filter:?}"), id, record).await?;
        }
        kit.lists(&population, &Filter::all().state(State::Any), 10, now).await?;
    }
    Ok(())
}

/// Sessions are ended one by one and all at once, in parallel: each dies once.
pub(super) async fn one_of_parallel_ends_wins(kit: &Fixture<'_>) -> Outcome {
    kit.populate(ROUNDS, |_| record_of("ferris", kit.now)).await?;
    let gate = Gate::new(RACERS);
    let racers = (0..RACERS).map(|racer| {
        let (store, now, gate) = (kit.store.clone(), kit.now, gate.clone());
        async move {
            let ended = Ended { by: Some(racer.to_string()), ..killed(now) };
            let mut kills = 0;
            for round in 0..ROUNDS {
                gate.pass().await;
                if racer == 0 && round == ROUNDS / 2 {
                    kills += store.end_all(&Filter::user("ferris"), &ended).await?;
                }
                kills += u64::from(store.end(&id(round), &ended).await?);
            }
            Ok((ended.by, kills))
        }
    });
    let claims = kit.together(racers.collect()).await?;

    let total: u64 = claims.iter().map(|(_, kills)| kills).sum();
    same("ends that claim to have ended a session", ROUNDS as u64, total)?;
    for (by, kills) in claims {
        let mut signed = 0;
        for round in 0..ROUNDS {
            let ended = kit.load(&id(round)).await?.into_record().ended;
            signed += u64::from(ended.is_some_and(|ended| ended.by == by));
        }
        same("tombstones that carry the name of who ended the session", kills, signed)?;
    }
    Ok(())
}

/// Puts and touches that race with an end: whatever was written before, nothing is after.
pub(super) async fn nothing_survives_a_race_with_an_end(kit: &Fixture<'_>) -> Outcome {
    kit.populate(ROUNDS, |_| record_of("ferris", kit.now)).await?;
    let gate = Gate::new(RACERS);
    let racers = (0..RACERS).map(|racer| {
        let (store, now, gate) = (kit.store.clone(), kit.now, gate.clone());
        async move {
            for round in 0..ROUNDS {
                let Some(loaded) = store.load(&id(round)).await? else {
                    return Err(Flaw::new("a live session went missing"));
                };
                gate.pass().await;
                match racer {
                    0 => same("end of a live session", true, store.end(&id(round), &killed(now)).await?)?,
                    1 | 2 => drop(store.touch(&id(round), now + MINUTE).await?),
                    _ => {
                        let record =
                            Record { user: Some(format!("racer {racer}")), ..Record::clone(&loaded.record) };
                        let expect = Expect::Version(loaded.version);
                        let _ = store.put(&id(round), &record, expect, now).await?;
                    }
                }
            }
            Ok(())
        }
    });
    kit.together(racers.collect()).await?;

    let mut population = Population::new();
    for round in 0..ROUNDS {
        let record = kit.load(&id(round)).await?.into_record();
        same("a session that was ended in a race", Some(killed(kit.now)), record.ended.clone())?;
        ensure(record.data.is_empty(), "a session that was ended in a race has data again")?;
        population.insert(id(round), record);
    }
    for state in [State::Any, State::Live] {
        kit.lists(&population, &Filter::all().state(state), 10, kit.now).await?;
        for record in population.values() {
            let user = record.user.as_deref().unwrap_or_default();
            kit.lists(&population, &Filter::user(user).state(state), 10, kit.now).await?;
        }
    }
    Ok(())
}
