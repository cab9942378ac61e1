//! Durable writes per second with many writers at once: the embedded store, and its engine used
//! directly on databases that were made alike.

mod raw;
mod store;

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sessile::SessionId;
use tokio::task::JoinSet;

use crate::{
    report::{median, spread},
    scratch, table,
};
use raw::{Direct, Raw};
use store::Through;

/// What to measure, and for how long.
pub struct Plan {
    pub writers: usize,
    pub sessions: usize,
    pub rounds: usize,
    pub window: Duration,
}

impl Plan {
    /// The sessions of each writer, in the order in which it writes them. As good as random:
    /// neighbours in time are none in the database.
    fn shares(&self) -> impl Iterator<Item = Vec<SessionId>> {
        let share = |first| (first..self.sessions).step_by(self.writers).map(id).collect();
        (0..self.writers).map(share)
    }
}

fn id(number: usize) -> SessionId {
    let hash = |half: u8| BuildHasherDefault::<DefaultHasher>::default().hash_one((number, half));
    SessionId::from_bytes((u128::from(hash(0)) << 64 | u128::from(hash(1))).to_be_bytes())
}

/// Updates the sessions that are its own, one after the other.
trait Writer: Send + Sized + 'static {
    /// One update; returns when it is durable.
    fn write(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Commits so far of the database that it writes to.
    fn commits(&self) -> u64;

    /// Fails if what was written isn't there.
    fn check(&self) -> impl Future<Output = Result<()>> + Send;
}

/// Measures all three, round after round, forwards and backwards in turn, and prints the table.
pub async fn compare(plan: &Plan) -> Result<()> {
    ensure!(plan.writers > 0 && plan.sessions >= plan.writers, "each writer needs a session of its own");
    let scratch = scratch::directory()?;
    let place = |name| scratch.path().join(name);
    for name in ["store", "grouped", "single"] {
        store::seed(&place(name), plan).await?;
    }
    let (grouped, single) = (Raw::open(&place("grouped"))?, Raw::open(&place("single"))?);
    let mut store = Side::new("Sessile, embedded", Through::all(&place("store"), plan).await?);
    let mut engine = Side::new("its engine, as many writes in a commit", Direct::all(&grouped, plan)?);
    let mut alone = Side::new("its engine, a commit for every write", Direct::all(&single, plan)?);

    for round in 0..plan.rounds {
        let mut turns = [0, 1, 2];
        if round % 2 == 1 {
            turns.reverse();
        }
        for turn in turns {
            match turn {
                0 => {
                    store.measure(plan.window).await?;
                    grouped.gather(store.samples[round].batch.round() as usize);
                }
                1 => engine.measure(plan.window).await?,
                _ => alone.measure(plan.window).await?,
            }
        }
    }
    let Plan { writers, sessions, .. } = plan;
    let title = format!("Durable writes per second, {writers} writers, {sessions} sessions");
    let columns = ["", "writes/s", "quartiles apart", "writes per commit", "the store is"];
    let rows = [store.row(&store.samples), engine.row(&store.samples), alone.row(&store.samples)];
    table::print(&title, &columns, rows.into_iter());
    store.check().await?;
    engine.check().await?;
    alone.check().await
}

/// One of those compared.
struct Side<W> {
    title: &'static str,
    writers: Vec<W>,
    samples: Vec<Sample>,
}

/// What one window has shown.
struct Sample {
    per_second: f64,
    /// Writes per commit.
    batch: f64,
}

impl<W: Writer> Side<W> {
    fn new(title: &'static str, writers: Vec<W>) -> Self {
        Self { title, writers, samples: Vec::new() }
    }

    /// Lets all writers write for so long.
    async fn measure(&mut self, window: Duration) -> Result<()> {
        let commits = self.commits();
        let until = Instant::now() + window;
        let mut running = JoinSet::new();
        for writer in self.writers.drain(..) {
            running.spawn(write_until(writer, until));
        }
        let (mut timely, mut late) = (0, 0);
        while let Some(done) = running.join_next().await {
            let (writer, written) = done??;
            self.writers.push(writer);
            timely += written;
            late += 1;
        }
        let per_second = timely as f64 / window.as_secs_f64();
        let batch = (timely + late) as f64 / (self.commits() - commits) as f64;
        eprintln!("{:>40} {per_second:>7.0} writes/s, {batch:.1} per commit", self.title);
        self.samples.push(Sample { per_second, batch });
        Ok(())
    }

    fn commits(&self) -> u64 {
        self.writers.first().map_or(0, Writer::commits)
    }

    /// The row of the table; the last cell says how many times as fast the store was.
    fn row(&self, store: &[Sample]) -> Vec<String> {
        let rates = || self.samples.iter().map(|sample| sample.per_second);
        let times = store.iter().zip(rates()).map(|(store, rate)| store.per_second / rate);
        let middle = |values| median(values).unwrap_or_default();
        vec![
            self.title.to_owned(),
            format!("{:.0}", middle(rates().collect())),
            format!("{:.0}%", spread(rates().collect()).unwrap_or_default() * 100.0),
            format!("{:.1}", middle(self.samples.iter().map(|sample| sample.batch).collect())),
            format!("×{:.2}", middle(times.collect())),
        ]
    }

    async fn check(&self) -> Result<()> {
        for writer in &self.writers {
            writer.check().await.with_context(|| format!("{} has lost a write", self.title))?;
        }
        Ok(())
    }
}

/// Writes until then; returns how many were done by then, without the last.
async fn write_until<W: Writer>(mut writer: W, until: Instant) -> Result<(W, u64)> {
    let mut written = 0;
    loop {
        writer.write().await?;
        if Instant::now() >= until {
            return Ok((writer, written));
        }
        written += 1;
    }
}
