//! What the tests share: sessions to store, and child processes.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use sessile_core::{
    Data, EndReason, Ended, Expect, Lifetime, Put, Record, SessionId, Store, Timestamp, Token, Version,
};
use sessile_file::Embedded;

pub(crate) use sessile_core::testing::block_on;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A moment, in seconds.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// When the tests' sessions begin.
pub(crate) fn start() -> Timestamp {
    at(1_700_000_000)
}

/// One id for each number, spread over all ids.
pub(crate) fn id(number: u64) -> SessionId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    SessionId::from_bytes(bytes)
}

/// A session that is alive for an hour at least, and a tombstone for a day.
pub(crate) fn record(user: Option<&str>) -> Record {
    let mut data = Data::new();
    data.set("cart", &[0xc4, 2, 1, 2]);
    Record {
        secret: Token::generate().unwrap().hash(),
        previous: None,
        user: user.map(str::to_owned),
        groups: vec!["all".into(), "staff".into()],
        created: start(),
        seen: start(),
        renewed: start(),
        lifetime: Lifetime {
            idle: HOUR,
            slack: HOUR / 10,
            deadline: start() + HOUR * 12,
            retention: HOUR * 24,
        },
        persistent: false,
        device: Some("Firefox".into()),
        ended: None,
        data,
    }
}

pub(crate) fn killed(at: Timestamp) -> Ended {
    Ended { reason: EndReason::Killed, at, by: Some("test".into()) }
}

/// Begins a session, which must not exist.
pub(crate) fn begin(store: &Embedded, id: SessionId, record: &Record) -> Version {
    match block_on(store.put(&id, record, Expect::Absent, start())).unwrap() {
        Put::Stored(version) => version,
        other => panic!("{other:?}"),
    }
}

/// The number under "n".
pub(crate) fn number(record: &Record) -> u64 {
    record.data.get("n").map_or(0, |value| u64::from_be_bytes(value.try_into().unwrap()))
}

/// Adds one to the number under "n", as often as it takes.
pub(crate) fn increment(store: &Embedded, id: &SessionId) -> u64 {
    loop {
        let mut found = block_on(store.load(id)).unwrap().unwrap();
        let next = number(&found.record) + 1;
        std::sync::Arc::make_mut(&mut found.record).data.set("n", &next.to_be_bytes());
        let put = store.put(id, &found.record, Expect::Version(found.version), start());
        match block_on(put).unwrap() {
            Put::Stored(_) => return next,
            Put::Conflict => {}
            Put::Gone => panic!("the session is gone"),
        }
    }
}

/// What a child process is to do; `None` in the parent.
pub(crate) fn task() -> Option<Vec<String>> {
    std::env::var(TASK).ok().map(|task| task.split('\n').map(str::to_owned).collect())
}

/// Starts this test program again, to run the test `child` alone, with a task.
pub(crate) fn start_child(task: &[&str]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(TASK, task.join("\n"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

const TASK: &str = "SESSILE_TEST_TASK";

/// Random numbers, the same for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
