//! The memory store: its bounds, its order of eviction and its accounts; threads; and a model that it
//! must agree with.
#![allow(clippy::unwrap_used)]

mod model;
mod support;
mod threads;

use std::time::Duration;

use sessile_core::{Cursor, ErrorKind, Expect, Filter, Memory, Put, Record, State, Version, WhenFull};

use support::{Calls, killed, owned, record, sized};

#[test]
fn at_the_bound_the_anonymous_session_seen_longest_ago_goes_first() {
    let store = Memory::builder().max_entries(4).build();
    // Not in the order of time, and with a session of a user that is older than all.
    for (n, seen) in [(1, 50), (2, 20), (3, 40)] {
        store.begin(n, &record(seen));
    }
    store.begin(4, &owned("ferris", 1));
    store.begin(5, &record(60));
    assert_eq!(store.present(1..=5), [1, 3, 4, 5]);
    assert!(store.ready_touch(3, 70));
    store.begin(6, &record(80));
    assert_eq!(store.present(1..=6), [3, 4, 5, 6], "3 was touched, 1 is the oldest");
    store.begin(7, &record(90));
    assert_eq!(store.present(1..=7), [3, 4, 6, 7]);
    assert_eq!((store.entries(), store.evicted()), (4, 3));
    assert_eq!(store.total(&Filter::all(), 90), 4);
    assert_eq!(store.all(&Filter::all(), 90, 2).len(), 4);
}

#[test]
fn eviction_keeps_its_order_through_thousands() {
    const SESSIONS: u32 = 2_000;
    let store = Memory::builder().max_entries(SESSIONS as usize).build();
    // Seen in another order than begun, but not by much; some were touched since.
    let mut seen: Vec<(u64, u32)> = (0..SESSIONS).map(|n| (u64::from(n ^ 0b1_0110_0101) * 20, n)).collect();
    for (seen, n) in &seen {
        store.begin(*n, &record(*seen));
    }
    for (seen, n) in seen.iter_mut().skip(3).step_by(9) {
        *seen = 42_000 + u64::from(*n);
        assert!(store.ready_touch(*n, *seen), "{n}");
    }
    seen.sort_unstable();
    for (turn, (_, oldest)) in seen.iter().enumerate() {
        assert!(store.read(*oldest).is_some(), "{oldest} is not in turn");
        store.begin(SESSIONS + turn as u32, &record(100_000));
        assert!(store.read(*oldest).is_none(), "{oldest} is next");
    }
}

#[test]
fn a_session_that_got_a_user_is_safe_and_one_that_lost_it_is_not() {
    let store = Memory::builder().max_entries(2).build();
    let first = store.begin(1, &record(10));
    let second = store.begin(2, &owned("ferris", 20));
    store.write(1, &owned("ferris", 30), first);
    store.write(2, &record(40), second);
    store.begin(3, &record(50));
    assert_eq!(store.present(1..=3), [1, 3]);
    assert_eq!(store.total(&Filter::user("ferris"), 50), 1);
}

#[test]
fn sessions_with_a_user_are_never_evicted() {
    let store = Memory::builder().max_entries(3).build();
    for n in 1..=3 {
        store.begin(n, &owned("ferris", u64::from(n)));
    }
    let error = store.ready_put(4, &owned("ferris", 9), Expect::Absent, 9).unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Full, true));
    assert_eq!(store.present(1..=4), [1, 2, 3]);
    assert_eq!((store.entries(), store.evicted()), (3, 0));
    assert!(store.ready_end(1, &killed(10)));
    store.begin(4, &owned("ferris", 11));
}

#[test]
fn a_store_that_refuses_evicts_nothing_but_sweeps() {
    let store = Memory::builder().max_entries(2).when_full(WhenFull::Refuse).build();
    store.begin(1, &record(0));
    store.begin(2, &record(5_000));
    let refused = |now| store.ready_put(3, &record(now), Expect::Absent, now).unwrap_err().kind();
    assert_eq!(refused(5_000), ErrorKind::Full);
    assert_eq!(refused(59_999), ErrorKind::Full);
    assert_eq!(store.total(&Filter::all(), 59_999), 2);
    // 1 expires.
    let Ok(Put::Stored(_)) = store.ready_put(3, &record(60_000), Expect::Absent, 60_000) else { panic!() };
    assert_eq!(store.present(1..=3), [2, 3]);
    assert_eq!(store.evicted(), 0);
}

#[test]
fn growth_needs_room_too() {
    let store = Memory::builder().max_bytes(3_000).build();
    let first = store.begin(1, &sized(500, record(1)));
    let second = store.begin(2, &sized(500, owned("ferris", 2)));
    store.begin(3, &sized(500, record(3)));
    // 1 is the oldest, but makes room for itself at the cost of 3.
    let first = store.write(1, &sized(1_500, record(4)), first);
    assert_eq!(store.present(1..=3), [1, 2]);
    assert!(store.bytes() <= 3_000);
    let second = store.write(2, &sized(2_000, owned("ferris", 5)), second);
    assert_eq!(store.present(1..=3), [2]);
    assert_eq!(store.ready_put(1, &record(6), Expect::Version(first), 6).unwrap(), Put::Gone);
    // Nobody is left to make room for this one; the record stays as it was.
    store.begin(4, &owned("ferris", 6));
    let grown = store.ready_put(2, &sized(2_750, owned("ferris", 7)), Expect::Version(second), 7);
    assert_eq!(grown.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(store.read(2).unwrap().version, second);
    // Shrinking always works.
    store.write(2, &owned("ferris", 8), second);
}

#[test]
fn what_can_never_fit_is_too_large_and_evicts_nobody() {
    let store = Memory::builder().max_bytes(1_000).build();
    store.begin(1, &record(1));
    let error = store.ready_put(2, &sized(1_000, record(2)), Expect::Absent, 2).unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::TooLarge, false));
    assert_eq!(store.present(1..=2), [1]);
    let gone = store.ready_put(2, &sized(1_000, record(2)), Expect::Version(Version(1)), 2);
    assert_eq!(gone.unwrap(), Put::Gone, "who expects something wrong hears that first");
}

#[test]
fn tombstones_make_room_last_and_only_where_eviction_is_allowed() {
    for (when_full, present) in [(WhenFull::EvictAnonymous, vec![3, 4, 5]), (WhenFull::Refuse, vec![1, 2, 3])]
    {
        let store = Memory::builder().max_entries(3).when_full(when_full).build();
        let kept = |mut record: Record| {
            record.lifetime.retention = Duration::from_secs(3_600);
            record
        };
        store.begin(1, &record(1));
        store.begin(2, &kept(owned("ferris", 2)));
        store.begin(3, &owned("ferris", 3));
        assert!(store.ready_end(2, &killed(4)));
        assert_eq!(store.total(&Filter::user("ferris").state(State::Ended), 5), 1);
        for n in 4..=5 {
            let put = store.ready_put(n, &owned("corro", 5), Expect::Absent, 5);
            assert_eq!(put.is_ok(), when_full == WhenFull::EvictAnonymous);
        }
        assert_eq!(store.present(1..=5), present);
        assert_eq!(store.ready_put(2, &record(6), Expect::Version(Version(1)), 6).unwrap(), Put::Gone);
    }
}

#[test]
fn an_end_is_never_refused_and_the_account_closes_at_zero() {
    let store = Memory::builder().max_bytes(700).build();
    let mut record = owned("ferris", 1);
    record.groups = vec!["a".into(), "b".into()];
    record.lifetime.retention = Duration::from_secs(10);
    store.begin(1, &record);
    let mut ended = killed(2);
    ended.by = Some("x".repeat(5_000));
    assert!(store.ready_end(1, &ended));
    assert!(store.bytes() > 5_000);
    let swept = store.ready_sweep(10_001, 10);
    assert_eq!((swept.removed, swept.more), (0, false));
    assert_eq!(store.ready_sweep(10_002, 10).removed, 1);

    for n in 1..=100 {
        let mut record = owned(&format!("user {}", n % 7), 20_000);
        record.groups = vec![format!("group {}", n % 3)];
        if n % 2 == 0 {
            record.user = None;
        }
        if n % 10 == 0 {
            record.lifetime.retention = Duration::from_secs(10);
        }
        let _ = store.ready_put(n, &record, Expect::Absent, 20_000);
    }
    let live = store.total(&Filter::all(), 20_001);
    assert_eq!(store.ready_end_all(&Filter::all(), &killed(20_001)), live);
    store.ready_sweep(40_000, 1_000);
    assert_eq!((store.entries(), store.bytes()), (0, 0));
    assert_eq!(store.total(&Filter::all().state(State::Any), 20_001), 0);
}

#[test]
fn versions_never_come_back() {
    let store = Memory::new();
    let mut versions = Vec::new();
    for _ in 0..3 {
        let begun = store.begin(1, &record(1));
        versions.extend([begun, store.write(1, &record(1), begun)]);
        assert!(store.ready_end(1, &killed(2)));
    }
    for (n, version) in versions.iter().enumerate() {
        assert!(!versions[..n].contains(version));
    }
}

#[test]
fn a_cursor_of_another_store_is_an_error() {
    let store = Memory::new();
    let cursor = Cursor::new(*b"abc");
    for n in 1..=3 {
        store.begin(n, &owned("ferris", 1));
    }
    let error = store.ready_scan(&Filter::all(), Some(&cursor), 1, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_eq!(store.ready_users(Some(&cursor), 1, 1).unwrap_err().kind(), ErrorKind::Decode);
    // One with the right length leads to some place, or to none.
    let far = Cursor::new([0xff; 4]);
    assert!(store.ready_scan(&Filter::all(), Some(&far), 1, 1).unwrap().items.is_empty());
}

#[test]
fn a_sweep_takes_small_steps_through_all_shards() {
    let store = Memory::new();
    for n in 0..200 {
        store.begin(n, &record(u64::from(n)));
        assert!(store.ready_touch(n, 1_000));
    }
    let swept = store.ready_sweep(60_999, 10);
    assert_eq!((swept.removed, swept.more), (0, false), "all were touched");
    let mut rounds = 0;
    while store.ready_sweep(61_000, 10).more {
        rounds += 1;
        assert_eq!(store.entries(), 200 - 10 * rounds);
    }
    assert_eq!((rounds, store.entries()), (19, 0));
}

#[cfg(feature = "testing")]
#[test]
fn the_store_keeps_the_contract() {
    use sessile_core::testing;

    testing::block_on(testing::conformance(|| async { Ok(Memory::new()) })).unwrap();
}
