//! Indexes agree with records: lists, counts and users show what load shows, at any moment.

use std::time::Duration;

use super::{
    fixture::{
        Fixture, HOUR, MILLISECOND, MINUTE, Population, id, killed, record, record_of,
        record_without_retention, tombstone,
    },
    report::{Outcome, same},
};
use crate::{
    clock::Timestamp,
    filter::{Filter, State},
    record::{Fate, Lifetime, Record},
};

/// Sessions that differ in all that a filter looks at.
async fn variety(kit: &Fixture<'_>) -> Outcome<Population> {
    let mut population = kit
        .populate(24, |number| {
            let plain = record(kit.now);
            Record {
                user: [None, Some("ann"), Some("bob")][number % 3].map(str::to_owned),
                groups: [&[][..], &["x"], &["x", "y"], &["y"]][number % 4]
                    .iter()
                    .map(|g| (*g).into())
                    .collect(),
                device: [None, Some("iPhone 17"), Some("Firefox on Android")][number / 3 % 3]
                    .map(str::to_owned),
                created: kit.now - number as u32 * MINUTE,
                persistent: number % 2 == 0,
                lifetime: Lifetime {
                    deadline: kit.now + (number as u32 + 1) * 10 * MINUTE,
                    ..plain.lifetime
                },
                ..plain
            }
        })
        .await?;
    for (number, (id, record)) in population.iter_mut().enumerate() {
        match number % 4 {
            0 => record.seen = kit.now + 9 * MINUTE,
            1 => record.entomb(killed(kit.now)),
            _ => continue,
        }
        if record.ended.is_none() {
            kit.store.touch(id, record.seen).await?;
        } else {
            kit.store.end(id, &killed(kit.now)).await?;
        }
    }
    Ok(population)
}

fn filters(now: Timestamp) -> Vec<Filter> {
    let owners =
        [Filter::all(), Filter::user("ann"), Filter::user("a"), Filter::group("x"), Filter::group("ann")];
    let conditions: [fn(Filter, Timestamp) -> Filter; 9] = [
        |filter, _| filter,
        |filter, _| filter.seen_within(10 * MINUTE),
        |filter, _| filter.seen_within(Duration::MAX),
        |filter, now| filter.created(now - 10 * MINUTE..=now - 3 * MINUTE),
        |filter, now| filter.expires(now..=now + 30 * MINUTE),
        |filter, _| filter.device("IPHONE"),
        |filter, _| filter.device(""),
        |filter, _| filter.except(id(4)),
        |filter, now| filter.device("fire").created(Timestamp::default()..=now).except(id(2)),
    ];
    owners.iter().flat_map(|owner| conditions.map(|condition| condition(owner.clone(), now))).collect()
}

pub(super) async fn every_filter_gives_what_matches(kit: &Fixture<'_>) -> Outcome {
    let population = variety(kit).await?;
    for now in [kit.now, kit.now + 30 * MINUTE, kit.now + 26 * HOUR] {
        for filter in filters(kit.now) {
            for state in [State::Live, State::Ended, State::Any] {
                kit.lists(&population, &filter.clone().state(state), 10, now).await?;
            }
        }
        kit.lists_users(&population, 10, now).await?;
    }
    Ok(())
}

pub(super) async fn a_put_moves_its_session_in_the_indexes(kit: &Fixture<'_>) -> Outcome {
    let mut population = kit.populate(3, |_| record_of("bystander", kit.now)).await?;
    let mut version = kit.begin(&id(9), &record_of("first", kit.now)).await?;
    let owners: [(Option<&str>, &[&str]); 7] = [
        (Some("ann"), &[]),
        (Some("bob"), &["x"]),
        (Some("bob"), &["x", "y", "z"]),
        (None, &["y"]),
        (Some(""), &["", "bystander"]),
        (Some("ann"), &["x"]),
        (None, &[]),
    ];
    for (step, (user, groups)) in owners.into_iter().enumerate() {
        let changed = Record {
            user: user.map(str::to_owned),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            device: Some(format!("device {step}")),
            ..record(kit.now)
        };
        version = kit.change(&id(9), &changed, version, kit.now).await?;
        population.insert(id(9), changed);
        for owner in ["first", "ann", "bob", "", "bystander", "x", "y", "z"] {
            kit.lists(&population, &Filter::user(owner), 2, kit.now).await?;
            kit.lists(&population, &Filter::group(owner).state(State::Any), 2, kit.now).await?;
        }
        for other in 0..=step {
            kit.lists(&population, &Filter::all().device(format!("device {other}")), 2, kit.now).await?;
        }
        kit.lists_users(&population, 2, kit.now).await?;
    }
    Ok(())
}

/// The dead leave the lists of the living the moment they die, and those of the dead when their
/// tombstone's time is up, swept or not.
pub(super) async fn the_dead_leave_in_time(kit: &Fixture<'_>) -> Outcome {
    let owned = |number: usize, record: Record| Record {
        user: Some(format!("user {number}")),
        groups: vec!["g".into()],
        ..record
    };
    let mut population = kit.populate(2, |number| owned(number, record(kit.now))).await?;
    let vanishing = owned(2, record_without_retention(kit.now));
    kit.begin(&id(2), &vanishing).await?;
    population.insert(id(2), vanishing);
    let ended = killed(kit.now + 5 * MINUTE);
    kit.store.end(&id(1), &ended).await?;
    if let Some(record) = population.get_mut(&id(1)) {
        *record = tombstone(record, ended);
    }
    let expires = record(kit.now).expires();
    // In the order of time: at each, a store may forget for good what is due for removal.
    for moment in [expires, kit.now + 5 * MINUTE + 24 * HOUR, expires + 24 * HOUR] {
        for now in [moment - MILLISECOND, moment, moment + MILLISECOND] {
            for state in [State::Live, State::Ended, State::Any] {
                for filter in
                    [Filter::all(), Filter::user("user 0"), Filter::user("user 2"), Filter::group("g")]
                {
                    kit.lists(&population, &filter.state(state), 10, now).await?;
                }
            }
            kit.lists_users(&population, 10, now).await?;
        }
    }
    Ok(())
}

pub(super) async fn an_empty_store_lists_nothing(kit: &Fixture<'_>) -> Outcome {
    let population = Population::new();
    for filter in filters(kit.now) {
        kit.lists(&population, &filter.state(State::Any), 10, kit.now).await?;
    }
    kit.lists_users(&population, 10, kit.now).await?;
    same("sweep of an empty store", Default::default(), kit.store.sweep(kit.now, 10).await?)
}

/// After a sweep nothing of what is gone is listed, and all that stays is.
pub(super) async fn a_sweep_clears_the_indexes(kit: &Fixture<'_>) -> Outcome {
    let mut population = variety(kit).await?;
    for hours in [1, 3, 25, 27, 30] {
        let now = kit.now + hours * HOUR;
        kit.sweep_out(7, now).await?;
        for id in population.keys().copied().collect::<Vec<_>>() {
            let Some(record) = population.get_mut(&id) else { continue };
            match record.fate(now) {
                Fate::Keep => {}
                Fate::Entomb(ended) => record.entomb(ended),
                Fate::Remove => {
                    population.remove(&id);
                    kit.lacks("a session due for removal, after a sweep", &id).await?;
                }
            }
        }
        for filter in filters(kit.now) {
            kit.lists(&population, &filter.state(State::Any), 10, now).await?;
        }
        for (id, record) in &population {
            kit.holds("after a sweep", id, record).await?;
        }
    }
    same("sessions left after the last was swept", 0, population.len())
}
