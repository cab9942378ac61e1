//! A store as simple as can be, and random steps after each of which the memory store must agree with it.

use std::{collections::BTreeMap, time::Duration};

use sessile_core::{Expect, Fate, Filter, Memory, Put, Record, SessionInfo, State, Version};

use super::support::{Calls, at, id, killed, record, sized};

#[derive(Default)]
struct Model(BTreeMap<u32, (Record, Version)>);

impl Model {
    fn infos(&self, filter: &Filter, now: u64) -> Vec<String> {
        let matching = self.0.iter().filter(|(n, (record, _))| filter.matches(&id(**n), record, at(now)));
        let mut infos: Vec<_> = matching
            .map(|(n, (record, _))| format!("{:?}", SessionInfo::new(id(*n), record, at(now))))
            .collect();
        infos.sort();
        infos
    }

    fn users(&self, now: u64) -> BTreeMap<String, u64> {
        let mut users = BTreeMap::new();
        for (record, _) in self.0.values().filter(|(record, _)| record.is_live(at(now))) {
            if let Some(user) = &record.user {
                *users.entry(user.clone()).or_insert(0) += 1;
            }
        }
        users
    }
}

#[test]
fn the_store_agrees_with_a_model_after_every_step() {
    for seed in 1..=50 {
        agree(seed);
    }
}

fn agree(seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let (store, mut model, mut now) = (Memory::new(), Model::default(), 100_000_u64);
    for _ in 0..400 {
        now += [0, 1, 900, 30_000, 200_000][random(5) as usize];
        let n = random(12) as u32;
        let known = model.0.get(&n).cloned();
        match random(10) {
            0..=3 => {
                let mut record = record(now.saturating_sub(random(2) * random(50_000)));
                record.user = [None, Some("a".into()), Some("b".into())][random(3) as usize].clone();
                record.groups =
                    [vec![], vec!["a".into()], vec!["a".into(), "b".into()]][random(3) as usize].clone();
                record.device = (random(3) == 0).then(|| "Firefox".into());
                record.lifetime.idle = Duration::from_secs([60, 1, 3_600][random(3) as usize]);
                record.lifetime.deadline = at(now + [50_000, 5_000_000][random(2) as usize]);
                record.lifetime.retention = Duration::from_secs([0, 100, 1_000][random(3) as usize]);
                let record = sized(random(300) as usize, record);
                let expect = match &known {
                    Some((_, version)) if random(4) > 0 => Expect::Version(*version),
                    _ if random(4) > 0 => Expect::Absent,
                    _ => Expect::Version(Version(random(50))),
                };
                let put = store.ready_put(n, &record, expect, now).unwrap();
                match (expect, known) {
                    (Expect::Absent, Some(_)) => assert_eq!(put, Put::Conflict),
                    (Expect::Version(_), None) => assert_eq!(put, Put::Gone),
                    (Expect::Version(_), Some((old, _))) if !old.is_live(at(now)) => {
                        assert_eq!(put, Put::Gone);
                    }
                    (Expect::Version(expected), Some((_, version))) if expected != version => {
                        assert_eq!(put, Put::Conflict);
                    }
                    (_, known) => {
                        let Put::Stored(version) = put else { panic!("{put:?}") };
                        let seen = known.map_or(record.seen, |(old, _)| record.seen.max(old.seen));
                        model.0.insert(n, (Record { seen, ..record }, version));
                    }
                }
            }
            4..=5 => {
                let live = known.is_some_and(|(record, _)| record.is_live(at(now)));
                assert_eq!(store.ready_touch(n, now), live);
                if let Some((record, _)) = model.0.get_mut(&n).filter(|_| live) {
                    record.seen = record.seen.max(at(now));
                }
            }
            6 => {
                let live = known.is_some_and(|(record, _)| record.is_live(at(now)));
                assert_eq!(store.ready_end(n, &killed(now)), live);
                if live {
                    end(&mut model, &store, n, now);
                }
            }
            7 if random(4) == 0 => {
                let filter = filters(random(100) as usize);
                let matching = model.0.iter().filter(|(n, (record, _))| {
                    record.is_live(at(now)) && filter.matches(&id(**n), record, at(now))
                });
                let matching: Vec<u32> = matching.map(|(n, _)| *n).collect();
                assert_eq!(store.ready_end_all(&filter, &killed(now)), matching.len() as u64);
                for n in matching {
                    end(&mut model, &store, n, now);
                }
            }
            8 => sweep(&mut model, &store, now, [0, 1, 2, 100][random(4) as usize]),
            _ => {}
        }
        let some: Vec<_> = (0..6).map(|_| filters(random(90) as usize)).collect();
        let (later, limit) = (now + random(3) * random(100_000), 1 + random(5) as usize);
        compare(&model, &store, &some, later, limit);
    }
}

fn end(model: &mut Model, store: &Memory, n: u32, now: u64) {
    let Some((record, version)) = model.0.get_mut(&n) else { return };
    if record.lifetime.retention.is_zero() {
        model.0.remove(&n);
    } else {
        record.entomb(killed(now));
        *version = store.read(n).unwrap().version;
    }
}

fn sweep(model: &mut Model, store: &Memory, now: u64, limit: usize) {
    let due = model.0.values().filter(|(record, _)| record.fate(at(now)) != Fate::Keep).count();
    let swept = store.ready_sweep(now, limit);
    assert_eq!((swept.entombed + swept.removed) as usize, due.min(limit));
    assert_eq!(swept.more, due > limit);
    let all: Vec<u32> = model.0.keys().copied().collect();
    for n in all {
        let (record, version) = model.0.get_mut(&n).unwrap();
        match (record.fate(at(now)), store.read(n)) {
            (Fate::Remove, None) => {
                model.0.remove(&n);
            }
            (Fate::Entomb(ended), Some(read)) if read.record.ended.is_some() => {
                record.entomb(ended);
                *version = read.version;
            }
            (_, read) => assert!(read.is_some()),
        }
    }
}

fn filters(number: usize) -> Filter {
    let filter = match number % 5 {
        0 | 1 => Filter::all(),
        2 => Filter::user("a"),
        3 => Filter::group("b"),
        _ => Filter::user("nobody"),
    };
    let filter = filter.state([State::Live, State::Ended, State::Any][number / 5 % 3]);
    match number / 15 % 6 {
        0 => filter,
        1 => filter.except(id(3)),
        2 => filter.seen_within(Duration::from_secs(40)),
        3 => filter.device("fire"),
        4 => filter.created(at(0)..=at(500_000)),
        _ => filter.seen_within(Duration::from_secs(1)).except(id(5)),
    }
}

fn compare(model: &Model, store: &Memory, filters: &[Filter], now: u64, limit: usize) {
    for n in 0..12 {
        let read = store.read(n).map(|read| (Record::clone(&read.record), read.version));
        assert_eq!(read.as_ref(), model.0.get(&n));
    }
    assert_eq!(store.entries(), model.0.len());
    for filter in filters {
        let mut found: Vec<_> =
            store.all(filter, now, limit).iter().map(|info| format!("{info:?}")).collect();
        found.sort();
        assert_eq!(found, model.infos(filter, now), "{filter:?} at {now}");
        assert_eq!(store.total(filter, now), found.len() as u64, "{filter:?} at {now}");
    }
    assert_eq!(store.every_user(now, limit), model.users(now));
}
