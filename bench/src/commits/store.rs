//! Writers through the store: what an application gets.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use sessile::{
    Clock, SessionId, SystemClock,
    store::{Data, Durability, Embedded, Expect, Lifetime, Put, Record, SecretHash, Store, Version},
};
use tokio::task::JoinSet;

use super::{Plan, Writer, raw::stamp};

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

/// Makes a database of the plan's sessions.
pub async fn seed(path: &Path, plan: &Plan) -> Result<()> {
    let store = open(path)?;
    let mut seeding = JoinSet::new();
    for (number, ids) in plan.shares().enumerate() {
        let (store, record) = (store.clone(), record(format!("user-{number:04}")));
        seeding.spawn(async move {
            for id in ids {
                stored(store.put(&id, &record, Expect::Absent, record.created).await?)?;
            }
            Ok(())
        });
    }
    seeding.join_all().await.into_iter().collect()
}

impl Through {
    /// All writers.
    pub async fn all(path: &Path, plan: &Plan) -> Result<Vec<Self>> {
        let store = open(path)?;
        let mut writers = Vec::new();
        for ids in plan.shares() {
            let mut sessions = Vec::new();
            let mut record = None;
            for id in ids {
                let found = store.load(&id).await?.context("a session is missing")?;
                sessions.push((id, found.version));
                record = Some(Record::clone(&found.record));
            }
            let record = record.context("a writer without a session")?;
            writers.push(Self { store: store.clone(), record, payload: payload(), sessions, written: 0 });
        }
        Ok(writers)
    }
}

impl Writer for Through {
    async fn write(&mut self) -> Result<()> {
        let now = SystemClock.now();
        stamp(&mut self.payload, self.written);
        self.record.data.set("payload", &self.payload);
        self.record.seen = now;
        let place = self.written as usize % self.sessions.len();
        let (id, version) = &mut self.sessions[place];
        *version = stored(self.store.put(id, &self.record, Expect::Version(*version), now).await?)?;
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

fn open(path: &Path) -> Result<Embedded> {
    Ok(Embedded::options().durability(Durability::EveryCommit).open(path)?)
}

fn record(user: String) -> Record {
    let now = SystemClock.now();
    let mut data = Data::new();
    data.set("payload", &payload());
    Record {
        secret: SecretHash::from_bytes([7; 32]),
        previous: None,
        user: Some(user),
        groups: Vec::new(),
        created: now,
        seen: now,
        renewed: now,
        lifetime: Lifetime { idle: HOUR, slack: HOUR / 10, deadline: now + 24 * HOUR, retention: HOUR },
        persistent: false,
        device: None,
        ended: None,
        data,
    }
}

/// Bytes, as MessagePack has them.
fn payload() -> Vec<u8> {
    let mut encoded = vec![0xc4, PAYLOAD];
    encoded.resize(encoded.len() + usize::from(PAYLOAD), b'x');
    encoded
}

fn stored(put: Put) -> Result<Version> {
    match put {
        Put::Stored(version) => Ok(version),
        other => bail!("a write was refused: {other:?}"),
    }
}
