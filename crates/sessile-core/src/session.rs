//! What handlers hold: synchronous access to the request's session.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    change::{Step, check_name, set},
    clock::Timestamp,
    error::Error,
    exchange::Inner,
    key::{AsKey, Name},
    record::{EndReason, Ended, Record, SessionInfo},
    state::State,
    token::SessionId,
    value::{decode, encode},
};

/// The request's session. Clones are the same session.
///
/// Everything here works on what was loaded and is synchronous; the response's layer commits it
/// with one compare-and-set before the head leaves. If another request changed the session
/// meanwhile, this request's changes are done again on the fresher record: keys are merged, and
/// [`update`](Self::update) closures run again, so that none of them is lost.
///
/// ```
/// use sessile_core::{Key, Memory, Sessions};
///
/// const VISITS: Key<u64> = Key::new("visits");
///
/// # pollster::block_on(async {
/// let sessions = Sessions::new(Memory::new());
/// let exchange = sessions.begin([]); // an adapter does this for each request
/// let session = exchange.session().await?;
///
/// assert_eq!(session.update(VISITS, |visits| visits.unwrap_or(0) + 1)?, 1);
/// session.insert("theme", "dark")?;
/// assert_eq!(session.get("theme")?, Some("dark".to_owned()));
///
/// let head = exchange.finish().await?; // and this before the response's head
/// assert!(head.set_cookie.unwrap().starts_with("__Host-id="));
/// # Ok::<(), sessile_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Session(pub(crate) Arc<Inner>);

/// Data.
impl Session {
    /// The value under `key`; `None` if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`](crate::ErrorKind::Decode) if the value has another type.
    pub fn get<T: DeserializeOwned>(&self, key: impl AsKey<T>) -> Result<Option<T>, Error> {
        let state = self.0.state();
        let value = state.visible().and_then(|record| record.data.get(key.name()));
        value.map(|value| decode(key.name(), value)).transpose()
    }

    /// Puts `value` under `key`. Of two requests that do, the later commit wins.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) over a limit of the policy;
    /// [`ErrorKind::Encode`](crate::ErrorKind::Encode) if the value can't be encoded;
    /// [`ErrorKind::Late`](crate::ErrorKind::Late) if the session would begin after the head left.
    /// Nothing is changed then.
    pub fn insert<T: Serialize>(&self, key: impl AsKey<T>, value: T) -> Result<(), Error> {
        let name = key.name().to_owned();
        let value = encode(&name, &value, self.0.sessions.policy().limits.depth)?;
        self.step(Step::Set(name, value))
    }

    /// Puts what `next` makes of the value under `key` there, and returns it. `next` runs again on
    /// the newer value if another request changed the session before this one was committed, so it
    /// must have no effects of its own and must not use the session. No increment is lost.
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`insert`](Self::insert).
    pub fn update<T, F>(&self, key: impl AsKey<T>, next: F) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> T + Send + Sync + 'static,
    {
        let name = key.name().to_owned();
        let policy = self.0.sessions.policy();
        let depth = policy.limits.depth;
        let mut state = self.0.state();
        state.step_with(policy, |record| {
            let old = record.data.get(&name).map(|old| decode(&name, old)).transpose()?;
            let value = next(old);
            let encoded = encode(&name, &value, depth)?;
            set(record, &name, &encoded, &policy.limits)?;
            let again = move |name: &str, old: Option<&[u8]>| {
                let old = old.map(|old| decode(name, old)).transpose()?;
                encode(name, &next(old), depth)
            };
            Ok((value, Step::Update(name, Box::new(again))))
        })
    }

    /// Appends `item` to the list under `key`, as an [`update`](Self::update).
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn push<T>(&self, key: impl AsKey<Vec<T>>, item: T) -> Result<(), Error>
    where
        T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    {
        let append = move |list: Option<Vec<T>>| {
            let mut list = list.unwrap_or_default();
            list.push(item.clone());
            list
        };
        self.update(key, append).map(drop)
    }

    /// Removes what is under `key`; `false` if there is nothing.
    pub fn remove(&self, key: impl Name) -> bool {
        let mut state = self.0.state();
        let name = key.name();
        if state.visible().is_none_or(|record| record.data.get(name).is_none()) {
            return false;
        }
        self.settle(&mut state, Step::Remove(name.to_owned()))
    }

    /// Removes the value under `key` and returns it. A value of another type stays.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn take<T: DeserializeOwned>(&self, key: impl AsKey<T>) -> Result<Option<T>, Error> {
        let mut state = self.0.state();
        let name = key.name();
        let value = state.visible().and_then(|record| record.data.get(name));
        let Some(value) = value.map(|value| decode(name, value)).transpose()? else { return Ok(None) };
        self.settle(&mut state, Step::Remove(name.to_owned()));
        Ok(Some(value))
    }

    /// Whether there is a value under `key`.
    #[must_use]
    pub fn has(&self, key: impl Name) -> bool {
        self.0.state().visible().is_some_and(|record| record.data.get(key.name()).is_some())
    }

    /// The names of all values.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let state = self.0.state();
        state
            .visible()
            .map(|record| record.data.iter().map(|(name, _)| name.to_owned()).collect())
            .unwrap_or_default()
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.state().visible().is_none_or(|record| record.data.is_empty())
    }

    /// Removes all values. Who is logged in stays.
    pub fn clear(&self) {
        let mut state = self.0.state();
        if state.visible().is_some_and(|record| !record.data.is_empty()) {
            self.settle(&mut state, Step::Clear);
        }
    }
}

/// Beginning, renewing and ending.
impl Session {
    /// Binds the session to `user`, who has just been authenticated, and gives it a new token: the
    /// old one is dead at once (OWASP Session Management, "Renew the Session ID After Any Privilege
    /// Level Change"). The absolute timeout begins anew (NIST SP 800-63B-4 §5.2).
    ///
    /// Data of an anonymous session stays. If another user is logged in, that session is ended and
    /// a new one begins without its data.
    ///
    /// # Errors
    /// [`ErrorKind::Late`](crate::ErrorKind::Late) after the head left, since the token can't be
    /// sent; [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) if the name is too long.
    pub fn log_in(&self, user: impl Into<String>) -> Result<(), Error> {
        let user = user.into();
        let mut state = self.0.state();
        state.check_head("nobody can log in")?;
        let other =
            state.visible().and_then(|record| record.user.as_ref()).is_some_and(|owner| *owner != user);
        check_name("log_in", "user", &user, &self.0.sessions.policy().limits)?;
        if other {
            state.end(EndReason::Restarted);
        }
        state.step(Step::LogIn(user), self.0.sessions.policy())
    }

    /// Ends the session: its data is gone, its token dead everywhere, its cookie cleared. What is
    /// put into the session after that begins a new one.
    pub fn destroy(&self) {
        self.0.state().end(EndReason::Logout);
    }

    /// Ends the session and begins an empty one, stored even if nothing is put into it (Express's
    /// `regenerate`).
    ///
    /// # Errors
    /// [`ErrorKind::Late`](crate::ErrorKind::Late) after the head left.
    pub fn restart(&self) -> Result<(), Error> {
        self.0.state().check_head("a session can't begin")?;
        self.0.state().end(EndReason::Restarted);
        self.start()
    }

    /// Gives the session a new token; the old one is dead at once. For any change of privilege;
    /// [`log_in`](Self::log_in) does it by itself.
    ///
    /// # Errors
    /// [`ErrorKind::Late`](crate::ErrorKind::Late) after the head left.
    pub fn renew(&self) -> Result<(), Error> {
        let mut state = self.0.state();
        state.check_head("a new token can't be sent")?;
        if state.has_token() { state.step(Step::Renew, self.0.sessions.policy()) } else { Ok(()) }
    }

    /// Has the session stored and its cookie sent even if it holds nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Late`](crate::ErrorKind::Late) after the head left, if there is no session yet.
    pub fn start(&self) -> Result<(), Error> {
        self.step(Step::Start)
    }

    /// Whether the cookie outlives the browser window: "remember me". Default: it doesn't. The
    /// session's timeouts are the same either way.
    ///
    /// # Errors
    /// [`ErrorKind::Late`](crate::ErrorKind::Late) after the head left.
    pub fn persist(&self, persistent: bool) -> Result<(), Error> {
        self.0.state().check_head("the cookie can't be changed")?;
        self.step(Step::Persist(persistent))
    }

    /// Adds the session to a group.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn join(&self, group: impl Into<String>) -> Result<(), Error> {
        self.step(Step::Join(group.into()))
    }

    /// Removes the session from a group.
    pub fn leave(&self, group: &str) {
        let mut state = self.0.state();
        if state.visible().is_some_and(|record| record.groups.iter().any(|joined| joined == group)) {
            self.settle(&mut state, Step::Leave(group.to_owned()));
        }
    }

    /// Says what the client is, for lists of a user's devices.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn set_device(&self, device: impl Into<String>) -> Result<(), Error> {
        self.step(Step::Device(Some(device.into())))
    }
}

/// What is known about the session.
impl Session {
    /// Its public handle; `None` until it has been stored.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        let state = self.0.state();
        state.base.as_ref().filter(|_| state.ending.is_none()).map(|base| base.token.id())
    }

    /// Whether there is a session: one that was stored, or one that this request has begun.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.0.state().visible().is_some()
    }

    /// Who is logged in.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        self.look(|record| record.user.clone()).flatten()
    }

    /// The groups that the session belongs to.
    #[must_use]
    pub fn groups(&self) -> Vec<String> {
        self.look(|record| record.groups.clone()).unwrap_or_default()
    }

    /// What the client is, if the application said.
    #[must_use]
    pub fn device(&self) -> Option<String> {
        self.look(|record| record.device.clone()).flatten()
    }

    /// When it began.
    #[must_use]
    pub fn created(&self) -> Option<Timestamp> {
        self.look(|record| record.created)
    }

    /// Its last activity before this request, as written down: up to
    /// [`touch_after`](crate::Policy::touch_after) late.
    #[must_use]
    pub fn last_seen(&self) -> Option<Timestamp> {
        self.look(|record| record.seen)
    }

    /// How long before this request that was.
    #[must_use]
    pub fn idle_for(&self) -> Option<Duration> {
        self.last_seen().map(|seen| self.0.sessions.now().since(seen))
    }

    /// When it dies at the latest if it isn't used again.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.look(Record::expires)
    }

    /// How long that is from now.
    #[must_use]
    pub fn expires_in(&self) -> Option<Duration> {
        self.expires().map(|expires| expires.since(self.0.sessions.now()))
    }

    /// Everything that lists show of it; `None` until it has been stored.
    #[must_use]
    pub fn info(&self) -> Option<SessionInfo> {
        let id = self.id()?;
        self.look(|record| SessionInfo::new(id, record, self.0.sessions.now()))
    }

    /// Why the session that the client's token was for is over, if it is: to tell the user.
    /// Needs its tombstone, see [`retention`](crate::Policy::retention).
    #[must_use]
    pub fn over(&self) -> Option<Ended> {
        self.0.state().over.clone()
    }
}

impl Session {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    fn look<T>(&self, look: impl FnOnce(&Record) -> T) -> Option<T> {
        self.0.state().visible().map(look)
    }

    fn step(&self, step: Step) -> Result<(), Error> {
        self.0.state().step(step, self.0.sessions.policy())
    }

    /// Does a step that can't fail: one that makes the session smaller.
    fn settle(&self, state: &mut State, step: Step) -> bool {
        state.step(step, self.0.sessions.policy()).is_ok()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).field("keys", &self.keys()).finish_non_exhaustive()
    }
}
