//! What a store keeps of a session, and the one definition of whether it is alive.

use std::{fmt, str::FromStr, time::Duration};

use crate::{
    clock::Timestamp,
    data::Data,
    token::{Nonce, SecretHash, SessionId},
};

/// A session as a store keeps it: header and data. Holds no token.
///
/// Whether a record is alive, when it expires and when it may be removed is decided here, by
/// [`ended_at`](Self::ended_at), [`expires`](Self::expires) and [`fate`](Self::fate); stores ask
/// these instead of deciding themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Hash of the secret that the current token carries.
    pub secret: SecretHash,
    /// The token before the last periodic renewal.
    pub previous: Option<Previous>,
    /// Who is logged in.
    pub user: Option<String>,
    /// Groups the session belongs to: sorted, without repeats.
    pub groups: Vec<String>,
    /// When the session began.
    pub created: Timestamp,
    /// Last activity that was written down.
    pub seen: Timestamp,
    /// When the current token was issued.
    pub renewed: Timestamp,
    /// How long the session lives.
    pub lifetime: Lifetime,
    /// Whether its cookie outlives the browser window.
    pub persistent: bool,
    /// What the client calls itself, if the application told.
    pub device: Option<String>,
    /// Set once the session has been ended: the record is a tombstone and its data is dropped.
    pub ended: Option<Ended>,
    /// The application's data.
    pub data: Data,
}

/// The limits of a session's life, fixed in its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Longest time without activity; [`Duration::MAX`] for none.
    pub idle: Duration,
    /// How late [`Record::seen`] may be, since touches are throttled. Added to `idle`, so that
    /// the throttle never makes a session die early.
    pub slack: Duration,
    /// The absolute timeout: no activity moves it.
    pub deadline: Timestamp,
    /// How long the tombstone is kept after the end.
    pub retention: Duration,
}

/// A token that was retired by a periodic renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous {
    /// Hash of its secret.
    pub secret: SecretHash,
    /// With the retired token, gives the current one.
    pub nonce: Nonce,
    /// The end of its grace window, which opens when the current token is first used; `None`
    /// until then: the client may never have received it.
    pub until: Option<Timestamp>,
}

/// That a session is over, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub reason: EndReason,
    /// When.
    pub at: Timestamp,
    /// Who did it: an operator, the user from another device, a job.
    pub by: Option<String>,
}

/// What ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The user logged out, here.
    Logout,
    /// An operator, the application, or the user from another device.
    Killed,
    /// A limit on sessions.
    Evicted,
    /// The user's password was changed.
    PasswordChanged,
    /// No activity for too long.
    Idle,
    /// The absolute timeout.
    Absolute,
    /// A retired token was presented: somebody holds a copy.
    TokenReuse,
    /// Replaced by a new session of the same client.
    Restarted,
}

impl EndReason {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Logout, "logout"),
        (Self::Killed, "killed"),
        (Self::Evicted, "evicted"),
        (Self::PasswordChanged, "password-changed"),
        (Self::Idle, "idle"),
        (Self::Absolute, "absolute"),
        (Self::TokenReuse, "token-reuse"),
        (Self::Restarted, "restarted"),
    ];

    /// The stable name, for logs and stores with columns: `"logout"`, `"idle"`, …
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL[usize::from(self.code())].1
    }

    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).map(|(reason, _)| *reason)
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no [`EndReason`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownEndReason;

impl fmt::Display for UnknownEndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no reason for a session's end has this name")
    }
}

impl std::error::Error for UnknownEndReason {}

impl FromStr for EndReason {
    type Err = UnknownEndReason;

    fn from_str(name: &str) -> Result<Self, UnknownEndReason> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(reason, _)| *reason).ok_or(UnknownEndReason)
    }
}

/// What a sweeper has to do with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Nothing yet; look again when [`Record::due`] comes.
    Keep,
    /// Turn it into a tombstone: see [`Record::entomb`].
    Entomb(Ended),
    /// Remove it.
    Remove,
}

impl Record {
    /// When the session dies unless it is used: the earlier of both timeouts.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.lifetime.deadline.min(self.seen + self.lifetime.idle + self.lifetime.slack)
    }

    /// How the session is over at `now`; `None` while it is alive. **The** definition of "live"
    /// for load, list, count and end alike.
    #[must_use]
    pub fn ended_at(&self, now: Timestamp) -> Option<Ended> {
        if self.ended.is_some() {
            return self.ended.clone();
        }
        let at = self.expires();
        let reason = if at == self.lifetime.deadline { EndReason::Absolute } else { EndReason::Idle };
        (at <= now).then_some(Ended { reason, at, by: None })
    }

    /// Whether the session is alive at `now`. Same answer as [`ended_at`](Self::ended_at).
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.expires()
    }

    /// When a sweeper next has something to do here: expiry, or the tombstone's removal.
    #[must_use]
    pub fn due(&self) -> Timestamp {
        match &self.ended {
            Some(ended) => ended.at + self.lifetime.retention,
            None => self.expires(),
        }
    }

    /// What a sweeper that runs at `now` has to do with this record.
    #[must_use]
    pub fn fate(&self, now: Timestamp) -> Fate {
        match self.ended_at(now) {
            None => Fate::Keep,
            Some(ended) if now >= ended.at + self.lifetime.retention => Fate::Remove,
            Some(_) if self.ended.is_some() => Fate::Keep,
            Some(ended) => Fate::Entomb(ended),
        }
    }

    /// Makes this a tombstone: keeps who, when and why, drops the data.
    pub fn entomb(&mut self, ended: Ended) {
        self.ended = Some(ended);
        self.data = Data::new();
    }
}

/// A session as lists show it: everything but its data and secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Its public handle.
    pub id: SessionId,
    /// Who is logged in.
    pub user: Option<String>,
    /// Groups it belongs to.
    pub groups: Vec<String>,
    /// When it began.
    pub created: Timestamp,
    /// Last activity that was written down.
    pub seen: Timestamp,
    /// When it dies unless it is used.
    pub expires: Timestamp,
    /// Whether its cookie outlives the browser window.
    pub persistent: bool,
    /// What the client calls itself.
    pub device: Option<String>,
    /// How it is over, if it is.
    pub ended: Option<Ended>,
    /// Number of keys in its data.
    pub keys: usize,
    /// Bytes that its data takes.
    pub size: usize,
}

impl SessionInfo {
    /// What a list made at `now` shows of `record`.
    #[must_use]
    pub fn new(id: SessionId, record: &Record, now: Timestamp) -> Self {
        Self {
            id,
            user: record.user.clone(),
            groups: record.groups.clone(),
            created: record.created,
            seen: record.seen,
            expires: record.expires(),
            persistent: record.persistent,
            device: record.device.clone(),
            ended: record.ended_at(now),
            keys: record.data.len(),
            size: record.data.size(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_stable_names_and_codes() {
        for (code, (reason, name)) in EndReason::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(reason.code()), code);
            assert_eq!(EndReason::from_code(reason.code()), Some(reason));
            assert_eq!(name.parse(), Ok(reason));
        }
        assert_eq!(EndReason::from_code(200), None);
    }
}
