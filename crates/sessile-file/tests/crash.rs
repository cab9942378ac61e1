//! `kill -9` at any moment: what was acknowledged is there afterwards, and indexes agree.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use sessile_core::{Filter, Store};
use sessile_file::{Durability, Embedded};
use support::*;

const WRITERS: u64 = 8;

#[test]
fn what_was_acknowledged_survives_kill_9() {
    rounds("every", 25, false);
}

#[test]
fn a_process_killed_at_work_does_not_disturb_another() {
    rounds("every", 15, true);
}

#[test]
fn what_was_acknowledged_survives_kill_9_when_relaxed() {
    rounds("relaxed", 15, false);
}

/// Lets a child write to one database and kills it, again and again; `accompanied` by this process,
/// which writes there all the time.
fn rounds(durability: &str, rounds: u64, accompanied: bool) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let witness = accompanied.then(|| Embedded::open(&path).unwrap());
    let (mine, mut written) = (id(u64::MAX), 0);
    if let Some(store) = &witness {
        begin(store, mine, &record(Some("0")));
    }
    let mut random = Random(std::process::id().into());
    let mut expected = Expected::default();
    for round in 0..rounds {
        let mut child = start_child(&[durability, path.to_str().unwrap(), &round.to_string()]);
        let output = child.stdout.take().unwrap();
        let reader = thread::spawn(move || acknowledged(output));
        let until = Instant::now() + Duration::from_millis(20 + random.below(180));
        while Instant::now() < until {
            match &witness {
                Some(store) => written = increment(store, &mine),
                None => thread::sleep(until.saturating_duration_since(Instant::now())),
            }
        }
        child.kill().unwrap();
        if let Some(store) = &witness {
            assert_eq!(increment(store, &mine), written + 1, "it goes on at once");
        }
        child.wait().unwrap();
        for line in reader.join().unwrap() {
            expected.note(&line);
        }
        expected.check(&path);
    }
    assert!(expected.counters.values().sum::<u64>() > rounds, "the children wrote next to nothing");
}

/// The complete lines that a child wrote before it died.
fn acknowledged(output: impl std::io::Read) -> Vec<String> {
    let mut reader = BufReader::new(output);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(_) if line.ends_with('\n') => lines.push(line.trim_end().to_owned()),
            _ => return lines,
        }
    }
}

/// What the children said they did.
#[derive(Default)]
struct Expected {
    counters: HashMap<u64, u64>,
    ended: HashMap<u64, ()>,
    touched: HashMap<u64, u64>,
}

impl Expected {
    fn note(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        match words[0] {
            "count" => drop(self.counters.insert(number(1), number(2))),
            "touch" => drop(self.touched.insert(number(1), number(2))),
            "end" => drop(self.ended.insert(number(1), ())),
            _ => {}
        }
    }

    fn check(&self, path: &Path) {
        let store = Embedded::open(path).unwrap();
        block_on(async {
            for (session, count) in &self.counters {
                let found = store.load(&id(*session)).await.unwrap().expect("acknowledged, but lost");
                if found.record.ended.is_none() {
                    assert!(number(&found.record) >= *count, "an acknowledged change is lost");
                }
            }
            for (session, seen) in &self.touched {
                let found = store.load(&id(*session)).await.unwrap().unwrap();
                assert!(found.record.seen.as_millis() >= *seen, "an acknowledged touch is lost");
            }
            for session in self.ended.keys() {
                let found = store.load(&id(*session)).await.unwrap().unwrap();
                assert!(found.record.ended.is_some(), "an acknowledged end is lost");
            }
            let report = store.verify().await.unwrap();
            assert!(report.is_clean(), "{report:?}");
            let mut live = 0;
            for writer in 0..WRITERS {
                live += store.count(&Filter::user(writer.to_string()), start()).await.unwrap();
            }
            assert_eq!(store.count(&Filter::all(), start()).await.unwrap(), live);
        });
    }
}

#[test]
fn child() {
    let Some(task) = task() else { return };
    let durability = if task[0] == "relaxed" { Durability::Relaxed } else { Durability::EveryCommit };
    let store = Embedded::options().durability(durability).open(&task[1]).unwrap();
    let round: u64 = task[2].parse().unwrap();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || write(store, round, writer));
        }
    });
}

/// Writes until it is killed, and says after each step what was acknowledged.
fn write(store: &Embedded, round: u64, writer: u64) {
    let user = writer.to_string();
    for step in 0..100_000 {
        let session = (round * WRITERS + writer) * 100_000 + step;
        begin(store, id(session), &record(Some(&user)));
        say(&format!("count {session} 0"));
        for _ in 0..3 {
            let count = increment(store, &id(session));
            say(&format!("count {session} {count}"));
        }
        let seen = start() + Duration::from_millis(1 + step * 1_000);
        if block_on(store.touch(&id(session), seen)).unwrap() {
            say(&format!("touch {session} {}", seen.as_millis()));
        }
        if step % 3 == 0 && block_on(store.end(&id(session), &killed(start()))).unwrap() {
            say(&format!("end {session}"));
        }
        if step % 20 == 19 {
            let swept = block_on(store.sweep(start(), 10)).unwrap();
            assert_eq!((swept.entombed, swept.removed), (0, 0));
        }
    }
}

/// Writes a line in one go.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}
