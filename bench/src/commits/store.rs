//! Writers through the store: what an application gets.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    path::Path,
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use sessile::{
    Clock, SessionId, SystemClock, Timestamp,
    store::{Data, Durability, Embedded, Expect, Lifetime, Put, Record, SecretHash, Store, Version},
};
use tokio::task::JoinSet;

use super::{Writer, raw::stamp};

const HOUR: Duration = Duration::from_secs(60 * 60);
const PAYLOAD: u8 = 200;

/// Updates by compare-and-set.
pub struct Through {
    store: Embedded,
    record: Record,
    payload: Vec<u8>,
    sessions: Vec<(SessionId, Version)>,
    written: u64,
}

/// Makes a database with so many sessions, shared out among so many writers.
pub async fn seed(path: &Path, writers: usize, sessions: usize) -> Result<Vec<Through>> {
    let store = Embedded::options().durability(Durability::EveryCommit).open(path)?;
    let mut seeding = JoinSet::new();
    for first in 0..writers {
        let mut writer = Through::new(&store, format!("user-{first:04}"));
        seeding.spawn(async move {
            for number in (first..sessions).step_by(writers) {
                writer.begin(id(number)).await?;
            }
            Ok(writer)
        });
    }
    seeding.join_all().await.into_iter().collect()
}

impl Through {
    fn new(store: &Embedded, user: String) -> Self {
        let now = SystemClock.now();
        let lifetime = Lifetime { idle: HOUR, slack: HOUR / 10, deadline: now + 24 * HOUR, retention: HOUR };
        // MessagePack: so many bytes.
        let mut payload = vec![0xc4, PAYLOAD];
        payload.resize(payload.len() + usize::from(PAYLOAD), b'x');
        let mut data = Data::new();
        data.set("payload", &payload);
        let record = Record {
            secret: SecretHash::from_bytes([7; 32]),
            previous: None,
            user: Some(user),
            groups: Vec::new(),
            created: now,
            seen: now,
            renewed: now,
            lifetime,
            persistent: false,
            device: None,
            ended: None,
            data,
        };
        Self { store: store.clone(), record, payload, sessions: Vec::new(), written: 0 }
    }

    /// The sessions in the order of writing.
    pub fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.iter().map(|(id, _)| *id)
    }

    async fn begin(&mut self, id: SessionId) -> Result<()> {
        let put = self.store.put(&id, &self.record, Expect::Absent, self.record.seen).await?;
        self.sessions.push((id, stored(put)?));
        Ok(())
    }

    /// Changes the record as a request would.
    fn change(&mut self, now: Timestamp) {
        stamp(&mut self.payload, self.written);
        self.record.data.set("payload", &self.payload);
        self.record.seen = now;
    }
}

impl Writer for Through {
    async fn write(&mut self) -> Result<()> {
        let now = SystemClock.now();
        self.change(now);
        let place = self.written as usize % self.sessions.len();
        let (id, version) = &mut self.sessions[place];
        let put = self.store.put(id, &self.record, Expect::Version(*version), now).await?;
        *version = stored(put)?;
        self.written += 1;
        Ok(())
    }

    fn commits(&self) -> u64 {
        self.store.commits()
    }

    async fn check(&self) -> Result<()> {
        for (id, version) in &self.sessions {
            let found = self.store.load(id).await?;
            ensure!(found.is_some_and(|found| found.version == *version), "session {id} is another");
        }
        Ok(())
    }
}

fn stored(put: Put) -> Result<Version> {
    match put {
        Put::Stored(version) => Ok(version),
        other => bail!("a write was refused: {other:?}"),
    }
}

/// Ids as good as random: neighbours in time are none in the database.
fn id(number: usize) -> SessionId {
    let hash = |half: u8| BuildHasherDefault::<DefaultHasher>::default().hash_one((number, half));
    SessionId::from_bytes((u128::from(hash(0)) << 64 | u128::from(hash(1))).to_be_bytes())
}
