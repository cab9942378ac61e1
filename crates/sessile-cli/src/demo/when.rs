//! Moments as people say them.

use std::time::{Duration, SystemTime};

use sessile::Timestamp;

/// A moment as text: how far from now, and in full.
#[derive(Debug)]
pub(super) struct When {
    /// `3 min ago`, `in 2 h`.
    pub(super) short: String,
    /// `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub(super) full: String,
}

impl When {
    pub(super) fn new(at: Timestamp) -> Self {
        Self::seen_from(Timestamp::from(SystemTime::now()), at)
    }

    fn seen_from(now: Timestamp, at: Timestamp) -> Self {
        let full = httpdate::fmt_http_date(SystemTime::from(at));
        let short = match (at > now, at.since(now).max(now.since(at))) {
            (_, distance) if distance < Duration::from_secs(2) => "just now".to_owned(),
            (true, distance) => format!("in {}", span(distance)),
            (false, distance) => format!("{} ago", span(distance)),
        };
        Self { short, full }
    }
}

/// A length of time in its largest unit that leaves at least two of it.
fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [(2 * 86_400, 86_400, "days"), (2 * 3600, 3600, "h"), (120, 60, "min"), (0, 1, "s")];
    let fits = units.into_iter().find(|(least, ..)| seconds >= *least);
    let (_, unit, name) = fits.unwrap_or((0, 1, "s"));
    format!("{} {name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_from_now() {
        let now = Timestamp::from_millis(1_000_000_000_000);
        for (seconds, ago, ahead) in [
            (1, "just now", "just now"),
            (2, "2 s ago", "in 2 s"),
            (119, "119 s ago", "in 119 s"),
            (120, "2 min ago", "in 2 min"),
            (7_199, "119 min ago", "in 119 min"),
            (12 * 3600, "12 h ago", "in 12 h"),
            (48 * 3600, "2 days ago", "in 2 days"),
        ] {
            let length = Duration::from_secs(seconds);
            assert_eq!(When::seen_from(now, now - length).short, ago);
            assert_eq!(When::seen_from(now, now + length).short, ahead);
        }
        assert_eq!(When::seen_from(now, now).full, "Sun, 09 Sep 2001 01:46:40 GMT");
    }
}
