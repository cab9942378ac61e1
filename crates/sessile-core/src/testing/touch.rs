//! Touch: forward only, never past the absolute deadline, and nothing but last-seen.

use std::time::Duration;

use super::{
    fixture::{Fixture, HOUR, MILLISECOND, MINUTE, RACERS, ROUNDS, SECOND, data, id, record, record_of},
    report::{Flaw, Outcome, same, same_record},
    run::Gate,
};
use crate::{
    filter::{Filter, State},
    record::Record,
    store::{Expect, Put, Versioned},
};

pub(super) async fn a_touch_moves_seen_forward_only(kit: &Fixture<'_>) -> Outcome {
    let mut expected = record_of("ferris", kit.now);
    kit.begin(&id(1), &expected).await?;
    for minutes in [5, 2, 5, 0, 9] {
        let now = kit.now + minutes * MINUTE;
        same("touch of a live session", true, kit.store.touch(&id(1), now).await?)?;
        expected.seen = expected.seen.max(now);
        kit.holds("after a touch", &id(1), &expected).await?;
    }
    let before = kit.now - MINUTE;
    same("touch by a caller whose clock is behind", true, kit.store.touch(&id(1), before).await?)?;
    kit.holds("after a touch by a caller whose clock is behind", &id(1), &expected).await
}

pub(super) async fn a_touch_leaves_the_version(kit: &Fixture<'_>) -> Outcome {
    let record = record(kit.now);
    let version = kit.begin(&id(1), &record).await?;
    kit.store.touch(&id(1), kit.now + MINUTE).await?;
    same("version after a touch", version, kit.load(&id(1)).await?.version)?;
    // A request that loaded before another's touch isn't a loser.
    let answer = kit.store.put(&id(1), &record, Expect::Version(version), kit.now + MINUTE).await?;
    match answer {
        Put::Stored(_) => Ok(()),
        other => Err(Flaw::new(format_args!("put after a touch: expected Stored, got {other:?}"))),
    }
}

pub(super) async fn a_put_never_moves_seen_back(kit: &Fixture<'_>) -> Outcome {
    let record = record_of("ferris", kit.now);
    let version = kit.begin(&id(1), &record).await?;
    let touched = kit.now + 20 * MINUTE;
    kit.store.touch(&id(1), touched).await?;

    let mut changed = Record { data: data(&[("n", b"1")]), ..record };
    let version = kit.change(&id(1), &changed, version, touched).await?;
    changed.seen = touched;
    kit.holds("a put with an older last-seen than the touch before it", &id(1), &changed).await?;
    let later = kit.now + 40 * MINUTE;
    kit.lists(&[(id(1), changed.clone())].into(), &Filter::user("ferris"), 10, later).await?;

    changed.seen = kit.now + 25 * MINUTE;
    kit.change(&id(1), &changed, version, changed.seen).await?;
    kit.holds("a put with a newer last-seen", &id(1), &changed).await
}

pub(super) async fn touches_keep_a_session_until_its_deadline(kit: &Fixture<'_>) -> Outcome {
    let record = record(kit.now);
    kit.begin(&id(1), &record).await?;
    let mut now = kit.now;
    while now + 30 * MINUTE < record.lifetime.deadline {
        now = now + 30 * MINUTE;
        same("touch within the idle timeout", true, kit.store.touch(&id(1), now).await?)?;
        same("live sessions after a touch", 1, kit.store.count(&Filter::all(), now + 32 * MINUTE).await?)
            .or_else(|flaw| if now + 32 * MINUTE < record.lifetime.deadline { Err(flaw) } else { Ok(()) })?;
    }
    let last = record.lifetime.deadline - MILLISECOND;
    same("touch just before the deadline", true, kit.store.touch(&id(1), last).await?)?;
    same("live sessions just before the deadline", 1, kit.store.count(&Filter::all(), last).await?)?;
    let over = record.lifetime.deadline;
    same("touch at the deadline", false, kit.store.touch(&id(1), over).await?)?;
    same("live sessions at the deadline", 0, kit.store.count(&Filter::all(), over).await?)?;
    kit.holds("after its deadline", &id(1), &Record { seen: last, ..record }).await
}

pub(super) async fn lists_see_touches(kit: &Fixture<'_>) -> Outcome {
    let mut population = kit.populate(6, |_| record_of("ferris", kit.now)).await?;
    let now = kit.now + 20 * MINUTE;
    for (id, record) in population.iter_mut().take(3) {
        kit.store.touch(id, now).await?;
        record.seen = now;
    }
    for later in [now, now + 10 * MINUTE, now + 13 * MINUTE, now + 32 * MINUTE, now + 33 * MINUTE] {
        for filter in [
            Filter::all(),
            Filter::user("ferris").state(State::Any),
            Filter::all().seen_within(10 * MINUTE),
            Filter::all().seen_within(Duration::ZERO),
            Filter::all().expires(now + 33 * MINUTE..=now + HOUR).state(State::Any),
            Filter::all().expires(kit.now..=now + 13 * MINUTE).state(State::Any),
        ] {
            kit.lists(&population, &filter, 2, later).await?;
        }
        kit.lists_users(&population, 2, later).await?;
    }
    Ok(())
}

pub(super) async fn the_latest_of_parallel_touches_stays(kit: &Fixture<'_>) -> Outcome {
    kit.populate(ROUNDS, |_| record(kit.now)).await?;
    let gate = Gate::new(RACERS);
    let racers = (0..RACERS).map(|racer| {
        let (store, now, gate) = (kit.store.clone(), kit.now, gate.clone());
        async move {
            for round in 0..ROUNDS {
                gate.pass().await;
                let now = now + ((racer + round) % RACERS) as u32 * MINUTE;
                same("touch of a live session", true, store.touch(&id(round), now).await?)?;
            }
            Ok(())
        }
    });
    kit.together(racers.collect()).await?;
    let expected = Record { seen: kit.now + (RACERS - 1) as u32 * MINUTE, ..record(kit.now) };
    for round in 0..ROUNDS {
        kit.holds("after parallel touches", &id(round), &expected).await?;
    }
    Ok(())
}

/// A touch that reads, changes and writes back would undo a put in between, or a put a touch.
pub(super) async fn touches_and_puts_spare_each_other(kit: &Fixture<'_>) -> Outcome {
    let start = record(kit.now);
    let first = kit.begin(&id(1), &start).await?;
    let gate = Gate::new(RACERS);
    let racers = (0..RACERS).map(|racer| {
        let (store, gate, start) = (kit.store.clone(), gate.clone(), start.clone());
        async move {
            let mut version = first;
            for round in 1..2 * ROUNDS {
                let seen = start.created + round as u32 * SECOND;
                gate.pass().await;
                if racer > 0 {
                    same("touch of a live session", true, store.touch(&id(1), seen).await?)?;
                    gate.pass().await;
                    continue;
                }
                // The only one who puts: nobody else changes the version.
                let mut record =
                    Record { data: data(&[("n", round.to_string().as_bytes())]), ..start.clone() };
                version = match store.put(&id(1), &record, Expect::Version(version), seen).await? {
                    Put::Stored(version) => version,
                    other => {
                        let what = "put while others touch: expected Stored";
                        return Err(Flaw::new(format_args!("{what}, got {other:?}")));
                    }
                };
                gate.pass().await;
                record.seen = seen;
                let loaded = store.load(&id(1)).await?.map(Versioned::into_record);
                same_record("after a put and touches in parallel", &record, loaded.as_ref())?;
            }
            Ok(())
        }
    });
    kit.together(racers.collect()).await.map(drop)
}
