//! How many sessions match: by the indexes as far as they go.

use std::ops::ControlFlow;

use crate::{
    clock::Timestamp,
    error::Error,
    filter::{Filter, State},
};

use super::{
    Memory,
    place::{Place, SHARDS},
    shard::Shard,
    slot::{Slot, is_plain},
};

impl Memory {
    pub(super) fn count_now(&self, filter: &Filter, now: Timestamp) -> Result<u64, Error> {
        let mut count = 0;
        if is_plain(filter) {
            let all = Filter { except: None, ..filter.clone() };
            for number in 0..SHARDS {
                let shard = &mut *self.lock(number);
                count += match filter.seen_within {
                    None => count_all(shard, &all, now)?,
                    Some(within) => count_seen(shard, &all, now, now - within)?,
                };
                let except = filter.except.and_then(|id| shard.find(&id));
                if let Some(at) = except {
                    count -= u64::from(matches(&shard.slots[at], &all, now)?);
                }
            }
            return Ok(count);
        }
        let mut from = Some(Place(0));
        while let Some(start) = from {
            let (places, next) = self.candidates(filter, now, start, usize::MAX);
            for place in places {
                count += u64::from(self.look(place, filter, now)?.is_some());
            }
            from = next;
        }
        Ok(count)
    }
}

/// Counts a shard by what is due: not one live session is looked at.
fn count_all(shard: &mut Shard, filter: &Filter, now: Timestamp) -> Result<u64, Error> {
    let (mut expired, mut lingering, mut removable) = (0, 0, 0);
    let stop = shard.due(false, now, |shard, at| {
        expired += 1;
        match matches(&shard.slots[at], filter, now) {
            Ok(matches) => lingering += usize::from(matches),
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    });
    if let ControlFlow::Break(error) = stop {
        return Err(error);
    }
    let _ = shard.due::<()>(true, now, |_, _| {
        removable += 1;
        ControlFlow::Continue(())
    });
    let (live, tombs) = (shard.unended() - expired, shard.tombs() - removable);
    Ok(match filter.state {
        State::Live => live,
        State::Ended => tombs + lingering,
        State::Any => live + tombs + lingering,
    } as u64)
}

/// Counts what a shard has seen since `since`.
fn count_seen(shard: &Shard, filter: &Filter, now: Timestamp, since: Timestamp) -> Result<u64, Error> {
    let mut count = 0;
    shard
        .each(Some(since), 0, |at| {
            match matches(&shard.slots[at], filter, now) {
                Ok(matches) => count += u64::from(matches),
                Err(error) => return ControlFlow::Break(error),
            }
            ControlFlow::Continue(())
        })
        .map_break(Err)
        .break_value()
        .unwrap_or(Ok(count))
}

/// Whether a session matches; decodes its record only if it must.
fn matches(slot: &Slot, filter: &Filter, now: Timestamp) -> Result<bool, Error> {
    match slot.matches(filter, now) {
        Some(known) => Ok(known),
        None => Ok(filter.matches(&slot.id, &slot.entry.record()?, now)),
    }
}
