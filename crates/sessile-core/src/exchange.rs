//! One request and its response: loads the session at most once, commits it before the head.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    clock::Timestamp,
    cookie::Tokens,
    error::{Error, ErrorKind},
    plan::Presented,
    record::{EndReason, Ended, Record},
    session::Session,
    sessions::Sessions,
    state::{Base, CookieChange, State},
    store::Versioned,
    token::Token,
};

/// One request's way through its session. Clones are the same exchange.
///
/// An adapter makes it with [`Sessions::begin`], hands it to the handlers, and asks
/// [`finish`](Self::finish) before the response's head leaves. As long as nobody asks for the
/// [`session`](Self::session), nothing is loaded and nothing is sent.
#[derive(Clone)]
pub struct Exchange(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) sessions: Sessions,
    tokens: Tokens,
    used: AtomicBool,
    /// Held throughout a commit: two of one request would do its changes twice.
    pub(crate) committing: async_lock::Mutex<()>,
    state: Mutex<State>,
}

/// What the response's head needs for its session.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// The value of one `Set-Cookie` field. The response must then be `Cache-Control: no-store`
    /// (OWASP Session Management, "Web Content Caching"). Holds the token: not for logs.
    pub set_cookie: Option<String>,
    /// Whether the response depends on the session: it needs `Vary: Cookie`.
    pub vary_cookie: bool,
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set_cookie = self.set_cookie.as_ref().map(|_| "redacted");
        f.debug_struct("Head")
            .field("set_cookie", &set_cookie)
            .field("vary_cookie", &self.vary_cookie)
            .finish()
    }
}

impl Exchange {
    pub(crate) fn new(sessions: Sessions, tokens: Tokens) -> Self {
        Self(Arc::new(Inner {
            sessions,
            tokens,
            used: AtomicBool::new(false),
            committing: async_lock::Mutex::new(()),
            state: Mutex::default(),
        }))
    }

    /// The sessions that this exchange belongs to.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// The request's session, loaded if it hasn't been: one round trip if the request has a token,
    /// none otherwise. Without a live session the handle is empty; using it begins one.
    ///
    /// # Errors
    /// When the store fails ([`Error::is_transient`]) or the record is damaged
    /// ([`ErrorKind::Corrupt`]; the client's cookie is cleared then, the record left as it is).
    pub async fn session(&self) -> Result<Session, Error> {
        self.0.used.store(true, Ordering::Relaxed);
        if self.0.state().loaded.is_none() {
            self.0.load().await?;
        }
        Ok(Session::new(self.0.clone()))
    }

    /// Whether anybody asked for the session. If not, [`finish`](Self::finish) has nothing to do.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.0.used.load(Ordering::Relaxed)
    }

    /// What the head needs, if nothing has to be written: most requests only read, and cost no
    /// more than this. Otherwise call [`finish`](Self::finish).
    #[must_use]
    pub fn finish_unchanged(&self) -> Option<Head> {
        if !self.is_used() {
            return Some(Head::default());
        }
        let mut state = self.0.state();
        state.is_unchanged(self.0.sessions.policy()).then(|| self.0.head(&mut state))
    }

    /// Commits what the handlers did and says what the head needs. To be called once, before the
    /// head leaves. Costs nothing if nothing changed, else one round trip; when another request won
    /// the race, two more for each time.
    ///
    /// # Errors
    /// If the changes could not be saved: the client must not hear that they were.
    pub async fn finish(&self) -> Result<Head, Error> {
        if !self.is_used() {
            return Ok(Head::default());
        }
        // From here on no cookie can be promised, even if this future is dropped.
        self.0.state().head_sent = true;
        let committed = self.0.commit().await;
        let mut state = self.0.state();
        if let Err(error) = committed {
            state.ending = None;
            state.forget_changes();
            return Err(error);
        }
        Ok(self.0.head(&mut state))
    }

    /// Nothing more can be sent: to be called when [`finish`](Self::finish) failed or won't be called.
    /// Gives what even an error's head needs: a token that was stored already must reach the client.
    pub fn close(&self) -> Head {
        let mut state = self.0.state();
        if self.is_used() { self.0.head(&mut state) } else { Head::default() }
    }
}

impl Inner {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic can only come from a closure of the application's, before anything was changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head, after which no cookie can be sent.
    fn head(&self, state: &mut State) -> Head {
        state.head_sent = true;
        let cookie = &self.sessions.policy().cookie;
        let set_cookie = state.cookie.take().map(|change| match change {
            CookieChange::Clear => cookie.clear(),
            CookieChange::Set(token) => {
                let persistent =
                    state.base.as_ref().map(|base| &base.record).filter(|record| record.persistent);
                cookie
                    .set(&token, persistent.map(|record| record.lifetime.deadline.since(self.sessions.now())))
            }
        });
        Head { set_cookie, vary_cookie: true }
    }

    /// Finds the live session that one of the presented tokens opens.
    async fn load(&self) -> Result<(), Error> {
        let now = self.sessions.now();
        let (mut opened, mut over) = (None, None);
        for token in self.tokens.iter().flatten() {
            let id = token.id();
            let loaded = self.sessions.store().load(&id).await;
            if loaded.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt) {
                tracing::error!(session.id = %id, "damaged session; the client begins anew");
                self.state().cookie = Some(CookieChange::Clear);
            }
            let Some(found) = loaded? else {
                tracing::info!(session.id = %id, "token refused: no such session");
                continue;
            };
            let current = found.record.secret;
            match admit(token, found, now, now) {
                Admission::Open(base) => {
                    opened = Some(base);
                    break;
                }
                Admission::Over(ended) => {
                    tracing::info!(session.id = %id, reason = ended.reason.as_str(), "token refused: session is over");
                    over = Some(ended);
                }
                Admission::Wrong => tracing::warn!(session.id = %id, "token refused: wrong secret"),
                // The client has the current one too: a leftover under another path or domain.
                Admission::Retired if self.tokens.iter().flatten().any(|other| other.hash() == current) => {}
                Admission::Retired => {
                    tracing::warn!(session.id = %id, "retired token presented: somebody holds a copy; session ended");
                    let ended = self.sessions.ended(EndReason::TokenReuse, None);
                    self.sessions.store().end(&id, &ended).await?;
                    over = Some(ended);
                }
            }
        }
        let mut state = self.state();
        // Two extractors at once: the first to arrive decides what both see.
        if state.loaded.is_none() {
            state.loaded = Some(now);
            state.over = over;
            if let Some(base) = opened {
                state.open(base);
            }
        }
        Ok(())
    }
}

/// What a token opens.
pub(crate) enum Admission {
    Open(Base),
    /// Its session, but that is over.
    Over(Ended),
    /// Its session, but the token was replaced and its grace window is over.
    Retired,
    /// Nothing.
    Wrong,
}

/// What `token`, presented at `presented_at`, opens in the record that is found `now`.
pub(crate) fn admit(token: &Token, found: Versioned, presented_at: Timestamp, now: Timestamp) -> Admission {
    let Some(presented) = presented(token, &found.record, presented_at) else { return Admission::Wrong };
    if let Some(ended) = found.record.ended_at(now) {
        return Admission::Over(ended);
    }
    let Some(presented) = presented else { return Admission::Retired };
    let Versioned { record, version } = found;
    Admission::Open(Base { token: token.clone(), presented, version, record })
}

/// Which of the record's tokens this is: `None` for neither, `Some(None)` for one whose grace
/// window is over. Compares in constant time.
fn presented(token: &Token, record: &Record, now: Timestamp) -> Option<Option<Presented>> {
    let hash = token.hash();
    if hash == record.secret {
        return Some(Some(Presented::Current));
    }
    let previous = record.previous.as_ref().filter(|previous| previous.secret == hash)?;
    let good = previous.until.is_none_or(|until| now < until);
    Some(good.then_some(Presented::Previous))
}

impl Drop for Inner {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.head_sent && state.is_dirty() {
            tracing::error!(
                session.id = state.base.as_ref().map(|base| tracing::field::display(base.token.id())),
                "a session was changed after the response's head left and never saved: the change is lost; \
                 call session.save().await"
            );
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("tokens", &self.0.tokens)
            .field("used", &self.is_used())
            .finish_non_exhaustive()
    }
}
