//! What is known of one request's session between load and commit: all of it in one place.

use std::sync::Arc;

use crate::{
    change::{Step, fresh, issue},
    clock::Timestamp,
    error::{Error, ErrorKind},
    plan::{Outcome, Plan, Presented, Renewal, plan},
    policy::Policy,
    record::{EndReason, Ended, Previous, Record},
    store::{Expect, Version},
    token::{Nonce, SessionId, Token},
};

/// The stored, live session that the client's token opened.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) token: Token,
    pub(crate) presented: Presented,
    pub(crate) version: Version,
    pub(crate) record: Arc<Record>,
}

/// What the client's cookie jar must be told.
#[derive(Debug, Clone)]
pub(crate) enum CookieChange {
    Set(Token),
    Clear,
}

/// What the next step of a commit is.
pub(crate) enum Job {
    Done,
    End(SessionId, EndReason),
    Touch(SessionId),
    /// With the token to send, if it is a new one.
    Put(SessionId, Arc<Record>, Expect, Option<Token>),
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// What the store holds.
    pub(crate) base: Option<Base>,
    /// Set while `base` still has to be ended.
    pub(crate) ending: Option<EndReason>,
    /// What the handler did since, in order.
    steps: Vec<Step>,
    /// Of these, how many a commit under way has in hand.
    in_hand: usize,
    /// `base` (or a fresh record) with `steps` done.
    work: Option<Arc<Record>>,
    renew: bool,
    start: bool,
    /// Why the session that the client asked for is over.
    pub(crate) over: Option<Ended>,
    pub(crate) cookie: Option<CookieChange>,
    /// No cookie can be sent any more.
    pub(crate) head_sent: bool,
}

impl State {
    /// Takes the session that the client's token opened.
    pub(crate) fn open(&mut self, base: Base) {
        if let (Presented::Previous, Some(previous)) = (base.presented, &base.record.previous) {
            // The answer that carried the new token may be lost: send it again.
            self.cookie = Some(CookieChange::Set(base.token.successor(&previous.nonce)));
        }
        self.base = Some(base);
    }

    /// The record as the handler sees it.
    pub(crate) fn visible(&self) -> Option<&Record> {
        match (&self.work, &self.base) {
            (Some(work), _) => Some(work),
            (None, Some(base)) if self.ending.is_none() => Some(&base.record),
            _ => None,
        }
    }

    /// Whether something waits to be written.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.steps.is_empty() || self.ending.is_some() || self.renew
    }

    /// Does a step, to be done again by [`replay`](Self::replay) if another request wins the race.
    pub(crate) fn step(&mut self, step: Step, policy: &Policy, now: Timestamp) -> Result<(), Error> {
        self.change(policy, now, |record| step.apply(record, policy, now))?;
        self.remember(step);
        Ok(())
    }

    /// Does what `first` does now, and `step` should the request have to be replayed.
    pub(crate) fn step_with<T>(
        &mut self,
        policy: &Policy,
        now: Timestamp,
        first: impl FnOnce(&mut Record) -> Result<(T, Step), Error>,
    ) -> Result<T, Error> {
        let (value, step) = self.change(policy, now, first)?;
        self.remember(step);
        Ok(value)
    }

    fn change<T>(
        &mut self,
        policy: &Policy,
        now: Timestamp,
        change: impl FnOnce(&mut Record) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.work.is_none() {
            let stored = self.base.as_ref().filter(|_| self.ending.is_none());
            if stored.is_none() {
                self.check_head("a session can't begin")?;
            }
            let work = stored.map_or_else(|| Arc::new(fresh(policy, now)), |base| base.record.clone());
            self.work = Some(work);
        }
        // Set just above.
        let Some(work) = &mut self.work else { unreachable!("a change without a record") };
        change(Arc::make_mut(work))
    }

    fn remember(&mut self, step: Step) {
        self.start |= matches!(step, Step::Start);
        let mut place = 0;
        self.steps.retain(|earlier| {
            place += 1;
            place <= self.in_hand || !step.replaces(earlier)
        });
        self.steps.push(step);
    }

    /// Asks for a new token.
    pub(crate) fn renew(&mut self) -> Result<(), Error> {
        self.check_head("a new token can't be sent")?;
        self.renew = self.base.is_some() && self.ending.is_none();
        Ok(())
    }

    /// Refuses what needs a cookie once none can be sent.
    pub(crate) fn check_head(&self, what: &str) -> Result<(), Error> {
        if !self.head_sent {
            return Ok(());
        }
        let detail = format!("{what}: the response's head has left, no cookie can be sent; do it earlier");
        Err(Error::new(ErrorKind::Late, "change", detail))
    }

    /// Ends the session; what comes after begins a new one.
    pub(crate) fn end(&mut self, reason: EndReason) {
        if self.base.is_some() && self.ending.is_none() {
            self.ending = Some(reason);
        }
        self.forget_changes();
    }

    /// Drops what the handler did.
    pub(crate) fn forget_changes(&mut self) {
        self.steps.clear();
        self.in_hand = 0;
        self.work = None;
        self.renew = false;
        self.start = false;
    }

    /// Decides what is to be written next and makes it ready.
    pub(crate) fn next_job(&mut self, policy: &Policy, now: Timestamp) -> Result<Job, Error> {
        if let (Some(reason), Some(base)) = (self.ending, &self.base) {
            return Ok(Job::End(base.token.id(), reason));
        }
        let outcome = Outcome {
            base: self.base.as_ref().map(|base| (&*base.record, base.presented)),
            work: self.work.as_deref(),
            renew: self.renew,
            start: self.start,
        };
        let planned = plan(outcome, policy, now);
        self.in_hand = self.steps.len();
        Ok(match (planned, &self.base) {
            (Plan::Create, _) => {
                let token = Token::generate()?;
                let record = self.work.get_or_insert_with(|| Arc::new(fresh(policy, now)));
                issue(Arc::make_mut(record), &token, now);
                Job::Put(token.id(), record.clone(), Expect::Absent, Some(token))
            }
            (Plan::Touch, Some(base)) => Job::Touch(base.token.id()),
            (Plan::Put(renewal), Some(base)) => {
                let record = self.work.get_or_insert_with(|| base.record.clone());
                let token = prepare(Arc::make_mut(record), base, renewal, policy, now)?;
                Job::Put(base.token.id(), record.clone(), Expect::Version(base.version), token)
            }
            (Plan::Nothing | Plan::Touch | Plan::Put(_), _) => {
                self.forget_changes();
                Job::Done
            }
        })
    }

    /// Takes note that `record` was stored, and what the client must be told.
    pub(crate) fn stored(
        &mut self,
        record: Arc<Record>,
        version: Version,
        token: Option<Token>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<(), Error> {
        let before = self.base.take();
        let persisted = before.as_ref().map_or(record.persistent, |base| base.record.persistent);
        let (told, presented) = match (token, before) {
            (Some(token), _) => {
                self.cookie = Some(CookieChange::Set(token.clone()));
                (token, Presented::Current)
            }
            (None, Some(base)) => (base.token, base.presented),
            // A session is created with a new token.
            (None, None) => unreachable!("stored a session without a token"),
        };
        if persisted != record.persistent && self.cookie.is_none() {
            self.cookie = Some(CookieChange::Set(told.clone()));
        }
        self.base = Some(Base { token: told, presented, version, record });
        self.steps.drain(..self.in_hand);
        self.in_hand = 0;
        self.renew = false;
        self.start = false;
        self.rebuild(policy, now)
    }

    /// Puts the changes on a fresher record, after a lost race.
    pub(crate) fn replay(&mut self, base: Base, policy: &Policy, now: Timestamp) -> Result<(), Error> {
        self.open(base);
        self.rebuild(policy, now)
    }

    /// The stored session is gone. A log-in is an event of its own and begins a new session with
    /// what the handler did; anything else is lost, which is an error if there was anything.
    pub(crate) fn gone(&mut self, policy: &Policy, now: Timestamp) -> Result<(), Error> {
        self.base = None;
        if self.steps.iter().any(|step| matches!(step, Step::LogIn(_))) {
            self.renew = false;
            return self.rebuild(policy, now);
        }
        let lost = self.is_dirty();
        self.forget_changes();
        if !lost {
            return Ok(());
        }
        let detail = "the session was ended or its token replaced while this request ran; \
                      the request's changes were dropped";
        Err(Error::new(ErrorKind::Ended, "commit", detail))
    }

    fn rebuild(&mut self, policy: &Policy, now: Timestamp) -> Result<(), Error> {
        self.work = None;
        if self.steps.is_empty() {
            return Ok(());
        }
        let mut work = match &self.base {
            Some(base) => Record::clone(&base.record),
            None => fresh(policy, now),
        };
        for step in &self.steps {
            step.apply(&mut work, policy, now)?;
        }
        self.work = Some(Arc::new(work));
        Ok(())
    }
}

/// Makes `record` ready to be put over `base`; gives the token to send, if it is a new one.
fn prepare(
    record: &mut Record,
    base: &Base,
    renewal: Renewal,
    policy: &Policy,
    now: Timestamp,
) -> Result<Option<Token>, Error> {
    record.seen = record.seen.max(now);
    match renewal {
        Renewal::None => Ok(None),
        Renewal::Confirm => {
            if let Some(previous) = &mut record.previous {
                previous.until = Some(now + policy.renewal_grace);
            }
            Ok(None)
        }
        Renewal::Graceful => {
            let nonce = Nonce::generate()?;
            let token = base.token.successor(&nonce);
            record.previous = Some(Previous { secret: base.record.secret, nonce, until: None });
            record.secret = token.hash();
            record.renewed = now;
            Ok(Some(token))
        }
        Renewal::Immediate => {
            let token = Token::for_session(base.token.id())?;
            issue(record, &token, now);
            Ok(Some(token))
        }
    }
}
