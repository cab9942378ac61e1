//! The clock is the caller's: nothing but the `now` of a call decides who is alive.
//!
//! The other checks help: those that depend on time run in 1970, 2001, now and 2100.

use super::{
    fixture::{Fixture, HOUR, MILLISECOND, MINUTE, id, killed, record_of},
    report::{Outcome, same},
};
use crate::{
    filter::{Filter, State},
    store::{Expect, Put, Swept},
};

/// A whole life, judged by every method at the same moments.
pub(super) async fn a_life_goes_by_the_callers_clock(kit: &Fixture<'_>) -> Outcome {
    let record = record_of("ferris", kit.now);
    let version = kit.begin(&id(1), &record).await?;
    let population = [(id(1), record.clone())].into();
    let last = record.expires() - MILLISECOND;
    for (now, live) in [(kit.now, true), (last, true), (record.expires(), false), (last, true)] {
        let what =
            |method| format!("{method} at {now:?} of a session that expires at {:?}", record.expires());
        for filter in [Filter::all(), Filter::user("ferris"), Filter::all().state(State::Ended)] {
            kit.lists(&population, &filter, 10, now).await?;
        }
        kit.lists_users(&population, 10, now).await?;
        let swept = if live {
            kit.store.sweep(now, 10).await?
        } else {
            let answer = kit.store.put(&id(1), &record, Expect::Version(version), now).await?;
            same(what("put"), Put::Gone, answer)?;
            same(what("touch"), false, kit.store.touch(&id(1), now).await?)?;
            same(what("end"), false, kit.store.end(&id(1), &killed(now)).await?)?;
            same(what("end_all"), 0, kit.store.end_all(&Filter::all(), &killed(now)).await?)?;
            Swept::default()
        };
        same(what("sweep"), Swept::default(), swept)?;
        kit.holds("a session that was only looked at", &id(1), &record).await?;
    }
    let version = kit.change(&id(1), &record, version, last).await?;
    same("touch before expiry", true, kit.store.touch(&id(1), last).await?)?;
    kit.change(&id(1), &record, version, last + MINUTE).await?;
    same("end before expiry", true, kit.store.end(&id(1), &killed(last + MINUTE)).await?)
}

/// One caller's clock is ahead: what it sees as dead isn't dead for the others, as nothing but a
/// sweep makes it so.
pub(super) async fn a_look_from_the_future_kills_nobody(kit: &Fixture<'_>) -> Outcome {
    let record = record_of("ferris", kit.now);
    let version = kit.begin(&id(1), &record).await?;
    let ahead = kit.now + HOUR;
    for state in [State::Live, State::Ended, State::Any] {
        kit.lists(&[(id(1), record.clone())].into(), &Filter::user("ferris").state(state), 10, ahead).await?;
    }
    kit.store.users(None, 10, ahead).await?;
    same("touch in the future", false, kit.store.touch(&id(1), ahead).await?)?;
    let answer = kit.store.put(&id(1), &record, Expect::Version(version), ahead).await?;
    same("put in the future", Put::Gone, answer)?;
    same("end in the future", false, kit.store.end(&id(1), &killed(ahead)).await?)?;

    kit.holds("a session looked at by a caller whose clock is ahead", &id(1), &record).await?;
    same("touch by a caller whose clock is right", true, kit.store.touch(&id(1), kit.now).await?)?;
    same("live sessions", 1, kit.store.count(&Filter::user("ferris"), kit.now).await?)?;
    kit.change(&id(1), &record, version, kit.now).await.map(drop)
}

/// A sweeper whose clock is behind takes nothing, one whose clock is right all.
pub(super) async fn a_sweep_goes_by_the_callers_clock(kit: &Fixture<'_>) -> Outcome {
    let population = kit.populate(3, |number| record_of(&format!("user {number}"), kit.now)).await?;
    let expires = kit.now + 33 * MINUTE;
    for now in [kit.now - HOUR, kit.now, expires - MILLISECOND] {
        same(format!("sweep at {now:?}"), Swept::default(), kit.store.sweep(now, 10).await?)?;
    }
    kit.lists(&population, &Filter::all(), 10, kit.now).await?;
    same("sweep at expiry", Swept { entombed: 3, ..Swept::default() }, kit.sweep_out(10, expires).await?)?;
    let removal = expires + 24 * HOUR;
    let before = kit.sweep_out(10, removal - MILLISECOND).await?;
    same("sweep just before the tombstones' time is up", Swept::default(), before)?;
    same("sweep of the tombstones", 3, kit.sweep_out(10, removal).await?.removed)
}
