//! One way to say which sessions are meant: for list, count and end alike.

use std::{ops::RangeInclusive, time::Duration};

use crate::{clock::Timestamp, record::Record, token::SessionId};

/// Which sessions a list, a count or an end is about. All conditions must hold.
///
/// ```
/// use std::time::Duration;
/// use sessile_core::Filter;
///
/// let online = Filter::user("ferris").seen_within(Duration::from_secs(300));
/// let phones = Filter::all().device("iPhone");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Whose sessions.
    pub owner: Owner,
    /// Dead or alive.
    pub state: State,
    /// Active within this time before now.
    pub seen_within: Option<Duration>,
    /// Begun in this range.
    pub created: Option<RangeInclusive<Timestamp>>,
    /// Expiring in this range.
    pub expires: Option<RangeInclusive<Timestamp>>,
    /// The device's name contains this text, whatever its case.
    pub device: Option<String>,
    /// All but this session.
    pub except: Option<SessionId>,
}

/// Whose sessions a [`Filter`] is about. Each of these is served by an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Everybody's.
    Anyone,
    /// One user's.
    User(String),
    /// A group's.
    Group(String),
}

/// Whether a [`Filter`] is about the living or the dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Live sessions: those that a token can still open.
    Live,
    /// Sessions that are over, as long as their tombstones are kept.
    Ended,
    /// Both.
    Any,
}

impl Filter {
    /// Every live session.
    #[must_use]
    pub fn all() -> Self {
        Self::owned_by(Owner::Anyone)
    }

    /// The live sessions of `user`.
    #[must_use]
    pub fn user(user: impl Into<String>) -> Self {
        Self::owned_by(Owner::User(user.into()))
    }

    /// The live sessions in `group`.
    #[must_use]
    pub fn group(group: impl Into<String>) -> Self {
        Self::owned_by(Owner::Group(group.into()))
    }

    fn owned_by(owner: Owner) -> Self {
        Self {
            owner,
            state: State::Live,
            seen_within: None,
            created: None,
            expires: None,
            device: None,
            except: None,
        }
    }

    /// Live ones (the default), ended ones, or both.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// Only those active within `duration` before now.
    #[must_use]
    pub fn seen_within(mut self, duration: Duration) -> Self {
        self.seen_within = Some(duration);
        self
    }

    /// Only those begun in `range`.
    #[must_use]
    pub fn created(mut self, range: RangeInclusive<Timestamp>) -> Self {
        self.created = Some(range);
        self
    }

    /// Only those that expire in `range` unless they are used.
    #[must_use]
    pub fn expires(mut self, range: RangeInclusive<Timestamp>) -> Self {
        self.expires = Some(range);
        self
    }

    /// Only those whose device contains `text`, whatever its case.
    #[must_use]
    pub fn device(mut self, text: impl Into<String>) -> Self {
        self.device = Some(text.into());
        self
    }

    /// All of them but `id`.
    #[must_use]
    pub fn except(mut self, id: SessionId) -> Self {
        self.except = Some(id);
        self
    }

    /// Whether the session is meant, at `now`. Stores find candidates by index and ask this.
    #[must_use]
    pub fn matches(&self, id: &SessionId, record: &Record, now: Timestamp) -> bool {
        let owner = match &self.owner {
            Owner::Anyone => true,
            Owner::User(user) => record.user.as_ref() == Some(user),
            Owner::Group(group) => record.groups.contains(group),
        };
        owner
            && self.matches_state(record, now)
            && self.except.as_ref() != Some(id)
            && self.seen_within.is_none_or(|within| record.seen >= now - within)
            && self.created.as_ref().is_none_or(|range| range.contains(&record.created))
            && self.expires.as_ref().is_none_or(|range| range.contains(&record.expires()))
            && self.device.as_ref().is_none_or(|text| contains(record.device.as_deref(), text))
    }

    fn matches_state(&self, record: &Record, now: Timestamp) -> bool {
        match (self.state, record.ended_at(now)) {
            (State::Live | State::Any, None) => true,
            (State::Live, Some(_)) | (State::Ended, None) => false,
            // A tombstone whose time is up counts as removed, swept or not.
            (State::Ended | State::Any, Some(ended)) => now < ended.at + record.lifetime.retention,
        }
    }
}

fn contains(device: Option<&str>, text: &str) -> bool {
    device.is_some_and(|device| device.to_lowercase().contains(&text.to_lowercase()))
}
