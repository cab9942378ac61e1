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
    Put(Write),
}

/// A record on its way to the store.
pub(crate) struct Write {
    pub(crate) id: SessionId,
    pub(crate) record: Arc<Record>,
    pub(crate) expect: Expect,
    /// To send, if it is a new one.
    pub(crate) token: Option<Token>,
    /// How many of the handler's steps are in it.
    steps: usize,
    /// The token is the successor of the one that the client presented and goes on holding until
    /// the answer arrives.
    graceful: bool,
    epoch: u32,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// When the presented tokens were looked up.
    pub(crate) loaded: Option<Timestamp>,
    /// What the store holds.
    pub(crate) base: Option<Base>,
    /// Set while `base` still has to be ended.
    pub(crate) ending: Option<EndReason>,
    /// What the handler did since, in order.
    steps: Vec<Step>,
    /// Of these, how many are in a write under way: these stay as they are.
    in_hand: usize,
    /// The token of the session that is about to be created: kept, so that trying again after an
    /// unknown outcome finds the session instead of making a second one.
    newborn: Option<Token>,
    /// The token that an immediate renewal is about to issue: kept for the same reason.
    renewed: Option<Token>,
    /// Counts how often the changes were forgotten, so that a write that was under way then doesn't
    /// take later ones for its own.
    epoch: u32,
    /// `base` (or a fresh record) with `steps` done.
    work: Option<Arc<Record>>,
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
        self.over = None;
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

    /// When the request looked at its session: the moment that what it does to it happens.
    fn began(&self) -> Timestamp {
        self.loaded.unwrap_or_default()
    }

    /// Whether something waits to be written.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.steps.is_empty() || self.ending.is_some()
    }

    /// Does a step, to be done again by [`replay`](Self::replay) if another request wins the race.
    pub(crate) fn step(&mut self, step: Step, policy: &Policy) -> Result<(), Error> {
        let now = self.began();
        self.change(policy, |record| step.apply(record, policy, now))?;
        self.remember(step);
        Ok(())
    }

    /// Does what `first` does now, and `step` should the request have to be replayed.
    pub(crate) fn step_with<T>(
        &mut self,
        policy: &Policy,
        first: impl FnOnce(&mut Record) -> Result<(T, Step), Error>,
    ) -> Result<T, Error> {
        let (value, step) = self.change(policy, first)?;
        self.remember(step);
        Ok(value)
    }

    fn change<T>(
        &mut self,
        policy: &Policy,
        change: impl FnOnce(&mut Record) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if let Some(work) = &mut self.work {
            return change(Arc::make_mut(work));
        }
        let stored = self.base.as_ref().filter(|_| self.ending.is_none());
        if stored.is_none() {
            self.check_head("a session can't begin")?;
        }
        let begin = || Arc::new(fresh(policy, self.began()));
        let mut work = stored.map_or_else(begin, |base| base.record.clone());
        let value = change(Arc::make_mut(&mut work))?;
        self.work = Some(work);
        Ok(value)
    }

    fn remember(&mut self, step: Step) {
        let mut place = 0;
        self.steps.retain(|earlier| {
            place += 1;
            place <= self.in_hand || !step.replaces(earlier)
        });
        self.steps.push(step);
    }

    /// Whether there is a token to be replaced.
    pub(crate) fn has_token(&self) -> bool {
        self.base.is_some() && self.ending.is_none()
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
        // A session that is just being created has to be ended too.
        if (self.base.is_some() || self.newborn.is_some()) && self.ending.is_none() {
            self.ending = Some(reason);
        }
        self.forget_changes();
    }

    /// Takes note that the store has ended the session.
    pub(crate) fn ended(&mut self) {
        self.base = None;
        self.newborn = None;
        self.ending = None;
        self.cookie = Some(CookieChange::Clear);
    }

    /// Drops what the handler did.
    pub(crate) fn forget_changes(&mut self) {
        self.steps.clear();
        self.in_hand = 0;
        self.work = None;
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Decides what is to be written next and makes it ready.
    pub(crate) fn next_job(&mut self, policy: &Policy, now: Timestamp) -> Result<Job, Error> {
        if let Some(reason) = self.ending {
            if let Some(token) = self.base.as_ref().map(|base| &base.token).or(self.newborn.as_ref()) {
                return Ok(Job::End(token.id(), reason));
            }
            self.ending = None;
        }
        if self.work.is_none() {
            // An earlier try to do the steps failed; they still count.
            self.rebuild(policy, now)?;
        }
        let planned = self.plan(policy, now);
        let (token, expect) = match (planned, &self.base) {
            (Plan::Create, _) => {
                let token = match self.newborn.take() {
                    Some(token) => token,
                    None => Token::generate()?,
                };
                let record = self.work.get_or_insert_with(|| Arc::new(fresh(policy, now)));
                issue(Arc::make_mut(record), &token, now);
                self.newborn = Some(token.clone());
                (Some(token), Expect::Absent)
            }
            (Plan::Put(renewal), Some(base)) => {
                let record = self.work.get_or_insert_with(|| base.record.clone());
                let token = prepare(Arc::make_mut(record), base, renewal, &mut self.renewed, policy, now)?;
                (token, Expect::Version(base.version))
            }
            (Plan::Touch, Some(base)) => {
                let id = base.token.id();
                self.forget_changes();
                return Ok(Job::Touch(id));
            }
            (Plan::Nothing | Plan::Touch | Plan::Put(_), _) => {
                self.forget_changes();
                return Ok(Job::Done);
            }
        };
        let id = token.as_ref().or(self.base.as_ref().map(|base| &base.token)).map(Token::id);
        let (Some(id), Some(record)) = (id, self.work.clone()) else {
            unreachable!("a write has a record, and a token or a base")
        };
        self.in_hand = self.steps.len();
        let graceful = planned == Plan::Put(Renewal::Graceful);
        Ok(Job::Put(Write { id, record, expect, token, steps: self.in_hand, graceful, epoch: self.epoch }))
    }

    /// Whether nothing is to be written.
    pub(crate) fn is_unchanged(&self, policy: &Policy) -> bool {
        !self.is_dirty() && self.plan(policy, self.began()) == Plan::Nothing
    }

    fn plan(&self, policy: &Policy, now: Timestamp) -> Plan {
        let outcome = Outcome {
            base: self.base.as_ref().map(|base| (&*base.record, base.presented)),
            work: self.work.as_deref(),
            renew: self.steps.iter().any(|step| matches!(step, Step::LogIn(_) | Step::Renew)),
            start: self.steps.iter().any(|step| matches!(step, Step::Start)),
        };
        plan(outcome, policy, now)
    }

    /// Takes note that `write` was done, and what the client must be told.
    pub(crate) fn stored(
        &mut self,
        write: Write,
        version: Version,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Write { record, token, steps, graceful, epoch, .. } = write;
        let before = self.base.take();
        let persisted = before.as_ref().map_or(record.persistent, |base| base.record.persistent);
        let (told, presented) = match (token, before) {
            (Some(token), Some(base)) if graceful => {
                // Until the answer arrives the client has the old one only.
                self.cookie = Some(CookieChange::Set(token));
                (base.token, Presented::Previous)
            }
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
        if epoch == self.epoch {
            self.steps.drain(..steps);
        }
        self.in_hand = 0;
        self.newborn = None;
        self.renewed = None;
        self.rebuild(policy, now)
    }

    /// Puts the changes on a fresher record, after a lost race.
    pub(crate) fn replay(&mut self, base: Base, policy: &Policy, now: Timestamp) -> Result<(), Error> {
        self.open(base);
        self.rebuild(policy, now)
    }

    /// The session was created after all, by a write whose outcome was never heard. Nobody else can
    /// know it yet, so what the handler made of it stands.
    pub(crate) fn adopt(&mut self, base: Base) {
        if let Some(token) = self.newborn.take() {
            self.cookie = Some(CookieChange::Set(token));
        }
        self.base = Some(base);
    }

    /// Somebody else holds the id of the session that was about to be created: take another.
    pub(crate) fn take_another_id(&mut self) {
        self.newborn = None;
    }

    /// The tokens that may open the session that the next write is for.
    pub(crate) fn tokens(&self) -> [Option<Token>; 2] {
        let known = self.base.as_ref().map(|base| &base.token).or(self.newborn.as_ref());
        [known.cloned(), self.renewed.clone()]
    }

    /// The stored session is gone, or its token was `replaced` by another request's log-in. A log-in
    /// is an event of its own and begins a new session with what the handler did; anything else is
    /// lost, which is an error if there was anything.
    pub(crate) fn gone(&mut self, replaced: bool, policy: &Policy, now: Timestamp) -> Result<(), Error> {
        if self.ending.is_some() {
            // The handler ended it too; what came after belongs to a new session.
            self.ended();
            return self.rebuild(policy, now);
        }
        let base = self.base.take();
        self.cookie = None;
        self.renewed = None;
        if self.steps.iter().any(|step| matches!(step, Step::LogIn(_))) {
            let mut start = fresh(policy, now);
            // Signing in twice at once must not cost an anonymous visitor the cart.
            if let Some(base) = base.filter(|base| replaced && base.record.user.is_none()) {
                start.data = base.record.data.clone();
            }
            return self.rebuild_on(start, policy, now);
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
        let stored = self.base.as_ref().filter(|_| self.ending.is_none());
        let start = stored.map_or_else(|| fresh(policy, now), |base| Record::clone(&base.record));
        self.rebuild_on(start, policy, now)
    }

    fn rebuild_on(&mut self, mut start: Record, policy: &Policy, now: Timestamp) -> Result<(), Error> {
        self.work = None;
        for step in &self.steps {
            step.apply(&mut start, policy, now)?;
        }
        self.work = Some(Arc::new(start));
        Ok(())
    }
}

/// Makes `record` ready to be put over `base`; gives the token to send, if it is a new one.
fn prepare(
    record: &mut Record,
    base: &Base,
    renewal: Renewal,
    renewed: &mut Option<Token>,
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
            let token = match renewed.take() {
                Some(token) => token,
                None => Token::for_session(base.token.id())?,
            };
            *renewed = Some(token.clone());
            issue(record, &token, now);
            Ok(Some(token))
        }
    }
}
