//! The application's one entry point: store, policy and clock, and everything that looks at or
//! ends sessions from outside a request.

use std::sync::Arc;

use crate::{
    clock::{Clock, SystemClock, Timestamp},
    commit::Queues,
    error::{Error, ErrorKind},
    exchange::Exchange,
    filter::Filter,
    list::List,
    policy::Policy,
    record::{EndReason, Ended, SessionInfo},
    session::Session,
    store::{Cursor, Page, Store, UserSessions},
    token::SessionId,
};

/// All sessions of an application: cheap to clone, made once.
///
/// ```
/// use sessile_core::{Filter, Memory, Sessions};
///
/// # pollster::block_on(async {
/// let sessions = Sessions::new(Memory::new());
/// assert_eq!(sessions.count(&Filter::all()).await?, 0);
/// # Ok::<(), sessile_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Sessions(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    policy: Policy,
    clock: Arc<dyn Clock>,
    queues: Queues,
}

/// Sets up [`Sessions`] with another policy or clock than the default ones.
#[derive(Debug)]
#[must_use]
pub struct SessionsBuilder {
    store: Arc<dyn Store>,
    policy: Policy,
    clock: Arc<dyn Clock>,
}

impl SessionsBuilder {
    /// Replaces the default [`Policy`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Replaces the computer's clock, for tests.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks the policy and makes the sessions.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a policy that browsers would drop (RFC 6265bis) or that leaves no
    /// working session; the text says which setting.
    pub fn build(self) -> Result<Sessions, Error> {
        self.policy.check()?;
        Ok(self.unchecked())
    }

    fn unchecked(self) -> Sessions {
        let Self { store, policy, clock } = self;
        Sessions(Arc::new(Shared { store, policy, clock, queues: Queues::default() }))
    }
}

impl Sessions {
    /// Sessions in `store` under the default [`Policy`].
    #[must_use]
    pub fn new(store: impl Store) -> Self {
        Self::builder(store).unchecked()
    }

    /// Sessions in `store`, to be set up further.
    pub fn builder(store: impl Store) -> SessionsBuilder {
        SessionsBuilder { store: Arc::new(store), policy: Policy::default(), clock: Arc::new(SystemClock) }
    }

    /// Begins a request: finds the tokens in its `Cookie` header fields. No I/O.
    ///
    /// This and [`Exchange::finish`] are all that an adapter to a web framework calls.
    #[must_use]
    pub fn begin<'a>(&self, cookies: impl IntoIterator<Item = &'a [u8]>) -> Exchange {
        let limit = self.policy().limits.cookie_header;
        Exchange::new(self.clone(), self.policy().cookie.tokens(cookies, limit))
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.0.store
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(crate) fn queues(&self) -> &Queues {
        &self.0.queues
    }
}

/// What operators, jobs and "your devices" pages need.
impl Sessions {
    /// The sessions that match, as a stream of pages loaded as it goes: bounded memory.
    #[must_use]
    pub fn list(&self, filter: Filter) -> List {
        List::new(self.clone(), filter)
    }

    /// One page of at most `limit` sessions, after a cursor from the page before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<SessionInfo>, Error> {
        self.store().scan(filter, after, limit, self.now()).await
    }

    /// How many sessions match. By user and group it costs what listing them costs; all live ones
    /// are counted without looking at each where the store has a way.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count(&self, filter: &Filter) -> Result<u64, Error> {
        self.store().count(filter, self.now()).await
    }

    /// One page of at most `limit` users who are logged in, each with the number of sessions.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn users(&self, after: Option<&Cursor>, limit: usize) -> Result<Page<UserSessions>, Error> {
        self.store().users(after, limit, self.now()).await
    }

    /// The user's session that has been inactive for the longest time.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn oldest(&self, user: &str) -> Result<Option<SessionInfo>, Error> {
        let mut list = self.list(Filter::user(user));
        let mut oldest: Option<SessionInfo> = None;
        while let Some(session) = list.next().await {
            let session = session?;
            if oldest.as_ref().is_none_or(|oldest| session.seen < oldest.seen) {
                oldest = Some(session);
            }
        }
        Ok(oldest)
    }

    /// The session `id`, dead or alive, as long as the store has it. One round trip.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, id: &SessionId) -> Result<Option<SessionInfo>, Error> {
        let now = self.now();
        let found = self.store().load(id).await?;
        Ok(found.map(|found| SessionInfo::new(*id, &found.record, now)))
    }

    /// Whether the session `id` is alive. One round trip.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn exists(&self, id: &SessionId) -> Result<bool, Error> {
        let now = self.now();
        Ok(self.store().load(id).await?.is_some_and(|found| found.record.is_live(now)))
    }

    /// Ends the session `id`; `false` if it is over already. `by` says who did it, for the record.
    /// One round trip.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end(&self, id: &SessionId, reason: EndReason, by: Option<&str>) -> Result<bool, Error> {
        let done = self.store().end(id, &self.ended(reason, by)).await?;
        if done {
            tracing::info!(session.id = %id, reason = reason.as_str(), by, "session ended");
        }
        Ok(done)
    }

    /// Ends every live session that matches; returns how many. A session that is alive when the
    /// call begins is dead when it returns.
    ///
    /// # Errors
    /// When the store fails; some may be ended then. Call again.
    pub async fn end_all(&self, filter: &Filter, reason: EndReason, by: Option<&str>) -> Result<u64, Error> {
        let done = self.store().end_all(filter, &self.ended(reason, by)).await?;
        tracing::info!(sessions = done, reason = reason.as_str(), by, "sessions ended");
        Ok(done)
    }

    /// Ends all sessions of this session's user but this one: "sign out everywhere else". Zero if
    /// nobody is logged in.
    ///
    /// # Errors
    /// When the store fails; some may be ended then. Call again.
    pub async fn end_others(&self, session: &Session, reason: EndReason) -> Result<u64, Error> {
        let Some(user) = session.user() else { return Ok(0) };
        let mut others = Filter::user(user.clone());
        // A session that isn't stored yet isn't among them.
        others.except = session.id();
        self.end_all(&others, reason, Some(&user)).await
    }

    pub(crate) fn ended(&self, reason: EndReason, by: Option<&str>) -> Ended {
        Ended { reason, at: self.now(), by: by.map(str::to_owned) }
    }
}

#[cold]
pub(crate) fn config(detail: &str) -> Error {
    Error::new(ErrorKind::Config, "configure", detail)
}
