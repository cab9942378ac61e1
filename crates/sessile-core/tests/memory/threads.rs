//! Many threads on one memory store.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use sessile_core::{Expect, Filter, Memory, Put, Record};

use super::support::{Calls, id, killed, owned, record};

#[test]
fn scans_give_each_standing_session_once_while_others_come_and_go() {
    let store = Memory::new();
    for n in 0..300 {
        store.begin(n, &Record { groups: vec!["g".into()], ..owned("ferris", 1) });
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 1..=2_u32 {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                for n in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    let passing = thread * 10_000 + n % 500;
                    let _ = store.ready_put(passing, &owned("ferris", 1), Expect::Absent, 1).unwrap();
                    store.ready_end(thread * 10_000 + n * 7 % 500, &killed(2));
                    let loaded = store.read(n % 300).unwrap();
                    let _ =
                        store.ready_put(n % 300, &loaded.record, Expect::Version(loaded.version), 2).unwrap();
                    store.ready_touch(n % 300, u64::from(n) % 1_000);
                }
            });
        }
        for round in 0..200 {
            for filter in [Filter::all(), Filter::user("ferris"), Filter::group("g")] {
                let filter =
                    if round % 2 == 0 { filter } else { filter.seen_within(Duration::from_secs(10)) };
                let mut times = HashMap::new();
                for info in store.all(&filter, 2_000, 1 + round % 90) {
                    *times.entry(info.id).or_insert(0) += 1;
                }
                for n in 0..300 {
                    assert_eq!(times.get(&id(n)), Some(&1), "{filter:?}");
                }
                assert!(store.total(&filter, 2_000) >= 300);
            }
            assert!(store.every_user(2_000, 10)["ferris"] >= 300);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn no_increment_is_lost_among_threads_and_no_bound_is_passed() {
    const THREADS: u32 = 4;
    const ROUNDS: u32 = 2_000;
    let store = Memory::builder().max_entries(50).max_bytes(50 * 300).build();
    for n in 0..8 {
        store.begin(n, &Record { groups: vec!["counted".into()], ..owned("ferris", 1) });
    }
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let n = round % 8;
                    loop {
                        let mut loaded = store.read(n).unwrap();
                        let count = loaded
                            .record
                            .data
                            .get("n")
                            .map_or(0, |n| u32::from_be_bytes(n.try_into().unwrap()));
                        std::sync::Arc::make_mut(&mut loaded.record)
                            .data
                            .set("n", &(count + 1).to_be_bytes());
                        let put =
                            store.ready_put(n, &loaded.record, Expect::Version(loaded.version), 2).unwrap();
                        if put != Put::Conflict {
                            assert!(matches!(put, Put::Stored(_)));
                            break;
                        }
                    }
                    // Anonymous traffic that keeps the store at its bound.
                    let stranger = 1_000 + (thread * ROUNDS + round) * 7 % 500;
                    let _ = store.ready_put(stranger, &record(u64::from(round)), Expect::Absent, 2).unwrap();
                    store.ready_touch(stranger, u64::from(round) + 1);
                    if round % 3 == 0 {
                        store.ready_end(stranger, &killed(2));
                    }
                    if round % 100 == 0 {
                        store.ready_sweep(3, 10);
                        store.total(&Filter::all(), 3);
                    }
                    assert!(store.entries() <= 50 && store.bytes() <= 50 * 300);
                }
            });
        }
    });
    let counted = (0..8).map(|n| {
        let record = store.read(n).unwrap().record;
        u32::from_be_bytes(record.data.get("n").unwrap().try_into().unwrap())
    });
    assert_eq!(counted.sum::<u32>(), THREADS * ROUNDS);
    assert_eq!(store.all(&Filter::all(), 3, 7).len(), store.entries());
    let live = store.entries() as u64;
    assert_eq!(store.ready_end_all(&Filter::all(), &killed(3)), live);
    assert_eq!((store.entries(), store.bytes()), (0, 0));
}

#[test]
fn a_new_session_is_never_refused_while_an_anonymous_one_can_go() {
    for max in 1..=4 {
        let store = Memory::builder().max_entries(max).build();
        thread::scope(|scope| {
            for thread in 0..4 {
                let store = &store;
                scope.spawn(move || {
                    for n in thread * 100_000..thread * 100_000 + 3_000 {
                        let put = store.ready_put(n, &record(u64::from(n % 100_000)), Expect::Absent, 1);
                        assert!(matches!(put, Ok(Put::Stored(_))), "{put:?}");
                        if n % 3 == 0 {
                            store.ready_end(n, &killed(1));
                        }
                        assert!(store.entries() <= max);
                    }
                });
            }
        });
        assert_eq!(store.total(&Filter::all(), 3_000), store.entries() as u64);
    }
}
