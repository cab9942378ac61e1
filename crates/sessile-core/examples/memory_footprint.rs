//! What a million sessions take in [`Memory`], and how long its calls take.
//!
//! `cargo run --release -p sessile-core --example memory_footprint [sessions]`
#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    hint::black_box,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use sessile_core::{
    Clock, Data, Expect, Filter, Lifetime, Memory, Put, Record, SessionId, Store, SystemClock, Timestamp,
    Token,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let many = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let now = SystemClock.now();
    let data = data();
    println!("{} bytes of data per session", data.size());

    let few = Memory::new();
    speed(&few, &fill(&few, 1_000, &data, now)?, now)?;
    drop(few);

    let ids = ids(many)?;
    let store = Memory::new();
    let before = resident()?;
    let begin = Instant::now();
    for id in &ids {
        put(&store, id, &record(&data, now), Expect::Absent, now)?;
    }
    let each = begin.elapsed() / u32::try_from(many)?;
    let grown = resident()?.saturating_sub(before);
    println!(
        "{many} sessions: {} bytes each by the system's account, {} by the store's; put in {each:?} each",
        grown / many,
        store.bytes() / many
    );
    speed(&store, &ids, now)?;
    let begin = Instant::now();
    let count = ready(store.count(&Filter::all(), now))?;
    println!("  count of all {count}: {:?}", begin.elapsed());
    let begin = Instant::now();
    let filter = Filter::all().seen_within(Duration::from_secs(60));
    let count = ready(store.count(&filter, now + Duration::from_secs(1)))?;
    println!("  count of those seen within a minute {count}: {:?}", begin.elapsed());
    let begin = Instant::now();
    let swept = ready(store.sweep(now + Duration::from_secs(3_600), usize::MAX))?;
    println!("  sweep of all {}: {:?}", swept.removed, begin.elapsed());
    Ok(())
}

fn speed(store: &Memory, ids: &[SessionId], now: Timestamp) -> Result<()> {
    const CALLS: usize = 1_000_000;
    // The ids are random, but not in their order of creation: a stride that is no divisor jumps.
    let nth = |n: usize| &ids[n.wrapping_mul(700_001) % ids.len()];
    println!("{} sessions, {CALLS} calls each:", ids.len());
    let timed = |what: &str, begin: Instant| {
        println!("  {what}: {} ns", begin.elapsed().as_nanos() / CALLS as u128);
    };

    let begin = Instant::now();
    for n in 0..CALLS {
        black_box(ready(store.load(nth(n)))?);
    }
    timed("load", begin);

    let begin = Instant::now();
    for n in 0..CALLS {
        black_box(ready(store.touch(nth(n), now + Duration::from_millis(n as u64 / 100)))?);
    }
    timed("touch", begin);

    let (mut loads, mut writes) = (Duration::ZERO, Duration::ZERO);
    for n in 0..CALLS {
        let begin = Instant::now();
        let loaded = ready(store.load(nth(n)))?.ok_or("a session is missing")?;
        loads += begin.elapsed();
        let begin = Instant::now();
        put(store, nth(n), &loaded.record, Expect::Version(loaded.version), now)?;
        writes += begin.elapsed();
    }
    println!(
        "  put after load: {} ns (load {})",
        writes.as_nanos() / CALLS as u128,
        loads.as_nanos() / CALLS as u128
    );
    Ok(())
}

fn fill(store: &Memory, number: usize, data: &Data, now: Timestamp) -> Result<Vec<SessionId>> {
    let ids = ids(number)?;
    for id in &ids {
        put(store, id, &record(data, now), Expect::Absent, now)?;
    }
    Ok(ids)
}

fn ids(number: usize) -> Result<Vec<SessionId>> {
    (0..number).map(|_| Ok(Token::generate()?.id())).collect()
}

fn put(store: &Memory, id: &SessionId, record: &Record, expect: Expect, now: Timestamp) -> Result<()> {
    match ready(store.put(id, record, expect, now))? {
        Put::Stored(_) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// 190 bytes or so: a name, a number and a payload.
fn data() -> Data {
    let mut data = Data::new();
    data.set("user", b"\xa6ferris");
    data.set("n", &[42]);
    let mut payload = vec![0xd9, 160];
    payload.extend([b'x'; 160]);
    data.set("payload", &payload);
    data
}

fn record(data: &Data, now: Timestamp) -> Record {
    Record {
        secret: sessile_core::SecretHash::from_bytes([7; 32]),
        previous: None,
        user: None,
        groups: Vec::new(),
        created: now,
        seen: now,
        renewed: now,
        lifetime: Lifetime {
            idle: Duration::from_secs(1_800),
            slack: Duration::from_secs(180),
            deadline: now + Duration::from_secs(43_200),
            retention: Duration::ZERO,
        },
        persistent: false,
        device: None,
        ended: None,
        data: data.clone(),
    }
}

/// The memory store's futures are ready when first polled.
fn ready<T>(mut future: Pin<Box<dyn Future<Output = T> + Send + '_>>) -> T {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("the memory store never waits"),
    }
}

/// Bytes of this process that are in physical memory.
fn resident() -> Result<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    Ok(pages.split_whitespace().nth(1).ok_or("no resident pages")?.parse::<usize>()? * 4096)
}
