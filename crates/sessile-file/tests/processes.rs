//! Several processes on one database.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod remote;
mod support;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use remote::Alternating;
use sessile_core::{Error, ErrorKind, Expect, Filter, Store, testing::Kit};
use sessile_file::Embedded;
use support::*;

const INCREMENTS: u64 = 500;

#[test]
fn two_processes_lose_no_increment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = Embedded::open(&path).unwrap();
    begin(&store, id(1), &record(None));
    let mut children: Vec<_> = (0..2).map(|_| start_child(&["increment", path.to_str().unwrap()])).collect();
    for _ in 0..INCREMENTS {
        increment(&store, &id(1));
    }
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let found = block_on(store.load(&id(1))).unwrap().unwrap();
    assert_eq!(number(&found.record), 3 * INCREMENTS);
    assert!(block_on(store.verify()).unwrap().is_clean());
}

#[test]
fn a_second_process_sees_and_ends_what_the_first_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = Embedded::open(&path).unwrap();
    for number in 0..50 {
        begin(&store, id(number), &record(Some("ferris")));
    }
    let mut operator = start_child(&["operate", path.to_str().unwrap()]);
    let lines = BufReader::new(operator.stdout.take().unwrap()).lines();
    let said: Vec<_> = lines.map(Result::unwrap).filter(|line| line.starts_with("saw")).collect();
    assert!(operator.wait().unwrap().success());
    assert_eq!(said, ["saw 50"]);
    assert_eq!(block_on(store.count(&Filter::user("ferris"), start())).unwrap(), 0);
    assert_eq!(block_on(store.load(&id(7))).unwrap().unwrap().record.ended, Some(killed(start())));
}

#[test]
fn the_kit_passes_across_two_processes() {
    let dir = tempfile::tempdir().unwrap();
    let remote = Arc::new(remote::Remote::start());
    let count = AtomicUsize::new(0);
    let open = || {
        let path = dir.path().join(count.fetch_add(1, Ordering::Relaxed).to_string());
        std::future::ready(Alternating::open(&path, &remote))
    };
    if let Err(broken) = block_on(Kit::new().sequences(40).run(open)) {
        panic!("{broken}");
    }
}

#[test]
fn the_kit_passes_while_another_process_works_in_the_same_databases() {
    let dir = tempfile::tempdir().unwrap();
    let remote = Arc::new(remote::Remote::start());
    let count = AtomicUsize::new(0);
    let open = || {
        let path = dir.path().join(count.fetch_add(1, Ordering::Relaxed).to_string());
        let opened = Embedded::open(&path).inspect(|_| remote.disturb(&path));
        std::future::ready(opened)
    };
    if let Err(broken) = block_on(Kit::new().sequences(10).run(open)) {
        panic!("{broken}");
    }
}

#[test]
fn a_process_that_dies_reading_does_not_make_the_file_grow() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = Embedded::open(&path).unwrap();
    let mut large = record(None);
    large.data.set("filler", &[7; 3000]);
    for number in 0..50 {
        begin(&store, id(number), &large);
    }
    let churn = |rounds| {
        (0..rounds).for_each(|round| {
            increment(&store, &id(round % 50));
        });
    };
    let size = || std::fs::metadata(path.join("data.mdb")).unwrap().len();
    churn(50);
    let mut reader = start_child(&["hold", path.to_str().unwrap()]);
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "holding"));
    reader.kill().unwrap();
    reader.wait().unwrap();
    block_on(store.sweep(start(), 1)).unwrap();
    churn(50);
    let before = size();
    churn(300);
    assert!(size() <= before + before / 4, "{before} bytes became {}", size());
}

#[test]
fn a_process_with_a_smaller_map_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let store = Embedded::options().max_size(1 << 20).open(&path).unwrap();
    begin(&store, id(1), &record(None));
    let mut other = start_child(&["fill", path.to_str().unwrap()]);
    assert!(other.wait().unwrap().success());
    let error = block_on(store.load(&id(1))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("max_size"), "{error}");
    drop(store);
    let store = Embedded::options().max_size(1 << 20).open(&path).unwrap();
    assert!(block_on(store.load(&id(1))).unwrap().is_some());
    let put = block_on(store.put(&id(2), &record(None), Expect::Absent, start()));
    assert_eq!(put.unwrap_err().kind(), ErrorKind::Full);
    assert!(block_on(store.end(&id(1), &killed(start()))).unwrap(), "what is there can end");
}

#[test]
fn child() {
    let Some(task) = task() else { return };
    match task[0].as_str() {
        "increment" => {
            let store = Embedded::open(&task[1]).unwrap();
            for _ in 0..INCREMENTS {
                increment(&store, &id(1));
            }
        }
        "hold" => {
            // SAFETY: only through the engine is this database used.
            #[allow(unsafe_code)]
            let env = unsafe { heed::EnvOpenOptions::new().map_size(1 << 30).open(&task[1]).unwrap() };
            let _txn = env.read_txn().unwrap();
            println!("\nholding");
            std::thread::sleep(HOUR);
        }
        "fill" => {
            let store = Embedded::options().max_size(1 << 26).open(&task[1]).unwrap();
            let mut large = record(None);
            large.data.set("filler", &[7; 100_000]);
            for number in 100..150 {
                begin(&store, id(number), &large);
            }
        }
        "operate" => {
            let store = Embedded::open(&task[1]).unwrap();
            let page = block_on(store.scan(&Filter::user("ferris"), None, 100, start())).unwrap();
            println!("\nsaw {}", page.items.len());
            let ended = block_on(store.end_all(&Filter::user("ferris"), &killed(start()))).unwrap();
            assert_eq!(ended, 50);
        }
        _ => remote::serve(),
    }
}

/// Databases that a child has open, by path.
type Open = HashMap<String, Embedded>;

/// Opens each path once.
fn opened<'a>(open: &'a mut Open, path: &str) -> Result<&'a Embedded, Error> {
    if !open.contains_key(path) {
        // Earlier ones aren't used any more.
        open.clear();
        open.insert(path.to_owned(), Embedded::open(path)?);
    }
    Ok(&open[path])
}
