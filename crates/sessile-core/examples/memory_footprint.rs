//! What a million sessions take in [`Memory`], and how long its calls take.
//!
//! `cargo run --release -p sessile-core --example memory_footprint [sessions [users]]`
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
    let mut arguments = std::env::args().skip(1);
    let many = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let users = arguments.next().is_some();
    let now = SystemClock.now();
    println!(
        "{} bytes of data per session, {} user",
        data().size(),
        if users { "each with a" } else { "no" }
    );

    let few = Memory::new();
    speed(&few, &fill(&few, 1_000, users, now)?, now)?;
    drop(few);

    let store = Memory::builder().max_entries(many).build();
    // The ids are this program's, not the store's: they are made before the first reading.
    let ids = ids(many)?;
    let data = data();
    let before = resident()?;
    let begin = Instant::now();
    for (n, id) in ids.iter().enumerate() {
        put(&store, id, &record(&data, users.then_some(n), now), Expect::Absent, now)?;
    }
    let each = begin.elapsed() / u32::try_from(many)?;
    let grown = resident()?.saturating_sub(before);
    println!(
        "{many} sessions: {} bytes each by the system's account, {} by the store's; put in {each:?} each",
        grown / many,
        store.bytes() / many
    );
    speed(&store, &ids, now)?;

    let later = now + Duration::from_secs(20);
    let minute = Filter::all().seen_within(Duration::from_secs(60));
    for (what, filter) in [("all", Filter::all()), ("those seen within a minute", minute)] {
        let begin = Instant::now();
        let count = ready(store.count(&filter, later))?;
        println!("count of {what}, {count}: {:?}", begin.elapsed());
    }
    if !users {
        let new = self::ids(100_000)?;
        let begin = Instant::now();
        for id in &new {
            put(&store, id, &record(&data, None, later), Expect::Absent, later)?;
        }
        println!("put at the bound, with an eviction: {:?}", begin.elapsed() / 100_000);
    }
    let begin = Instant::now();
    let swept = ready(store.sweep(later + Duration::from_secs(3_600), usize::MAX))?;
    println!("sweep of all, {}: {:?}", swept.removed, begin.elapsed());
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

fn fill(store: &Memory, number: usize, users: bool, now: Timestamp) -> Result<Vec<SessionId>> {
    let (ids, data) = (ids(number)?, data());
    for (n, id) in ids.iter().enumerate() {
        put(store, id, &record(&data, users.then_some(n), now), Expect::Absent, now)?;
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

fn record(data: &Data, user: Option<usize>, now: Timestamp) -> Record {
    Record {
        secret: sessile_core::SecretHash::from_bytes([7; 32]),
        previous: None,
        user: user.map(|n| format!("user {n}")),
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
