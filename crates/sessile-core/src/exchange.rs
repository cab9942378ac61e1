//! One request and its response: loads the session at most once, commits it before the head.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_lock::OnceCell;

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind},
    plan::Presented,
    record::{EndReason, Record},
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
    tokens: Vec<Token>,
    used: AtomicBool,
    loaded: OnceCell<()>,
    /// Held during a commit, so that two of one request don't race each other.
    pub(crate) committing: async_lock::Mutex<()>,
    state: Mutex<State>,
}

/// What the response's head needs for its session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// The value of one `Set-Cookie` field. The response must then be `Cache-Control: no-store`
    /// (OWASP Session Management, "Web Content Caching"). Holds the token: not for logs.
    pub set_cookie: Option<String>,
    /// Whether the response depends on the session: it needs `Vary: Cookie`.
    pub vary_cookie: bool,
}

impl Exchange {
    pub(crate) fn new(sessions: Sessions, tokens: Vec<Token>) -> Self {
        Self(Arc::new(Inner {
            sessions,
            tokens,
            used: AtomicBool::new(false),
            loaded: OnceCell::new(),
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
        self.0.loaded.get_or_try_init(|| self.0.load()).await?;
        Ok(Session::new(self.0.clone()))
    }

    /// Whether anybody asked for the session. If not, [`finish`](Self::finish) has nothing to do.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.0.used.load(Ordering::Relaxed)
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
        let committed = self.0.commit().await;
        let mut state = self.0.state();
        state.head_sent = true;
        if committed.is_err() {
            state.forget_changes();
            state.ending = None;
        }
        committed?;
        let policy = self.0.sessions.policy();
        let set_cookie = state.cookie.take().map(|change| match change {
            CookieChange::Clear => policy.cookie.clear(),
            CookieChange::Set(token) => {
                let persistent =
                    state.base.as_ref().map(|base| &base.record).filter(|record| record.persistent);
                let left = persistent.map(|record| record.lifetime.deadline.since(self.0.sessions.now()));
                policy.cookie.set(&token, left)
            }
        });
        Ok(Head { set_cookie, vary_cookie: true })
    }
}

impl Inner {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic can only come from a closure of the application's, before anything was changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the live session that one of the presented tokens opens.
    async fn load(&self) -> Result<(), Error> {
        for token in &self.tokens {
            let loaded = self.sessions.store().load(&token.id()).await;
            if loaded.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt) {
                tracing::error!(session.id = %token.id(), "damaged session; the client begins anew");
                self.state().cookie = Some(CookieChange::Clear);
            }
            let Some(found) = loaded? else {
                tracing::info!(session.id = %token.id(), "token refused: no such session");
                continue;
            };
            if let Some(base) = self.admit(token, found).await? {
                self.state().open(base);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether `token` opens the session that was found under its id.
    pub(crate) async fn admit(&self, token: &Token, found: Versioned) -> Result<Option<Base>, Error> {
        let now = self.sessions.now();
        let id = token.id();
        let Some(presented) = presented(token, &found.record, now) else {
            tracing::warn!(session.id = %id, "token refused: wrong secret");
            return Ok(None);
        };
        if let Some(ended) = found.record.ended_at(now) {
            tracing::warn!(session.id = %id, reason = ended.reason.as_str(), "token refused: session is over");
            self.state().over = Some(ended);
            return Ok(None);
        }
        let Some(presented) = presented else {
            tracing::warn!(session.id = %id, "retired token presented: somebody holds a copy; session ended");
            let ended = self.sessions.ended(EndReason::TokenReuse, None);
            self.sessions.store().end(&id, &ended).await?;
            self.state().over = Some(ended);
            return Ok(None);
        };
        let Versioned { record, version } = found;
        Ok(Some(Base { token: token.clone(), presented, version, record: Arc::new(record) }))
    }
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
