//! Short ways to call a memory store, whose futures are ready when first polled.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use sessile_core::{
    Cursor, Data, EndReason, Ended, Error, Expect, Filter, Lifetime, Memory, Page, Put, Record, SecretHash,
    SessionId, SessionInfo, Store, Swept, Timestamp, UserSessions, Version, Versioned,
};

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn id(n: u32) -> SessionId {
    let mut bytes = [0; 16];
    bytes[12..].copy_from_slice(&n.to_be_bytes());
    SessionId::from_bytes(bytes)
}

pub(crate) fn killed(now: u64) -> Ended {
    Ended { reason: EndReason::Killed, at: at(now), by: None }
}

/// An anonymous session that expires a minute after `seen`.
pub(crate) fn record(seen: u64) -> Record {
    Record {
        secret: SecretHash::from_bytes([7; 32]),
        previous: None,
        user: None,
        groups: Vec::new(),
        created: at(seen),
        seen: at(seen),
        renewed: at(seen),
        lifetime: Lifetime {
            idle: Duration::from_secs(50),
            slack: Duration::from_secs(10),
            deadline: at(seen + 1_000_000),
            retention: Duration::ZERO,
        },
        persistent: false,
        device: None,
        ended: None,
        data: Data::new(),
    }
}

/// The same for a user.
pub(crate) fn owned(user: &str, seen: u64) -> Record {
    Record { user: Some(user.into()), ..record(seen) }
}

/// With so many bytes of data.
pub(crate) fn sized(bytes: usize, record: Record) -> Record {
    let mut data = Data::new();
    data.set("", &vec![0; bytes]);
    Record { data, ..record }
}

fn ready<T>(mut future: Pin<Box<dyn Future<Output = T> + Send + '_>>) -> T {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the memory store waits"),
    }
}

pub(crate) trait Calls {
    fn read(&self, n: u32) -> Option<Versioned>;
    fn ready_put(&self, n: u32, record: &Record, expect: Expect, now: u64) -> Result<Put, Error>;
    fn ready_touch(&self, n: u32, now: u64) -> bool;
    fn ready_end(&self, n: u32, ended: &Ended) -> bool;
    fn ready_end_all(&self, filter: &Filter, ended: &Ended) -> u64;
    fn ready_sweep(&self, now: u64, limit: usize) -> Swept;
    fn ready_scan(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
        now: u64,
    ) -> Result<Page<SessionInfo>, Error>;
    fn ready_users(
        &self,
        after: Option<&Cursor>,
        limit: usize,
        now: u64,
    ) -> Result<Page<UserSessions>, Error>;
    fn total(&self, filter: &Filter, now: u64) -> u64;

    /// A new session must begin.
    fn begin(&self, n: u32, record: &Record) -> Version {
        match self.ready_put(n, record, Expect::Absent, record.seen.as_millis()) {
            Ok(Put::Stored(version)) => version,
            other => panic!("{other:?}"),
        }
    }

    /// A put must be stored.
    fn write(&self, n: u32, record: &Record, version: Version) -> Version {
        match self.ready_put(n, record, Expect::Version(version), record.seen.as_millis()) {
            Ok(Put::Stored(version)) => version,
            other => panic!("{other:?}"),
        }
    }

    /// Which of these sessions are there.
    fn present(&self, numbers: RangeInclusive<u32>) -> Vec<u32> {
        numbers.filter(|n| self.read(*n).is_some()).collect()
    }

    /// All pages of a scan.
    fn all(&self, filter: &Filter, now: u64, limit: usize) -> Vec<SessionInfo> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.ready_scan(filter, after.as_ref(), limit, now).unwrap();
            assert!(page.items.len() <= limit);
            all.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return all,
            }
        }
    }

    /// All pages of users.
    fn every_user(&self, now: u64, limit: usize) -> BTreeMap<String, u64> {
        let (mut all, mut after) = (BTreeMap::new(), None);
        loop {
            let page = self.ready_users(after.as_ref(), limit, now).unwrap();
            assert!(page.items.len() <= limit);
            for found in page.items {
                assert_eq!(all.insert(found.user, found.sessions), None, "each user comes once");
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return all,
            }
        }
    }
}

impl Calls for Memory {
    fn read(&self, n: u32) -> Option<Versioned> {
        ready(self.load(&id(n))).unwrap()
    }

    fn ready_put(&self, n: u32, record: &Record, expect: Expect, now: u64) -> Result<Put, Error> {
        ready(self.put(&id(n), record, expect, at(now)))
    }

    fn ready_touch(&self, n: u32, now: u64) -> bool {
        ready(self.touch(&id(n), at(now))).unwrap()
    }

    fn ready_end(&self, n: u32, ended: &Ended) -> bool {
        ready(self.end(&id(n), ended)).unwrap()
    }

    fn ready_end_all(&self, filter: &Filter, ended: &Ended) -> u64 {
        ready(self.end_all(filter, ended)).unwrap()
    }

    fn ready_sweep(&self, now: u64, limit: usize) -> Swept {
        ready(self.sweep(at(now), limit)).unwrap()
    }

    fn ready_scan(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        limit: usize,
        now: u64,
    ) -> Result<Page<SessionInfo>, Error> {
        ready(self.scan(filter, after, limit, at(now)))
    }

    fn ready_users(
        &self,
        after: Option<&Cursor>,
        limit: usize,
        now: u64,
    ) -> Result<Page<UserSessions>, Error> {
        ready(self.users(after, limit, at(now)))
    }

    fn total(&self, filter: &Filter, now: u64) -> u64 {
        ready(self.count(filter, at(now))).unwrap()
    }
}
