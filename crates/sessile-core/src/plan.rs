//! What a finished request means for the store: a pure function, tested as a table.

use crate::{clock::Timestamp, policy::Policy, record::Record};

/// Which of a session's tokens the client presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presented {
    /// The current one.
    Current,
    /// The one before the last periodic renewal, still good.
    Previous,
}

/// What the request did, and to what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome<'a> {
    /// The stored session and how the client opened it.
    pub(crate) base: Option<(&'a Record, Presented)>,
    /// What the handler made of it, if it changed anything.
    pub(crate) work: Option<&'a Record>,
    /// The handler asked for a new token.
    pub(crate) renew: bool,
    /// The handler wants the session stored even if it is empty.
    pub(crate) start: bool,
}

/// What is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Nothing.
    Nothing,
    /// Last-seen only.
    Touch,
    /// A session that wasn't stored before.
    Create,
    /// A changed record over the one that was loaded.
    Put(Renewal),
}

/// What happens to the token when a record is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// It stays.
    None,
    /// The current one was used for the first time: the grace window of the one before opens.
    Confirm,
    /// A new one; the old one keeps working until its successor has been used, and a while more.
    Graceful,
    /// A new one; the old one is dead at once.
    Immediate,
}

pub(crate) fn plan(outcome: Outcome<'_>, policy: &Policy, now: Timestamp) -> Plan {
    let Some((base, presented)) = outcome.base else {
        let holds_something = outcome.work.is_some_and(|work| !is_empty(work));
        return if holds_something || outcome.start { Plan::Create } else { Plan::Nothing };
    };
    let renewal = renewal(base, presented, outcome.renew, policy, now);
    if renewal != Renewal::None || outcome.work.is_some_and(|work| work != base) {
        Plan::Put(renewal)
    } else if now.since(base.seen) >= base.lifetime.slack && now > base.seen {
        Plan::Touch
    } else {
        Plan::Nothing
    }
}

fn renewal(base: &Record, presented: Presented, asked: bool, policy: &Policy, now: Timestamp) -> Renewal {
    let pending = base.previous.as_ref().is_some_and(|previous| previous.until.is_none());
    let in_grace =
        base.previous.as_ref().is_some_and(|previous| previous.until.is_none_or(|until| now < until));
    let due = policy.renew_after.is_some_and(|age| now.since(base.renewed) >= age);
    match presented {
        _ if asked => Renewal::Immediate,
        Presented::Current if pending => Renewal::Confirm,
        Presented::Current if due && !in_grace => Renewal::Graceful,
        Presented::Current | Presented::Previous => Renewal::None,
    }
}

/// A session that holds nothing is not worth storing.
fn is_empty(record: &Record) -> bool {
    record.data.is_empty() && record.user.is_none() && record.groups.is_empty()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        change::fresh,
        record::Previous,
        token::{Nonce, Token},
    };

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn policy() -> Policy {
        Policy::default().renew_after(Duration::from_secs(900))
    }

    fn record(seen_ago: u64, renewed_ago: u64, previous_until: Option<Option<Timestamp>>) -> Record {
        let mut record = fresh(&policy(), NOW - Duration::from_secs(3000));
        record.data.set("n", &[1]);
        record.seen = NOW - Duration::from_secs(seen_ago);
        record.renewed = NOW - Duration::from_secs(renewed_ago);
        record.previous = previous_until.map(|until| Previous {
            secret: Token::generate().unwrap().hash(),
            nonce: Nonce::from_bytes([0; 16]),
            until,
        });
        record
    }

    #[test]
    fn without_a_stored_session() {
        let empty = fresh(&policy(), NOW);
        let full = record(0, 0, None);
        let mut owned = empty.clone();
        owned.user = Some("ann".into());
        for (work, start, expected) in [
            (None, false, Plan::Nothing),
            (Some(&empty), false, Plan::Nothing),
            (Some(&empty), true, Plan::Create),
            (Some(&full), false, Plan::Create),
            (Some(&owned), false, Plan::Create),
        ] {
            let outcome = Outcome { base: None, work, renew: false, start };
            assert_eq!(plan(outcome, &policy(), NOW), expected, "{work:?} {start}");
        }
    }

    #[test]
    fn with_a_stored_session() {
        use Presented::{Current, Previous};
        use Renewal::{Confirm, Graceful, Immediate};
        let later = Some(Some(NOW + Duration::from_secs(1)));
        let over = Some(Some(NOW));
        // (seen ago, token age, previous token), presented, changed, renewal asked => plan
        for (base, presented, changed, renew, expected) in [
            ((0, 0, None), Current, false, false, Plan::Nothing),
            ((179, 0, None), Current, false, false, Plan::Nothing),
            ((180, 0, None), Current, false, false, Plan::Touch),
            ((180, 0, None), Current, true, false, Plan::Put(Renewal::None)),
            ((0, 0, None), Current, true, false, Plan::Put(Renewal::None)),
            ((0, 0, None), Current, false, true, Plan::Put(Immediate)),
            ((0, 900, None), Current, false, false, Plan::Put(Graceful)),
            ((0, 899, None), Current, false, false, Plan::Nothing),
            ((0, 0, Some(None)), Current, false, false, Plan::Put(Confirm)),
            ((0, 900, Some(None)), Current, false, false, Plan::Put(Confirm)),
            ((0, 0, Some(None)), Previous, false, false, Plan::Nothing),
            ((0, 900, Some(None)), Previous, false, false, Plan::Nothing),
            ((0, 900, later), Current, false, false, Plan::Nothing),
            ((0, 900, over), Current, false, false, Plan::Put(Graceful)),
            ((0, 900, later), Previous, true, false, Plan::Put(Renewal::None)),
            ((0, 0, later), Previous, false, true, Plan::Put(Immediate)),
        ] {
            let base = record(base.0, base.1, base.2);
            let mut work = base.clone();
            if changed {
                work.data.set("n", &[2]);
            }
            let outcome = Outcome { base: Some((&base, presented)), work: Some(&work), renew, start: false };
            let planned = plan(outcome, &policy(), NOW);
            assert_eq!(planned, expected, "{presented:?} {changed} {renew} {base:?}");
        }
    }

    #[test]
    fn no_touch_without_a_renewal_policy_moves_a_fresh_session() {
        let base = record(0, 100_000, None);
        let outcome =
            Outcome { base: Some((&base, Presented::Current)), work: None, renew: false, start: false };
        assert_eq!(plan(outcome, &Policy::default(), NOW), Plan::Nothing);
    }
}
