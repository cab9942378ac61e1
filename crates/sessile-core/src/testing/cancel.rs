//! Whole or not at all: every call is dropped after each number of polls; what stays is the state
//! before or after it, the lists agree, and no lock is left behind.
//!
//! A server may still be at work on a call that was dropped here, so its effect may come late.

use super::{
    fixture::{Fixture, HOUR, MINUTE, RACERS, data, id, killed, record_of, tombstone},
    report::{Flaw, Outcome, ensure, same_record},
    run::{Gate, cancelled},
};
use crate::{
    filter::{Filter, State},
    record::{EndReason, Ended, Record},
    store::{Expect, Put, Versioned},
};

/// Polls before a call counts as one that never ends.
const POLLS: usize = 30;

/// Tries of what a late effect of a dropped call may disturb.
const TRIES: usize = 20;

/// The session is as `before` or as `after`, and lists show it so.
async fn settled(
    kit: &Fixture<'_>,
    number: usize,
    before: Option<&Record>,
    after: Option<&Record>,
) -> Outcome {
    let id = id(number);
    for _ in 0..TRIES {
        let first = kit.store.load(&id).await?.map(Versioned::into_record);
        let population = first.iter().map(|record| (id, record.clone())).collect();
        let users = [before, after].into_iter().flatten().filter_map(|record| record.user.clone());
        let mut listed = Ok(());
        for user in users.chain(["never".to_owned()]) {
            let filter = Filter::user(user).state(State::Any);
            listed = listed.and(kit.lists(&population, &filter, 10, kit.now).await);
        }
        if kit.store.load(&id).await?.map(Versioned::into_record) != first {
            continue;
        }
        if first.as_ref() == before || first.as_ref() == after {
            return listed;
        }
        let what = "a session after a call on it was dropped (neither as before the call nor as after it)";
        return after.map_or(Ok(()), |after| same_record(what, after, first.as_ref()));
    }
    Err(Flaw::new("a session keeps changing long after a call on it was dropped"))
}

/// The store isn't stuck: the session can be begun or changed, touched and ended.
async fn still_works(kit: &Fixture<'_>, number: usize) -> Outcome {
    let (id, record) = (id(number), record_of(&format!("again {number}"), kit.now));
    for _ in 0..TRIES {
        let loaded = kit.store.load(&id).await?;
        if loaded.as_ref().is_some_and(|loaded| loaded.record.ended.is_some()) {
            return Ok(());
        }
        let expect = loaded.map_or(Expect::Absent, |loaded| Expect::Version(loaded.version));
        if matches!(kit.store.put(&id, &record, expect, kit.now).await?, Put::Stored(_)) {
            let touched = kit.store.touch(&id, kit.now + MINUTE).await?;
            let ended = kit.store.end(&id, &killed(kit.now)).await?;
            let what = "a session can't be touched or ended after an earlier call was dropped";
            // Unless that call was an end, which came late.
            let over = kit.load(&id).await?.record.ended.is_some();
            return ensure(over && (touched || !ended), what);
        }
    }
    Err(Flaw::new("a session can't be written to after an earlier call was dropped"))
}

fn user(number: usize) -> String {
    format!("user {number}")
}

pub(super) async fn a_dropped_put_is_whole_or_nothing(kit: &Fixture<'_>) -> Outcome {
    for polls in 0..POLLS {
        let begun = record_of(&user(polls), kit.now);
        let done = cancelled(polls, kit.store.put(&id(polls), &begun, Expect::Absent, kit.now)).await;
        settled(kit, polls, None, Some(&begun)).await?;
        still_works(kit, polls).await?;
        if done.transpose()?.is_some() {
            break;
        }
    }
    for polls in 0..POLLS {
        let number = 100 + polls;
        let before = record_of(&user(number), kit.now);
        let version = kit.begin(&id(number), &before).await?;
        let after = Record { data: data(&[("n", b"1")]), ..record_of(&format!("new {number}"), kit.now) };
        let done =
            cancelled(polls, kit.store.put(&id(number), &after, Expect::Version(version), kit.now)).await;
        settled(kit, number, Some(&before), Some(&after)).await?;
        still_works(kit, number).await?;
        if done.transpose()?.is_some() {
            break;
        }
    }
    Ok(())
}

pub(super) async fn a_dropped_touch_is_whole_or_nothing(kit: &Fixture<'_>) -> Outcome {
    for polls in 0..POLLS {
        let before = record_of(&user(polls), kit.now);
        kit.begin(&id(polls), &before).await?;
        let after = Record { seen: kit.now + MINUTE, ..before.clone() };
        let done = cancelled(polls, kit.store.touch(&id(polls), after.seen)).await;
        settled(kit, polls, Some(&before), Some(&after)).await?;
        still_works(kit, polls).await?;
        if done.transpose()?.is_some() {
            break;
        }
    }
    Ok(())
}

pub(super) async fn a_dropped_end_is_whole_or_nothing(kit: &Fixture<'_>) -> Outcome {
    let ended = killed(kit.now);
    for polls in 0..POLLS {
        let before = record_of(&user(polls), kit.now);
        kit.begin(&id(polls), &before).await?;
        let done = cancelled(polls, kit.store.end(&id(polls), &ended)).await;
        settled(kit, polls, Some(&before), Some(&tombstone(&before, ended.clone()))).await?;
        still_works(kit, polls).await?;
        if done.transpose()?.is_some() {
            break;
        }
    }
    Ok(())
}

/// Ends of many may be half done, but each session is as before or as after.
pub(super) async fn a_dropped_end_all_is_whole_for_each(kit: &Fixture<'_>) -> Outcome {
    let (ended, all) = (killed(kit.now), Filter::all());
    for polls in 0..POLLS {
        let numbers = polls * 3..polls * 3 + 3;
        for number in numbers.clone() {
            kit.begin(&id(number), &record_of(&user(number), kit.now)).await?;
        }
        let done = cancelled(polls, kit.store.end_all(&all, &ended)).await;
        for number in numbers.clone() {
            let before = record_of(&user(number), kit.now);
            settled(kit, number, Some(&before), Some(&tombstone(&before, ended.clone()))).await?;
        }
        // What is left must be within reach of the next.
        kit.store.end_all(&all, &ended).await?;
        for number in numbers {
            let after = tombstone(&record_of(&user(number), kit.now), ended.clone());
            settled(kit, number, Some(&after), Some(&after)).await?;
        }
        if done.transpose()?.is_some() {
            break;
        }
    }
    Ok(())
}

/// Sweeps may be half done, but each session is as before or as after.
pub(super) async fn a_dropped_sweep_is_whole_for_each(kit: &Fixture<'_>) -> Outcome {
    let now = kit.now + HOUR;
    for polls in 0..POLLS {
        let numbers = polls * 3..polls * 3 + 3;
        let before = |number| record_of(&user(number), kit.now);
        let after = |number| {
            let before = before(number);
            let ended = Ended { reason: EndReason::Idle, at: before.expires(), by: None };
            tombstone(&before, ended)
        };
        for number in numbers.clone() {
            kit.begin(&id(number), &before(number)).await?;
        }
        let done = cancelled(polls, kit.store.sweep(now, 10)).await;
        for number in numbers.clone() {
            settled(kit, number, Some(&before(number)), Some(&after(number))).await?;
        }
        kit.sweep_out(10, now).await?;
        for number in numbers {
            settled(kit, number, Some(&after(number)), Some(&after(number))).await?;
        }
        if done.transpose()?.is_some() {
            break;
        }
    }
    Ok(())
}

pub(super) async fn dropped_reads_leave_nothing_behind(kit: &Fixture<'_>) -> Outcome {
    let (store, all) = (&kit.store, Filter::all());
    let record = record_of(&user(1), kit.now);
    kit.begin(&id(1), &record).await?;
    for polls in 0..POLLS {
        let done = [
            cancelled(polls, store.load(&id(1))).await.map(|answer| answer.map(drop)),
            cancelled(polls, store.scan(&all, None, 10, kit.now)).await.map(|answer| answer.map(drop)),
            cancelled(polls, store.count(&all, kit.now)).await.map(|answer| answer.map(drop)),
            cancelled(polls, store.users(None, 10, kit.now)).await.map(|answer| answer.map(drop)),
        ];
        settled(kit, 1, Some(&record), Some(&record)).await?;
        let done: Vec<_> = done.into_iter().flatten().collect::<Result<_, _>>()?;
        if done.len() == 4 {
            break;
        }
    }
    still_works(kit, 1).await
}

/// Calls dropped while others wait for the same locks and connections.
pub(super) async fn a_crowd_survives_dropped_calls(kit: &Fixture<'_>) -> Outcome {
    let before = |number: usize, now| record_of(&user(number), now);
    for number in 0..RACERS {
        kit.begin(&id(number), &before(number, kit.now)).await?;
    }
    let gate = Gate::new(RACERS);
    let tasks = (0..RACERS).map(|racer| {
        let (store, now, gate) = (kit.store.clone(), kit.now, gate.clone());
        async move {
            gate.pass().await;
            for round in 0..24 {
                let (polls, target) = (round % 4, id((racer + round) % RACERS));
                match (racer + round / 4) % 3 {
                    0 => {
                        cancelled(polls, store.touch(&target, now)).await.transpose()?;
                    }
                    1 => {
                        cancelled(polls, store.load(&target)).await.transpose()?;
                    }
                    _ => {
                        let Some(loaded) = store.load(&target).await? else { continue };
                        let expect = Expect::Version(loaded.version);
                        let put = store.put(&target, &loaded.record, expect, now);
                        cancelled(polls, put).await.transpose()?;
                    }
                }
            }
            Ok(())
        }
    });
    kit.together(tasks.collect()).await?;
    for number in 0..RACERS {
        let record = before(number, kit.now);
        settled(kit, number, Some(&record), Some(&record)).await?;
        still_works(kit, number).await?;
    }
    Ok(())
}
