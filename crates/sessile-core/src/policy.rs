//! How long sessions live, what their cookie looks like and how large they may be.

use std::time::Duration;

use crate::{
    clock::{Timestamp, millis},
    cookie::Cookie,
    error::Error,
    record::Lifetime,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The rules that sessions live by. Every field has a safe default; setters replace one each.
///
/// ```
/// use std::time::Duration;
/// use sessile_core::Policy;
///
/// let policy = Policy::default().idle_timeout(Duration::from_secs(15 * 60));
/// assert_eq!(policy.absolute_timeout, Duration::from_secs(12 * 60 * 60));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Policy {
    /// Longest time without activity. Default 30 minutes (OWASP: 15 to 30 for low risk).
    pub idle_timeout: Duration,
    /// Longest life, whatever the activity, counted from the beginning or the latest log-in.
    /// Default 12 hours (NIST SP 800-63B-4, AAL3).
    pub absolute_timeout: Duration,
    /// Last-seen is written down when it is older than this; until then a read costs no write.
    /// Added to the idle timeout of each session, so no session dies early for it. Default: a
    /// tenth of the idle timeout, at most 5 minutes.
    pub touch_after: Option<Duration>,
    /// Replaces the token of a session that has been in use for this long. Default: never;
    /// log-in renews anyway.
    pub renew_after: Option<Duration>,
    /// How long a retired token still works once its successor has been used. Default 1 minute.
    pub renewal_grace: Duration,
    /// How long the end of a user's session stays on record. Default 1 day. Anonymous sessions
    /// leave nothing.
    pub retention: Duration,
    /// How long a request waits for the store, once to load and once to save. Kept by the adapters,
    /// since core has no timer. Default 2 seconds.
    pub store_timeout: Duration,
    /// The cookie.
    pub cookie: Cookie,
    /// What a session may hold.
    pub limits: Limits,
}

/// What input and data may measure. Over a limit: a clear error, nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of `Cookie` header looked at in one request; the rest is ignored. Default 16 KiB.
    pub cookie_header: usize,
    /// Bytes of a session's data as stored. Default 64 KiB.
    pub data: usize,
    /// Keys in a session. Default 1,024.
    pub keys: usize,
    /// Nesting of one value. Default 32.
    pub depth: usize,
    /// Bytes in the name of a user, group or device. Default 1,024.
    pub name: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cookie_header: 16 << 10, data: 64 << 10, keys: 1024, depth: 32, name: 1024 }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            idle_timeout: 30 * MINUTE,
            absolute_timeout: 12 * HOUR,
            touch_after: None,
            renew_after: None,
            renewal_grace: MINUTE,
            retention: DAY,
            store_timeout: Duration::from_secs(2),
            cookie: Cookie::default(),
            limits: Limits::default(),
        }
    }
}

impl Policy {
    /// NIST SP 800-63B-4 authentication assurance level 1: 30 days overall, no idle timeout.
    #[must_use]
    pub fn aal1() -> Self {
        Self::default().absolute_timeout(30 * DAY).idle_timeout(Duration::MAX)
    }

    /// NIST SP 800-63B-4 authentication assurance level 2: 24 hours overall, 1 hour idle.
    #[must_use]
    pub fn aal2() -> Self {
        Self::default().absolute_timeout(DAY).idle_timeout(HOUR)
    }

    /// NIST SP 800-63B-4 authentication assurance level 3: 12 hours overall, 15 minutes idle.
    #[must_use]
    pub fn aal3() -> Self {
        Self::default().absolute_timeout(12 * HOUR).idle_timeout(15 * MINUTE)
    }

    /// Sets [`idle_timeout`](Self::idle_timeout); [`Duration::MAX`] for none.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sets [`absolute_timeout`](Self::absolute_timeout).
    #[must_use]
    pub fn absolute_timeout(mut self, timeout: Duration) -> Self {
        self.absolute_timeout = timeout;
        self
    }

    /// Sets [`touch_after`](Self::touch_after).
    #[must_use]
    pub fn touch_after(mut self, age: Duration) -> Self {
        self.touch_after = Some(age);
        self
    }

    /// Sets [`renew_after`](Self::renew_after).
    #[must_use]
    pub fn renew_after(mut self, age: Duration) -> Self {
        self.renew_after = Some(age);
        self
    }

    /// Sets [`renewal_grace`](Self::renewal_grace).
    #[must_use]
    pub fn renewal_grace(mut self, grace: Duration) -> Self {
        self.renewal_grace = grace;
        self
    }

    /// Sets [`retention`](Self::retention).
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Sets [`store_timeout`](Self::store_timeout).
    #[must_use]
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// Sets the [`cookie`](Self::cookie).
    #[must_use]
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.cookie = cookie;
        self
    }

    /// Sets the [`limits`](Self::limits).
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// **Only for development on `http://localhost`:** a cookie named `id` without `Secure`, which
    /// anybody on the network path can read and replace.
    #[must_use]
    pub fn insecure_for_localhost(mut self) -> Self {
        self.cookie = self.cookie.insecure_for_localhost();
        self
    }

    /// Refuses settings that browsers would drop or that leave no working session.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |detail: &str| Err(crate::sessions::config(detail));
        if millis(self.idle_timeout) == 0 || millis(self.absolute_timeout) == 0 {
            return refuse("a timeout under a millisecond ends every session at once; make it longer");
        }
        if self.renew_after.is_some() && millis(self.renewal_grace) == 0 {
            return refuse("renewal without grace logs out whoever sends two requests at once; give some");
        }
        if self.touch_interval() > self.idle_timeout {
            return refuse("touch_after is longer than idle_timeout; make it shorter");
        }
        if self.limits.cookie_header < self.cookie.name.len() + crate::Token::CHARS + 1 {
            return refuse("limits.cookie_header is too small to hold the session cookie");
        }
        self.cookie.check()
    }

    fn touch_interval(&self) -> Duration {
        self.touch_after.unwrap_or_else(|| (self.idle_timeout / 10).min(5 * MINUTE))
    }

    /// The life of an anonymous session that begins `now`.
    pub(crate) fn lifetime(&self, now: Timestamp) -> Lifetime {
        Lifetime {
            idle: self.idle_timeout,
            slack: self.touch_interval(),
            deadline: now + self.absolute_timeout,
            retention: Duration::ZERO,
        }
    }
}
